"""The bill of one session: a charge detail record, made once, never changed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import NAMESPACE_OID, uuid5

from cms.domain import plain
from cms.domain.errors import InvalidValue
from cms.domain.evolve import quick
from cms.domain.ids import CdrId, EvseUid, LocationId, PartnerId, SessionId, StationId
from cms.domain.money import Price
from cms.domain.rating import Rating
from cms.domain.signed import SignedReading
from cms.domain.tariff import Tariff
from cms.domain.token import AuthMethod, Token
from cms.domain.topology import ConnectorFormat, Coordinates, PowerType

_CREDITS = uuid5(NAMESPACE_OID, "credits")
_REPLACEMENTS = uuid5(NAMESPACE_OID, "replacements")


@dataclass(frozen=True, slots=True)
class CdrPlace:
    """Where the session was, as the place was called when it started.

    Attributes:
        party: our own ``country_code*party_id`` that owns the site.
        evse, connector: 0 where a reservation ended before anybody knew which it is.
        country: ISO 3166-1 alpha-3.
        time_zone: IANA name; the trace is written in its wall time.
        evse_id: the printed id, e.g. ``"IN*CPO*E0001"``; ``None`` if it never got one.
        max_voltage, max_amperage: V and A of the connector; ``None`` in bills that are older than
            these fields.
        home_charging: it was at a driver's home, who is to be compensated for the energy.
    """

    location: LocationId
    party: PartnerId
    address: str
    city: str
    country: str
    coordinates: Coordinates
    time_zone: str
    station: StationId
    evse: int
    evse_uid: EvseUid
    connector: int
    standard: str
    format: ConnectorFormat
    power_type: PowerType
    evse_id: str | None = None
    name: str | None = None
    postal_code: str | None = None
    state: str | None = None
    max_voltage: int | None = None
    max_amperage: int | None = None
    home_charging: bool = False


@quick
@dataclass(frozen=True, slots=True)
class Cdr:
    """One bill.

    Attributes:
        id: 1 to 36 characters, of a credit at most 39.
        owner: the partner whose token it was; ``None`` is ours.
        place: snapshot from the session's start.
        token: snapshot from the session's start; ``None`` if nobody knows who paid.
        started_at, ended_at: aware UTC; with parking, and with a reservation before it.
        energy_wh: stop less start register, Wh.
        total_time: of the session, parking included, what was reserved before it not.
        parking_time: plugged in without charging.
        rating: periods, cost lines, totals and trace; of a credit, those of the credited bill.
        tariffs: every tariff used, as it was when the session started.
        total: what the bill says; a credit's is the negated total of the bill it takes back.
        meter_id: the meter's own number, where it told one.
        remark: words for people, e.g. that a minimum price applied.
        credit_of: the bill that this one takes back; ``None`` for a bill.
        replaces: the bill whose place this one takes; that one is credited.
        invoice_reference: number of an invoice that will list it, 1 to 39 characters; given
            before the bill was made, since a bill never changes.
        signed: what the meter signed, as it came; a credit repeats it.
    """

    id: CdrId
    session: SessionId
    owner: PartnerId | None
    place: CdrPlace
    token: Token | None
    method: AuthMethod
    started_at: datetime
    ended_at: datetime
    energy_wh: int
    total_time: timedelta
    parking_time: timedelta
    rating: Rating
    tariffs: tuple[Tariff, ...]
    created_at: datetime
    total: Price
    reference: str | None = None
    meter_id: str | None = None
    remark: str | None = None
    credit_of: CdrId | None = None
    replaces: CdrId | None = None
    signed: tuple[SignedReading, ...] = ()
    invoice_reference: str | None = None

    def __post_init__(self) -> None:
        if not 1 <= len(self.id) <= (36 if self.credit_of is None else 39):
            raise InvalidValue("id", f"{self.id!r} is empty or too long")
        if self.ended_at < self.started_at:
            raise InvalidValue("ended_at", f"{self.ended_at} is before {self.started_at}")
        due = self.rating.total if self.credit_of is None else -self.rating.total
        if self.total != due:
            raise InvalidValue("total", f"{self.total.gross} is not what was rated")

    @property
    def currency(self) -> str:
        """The one currency of the bill."""
        return self.total.currency

    @property
    def credit(self) -> bool:
        """Whether this takes another bill back."""
        return self.credit_of is not None

    @property
    def trace(self) -> tuple[str, ...]:
        """How the price came about, step by step, for a person."""
        return self.rating.trace


def credit_id(id: CdrId) -> CdrId:
    """Return the one id that the credit of bill *id* can have: a bill is taken back once.

    It is no longer than 36 characters, so that invoices can list it (OCPI 2.3.0).
    """
    return CdrId(f"{id}-C") if len(id) <= 34 else CdrId(str(uuid5(_CREDITS, id)))


def replacement_id(id: CdrId) -> CdrId:
    """Return the one id that the bill in place of bill *id* can have."""
    return CdrId(str(uuid5(_REPLACEMENTS, id)))


def credit(cdr: Cdr, id: CdrId, now: datetime, remark: str | None = None) -> Cdr:
    """Return the bill that takes *cdr* back in full: only the total is negated.

    Raises:
        InvalidValue: if *cdr* is a credit itself.
    """
    if cdr.credit:
        raise InvalidValue("credit_of", f"{cdr.id} is a credit and cannot be credited")
    return replace(
        cdr,
        id=id,
        total=-cdr.total,
        credit_of=cdr.id,
        replaces=None,
        created_at=now,
        remark=remark if remark is not None else cdr.remark,
    )


def cdr_text(cdr: Cdr) -> str:
    """Return the canonical text of a bill, for keeping it exactly as it is."""
    return plain.canonical(cdr)


def cdr_from_text(text: str) -> Cdr:
    """Read a bill back.

    Raises:
        ValueError: if *text* describes no valid bill.
    """
    return plain.from_text(Cdr, text)
