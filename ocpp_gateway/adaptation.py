"""What an adapter is: the values by which the gateway copes with a charger's dialect.

An adapter is data plus pure functions: no state, no I/O, no clock. The gateway is handed a set of
them (``Adapters``) and never imports their package. It uses them like this:

1. *Handshake*: ``adapters.standard.handshake.read_path`` finds the identity in the request path;
   once the station is known, ``choose`` gives its adapter, whose ``choose_protocol`` picks the
   version.
2. *Frames*: strict decoding comes first. Only where it fails does ``repair_bytes`` (frame or
   payload is no JSON) or ``repair_payload`` (wrong shape) run, and the result is decoded strictly
   again. A frame may need both.
3. *Readings* always run, also on frames that pass every schema, because damage to a time, a number
   or a unit is invisible to a schema.
4. *Outbound*: ``outbound`` may rewrite a call of ours in the station's own manner.

Every repair leaves a ``Note`` with its number in the catalogue of quirks. Notes are counted
(``Notebook``) and stored with the frame.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any

from cms.domain.meter import Quantity
from cms.domain.units import Wh, wh

Payload = dict[str, Any]
"""A message's JSON object, not yet checked against any schema."""


class Dialect(StrEnum):
    """An OCPP version by its standard subprotocol token."""

    V16 = "ocpp1.6"
    V201 = "ocpp2.0.1"


@dataclass(frozen=True, slots=True)
class Note:
    """One repair, or one oddity that was seen and kept.

    Attributes:
        code: number in the catalogue of quirks, e.g. ``"Q-070"``; a small closed set, so that it
            may be a metric's label.
        text: what was done, in a few words; may quote at most 40 characters of the charger's own.
        path: where in the payload, e.g. ``"meterValue[0].timestamp"``; empty for the whole frame.
    """

    code: str
    text: str
    path: str = ""

    def __str__(self) -> str:
        return (
            f"{self.code}: {self.path}: {self.text}" if self.path else f"{self.code}: {self.text}"
        )


Notes = tuple[Note, ...]
NO_NOTES: Notes = ()


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a station says it is, from its BootNotification."""

    vendor: str = ""
    model: str = ""
    firmware: str = ""
    serial: str = ""


# ---------------------------------------------------------------- handshake


@dataclass(frozen=True, slots=True)
class RequestPath:
    """What a request path says.

    Attributes:
        identity: percent-decoded once and trimmed; None if it is missing or breaks the syntax
            (1 to 48 characters of ``[A-Za-z0-9*_=+|@.:-]``).
        before: the segments before the identity, decoded.
    """

    identity: str | None
    before: tuple[str, ...] = ()
    notes: Notes = NO_NOTES


@dataclass(frozen=True, slots=True)
class ChosenProtocol:
    """The version spoken on this socket.

    Attributes:
        echo: token to put into ``Sec-WebSocket-Protocol``, in the client's own spelling; None
            where it offered none (never answer with what was not offered).
    """

    dialect: Dialect
    echo: str | None
    notes: Notes = NO_NOTES


ReadPath = Callable[[str], RequestPath]
ChooseProtocol = Callable[[Sequence[str]], ChosenProtocol | None]
"""Takes the offered tokens, in the client's order; None refuses the handshake."""

RepairHeaders = Callable[[Mapping[str, str]], tuple[Mapping[str, str | None], Notes]]
"""Takes the request's headers; returns those to set, or with None to delete, before the upgrade."""


@dataclass(frozen=True, slots=True)
class Handshake:
    read_path: ReadPath
    choose_protocol: ChooseProtocol
    repair_headers: RepairHeaders


# ---------------------------------------------------------------- readings

Timed = tuple[datetime | None, Notes]
Energy = tuple[Wh | None, Notes]
Text = tuple[str, Notes]
Number = tuple[Decimal | None, Notes]
Measured = tuple[Quantity | None, int, Notes]
ReadValue = Callable[[str | float], tuple[int | None, Notes]]
"""A value as a charger wrote it -> its integer, or None where it is not to be kept."""
Meaning = tuple[Quantity | None, ReadValue]


@dataclass(frozen=True, slots=True)
class Readings:
    """How a station writes times, numbers, energies and names. None of these ever raises.

    Attributes:
        time: (text, received_at) -> (aware UTC datetime, notes). None where the text is no usable
            claim (empty, garbage, an unset clock): then take ``received_at`` and flag
            ``Flag.TIME_IMPLAUSIBLE``.
        energy: (value text, unit or None, measurand or None) -> (Wh, notes). None where it is no
            number; never 0 in its place.
        register: a whole-number register (``meterStart``, ``meterStop``) -> (Wh, notes). None for
            the sentinels that mean "unknown" (negative ones).
        number: text -> (decimal, notes).
        meaning: (measurand or None, unit or None, power of ten) -> (quantity, how to read a value
            of it as an integer in that quantity's unit). The value is text, or the float that a
            JSON number became (its shortest text is meant). Its reader gives None for what is not
            to be kept; the notes say why, and are empty if it is merely a quantity that we do not
            use (then the quantity is None too). Depends on its arguments alone, so that whoever
            reads many samples may ask once per description.
        token: an idTag or idToken -> (text without control characters and outer blanks, notes).
        text: any free text that will be stored -> (the same without control characters, notes).
    """

    time: Callable[[str, datetime], Timed]
    energy: Callable[[str, str | None, str | None], Energy]
    register: Callable[[int], Energy]
    number: Callable[[str], Number]
    meaning: Callable[[str | None, str | None, int], Meaning]
    token: Callable[[str], Text]
    text: Callable[[str], Text]

    def measure(
        self, measurand: str | None, value: str | float, unit: str | None, power: int
    ) -> Measured:
        """Read one value; see ``meaning``. Quantity None = do not keep this sample."""
        quantity, read = self.meaning(measurand, unit, power)
        number, notes = read(value)
        return (None, 0, notes) if number is None else (quantity, number, notes)


# ---------------------------------------------------------------- the adapter

RepairBytes = Callable[[bytes], tuple[bytes, Notes]]
"""Makes a frame readable that is no JSON. Returns its argument and no notes where it cannot."""

RepairPayload = Callable[[str, Payload, Dialect], tuple[Payload, Notes]]
"""(action, payload, version) -> a payload nearer to the schema. Never changes its argument."""

Outbound = Callable[[str, Payload], tuple[Payload, Notes]]
"""(action, payload) of a call of ours -> the same in the station's manner."""


@dataclass(frozen=True, slots=True)
class Adapter:
    """How to talk with one family of stations.

    Attributes:
        name: shown in logs and to operators, e.g. ``"openevse.wifi"``; the config may fix it.
        matches: whether a station with this identity is of the family.
        repair_action: the action's name in its standard case, or None if it is none.
        seen: evidence: where the deviation was observed.
    """

    name: str
    matches: Callable[[Identity], bool]
    handshake: Handshake
    repair_bytes: RepairBytes
    repair_action: Callable[[str, Dialect], tuple[str, Notes]]
    repair_payload: RepairPayload
    readings: Readings
    outbound: Outbound
    seen: str = ""


class AdapterError(LookupError):
    """No single adapter fits."""


class AmbiguousAdapter(AdapterError):
    """Two adapters claim one station. Make their matches disjoint, or fix one in the config."""


class UnknownAdapter(AdapterError):
    """The config names a profile that does not exist."""


@dataclass(frozen=True, slots=True)
class Adapters:
    """All adapters of a running gateway.

    Attributes:
        standard: for every station that no profile claims: strict, then generically tolerant.
        special: profiles for families of stations.
    """

    standard: Adapter
    special: tuple[Adapter, ...] = ()

    def choose(self, identity: Identity | None = None, profile: str | None = None) -> Adapter:
        """Return the adapter that the config fixes, else the one that claims *identity*.

        Raises:
            UnknownAdapter: if *profile* names none.
            AmbiguousAdapter: if more than one claims *identity*.
        """
        if profile is not None:
            return self.named(profile)
        if identity is None:
            return self.standard
        found = [adapter for adapter in self.special if adapter.matches(identity)]
        if len(found) > 1:
            raise AmbiguousAdapter(f"{identity}: {', '.join(a.name for a in found)}")
        return found[0] if found else self.standard

    def named(self, name: str) -> Adapter:
        """Return the adapter called *name*.

        Raises:
            UnknownAdapter: if there is none.
        """
        for adapter in (self.standard, *self.special):
            if adapter.name == name:
                return adapter
        known = ", ".join(a.name for a in (self.standard, *self.special))
        raise UnknownAdapter(f"no adapter {name!r}; known are: {known}")


@dataclass(slots=True)
class Notebook:
    """Counts repairs, in all and per station: the fingerprint of a firmware.

    One per gateway; stations without a quirk cost nothing. Codes are a closed set, so ``total``
    is fit for a metric; ``stations`` is not, it is for the operator's page.
    """

    total: Counter[str] = field(default_factory=Counter)
    stations: dict[str, Counter[str]] = field(default_factory=dict)

    def record(self, station: str, notes: Notes) -> None:
        for note in notes:
            self.total[note.code] += 1
            self.stations.setdefault(station, Counter())[note.code] += 1


# ---------------------------------------------------------------- strict: no tolerance at all

_ALPHABET = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789*_=+|@.:-")
MAX_IDENTITY = 48


def is_identity(text: str) -> bool:
    """Whether *text* is a legal identity: 1 to 48 characters of ``[A-Za-z0-9*_=+|@.:-]``."""
    return 0 < len(text) <= MAX_IDENTITY and _ALPHABET.issuperset(text)


def _strict_path(path: str) -> RequestPath:
    segments = tuple(path.partition("?")[0].strip("/").split("/"))
    identity = segments[-1]
    return RequestPath(identity if is_identity(identity) else None, segments[:-1])


def _strict_protocol(offered: Sequence[str]) -> ChosenProtocol | None:
    known = set(Dialect)
    return next(
        (ChosenProtocol(Dialect(token), token) for token in offered if token in known), None
    )


def _strict_time(text: str, received_at: datetime) -> Timed:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        return None, (Note("Q-073", "no usable time"),)
    return at.astimezone(UTC), NO_NOTES


def _strict_energy(value: str, unit: str | None, measurand: str | None) -> Energy:
    try:
        return wh(value, unit or "Wh"), NO_NOTES
    except ValueError as error:
        return None, (Note("Q-088", str(error)),)


def _strict_register(value: int) -> Energy:
    if value < 0:
        return None, (Note("Q-089", "a register below zero"),)
    return Wh(value), NO_NOTES


def _strict_number(text: str) -> Number:
    try:
        number = Decimal(text)
    except InvalidOperation:
        number = None
    if number is None or not number.is_finite():
        return None, (Note("Q-088", "no number"),)
    return number, NO_NOTES


def _strict_meaning(measurand: str | None, unit: str | None, power: int) -> Meaning:
    if measurand not in (None, "Energy.Active.Import.Register") or power:
        return None, unread

    def read(value: str | float) -> tuple[int | None, Notes]:
        return _strict_energy(value if isinstance(value, str) else repr(value), unit, measurand)

    return Quantity.ENERGY_REGISTER, read


def unread(value: str | float) -> tuple[int | None, Notes]:
    """Read a value that nobody wants."""
    return None, NO_NOTES


def _as_it_is(text: str) -> Text:
    return text, NO_NOTES


STRICT = Adapter(
    name="strict",
    matches=lambda identity: False,
    handshake=Handshake(_strict_path, _strict_protocol, lambda headers: ({}, NO_NOTES)),
    repair_bytes=lambda data: (data, NO_NOTES),
    repair_action=lambda action, dialect: (action, NO_NOTES),
    repair_payload=lambda action, payload, dialect: (payload, NO_NOTES),
    readings=Readings(
        time=_strict_time,
        energy=_strict_energy,
        register=_strict_register,
        number=_strict_number,
        meaning=_strict_meaning,
        token=_as_it_is,
        text=_as_it_is,
    ),
    outbound=lambda action, payload: (payload, NO_NOTES),
)
"""Repairs nothing: for certification labs, and for tests of the gateway alone.

The adapter to run with is ``adapters.catalogue()``, whose ``standard`` is tolerant.
"""
