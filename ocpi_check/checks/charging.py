"""CM, SE, CD: a real charge from START_SESSION to the bill, and what was pushed meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import uuid4

from ocpi_check.catalogue import MODERN, Checks, Failed, Phase, Skipped, demand
from ocpi_check.checks.objects import volume
from ocpi_check.checks.receiving import result, token_in_order
from ocpi_check.exchange import Exchange
from ocpi_check.ground import Ground, first, raise_problems
from ocpi_check.listener import Arrival
from ocpi_check.shapes import SHAPES
from ocpi_check.wire import Json, join, moment

check = Checks()
CHARGING = Phase.CHARGING
BACK = Phase.LOOKING_BACK
OUTCOMES = (
    "ACCEPTED", "CANCELED_RESERVATION", "EVSE_OCCUPIED", "EVSE_INOPERATIVE", "FAILED",
    "NOT_SUPPORTED", "REJECTED", "TIMEOUT", "UNKNOWN_RESERVATION",
)  # fmt: skip
MARGIN_SECONDS = 5.0


@dataclass(slots=True)
class Charge:
    """One charge, from its command to its bill.

    Attributes:
        started, stopped: the answers to the two commands.
        outcomes: the CommandResults that came to each response_url.
        session: as it was first seen active; *final* when it was over.
    """

    reference: str
    started: Exchange
    outcomes: dict[str, list[Arrival]] = field(default_factory=dict)
    session: Json | None = None
    stopped: Exchange | None = None
    final: Json | None = None
    cdr: Json | None = None


async def charge(on: Ground) -> Charge:
    """The charge of this run; driven when it is first asked for.

    Raises:
        Skipped: nowhere to charge, or the charge did not come about.
    """
    if on.options.plug is None:
        raise Skipped("needs a real charge: only with --start-session LOCATION/EVSE/CONNECTOR")
    if on.options.registered:
        raise Skipped("needs results at our own listener: only with a token A")
    if "charge" not in on.memory:
        on.memory["charge"] = await _drive(on)
        on.forget_lists()
    found: Charge = on.memory["charge"]
    return found


async def begun(on: Ground) -> Charge:
    """The charge, if a session came of it.

    Raises:
        Skipped: none did.
    """
    found = await charge(on)
    if found.session is None:
        raise Skipped("no session came of START_SESSION")
    return found


async def _drive(on: Ground) -> Charge:
    plug = on.options.plug
    assert plug is not None
    reference = str(uuid4())
    body: Json = {
        "token": token_in_order(on),
        "location_id": plug.location,
        "evse_uid": plug.evse,
        "response_url": _where(on, "start"),
    }
    if on.version != "2.1.1":
        body |= {"connector_id": plug.connector, "authorization_reference": reference}
    drive = Charge(reference, await on.ask("commands", "POST", "START_SESSION", body=body))
    if result(drive.started) != "ACCEPTED":
        return drive
    await _outcome(on, drive, "start", drive.started)
    drive.session = await on.listener.until(
        lambda: _pushed(on, drive, ("ACTIVE", "PENDING")), on.options.patience
    )
    if drive.session is None:
        return drive
    await asyncio.sleep(on.options.charge_seconds)
    stop = {"session_id": drive.session["id"], "response_url": _where(on, "stop")}
    drive.stopped = await on.ask("commands", "POST", "STOP_SESSION", body=stop)
    await _outcome(on, drive, "stop", drive.stopped)
    drive.final = await on.listener.until(
        lambda: _pushed(on, drive, ("COMPLETED",)), on.options.patience
    )
    drive.cdr = await on.listener.until(lambda: _billed(on, drive), on.options.patience)
    return drive


def _where(on: Ground, name: str) -> str:
    return join(on.listener.url("commands"), f"{name}-{on.token()['uid']}")


async def _outcome(on: Ground, drive: Charge, name: str, answer: Exchange) -> None:
    told = (answer.data or {}).get("timeout") if isinstance(answer.data, dict) else None
    seconds = float(told) if isinstance(told, int) else 30.0
    last = _where(on, name).rsplit("/", 1)[1]

    def came() -> list[Arrival]:
        heard = on.listener.heard("commands", "POST")
        return [each for each in heard if each.segments[-1:] == (last,)]

    await on.listener.until(came, seconds + MARGIN_SECONDS)
    drive.outcomes[name] = came()


def _bodies(on: Ground, module: str, method: str) -> list[Json]:
    heard = on.listener.heard(module, method)
    return [each.body for each in heard if isinstance(each.body, dict)]


def _pushed(on: Ground, drive: Charge, statuses: tuple[str, ...]) -> Json | None:
    uid = on.token()["uid"]
    contract = on.token().get("auth_id")
    for each in reversed(_bodies(on, "sessions", "PUT")):
        ours = (each.get("cdr_token") or {}).get("uid") == uid or each.get("auth_id") == contract
        known = drive.session is None or each.get("id") == drive.session.get("id")
        if ours and known and each.get("status") in statuses:
            return each
    return None


def _billed(on: Ground, drive: Charge) -> Json | None:
    assert drive.session is not None
    id = drive.session.get("id")
    bills = _bodies(on, "cdrs", "POST")
    if on.version == "2.1.1":
        contract = on.token()["auth_id"]
        return first(bills, lambda each: each.get("auth_id") == contract)
    return first(bills, lambda each: each.get("session_id") == id)


# -- what is judged


@check("CM-02", "sends one CommandResult for each command that it accepted", phase=CHARGING)
async def one_result(on: Ground) -> None:
    drive = await charge(on)
    demand(
        result(drive.started) == "ACCEPTED",
        f"START_SESSION was {drive.started.said}, {result(drive.started)}",
        drive.started,
    )
    for name, heard in drive.outcomes.items():
        demand(
            len(heard) == 1, f"{len(heard)} results came for {name.upper()}_SESSION", drive.started
        )


@check("CM-03", "sends the result bare, to the response_url as it was given", phase=CHARGING)
async def bare(on: Ground) -> None:
    drive = await charge(on)
    for heard in drive.outcomes.values():
        for each in heard:
            good = isinstance(each.body, dict) and isinstance(each.body.get("result"), str)
            demand(good and "status_code" not in each.body, f"the result came as {each.body}")
            kind = each.headers.get("Content-Type", "")
            demand(kind.startswith("application/json"), f"the result came as {kind}")


@check("CM-04", "sends a result that exists", phase=CHARGING)
async def known_result(on: Ground) -> None:
    drive = await charge(on)
    allowed = RESULTS_211 if on.version == "2.1.1" else OUTCOMES
    for heard in drive.outcomes.values():
        for each in heard:
            found = each.body.get("result") if isinstance(each.body, dict) else None
            demand(found in allowed, f"the result {found} does not exist")


RESULTS_211 = ("NOT_SUPPORTED", "REJECTED", "ACCEPTED", "TIMEOUT", "UNKNOWN_SESSION")


@check(
    "CM-12",
    "starts the session with our token and reference, by COMMAND",
    phase=CHARGING,
    versions=MODERN,
)
async def as_ordered(on: Ground) -> None:
    drive = await begun(on)
    session = drive.session or {}
    demand(session.get("auth_method") == "COMMAND", f"auth_method is {session.get('auth_method')}")
    demand(
        session.get("authorization_reference") == drive.reference,
        f"authorization_reference is {session.get('authorization_reference')}",
    )


@check(
    "CM-10",
    "refuses to start with a token that is another party's",
    phase=CHARGING,
    versions=MODERN,
)
async def foreign(on: Ground) -> None:
    await charge(on)  # first ours: this one would occupy the EVSE if it were wrongly taken
    plug = on.options.plug
    assert plug is not None
    body = {
        "token": on.token(country_code="ZZ", party_id="ZZZ", uid="FOREIGN"),
        "location_id": plug.location,
        "evse_uid": plug.evse,
        "connector_id": plug.connector,
        "response_url": _where(on, "foreign"),
    }
    answer = await on.ask("commands", "POST", "START_SESSION", body=body)
    demand(
        result(answer) == "REJECTED" or answer.refused,
        f"START_SESSION with a token of ZZ*ZZZ was {answer.said}, {result(answer)}",
        answer,
    )


@check("SE-12", "carries the authorization_reference into the CDR", phase=CHARGING, versions=MODERN)
async def reference(on: Ground) -> None:
    drive = await begun(on)
    if drive.cdr is None:
        raise Skipped("no CDR came")
    found = drive.cdr.get("authorization_reference")
    demand(found == drive.reference, f"the CDR's authorization_reference is {found}")


@check("SE-02", "pushes a new session whole by PUT to its address", phase=CHARGING)
async def pushed_session(on: Ground) -> None:
    await begun(on)
    for each in on.listener.heard("sessions", "PUT"):
        _at_its_address(on, each)
        problems = SHAPES[on.version]["sessions"](each.body, "session")
        raise_problems([str(problem) for problem in problems])


def _at_its_address(on: Ground, each: Arrival) -> None:
    wrong = len(each.segments) < 3 or not isinstance(each.body, dict)
    demand(not wrong, f"{each.method} {each.path} is no object's address")
    if len(each.segments) == 3:
        demand(
            each.body.get("id", each.segments[2]) == each.segments[2],
            f"{each.method} {each.path} carries {each.body.get('id')}",
        )


@check("SE-08", "starts a session, and bills it, from when it becomes active")
async def starts(on: Ground) -> None:
    name = "start_datetime" if on.version == "2.1.1" else "start_date_time"
    told: dict[str, list[Json]] = {}
    for each in on.listener.arrivals:
        if (each.module, len(each.segments)) == ("sessions", 3) and isinstance(each.body, dict):
            told.setdefault(each.segments[2], []).append(each.body)
    listed = {str(each.get("id")): each for each in await on.present("sessions")}
    bills = {
        str(each.get("session_id")): each
        for each in await on.present("cdrs")
        if not each.get("credit") and not volume(each, "RESERVATION_TIME")
    }
    problems, seen = [], bool(told)
    for id, bodies in told.items():
        problems += [f"session {id} {text}" for text in moved_back(bodies, name)]
        if listed.get(id, {}).get("status") == "COMPLETED":
            problems += _apart(id, "as it was pushed", last(bodies, name), listed[id].get(name))
    for id in listed.keys() & bills.keys():
        if listed[id].get("status") == "COMPLETED":
            seen = True
            bill = bills[id].get("start_date_time")
            problems += _apart(id, "in its CDR", bill, listed[id].get(name))
    if not seen:
        raise Skipped("no session was pushed, and no finished one has a CDR")
    raise_problems(problems)


def moved_back(bodies: list[Json], name: str) -> Iterator[str]:
    """What is wrong with the start of a session that was told as *bodies*, PUTs and PATCHes."""
    pending, status = None, None
    for each in bodies:
        start, status = moment(each.get(name)), each.get("status", status)
        if start is None:
            continue
        if status == "PENDING":
            pending = start
        elif pending is not None and start < pending:
            yield f"is {status} and starts at {each[name]}, before it was PENDING"


def last(bodies: list[Json], name: str) -> Any:
    """*name* as it was last told; None if never."""
    return next((each[name] for each in reversed(bodies) if each.get(name) is not None), None)


def _apart(id: str, where: str, told: Any, listed: Any) -> Iterator[str]:
    """Starts that differ by a second or more; some parties give one with a fraction, one without."""
    one, other = moment(told), moment(listed)
    if one is not None and other is not None and abs(one - other) >= timedelta(seconds=1):
        yield f"session {id} starts at {told} {where}, at {listed} in the list"


@check("SE-03", "dates every PATCH of a session", phase=BACK)
async def patched_session(on: Ground) -> None:
    _dated(on, "sessions")


def _dated(on: Ground, module: str) -> None:
    heard = on.listener.heard(module, "PATCH")
    if not heard:
        raise Skipped(f"no {module} were patched while we listened")
    undated = [each.path for each in heard if "last_updated" not in (each.body or {})]
    raise_problems([f"PATCH {path} has no last_updated" for path in undated])


@check("CD-02", "posts the CDR whole, after the charge", phase=CHARGING)
async def posted(on: Ground) -> None:
    drive = await begun(on)
    if drive.cdr is None:
        raise Failed("no CDR was posted after the charge ended")
    heard = on.listener.heard("cdrs", "POST")
    demand(all(not each.segments for each in heard), "a CDR was posted to an address below cdrs")
    problems = SHAPES[on.version]["cdrs"](drive.cdr, "cdr")
    raise_problems([str(problem) for problem in problems])


@check("CD-25", "sends the CDR soon after the end", "S", phase=CHARGING)
async def soon(on: Ground) -> None:
    drive = await begun(on)
    demand(drive.cdr is not None, f"no CDR within {on.options.patience:g} s of the end")


# -- what was pushed while we were registered


@check("LO-05", "pushes locations whole, each to its own address", phase=BACK)
async def pushed_locations(on: Ground) -> None:
    on.registering()
    heard = on.listener.heard("locations", "PUT")
    if not heard:
        raise Skipped("no location was pushed while we listened")
    names = {3: "locations", 4: "evse", 5: "connector"}
    for each in heard:
        _at_its_address(on, each)
        shape = SHAPES[on.version][names.get(len(each.segments), "locations")]
        raise_problems([f"PUT {each.path}: {problem}" for problem in shape(each.body, "")])


@check("LO-06", "dates every PATCH of a location", phase=BACK)
async def patched_locations(on: Ground) -> None:
    on.registering()
    _dated(on, "locations")


@check("TA-02", "pushes tariffs whole by PUT, each to its own address", phase=BACK)
async def pushed_tariffs(on: Ground) -> None:
    on.registering()
    heard = on.listener.heard("tariffs", "PUT")
    if not heard:
        raise Skipped("no tariff was pushed while we listened")
    for each in heard:
        _at_its_address(on, each)
        shape = SHAPES[on.version]["tariffs"]
        raise_problems([f"PUT {each.path}: {problem}" for problem in shape(each.body, "")])
