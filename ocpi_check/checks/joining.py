"""VE and CR: versions, version details, and the registration from its beginning to its end."""

from __future__ import annotations

from typing import Any

from ocpi_check.catalogue import CPO, EMSP, MODERN, Checks, Failed, Phase, Skipped, demand
from ocpi_check.checks.transport import UNKNOWN, list_url
from ocpi_check.exchange import Exchange
from ocpi_check.ground import INTERFACES, LISTS, Ground, none_of, raise_problems, refused_with
from ocpi_check.shapes import SHAPES
from ocpi_check.wire import Json

check = Checks()
BOTH = (CPO, EMSP)
OF_211 = ("cdrs", "commands", "credentials", "locations", "sessions", "tariffs", "tokens")
STANDARD = (*OF_211, "chargingprofiles", "hubclientinfo", "invoicereconciliation", "bookings")

# -- versions


@check("VE-01", "lists its versions, and each version's endpoints with credentials", roles=BOTH)
async def versions(on: Ground) -> None:
    assert on.versions is not None and on.details is not None
    for each in on.versions.items:
        good = isinstance(each, dict) and {"version", "url"} <= each.keys()
        demand(good, "every entry of versions has version and url", on.versions)
    demand(on.versions.ok and on.versions.items, f"versions was {on.versions.said}", on.versions)
    said = on.details.data.get("version")
    demand(said == on.version, f"details of {on.version} say version {said}", on.details)
    demand(
        any(each.get("identifier") == "credentials" for each in on.offered),
        "the version details list no credentials endpoint",
        on.details,
    )


@check(
    "VE-02",
    "gives each endpoint identifier, role and url, in the roles of its side",
    versions=MODERN,
    roles=BOTH,
)
async def endpoints(on: Ground) -> None:
    assert on.details is not None
    problems = [
        f"{each.get('identifier')}: {name} is missing"
        for each in on.offered
        for name in ("identifier", "role", "url")
        if not each.get(name)
    ]
    needed = (
        LISTS[on.role]
        if on.role == EMSP
        else ("locations", "sessions", "cdrs", "tariffs", "tokens", "commands")
    )
    for module in needed:
        role = INTERFACES[on.role][module]
        if (module, role) not in on.endpoints:
            problems.append(f"{module} as {role} is not offered")
    raise_problems(problems, on.details)


@check("VE-03", "lists credentials once, as SENDER", "S", versions=MODERN, roles=BOTH)
async def credentials_once(on: Ground) -> None:
    assert on.details is not None
    found = [each.get("role") for each in on.offered if each.get("identifier") == "credentials"]
    demand(found == ["SENDER"], f"credentials is listed as {found}", on.details)


@check("VE-05", "prefixes modules of its own with its country and party", roles=BOTH)
async def own_modules(on: Ground) -> None:
    assert on.details is not None
    own = [str(each.get("identifier")) for each in on.offered]
    odd = [each for each in own if each.lower() not in STANDARD and len(each) < 7]
    raise_problems([f"{each} is no module of OCPI and has no prefix" for each in odd], on.details)


@check(
    "VE-06", "shows the same versions and details to token A and C", roles=BOTH, phase=Phase.READING
)
async def same_for_all(on: Ground) -> None:
    assert on.versions is not None and on.details is not None
    for module, before in (("versions", on.versions), ("details", on.details)):
        again = await on.client.ask(module, "GET", before.url)
        demand(
            again.ok and again.data == before.data,
            f"{before.url} shows something else now: {again.said}",
            before,
            again,
        )


@check(
    "VE-08",
    "takes our addresses byte for byte, however odd",
    "E",
    phase=Phase.LOOKING_BACK,
    roles=BOTH,
)
async def our_addresses(on: Ground) -> None:
    on.registering()
    guessed = [each for each in on.listener.arrivals if not each.module]
    none_of(guessed, "is no address that we gave")
    if not any(each.module == "details" for each in on.listener.arrivals):
        raise Skipped("our versions were not looked at")


# -- registering


async def credentials(on: Ground, method: str, body: Any = None, **more: Any) -> Exchange:
    return await on.ask("credentials", method, body=body, **more)


@check(
    "CR-04",
    "answers an unusable partner with 3001, 3002 or 3003, and keeps token A",
    phase=Phase.DOOR,
    roles=BOTH,
)
async def unusable(on: Ground) -> None:
    for door, code in (("locked", 3001), ("foreign", 3002), ("bare", 3003)):
        answer = await credentials(on, "POST", on.listener.credentials(door))
        refused_with(answer, (code,), f"a partner whose versions are {_DOORS[door]}")
    again = await on.client.ask("versions", "GET", on.options.url)
    demand(again.ok, f"after a failed registration token A was {again.said}", again)


_DOORS = {
    "locked": "not to be read with its token (401)",
    "foreign": "all unknown",
    "bare": "without the needed endpoints",
}


@check(
    "CR-15",
    "demands token, url and role, and gives them itself",
    phase=Phase.DOOR,
    versions=MODERN,
    roles=BOTH,
)
async def members(on: Ground) -> None:
    for name in ("token", "url", "roles"):
        body = {k: v for k, v in on.listener.credentials().items() if k != name}
        refused_with(await credentials(on, "POST", body), what=f"credentials without {name}")


@check(
    "CR-02",
    "registers us: reads our versions with token B and gives token C",
    phase=Phase.REGISTERING,
    roles=BOTH,
)
async def register(on: Ground) -> None:
    on.memory["early"] = [
        await credentials(on, "PUT", on.listener.credentials()),
        await credentials(on, "DELETE"),
    ]
    before = len(on.listener.arrivals)
    answer = await credentials(on, "POST", on.listener.credentials())
    demand(answer.ok, f"POST credentials with token A must be 200/1000, was {answer.said}", answer)
    settle(on, answer)
    seen = {each.module for each in on.listener.arrivals[before:] if each.known}
    demand(
        {"our-versions", "details"} <= seen,
        "our versions and their details were not read with token B during the POST",
        answer,
    )


def settle(on: Ground, answer: Exchange) -> None:
    """From now on the token in *answer* counts.

    Raises:
        Failed: there is none.
    """
    data = answer.data if isinstance(answer.data, dict) else {}
    token = data.get("token")
    if not isinstance(token, str) or not token:
        raise Failed("the answer holds no credentials with a token", answer)
    on.client.hide(token)
    on.client.token = token
    on.registration = answer
    on.memory["registered"] = True
    learn(on, data)


def learn(on: Ground, data: Json) -> None:
    """Who the other side is."""
    roles = [data, *(data.get("roles") or [])] if isinstance(data.get("roles"), list) else [data]
    mine = [each for each in roles if isinstance(each, dict) and each.get("role") == on.role]
    for each in [*mine, data]:
        country, party = each.get("country_code"), each.get("party_id")
        if isinstance(country, str) and isinstance(party, str):
            on.client.them = (country, party)
            return


@check("CR-03", "refuses token A once it is used, and opens every module to token C", roles=BOTH)
async def exchanged(on: Ground) -> None:
    on.registering()
    answer = await on.client.ask("versions", "GET", on.options.url, token=on.token_a)
    demand(answer.http == 401, f"token A must be 401 after registration, was {answer.said}", answer)
    for module in LISTS[on.role]:
        answer = await on.client.ask(module, "GET", list_url(on, module, limit=1))
        demand(answer.ok, f"{module} with token C was {answer.said}", answer)


@check("CR-05", "answers POST when registered, and PUT or DELETE when not, with 405", roles=BOTH)
async def wrong_moment(on: Ground) -> None:
    for early in on.memory.get("early", []):
        demand(
            early.http == 405,
            f"{early.method} credentials before registration must be 405, was {early.said}",
            early,
        )
    body = {} if on.options.registered else on.listener.credentials()
    answer = await credentials(on, "POST", body)
    demand(answer.http == 405, f"a second POST must be 405, was {answer.said}", answer)


@check("CR-06", "answers credentials requests of an unknown token with 401", "E", roles=BOTH)
async def unknown(on: Ground) -> None:
    for method, body in (("POST", {}), ("PUT", {}), ("DELETE", None)):
        answer = await credentials(on, method, body, token=UNKNOWN)
        demand(answer.http == 401, f"{method} of a stranger must be 401, was {answer.said}", answer)


@check("CR-10", "shows its credentials with the token that we use", roles=BOTH)
async def shown(on: Ground) -> None:
    answer = await credentials(on, "GET")
    demand(answer.ok, f"GET credentials was {answer.said}", answer)
    found = answer.data if isinstance(answer.data, dict) else {}
    problems = SHAPES[on.version]["credentials"](found, "credentials")
    raise_problems([str(each) for each in problems if each.rule == "CR-15"], answer)
    demand(found.get("token") == on.client.token, "it shows another token than ours", answer)


@check("CR-16", "names each of its roles once", versions=MODERN, roles=BOTH)
async def unique_roles(on: Ground) -> None:
    answer = await credentials(on, "GET")
    roles = [
        (each.get("role"), each.get("country_code"), each.get("party_id"))
        for each in (answer.data or {}).get("roles") or []
    ]
    demand(len(set(roles)) == len(roles), "a role is listed twice", answer)


@check("TR-06", "mints tokens of at most 64 printable characters", roles=BOTH)
async def minted(on: Ground) -> None:
    on.registering()
    token = on.client.token or ""
    good = 16 <= len(token) <= 64 and token.isascii() and token.isprintable() and " " not in token
    assert on.registration is not None
    demand(good, f"token C has {len(token)} characters, or odd ones", on.registration)


# -- renewing and leaving


@check("CR-09", "keeps the old token where a renewal fails", "E", phase=Phase.RENEWING, roles=BOTH)
async def failed_renewal(on: Ground) -> None:
    answer = await credentials(on, "PUT", on.listener.credentials("locked"))
    refused_with(answer, (3001,), "a renewal with versions that cannot be read")
    again = await on.client.ask("versions", "GET", on.options.url)
    demand(again.ok, f"after a failed renewal the token was {again.said}", answer, again)


@check(
    "CR-07",
    "renews by PUT: reads our versions again and gives a new token",
    phase=Phase.RENEWING,
    roles=BOTH,
)
async def renewal(on: Ground) -> None:
    old, before = on.client.token, len(on.listener.arrivals)
    on.listener.renew()
    on.client.hide(on.listener.token)
    answer = await credentials(on, "PUT", on.listener.credentials())
    demand(answer.ok, f"PUT credentials was {answer.said}", answer)
    settle(on, answer)
    demand(on.client.token != old, "the token is still the same", answer)
    seen = {each.module for each in on.listener.arrivals[before:] if each.known}
    demand({"our-versions", "details"} <= seen, "our versions were not read again", answer)
    again = await on.client.ask("versions", "GET", on.options.url)
    demand(again.ok, f"the new token was {again.said}", again)


@check(
    "CR-11",
    "ends the registration by DELETE; the token is dead then",
    phase=Phase.LEAVING,
    roles=BOTH,
)
async def leaving(on: Ground) -> None:
    answer = await credentials(on, "DELETE")
    demand(answer.ok, f"DELETE credentials must be 200/1000, was {answer.said}", answer)
    on.memory["registered"] = False
    on.memory["left"] = len(on.listener.arrivals)
    again = await on.client.ask("versions", "GET", on.options.url)
    demand(again.http == 401, f"after DELETE the token must be 401, was {again.said}", again)


@check(
    "OF-08",
    "sends nothing before registration completes or after it ended",
    phase=Phase.LOOKING_BACK,
    roles=BOTH,
)
async def silence(on: Ground) -> None:
    on.registering()
    if "left" not in on.memory:
        raise Skipped("the registration was not ended")
    await on.listener.until(lambda: len(on.listener.arrivals) > on.memory["left"], 1.0)
    late = on.listener.arrivals[on.memory["left"] :]
    none_of(late, "came after the end")
