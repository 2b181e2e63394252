"""Signed meter values of a bill (A8), in every version."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cms.app.writes import PutCdr, Touch
from cms.domain.cdr import Cdr
from cms.domain.signed import LONGEST, Nature, SignedReading
from ocpi_cpo.versions.offered import DIALECTS
from simulators.emsp.partner import Emsp
from tests.conformance.ocpi.world import Asker, World, bill_of, now

START = SignedReading(Nature.START, '{"RV":1}', "T0NNRnwAbC==", "OCMF", "PubKey=")
BETWEEN = SignedReading(Nature.INTERMEDIATE, "pLain", "x" * 513, "OCMF")
END = SignedReading(Nature.END, "p" * LONGEST, "S" * LONGEST, "OCMF", "k" * 513)


async def signed_bill(cpo: World, *signed: SignedReading) -> Cdr:
    session = await cpo.session()
    return replace(bill_of(replace(session, ended_at=now())), signed=signed)


def shown(version: str, bill: Cdr) -> Any:
    return DIALECTS[version].cdr(bill, now())


async def test_cd_23_signed_values_are_pushed_and_read_as_the_meter_gave_them(
    cpo: World, emsp: Emsp, ask: Asker
) -> None:
    session = await cpo.session()
    bill = replace(bill_of(replace(session, ended_at=now())), signed=(START, BETWEEN, END))
    done = await cpo.store.commit([PutCdr(bill), Touch("cdr", bill.id, bill.owner)])
    cpo.live.publish(done.touched)
    await emsp.wait_for(lambda: emsp.store.cdrs)
    [read] = (await ask("GET", "/2.2.1/cdrs")).data
    [pushed] = emsp.store.cdrs.values()
    for each in (read, pushed):
        assert each["signed_data"] == {
            "encoding_method": "OCMF",
            "public_key": "PubKey=",
            "signed_values": [
                {"nature": nature, "plain_data": own.plain, "signed_data": own.signed}
                for nature, own in (("Start", START), ("Intermediate", BETWEEN), ("End", END))
            ],
        }


@pytest.mark.parametrize("version", ["2.2", "2.2.1", "2.3.0"])
async def test_cd_23_every_version_that_has_signed_data_shows_them(
    cpo: World, version: str
) -> None:
    told = shown(version, await signed_bill(cpo, START))["signed_data"]
    assert told["signed_values"][0]["signed_data"] == START.signed
    assert "signed_data" not in shown(version, await signed_bill(cpo))


async def test_cd_23_no_version_gets_a_part_of_a_signature(cpo: World) -> None:
    long = await signed_bill(cpo, START, BETWEEN, END)
    assert "signed_data" not in shown("2.2", long)  # 512 characters at most
    assert "signed_data" not in shown("2.1.1", long)
    for version in ("2.2.1", "2.3.0"):
        told = shown(version, long)["signed_data"]
        assert [len(each["signed_data"]) for each in told["signed_values"]] == [12, 513, LONGEST]
        assert told["public_key"] == "PubKey="  # one of 513 characters is left out
