"""On which terms partners are served: set by the command line, held on the wire, real TLS included."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote

import aiohttp
import pytest
from aiohttp import web

from cms.bootstrap import running
from simulators.emsp import Emsp
from tests.flow.product import Json, Product, config_of, product
from tests.flow.test_product_door import cli
from tests.harness.network import Network

OURS, THEIRS = "ours-0123456789abcdef", "theirs-0123456789abcdef"
MODULES = {
    "locations": "RECEIVER", "tariffs": "RECEIVER", "sessions": "RECEIVER", "cdrs": "RECEIVER",
    "tokens": "SENDER", "commands": "SENDER",
}  # fmt: skip

with_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl")


def header(token: str) -> str:
    return f"Token {base64.b64encode(token.encode()).decode()}"


async def asked(url: str, token: str = OURS, **more: str) -> int:
    async with aiohttp.ClientSession() as http:
        async with http.get(url, headers={"Authorization": header(token), **more}) as answer:
            return answer.status


@asynccontextmanager
async def adopted(cpo: Product, emsp: Emsp, *more: str) -> AsyncIterator[Json]:
    token = emsp.hand_out_token()
    emsp.connection.inbound, emsp.connection.token_a = {token}, None
    await cli(
        cpo, "partners", "adopt", "IN*EMP", "--name", "Taken", "--version", "2.2.1",
        "--url", emsp.versions_url, "--token", token, "--our-token", OURS, *more,
    )  # fmt: skip
    yield await cpo.api.get("/partners/IN*EMP")


async def test_a_partner_is_taken_over_and_everything_runs_as_if_registered(tmp_path: Path) -> None:
    async with product(tmp_path) as cpo, Emsp(party_id="EMP") as emsp:
        emsp.connection.parties = [type(emsp.us)("IN", "CPO")]
        async with adopted(cpo, emsp) as told:
            assert told["state"] == "connected" and told["health"]["version"] == "2.2.1"
            assert OURS not in json.dumps(told)
            await emsp.wait_for(lambda: emsp.store.locations)  # no registration: no call of theirs
            assert not [each for each in emsp.arrivals if each.module == "credentials"]
            base = f"{cpo.network.base}/ocpi/2.2.1"
            assert await asked(f"{base}/locations") == 200
            assert await asked(f"{base}/locations", "wrong-0123456789") == 401
            kept = await cpo.server.parts.store.documents("ocpi.connection")
            assert OURS.encode() not in kept["IN*EMP"]
            audit = await cpo.api.get("/audit?subject=partner:IN*EMP")
            assert "partner.adopted" in json.dumps(audit) and OURS not in json.dumps(audit)
        again = {
            "name": "T",
            "url": emsp.versions_url,
            "version": "2.2.1",
            "token": THEIRS,
            "our_token": OURS,
        }
        with pytest.raises(Exception, match="409|registered already"):
            await cpo.api.post("/partners/IN*EMP/adopt", again)
        with pytest.raises(Exception, match="409|another partner"):
            await cpo.api.post("/partners/IN*OTH/adopt", again)


async def test_terms_are_set_and_shown_by_the_command_line(tmp_path: Path) -> None:
    async with product(tmp_path) as cpo:
        await cpo.partner()
        await cli(
            cpo, "partners", "set", "IN*EMP", "--profile", "gireve-hub",
            "--switch", "page_most=500", "--switch", "routing_required=false",
            "--endpoint", "cdrs:RECEIVER=https://a.example/cdrs", "--network", "127.0.0.0/8",
        )  # fmt: skip
        shown = json.loads(await cli(cpo, "partners", "show", "IN*EMP", "--json"))
        assert shown["profile"] == "gireve-hub"
        assert shown["terms"]["switches"]["page_most"] == 500
        assert shown["terms"]["switches"]["dates_out"] == "whole"
        assert shown["terms"]["endpoints_set"][0]["url"] == "https://a.example/cdrs"
        await cli(cpo, "partners", "set", "IN*EMP", "--reset", "page_most", "--no-endpoints")
        shown = json.loads(await cli(cpo, "partners", "show", "IN*EMP", "--json"))
        assert shown["terms"]["switches"]["page_most"] is None
        assert shown["switches"] == {"routing_required": "false"}
        assert shown["networks"] == ["127.0.0.0/8"] and not shown["terms"]["endpoints_set"]
        await cli(
            cpo, "partners", "share", "IN*EMP", "--site", "SITE-0", "--status", "delayed",
            "--delay-minutes", "30",
        )  # fmt: skip
        shown = json.loads(await cli(cpo, "partners", "show", "IN*EMP", "--json"))
        assert (shown["sharing"]["sites"], shown["sharing"]["delay_minutes"]) == (["SITE-0"], 30)
        await cli(cpo, "partners", "share", "IN*EMP", "--all-sites")
        shown = json.loads(await cli(cpo, "partners", "show", "IN*EMP", "--json"))
        assert (shown["sharing"]["sites"], shown["sharing"]["status"]) == (None, "delayed")
        for body, why in (
            ({"switches": {"pages": "1"}}, "switches.pages"),
            ({"profile": "ubc"}, "profile"),
            ({"sharing": {"sites": ["NOWHERE"]}}, "sharing.sites"),
            ({"sharing": {"status": "delayed"}}, "sharing.delay_minutes"),
            ({"networks": ["10.0.0.300"]}, "networks"),
            ({"certificates": ["abc"]}, "certificates"),
            ({"our_certificate": "none"}, "our_certificate"),
        ):
            status, answer = await patched(cpo, body)
            assert (status, answer["field"]) == (400, why)


async def patched(cpo: Product, body: Json) -> tuple[int, Json]:
    headers = {"Authorization": f"Bearer {cpo.server.operator_key}"}
    async with aiohttp.ClientSession(headers=headers) as http:
        url = f"{cpo.network.base}/api/v1/partners/IN*EMP"
        async with http.patch(url, json=body) as answer:
            return answer.status, json.loads(await answer.read())


async def test_a_partner_may_call_from_its_networks_only(tmp_path: Path) -> None:
    proxied = {"http": {"trusted_proxies": ["127.0.0.1/32"]}}
    for more, forwarded in (({}, None), (proxied, "203.0.113.9, 127.0.0.1")):
        folder = tmp_path / ("proxy" if forwarded else "plain")
        folder.mkdir()
        async with product(folder, more=more) as cpo, Emsp(party_id="EMP") as emsp:
            async with adopted(cpo, emsp):
                url = f"{cpo.network.base}/ocpi/2.2.1/locations"
                says = {"X-Forwarded-For": forwarded or "203.0.113.9"}
                assert await asked(url, **says) == 200
                await cli(cpo, "partners", "set", "IN*EMP", "--network", "203.0.113.0/24")
                # who is no trusted proxy is not believed
                assert await asked(url, **says) == (200 if forwarded else 401)
                spoofed = {"X-Forwarded-For": "203.0.113.9, 198.51.100.7"}
                assert await asked(url, **spoofed) == 401
                assert await asked(url) == 401
                await cli(cpo, "partners", "set", "IN*EMP", "--any-network")
                assert await asked(url) == 200


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """Make a self-signed certificate for the loopback; returns its file and its key's."""
    files = folder / f"{name}.pem", folder / f"{name}.key"
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-nodes", "-days", "2", "-subj", f"/CN={name}",
            "-addext", "subjectAltName=IP:127.0.0.1",
            "-out", str(files[0]), "-keyout", str(files[1]),
        ],
        check=True, capture_output=True, timeout=30,
    )  # fmt: skip
    return files


def fingerprint(file: Path) -> str:
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(file.read_text())).hexdigest()


@with_openssl
async def test_a_partner_must_present_its_certificate_to_our_listener(tmp_path: Path) -> None:
    made = [await asyncio.to_thread(certificate, tmp_path, n) for n in ("us", "emp", "other")]
    (ours, key), (mine, my_key), (other, other_key) = made
    (tmp_path / "ca.pem").write_text(mine.read_text() + other.read_text())
    tls = {
        "certificate": str(ours),
        "key": str(key),
        "client_authorities": str(tmp_path / "ca.pem"),
    }
    network = Network(tmp_path, chargers=1, prefix="CS-", more={"http": {"tls": tls}})
    async with running(config_of(network)) as server:
        base = f"https://127.0.0.1:{network.http_port}"

        def presenting(*files: Path) -> ssl.SSLContext:
            context = ssl.create_default_context(cafile=str(ours))
            if files:
                context.load_cert_chain(*map(str, files))
            return context

        async def call(
            method: str, path: str, context: ssl.SSLContext, body: Json | None = None
        ) -> int:
            bearer = f"Bearer {server.operator_key}" if "/api/" in path else header(OURS)
            async with aiohttp.ClientSession(headers={"Authorization": bearer}) as http:
                async with http.request(method, base + path, json=body, ssl=context) as answer:
                    return answer.status

        ends = [
            {"module": m, "role": r, "url": f"https://emp.example/{m}"} for m, r in MODULES.items()
        ]
        link = {
            "name": "E", "url": "https://emp.example/versions", "version": "2.2.1",
            "token": THEIRS, "our_token": OURS, "endpoints": ends,
        }  # fmt: skip
        path, partner = "/ocpi/2.2.1/locations", "/api/v1/partners/IN*EMP"
        assert await call("POST", f"{partner}/adopt", presenting(), link) == 201
        assert await call("GET", path, presenting()) == 200  # nothing is asked of it yet
        for name in (fingerprint(mine).upper(), "CN=emp"):
            assert await call("PATCH", partner, presenting(), {"certificates": [name]}) == 200
            assert await call("GET", path, presenting(mine, my_key)) == 200
            assert await call("GET", path, presenting(other, other_key)) == 401
            assert await call("GET", path, presenting()) == 401
        stranger = await asyncio.to_thread(certificate, tmp_path, "stranger")
        with pytest.raises((aiohttp.ClientError, ConnectionError, ssl.SSLError)):
            await call("GET", path, presenting(*stranger))


@with_openssl
async def test_a_trusted_proxy_hands_the_certificate_on(tmp_path: Path) -> None:
    mine, _ = await asyncio.to_thread(certificate, tmp_path, "emp")
    other, _ = await asyncio.to_thread(certificate, tmp_path, "other")
    http = {"trusted_proxies": ["127.0.0.1/32"], "client_certificate_header": "X-Client-Cert"}
    async with product(tmp_path, more={"http": http}) as cpo, Emsp(party_id="EMP") as emsp:
        async with adopted(cpo, emsp):
            await cli(cpo, "partners", "set", "IN*EMP", "--certificate", fingerprint(mine))
            url = f"{cpo.network.base}/ocpi/2.2.1/locations"
            assert await asked(url) == 401
            assert await asked(url, **{"X-Client-Cert": quote(mine.read_text())}) == 200
            assert await asked(url, **{"X-Client-Cert": quote(other.read_text())}) == 401
            assert await asked(url, **{"X-Client-Cert": "nonsense%"}) == 401


@with_openssl
async def test_we_present_our_certificate_to_a_partner_that_wants_one(tmp_path: Path) -> None:
    theirs, their_key = await asyncio.to_thread(certificate, tmp_path, "them")
    ours, our_key = await asyncio.to_thread(certificate, tmp_path, "us")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(ours))
    context.load_cert_chain(theirs, their_key)
    context.verify_mode = ssl.CERT_REQUIRED
    seen: list[str] = []
    arrived = asyncio.Event()

    async def serve(request: web.Request) -> web.Response:
        tls = request.get_extra_info("ssl_object")
        seen.append(hashlib.sha256(tls.getpeercert(binary_form=True)).hexdigest())
        arrived.set()
        return web.json_response(
            {"status_code": 1000, "data": [], "timestamp": "2026-01-01T00:00:00Z"}
        )

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", serve)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    base = f"https://127.0.0.1:{runner.addresses[0][1]}"
    own = {"name": "roaming", "certificate": str(ours), "key": str(our_key), "trust": str(theirs)}
    try:
        more = {"ocpi": {"certificates": [own], "allow_private_addresses": True}}
        async with product(tmp_path, more=more) as cpo:
            ends = [{"module": m, "role": r, "url": f"{base}/{m}"} for m, r in MODULES.items()]
            link = {
                "name": "E", "url": f"{base}/versions", "version": "2.2.1", "token": THEIRS,
                "our_token": OURS, "endpoints": ends, "allow_private_addresses": True,
            }  # fmt: skip
            await cpo.api.post("/partners/IN*EMP/adopt", link)
            lines = cpo.server.parts.roaming.lines  # without a certificate nothing gets through
            await cpo.until(lambda: next(iter(lines))[1].last_error)
            assert not seen
            await cli(cpo, "partners", "set", "IN*EMP", "--our-certificate", "roaming")
            async with asyncio.timeout(20):
                await arrived.wait()
            assert set(seen) == {fingerprint(ours)}
    finally:
        await runner.cleanup()


async def test_long_uids_and_references_come_back_whole(tmp_path: Path) -> None:
    """What no charger could carry: an app's uid of 36 characters, a card of 30, a reference of 36."""
    async with product(tmp_path, chargers=2) as cpo:
        emsp = await cpo.partner()
        for number, (uid, kind) in enumerate((("a" * 36, "APP_USER"), ("04" * 15, "RFID"))):
            station = await cpo.station(number)
            token = emsp.tokens.add(uid, type=kind)
            reference = f"{number}" * 36
            start = await emsp.start_session(
                "SITE-0", cpo.uid(number), token=token, authorization_reference=reference
            )
            assert (start.answer, await start.result()) == ("ACCEPTED", "ACCEPTED")
            await station.session_started()
            [asked_for] = station.received_so_far("RemoteStartTransaction")
            assert len(asked_for["idTag"]) == 16 and asked_for["idTag"].isalnum()
            session = await emsp.wait_for(lambda r=reference: emsp.session(r))  # type: ignore[misc]
            assert session["cdr_token"]["uid"] == uid
            stop = await emsp.stop_session(session["id"])
            assert stop.answer == "ACCEPTED"
            bill = await emsp.wait_for(lambda s=session: emsp.cdr_of(s["id"]))  # type: ignore[misc]
            assert (bill["cdr_token"]["uid"], bill["authorization_reference"]) == (uid, reference)


async def test_a_partner_hears_of_a_running_session_as_often_as_its_profile_says(
    tmp_path: Path,
) -> None:
    """The network tells once a minute; only the switch makes it more."""
    slow = {"charging": {"session_push_seconds": 60.0}}
    async with product(tmp_path, more=slow) as cpo:
        emsp = await cpo.partner()
        await cli(cpo, "partners", "set", "IN*EMP", "--switch", "session_push_seconds=1")
        await cpo.station()
        token = emsp.tokens.add("0455667788", type="RFID")
        start = await emsp.start_session("SITE-0", cpo.uid(), token=token)
        assert (start.answer, await start.result()) == ("ACCEPTED", "ACCEPTED")

        def told() -> bool:
            puts = [a.body for a in emsp.pushes("sessions") if isinstance(a.body, dict)]
            return len({each["kwh"] for each in puts if each.get("status") == "ACTIVE"}) > 3

        await emsp.wait_for(told, 20)
