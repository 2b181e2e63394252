"""A simulated partner, registered with the server under test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from simulators.emsp import Emsp
from simulators.oracle import Verdict, compare
from tests.harness.network import CARD
from tests.harness.server import Api, Server


@asynccontextmanager
async def registered(
    server: Server,
    party_id: str = "EMP",
    *,
    cards: range | None = None,
    ledger: Path | None = None,
    sharing: dict[str, Any] | None = None,
) -> AsyncIterator[Emsp]:
    """A partner that has registered; it holds the tags of the fleet's drivers in *cards*.

    Args:
        sharing: what it is shown, set before it registers; None = everything.
    """
    async with Emsp(country_code="IN", party_id=party_id, ledger=ledger) as emsp:
        tokens = [emsp.tokens.add(CARD.format(number=number)) for number in cards or ()]
        async with server.api() as api:
            await register(emsp, api, sharing)
        for token in tokens:
            answer = await emsp.push_token(token)
            assert answer.code == 1000, answer
        yield emsp


async def register(emsp: Emsp, api: Api, sharing: dict[str, Any] | None = None) -> None:
    """Let *emsp* register with the server behind *api*."""
    body: dict[str, Any] = {
        "id": f"{emsp.us.country_code}*{emsp.us.party_id}",
        "name": emsp.name,
        "allow_private_addresses": True,
    }
    invitation = await api.post("/partners", body)
    if sharing is not None:
        await share(api, body["id"], sharing)
    await emsp.register(invitation["url"], invitation["token"])


async def share(api: Api, partner: str, sharing: dict[str, Any]) -> None:
    """Choose what *partner* is shown."""
    status, answer = await api.ask("PATCH", f"/partners/{partner}", {"sharing": sharing})
    assert status == 200, answer


async def judged(
    server: Server, chargers: list[dict[str, Any]], *partners: Emsp, within: float = 60
) -> Verdict:
    """Let the oracle compare the ledgers until it is content, or until time is up.

    A look at a large ledger is work for the server too: after each it is left alone for longer
    than the look took.
    """
    clock = asyncio.get_running_loop().time
    deadline = clock() + within
    while True:
        began = clock()
        theirs = [line for emsp in partners for line in emsp.ledger.lines]
        verdict = compare(chargers, theirs, await server.ledger())
        if verdict.good or clock() > deadline:
            return verdict
        await asyncio.sleep(max(0.5, 4 * (clock() - began)))
