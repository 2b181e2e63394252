"""A hub at the running product: three providers behind one token, and each hears of its own only."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.conformance.ocpi.hubs import ANN, BOB, CAT, HUB, MEMBERS, Hub, client, hub, token_of
from tests.flow.product import Product, product
from tests.flow.test_product_partners import cli
from tests.harness.charger import plugged, stamp, start16, stop16

CARDS = {party: f"CARD{n}" for n, party in enumerate(MEMBERS)}


async def joined(cpo: Product, new: Hub) -> None:
    """The hub registers by the operator's invitation; its client info names the parties."""
    new.clients = [client(each, "CONNECTED") for each in MEMBERS]
    new.tokens = [token_of(party, card) for party, card in CARDS.items()]
    body = {"id": HUB, "name": "A Hub", "hub": True, "allow_private_addresses": True}
    invitation = await cpo.api.post("/partners", body)
    heard = await new.register(cpo.url("/ocpi"), invitation["token"])
    assert heard.code == 1000, heard.envelope
    await cpo.until_told("/tokens?limit=500", lambda told: set(CARDS.values()) <= _uids(told))


def _uids(told: dict[str, list[dict[str, str]]]) -> set[str]:
    return {each["uid"] for each in told["tokens"]}


async def charged(cpo: Product, number: int, card: str) -> None:
    async with plugged(cpo.network, number) as charger:
        answer = await charger.call("StartTransaction", start16(card, 1_000, stamp(minutes=5)))
        assert answer["idTagInfo"]["status"] == "Accepted"
        await charger.call("StopTransaction", stop16(answer["transactionId"], 1_500, stamp()))


async def test_each_provider_behind_a_hub_gets_its_own_session_and_bill_and_no_other(
    tmp_path: Path,
) -> None:
    async with product(tmp_path, chargers=3) as cpo, hub() as new:
        await joined(cpo, new)
        await asyncio.gather(*(charged(cpo, n, CARDS[party]) for n, party in enumerate(MEMBERS)))
        await new.until(lambda: len(new.pushed("cdrs")) == len(MEMBERS), timeout=30)
        for party in MEMBERS:
            [bill] = new.pushed("cdrs", to=party)
            assert bill.body["cdr_token"]["uid"] == CARDS[party]
            told = {each.body["cdr_token"]["uid"] for each in new.pushed("sessions", to=party)}
            assert told == {CARDS[party]}
            shown = await new.call(party, "GET", "/cdrs")
            assert [each["id"] for each in shown.data] == [bill.body["id"]]
        assert {each.to for each in new.pushed("locations")} == {HUB}


async def test_an_operator_sees_the_parties_behind_a_hub_and_places_one(tmp_path: Path) -> None:
    async with product(tmp_path) as cpo, hub() as new:
        await joined(cpo, new)
        await new.client(CAT, "OFFLINE")
        shown = await cli(cpo, "partners", "parties", HUB, "--json")
        assert all(party in shown for party in (ANN, BOB, CAT)) and "offline" in shown
        await cli(cpo, "partners", "place", HUB, "FR*NEW", "--name", "New Provider")
        found = await cpo.api.get(f"/partners/{HUB}/parties")
        assert {each["id"]: each["via"] for each in found}["FR*NEW"] == HUB
