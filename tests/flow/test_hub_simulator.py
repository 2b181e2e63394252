"""The simulated hub between simulated partners and a tiny CPO."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from simulators.emsp import Emsp, Fault, Kind, Script
from simulators.emsp.client import routing
from simulators.emsp.connection import Party
from simulators.hub import Hub, Mode
from tests.flow.test_emsp_simulator import Json, TinyCpo, example

CPO = Party("BE", "BEC")
ANN, BOB = Party("IN", "ANN"), Party("IN", "BOB")


@dataclass
class HubCpo(TinyCpo):
    """The tiny CPO with a hub as its partner."""

    async def look_at(self, versions_url: str) -> None:
        versions = await self.call("GET", versions_url, functional=False)
        details = await self.call("GET", versions["data"][0]["url"], functional=False)
        mine = {
            each["identifier"]: each["url"]
            for each in details["data"]["endpoints"]
            if each["role"] == ("SENDER" if each["identifier"] == "tokens" else "RECEIVER")
            or each["identifier"] == "credentials"
        }
        self.partner = mine

    async def say(
        self, method: str, path: str, body: Any = None, to: Party | None = None, **more: str
    ) -> tuple[Json, dict[str, str]]:
        """One request through the hub, for *to*: envelope and headers."""
        module, _, rest = path.partition("/")
        url = f"{self.partner[module]}/{rest}".rstrip("/")
        headers = {**routing(sender=CPO, receiver=to), **more}
        _, text, found = await self.send(method, url, body, functional=False, **headers)
        return json.loads(text), dict(found)  # type: ignore[arg-type]


@dataclass
class Network:
    """A CPO and two partners around a hub."""

    hub: Hub
    cpo: HubCpo
    ann: Emsp
    bob: Emsp


@asynccontextmanager
async def network(profile: str = "spec", **more: Any) -> AsyncIterator[Network]:
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        http = await enter(aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)))
        cpo = HubCpo(http)
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", cpo.serve)
        runner = web.AppRunner(app, shutdown_timeout=0.2)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        cpo.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        hub = await enter(Hub(profile=profile, **more))
        await cpo.register_at(hub)  # type: ignore[arg-type]
        found = [await enter(Emsp(party_id=each.party_id)) for each in (ANN, BOB)]
        for each in found:
            await each.register(hub.versions_url, hub.hand_out_token())
            if hub.profile.client_info:
                await each.meet()
        await hub.quiet()
        yield Network(hub, cpo, *found)


@pytest.fixture
async def net() -> AsyncIterator[Network]:
    async with network() as found:
        yield found


def session_of(party: Party, id: str = "S1") -> Json:
    found = example(
        "session_example_2_short_finished.json", country_code="BE", party_id="BEC", id=id
    )
    token = {**found["cdr_token"], "country_code": party.country_code, "party_id": party.party_id}
    return {**found, "cdr_token": token}


LOCATION = example("location_example.json")


# -- one party, and no other ---------------------------------------------------------------------


async def test_session_reaches_the_party_in_its_headers_and_nobody_else(net: Network) -> None:
    body, headers = await net.cpo.say("PUT", "sessions/BE/BEC/S1", session_of(ANN), ANN)

    assert body["status_code"] == 1000
    assert headers["OCPI-from-party-id"] == "ANN" and headers["OCPI-to-party-id"] == "BEC"
    assert list(net.ann.store.sessions) == [("BE", "BEC", "S1")]
    assert (net.bob.store.sessions, net.bob.pushes("sessions")) == ({}, [])
    assert [each.receiver for each in net.hub.passed("sessions")] == ["IN*ANN"]
    assert (net.hub.complaints, net.ann.complaints) == ([], [])


async def test_session_addressed_to_another_partys_driver_is_called_a_leak(net: Network) -> None:
    await net.cpo.say("PUT", "sessions/BE/BEC/S1", session_of(ANN), BOB)

    assert [each.field for each in net.hub.complaints] == ["cdr_token"]
    assert [each.field for each in net.bob.complaints] == ["cdr_token"]


async def test_session_is_never_broadcast(net: Network) -> None:
    body, _ = await net.cpo.say("PUT", "sessions/BE/BEC/S1", session_of(ANN), net.hub.us)

    assert body["status_code"] == 2001
    assert net.ann.pushes("sessions") == net.bob.pushes("sessions") == []


async def test_correlation_id_stays_and_request_id_is_new_on_each_hop(net: Network) -> None:
    _, headers = await net.cpo.say("PUT", "sessions/BE/BEC/S1", session_of(ANN), ANN)

    there = net.ann.pushes("sessions")[0].headers
    assert there["X-Correlation-ID"] == headers["X-Correlation-ID"] == "c1"
    assert headers["X-Request-ID"] == "r1" and there["X-Request-ID"] != "r1"


async def test_stranger_in_the_from_headers_is_refused(net: Network) -> None:
    stranger = routing(sender=BOB, receiver=ANN)
    body, _ = await net.cpo.say("PUT", "sessions/BE/BEC/S1", session_of(ANN), ANN, **stranger)

    assert body["status_code"] == 2001 and net.ann.pushes("sessions") == []


# -- what only a hub answers ---------------------------------------------------------------------


async def test_unknown_receiver_is_4001_with_swapped_headers(net: Network) -> None:
    nobody = Party("IN", "NIX")
    body, headers = await net.cpo.say("PUT", "sessions/BE/BEC/S1", session_of(nobody), nobody)

    assert body["status_code"] == 4001
    assert (headers["OCPI-from-party-id"], headers["OCPI-to-party-id"]) == ("NIX", "BEC")


async def test_silent_receiver_is_4002() -> None:
    async with network(timeout=0.2) as net:
        net.ann.faults.add(Fault(Kind.BLACKHOLE, "sessions"))
        body, _ = await net.cpo.say("PUT", "sessions/BE/BEC/S1", session_of(ANN), ANN)

    assert body["status_code"] == 4002


@pytest.mark.parametrize("status", ["OFFLINE", "PLANNED", "SUSPENDED"])
async def test_receiver_that_is_not_connected_is_4003_and_hears_nothing(
    net: Network, status: str
) -> None:
    net.hub.status("IN*ANN", status)
    body, _ = await net.cpo.say("PUT", "sessions/BE/BEC/S1", session_of(ANN), ANN)

    assert body["status_code"] == 4003 and net.ann.pushes("sessions") == []


# -- to all, and from all ------------------------------------------------------------------------


async def test_broadcast_reaches_every_connected_partner_from_the_hub(net: Network) -> None:
    net.hub.plan("IN*NEW")
    body, _ = await net.cpo.say("PUT", "locations/BE/BEC/LOC1", LOCATION, net.hub.us)
    await net.hub.quiet()

    assert body["status_code"] == 1000
    for emsp in (net.ann, net.bob):
        assert list(emsp.store.locations) == [("BE", "BEC", "LOC1")]
        assert emsp.pushes("locations")[0].headers["OCPI-from-party-id"] == "HUB"
    assert net.hub.complaints == net.ann.complaints == []


async def test_partners_token_is_broadcast_to_the_cpo(net: Network) -> None:
    answer = await net.ann.push_token(net.ann.tokens.add("CARD1"))
    await net.hub.quiet()

    assert answer.ok
    paths = [path for method, path, _ in net.cpo.got if method == "PUT" and "/tokens/" in path]
    assert paths == ["/x/tokens/IN/ANN/CARD1"]
    assert next(to for path, to in net.cpo.seen if path == paths[0])["OCPI-from-party-id"] == "HUB"


async def test_list_of_all_tokens_comes_from_every_partner_page_by_page(net: Network) -> None:
    for number in range(30):
        net.ann.tokens.add(f"A{number}")
        net.bob.tokens.add(f"B{number}")
    first, headers = await net.cpo.say("GET", "tokens", to=net.hub.us)

    assert (len(first["data"]), headers["X-Total-Count"]) == (50, "60")
    url = headers["Link"].split("<")[1].split(">")[0]
    asked = routing(sender=CPO, receiver=net.hub.us)
    _, text, _ = await net.cpo.send("GET", url, functional=False, **asked)
    assert {each["uid"] for each in first["data"] + json.loads(text)["data"]} == {
        f"{letter}{number}" for letter in "AB" for number in range(30)
    }


async def test_open_authorisation_finds_who_knows_the_card(net: Network) -> None:
    net.bob.tokens.add("BOBS")
    net.bob.tokens.scripts["BOBS"] = Script("NO_CREDIT")
    url = f"{net.cpo.partner['tokens']}/BOBS/authorize"
    _, text, headers = await net.cpo.send(
        "POST", url, functional=False, **routing(sender=CPO, receiver=None)
    )

    assert json.loads(text)["data"]["allowed"] == "NO_CREDIT"
    assert headers["OCPI-from-party-id"] == "BOB"  # type: ignore[index, call-overload]


# -- commands ------------------------------------------------------------------------------------


async def test_command_goes_through_and_its_result_comes_back_through_the_hub(
    net: Network,
) -> None:
    await net.cpo.say("PUT", "locations/BE/BEC/LOC1", LOCATION, net.hub.us)
    await net.hub.quiet()
    net.cpo.results = ()
    command = await net.ann.start_session("LOC1", "3256", token=net.ann.tokens.add("APP"))
    sent = next(body for _, path, body in net.cpo.got if path == "/x/commands/START_SESSION")
    assert command.answer == "ACCEPTED"
    assert sent["response_url"].startswith(net.hub.base_url)

    asked = routing(sender=CPO, receiver=ANN)
    done = {"result": "ACCEPTED"}
    await net.cpo.send("POST", sent["response_url"], done, functional=False, **asked)
    assert await command.result() == "ACCEPTED"
    assert net.bob.pushes("commands") == [] and net.ann.complaints == net.hub.complaints == []


# -- client info ---------------------------------------------------------------------------------


async def test_status_of_a_party_is_listed_and_pushed_on_change(net: Network) -> None:
    net.hub.status("BE*BEC", "OFFLINE")
    await net.hub.quiet()

    for emsp in (net.ann, net.bob):
        assert emsp.connection.clients["BE", "BEC", "CPO"]["status"] == "OFFLINE"
        assert not emsp.connection.owns("BE", "BEC")
    net.hub.status("BE*BEC", "CONNECTED")
    await net.hub.quiet()
    assert net.ann.connection.owns("BE", "BEC") and net.ann.complaints == []


async def test_partner_that_leaves_is_suspended(net: Network) -> None:
    assert (await net.bob.unregister()).ok
    await net.hub.quiet()

    assert net.ann.connection.clients["IN", "BOB", "EMSP"]["status"] == "SUSPENDED"


# -- misbehaving on purpose ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "http", "code"),
    [
        (Mode.REJECT, 200, 2000),
        (Mode.RATE_LIMIT, 429, 2000),
        (Mode.RANDOM_500, 500, 3000),
        (Mode.AUTH_FAIL, 401, 2000),
    ],
)
async def test_each_refusal_is_seen_and_ends_when_told(
    net: Network, mode: Mode, http: int, code: int
) -> None:
    trouble = net.hub.trouble(mode, module="sessions", rate=1.0, seconds=2)
    url = f"{net.cpo.partner['sessions']}/BE/BEC/S1"
    asked = routing(sender=CPO, receiver=ANN)
    status, text, headers = await net.cpo.send(
        "PUT", url, session_of(ANN), functional=False, **asked
    )

    assert (status, json.loads(text)["status_code"], trouble.hits) == (http, code, 1)
    assert ("Retry-After" in headers) is (mode is Mode.RATE_LIMIT)  # type: ignore[operator]
    assert net.ann.pushes("sessions") == []
    net.hub.heal()
    body, _ = await net.cpo.say("PUT", "sessions/BE/BEC/S1", session_of(ANN), ANN)
    assert body["status_code"] == 1000


async def test_dead_hub_cuts_connections_and_calls_nobody(net: Network) -> None:
    net.hub.trouble(Mode.DEAD)
    with pytest.raises(aiohttp.ClientError):
        await net.cpo.say("PUT", "sessions/BE/BEC/S1", session_of(ANN), ANN)

    assert net.ann.pushes("sessions") == []


async def test_partial_hub_reaches_the_first_partner_only(net: Network) -> None:
    net.hub.trouble(Mode.PARTIAL)
    await net.cpo.say("PUT", "locations/BE/BEC/LOC1", LOCATION, net.hub.us)
    await net.hub.quiet()

    assert len(net.ann.store.locations) + len(net.bob.store.locations) == 1


async def test_stressed_pages_still_hold_everything(net: Network) -> None:
    net.hub.trouble(Mode.PAGINATION_STRESS)
    net.cpo.locations = [example("location_example.json", id=f"L{n}") for n in range(4)]

    found = await net.ann.pull("locations")

    assert [each["id"] for each in found] == ["L0", "L1", "L2", "L3"]


async def test_rate_limit_lets_its_share_through(net: Network) -> None:
    net.hub.trouble(Mode.RATE_LIMIT, module="locations", limit=2, seconds=60)
    codes = [
        (await net.cpo.say("PUT", "locations/BE/BEC/LOC1", LOCATION, net.hub.us))[0]["status_code"]
        for _ in range(3)
    ]

    assert codes == [1000, 1000, 2000]


# -- habits of real hubs -------------------------------------------------------------------------


async def test_one_hub_asks_the_cpo_by_put_and_limits_authorisations() -> None:
    async with network("chargeindia") as net:
        http, _ = await net.hub.ask_cpo("BE*BEC", net.ann.tokens.add("CARD"))
        assert http == 200
        assert net.cpo.got[-1][:2] == ("PUT", "/x/tokens/IN/ANN/CARD/authorize")
        asked = routing(sender=CPO, receiver=ANN)
        url = f"{net.cpo.partner['tokens']}/CARD/authorize"
        seen = [(await net.cpo.send("POST", url, functional=False, **asked))[0] for _ in range(101)]
        assert (seen.count(200), seen[-1]) == (100, 429)
        gone, _ = await net.cpo.say("DELETE", "tariffs/BE/BEC/T1", to=net.hub.us)
        assert gone["status_code"] == 2000


async def test_hub_with_quality_control_turns_an_impossible_bill_away() -> None:
    async with network("gireve") as net:
        cdr = example("cdr_example.json", total_energy=0, total_time=0)
        body, _ = await net.cpo.say("POST", "cdrs", cdr, ANN)
        assert (body["status_code"], net.ann.pushes("cdrs")) == (2001, [])


# -- the newer version ---------------------------------------------------------------------------


async def test_hub_of_2_3_0_lists_the_parties_behind_it_and_says_where_the_hub_is() -> None:
    async with (
        Hub(versions=("2.3.0",)) as hub,
        Emsp(party_id="ANN", version="2.3.0") as ann,
        Emsp(party_id="BOB", version="2.3.0") as bob,
    ):
        await ann.register(hub.versions_url, hub.hand_out_token())
        await bob.register(hub.versions_url, hub.hand_out_token())
        await hub.quiet()

        shown = hub.credentials(hub.directory.members[1], "2.3.0")
        assert [role["party_id"] for role in shown["roles"]] == ["ANN"]
        assert shown["hub_party_id"] == "INHUB"
        assert ann.connection.hub == bob.connection.hub == Party("IN", "HUB")
        assert hub.complaints == ann.complaints == bob.complaints == []
