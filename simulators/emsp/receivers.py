"""The receiver interfaces: what the CPO pushes is checked, kept and answered here.

Nothing here awaits: a push is checked and stored in one go, and the answer is a value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from pydantic import BaseModel, ValidationError

from simulators.emsp.connection import Connection, Party
from simulators.emsp.faults import Fault, Kind
from simulators.emsp.models import (
    Cdr,
    Connector,
    Evse,
    Location,
    Session,
    Tariff,
    strange_members,
    without_nulls,
)
from simulators.emsp.presets import clause
from simulators.emsp.store import Complaint, Key, Store, find, key_of, replaced
from simulators.emsp.wire import Json, Reply, moment

ONLY_IN_SESSIONS = {"CURRENT", "POWER", "ENERGY_IMPORT", "ENERGY_EXPORT", "STATE_OF_CHARGE"}

OF_A_CREDIT = {
    "id", "credit", "credit_reference_id", "total_cost", "remark", "invoice_reference_id",
    "last_updated",
}  # fmt: skip
"""What a credit has of its own."""


@dataclass(frozen=True, slots=True)
class Push:
    """One request on a receiver interface.

    Attributes:
        segments: the path below the module's URL, decoded.
        repeated: the fault that a repeated CDR meets, if one is set.
        shape: the model of what is stored, where it is wider than the one of 2.2.1
            (``Speech.shape``).
    """

    method: str
    module: str
    segments: tuple[str, ...]
    body: Any
    repeated: Callable[[], Fault | None] = lambda: None
    shape: Callable[[type[BaseModel]], type[BaseModel]] = lambda model: model

    @property
    def where(self) -> str:
        """Method and path, for complaints."""
        return f"{self.method} {'/'.join((self.module, *self.segments))}"


class Refused(Exception):
    """The push is answered with this instead."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply


class Receivers:
    """Locations, sessions, CDRs and tariffs as the receiver side keeps them.

    Args:
        us: sessions and CDRs of another party's tokens are a leak and are complained about.
        complaints: where mistakes of the CPO go.
        remarks: oddities that are allowed (unknown members, early CDRs).
        on_cdr: told of each CDR POST and whether it was stored (before the answer).
    """

    def __init__(
        self,
        store: Store,
        connection: Connection,
        us: Party,
        complaints: list[Complaint],
        remarks: list[Complaint],
        on_cdr: Callable[[Json, bool], None],
    ) -> None:
        self._store = store
        self._connection = connection
        self._us = us
        self._complaints = complaints
        self._remarks = remarks
        self._on_cdr = on_cdr
        self.strict = False
        """Refuse what breaks the specification, in place of only noting it."""
        self._serve: dict[tuple[str, str], Callable[[Push], Reply]] = {
            ("locations", "GET"): self._get_location,
            ("locations", "PUT"): self._put_location,
            ("locations", "PATCH"): self._patch_location,
            ("sessions", "GET"): self._get_object,
            ("sessions", "PUT"): self._put_session,
            ("sessions", "PATCH"): self._patch_session,
            ("tariffs", "GET"): self._get_object,
            ("tariffs", "PUT"): self._put_tariff,
            ("tariffs", "DELETE"): self._delete_tariff,
            ("cdrs", "GET"): self._get_cdr,
            ("cdrs", "POST"): self._post_cdr,
        }

    def serve(self, push: Push) -> Reply:
        """Apply one push and say what to answer."""
        handler = self._serve.get((push.module, push.method))
        if handler is None:
            self.complain(push.where, "method", "this module has no such method")
            return Reply(2000, message="method not allowed", http=405)
        try:
            return handler(push)
        except Refused as refused:
            return refused.reply

    def complain(self, where: str, name: str, reason: str) -> None:
        """Record a mistake of the CPO."""
        self._complaints.append(Complaint(where, name, reason))

    def _broken(self, push: Push, name: str, reason: str) -> None:
        """Note a mistake in a push; a strict partner also refuses it, before anything is kept."""
        self.complain(push.where, name, reason)
        if self.strict:
            rule = f"{name}: {reason} ({clause(push.module)})"
            raise Refused(Reply(2001, message=rule))

    def _remark(self, where: str, name: str, reason: str) -> None:
        self._remarks.append(Complaint(where, name, reason))

    def _refuse(self, push: Push, name: str, reason: str) -> Refused:
        self.complain(push.where, name, reason)
        return Refused(Reply(2001, message=f"{name}: {reason}"))

    def _absent(self, what: str) -> Refused:
        return Refused(Reply(2003, message=f"unknown {what}", http=404))

    # -- checks ------------------------------------------------------------------------------

    def _checked(self, push: Push, model: type[BaseModel], body: Any) -> BaseModel:
        try:
            found = push.shape(model).model_validate(without_nulls(body))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            name = ".".join(map(str, first["loc"])) or "body"
            raise self._refuse(push, name, first["msg"]) from error
        for name in strange_members(found):
            self._remark(push.where, name, "no member of OCPI 2.2.1")
        return found

    def _owned(self, push: Push, least: int, most: int) -> Key:
        """The key in the path of a client-owned object; 404 for a party that is not the CPO's."""
        if not least <= len(push.segments) <= most:
            self._broken(push, "path", "wrong number of segments")
            raise Refused(Reply(2001, message="no such path", http=404))
        if not self._connection.owns(push.segments[0], push.segments[1]):
            self._broken(push, "path", "no registered party of the CPO")
            raise Refused(Reply(2001, message="unknown party", http=404))
        return key_of(*push.segments)

    def _same_ids(self, push: Push, **expected: str) -> None:
        for name, value in expected.items():
            if push.body[name].upper() != value.upper():
                raise self._refuse(push, name, "differs from the path")

    def _in_order(self, push: Push, old: Json | None, new: str) -> None:
        if old and moment(new) < moment(old["last_updated"]):
            self._broken(push, "last_updated", f"{new} after {old['last_updated']}")

    def _changes(self, push: Push) -> Json:
        if not isinstance(push.body, dict):
            raise self._refuse(push, "body", "must be an object")
        if "last_updated" not in push.body:
            raise self._refuse(push, "last_updated", "every PATCH needs it")
        return without_nulls(push.body)  # type: ignore[no-any-return]

    # -- locations ---------------------------------------------------------------------------

    def _get_location(self, push: Push) -> Reply:
        key = self._owned(push, 3, 5)
        found: Json | None = self._store.locations.get(key[:3])
        if found and len(key) > 3:
            found = self._store.evse(key[:3], push.segments[3])
        if found and len(key) > 4:
            found = find(found["connectors"], "id", push.segments[4])
        if found is None:
            raise self._absent("location")
        return Reply(data=found)

    def _put_location(self, push: Push) -> Reply:
        key = self._owned(push, 3, 5)
        match len(key):
            case 3:
                return self._put_whole_location(push, key)
            case 4:
                return self._put_evse(push, key, Evse, "uid")
            case _:
                return self._put_connector(push, key)

    def _put_whole_location(self, push: Push, key: Key) -> Reply:
        self._checked(push, Location, push.body)
        country, party, location = push.segments
        self._same_ids(push, country_code=country, party_id=party, id=location)
        old = self._store.locations.get(key)
        self._in_order(push, old, push.body["last_updated"])
        self._evses_kept(push, old)
        self._store.locations[key] = push.body
        self._store.note("locations", key, "PUT", push.body, push.body)
        for evse in push.body.get("evses") or []:
            self._store.note("locations", (*key, evse["uid"].upper()), "PUT", evse, evse)
        return _put_reply(old)

    def _evses_kept(self, push: Push, old: Json | None) -> None:
        evses = push.body.get("evses") or []
        for evse in (old or {}).get("evses") or []:
            if find(evses, "uid", evse["uid"]) is None:
                self._broken(push, "evses", f"{evse['uid']} vanished without REMOVED")

    def _put_evse(self, push: Push, key: Key, model: type[BaseModel], name: str) -> Reply:
        self._checked(push, model, push.body)
        self._same_ids(push, **{name: push.segments[3]})
        old = self._known_evse(push, key, must=False)
        self._in_order(push, old, push.body["last_updated"])
        self._keep_evse(push, key, push.body)
        return _put_reply(old)

    def _put_connector(self, push: Push, key: Key) -> Reply:
        self._checked(push, Connector, push.body)
        self._same_ids(push, id=push.segments[4])
        evse = self._known_evse(push, key, must=True)
        assert evse is not None
        old = find(evse["connectors"], "id", push.segments[4])
        self._in_order(push, old, push.body["last_updated"])
        self._keep_connector(push, key, evse, push.body)
        return _put_reply(old)

    def _patch_location(self, push: Push) -> Reply:
        key = self._owned(push, 3, 5)
        changes = self._changes(push)
        if len(key) == 3:
            return self._patch_whole_location(push, key, changes)
        evse = self._known_evse(push, key, must=True)
        assert evse is not None
        if len(key) == 4:
            merged = self._merged(push, Evse, evse, changes)
            self._keep_evse(push, key, merged)
            return Reply()
        connector = find(evse["connectors"], "id", push.segments[4])
        if connector is None:
            raise self._absent("connector")
        merged = self._merged(push, Connector, connector, changes)
        self._keep_connector(push, key, evse, merged)
        return Reply()

    def _patch_whole_location(self, push: Push, key: Key, changes: Json) -> Reply:
        if "evses" in changes:
            self._broken(push, "evses", "an array must not be patched from its parent")
        old = self._store.locations.get(key)
        if old is None:
            raise self._absent("location")
        self._store.locations[key] = self._merged(push, Location, old, changes)
        self._store.note("locations", key, "PATCH", push.body, self._store.locations[key])
        return Reply()

    def _merged(self, push: Push, model: type[BaseModel], old: Json, changes: Json) -> Json:
        merged = {**old, **changes}
        self._checked(push, model, merged)
        self._in_order(push, old, merged["last_updated"])
        return merged

    def _known_evse(self, push: Push, key: Key, *, must: bool) -> Json | None:
        if key[:3] not in self._store.locations:
            raise self._absent("location")
        evse = self._store.evse(key[:3], push.segments[3])
        if evse is None and must:
            raise self._absent("EVSE")
        return evse

    def _keep_evse(self, push: Push, key: Key, evse: Json) -> None:
        self._store.put_evse(key[:3], evse)
        self._store.note("locations", key[:4], push.method, push.body, evse)

    def _keep_connector(self, push: Push, key: Key, evse: Json, connector: Json) -> None:
        newest = max(evse["last_updated"], connector["last_updated"], key=moment)
        connectors = replaced(evse["connectors"], "id", connector)
        self._store.note("locations", key, push.method, push.body, connector)
        changed = {**evse, "connectors": connectors, "last_updated": newest}
        self._keep_evse(push, key, changed)

    # -- sessions ----------------------------------------------------------------------------

    def _put_session(self, push: Push) -> Reply:
        key = self._owned(push, 3, 3)
        self._checked(push, Session, push.body)
        country, party, session = push.segments
        self._same_ids(push, country_code=country, party_id=party, id=session)
        return self._keep_session(push, key, push.body)

    def _patch_session(self, push: Push) -> Reply:
        key = self._owned(push, 3, 3)
        changes = self._changes(push)
        old = self._store.sessions.get(key)
        if old is None:
            raise self._absent("session")
        added = changes.get("charging_periods") or []
        merged = {**old, **changes}
        merged["charging_periods"] = [*(old.get("charging_periods") or []), *added]
        self._checked(push, Session, merged)
        return self._keep_session(push, key, merged)

    def _keep_session(self, push: Push, key: Key, session: Json) -> Reply:
        old = self._store.sessions.get(key)
        self._in_order(push, old, session["last_updated"])
        self._ours(push, session)
        if old and old["status"] == "COMPLETED" and session != old:
            self._broken(push, "status", "changed after COMPLETED")
        if old and session["kwh"] < old["kwh"]:
            self._broken(push, "kwh", f"fell from {old['kwh']} to {session['kwh']}")
        self._periods_rise(push, session.get("charging_periods") or [])
        self._store.sessions[key] = session
        self._store.note("sessions", key, push.method, push.body, session)
        return _put_reply(old)

    def _ours(self, push: Push, item: Json) -> None:
        token = item["cdr_token"]
        if not self._us.same(token["country_code"], token["party_id"]):
            self._broken(push, "cdr_token", "a token of somebody else: this is a leak")

    def _periods_rise(self, push: Push, periods: list[Json]) -> None:
        starts = [moment(period["start_date_time"]) for period in periods]
        if starts != sorted(set(starts)):
            self._broken(push, "charging_periods", "starts do not rise; doubled?")

    # -- tariffs -----------------------------------------------------------------------------

    def _put_tariff(self, push: Push) -> Reply:
        key = self._owned(push, 3, 3)
        self._checked(push, Tariff, push.body)
        country, party, tariff = push.segments
        self._same_ids(push, country_code=country, party_id=party, id=tariff)
        old = self._store.tariffs.get(key)
        self._in_order(push, old, push.body["last_updated"])
        self._store.tariffs[key] = push.body
        self._store.note("tariffs", key, "PUT", push.body, push.body)
        return _put_reply(old)

    def _delete_tariff(self, push: Push) -> Reply:
        key = self._owned(push, 3, 3)
        if self._store.tariffs.pop(key, None) is None:
            raise self._absent("tariff")
        self._store.note("tariffs", key, "DELETE", None, None)
        return Reply()

    def _get_object(self, push: Push) -> Reply:
        key = self._owned(push, 3, 3)
        held = self._store.sessions if push.module == "sessions" else self._store.tariffs
        if key not in held:
            raise self._absent(push.module)
        return Reply(data=held[key])

    # -- CDRs --------------------------------------------------------------------------------

    def _get_cdr(self, push: Push) -> Reply:
        found = self._store.cdrs.get(key_of(*push.segments))
        if found is None:
            raise Refused(Reply(2000, message="unknown CDR", http=404))
        return Reply(data=found)

    def _post_cdr(self, push: Push) -> Reply:
        self._checked(push, Cdr, push.body)
        cdr: Json = push.body
        if not self._connection.owns(cdr["country_code"], cdr["party_id"]):
            raise self._refuse(push, "party_id", "no registered party of the CPO")
        key = key_of(cdr["country_code"], cdr["party_id"], cdr["id"])
        if key in self._store.cdrs:
            return self._repeated_cdr(push, key)
        self._ours(push, cdr)
        self._consistent(push, cdr)
        self._keep_cdr(key, cdr)
        return Reply(http=201, headers={"Location": "/".join(key)})

    def _keep_cdr(self, key: Key, cdr: Json) -> None:
        self._store.cdrs.setdefault(key, cdr)
        self._store.cdr_copies[key] += 1
        self._store.note("cdrs", key, "POST", cdr, cdr)
        self._on_cdr(cdr, True)

    def _repeated_cdr(self, push: Push, key: Key) -> Reply:
        if push.body != self._store.cdrs[key]:
            self._broken(push, "body", f"CDR {key[-1]} again, with other content")
        fault = push.repeated()
        if fault and fault.kind is Kind.STORE_TWICE:
            self._keep_cdr(key, push.body)
            return Reply(http=201, headers={"Location": "/".join(key)})
        self._on_cdr(push.body, False)
        if fault and fault.kind is Kind.CONFLICT:
            return Reply(2000, message="CDR already exists", http=409)
        if fault and fault.kind is Kind.REFUSE_REPEAT:
            return Reply(fault.status_code, message="CDR already exists")
        return Reply(headers={"Location": "/".join(key)})

    def _consistent(self, push: Push, cdr: Json) -> None:
        for name, reason in inconsistencies(cdr):
            self._broken(push, name, reason)
        if cdr.get("credit"):
            self._takes_back(push, cdr)
        session = self._session_of(cdr)
        if session is None or session["status"] != "COMPLETED":
            self._remark(push.where, "session_id", "the CDR came before its session COMPLETED")
        elif session["kwh"] != cdr["total_energy"]:
            self._broken(push, "total_energy", f"{cdr['total_energy']}, session {session['kwh']}")
        self._tariffs_as_sent(push, cdr)

    def _takes_back(self, push: Push, credit: Json) -> None:
        """A credit repeats the bill that it takes back; only total_cost is negated."""
        whose = (credit["country_code"], credit["party_id"])
        bill = self._store.cdrs.get(key_of(*whose, str(credit.get("credit_reference_id"))))
        if bill is None:
            self._broken(push, "credit_reference_id", "we have no such bill")
            return
        for name in sorted((bill.keys() | credit.keys()) - OF_A_CREDIT):
            if bill.get(name) != credit.get(name):
                self._broken(push, name, "differs from the bill that is taken back")
        for side, paid in bill["total_cost"].items():
            if Decimal(credit["total_cost"].get(side, 0)) != -Decimal(paid):
                self._broken(push, f"total_cost.{side}", f"is not -{paid}")

    def _session_of(self, cdr: Json) -> Json | None:
        session_id = cdr.get("session_id")
        if session_id is None:
            return None
        return self._store.sessions.get(key_of(cdr["country_code"], cdr["party_id"], session_id))

    def _tariffs_as_sent(self, push: Push, cdr: Json) -> None:
        for tariff in cdr.get("tariffs") or []:
            key = key_of(tariff["country_code"], tariff["party_id"], tariff["id"])
            sent = [v.result for v in self._store.history["tariffs", key] if v.result]
            if sent and not any(_prices(tariff) == _prices(version) for version in sent):
                self._broken(push, "tariffs", f"{tariff['id']} was never sent like this")


def _put_reply(old: Json | None) -> Reply:
    return Reply(http=200 if old else 201)


def _prices(tariff: Json) -> Any:
    names = ("currency", "elements", "min_price", "max_price")
    return without_nulls({name: tariff.get(name) for name in names})


def _volume(cdr: Json, kind: str) -> Decimal:
    return sum(
        (
            Decimal(dimension["volume"])
            for period in cdr["charging_periods"]
            for dimension in period["dimensions"]
            if dimension["type"] == kind
        ),
        Decimal(0),
    )


def inconsistencies(cdr: Json) -> Iterable[tuple[str, str]]:
    """Where a CDR contradicts itself: pairs of member and reason."""
    if moment(cdr["end_date_time"]) < moment(cdr["start_date_time"]):
        yield "end_date_time", "before the start"
    if _volume(cdr, "ENERGY") != cdr["total_energy"]:
        yield "total_energy", f"{cdr['total_energy']}, periods {_volume(cdr, 'ENERGY')}"
    starts = [moment(period["start_date_time"]) for period in cdr["charging_periods"]]
    if starts != sorted(set(starts)):
        yield "charging_periods", "starts do not rise"
    known = {tariff["id"].upper() for tariff in cdr.get("tariffs") or []}
    for period in cdr["charging_periods"]:
        if (used := period.get("tariff_id")) and used.upper() not in known:
            yield "tariffs", f"tariff {used} of a period is missing"
        if wrong := ONLY_IN_SESSIONS & {d["type"] for d in period["dimensions"]}:
            yield "charging_periods", f"only in sessions: {sorted(wrong)}"
    if bool(cdr.get("credit")) != bool(cdr.get("credit_reference_id")):
        yield "credit", "credit and credit_reference_id belong together"
    yield from _cost_parts(cdr)


def _cost_parts(cdr: Json) -> Iterable[tuple[str, str]]:
    names = ("fixed", "energy", "time", "parking", "reservation")
    parts = [p for name in names if (p := cdr.get(f"total_{name}_cost"))]
    clamped = any(t.get("min_price") or t.get("max_price") for t in cdr.get("tariffs") or [])
    if not parts or clamped or cdr.get("credit"):
        return
    for side in ("excl_vat", "incl_vat"):
        if any(side not in part for part in [*parts, cdr["total_cost"]]):
            continue
        total = sum((Decimal(part[side]) for part in parts), Decimal(0))
        if total != cdr["total_cost"][side]:
            yield f"total_cost.{side}", f"{cdr['total_cost'][side]}, parts {total}"
