"""Pricing whole sessions: how many bills a core makes in a second."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from datetime import time as clock
from zoneinfo import ZoneInfo

from benchmarks.report import Figure, Report
from benchmarks.scale import Scale
from benchmarks.summary import Bound, median
from cms.domain.rating import rate
from cms.domain.tariff import Tariff
from cms.domain.usage import Reading, Usage, usages_from_readings
from cms.intake.tariffs import TariffIn

SAMPLES = 60
GOAL = 2000.0


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


def session() -> list[Usage]:
    """Sixty samples, a minute apart, over the change of price at eight in the evening."""
    begun = datetime(2026, 3, 2, 14, 0, tzinfo=UTC)
    readings = [
        Reading(begun + timedelta(minutes=number), 1000 + number * 360 + number % 7, number < 50)
        for number in range(SAMPLES)
    ]
    return list(usages_from_readings(readings))


async def measure(report: Report, scale: Scale) -> None:
    """Rate one session again and again."""
    report.chapter("Rating")
    price, used, zone = tariff(), session(), ZoneInfo("Asia/Kolkata")
    rounds = [_per_second(price, used, zone, 0.3 if scale.quick else 1.0) for _ in range(3)]
    report.add(
        Figure(
            f"bills of {SAMPLES} samples and 3 elements",
            median(rounds),
            "/s",
            Bound.AT_LEAST,
            GOAL,
            note=f"goal of the design; {1e3 / median(rounds):.2f} ms each",
            detail={"rounds": rounds},
        )
    )


def _per_second(price: Tariff, used: list[Usage], zone: ZoneInfo, seconds: float) -> float:
    rated, begun = 0, time.process_time()
    while (spent := time.process_time() - begun) < seconds:
        rate(price, used, zone)
        rated += 1
    return rated / spent
