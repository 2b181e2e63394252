"""A disputed bill: the archive with everything behind it, without secrets and without others' data."""

from __future__ import annotations

import io
import json
import zipfile
from decimal import Decimal
from hashlib import sha256
from pathlib import Path

from simulators.emsp import Emsp
from tests.flow.product import Product, product
from tests.flow.test_product_door import cli
from tests.harness.charger import plugged, stamp, start16, stop16, values16
from tests.harness.network import password


async def charged(cpo: Product, number: int, tag: str, secret: str) -> str:
    """A session whose charger also says its password; returns its id once it is billed."""
    async with plugged(cpo.network, number) as charger:
        began = await charger.call("StartTransaction", start16(tag, 1_000, stamp(minutes=30)))
        transaction = began["transactionId"]
        odd = values16(transaction, 2_500, stamp(minutes=10))
        odd["meterValue"][0]["sampledValue"][0]["location"] = secret
        await charger.call("MeterValues", odd)
        await charger.call("StopTransaction", stop16(transaction, 6_400, stamp(), tag))
    session = await cpo.session(number)
    await cpo.bill(session["id"])
    found: str = session["id"]
    return found


async def test_the_evidence_is_whole_hashed_and_only_the_owners(tmp_path: Path) -> None:
    async with product(tmp_path, chargers=2) as cpo:
        emsp, other = await cpo.partner(), await cpo.partner("OTH")
        for partner, card in ((emsp, "MINE"), (other, "THEIRS")):
            assert (await partner.push_token(partner.tokens.add(card))).code == 1000
        secret = password(cpo.network.identity(0))
        mine = await charged(cpo, 0, "MINE", secret)
        theirs = await charged(cpo, 1, "THEIRS", secret)
        for partner in (emsp, other):
            await partner.wait_for(lambda partner=partner: partner.store.cdrs)
        await emsp.wait_for(lambda: emsp.pushes("cdrs"))
        await cli(cpo, "bills", "evidence", mine, "--out", str(tmp_path / "e.zip"))
        body = (tmp_path / "e.zip").read_bytes()
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            files = {name: archive.read(name) for name in archive.namelist()}
        _whole(files, mine)
        _clean(files, [secret, cpo.server.operator_key, *_tokens(emsp), *_tokens(other)])
        everything = b"\n".join(files.values()).decode()
        for foreign in (theirs, "THEIRS", "IN*OTH", other.base_url):
            assert foreign not in everything, foreign
        assert "already" in await _again(cpo, mine, tmp_path)


def _whole(files: dict[str, bytes], id: str) -> None:
    manifest = json.loads(files["manifest.json"])
    assert manifest["bill"] == id
    assert set(manifest["files"]) == set(files) - {"manifest.json"}
    for name, told in manifest["files"].items():
        assert told == {"sha256": sha256(files[name]).hexdigest(), "bytes": len(files[name])}
    for version in ("2.1.1", "2.2.1", "2.3.0"):
        assert json.loads(files[f"partner/{version}/{id}.json"])["id"] == id
    frames = [json.loads(line) for line in files["frames.jsonl"].splitlines()]
    actions = {each["action"] for each in frames}
    assert actions >= {"StartTransaction", "MeterValues", "StopTransaction"}
    assert b"2500" in files["samples.csv"]
    assert json.loads(files["tariffs/DC-18.json"])["currency"] == "INR"
    assert b"gross 97.20 INR" in files["rating.txt"]
    asked = [json.loads(line) for line in files["exchanges.jsonl"].splitlines()]
    posts = [each for each in asked if each["method"] == "POST" and each["about"] == f"cdr:{id}"]
    assert [each["http_status"] in (200, 201) for each in posts] == [True]
    assert Decimal(str(json.loads(posts[0]["request"])["total_cost"]["incl_vat"])) == Decimal(
        "97.2"
    )
    assert b"StopTransaction received" in files["story.txt"]


def _clean(files: dict[str, bytes], secrets: list[str]) -> None:
    everything = b"\n".join(files.values()).decode()
    assert len(secrets) > 4
    found = [secret for secret in secrets if secret in everything]
    assert not found, found
    assert "[secret]" in everything  # the charger's own was there


def _tokens(emsp: Emsp) -> list[str]:
    return [each for each in (emsp.connection.outbound, *emsp.connection.inbound) if each]


async def _again(cpo: Product, id: str, folder: Path) -> str:
    """An archive that is there is never overwritten."""
    try:
        return await cli(cpo, "bills", "evidence", id, "--out", str(folder / "e.zip"))
    except AssertionError as error:
        return str(error)
