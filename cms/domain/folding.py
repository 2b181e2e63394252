"""What a transaction was, as a pure function of the set of its distinct events.

However often, late or out of order a charger tells its events, the same set folds to the same
``Folded``. Nothing here looks at when a message reached us or whether it was called offline.

Order, where order matters: by the charger's own numbers; if it gives one number to two events, by
(time, kind, number, content); without numbers by (time, kind, content). Samples are a set ordered
by their own times.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import TypeVar

from cms.domain import activation
from cms.domain.evolve import evolver, quick
from cms.domain.meter import Quantity, ReadingContext, Sample
from cms.domain.transaction import ChargingState, EventKind, Flag, TransactionEvent
from cms.domain.usage import Reading, reading_of

REGISTER_TOLERANCE_WH = 10
"""A register may seem to fall by so much where a charger rounds its messages differently."""

PLAUSIBLE_W = 1_000_000
"""Most power of any charger where the topology does not say better."""

OURS = b"core:"
"""Content of an event that we concluded begins so; what the charger itself says outweighs it."""

_T = TypeVar("_T")

_STARTED, _ENDED = EventKind.STARTED, EventKind.ENDED
_KINDS = {EventKind.STARTED: 0, EventKind.UPDATED: 1, EventKind.ENDED: 2}
_FLAGS = {flag: place for place, flag in enumerate(Flag)}
_TAKES_POWER = frozenset({ChargingState.CHARGING, ChargingState.SUSPENDED_BY_STATION})


@quick
@dataclass(frozen=True, slots=True)
class Folded:
    """A transaction, as far as its known events tell it.

    Attributes:
        events: distinct and in order; without what is in ``conflicts``.
        started_at: None while the start is missing; ``began_at`` says what is known instead.
        began_at: the start, or the earliest thing that was said; None for no events at all.
        active_at: since when everything was there that charging needs; None = it never was.
        start_wh, stop_wh: registers in Wh; None where nobody said.
        last_wh, last_at: the newest register, of whatever event.
        energy_wh: stop less start; None where it cannot be told or is not believable.
        readings: time-ordered, first and last with a register, ready for
            ``usages_from_readings``; of an open transaction, up to its last register; empty where
            something is not believable.
        dark: intervals without power at the site.
        charging: the last told state; None = nothing was said.
        gaps: missing numbers as (first, last), both included.
        complete: start and end are here and no number between them is missing.
        conflicts: second starts and ends with other values; kept for a person, without effect.
        withheld: why no bill may be made of this; None = it may.
    """

    events: tuple[TransactionEvent, ...] = ()
    started: TransactionEvent | None = None
    ended: TransactionEvent | None = None
    began_at: datetime | None = None
    active_at: datetime | None = None
    evse: int | None = None
    connector: int | None = None
    id_token: str | None = None
    remote_start: int | None = None
    start_wh: int | None = None
    stop_wh: int | None = None
    last_wh: int | None = None
    last_at: datetime | None = None
    energy_wh: int | None = None
    readings: tuple[Reading, ...] = ()
    dark: tuple[tuple[datetime, datetime], ...] = ()
    charging: ChargingState | None = None
    reason: str | None = None
    gaps: tuple[tuple[int, int], ...] = ()
    complete: bool = False
    conflicts: tuple[TransactionEvent, ...] = ()
    withheld: str | None = None
    flags: tuple[Flag, ...] = ()

    @property
    def started_at(self) -> datetime | None:
        return self.started.occurred_at if self.started else None

    @property
    def ended_at(self) -> datetime | None:
        return self.ended.occurred_at if self.ended else None

    @property
    def billable(self) -> bool:
        return self.ended is not None and self.withheld is None


_evolved = evolver(Folded)


def fold(events: Iterable[TransactionEvent], *, most_w: int = PLAUSIBLE_W) -> Folded:
    """Fold the events of one transaction, whatever their order and number of copies.

    Args:
        events: all events known, in any order, copies included.
        most_w: the most power that the EVSE can deliver; energy beyond it is not believed.
    """
    ordered, seq_reused = _in_order(_distinct(events))
    if not ordered:
        return Folded(withheld="nothing was said")
    ends = [event for event in ordered if event.kind is _ENDED]
    started, second_starts = _first_of([each for each in ordered if each.kind is _STARTED])
    ended, second_ends = _first_of(ends)
    conflicts = (*second_starts, *second_ends)
    without = {event.content for event in conflicts} | _outweighed(ends, ended)
    effective = tuple(e for e in ordered if e.content not in without) if without else ordered
    gaps = () if seq_reused else _gaps(effective, started, ended)
    flags = {flag for event in effective if event.flags for flag in event.flags}
    dark = _dark(effective, ended) if Flag.DARK in flags else ()
    flags |= {Flag.CONFLICTING_START} if second_starts else set()
    flags |= {Flag.CONFLICTING_END} if second_ends else set()
    flags |= {Flag.SEQ_REUSED} if seq_reused else set()
    flags |= {Flag.SEQ_GAP} if gaps else set()
    told = Folded(
        events=effective,
        started=started,
        ended=ended,
        began_at=started.occurred_at if started else min(e.occurred_at for e in effective),
        evse=_first(event.evse for event in effective),
        connector=_first(event.connector for event in effective),
        id_token=_token(effective),
        remote_start=_first(event.remote_start for event in effective),
        dark=dark,
        charging=_first(event.charging for event in reversed(effective)),
        reason=ended.reason if ended else None,
        gaps=gaps,
        complete=started is not None and ended is not None and not gaps,
        conflicts=conflicts,
    )
    return _with_energy(told, flags, most_w)


def takes_power(state: ChargingState) -> bool:
    """Whether the car takes or asks for power: time in this state is charging, not parking."""
    return state in _TAKES_POWER


# ---------------------------------------------------------------- order


def _distinct(events: Iterable[TransactionEvent]) -> Sequence[TransactionEvent]:
    """One event per content; of copies the one received first, so that all orders agree."""
    everything = tuple(events)
    if len({event.content for event in everything}) == len(everything):
        return everything
    known: dict[bytes, TransactionEvent] = {}
    for event in everything:
        other = known.get(event.content)
        if other is None or _arrival(event) < _arrival(other):
            known[event.content] = event
    return tuple(known.values())


def _arrival(event: TransactionEvent) -> tuple[datetime, bool]:
    return event.received_at, event.offline


def _by_time(events: Iterable[TransactionEvent]) -> tuple[TransactionEvent, ...]:
    """Sort events of distinct content: no comparison comes as far as the events themselves."""
    keyed = [
        (e.occurred_at, _KINDS[e.kind], -1 if e.seq_no is None else e.seq_no, e.content, e)
        for e in events
    ]
    keyed.sort()
    return tuple([each[4] for each in keyed])


def _in_order(events: Iterable[TransactionEvent]) -> tuple[tuple[TransactionEvent, ...], bool]:
    """Return the events in order, and whether the charger gave one number twice."""
    everything = _by_time(events)
    numbers = [event.seq_no for event in everything if event.seq_no is not None]
    if len(set(numbers)) != len(numbers):
        return everything, True
    if not numbers:
        return everything, False
    numbered = sorted((e for e in everything if e.seq_no is not None), key=lambda e: e.seq_no or 0)
    rest = (event for event in everything if event.seq_no is None)
    return tuple(heapq.merge(numbered, rest, key=lambda event: event.occurred_at)), False


def _first_of(
    found: Sequence[TransactionEvent],
) -> tuple[TransactionEvent | None, list[TransactionEvent]]:
    """Return the first of the events of one kind, and those that contradict it."""
    if not found:
        return None, []
    told = [event for event in found if not event.content.startswith(OURS)]
    first = (told or found)[0]
    return first, [event for event in told[1:] if not same_values(event, first)]


def _outweighed(ends: Sequence[TransactionEvent], ended: TransactionEvent | None) -> set[bytes]:
    """Ends that we concluded, where the charger has told its own since."""
    if ended is None or ended.content.startswith(OURS):
        return set()
    return {event.content for event in ends if event.content.startswith(OURS)}


def same_values(one: TransactionEvent, other: TransactionEvent) -> bool:
    """Whether two starts, or two ends, say the same thing in different words."""
    same = one.occurred_at == other.occurred_at and one.register_wh == other.register_wh
    if one.kind is EventKind.ENDED:
        return same
    return same and one.id_token == other.id_token and one.evse == other.evse


def _gaps(
    events: Sequence[TransactionEvent],
    started: TransactionEvent | None,
    ended: TransactionEvent | None,
) -> tuple[tuple[int, int], ...]:
    """Return the ranges of numbers that are missing between start and end (or last known)."""
    numbers = sorted([event.seq_no for event in events if event.seq_no is not None])
    if not numbers:
        return ()
    if started is not None and started.seq_no is not None:
        numbers = [number for number in numbers if number >= started.seq_no]
    if ended is not None and ended.seq_no is not None:
        numbers = [number for number in numbers if number <= ended.seq_no]
    return tuple((low + 1, high - 1) for low, high in pairwise(numbers) if high > low + 1)


def _first(told: Iterable[_T | None]) -> _T | None:
    for value in told:
        if value is not None:
            return value
    return None


def _token(events: Sequence[TransactionEvent]) -> str | None:
    """The token that began it; one that only stopped it counts where no other is known."""
    begun = _first(event.id_token for event in events if event.kind is not _ENDED)
    return begun or _first(event.id_token for event in events)


def _dark(
    events: Sequence[TransactionEvent], ended: TransactionEvent | None
) -> tuple[tuple[datetime, datetime], ...]:
    """Pair the moments at which the site lost power with those at which it came back."""
    intervals: list[tuple[datetime, datetime]] = []
    since: datetime | None = None
    for event in _by_time(events):
        if Flag.STITCHED in event.flags:
            if since is not None:
                intervals.append((since, event.occurred_at))
            since = None
        elif Flag.DARK in event.flags and since is None:
            since = event.occurred_at
    if since is not None and ended is not None and ended.occurred_at > since:
        intervals.append((since, ended.occurred_at))
    return tuple(intervals)


# ---------------------------------------------------------------- energy


def _with_energy(told: Folded, flags: set[Flag], most_w: int) -> Folded:
    """Add registers, readings and what is wrong with them."""
    meters = _meters(told.events)
    registers = meters.registers
    start = _boundary(told.started, ReadingContext.BEGIN, min)
    stop = _boundary(told.ended, ReadingContext.END, max)
    ended_at = told.ended_at
    if ended_at is not None and registers and max(registers) > ended_at:
        flags |= {Flag.AFTER_END}
        registers = {at: wh for at, wh in registers.items() if at <= ended_at}
    if told.started is not None and start is None or told.ended is not None and stop is None:
        flags |= {Flag.REGISTER_MISSING}
    if start is None and registers:
        start = registers[min(registers)]
    if stop is None and told.ended is not None and registers:
        stop = registers[max(registers)]
    wrong, wrong_flags = _doubt(told, start, stop, registers, most_w)
    flags |= wrong_flags
    last_at, last = _last(told, start, stop, registers)
    told = _evolved(
        told,
        active_at=_active_at(told, start, stop, registers),
        start_wh=start,
        stop_wh=stop,
        last_wh=last,
        last_at=last_at,
        withheld=wrong,
        flags=tuple(sorted(flags, key=_FLAGS.__getitem__)) if flags else (),
    )
    if wrong is not None and told.ended is not None:
        return told
    if told.ended is None or start is None or stop is None:
        return _evolved(told, readings=_so_far(told, meters))
    stop = max(stop, start)
    return _evolved(
        told,
        energy_wh=stop - start,
        readings=_readings(told, start, stop, told.ended.occurred_at, meters),
    )


def _active_at(
    told: Folded, start: int | None, stop: int | None, registers: Mapping[datetime, int]
) -> datetime | None:
    began, ended = told.began_at, told.ended_at
    if began is None:
        return None

    def known() -> Mapping[datetime, int]:
        inner = {at: wh for at, wh in registers.items() if at >= began}
        inner |= {} if start is None else {began: start}
        return inner if ended is None or stop is None else inner | {ended: stop}

    at = activation.active_at(told.events, began, known)
    return at if at is None or ended is None else min(at, ended)


def _so_far(told: Folded, meters: _Meters) -> tuple[Reading, ...]:
    """Return the readings of a transaction that still runs, up to its last register."""
    start, last, at = told.start_wh, told.last_wh, told.last_at
    if start is None or last is None or at is None or told.began_at is None:
        return ()
    inner = [wh for when, wh in sorted(meters.registers.items()) if when >= told.began_at]
    if at <= told.began_at or _fall([start, *inner]):
        return ()
    return _readings(told, start, max(last, start), at, meters)


def _doubt(
    told: Folded,
    start: int | None,
    stop: int | None,
    registers: Mapping[datetime, int],
    most_w: int,
) -> tuple[str | None, set[Flag]]:
    """Return why no bill can be made, and the flags that belong to it."""
    ended_at, began_at = told.ended_at, told.began_at
    if ended_at is None or began_at is None:
        return "the transaction has not ended", set()
    if start is None or stop is None:
        return "no register says how much energy it was", {Flag.REGISTER_MISSING}
    if ended_at < began_at:
        return "it ends before it starts", {Flag.TIME_IMPLAUSIBLE}
    ordered = sorted(registers)
    inner = ordered[bisect_left(ordered, began_at) : bisect_right(ordered, ended_at)]
    if fall := _fall([start, *map(registers.__getitem__, inner), stop]):
        high, low = fall
        text = f"the register fell from {high} to {low} Wh"
        return text, {Flag.REGISTER_FELL, Flag.ENERGY_IMPLAUSIBLE}
    seconds = int((ended_at - began_at).total_seconds())
    energy = max(stop - start, 0)
    if energy and ended_at == began_at:
        return f"{energy} Wh in no time at all", {Flag.ENERGY_IMPLAUSIBLE}
    if energy > 1_000 + most_w * seconds * 5 // (4 * 3600):
        text = f"{energy} Wh in {seconds} s are more than {most_w} W can deliver"
        return text, {Flag.ENERGY_IMPLAUSIBLE}
    return None, set()


def _fall(registers: Sequence[int]) -> tuple[int, int] | None:
    """Return the first fall of a register that only rises, beyond mere rounding."""
    highest = registers[0]
    for register in registers:
        if register >= highest:
            highest = register
        elif register < highest - REGISTER_TOLERANCE_WH:
            return highest, register
    return None


def _boundary(
    event: TransactionEvent | None,
    context: ReadingContext,
    pick: Callable[[Iterable[datetime]], datetime],
) -> int | None:
    """The register with which a transaction begins or ends, as its own message says."""
    if event is None or event.register_wh is not None:
        return event.register_wh if event else None
    return _own_register(event, context, pick)


def _own_register(
    event: TransactionEvent,
    context: ReadingContext,
    pick: Callable[[Iterable[datetime]], datetime],
) -> int | None:
    """The register among an event's own samples: of *context*, else at the outermost time."""
    own = _whole(event.samples, Quantity.ENERGY_REGISTER)
    named = _whole(
        [sample for sample in event.samples if sample.context is context],
        Quantity.ENERGY_REGISTER,
    )
    found = named or own
    return found[pick(found)] if found else None


def _last(
    told: Folded, start: int | None, stop: int | None, registers: Mapping[datetime, int]
) -> tuple[datetime | None, int | None]:
    if told.ended_at is not None and stop is not None:
        return told.ended_at, stop
    if registers:
        newest = max(registers)
        return newest, registers[newest]
    return (told.began_at, start) if start is not None else (None, None)


# ---------------------------------------------------------------- samples


@quick
@dataclass(frozen=True, slots=True)
class Newest:
    """The newest values among some samples; None where nothing is told.

    Attributes:
        at: the time of the newest sample of any of them.
    """

    at: datetime
    register_wh: int | None = None
    power_w: int | None = None
    soc_percent: int | None = None


def newest(samples: Sequence[Sample]) -> Newest | None:
    """Return the newest register, power and state of charge; None if none of them is told."""
    latest: dict[Quantity, Sample] = {}
    phases: list[Sample] = []
    for sample in samples:
        at, quantity, _, _, phase, place = sample
        if quantity not in _NEWEST:
            continue
        if phase is not None:
            phases.append(sample)
        elif place == "outlet" or quantity is Quantity.STATE_OF_CHARGE:
            known = latest.get(quantity)
            if known is None or at >= known.at:
                latest[quantity] = sample
    if phases:
        _add_phases(latest, phases)
    register = latest.get(Quantity.ENERGY_REGISTER)
    power = latest.get(Quantity.POWER)
    charge = latest.get(Quantity.STATE_OF_CHARGE)
    told = [each.at for each in latest.values()]
    if not told:
        return None
    return Newest(
        max(told),
        register.value if register else None,
        power.value if power else None,
        charge.value // 100 if charge else None,
    )


_NEWEST = frozenset({Quantity.ENERGY_REGISTER, Quantity.POWER, Quantity.STATE_OF_CHARGE})


def _add_phases(latest: dict[Quantity, Sample], samples: Sequence[Sample]) -> None:
    for quantity in (Quantity.ENERGY_REGISTER, Quantity.POWER):
        if quantity not in latest and (whole := _whole(samples, quantity)):
            at = max(whole)
            latest[quantity] = Sample(at, quantity, whole[at])


@dataclass(frozen=True, slots=True)
class _Meters:
    registers: Mapping[datetime, int]
    powers: Mapping[datetime, int]
    currents: Mapping[datetime, int]


def _meters(events: Sequence[TransactionEvent]) -> _Meters:
    told: defaultdict[Quantity, list[Sample]] = defaultdict(list)
    for event in events:
        for sample in event.samples:
            told[sample.quantity].append(sample)
    registers = _whole_of(told[Quantity.ENERGY_REGISTER])
    return _Meters(
        registers or _summed(events, _whole_of(told[Quantity.ENERGY_INTERVAL])),
        _whole_of(told[Quantity.POWER]),
        _whole_of(told[Quantity.CURRENT]),
    )


def _whole(samples: Iterable[Sample], quantity: Quantity) -> dict[datetime, int]:
    """Values of *quantity* among *samples*, as :func:`_whole_of` tells them."""
    return _whole_of([sample for sample in samples if sample.quantity is quantity])


def _whole_of(samples: Sequence[Sample]) -> dict[datetime, int]:
    """Values of one quantity for the whole outlet by time; phases are added up.

    Two values for one moment: the larger one, which is as good as the other and always the same.
    """
    whole: dict[datetime, int] = {}
    phased: list[Sample] = []
    for sample in samples:
        at, _, value, _, phase, place = sample
        if place != "outlet":
            continue
        if phase is not None:
            phased.append(sample)
        elif at not in whole or value > whole[at]:
            whole[at] = value
    return whole or _added_up(phased)


def _added_up(samples: Sequence[Sample]) -> dict[datetime, int]:
    """Sums over the phases, at the moments for which all of them are told."""
    phases: defaultdict[datetime, dict[str, int]] = defaultdict(dict)
    for at, _, value, _, phase, _ in samples:
        if phase and phase[:2] in ("L1", "L2", "L3") and phase[2:] in ("", "-N"):
            known = phases[at]
            known[phase] = max(value, known.get(phase, value))
    all_phases = max((len(each) for each in phases.values()), default=0)
    return {at: sum(each.values()) for at, each in phases.items() if len(each) == all_phases}


def _summed(
    events: Sequence[TransactionEvent], intervals: Mapping[datetime, int]
) -> dict[datetime, int]:
    """Turn energies per interval into a register, where a charger has no other."""
    total = next((e.register_wh for e in events if e.register_wh is not None), 0)
    begun = next((e for e in events if e.kind is EventKind.STARTED), None)
    registers = {begun.occurred_at: total} if begun is not None and intervals else {}
    for at in sorted(intervals):
        total += intervals[at]
        registers[at] = total
    return registers


def _readings(
    told: Folded, start: int, stop: int, ended: datetime, meters: _Meters
) -> tuple[Reading, ...]:
    """Return what was read, in order of time, from the start until *ended*."""
    began = told.began_at
    assert began is not None  # something was said, else there is nothing to read
    registers, powers, currents = meters.registers, meters.powers, meters.currents
    states = _states(told.events, began)
    moments = {*registers, *powers, *currents, *states}
    ordered = sorted(moments)
    inner = ordered[bisect_right(ordered, began) : bisect_left(ordered, ended)]
    return (
        Reading(began, start, states.get(began), powers.get(began), currents.get(began)),
        *map(
            reading_of,
            zip(
                inner,
                map(registers.get, inner),
                map(states.get, inner),
                map(powers.get, inner),
                map(currents.get, inner),
                strict=True,
            ),
        ),
        Reading(ended, stop, states.get(ended), powers.get(ended), currents.get(ended)),
    )


def _states(events: Sequence[TransactionEvent], began: datetime) -> dict[datetime, bool]:
    """From when on the car took power or did not; what was said before the start holds at it."""
    told = [
        (event.occurred_at, event.charging in _TAKES_POWER)
        for event in events
        if event.charging is not None
    ]
    states = dict(told)
    if states and min(states) < began:
        return {max(at, began): state for at, state in told}
    return states
