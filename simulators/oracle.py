"""Is what we say happened what really happened? A pure function over three ledgers.

The chargers wrote down what they delivered and what was acknowledged; the partner wrote down which
bills reached it; the backend exports what it believes. `compare` lays the three side by side. It
trusts the chargers about energy and acknowledgements, the partner about what arrived and what it
should cost, and the backend about nothing.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any

Line = dict[str, Any]


class Kind(StrEnum):
    """Every way in which the ledgers can disagree."""

    ACKED_START_MISSING = "acked-start-missing"
    ACKED_SAMPLE_MISSING = "acked-sample-missing"
    ACKED_STOP_MISSING = "acked-stop-missing"
    DUPLICATE_SESSION = "duplicate-session"
    UNEXPLAINED_SESSION = "unexplained-session"
    ENERGY_DIFFERS = "energy-differs"
    SESSION_WITHOUT_CDR = "session-without-cdr"
    DUPLICATE_CDR = "duplicate-cdr"
    CDR_WITHOUT_SESSION = "cdr-without-session"
    CDR_ENERGY_DIFFERS = "cdr-energy-differs"
    CDR_MISSING_AT_PARTNER = "cdr-missing-at-partner"
    CDR_TWICE_AT_PARTNER = "cdr-twice-at-partner"
    CDR_AT_WRONG_PARTNER = "cdr-at-wrong-partner"
    CDR_BODY_DIFFERS = "cdr-body-differs"
    COST_DIFFERS = "cost-differs"
    CALLERROR = "callerror"


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One disagreement: what kind, about what, and the two sides of it."""

    kind: Kind
    subject: str
    detail: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.subject}: {self.detail}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the comparison found.

    Attributes:
        mismatches: empty means good.
        figures: sizes of what was compared; a good verdict over nothing proves nothing.
    """

    mismatches: list[Mismatch]
    figures: dict[str, int]
    _counts: Counter[Kind] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_counts", Counter(each.kind for each in self.mismatches))

    @property
    def good(self) -> bool:
        """Whether the ledgers agree."""
        return not self.mismatches

    def count(self, kind: Kind) -> int:
        """How many mismatches of one kind there are."""
        return self._counts[kind]

    def of(self, kind: Kind) -> list[Mismatch]:
        """The mismatches of one kind."""
        return [each for each in self.mismatches if each.kind is kind]

    def print_line(self, id: str, seed: int | str) -> str:
        """One line for people and for grep: the scenario, the figures, every kind's count."""
        figures = " ".join(f"{name}={value}" for name, value in self.figures.items())
        faults = " ".join(f"{kind}={self._counts[kind]}" for kind in Kind)
        return f"{id} {'pass' if self.good else 'FAIL'} seed={seed} {figures} {faults}"


def compare(chargers: Iterable[Line], partner: Iterable[Line], ours: Iterable[Line]) -> Verdict:
    """Compare the chargers' ledger, the partner's (or all partners', one after the other) and ours.

    The formats are those of `simulators.ledger`, of the partner simulator's ledger and of
    ``cms export ledger``. Run it when everything has drained: a message still under way looks
    like a message that was lost.
    """
    field_, bills, belief = _Field(chargers), _Bills(partner), _Belief(ours)
    found = [
        *_acknowledged_but_missing(field_, belief),
        *_sessions_twice(belief),
        *_unexplained(field_, belief),
        *_energy(field_, belief),
        *_bills_of_sessions(field_, belief),
        *_bills_at_partners(belief, bills),
        *_costs(bills),
        *_callerrors(field_),
    ]
    return Verdict(found, _figures(field_, bills, belief))


# -- the three sides ---------------------------------------------------------------------------------


class _Field:
    """The chargers' ledger, by transaction."""

    def __init__(self, lines: Iterable[Line]) -> None:
        self.delivered: list[Line] = []
        self.starts: list[Line] = []
        self.samples: list[Line] = []
        self.stops: list[Line] = []
        self.callerrors: list[Line] = []
        self.gave_up = 0
        self.start_given_up: set[tuple[str, str]] = set()
        for line in lines:
            self._take(line)
        self.id_of = {
            (line["station"], line["txn"]): line["transaction_id"]
            for line in [*self.starts, *self.samples, *self.stops]
            if line["transaction_id"] is not None
        }
        self.told_the_end = {(line["station"], line["txn"]) for line in self.stops}
        self.delivered_as = {(line["station"], line["txn"]): line for line in self.delivered}

    def _take(self, line: Line) -> None:
        match line["kind"]:
            case "delivered":
                self.delivered.append(line)
            case "acked":
                self._take_acked(line)
            case "callerror":
                self.callerrors.append(line)
            case "gave_up":
                self.gave_up += 1
                if line["message"] in ("start", "started"):
                    self.start_given_up.add((line["station"], line["txn"]))
            case _:
                pass

    def _take_acked(self, line: Line) -> None:
        match line["message"]:
            case "start" | "started":
                self.starts.append(line)
            case "stop" | "ended":
                self.stops.append(line)
            case _:
                self.samples.append(line)


class _Belief:
    """Our export."""

    def __init__(self, lines: Iterable[Line]) -> None:
        self.sessions: list[Line] = []
        self.cdrs: list[Line] = []
        self.work_items: list[Line] = []
        self.journalled: Counter[tuple[str, str | None]] = Counter()
        for line in lines:
            self._take(line)
        self.by_transaction: dict[tuple[str, str | None], list[Line]] = defaultdict(list)
        self.by_station: dict[str, list[Line]] = defaultdict(list)
        for session in self.sessions:
            self.by_station[session["station"]].append(session)
            self.by_transaction[session["station"], session["transaction_id"]].append(session)
        self.cdrs_of: dict[str, list[Line]] = defaultdict(list)
        for cdr in self.cdrs:
            self.cdrs_of[cdr["session_id"]].append(cdr)

    def _take(self, line: Line) -> None:
        match line["kind"]:
            case "session":
                self.sessions.append(line)
            case "cdr":
                self.cdrs.append(line)
            case "work_item":
                self.work_items.append(line)
            case "journal":
                self.journalled[line["station"], line["transaction_id"]] += 1
            case _:
                pass

    def session_of(self, field_: _Field, station: str, txn: str) -> Line | None:
        """Our session for a charger's transaction, found by id, else by its registers."""
        id = field_.id_of.get((station, txn))
        if id is not None:
            return next(iter(self.by_transaction.get((station, id), [])), None)
        return self._by_registers(field_.delivered_as.get((station, txn)))

    def _by_registers(self, delivered: Line | None) -> Line | None:
        if delivered is None:
            return None
        for session in self.by_station[delivered["station"]]:
            if session["stop_wh"] == delivered["stop_wh"] and (
                session["start_wh"] in (None, delivered["start_wh"])
            ):
                return session
        return None

    def shown(self, session: Line) -> bool:
        """Whether a person is told of *session*: an open work item names it."""
        return any(
            item["state"] == "open" and session["id"] in str(item["subject"])
            for item in self.work_items
        )

    def joined(self, stop: Line) -> bool:
        """Whether a stop that named no transaction is the end of a session that says so.

        A charger that discarded one stop and the next start has run two visits of one driver
        together: all their energy is in the one session, and its flag tells how that came.
        """
        return any(
            session["stop_wh"] == stop["register_wh"] and "unknown_transaction" in session["flags"]
            for session in self.by_station[stop["station"]]
        )

    def has_work_for(self, station: str) -> bool:
        """Whether an open work item is about *station*."""
        return any(
            item["state"] == "open" and station in str(item["subject"]) for item in self.work_items
        )


class _Bills:
    """What reached the partners."""

    def __init__(self, lines: Iterable[Line]) -> None:
        self.stored: dict[str, list[Line]] = defaultdict(list)
        self.recomputed: dict[str, Line] = {}
        for line in lines:
            if line["kind"] == "cdr" and line.get("stored", True):
                self.stored[line["id"]].append(line)
            elif line["kind"] == "recomputed":
                self.recomputed[line["cdr_id"]] = line


def _figures(field_: _Field, bills: _Bills, belief: _Belief) -> dict[str, int]:
    return {
        "delivered": len(field_.delivered),
        "acked_starts": len(field_.starts),
        "acked_samples": len(field_.samples),
        "acked_stops": len(field_.stops),
        "gave_up": field_.gave_up,
        "wh_delivered": sum(line["stop_wh"] - line["start_wh"] for line in field_.delivered),
        "sessions": len(belief.sessions),
        "wh_cdr": sum(
            (-1 if cdr.get("credit") else 1) * (cdr["energy_wh"] or 0) for cdr in belief.cdrs
        ),
        "cdrs": len(belief.cdrs),
        "cdrs_at_partner": sum(len(lines) for lines in bills.stored.values()),
        "cost_recomputed": len(bills.recomputed),
    }


# -- the questions -----------------------------------------------------------------------------------


def _name(line: Line) -> str:
    return f"{line['station']}/{line.get('transaction_id')}"


def _acknowledged_but_missing(field_: _Field, belief: _Belief) -> Iterator[Mismatch]:
    for line in field_.starts:
        if belief.session_of(field_, line["station"], line["txn"]) is None:
            yield Mismatch(Kind.ACKED_START_MISSING, _name(line), f"acknowledged {line['at']}")
    yield from _stops_missing(field_, belief)
    yield from _samples_missing(field_, belief)


def _stops_missing(field_: _Field, belief: _Belief) -> Iterator[Mismatch]:
    for line in field_.stops:
        session = belief.session_of(field_, line["station"], line["txn"])
        if session is None and line["transaction_id"] is None:
            if not belief.joined(line) and not belief.has_work_for(line["station"]):
                yield Mismatch(
                    Kind.ACKED_STOP_MISSING, _name(line), "an orphan, and no work item about it"
                )
        elif session is None:
            yield Mismatch(Kind.ACKED_STOP_MISSING, _name(line), "no such session")
        elif session["ended_at"] is None:
            yield Mismatch(Kind.ACKED_STOP_MISSING, _name(line), "the session has no end")


def _samples_missing(field_: _Field, belief: _Belief) -> Iterator[Mismatch]:
    """Every distinct acknowledged message of a transaction has a row of its own in the journal."""
    if not belief.journalled:
        return
    messages: dict[tuple[str, str], set[tuple[Any, ...]]] = defaultdict(set)
    for line in [*field_.starts, *field_.samples, *field_.stops]:
        # A StartTransaction names no transaction; its row may not either.
        if line["transaction_id"] is not None and line["message"] != "start":
            messages[line["station"], line["transaction_id"]].add(
                (line["message"], line["register_wh"], line["seq_no"])
            )
    for (station, id), distinct in messages.items():
        rows = belief.journalled[station, id]
        if rows < len(distinct):
            yield Mismatch(
                Kind.ACKED_SAMPLE_MISSING,
                f"{station}/{id}",
                f"{len(distinct)} messages acknowledged, {rows} in the journal",
            )


def _sessions_twice(belief: _Belief) -> Iterator[Mismatch]:
    for (station, id), sessions in belief.by_transaction.items():
        if id is not None and len(sessions) > 1:
            yield Mismatch(
                Kind.DUPLICATE_SESSION, f"{station}/{id}", ", ".join(s["id"] for s in sessions)
            )
    starts: dict[tuple[Any, ...], list[Line]] = defaultdict(list)
    for session in belief.sessions:
        if session["start_wh"] is not None:
            key = ("station", "evse", "id_tag", "started_at", "start_wh")
            starts[tuple(session[name] for name in key)].append(session)
    for key_, sessions in starts.items():
        if len({session["transaction_id"] for session in sessions}) > 1:
            yield Mismatch(
                Kind.DUPLICATE_SESSION,
                f"{key_[0]} EVSE {key_[1]} at {key_[3]}",
                "one start, transactions " + ", ".join(s["transaction_id"] for s in sessions),
            )


def _unexplained(field_: _Field, belief: _Belief) -> Iterator[Mismatch]:
    """Sessions of chargers that we have the ledger of, which none of them knows."""
    stations = {line["station"] for line in [*field_.delivered, *field_.starts]}
    known = {(station, id) for (station, _), id in field_.id_of.items()}
    registers: dict[str, set[int]] = defaultdict(set)
    for line in field_.delivered:
        registers[line["station"]] |= {line["start_wh"], line["stop_wh"]}
    for session in belief.sessions:
        station = session["station"]
        if station not in stations or (station, session["transaction_id"]) in known:
            continue
        if not registers[station] & {session["start_wh"], session["stop_wh"]}:
            yield Mismatch(
                Kind.UNEXPLAINED_SESSION, _name(session), f"session {session['id']} is nobody's"
            )


def _energy(field_: _Field, belief: _Belief) -> Iterator[Mismatch]:
    for line in field_.delivered:
        key = (line["station"], line["txn"])
        session = belief.session_of(field_, *key)
        if key not in field_.told_the_end or session is None:
            continue
        real = line["stop_wh"] - line["start_wh"]
        if key in field_.start_given_up and (
            belief.shown(session) or "seq_gap" in session["flags"]
        ):
            continue  # where it began nobody will ever say again, and a person knows
        if session["energy_wh"] != real:
            yield Mismatch(
                Kind.ENERGY_DIFFERS,
                _name(session),
                f"delivered {real} Wh, session says {session['energy_wh']}",
            )


def _bills_of_sessions(field_: _Field, belief: _Belief) -> Iterator[Mismatch]:
    told = {
        (station, field_.id_of.get((station, txn)))
        for station, txn in field_.told_the_end - field_.start_given_up
    }
    for session in belief.sessions:
        cdrs = belief.cdrs_of.get(session["id"], [])
        standing = sum(-1 if cdr.get("credit") else 1 for cdr in cdrs)
        if standing > 1:
            yield Mismatch(Kind.DUPLICATE_CDR, _name(session), ", ".join(cdr["id"] for cdr in cdrs))
        elif standing < 1:
            if _owes_a_bill(session, told, belief):
                yield Mismatch(Kind.SESSION_WITHOUT_CDR, _name(session), f"session {session['id']}")
        elif cdrs and standing == 1:
            billed = sum((-1 if c.get("credit") else 1) * (c["energy_wh"] or 0) for c in cdrs)
            if billed != session["energy_wh"]:
                yield Mismatch(
                    Kind.CDR_ENERGY_DIFFERS,
                    _name(session),
                    f"session {session['energy_wh']} Wh, billed {billed} Wh",
                )
    ids = {session["id"] for session in belief.sessions}
    for cdr in belief.cdrs:
        if cdr["session_id"] not in ids:
            yield Mismatch(Kind.CDR_WITHOUT_SESSION, cdr["id"], f"session {cdr['session_id']}")


def _owes_a_bill(session: Line, told: set[tuple[str, str | None]], belief: _Belief) -> bool:
    """Whether an ended session without a bill is wrong: not if a person is shown why, and not while
    it waits for an end that its charger has not told yet."""
    if session["ended_at"] is None:
        return False
    match session["status"].lower():
        case "invalid":
            return not belief.shown(session)
        case "stopped":
            return (session["station"], session["transaction_id"]) in told
        case _:
            return True


def _bills_at_partners(belief: _Belief, bills: _Bills) -> Iterator[Mismatch]:
    ours = {cdr["id"]: cdr for cdr in belief.cdrs}
    for cdr in belief.cdrs:
        stored = bills.stored.get(cdr["id"], [])
        if cdr["partner"] is not None and not stored:
            yield Mismatch(Kind.CDR_MISSING_AT_PARTNER, cdr["id"], f"for {cdr['partner']}")
    for id, stored in bills.stored.items():
        yield from _one_bill(id, stored, ours.get(id))


def _one_bill(id: str, stored: list[Line], ours: Line | None) -> Iterator[Mismatch]:
    if len(stored) > 1:
        yield Mismatch(Kind.CDR_TWICE_AT_PARTNER, id, f"stored {len(stored)} times")
    if ours is None:
        yield Mismatch(Kind.CDR_AT_WRONG_PARTNER, id, "we know no such CDR")
        return
    for line in stored:
        party = _party(line)
        if ours["partner"] is None or (party is not None and party != ours["partner"]):
            yield Mismatch(
                Kind.CDR_AT_WRONG_PARTNER, id, f"ours is for {ours['partner']}, {party} has it"
            )
        yield from _body_differs(id, line["body"], ours)


def _party(line: Line) -> str | None:
    """Whose ledger the line is from (``CC*PID``), else whose token the bill names."""
    if line.get("partner"):
        return str(line["partner"])
    token = line["body"].get("cdr_token", {})
    if "country_code" not in token:
        return None
    return f"{token['country_code']}*{token['party_id']}"


def _body_differs(id: str, body: Line, ours: Line) -> Iterator[Mismatch]:
    cost = body["total_cost"]
    pairs: dict[str, tuple[Any, Any]] = {
        "energy in Wh": (_number(body["total_energy"]) * 1000, Decimal(ours["energy_wh"] or 0)),
        "excl_vat": (_number(cost["excl_vat"]), _number(ours["total_excl"])),
        "currency": (body.get("currency"), ours["currency"]),
    }
    if cost.get("incl_vat") is not None and ours.get("total_incl") is not None:
        pairs["incl_vat"] = (_number(cost["incl_vat"]), _number(ours["total_incl"]))
    for name, (theirs, mine) in pairs.items():
        if theirs != mine:
            yield Mismatch(Kind.CDR_BODY_DIFFERS, id, f"{name}: partner {theirs}, ours {mine}")


def _costs(bills: _Bills) -> Iterator[Mismatch]:
    for id, result in bills.recomputed.items():
        for line in bills.stored.get(id, [])[:1]:
            total = line["body"]["total_cost"]
            for ours, theirs in (("excl_vat", "excl"), ("incl_vat", "incl")):
                billed, computed = total.get(ours), result.get(theirs)
                if billed is None or computed is None:
                    continue
                if _number(billed) != _number(computed):
                    yield Mismatch(
                        Kind.COST_DIFFERS, id, f"{ours} billed {billed}, partner finds {computed}"
                    )


def _callerrors(field_: _Field) -> Iterator[Mismatch]:
    for line in field_.callerrors:
        yield Mismatch(Kind.CALLERROR, f"{line['station']} {line['action']}", f"{line['code']}")


def _number(value: Any) -> Decimal:
    """An exact number from JSON; a float is read as it was written."""
    return Decimal(str(value))
