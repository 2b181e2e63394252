"""O08: a token that its partner takes back opens nothing any more; what it charged offline is not lost.

A charger that had no line may have let it in all the same. Who pays is then for a person to say: the
charge is kept, put before one, and billed once it has a payer.
"""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from urllib.parse import quote

import pytest

from simulators.emsp import Emsp
from simulators.emsp.tokens import Script
from simulators.emsp.wire import Json
from tests.harness.charger import Charger, plugged, stamp, start16, status16, stop16
from tests.harness.network import Network
from tests.harness.partners import registered
from tests.harness.server import Server, serving
from tests.harness.standing import living
from tests.reliability.conftest import Judge

pytestmark = [
    pytest.mark.reliability,
    pytest.mark.xdist_group("reliability"),
    pytest.mark.timeout(180),
]

WHITELISTS = ("ALWAYS", "ALLOWED", "ALLOWED_OFFLINE", "NEVER")
LIMIT_SECONDS = 1.0
LOOKS = 100


async def authorize(charger: Charger, token: Json) -> bool:
    answer = await charger.call("Authorize", {"idTag": token["uid"]})
    return bool(answer["idTagInfo"]["status"] == "Accepted")


async def revoke(emsp: Emsp, token: Json, how: str) -> None:
    """Take a token back as partners do; returns once our answer is there."""
    match how:
        case "patch":
            answer = await emsp.patch_token(token, valid=False)
        case _:
            emsp.tokens.change(token["uid"], type=token["type"], valid=False)
            answer = await emsp.push_token(emsp.tokens.held[token["uid"].upper(), token["type"]])
    assert answer.code == 1000, answer


async def late_accepts(charger: Charger, token: Json) -> int:
    """Authorisations that are accepted later than allowed after our answer, or at all in the end."""
    told, late = time.monotonic(), 0
    while time.monotonic() - told < LIMIT_SECONDS + 0.3:
        accepted = await authorize(charger, token)
        late += accepted and time.monotonic() - told > LIMIT_SECONDS
        await asyncio.sleep(0.1)
    return late


async def test_o08_a_token_that_is_taken_back(tmp_path: Path, scenario: Judge) -> None:
    network = Network(tmp_path, chargers=2, own_cards=False)
    with scenario("O08", mutant="remembers-what-it-heard") as this:
        late = refused_before = unbilled = let_in = lost = 0
        async with serving(network) as server:
            async with registered(server) as emsp, plugged(network, 0) as charger:
                await charger.call("StatusNotification", status16("Available"))
                for number, whitelist in enumerate(WHITELISTS):
                    for how in ("patch", "put"):
                        token = emsp.tokens.add(f"CARD-{number}-{how}", whitelist=whitelist)
                        await emsp.push_token(token)
                        refused_before += not await authorize(charger, token)
                        await revoke(emsp, token, how)
                        late += await late_accepts(charger, token)
                        this.n += 1
                late += await _revoked_while_asking(emsp, charger)
                this.n += 1
                for whitelist in WHITELISTS:
                    token = emsp.tokens.add(f"OFF-{whitelist}"[:20], whitelist=whitelist)
                    await emsp.push_token(token)
                    await revoke(emsp, token, "patch")
                    let_in += await _charged_offline(charger, token)
                    lost += not await _assigned(server, emsp, token)
                    unbilled += not await _billed(emsp, token)
                    this.n += 1
                this.wrong(*emsp.complaints)
                this.figure("late_accepts", late)
                this.figure("refused_before", refused_before)
                this.figure("offline_let_in", let_in)
                this.figure("offline_lost", lost)
                this.figure("offline_unbilled", unbilled)
                this.figure("partner_complains", len(emsp.complaints))
            await living(this, server)


async def _revoked_while_asking(emsp: Emsp, charger: Charger) -> int:
    """The partner is slow to say yes to one question, and takes the token back meanwhile."""
    token = emsp.tokens.add("SLOW", whitelist="NEVER")
    await emsp.push_token(token)
    emsp.tokens.scripts["SLOW"] = Script("ALLOWED", seconds=0.5)
    asking = asyncio.create_task(authorize(charger, token))
    await emsp.wait_for(lambda: any(a.path.count("SLOW/authorize") for a in emsp.arrivals))
    del emsp.tokens.scripts["SLOW"]
    await revoke(emsp, token, "patch")
    await asking
    return await late_accepts(charger, token)


async def _charged_offline(charger: Charger, token: Json) -> bool:
    """The charger had let it in while it had no line; returns whether it may go on."""
    start = start16(token["uid"], 1_000, stamp(minutes=30))
    began = await charger.call("StartTransaction", start)
    stopped = stop16(began["transactionId"], 1_500, stamp(minutes=10), token["uid"])
    await charger.call("StopTransaction", stopped)
    return bool(began["idTagInfo"]["status"] == "Accepted")


async def _assigned(server: Server, emsp: Emsp, token: Json) -> bool:
    """A charge with a token that was taken back is before a person, who finds its payer."""
    async with server.api() as api:
        for _ in range(LOOKS):  # it is before a person once it is settled
            items = [i for i in await api.work_items() if i["type"] == "unknown_token"]
            mine = [i for i in items if f'"{token["uid"]}"' in json.dumps(i)]
            if mine:
                break
            await asyncio.sleep(0.1)
        if len(mine) != 1:
            return False
        owner = f"{emsp.us.country_code}*{emsp.us.party_id}:{token['uid']}"
        body = {"action": "assign", "target": owner, "note": "it was theirs when it charged"}
        await api.post(f"/work-items/{quote(mine[0]['id'], safe='')}/actions", body)
    return True


async def _billed(emsp: Emsp, token: Json) -> bool:
    def there() -> bool:
        return any(cdr["cdr_token"]["uid"] == token["uid"] for cdr in emsp.store.cdrs.values())

    try:
        await emsp.wait_for(there, 15)
    except (AssertionError, TimeoutError):
        return False
    return True
