"""The checker against the running product and against a partner, and what it prints."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from ocpi_check.options import Options, Plug, Unusable
from ocpi_check.run import Mark, Result, run
from simulators.emsp import Emsp
from tests.flow.broken_cpo import Defect, Said, broken
from tests.flow.product import Product, product
from tests.flow.seeded_cpo import seeded
from tests.harness.server import ROOT

VERSIONS = ("2.1.1", "2.2.1", "2.3.0")
BAD = (Mark.FAILED, Mark.ADVICE)


def told(result: Result) -> list[str]:
    """What is not as it should be, with its exchanges."""
    return [
        f"{each.check.id}: {each.text}\n" + "\n".join(each.exchanges)
        for mark in BAD
        for each in result.marked(mark)
    ]


def passed(result: Result) -> set[str]:
    return {each.check.id for each in result.marked(Mark.PASSED)}


async def invited(cpo: Product, party: str = "CHK") -> tuple[str, str]:
    """URL and token A for a new partner."""
    body = {"id": f"IN*{party}", "name": party, "allow_private_addresses": True}
    invitation = await cpo.api.post("/partners", body)
    return invitation["url"], invitation["token"]


# -- our own CPO


@pytest.mark.parametrize("version", VERSIONS)
async def test_our_cpo_passes_from_registration_to_the_bill_and_is_left_clean(
    tmp_path: Path, version: str
) -> None:
    async with product(tmp_path, chargers=3) as cpo:
        await cpo.station()
        url, token = await invited(cpo)
        options = Options(
            url, token, version=version, party=("IN", "CHK"), write=True, pace=0, patience=30,
            charge_seconds=1.0, plug=Plug("SITE-0", cpo.uid(), "1"),
        )  # fmt: skip
        result = await run(options)
        assert not told(result)
        assert {"CR-02", "CR-07", "CR-11", "CM-02", "CD-02", "TK-01", "CO-27", "SE-08"} <= passed(
            result
        )
        assert len(passed(result)) >= 120
        assert (await cpo.api.get("/partners/IN*CHK"))["state"] != "connected"


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_partner_of_long_standing_checks_what_it_may_see(
    tmp_path: Path, version: str
) -> None:
    async with seeded(tmp_path, version=version) as (cpo, emsp):
        assert emsp.connection.outbound is not None
        options = Options(
            f"{cpo.network.base}/ocpi/versions", emsp.connection.outbound, registered=True,
            version=version, party=("IN", "EMP"), pace=0, public_url=emsp.base_url,
        )  # fmt: skip
        result = await run(options)
        assert not told(result)
        assert {"PG-07", "PG-09", "CD-15", "CO-27", "LO-26", "TA-09"} <= passed(result)
        assert emsp.connection.registered


async def test_only_the_groups_asked_for_are_checked(tmp_path: Path) -> None:
    async with product(tmp_path) as cpo:
        url, token = await invited(cpo)
        result = await run(Options(url, token, only=("VE", "TR-02"), party=("IN", "CHK"), pace=0))
        ids = {each.check.id for each in result.outcomes}
        assert {"VE-01", "TR-02", "CR-02"} <= ids and not {"LO-01", "TR-03"} & ids


async def test_without_write_nothing_is_stored_there(tmp_path: Path) -> None:
    async with product(tmp_path) as cpo:
        url, token = await invited(cpo)
        result = await run(Options(url, token, party=("IN", "CHK"), pace=0))
        assert not told(result)
        tokens = (await cpo.api.get("/tokens"))["tokens"]
        assert not [each for each in tokens if each.get("partner") == "IN*CHK"]


async def test_a_cpo_that_mixes_up_its_codes_is_told_so_while_we_register(tmp_path: Path) -> None:
    def mixes_up(asked: object, said: Said) -> None:
        if said.code in (3001, 3003):
            said.body["status_code"] = 3002

    async with product(tmp_path) as cpo:
        _, token = await invited(cpo)
        defect = Defect("mixes_up", frozenset(), mixes_up)
        async with broken(cpo.network.base, defect, "") as url:
            result = await run(Options(url, token, party=("IN", "CHK"), pace=0, only=("CR",)))
        assert {each.check.id for mark in BAD for each in result.marked(mark)} == {"CR-04", "CR-09"}


# -- who cannot be checked


async def test_what_cannot_be_reached_or_used_is_said_at_once(tmp_path: Path) -> None:
    async with product(tmp_path) as cpo:
        url, token = await invited(cpo)
        with pytest.raises(Unusable, match="not accepted"):
            await run(Options(url, "another-token"))
        with pytest.raises(Unusable, match="no http"):
            await run(Options("ftp://nowhere", token))
        with pytest.raises(Unusable, match="no answer"):
            await run(Options("http://127.0.0.1:1/versions", token))
        with pytest.raises(Unusable, match=r"2\.2\.9 is not offered"):
            await run(Options(url, token, version="2.2.9"))


# -- an eMSP

HABITS = {"TR-07", "TR-36", "RT-05"}
"""Where the simulated partner is stricter, or less strict, than the checker advises."""


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_good_emsp_passes(version: str) -> None:
    async with Emsp(country_code="IN", party_id="EMP", version=version) as emsp:
        for number in range(4):
            emsp.tokens.add(f"CARD{number}")
        options = Options(
            emsp.versions_url, emsp.hand_out_token(), role="EMSP", version=version,
            party=("IN", "CHK"), write=True, pace=0,
        )  # fmt: skip
        result = await run(options)
        assert result.role == "EMSP"
        assert not [each.text for each in result.marked(Mark.FAILED)]
        assert {each.check.id for each in result.marked(Mark.ADVICE)} <= HABITS
        wanted = {"AU-01", "AU-03", "LO-05", "LO-06", "SE-02", "CD-02", "CD-03", "TA-03", "PG-07"}
        assert wanted <= passed(result)
        assert not emsp.connection.registered


async def test_the_side_is_seen_from_the_endpoints() -> None:
    async with Emsp(country_code="IN", party_id="EMP") as emsp:
        options = Options(emsp.versions_url, emsp.hand_out_token(), only=("VE",), pace=0)
        assert (await run(options)).role == "EMSP"


# -- the command


async def cms(*arguments: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "cms", "ocpi", "check", *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, cwd=ROOT,
    )  # fmt: skip
    async with asyncio.timeout(60):
        out, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode()


async def test_the_command_prints_every_check_and_writes_reports(tmp_path: Path) -> None:
    report, junit = tmp_path / "report.json", tmp_path / "junit.xml"
    async with product(tmp_path) as cpo:
        url, token = await invited(cpo)
        code, out = await cms(
            "--url", url, "--token", token, "--party", "IN*CHK", "--pace", "0", "--verbose",
            "--json", str(report), "--junit", str(junit),
        )  # fmt: skip
    assert code == 0, out
    assert "pass    TR-14" in out and "skipped CM-02" in out and "CPO, OCPI 2.2.1" in out
    told_of = json.loads(report.read_text())
    assert told_of["failed"] is False and told_of["counts"]["fail"] == 0
    suite = ElementTree.parse(junit).getroot()
    assert suite.get("failures") == "0"
    assert suite.get("tests") == str(len(told_of["checks"]))
    assert token not in out + report.read_text() + junit.read_text()


async def test_the_command_fails_with_the_exchange_that_shows_why(tmp_path: Path) -> None:
    def forgets_ids(asked: object, said: Said) -> None:
        said.drop("X-Request-ID")

    async with product(tmp_path) as cpo:
        _, token = await invited(cpo)
        defect = Defect("forgets_ids", frozenset(), forgets_ids)
        async with broken(cpo.network.base, defect, "") as url:
            code, out = await cms(
                "--url",
                url,
                "--token",
                token,
                "--party",
                "IN*CHK",
                "--only",
                "TR-21",
                "--pace",
                "0",
            )
    assert code == 1, out
    assert "fail    TR-21" in out and "curl -i -X GET" in out and "came back missing" in out
    assert token not in out


async def test_the_command_says_2_where_it_cannot_check() -> None:
    code, out = await cms("--url", "http://127.0.0.1:1/versions", "--token", "x" * 20)
    assert code == 2 and "no answer" in out and "x" * 20 not in out
    code, out = await cms("--url", "http://127.0.0.1:1/versions", "--token", "x", "--role", "hub")
    assert code == 2 and "--role" in out
