"""An eMSP: its token list, real-time authorisation, and what it does with what a CPO pushes."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from ocpi_check.catalogue import EMSP, Checks, Phase, Skipped, demand
from ocpi_check.exchange import Exchange
from ocpi_check.ground import Ground, first, raise_problems, refused_with
from ocpi_check.shapes import SHAPES
from ocpi_check.wire import Json, join, now, stamp, without_query

check = Checks()
THEM = (EMSP,)
WRITING = Phase.WRITING
ALLOWED = ("ALLOWED", "BLOCKED", "EXPIRED", "NO_CREDIT", "NOT_ALLOWED")
SITE, POINT, PLUG = "CHECK-SITE", "CHECK-EVSE", "1"

# -- tokens and authorisation


@check("TK-07", "fills what a token must have", roles=THEM)
async def token_shape(on: Ground) -> None:
    await on.shaped("TK-07", "tokens")
    if on.version == "2.1.1":
        await on.shaped("B5-01", "tokens")


@check("TK-02", "lists each token once by uid and type", roles=THEM)
async def once(on: Ground) -> None:
    keys = [(str(e.get("uid")).upper(), e.get("type")) for e in await on.some("tokens")]
    twice = {key for key in keys if keys.count(key) > 1}
    raise_problems([f"token of type {kind} is listed twice" for _, kind in twice])


@check("TK-10", "lists what changed since a date, for who reads step by step", "S", roles=THEM)
async def since(on: Ground) -> None:
    await on.some("tokens")
    later = await on.page("tokens", date_from=stamp(now() + timedelta(days=1)))
    demand(later.ok and not later.items, f"tokens changed tomorrow: {later.said}", later)


async def authorise(on: Ground, uid: str, body: Any = None) -> Exchange:
    """Ask whether a token may charge."""
    url = join(without_query(on.url("tokens")), uid, "authorize")
    return await on.client.ask("tokens", "POST", url, body)


async def a_token(on: Ground) -> Json:
    """A token of theirs that may charge.

    Raises:
        Skipped: none is listed.
    """
    found = first(
        await on.some("tokens"), lambda e: e.get("type") == "RFID" and e.get("valid") is True
    )
    if found is None:
        raise Skipped("no valid RFID token is listed")
    return found


@check("AU-01", "answers authorize, with and without LocationReferences", roles=THEM)
async def asked(on: Ground) -> None:
    token = await a_token(on)
    for body in (None, {"location_id": SITE, "evse_uids": [POINT]}):
        answer = await authorise(on, str(token["uid"]), body)
        demand(
            answer.ok and isinstance(answer.data, dict) or answer.code in (2001, 2002, 2003),
            f"authorize was {answer.said}",
            answer,
        )


@check("AU-02", "says whether a token may charge in one of five words, with 200/1000", roles=THEM)
async def decided(on: Ground) -> None:
    answer = await authorise(on, str((await a_token(on))["uid"]))
    found = answer.data.get("allowed") if isinstance(answer.data, dict) else None
    demand(answer.ok and found in ALLOWED, f"was {answer.said}, allowed = {found}", answer)


@check("AU-03", "answers authorize of an unknown token with 404 and/or 2004", roles=THEM)
async def unknown(on: Ground) -> None:
    answer = await authorise(on, "NO-SUCH-TOKEN")
    demand(
        answer.http == 404 or answer.refused,
        f"authorize of an unknown token was {answer.said}",
        answer,
    )


@check("AU-05", "gives back the token and the location that it allows", roles=THEM)
async def given_back(on: Ground) -> None:
    token = await a_token(on)
    answer = await authorise(on, str(token["uid"]))
    if not answer.ok or on.version == "2.1.1":
        raise Skipped("authorize gives no token here")
    shown = answer.data.get("token") if isinstance(answer.data, dict) else None
    problems = SHAPES[on.version]["tokens"](shown, "token")
    raise_problems([str(each) for each in problems], answer)
    demand(
        isinstance(shown, dict) and shown.get("uid") == token["uid"],
        "another token came back",
        answer,
    )


# -- what a CPO pushes


def written(on: Ground, at: datetime) -> str:
    """A time in the version's form: 2.1.1 has whole seconds."""
    return (
        stamp(at.replace(microsecond=0)).replace(".000", "") if on.version == "2.1.1" else stamp(at)
    )


def place(on: Ground) -> Json:
    """A location of ours, in the version's form."""
    country, party = on.us()
    time = written(on, now())
    old = on.version == "2.1.1"
    plug: Json = {
        "id": PLUG, "standard": "IEC_62196_T2", "format": "SOCKET", "power_type": "AC_3_PHASE",
        "last_updated": time,
    }  # fmt: skip
    plug |= {"voltage": 230, "amperage": 32} if old else {"max_voltage": 230, "max_amperage": 32}
    evse = {"uid": POINT, "status": "AVAILABLE", "connectors": [plug], "last_updated": time}
    site: Json = {
        "id": SITE, "name": "OCPI check", "address": "1 Test Road", "city": "Testtown",
        "postal_code": "1000", "country": "IND", "time_zone": "Asia/Kolkata",
        "coordinates": {"latitude": "18.508100", "longitude": "73.807700"},
        "evses": [evse], "last_updated": time,
    }  # fmt: skip
    if old:
        return site | {"type": "ON_STREET"}
    return site | {"country_code": country, "party_id": party, "publish": True}


def tariff(on: Ground) -> Json:
    country, party = on.us()
    component: Json = {"type": "ENERGY", "price": 0.25, "step_size": 1}
    body: Json = {
        "id": "CHECK-TARIFF", "currency": "EUR",
        "elements": [{"price_components": [component]}], "last_updated": written(on, now()),
    }  # fmt: skip
    if on.version == "2.1.1":
        return body
    component["vat"] = 20
    ours = {"country_code": country, "party_id": party}
    return body | ours | ({"tax_included": "NO"} if on.version == "2.3.0" else {})


def cost(on: Ground) -> Any:
    if on.version == "2.1.1":
        return 0.25
    if on.version == "2.3.0":
        return {"before_taxes": 0.25, "taxes": [{"name": "VAT", "percentage": 20, "amount": 0.05}]}
    return {"excl_vat": 0.25, "incl_vat": 0.3}


def _who(on: Ground, token: Json) -> Json:
    if on.version == "2.1.1":
        return {"auth_id": token["auth_id"]}
    names = ("country_code", "party_id", "uid", "type", "contract_id")
    return {"cdr_token": {name: token[name] for name in names}}


def session(on: Ground, token: Json) -> Json:
    country, party = on.us()
    begun = written(on, now() - timedelta(hours=1))
    body: Json = {
        "id": on.memory.setdefault("session", f"CHECK-{on.token()['uid']}"), "kwh": 0.5,
        "auth_method": "WHITELIST", "currency": "EUR", "status": "ACTIVE",
        "last_updated": written(on, now()), **_who(on, token),
    }  # fmt: skip
    if on.version == "2.1.1":
        return body | {"start_datetime": begun, "location": place(on)}
    return body | {
        "country_code": country, "party_id": party, "start_date_time": begun,
        "location_id": SITE, "evse_uid": POINT, "connector_id": PLUG,
    }  # fmt: skip


def cdr(on: Ground, token: Json) -> Json:
    country, party = on.us()
    ended = now() - timedelta(minutes=1)
    begun = ended - timedelta(hours=1)
    dimensions = [{"type": "ENERGY", "volume": 1}, {"type": "TIME", "volume": 1}]
    old = on.version == "2.1.1"
    period: Json = {"start_date_time": written(on, begun), "dimensions": dimensions}
    body: Json = {
        "id": f"C{on.token()['uid']}", "start_date_time": written(on, begun), "auth_method": "WHITELIST",
        "currency": "EUR", "total_cost": cost(on), "total_energy": 1, "total_time": 1,
        "charging_periods": [period], "tariffs": [tariff(on)], "last_updated": written(on, ended),
        **_who(on, token),
    }  # fmt: skip
    if old:
        return body | {"stop_date_time": written(on, ended), "location": place(on)}
    period["tariff_id"] = "CHECK-TARIFF"
    site = place(on)
    where = {k: site[k] for k in ("id", "address", "city", "postal_code", "country", "coordinates")}
    return body | {
        "country_code": country, "party_id": party, "end_date_time": written(on, ended),
        "session_id": session(on, token)["id"],
        "cdr_location": where | {
            "evse_uid": POINT, "evse_id": "IN*CHK*E1", "connector_id": PLUG,
            "connector_standard": "IEC_62196_T2", "connector_format": "SOCKET",
            "connector_power_type": "AC_3_PHASE",
        },
    }  # fmt: skip


async def push(on: Ground, module: str, method: str, *ids: str, body: Any = None) -> Exchange:
    """A request to an object of ours at its receiver."""
    return await on.ask(module, method, *on.us(), *ids, body=body)


async def taken(on: Ground, module: str, *ids: str, body: Any) -> Exchange:
    """PUT something, which must be taken.

    Raises:
        Failed: it is not.
    """
    on.may_write()
    answer = await push(on, module, "PUT", *ids, body=body)
    demand(answer.ok, f"PUT of a good object to {module} was {answer.said}", answer)
    return answer


@check("LO-05", "takes a location by PUT", phase=WRITING, roles=THEM)
async def put_location(on: Ground) -> None:
    await taken(on, "locations", SITE, body=place(on))


@check("LO-30", "gives a location that it was sent back", "S", phase=WRITING, roles=THEM)
async def get_location(on: Ground) -> None:
    await taken(on, "locations", SITE, body=place(on))
    answer = await push(on, "locations", "GET", SITE)
    same = isinstance(answer.data, dict) and answer.data.get("id") == SITE
    demand(answer.ok and same, f"GET of a location that was PUT is {answer.said}", answer)


@check("LO-06", "takes an EVSE's new status by PATCH", phase=WRITING, roles=THEM)
async def patch_evse(on: Ground) -> None:
    await taken(on, "locations", SITE, body=place(on))
    change = {"status": "CHARGING", "last_updated": written(on, now())}
    answer = await push(on, "locations", "PATCH", SITE, POINT, body=change)
    demand(answer.ok, f"PATCH of an EVSE was {answer.said}", answer)


@check(
    "LO-11", "refuses a location without its required members with 2001", phase=WRITING, roles=THEM
)
async def bad_location(on: Ground) -> None:
    on.may_write()
    body = {k: v for k, v in place(on).items() if k != "coordinates"}
    refused_with(
        await push(on, "locations", "PUT", SITE, body=body), what="a location without coordinates"
    )


@check(
    "TR-25", "refuses a body that names another id than the address", "S", phase=WRITING, roles=THEM
)
async def other_id(on: Ground) -> None:
    on.may_write()
    answer = await push(on, "locations", "PUT", "CHECK-OTHER", body=place(on))
    refused_with(answer, what="a location whose id differs from the URL")


@check(
    "TR-26",
    "answers 404 to a country and party that are not the CPO's",
    "S",
    phase=WRITING,
    roles=THEM,
)
async def other_party(on: Ground) -> None:
    on.may_write()
    body = place(on)
    if on.version != "2.1.1":
        body |= {"country_code": "ZZ", "party_id": "ZZZ"}
    answer = await on.ask("locations", "PUT", "ZZ", "ZZZ", SITE, body=body)
    demand(answer.http == 404, f"a location of ZZ*ZZZ must be 404, was {answer.said}", answer)


@check(
    "TR-13",
    "answers the first PUT with 201 and later ones with 200",
    "S",
    phase=WRITING,
    roles=THEM,
)
async def created(on: Ground) -> None:
    on.may_write()
    id = f"S{on.token()['uid']}"
    answers = [await taken(on, "tariffs", id, body=tariff(on) | {"id": id}) for _ in range(2)]
    found = [each.http for each in answers]
    demand(found == [201, 200], f"PUT twice was HTTP {found}", *answers)


@check("TA-02", "takes a tariff by PUT", phase=WRITING, roles=THEM)
async def put_tariff(on: Ground) -> None:
    await taken(on, "tariffs", "CHECK-TARIFF", body=tariff(on))


@check("SE-02", "takes a session by PUT", phase=WRITING, roles=THEM)
async def put_session(on: Ground) -> None:
    body = session(on, await a_token(on))
    await taken(on, "sessions", body["id"], body=body)


@check("SE-03", "takes a session's progress by PATCH", phase=WRITING, roles=THEM)
async def patch_session(on: Ground) -> None:
    body = session(on, await a_token(on))
    await taken(on, "sessions", body["id"], body=body)
    change = {"kwh": 0.75, "last_updated": written(on, now())}
    answer = await push(on, "sessions", "PATCH", body["id"], body=change)
    demand(answer.ok, f"PATCH of a session was {answer.said}", answer)


async def posted(on: Ground) -> Exchange:
    """Our CDR, sent once."""
    on.may_write()
    if "cdr" not in on.memory:
        on.memory["cdr"] = await on.ask("cdrs", "POST", body=cdr(on, await a_token(on)))
    found: Exchange = on.memory["cdr"]
    return found


@check("CD-02", "takes a CDR by POST", phase=WRITING, roles=THEM)
async def post_cdr(on: Ground) -> None:
    answer = await posted(on)
    demand(answer.ok, f"POST of a good CDR was {answer.said}", answer)


@check(
    "CD-03",
    "names the CDR's address in a Location header, and serves it there",
    phase=WRITING,
    roles=THEM,
)
async def located(on: Ground) -> None:
    answer = await posted(on)
    if not answer.ok:
        raise Skipped("the CDR was not taken")
    where = answer.headers.get("Location")
    demand(where and where.startswith("http"), f"the Location header is {where}", answer)
    assert where is not None
    again = await on.client.ask("cdrs", "GET", where)
    shown = again.data if isinstance(again.data, dict) else {}
    demand(again.ok and shown.get("id") == f"C{on.token()['uid']}", f"it is {again.said}", again)


@check("TA-03", "forgets a tariff by DELETE", phase=WRITING, roles=THEM)
async def delete_tariff(on: Ground) -> None:
    await taken(on, "tariffs", "CHECK-TARIFF", body=tariff(on))
    answer = await push(on, "tariffs", "DELETE", "CHECK-TARIFF")
    demand(answer.ok, f"DELETE of a tariff was {answer.said}", answer)


@check(
    "CM-04", "takes a command's result only at an address that it gave", phase=WRITING, roles=THEM
)
async def stray_result(on: Ground) -> None:
    on.may_write()
    answer = await on.ask(
        "commands", "POST", "START_SESSION", "no-such-command", body={"result": "ACCEPTED"}
    )
    demand(answer.http < 500, f"a result nobody waits for was {answer.said}", answer)
