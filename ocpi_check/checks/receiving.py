"""TK, CM, CF, HC: what a CPO takes from an eMSP, and how it refuses what it cannot take."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import quote

from ocpi_check.catalogue import MODERN, Checks, Phase, Skipped, demand
from ocpi_check.checks.transport import response_url
from ocpi_check.exchange import Exchange
from ocpi_check.ground import Ground, refused_with
from ocpi_check.wire import Json, join, now, stamp

check = Checks()
WRITING = Phase.WRITING
RESULTS = ("NOT_SUPPORTED", "REJECTED", "ACCEPTED", "UNKNOWN_SESSION")
NOWHERE = "NO-SUCH-LOCATION"

# -- tokens


async def token_request(
    on: Ground, method: str, body: Any = None, *, uid: str | None = None, query: str = ""
) -> Exchange:
    """A request to a token of ours."""
    country, party = on.us()
    url = join(on.url("tokens"), country, party, uid or on.token()["uid"])
    return await on.client.ask("tokens", method, url + query, body)


async def stored(on: Ground) -> Json:
    """Our test token as the other side has it; stored first if need be.

    Raises:
        Failed: it was not taken.
    """
    on.may_write()
    if "stored" not in on.memory:
        answer = await token_request(on, "PUT", on.token())
        on.memory["stored"] = answer
        demand(answer.ok, f"PUT of a new token was {answer.said}", answer)
    answer = await token_request(on, "GET")
    demand(
        answer.ok and isinstance(answer.data, dict),
        f"GET of a token that was PUT is {answer.said}",
        answer,
    )
    found: Json = answer.data
    return found


def without(body: Json, name: str) -> Json:
    return {key: value for key, value in body.items() if key != name}


@check("TK-01", "stores a token by PUT", phase=WRITING)
async def put_token(on: Ground) -> None:
    await stored(on)


@check("TR-13", "answers the first PUT with 201 and later ones with 200", "S", phase=WRITING)
async def created(on: Ground) -> None:
    await stored(on)
    before: Exchange = on.memory["stored"]
    demand(before.http == 201, f"the first PUT of a token was HTTP {before.http}", before)
    again = await token_request(on, "PUT", on.token())
    demand(again.http == 200 and again.ok, f"a second PUT was {again.said}", again)


@check("TK-05", "gives a stored token back, and 404 for an unknown one")
async def get_token(on: Ground) -> None:
    answer = await token_request(on, "GET", uid="NO-SUCH-TOKEN")
    demand(answer.http == 404, f"GET of an unknown token was {answer.said}", answer)
    if on.options.write and not on.options.registered:
        found, sent = await stored(on), on.token()
        different = [
            name
            for name, value in sent.items()
            if name != "last_updated" and found.get(name) != value
        ]
        answer = await token_request(on, "GET")
        demand(not different, f"{', '.join(different)} came back differently", answer)


@check(
    "TK-02",
    "knows tokens by uid and type: RFID unless the query says otherwise",
    phase=WRITING,
    versions=MODERN,
)
async def types(on: Ground) -> None:
    await stored(on)
    other = on.token(type="APP_USER", contract_id="CHECK-APP")
    answer = await token_request(on, "PUT", other, query="?type=APP_USER")
    demand(answer.ok, f"PUT of the same uid as APP_USER was {answer.said}", answer)
    card = await token_request(on, "GET")
    app = await token_request(on, "GET", query="?type=APP_USER")
    kinds = [each.data.get("type") if isinstance(each.data, dict) else None for each in (card, app)]
    demand(kinds == ["RFID", "APP_USER"], f"the two came back as {kinds}", card, app)
    gone = {**other, "valid": False, "last_updated": stamp(now())}
    await token_request(on, "PUT", gone, query="?type=APP_USER")


@check("TK-03", "demands last_updated in a PATCH", phase=WRITING, versions=MODERN)
async def patch_needs_time(on: Ground) -> None:
    await stored(on)
    refused_with(
        await token_request(on, "PATCH", {"valid": True}), what="a PATCH without last_updated"
    )


@check("TR-23", "merges a PATCH: what is absent stays", phase=WRITING)
async def patch_merges(on: Ground) -> None:
    before = await stored(on)
    change = {"visual_number": "CHECK-2", "last_updated": stamp(now())}
    answer = await token_request(on, "PATCH", change)
    demand(answer.ok, f"a PATCH was {answer.said}", answer)
    after = await stored(on)
    lost = [
        name for name, value in before.items() if name not in change and after.get(name) != value
    ]
    demand(not lost, f"the PATCH changed {', '.join(lost)} as well", answer)
    demand(after.get("visual_number") == "CHECK-2", "the PATCH changed nothing", answer)


@check("TR-22", "replaces by PUT: optional members that are absent are gone", phase=WRITING)
async def put_replaces(on: Ground) -> None:
    await stored(on)
    answer = await token_request(on, "PUT", on.token(visual_number="CHECK-1"))
    demand(answer.ok, f"a PUT with visual_number was {answer.said}", answer)
    answer = await token_request(on, "PUT", on.token())
    after = await stored(on)
    demand(
        answer.ok and not after.get("visual_number"),
        "visual_number survives a PUT without it",
        answer,
    )


@check("TR-41", "takes null as absent", phase=WRITING)
async def nulls(on: Ground) -> None:
    await stored(on)
    answer = await token_request(on, "PUT", on.token(visual_number=None, language=None))
    demand(answer.ok, f"a token with null members was {answer.said}", answer)


@check("TR-25", "refuses a body that names another uid than the address", "S", phase=WRITING)
async def same_id(on: Ground) -> None:
    await stored(on)
    answer = await token_request(on, "PUT", on.token(uid="CHECK-ANOTHER"))
    refused_with(answer, what="a token whose uid differs from the URL")


@check("TR-26", "answers 404 to a country and party that are not the caller's", "S", phase=WRITING)
async def foreign_party(on: Ground) -> None:
    await stored(on)
    body = on.token()
    url = join(on.url("tokens"), "ZZ", "ZZZ", body["uid"])
    if on.version != "2.1.1":
        body |= {"country_code": "ZZ", "party_id": "ZZZ"}
    answer = await on.client.ask("tokens", "PUT", url, body)
    demand(answer.http == 404, f"PUT of a token of ZZ*ZZZ must be 404, was {answer.said}", answer)


@check("TR-43", "refuses an unknown enum literal with 2001", "E", phase=WRITING)
async def literals(on: Ground) -> None:
    await stored(on)
    answer = await token_request(on, "PUT", on.token(whitelist="PERHAPS"))
    refused_with(answer, what="whitelist = PERHAPS")


@check("TK-04", "answers a PATCH of an unknown token with 404", "E")
async def patch_unknown(on: Ground) -> None:
    change = {"valid": False, "last_updated": stamp(now())}
    answer = await token_request(on, "PATCH", change, uid="NO-SUCH-TOKEN")
    demand(answer.http == 404, f"PATCH of an unknown token was {answer.said}", answer)


@check(
    "TK-06", "refuses a token of another type than the address", "E", phase=WRITING, versions=MODERN
)
async def same_type(on: Ground) -> None:
    await stored(on)
    answer = await token_request(on, "PUT", on.token(type="OTHER"))
    refused_with(answer, what="a token of type OTHER at the address of an RFID")


@check("TK-07", "demands every required member of a token, and keeps the old one")
async def token_members(on: Ground) -> None:
    for name in ("issuer", "valid", "whitelist", "type"):
        answer = await token_request(on, "PUT", without(on.token(), name), uid=on.token()["uid"])
        refused_with(answer, what=f"a token without {name}")


@check("TK-08", "keeps its copy where an older one comes", "E", phase=WRITING)
async def older(on: Ground) -> None:
    await stored(on)
    old = on.token(issuer="Older", last_updated=stamp(now() - timedelta(days=30)))
    answer = await token_request(on, "PUT", old)
    demand(answer.ok, f"an older token was {answer.said}; 1000 is right", answer)
    demand(
        (await stored(on)).get("issuer") != "Older", "an older token replaced a newer one", answer
    )


@check("TK-09", "reads our whole list of tokens", phase=Phase.LOOKING_BACK)
async def pulled(on: Ground) -> None:
    on.registering()
    seen = [each for each in on.listener.heard("tokens", "GET") if not each.segments]
    if not seen:
        raise Skipped("our list of tokens was not read while we listened")


@check("TK-13", "shows nobody another eMSP's tokens", "E")
async def foreign_token(on: Ground) -> None:
    url = join(on.url("tokens"), "ZZ", "ZZZ", "NO-SUCH-TOKEN")
    answer = await on.client.ask("tokens", "GET", url)
    demand(answer.http == 404, f"GET of a token of ZZ*ZZZ was {answer.said}", answer)


# -- commands


def token_in_order(on: Ground) -> Json:
    if on.client.us is None:
        raise Skipped("who we are is not known: give --party COUNTRY*PARTY")
    return on.token()


async def order(on: Ground, name: str, **members: Any) -> Exchange:
    """A command, with a response_url unless one is given."""
    body = {"response_url": response_url(on), **members}
    body = {key: value for key, value in body.items() if value is not None}
    answer = await on.ask("commands", "POST", name, body=body)
    message = str((answer.envelope or {}).get("status_message"))
    if on.options.registered and answer.code == 2001 and "response_url" in message:
        raise Skipped("our response_url is refused: give --public-url at a host that is registered")
    return answer


def result(answer: Exchange) -> str | None:
    data = answer.data if isinstance(answer.data, dict) else {}
    return data.get("result")


@check("CM-01", "answers a command at once with result and timeout")
async def at_once(on: Ground) -> None:
    answer = await order(on, "STOP_SESSION", session_id="NO-SUCH-SESSION")
    demand(answer.http == 200, f"STOP_SESSION was {answer.said}", answer)
    demand(
        result(answer) in (*RESULTS, *(("TIMEOUT",) if on.version == "2.1.1" else ())),
        f"result is {result(answer)}",
        answer,
    )
    if on.version != "2.1.1":
        demand(type(answer.data.get("timeout")) is int, "timeout is missing or no int", answer)


@check("CM-07", "answers an unknown location with 2003")
async def unknown_place(on: Ground) -> None:
    answer = await order(on, "START_SESSION", token=token_in_order(on), location_id=NOWHERE)
    refused_with(answer, (2003,), "START_SESSION at an unknown location")


@check("CM-08", "refuses a command without response_url or token with 2001")
async def incomplete(on: Ground) -> None:
    body = {"token": token_in_order(on), "location_id": NOWHERE}
    answer = await on.ask("commands", "POST", "START_SESSION", body=body)
    refused_with(answer, what="START_SESSION without response_url")
    answer = await order(on, "START_SESSION", location_id=NOWHERE)
    refused_with(answer, what="START_SESSION without token")


@check("CM-09", "demands a location in START_SESSION, and an EVSE where a connector is named")
async def start_members(on: Ground) -> None:
    answer = await order(on, "START_SESSION", token=token_in_order(on))
    refused_with(answer, what="START_SESSION without location_id")
    if on.version == "2.1.1":
        return
    answer = await order(
        on, "START_SESSION", token=token_in_order(on), location_id=NOWHERE, connector_id="1"
    )
    refused_with(answer, (2001, 2003), "START_SESSION with a connector and no EVSE")


@check("CM-13", "answers STOP_SESSION of an unknown session with UNKNOWN_SESSION")
async def unknown_session(on: Ground) -> None:
    answer = await order(on, "STOP_SESSION", session_id="NO-SUCH-SESSION")
    demand(result(answer) == "UNKNOWN_SESSION", f"was {answer.said}, {result(answer)}", answer)


@check("CM-14", "demands token, expiry, reservation id and location in RESERVE_NOW")
async def reserve_members(on: Ground) -> None:
    later = stamp(now() + timedelta(minutes=15))
    number: Any = 987654 if on.version == "2.1.1" else "CHECK-R1"
    whole = {
        "token": token_in_order(on),
        "expiry_date": later,
        "reservation_id": number,
        "location_id": NOWHERE,
    }
    for name in ("token", "expiry_date", "reservation_id", "location_id"):
        answer = await order(on, "RESERVE_NOW", **without(whole, name))
        if result(answer) == "NOT_SUPPORTED":
            raise Skipped("RESERVE_NOW is not supported")
        refused_with(answer, what=f"RESERVE_NOW without {name}")


@check("CM-18", "cancels no reservation that it does not know", versions=MODERN)
async def cancel_unknown(on: Ground) -> None:
    answer = await order(on, "CANCEL_RESERVATION", reservation_id="NO-SUCH-RESERVATION")
    if result(answer) == "NOT_SUPPORTED":
        raise Skipped("CANCEL_RESERVATION is not supported")
    if result(answer) != "ACCEPTED":
        demand(
            result(answer) == "REJECTED" or answer.refused,
            f"was {answer.said}, {result(answer)}",
            answer,
        )
        return
    if on.options.registered:
        raise Skipped("it was ACCEPTED; its result goes to another listener")
    heard = await on.listener.until(lambda: _last_result(on), 30)
    demand(heard == "UNKNOWN_RESERVATION", f"the result was {heard}", answer)


def _last_result(on: Ground) -> str | None:
    last = f"result-{on.memory['commands']}"
    for each in on.listener.heard("commands", "POST"):
        if each.segments[-1:] == (last,) and isinstance(each.body, dict):
            return str(each.body.get("result"))
    return None


@check("CM-19", "demands location, EVSE and connector in UNLOCK_CONNECTOR")
async def unlock_members(on: Ground) -> None:
    whole = {"location_id": NOWHERE, "evse_uid": "NO-SUCH-EVSE", "connector_id": "1"}
    for name in whole:
        answer = await order(on, "UNLOCK_CONNECTOR", **without(whole, name))
        refused_with(answer, what=f"UNLOCK_CONNECTOR without {name}")


# -- charging profiles and hub client info


def _profile_url(on: Ground, **query: Any) -> str:
    text = "&".join(f"{name}={quote(str(value), safe='')}" for name, value in query.items())
    return join(on.url("chargingprofiles"), "NO-SUCH-SESSION") + (f"?{text}" if text else "")


@check("CF-01", "answers profile requests at once with result and timeout", versions=MODERN)
async def profile_answer(on: Ground) -> None:
    answer = await on.client.ask(
        "chargingprofiles", "GET", _profile_url(on, duration=900, response_url=response_url(on))
    )
    _reachable(on, answer)
    demand(
        isinstance(answer.data, dict) and type(answer.data.get("timeout")) is int,
        f"result and timeout are missing ({answer.said})",
        answer,
    )


@check(
    "CF-03", "answers profile requests for an unknown session with UNKNOWN_SESSION", versions=MODERN
)
async def profile_unknown(on: Ground) -> None:
    url = _profile_url(on, response_url=response_url(on))
    answer = await on.client.ask("chargingprofiles", "DELETE", url)
    _reachable(on, answer)
    demand(result(answer) == "UNKNOWN_SESSION", f"was {answer.said}, {result(answer)}", answer)


def _reachable(on: Ground, answer: Exchange) -> None:
    message = str((answer.envelope or {}).get("status_message"))
    if on.options.registered and answer.code == 2001 and "response_url" in message:
        raise Skipped("our response_url is refused: give --public-url at a host that is registered")


@check("CF-08", "demands duration and response_url of profile requests", versions=MODERN)
async def profile_members(on: Ground) -> None:
    for query in ({"duration": 900}, {"response_url": response_url(on)}):
        answer = await on.client.ask("chargingprofiles", "GET", _profile_url(on, **query))
        _reachable(on, answer) if "response_url" in query else None
        refused_with(answer, what=f"a profile request with {', '.join(query)} only")
    answer = await on.client.ask("chargingprofiles", "PUT", _profile_url(on), {})
    refused_with(answer, what="a profile without response_url")


@check("HC-01", "answers methods that hub client info does not have with 405", versions=MODERN)
async def hub_methods(on: Ground) -> None:
    url = join(on.url("hubclientinfo"), "ZZ", "ZZZ")
    answer = await on.client.ask("hubclientinfo", "POST", url, {})
    demand(answer.http in (404, 405), f"POST of client info was {answer.said}", answer)


@check("HC-06", "takes client info from a hub only", versions=MODERN)
async def hub_only(on: Ground) -> None:
    url = join(on.url("hubclientinfo"), "ZZ", "ZZZ")
    body = {
        "country_code": "ZZ", "party_id": "ZZZ", "role": "EMSP", "status": "SUSPENDED",
        "last_updated": stamp(now()),
    }  # fmt: skip
    answer = await on.client.ask("hubclientinfo", "PUT", url, body)
    demand(not answer.ok, f"client info from us, who are no hub, was {answer.said}", answer)
