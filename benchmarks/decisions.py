"""Who may charge, when a partner has to be asked: one that is far away, dead, and back again."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from benchmarks import config, servers
from benchmarks.report import Figure, Report
from benchmarks.scale import Scale
from benchmarks.summary import Bound, median

CHARGERS = 300
PARTNER = "IN*EMP"
AWAY_SECONDS = 0.3
TIMEOUT_SECONDS = 10.0
"""After so long a charger gives up; real ones wait thirty."""

CARDS = {"ALWAYS": "W", "ALLOWED": "A", "ALLOWED_OFFLINE": "O", "NEVER": "N"}
"""Prefix of the cards of each whitelist."""

ASKED = {"W": "Accepted", "A": "Accepted", "O": "Accepted", "N": "Accepted", "X": "Invalid"}
"""What chargers hear where the partner can be asked; nobody knows the cards that begin with X."""

POLICY = {**ASKED, "N": "Invalid"}
"""... where it cannot: its word alone counts for a card of NEVER, and there is none."""

BODY = "[charging]\nask_partners_about_unknown_tokens = true\n"


async def measure(report: Report, scale: Scale) -> None:
    """Let all chargers ask at the same moment, again and again, each about a card of its own."""
    report.chapter(f"Authorize with a partner, {CHARGERS} chargers at once, five kinds of cards")
    turns = 1 if scale.quick else 4
    async with _scene(scale, turns + 3) as (load, emsp):
        await emsp("fail", kind="slow", module="tokens", method="POST", seconds=AWAY_SECONDS)
        away = [await _all(load, ASKED, turn) for turn in range(turns)]
        await emsp("behave")
        await emsp("asked")
        await emsp("fail", kind="blackhole", module="tokens", method="POST")
        first = await _all(load, POLICY, turns)
        await asyncio.sleep(4.0)  # until those questions are given up
        before = (await emsp("asked"))["asked"]
        known = await _all(load, POLICY, turns + 1)
        probes = (await emsp("asked"))["asked"]
        await emsp("behave")
        back = await _back(load, turns + 2)
    _tell(report, f"p99, partner {AWAY_SECONDS * 1e3:.0f} ms away", away, 1.0)
    _tell(report, "p99, partner has just died", [first], 2.0, f"{before} questions")
    _tell(report, "p99, partner is known to be dead", [known], 0.5, f"{probes} questions")
    report.add(Figure("until its word counts again", back, "s", Bound.AT_MOST, 1.0))
    lost = [tag for each in (*away, first, known) for tag in each["timed_out"]]
    report.add(
        Figure("chargers that timed out", len(lost), "", Bound.AT_MOST, 0, note=", ".join(lost[:5]))
    )


@asynccontextmanager
async def _scene(scale: Scale, turns: int) -> AsyncIterator[tuple[servers.Load, servers.Obedient]]:
    body = BODY + config.network({"D": CHARGERS}, locations=20)
    with servers.cms(scale.folder / "decisions", body) as cms:
        async with servers.load() as load, servers.obedient("emsp") as emsp:
            for whitelist, prefix in CARDS.items():
                await emsp("tokens", prefix=prefix, count=CHARGERS * turns, whitelist=whitelist)
            partner = {"id": PARTNER, "name": "Far away", "allow_private_addresses": True}
            invitation = await asyncio.to_thread(cms.post, "/api/v1/partners", partner)
            await emsp("register", url=invitation["url"], token=invitation["token"])
            await load(
                "connect", group="all", first=0, count=CHARGERS, port=cms.ocpp_port, prefix="D"
            )
            await _pulled(cms)
            yield load, emsp


async def _all(load: servers.Load, kinds: dict[str, str], turn: int) -> dict[str, Any]:
    return await load("authorize", group="all", kinds=kinds, turn=turn, timeout=TIMEOUT_SECONDS)


async def _pulled(cms: servers.Cms) -> None:
    """Wait until our copy of the partner's tokens is whole."""
    async with asyncio.timeout(30):
        while True:
            shown = json.loads(await asyncio.to_thread(cms.get, f"/api/v1/partners/{PARTNER}"))
            if shown["health"]["tokens_pulled_to"] is not None:
                return
            await asyncio.sleep(0.2)


async def _back(load: servers.Load, turn: int) -> float:
    """Return after how many seconds a card is accepted that only the partner can accept."""
    begun = time.monotonic()
    card = {"N": ASKED["N"]}
    while time.monotonic() - begun < TIMEOUT_SECONDS:
        told = await load(
            "authorize", group="all", kinds=card, turn=turn, timeout=TIMEOUT_SECONDS, first=1
        )
        if not told["errors"]:
            break
        await asyncio.sleep(0.05)
    return time.monotonic() - begun


def _tell(
    report: Report, name: str, found: list[dict[str, Any]], target: float, note: str = ""
) -> None:
    wrong = sum(each["errors"] for each in found)
    worst = max(each["max_ms"] for each in found)
    rounds = f"median of {len(found)} rounds, " * (len(found) > 1)
    report.add(
        Figure(
            name,
            median([each["p99_ms"] for each in found]) / 1e3,
            "s",
            Bound.AT_MOST,
            target,
            note=f"{rounds}longest {worst / 1e3:.2f} s{'; ' * bool(note)}{note}",
            doubt=f"{wrong} wrong answers" * bool(wrong),
            detail={"rounds": found},
        )
    )
