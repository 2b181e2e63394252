"""RT: routing headers."""

from __future__ import annotations

from ocpi_check.catalogue import CPO, EMSP, MODERN, Checks, Phase, Skipped, demand
from ocpi_check.checks.transport import a_list, list_url
from ocpi_check.exchange import Exchange
from ocpi_check.ground import Ground, raise_problems, refused_with

check = Checks()
BOTH = (CPO, EMSP)
PARTS = ("country-code", "party-id")


def _functional(on: Ground) -> list[Exchange]:
    found = [each for each in on.client.kept if each.functional and each.http != 401]
    if not found:
        raise Skipped("no functional module was asked")
    return found


@check(
    "RT-01",
    "puts all four routing headers on answers of functional modules",
    phase=Phase.LOOKING_BACK,
    versions=MODERN,
    roles=BOTH,
)
async def present(on: Ground) -> None:
    for each in _functional(on):
        names = [f"OCPI-{word}-{part}" for word in ("to", "from") for part in PARTS]
        missing = [name for name in names if not each.headers.get(name)]
        demand(
            not each.ok or not missing,
            f"{each.method} {each.url}: missing {', '.join(missing)}",
            each,
        )


@check(
    "RT-02",
    "puts no routing headers on versions and credentials",
    phase=Phase.LOOKING_BACK,
    versions=MODERN,
    roles=BOTH,
)
async def none(on: Ground) -> None:
    for each in on.client.kept:
        found = [name for name in each.headers if name.lower().startswith(("ocpi-to", "ocpi-from"))]
        demand(
            each.functional or each.module == "hubclientinfo" or not found,
            f"{each.method} {each.url}: {', '.join(found)} on a configuration module",
            each,
        )


@check(
    "RT-03",
    "names itself and us in the routing headers of what it sends",
    phase=Phase.LOOKING_BACK,
    versions=MODERN,
    roles=BOTH,
)
async def outbound(on: Ground) -> None:
    modules = ("locations", "tariffs", "sessions", "cdrs", "commands", "tokens")
    heard = [each for module in modules for each in on.listener.heard(module)]
    if not heard:
        raise Skipped("nothing was sent to a functional module of ours")
    us = "*".join(on.us()).upper()
    for each in heard:
        to = "*".join(each.headers.get(f"OCPI-to-{part}", "") for part in PARTS)
        sender = [each.headers.get(f"OCPI-from-{part}") for part in PARTS]
        raise_problems(
            [
                *([] if to.upper() == us else [f"{each.method} {each.path}: OCPI-to is {to}"]),
                *([] if all(sender) else [f"{each.method} {each.path}: OCPI-from is missing"]),
            ]
        )


@check(
    "RT-04",
    "swaps the routing headers in its answers, errors included",
    phase=Phase.LOOKING_BACK,
    versions=MODERN,
    roles=BOTH,
)
async def swapped(on: Ground) -> None:
    for each in _functional(on):
        for there, back in (("from", "to"), ("to", "from")):
            for part in PARTS:
                sent = each.sent.get(f"OCPI-{there}-{part}")
                came = each.headers.get(f"OCPI-{back}-{part}")
                odd = there == "to" and sent == "ZZ" or sent == "ZZZ"
                demand(
                    sent is None or odd or (came or "").upper() == sent.upper(),
                    f"{each.method} {each.url}: OCPI-{there}-{part} {sent} must come back as "
                    f"OCPI-{back}-{part}, was {came or 'missing'}",
                    each,
                )


@check(
    "RT-05",
    "refuses a party that it is not with 2001, its own in any case",
    "E",
    versions=MODERN,
    roles=BOTH,
)
async def addressed(on: Ground) -> None:
    module = a_list(on)
    url = list_url(on, module, limit=1)
    nobody = {"OCPI-to-country-code": "ZZ", "OCPI-to-party-id": "ZZZ"}
    refused_with(await on.client.ask(module, "GET", url, more=nobody), what="OCPI-to = ZZ*ZZZ")
    if on.client.them is not None:
        own = dict(
            zip((f"OCPI-to-{p}" for p in PARTS), map(str.lower, on.client.them), strict=True)
        )
        answer = await on.client.ask(module, "GET", url, more=own)
        demand(answer.ok, f"its own party in small letters was {answer.said}", answer)


@check("RT-11", "narrows lists to the party that is addressed", "E", versions=MODERN)
async def narrowed(on: Ground) -> None:
    parties = {
        (str(each.get("country_code")), str(each.get("party_id")))
        for each in await on.some("locations")
    }
    if len(parties) < 2:
        raise Skipped("all locations are of one party")
    for country, party in sorted(parties):
        to = {"OCPI-to-country-code": country, "OCPI-to-party-id": party}
        answer = await on.client.ask("locations", "GET", list_url(on, "locations"), more=to)
        found = {(each.get("country_code"), each.get("party_id")) for each in answer.items}
        demand(found <= {(country, party)}, f"to {country}*{party} shows {found}", answer)
