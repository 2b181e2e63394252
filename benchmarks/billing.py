"""Whole bills: from a charger's sixty samples to a priced CDR, and how many a core makes a second."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from datetime import time as clock
from decimal import Decimal
from typing import cast
from zoneinfo import ZoneInfo

from benchmarks.report import Figure, Report
from benchmarks.scale import Scale
from benchmarks.summary import Bound, median
from cms.domain.cdr import CdrPlace
from cms.domain.folding import fold
from cms.domain.ids import EvseUid, LocationId, PartnerId, SessionId, StationId
from cms.domain.meter import Quantity, Sample
from cms.domain.rating import rate
from cms.domain.session import Session, SessionStatus
from cms.domain.settlement import Billed, settle
from cms.domain.tariff import Tariff
from cms.domain.topology import ConnectorFormat, Coordinates, PowerType
from cms.domain.transaction import ChargingState, EventKind, TransactionEvent
from cms.domain.usage import Usage, usages_from_readings
from cms.intake.tariffs import TariffIn
from cms.vitals import settle_memory

SAMPLES = 60
GOAL = 2000.0
BEGUN = datetime(2026, 3, 2, 14, 0, tzinfo=UTC)
KOLKATA = ZoneInfo("Asia/Kolkata")


def tariff() -> Tariff:
    """Three elements: by day, by night, and parking that costs by the hour."""
    return TariffIn.model_validate(
        {
            "id": "THREE",
            "currency": "INR",
            "basis": "gross",
            "taxes": [{"name": "CGST", "percent": "9"}, {"name": "SGST", "percent": "9"}],
            "elements": [
                {
                    "components": [{"dimension": "energy", "price": "18.00"}],
                    "restrictions": {"start_time": clock(8), "end_time": clock(20)},
                },
                {"components": [{"dimension": "energy", "price": "12.00"}]},
                {"components": [{"dimension": "parking_time", "price": "60.00", "step_size": 300}]},
            ],
        }
    ).value()


def events() -> list[TransactionEvent]:
    """A start, sixty samples a minute apart over the change of price at eight, and a stop."""
    told = [_event(EventKind.STARTED, 0, register_wh=1000, id_token="CARD", evse=1)]
    for number in range(SAMPLES):
        register = Sample(_at(number), Quantity.ENERGY_REGISTER, _register(number))
        state = ChargingState.CHARGING if number < 50 else ChargingState.SUSPENDED_BY_CAR
        told.append(_event(EventKind.UPDATED, number, samples=(register,), charging=state))
    told.append(_event(EventKind.ENDED, SAMPLES, register_wh=_register(SAMPLES - 1)))
    return told


def _event(kind: EventKind, minutes: int, **more: object) -> TransactionEvent:
    content = f"{kind}{minutes}".encode()
    make = cast(Callable[..., TransactionEvent], TransactionEvent)
    return make(kind, _at(minutes), _at(minutes), content, **more)


def _at(minutes: int) -> datetime:
    return BEGUN + timedelta(minutes=minutes)


def _register(number: int) -> int:
    return 1000 + min(number, 50) * 360 + number % 7 if number < 50 else 19_000


def place() -> CdrPlace:
    """Where it was."""
    return CdrPlace(
        LocationId("GOA-1"),
        PartnerId("IN*CPO"),
        "1 Beach Road",
        "Panaji",
        "IND",
        Coordinates(Decimal("15.4989"), Decimal("73.8278")),
        KOLKATA.key,
        StationId("CS1"),
        1,
        EvseUid("CS1-1"),
        1,
        "IEC_62196_T2",
        ConnectorFormat.SOCKET,
        PowerType.AC_3_PHASE,
    )


def bill(told: list[TransactionEvent], price: Tariff, where: CdrPlace) -> Billed:
    """Make the bill as ``Settling`` does: fold, usage, rating, trace, CDR."""
    started = Session(
        SessionId("S"), StationId("CS1"), 1, SessionStatus.STOPPED, BEGUN, BEGUN, "CARD"
    )
    done = settle(started, fold(told), price, where, _at(SAMPLES))
    assert isinstance(done, Billed)
    return done


def used() -> list[Usage]:
    """What the session used, for rating alone."""
    return list(usages_from_readings(fold(events()).readings))


async def measure(report: Report, scale: Scale) -> None:
    """Bill one session again and again; then rate it alone."""
    report.chapter("Rating")
    price, told, where, usages = tariff(), events(), place(), used()
    seconds = 0.3 if scale.quick else 1.0
    with _collecting_as_the_server():
        bills = [_per_second(lambda: bill(told, price, where), seconds) for _ in range(3)]
        rates = [_per_second(lambda: rate(price, usages, KOLKATA), seconds) for _ in range(3)]
    report.add(
        Figure(
            f"bills of {SAMPLES} samples and 3 elements",
            median(bills),
            "/s",
            Bound.AT_LEAST,
            GOAL,
            note=f"fold, usage, rating and CDR of one core; {1e3 / median(bills):.2f} ms each",
            detail={"rounds": bills},
        )
    )
    report.add(
        Figure(
            f"ratings of {SAMPLES} samples and 3 elements",
            median(rates),
            "/s",
            note=f"rating alone; {1e3 / median(rates):.2f} ms each",
            detail={"rounds": rates},
        )
    )


@contextmanager
def _collecting_as_the_server() -> Iterator[None]:
    """Bills are made in the server, which sets the garbage collector so."""
    before = gc.get_threshold()
    settle_memory()
    yield
    gc.unfreeze()
    gc.set_threshold(*before)


def _per_second(work: Callable[[], object], seconds: float) -> float:
    done, begun = 0, time.process_time()
    while (spent := time.process_time() - begun) < seconds:
        work()
        done += 1
    return done / spent
