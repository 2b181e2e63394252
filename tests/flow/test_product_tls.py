"""wss:// for chargers and https:// for everybody else, with the operator's own certificate."""

from __future__ import annotations

import asyncio
import json
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from cms.bootstrap import Running, running
from simulators.habits import QUICK_BACKOFF
from simulators.station import StationConfig, StationSimulator
from tests.flow.product import VERSIONS, Json, config_of
from tests.flow.test_product_door import run_cms
from tests.harness.network import Network, password

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")


def certificate(folder: Path) -> tuple[Path, Path]:
    """Make an ECDSA P-256 certificate for the loopback; returns its file and its key's."""
    files = folder / "loopback.pem", folder / "loopback.key"
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
            "-addext", "subjectAltName=IP:127.0.0.1",
            "-out", str(files[0]), "-keyout", str(files[1]),
        ],
        check=True, capture_output=True, timeout=30,
    )  # fmt: skip
    return files


def trusting(file: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(file))


@asynccontextmanager
async def secured(folder: Path) -> AsyncIterator[tuple[Running, Network, Path]]:
    file, key = await asyncio.to_thread(certificate, folder)
    tls: Json = {"tls": {"certificate": str(file), "key": str(key)}}
    network = Network(folder, chargers=1, prefix="CS-", more={"ocpp": tls, "http": tls})
    async with running(config_of(network)) as server:
        yield server, network, file


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_charger_talks_over_wss(tmp_path: Path, version: str) -> None:
    async with secured(tmp_path) as (_, network, file):
        identity = network.identity(0)
        config = StationConfig(
            identity,
            f"wss://127.0.0.1:{network.ocpp_port}/ocpp",
            version,
            password(identity),
            tls=trusting(file),
            backoff=QUICK_BACKOFF,
        )
        async with StationSimulator(config) as station:
            await station.booted()
            await station.statuses_sent()
            assert station.tap.invalid_answers == []


async def test_the_api_talks_over_https_and_the_command_line_finds_it(tmp_path: Path) -> None:
    async with secured(tmp_path) as (server, network, file):
        told = json.loads(network.operator_file.read_text())
        assert told["url"] == f"https://127.0.0.1:{network.http_port}"
        headers = {"Authorization": f"Bearer {server.operator_key}"}
        async with aiohttp.ClientSession(headers=headers) as http:
            url = f"{told['url']}/api/v1/chargers"
            async with http.get(url, ssl=trusting(file)) as answer:
                assert [each["id"] for each in await answer.json()] == [network.identity(0)]
        network.write()
        assert network.identity(0) in await run_cms(network, "chargers", "list")


@pytest.mark.parametrize("port", ["ocpp_port", "http_port"])
async def test_tls_1_1_is_refused_on_both_ports(tmp_path: Path, port: str) -> None:
    async with secured(tmp_path) as (_, network, file):
        assert await handshake(getattr(network, port), file, "-tls1_2")
        assert not await handshake(getattr(network, port), file, "-tls1_1")


async def handshake(port: int, file: Path, version: str) -> bool:
    """Whether a client that speaks only that version is let in."""
    process = await asyncio.create_subprocess_exec(
        "openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-CAfile", str(file), version,
        "-cipher", "ALL:@SECLEVEL=0",
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    async with asyncio.timeout(20):
        return await process.wait() == 0


async def test_nothing_is_said_in_the_clear(tmp_path: Path) -> None:
    async with secured(tmp_path) as (_, network, _):
        for port in (network.ocpp_port, network.http_port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            try:
                async with asyncio.timeout(10):
                    answer = await reader.read(100)
            except ConnectionResetError:
                answer = b""
            assert not answer.startswith(b"HTTP/1.1 2")
            writer.close()
