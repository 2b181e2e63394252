"""O07: what belongs to one partner is never shown to, pushed to or changed by another."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from simulators.emsp import Answer, Emsp
from tests.conformance.ocpi.hubs import HUB, MEMBERS, Hub, client, hub, token_of
from tests.conformance.ocpi.world import Heard
from tests.harness.charger import Json, plugged, stamp, start16, status16, stop16
from tests.harness.network import CARD, Network
from tests.harness.partners import registered, share
from tests.harness.server import Server, serving
from tests.harness.standing import living
from tests.reliability.conftest import Judge

pytestmark = [
    pytest.mark.reliability,
    pytest.mark.xdist_group("reliability"),
    pytest.mark.timeout(180),
]

CARDS = {"EMP": range(3), "OTH": range(3, 6)}


@dataclass(slots=True)
class Owner:
    """A partner and everything that is its own.

    Attributes:
        marks: texts that may be read by nobody else.
    """

    emsp: Emsp
    cards: range
    running: str = ""
    sessions: list[str] = field(default_factory=list)
    cdrs: list[str] = field(default_factory=list)

    @property
    def party(self) -> str:
        return f"{self.emsp.us.country_code}*{self.emsp.us.party_id}"

    @property
    def marks(self) -> list[str]:
        cards = [CARD.format(number=number) for number in self.cards]
        return [*cards, *self.sessions, *self.cdrs]

    def learn(self, ledger: list[Json]) -> None:
        mine = [line for line in ledger if line.get("partner") == self.party]
        self.sessions = [line["id"] for line in mine if line["kind"] == "session"]
        self.cdrs = [line["id"] for line in mine if line["kind"] == "cdr"]
        self.running = next(
            line["id"] for line in mine if line["kind"] == "session" and line["ended_at"] is None
        )


Cell = tuple[str, str, Any]
"""Method, URL, body."""


def cells(asker: Owner, owner: Owner) -> Iterator[Cell]:
    """Every request that *asker* can make about what is *owner*'s, reading and writing."""
    ends = asker.emsp.connection.endpoints
    lists = [("sessions", "SENDER"), ("cdrs", "SENDER"), ("locations", "SENDER")]
    lists.append(("tariffs", "SENDER"))
    for key in lists:
        yield "GET", f"{ends[key]}?limit=50", None
        yield "GET", f"{ends[key]}?date_from=2020-01-01T00:00:00Z&offset=0&limit=1", None
    for session in owner.sessions:
        yield "GET", f"{ends['sessions', 'SENDER']}/{session}", None
        yield "PUT", f"{ends['sessions', 'SENDER']}/{session}/charging_preferences", _preferences()
    for cdr in owner.cdrs:
        yield "GET", f"{ends['cdrs', 'SENDER']}/{cdr}", None
    yield from _token_cells(ends["tokens", "RECEIVER"], owner)
    yield from _command_cells(ends["commands", "RECEIVER"], asker, owner)


def _preferences() -> Json:
    return {"profile_type": "FAST"}


def _token_cells(base: str, owner: Owner) -> Iterator[Cell]:
    us = owner.emsp.us
    for number in owner.cards:
        uid = CARD.format(number=number)
        url = f"{base}/{us.country_code}/{us.party_id}/{uid}?type=RFID"
        token = owner.emsp.tokens.held[uid, "RFID"]
        yield "GET", url, None
        yield "PUT", url, {**token, "valid": False}
        yield "PATCH", url, {"valid": False, "last_updated": stamp()}


def _command_cells(base: str, asker: Owner, owner: Owner) -> Iterator[Cell]:
    reply = f"{asker.emsp.url('commands')}/X/1"
    yield "POST", f"{base}/STOP_SESSION", {"response_url": reply, "session_id": owner.running}
    token = owner.emsp.tokens.held[CARD.format(number=owner.cards[2]), "RFID"]
    start = {"response_url": reply, "token": token, "location_id": "SITE-0"}
    evse = f"FLEET-{owner.cards[2]:05d}-1"
    yield "POST", f"{base}/START_SESSION", {**start, "evse_uid": evse}


async def asked(asker: Owner, cell: Cell, token: str | None = None) -> Answer:
    method, url, body = cell
    return await asker.emsp.client.request(method, url, body, token=token)


def allowed(asker: Owner, owner: Owner, cell: Cell, answer: Answer) -> bool:
    """Whether *answer* gives *asker* nothing of *owner*'s, and did nothing for it."""
    method, url, _ = cell
    said = str(answer.data) + str(dict(answer.headers))
    if any(mark in said for mark in owner.marks):
        return False
    return (
        not answer.ok
        or (method == "GET" and "?" in url and "tokens" not in url)
        or ("commands" in url and (answer.data or {}).get("result") != "ACCEPTED")
    )


async def charged(network: Network, number: int, *, stops: bool) -> None:
    tag = CARD.format(number=number)
    async with plugged(network, number) as charger:
        answer = await charger.call("StartTransaction", start16(tag, 1_000, stamp(minutes=5)))
        if stops:
            await charger.call("StopTransaction", stop16(answer["transactionId"], 1_500, stamp()))


async def test_o07_no_partner_sees_or_changes_what_is_anothers(
    tmp_path: Path, scenario: Judge
) -> None:
    network = Network(tmp_path, chargers=6, own_cards=False)
    with scenario("O07", mutant="push-to-all-partners") as this:
        leaks = strangers = pushed = changed = 0
        async with serving(network) as server:
            async with (
                registered(server, "EMP", cards=CARDS["EMP"]) as one,
                registered(server, "OTH", cards=CARDS["OTH"]) as two,
            ):
                owners = [Owner(one, CARDS["EMP"]), Owner(two, CARDS["OTH"])]
                for owner in owners:
                    await charged(network, owner.cards[0], stops=True)
                    await charged(network, owner.cards[1], stops=False)
                for owner in owners:
                    await owner.emsp.wait_for(lambda e=owner.emsp: e.store.cdrs, 20)
                    await owner.emsp.wait_for(lambda e=owner.emsp: len(e.store.sessions) > 1, 20)
                    owner.learn(await server.ledger())
                before = _facts(await server.ledger())
                for asker, owner in (owners, owners[::-1]):
                    for cell in cells(asker, owner):
                        answer = await asked(asker, cell)
                        this.n += 1
                        if not allowed(asker, owner, cell, answer):
                            leaks += 1
                            this.wrong(asker.party, cell, answer)
                        stranger = await asked(asker, cell, token="nobody-knows-this-token")
                        this.n += 1
                        strangers += stranger.http != 401
                for asker, owner in (owners, owners[::-1]):
                    told = _pushed_to(asker.emsp)
                    found = [mark for mark in owner.marks if mark in told]
                    pushed += len(found)
                    this.wrong(*found)
                changed += before != _facts(await server.ledger())
                for owner in owners:  # their tokens still open chargers
                    async with plugged(network, owner.cards[2]) as charger:
                        tag = CARD.format(number=owner.cards[2])
                        answer16 = await charger.call("Authorize", {"idTag": tag})
                        changed += answer16["idTagInfo"]["status"] != "Accepted"
            this.figure("leaks", leaks)
            this.figure("pushed_to_others", pushed)
            this.figure("strangers_not_401", strangers)
            this.figure("changed_by_others", changed)
            await living(this, server)


# -- behind one hub's token


@dataclass(slots=True)
class Member:
    """A provider behind a hub and everything that is its own."""

    party: str
    number: int
    running: str = ""
    bill: str = ""

    @property
    def cards(self) -> list[str]:
        return [f"HUB{self.number}DONE", f"HUB{self.number}RUNS"]

    @property
    def marks(self) -> list[str]:
        return [*self.cards, self.running, self.bill]


def hub_cells(new: Hub, owner: Member) -> Iterator[Cell]:
    """Every request that another provider behind the hub can make about what is *owner*'s."""
    since = "date_from=2020-01-01T00:00:00Z"
    for path in (f"/sessions?{since}", "/cdrs", f"/cdrs?{since}&limit=1", "/locations", "/tariffs"):
        yield "GET", path, None
    yield "GET", f"/sessions/{owner.running}", None
    yield "GET", f"/cdrs/{owner.bill}", None
    yield "PUT", f"/sessions/{owner.running}/charging_preferences", _preferences()
    for card in owner.cards:
        path = f"/tokens/{owner.party.replace('*', '/')}/{card}"
        yield "GET", path, None
        yield "PUT", path, {**token_of(owner.party, card), "valid": False}
        yield "PATCH", path, {"valid": False, "last_updated": stamp()}
    stop = {"response_url": f"{new.base}/commands/X/1", "session_id": owner.running}
    yield "POST", "/commands/STOP_SESSION", stop
    start = {**stop, "token": token_of(owner.party, owner.cards[0]), "location_id": "SITE-0"}
    yield "POST", "/commands/START_SESSION", start


def harmless(owner: Member, cell: Cell, heard: Heard) -> bool:
    """Whether the answer gives nothing of *owner*'s away, and nothing was done."""
    method, path, _ = cell
    if any(mark in str(heard.data) for mark in owner.marks):
        return False
    listed = method == "GET" and path.split("?")[0].count("/") == 1
    commanded = "commands" in path and (heard.data or {}).get("result") != "ACCEPTED"
    return heard.code != 1000 or listed or commanded


async def hub_charged(network: Network, member: Member) -> None:
    done, runs = member.cards
    async with plugged(network, member.number * 2) as charger:
        begun = await charger.call("StartTransaction", start16(done, 1_000, stamp(minutes=5)))
        await charger.call("StopTransaction", stop16(begun["transactionId"], 1_500, stamp()))
    async with plugged(network, member.number * 2 + 1) as charger:
        await charger.call("StartTransaction", start16(runs, 1_000, stamp(minutes=5)))


async def hub_joined(server: Server, new: Hub, members: list[Member]) -> None:
    new.clients = [client(each.party, "CONNECTED") for each in members]
    new.tokens = [token_of(each.party, card) for each in members for card in each.cards]
    body = {"id": HUB, "name": "A Hub", "hub": True, "allow_private_addresses": True}
    async with server.api() as api:
        invitation = await api.post("/partners", body)
    heard = await new.register(invitation["url"].removesuffix("/versions"), invitation["token"])
    assert heard.code == 1000, heard.envelope
    last = f"/tokens/{members[-1].party.replace('*', '/')}/{members[-1].cards[-1]}"
    async with asyncio.timeout(20):
        while (await new.call(members[-1].party, "GET", last)).code != 1000:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_o07_no_provider_behind_a_hub_sees_or_changes_what_is_anothers(
    tmp_path: Path, scenario: Judge
) -> None:
    members = [Member(party, number) for number, party in enumerate(MEMBERS)]
    network = Network(tmp_path, chargers=6, own_cards=False)
    with scenario("O07b", mutant="headers-say-nothing") as this:
        leaks = pushed = 0
        async with serving(network) as server, hub() as new:
            await hub_joined(server, new, members)
            for each in members:
                await hub_charged(network, each)
            await new.until(lambda: len(new.pushed("cdrs")) == 3, 30)
            await new.until(lambda: len({a.path for a in new.pushed("sessions")}) == 6, 30)
            for each in members:
                [bill] = new.pushed("cdrs", to=each.party)
                puts = [a.body for a in new.pushed("sessions", to=each.party)]
                each.bill = bill.body["id"]
                each.running = next(a["id"] for a in puts if _runs(a))
            before = _facts(await server.ledger())
            for asker in members:
                for owner in members:
                    if owner is asker:
                        continue
                    for cell in hub_cells(new, owner):
                        heard = await new.call(asker.party, *cell)
                        this.n += 1
                        if not harmless(owner, cell, heard):
                            leaks += 1
                            this.wrong(asker.party, cell, heard.envelope)
                    told = [str(a.body) + a.path for a in new.arrivals if a.to == asker.party]
                    pushed += sum(mark in text for mark in owner.marks for text in told)
            this.figure("leaks_behind_a_hub", leaks)
            this.figure("pushed_to_others_behind_a_hub", pushed)
            this.figure("changed_behind_a_hub", int(before != _facts(await server.ledger())))
            await living(this, server)


# -- what is shared

SHARED: Json = {"sites": ["SITE-0"], "status": "hidden"}
UNSHARED = ("SITE-1", "SITE-2", "FLEET-00001", "FLEET-00002", "E000011", "E000021")
STATUSES = ("AVAILABLE", "BLOCKED", "CHARGING", "INOPERATIVE", "OUTOFORDER", "RESERVED")
ABLE = ("REMOTE_START_STOP_CAPABLE", "RESERVABLE", "UNLOCK_CAPABLE")


def shared_cells(asker: Emsp) -> Iterator[Cell]:
    """Every way to ask for places, and for something to be done at one that is not shared."""
    ends = asker.connection.endpoints
    places = ends["locations", "SENDER"]
    for query in ("limit=50", "offset=0&limit=1", "offset=1&limit=1", "date_from=2020-01-01"):
        yield "GET", f"{places}?{query}", None
    for path in ("SITE-0", "SITE-0/FLEET-00000-1", "SITE-1", "SITE-1/FLEET-00001-1"):
        yield "GET", f"{places}/{path}", None
    yield "GET", f"{places}/SITE-0/FLEET-00001-1", None
    place = {"location_id": "SITE-1", "evse_uid": "FLEET-00001-1"}
    order = {"response_url": f"{asker.url('commands')}/X/1", "token": _own_token(asker)}
    yield "POST", f"{ends['commands', 'RECEIVER']}/START_SESSION", order | place
    held = {"expiry_date": "2099-01-01T00:00:00Z", "reservation_id": "R1"}
    yield "POST", f"{ends['commands', 'RECEIVER']}/RESERVE_NOW", order | place | held
    unlock = {"response_url": order["response_url"], **place, "connector_id": "1"}
    yield "POST", f"{ends['commands', 'RECEIVER']}/UNLOCK_CONNECTOR", unlock


def _own_token(asker: Emsp) -> Json:
    return next(iter(asker.tokens.held.values()))


def discreet(cell: Cell, answer: Answer) -> bool:
    """Whether an answer tells of no place that is not shared, and did nothing there."""
    said = str(answer.data)
    total = int(answer.headers.get("X-Total-Count", 1))
    done = cell[0] == "POST" and answer.ok and (answer.data or {}).get("result") == "ACCEPTED"
    return total == 1 and not done and not any(mark in said for mark in UNSHARED)


def _places_told(emsp: Emsp) -> str:
    return "\n".join(str(each.body) for each in emsp.pushes("locations"))


def _tells(emsp: Emsp, evse: str, status: str) -> bool:
    return any(
        each.get("uid") == evse and each.get("status") == status
        for site in emsp.store.locations.values()
        for each in site["evses"]
    )


async def test_o07_a_partner_learns_of_nothing_that_is_not_shared_with_it(
    tmp_path: Path, scenario: Judge
) -> None:
    network = Network(tmp_path, chargers=3, own_cards=False, per_site=1, capabilities=ABLE)
    with scenario("O07c", mutant="ignores-what-is-shared") as this:
        leaks = statuses = 0
        async with serving(network) as server:
            async with (
                registered(server, "EMP", sharing=SHARED) as guest,
                registered(server, "OTH", cards=range(3)) as friend,
            ):
                card = guest.tokens.add("GUEST-CARD", whitelist="NEVER")
                assert (await guest.push_token(card)).code == 1000
                async with plugged(network, 0) as here, plugged(network, 1) as there:
                    for number, charger in enumerate((here, there)):
                        tag = CARD.format(number=number)
                        begun = start16(tag, 1_000, stamp(minutes=5))
                        await charger.call("StartTransaction", begun)
                        await charger.call("StatusNotification", status16("Charging"))
                    for evse in ("FLEET-00000-1", "FLEET-00001-1"):  # so it could be told
                        await friend.wait_for(lambda e=evse: _tells(friend, e, "CHARGING"), 20)
                    for cell in shared_cells(guest):
                        answer = await guest.client.request(*cell)
                        this.n += 1
                        shown = [each for each in STATUSES if f"'{each}'" in str(answer.data)]
                        statuses += cell[0] == "GET" and bool(shown)
                        leaks += not discreet(cell, answer)
                        if shown or not discreet(cell, answer):
                            this.wrong(cell, answer)
                    await there.call("Authorize", {"idTag": "GUEST-CARD"})
                async with server.api() as api:
                    site = network.topology()["locations"][0] | {"id": "SITE-9"}
                    await api.put("/sites/SITE-9", site)
                    await friend.wait_for(lambda: "SITE-9" in _places_told(friend), 20)
                    early = "SITE-9" in _pushed_to(guest)
                    await share(api, "IN*EMP", {**SHARED, "sites": ["SITE-0", "SITE-9"]})
                # What is told in order ends with this:
                await guest.wait_for(lambda: "SITE-9" in _places_told(guest), 20)
                asked = [each.uid for each in guest.tokens.asked]
                told, places = _pushed_to(guest), _places_told(guest)
                this.wrong(*(mark for mark in UNSHARED if mark in told))
                this.figure("unshared_told_when_asked", leaks)
                this.figure("unshared_pushed", early + sum(mark in told for mark in UNSHARED))
                this.figure("statuses_told_when_asked", statuses)
                this.figure("statuses_pushed", sum(f"'{each}'" in places for each in STATUSES))
                this.figure("card_not_asked_about", int(asked != ["GUEST-CARD"]))
                this.figure("sites_kept_from_all", 4 - len(friend.store.locations))
            await living(this, server)


def _runs(session: Json) -> bool:
    uid: str = session["cdr_token"]["uid"]
    return uid.endswith("RUNS")


def _facts(ledger: list[Json]) -> list[Json]:
    return [line for line in ledger if line["kind"] in ("session", "cdr")]


def _pushed_to(emsp: Emsp) -> str:
    """Everything that ever reached this partner, as text."""
    return "\n".join(f"{a.path} {a.body} {a.headers}" for a in emsp.arrivals)
