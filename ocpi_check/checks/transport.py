"""TR: what every request and every answer looks like, whatever its module."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from ocpi_check.catalogue import CPO, EMSP, MODERN, Checks, Phase, Skipped, demand
from ocpi_check.client import OMIT
from ocpi_check.exchange import Exchange
from ocpi_check.ground import INTERFACES, LISTS, Ground, none_of, raise_problems, refused_with
from ocpi_check.kinds import when
from ocpi_check.wire import authorization, join, with_query

check = Checks()
BOTH = (CPO, EMSP)
UNKNOWN = "no-such-token-0123456789"
HABITUAL = {1000, 2000, 2001, 2002, 2003, 2004, 3000, 3001, 3002, 3003}
IDS = ("X-Request-ID", "X-Correlation-ID")
PLACEHOLDER = "#NA"
MAY_BE_UNFILLED = ("evse_uid", "evse_id", "connector_id", "postal_code")
"""2.1.1 demands a postal code even where a country has none."""
LOOPBACK = ("127.0.0.1", "localhost", "::1")


def a_list(on: Ground) -> str:
    """A list that the other side offers, to try things on.

    Raises:
        Skipped: there is none.
    """
    for module in ("tariffs", "cdrs", "locations", "sessions", "tokens"):
        role = INTERFACES[on.role].get(module)
        if module in LISTS[on.role] and role and (module, role) in on.endpoints:
            return module
    raise Skipped("no list is offered")


def list_url(on: Ground, module: str, **query: str | int | None) -> str:
    return with_query(on.url(module), **on.window(module, **query))


# -- addresses


@check("TR-01", "advertises absolute https addresses only", roles=BOTH)
async def absolute(on: Ground) -> None:
    test_bed = urlsplit(on.options.url).hostname in LOOPBACK
    schemes = ("https", "http") if test_bed else ("https",)
    bad = [url for url in _advertised(on) if urlsplit(url).scheme not in schemes]
    shown = on.details
    assert shown is not None
    raise_problems([f"{url} is no absolute https address" for url in bad], shown)


def _advertised(on: Ground) -> Iterator[str]:
    for each in on.versions.items if on.versions else []:
        yield str(each.get("url"))
    for each in on.offered:
        yield str(each.get("url"))
    for exchange in on.client.kept:
        if exchange.next:
            yield exchange.next


@check("TR-45", "has its version in its endpoints' addresses", "S", roles=BOTH)
async def versioned(on: Ground) -> None:
    assert on.details is not None
    plain = [url for url in on.endpoints.values() if on.version not in url]
    raise_problems([f"{url} does not contain {on.version}" for url in plain], on.details)


# -- who calls


@check("TR-02", "refuses a request without Authorization with 401", roles=BOTH)
async def no_header(on: Ground) -> None:
    assert on.details is not None
    module = a_list(on)
    for name, url in (
        ("versions", on.options.url),
        ("details", on.details.url),
        (module, list_url(on, module)),
    ):
        answer = await on.client.ask(name, "GET", url, header=OMIT)
        demand(
            answer.http == 401,
            f"{name} without an Authorization header must be 401, was {answer.said}",
            answer,
        )


@check("TR-03", "refuses an unknown or malformed token with 401, never 403", roles=BOTH)
async def unknown_token(on: Ground) -> None:
    module = a_list(on)
    tries = (
        ("versions", on.options.url, authorization(UNKNOWN, on.version)),
        (module, list_url(on, module), authorization(UNKNOWN, on.version)),
        (module, list_url(on, module), "Token"),
        (module, list_url(on, module), "Token !!!"),
    )
    for name, url, header in tries:
        answer = await on.client.ask(name, "GET", url, header=header)
        demand(
            answer.http == 401,
            f"{name} with a token that nobody was given must be 401, was {answer.said}",
            answer,
        )


@check("TR-04", "opens only versions and credentials to a token A", phase=Phase.DOOR, roles=BOTH)
async def reach_of_a(on: Ground) -> None:
    for module in LISTS[on.role]:
        if (module, INTERFACES[on.role][module]) in on.endpoints:
            answer = await on.client.ask(module, "GET", list_url(on, module))
            demand(
                answer.http == 401,
                f"{module} with a registration token must be 401, was {answer.said}",
                answer,
            )


@check("TR-07", "reads the scheme word in any case, and refuses others with 401", "E", roles=BOTH)
async def schemes(on: Ground) -> None:
    assert on.client.token is not None
    good = authorization(on.client.token, on.version).replace("Token", "token", 1)
    answer = await on.client.ask("versions", "GET", on.options.url, header=good)
    demand(answer.ok, f"the scheme word 'token' in small letters was {answer.said}", answer)
    bearer = authorization(on.client.token, on.version).replace("Token", "Bearer", 1)
    answer = await on.client.ask("versions", "GET", on.options.url, header=bearer)
    demand(answer.http == 401, f"the scheme 'Bearer' must be 401, was {answer.said}", answer)


@check("TR-08", "shows nothing more to whoever names another party in the headers")
async def headers_widen_nothing(on: Ground) -> None:
    if on.version == "2.1.1":
        raise Skipped("2.1.1 has no routing headers")
    for module in ("sessions", "cdrs"):
        own = {str(each.get("id")) for each in (await on.listed(module)).items}
        url = list_url(on, module)
        other = {"OCPI-from-country-code": "ZZ", "OCPI-from-party-id": "ZZZ"}
        answer = await on.client.ask(module, "GET", url, more=other)
        seen = {str(each.get("id")) for each in answer.items if isinstance(each, dict)}
        demand(
            not answer.ok or seen <= own,
            f"{module} of others appear when the headers name another party",
            answer,
        )


# -- bodies in


def _bad_order(on: Ground) -> tuple[str, tuple[str, ...]]:
    """A module and path that take a JSON body, at either side."""
    return ("commands", ("STOP_SESSION",)) if on.role == CPO else ("cdrs", ())


@check("TR-09", "takes application/json with a charset parameter", roles=BOTH)
async def charset(on: Ground) -> None:
    module, path = _bad_order(on)
    kind = {"Content-Type": "application/json; charset=utf-8"}
    plain = await on.ask(module, "POST", *path, body={})
    answer = await on.ask(module, "POST", *path, body={}, more=kind)
    demand(
        answer.http == plain.http,
        f"a body of application/json; charset=utf-8 was {answer.said}, without it {plain.said}",
        plain,
        answer,
    )


@check("TR-10", "answers a body that is no JSON with 400", roles=BOTH)
async def no_json(on: Ground) -> None:
    module, path = _bad_order(on)
    answer = await on.ask(module, "POST", *path, raw=b'{"session_id": ')
    demand(answer.http == 400, f"a body that is no JSON must be 400, was {answer.said}", answer)


@check("TR-11", "answers JSON that lacks a member with HTTP 200 and a code 2xxx", roles=BOTH)
async def semantic(on: Ground) -> None:
    module, path = _bad_order(on)
    answer = await on.ask(module, "POST", *path, body={})
    demand(
        answer.http == 200 and answer.refused,
        f"good JSON with members missing must be HTTP 200 with a code 2xxx, was {answer.said}",
        answer,
    )


@check("TR-42", "ignores members that it does not know", "E")
async def unknown_members(on: Ground) -> None:
    body = {"session_id": "no-such-session", "response_url": response_url(on)}
    plain = await on.ask("commands", "POST", "STOP_SESSION", body=body)
    more = body | {"xx_unknown": {"a": [1]}, "response_url": response_url(on)}
    answer = await on.ask("commands", "POST", "STOP_SESSION", body=more)
    demand(
        (answer.http, answer.code) == (plain.http, plain.code),
        f"an unknown member changes the answer from {plain.said} to {answer.said}",
        plain,
        answer,
    )


def response_url(on: Ground) -> str:
    """Where the other side may send a command's result."""
    count = on.memory["commands"] = on.memory.get("commands", 0) + 1
    return join(on.listener.url("commands"), f"result-{count}")


# -- answers


@check("TR-12", "answers a GET of something absent with 404", "S")
async def absent(on: Ground) -> None:
    answer = await on.get("locations", "NO-SUCH-LOCATION")
    demand(answer.http == 404, f"an unknown location must be 404, was {answer.said}", answer)


@check(
    "TR-14",
    "wraps every answer, errors too, in status_code, timestamp and data",
    phase=Phase.LOOKING_BACK,
    roles=BOTH,
)
async def envelopes(on: Ground) -> None:
    for each in on.client.kept:
        why = _no_envelope(each)
        demand(why is None, f"{each.method} {each.url}: {why}", each)


def _no_envelope(each: Exchange) -> str | None:
    if each.trouble:
        return f"HTTP {each.http} with a body that is no JSON ({each.trouble})"
    if not isinstance(each.envelope, dict):
        return "the body is no JSON object"
    if each.code is None:
        return "status_code is missing or no integer"
    if next(when(each.envelope.get("timestamp"), "timestamp"), None):
        return f"timestamp is {each.envelope.get('timestamp')!r}, no DateTime"
    if each.ok and each.method == "GET" and "data" not in each.envelope:
        return "data is missing"
    return None


@check("TR-15", "has arrays where they belong: as data of lists, and in members", roles=BOTH)
async def arrays(on: Ground) -> None:
    for module in LISTS[on.role]:
        if (module, INTERFACES[on.role][module]) not in on.endpoints:
            continue
        nothing: dict[str, str] = {"date_from": LONG_GONE[0], "date_to": LONG_GONE[1]}
        for query in ({}, nothing):
            answer = await on.page(module, **query)
            demand(
                answer.ok and isinstance(answer.data, list),
                f"{module} must be 200/1000 with an array, was {answer.said}",
                answer,
            )
            demand(
                not query or not answer.items,
                f"{module} between 1990 and 1991 must be empty",
                answer,
            )
    broken = [(each, page) for each, page in await on.problems() if each.rule == "TR-15"]
    raise_problems([str(each) for each, _ in broken], *(page for _, page in broken[:1]))


LONG_GONE = ("1990-01-01T00:00:00Z", "1991-01-01T00:00:00Z")


@check("TR-16", "leaves data out of refusals", "S", phase=Phase.LOOKING_BACK, roles=BOTH)
async def no_data(on: Ground) -> None:
    for each in on.client.kept:
        refusal = each.code is not None and each.code >= 2000 and each.module != "commands"
        demand(
            not refusal or each.data is None,
            f"{each.method} {each.url}: a refusal ({each.said}) carries data",
            each,
        )


@check("TR-18", "uses the status codes of OCPI only", phase=Phase.LOOKING_BACK, roles=BOTH)
async def codes(on: Ground) -> None:
    for each in on.client.kept:
        custom = each.code is not None and each.code % 1000 >= 900
        hubs = each.code is not None and each.code >= 4000
        demand(
            each.code is None or each.code in HABITUAL or custom or hubs,
            f"{each.method} {each.url}: status_code {each.code} does not exist",
            each,
        )


@check("TR-19", "leaves status codes 4xxx to hubs", phase=Phase.LOOKING_BACK, roles=BOTH)
async def hub_codes(on: Ground) -> None:
    for each in on.client.kept:
        demand(
            each.code is None or each.code < 4000,
            f"{each.method} {each.url}: status_code {each.code} is a hub's",
            each,
        )


@check(
    "TR-21",
    "echoes both request ids on every answer",
    phase=Phase.SUMMING,
    versions=MODERN,
    roles=BOTH,
)
async def ids(on: Ground) -> None:
    module = a_list(on)
    bare = await on.client.ask(
        module, "GET", list_url(on, module, limit=1), more=dict.fromkeys(IDS, OMIT)
    )
    demand(bare.ok, f"a request without ids was {bare.said}; they must not be demanded", bare)
    for each in on.client.kept:
        for name in IDS:
            sent, back = each.sent.get(name), each.headers.get(name)
            demand(
                sent in (None, back),
                f"{each.method} {each.url}: {name} sent {sent}, came back {back or 'missing'}",
                each,
            )


# -- methods and slashes


@check("TR-27", "answers a method that an interface does not have with 405", "E", roles=BOTH)
async def methods(on: Ground) -> None:
    tries = {
        CPO: (("locations", "POST", ()), ("cdrs", "PUT", ()), ("commands", "GET", ("X",))),
        EMSP: (("tokens", "PUT", ()), ("cdrs", "PUT", ()), ("commands", "GET", ("X",))),
    }
    for module, method, path in tries[on.role]:
        if module == "commands":
            path = ("START_SESSION",)
        body: Any = None if method == "GET" else {}
        answer = await on.ask(module, method, *path, body=body)
        demand(
            answer.http == 405 or (module == "commands" and answer.http == 404),
            f"{method} on {module} must be 405, was {answer.said}",
            answer,
        )


@check("TR-28", "takes a slash at the end of an address, and never redirects", "E", roles=BOTH)
async def slashes(on: Ground) -> None:
    module = a_list(on)
    path, _, query = list_url(on, module, limit=1).partition("?")
    for each in (path.rstrip("/"), path.rstrip("/") + "/"):
        answer = await on.client.ask(module, "GET", f"{each}?{query}")
        demand(answer.ok, f"{each} must be 200/1000, was {answer.said}", answer)


@check("TR-30", "finds ids whatever their case, and shows them as they were written")
async def case(on: Ground) -> None:
    found = next(
        (e for e in await on.some("locations") if str(e.get("id")).swapcase() != e.get("id")), None
    )
    if found is None:
        raise Skipped("no location has a letter in its id")
    id = str(found["id"])
    answer = await on.get("locations", id.swapcase())
    shown = answer.data.get("id") if isinstance(answer.data, dict) else None
    demand(
        answer.ok and shown == id,
        f"location {id} asked for as {id.swapcase()} must be found, was {answer.said}",
        answer,
    )


# -- values


def _of_shape(id: str, title: str) -> None:
    @check(id, title, roles=BOTH)
    async def judged(on: Ground) -> None:
        await on.shaped(id)


_of_shape("TR-31", "writes enum literals exactly as the specification does")
_of_shape("TR-32", "writes printable strings, and ids in ASCII")
_of_shape("TR-33", "keeps to the greatest lengths")
_of_shape("TR-34", "writes every DateTime in UTC with Z, at most three digits of a second")
_of_shape("TR-37", "writes numbers as JSON numbers, without float noise")
_of_shape("TR-38", "writes int members without a fraction part")


@check("TR-39", "writes prices as objects with excl_vat", versions=("2.2.1",))
async def prices(on: Ground) -> None:
    await on.shaped("TR-39", "sessions", "cdrs", "tariffs")


@check("TR-40", "keeps to the form of URLs, display texts and member names", roles=BOTH)
async def forms(on: Ground) -> None:
    await on.shaped("TR-40")
    for module in LISTS[on.role]:
        for each in await on.present(module):
            bad = [name for name in _names(each) if not re.fullmatch(r"[a-z0-9_]+", name)]
            raise_problems([f"{module}: {name} is not in snake_case" for name in bad])


def _names(value: Any) -> Iterator[str]:
    match value:
        case dict():
            for name, each in value.items():
                yield name
                yield from _names(each)
        case list():
            for each in value:
                yield from _names(each)
        case _:
            pass


@check("TR-44", "writes #NA only where a required member cannot be filled")
async def placeholders(on: Ground) -> None:
    seen = False
    for module in LISTS[on.role]:
        for each in await on.present(module):
            seen = True
            bad = [path for path in _placeholders(each, module)]
            raise_problems([f"{path} is {PLACEHOLDER}" for path in bad])
    if not seen:
        raise Skipped("every list is empty")


def _placeholders(value: Any, path: str) -> Iterator[str]:
    match value:
        case dict():
            for name, each in value.items():
                if each != PLACEHOLDER or name not in MAY_BE_UNFILLED:
                    yield from _placeholders(each, f"{path}.{name}")
        case list():
            for each in value:
                yield from _placeholders(each, path)
        case str() if value == PLACEHOLDER:
            yield path
        case _:
            pass


# -- dates in


@check("TR-35", "reads dates in all documented shapes", roles=BOTH)
async def dates_in(on: Ground) -> None:
    shapes = ["2019-01-28T12:00:00Z", "2019-01-28T12:00:00"]
    if on.version != "2.1.1":
        shapes += [f"2019-01-28T12:00:00.{part}{z}" for part in ("2", "123") for z in ("", "Z")]
    module = a_list(on)
    for text in shapes:
        answer = await on.page(module, date_from=text, limit=1)
        demand(answer.ok, f"date_from={text} must be taken, was {answer.said}", answer)


@check("TR-36", "reads offsets leniently, and refuses garbage with 2001", "E", roles=BOTH)
async def odd_dates(on: Ground) -> None:
    module = a_list(on)
    url = on.url(module)
    for text in ("2019-01-28T12:00:00%2B00:00", "2019-01-28T12:00:00+00:00"):
        answer = await on.client.ask(module, "GET", f"{url}?date_from={text}&limit=1")
        demand(answer.ok, f"date_from={text} was {answer.said}", answer)
    for text in ("yesterday", "2019-13-45T99:00:00Z"):
        answer = await on.page(module, date_from=text)
        refused_with(answer, what=f"date_from={text}")


# -- what they send us


@check(
    "TR-05",
    "calls us with our token in base64 after the word Token",
    phase=Phase.LOOKING_BACK,
    versions=MODERN,
    roles=BOTH,
)
async def their_header(on: Ground) -> None:
    heard = _heard(on)
    wrong = [each for each in heard if not each.known]
    none_of(wrong, "came with another Authorization header")


@check(
    "TR-20",
    "sends fresh X-Request-ID and X-Correlation-ID with every request",
    phase=Phase.LOOKING_BACK,
    versions=MODERN,
    roles=BOTH,
)
async def their_ids(on: Ground) -> None:
    heard = _heard(on)
    raise_problems(
        f"{each.method} {each.path}: {name} is missing"
        for each in heard
        for name in IDS
        if not each.headers.get(name)
    )
    seen = [each.headers["X-Request-ID"] for each in heard]
    demand(len(set(seen)) == len(seen), "one X-Request-ID came with two requests")


def _heard(on: Ground) -> list[Any]:
    found = [each for each in on.listener.arrivals if each.door == "good"]
    if not found:
        raise Skipped("the other side has not called us")
    return found
