"""What ``cms demo --hub`` finds when something of one provider reached another."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import aiohttp
import pytest

from cms.cli.hub_demonstration import PARTS, Provider, Scene, _leaks
from cms.cli.stage import Places
from simulators.emsp import Arrival, Emsp
from simulators.emsp.wire import now
from simulators.hub import Hub, Passage
from simulators.ledger import Ledger

MINE, OTHERS = "S-MINE", "S-OTHERS"
OURS: list[dict[str, Any]] = [
    {"kind": "session", "id": MINE, "partner": "IN*AAA"},
    {"kind": "session", "id": OTHERS, "partner": "IN*BBB"},
    {"kind": "cdr", "id": "C-MINE", "session_id": MINE, "partner": "IN*AAA"},
    {"kind": "cdr", "id": "C-OTHERS", "session_id": OTHERS, "partner": "IN*BBB"},
]


def scene() -> tuple[Scene, Provider]:
    """AAA has its own session and bill, and asked for all."""
    provider = Provider(PARTS[0], Emsp(party_id="AAA"))
    provider.emsp.store.sessions["IN", "CPO", MINE] = {"id": MINE}
    provider.pulled = {"sessions": {MINE}, "cdrs": {"C-MINE"}}
    places = Places(Path(), 1, 2)
    http = cast(aiohttp.ClientSession, None)
    found = Scene(places, http, [Hub()], {"IN*AAA": provider}, [], Ledger())
    return found, provider


def arrival(module: str, id: str) -> Arrival:
    return Arrival("PUT", module, f"/{module}/IN/CPO/{id}", id, now(), 0.0, {})


def passage(id: str) -> Passage:
    body = {"id": "C-OTHERS", "session_id": id}
    return Passage("direct", "POST", "cdrs", "", "IN*CPO", "IN*AAA", body, None)


WAYS: dict[str, Callable[[Scene, Provider], None]] = {
    "a copy": lambda _, p: p.emsp.store.sessions.update({("IN", "CPO", OTHERS): {"id": OTHERS}}),
    "a push": lambda _, p: p.emsp.arrivals.append(arrival("sessions", OTHERS.lower())),
    "a list": lambda _, p: p.pulled["cdrs"].add("C-OTHERS"),
    "the hub": lambda s, _: s.hubs[0].passages.append(passage(OTHERS)),
}


def test_what_is_ones_own_is_no_leak() -> None:
    found, provider = scene()
    assert list(_leaks(found, provider, {MINE}, OURS)) == []


@pytest.mark.parametrize("way", WAYS)
def test_each_way_in_which_a_session_of_another_can_be_seen_is_found(way: str) -> None:
    found, provider = scene()
    WAYS[way](found, provider)
    assert len(list(_leaks(found, provider, {MINE}, OURS))) == 1


def test_a_session_that_we_took_for_the_wrong_providers_is_found() -> None:
    found, provider = scene()
    wrong = [{**each, "partner": "IN*AAA"} for each in OURS]
    assert len(list(_leaks(found, provider, {MINE}, wrong))) == 2
