"""A bill is made once, kept exactly, and taken back only whole."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from cms.domain.cdr import Cdr, CdrPlace, cdr_from_text, cdr_text, credit
from cms.domain.errors import InvalidValue
from cms.domain.ids import (
    CdrId,
    EvseUid,
    LocationId,
    PartnerId,
    SessionId,
    StationId,
    TariffId,
)
from cms.domain.money import Price
from cms.domain.rating import rate
from cms.domain.tariff import Basis, Dimension, Element, PriceComponent, Restrictions, Tariff, Tax
from cms.domain.token import AuthMethod, Token, TokenType, Whitelist
from cms.domain.topology import ConnectorFormat, Coordinates, PowerType
from cms.domain.usage import Usage, UsageKind

NOON = datetime(2026, 3, 3, 6, 30, tzinfo=UTC)
END = NOON + timedelta(minutes=75)
TARIFF = Tariff(
    TariffId("T"),
    "INR",
    (
        Element(
            (PriceComponent(Dimension.ENERGY, Decimal("18.00")),),
            Restrictions(max_kwh=Decimal("2.5")),
        ),
        Element(
            (
                PriceComponent(Dimension.ENERGY, Decimal("21.00")),
                PriceComponent(Dimension.PARKING_TIME, Decimal(60), 60),
            )
        ),
    ),
    basis=Basis.GROSS,
    taxes=(Tax("CGST", Decimal(9)), Tax("SGST", Decimal(9))),
)
PLACE = CdrPlace(
    location=LocationId("L1"),
    party=PartnerId("IN*CPO"),
    address="1 MG Road",
    city="Bengaluru",
    country="IND",
    coordinates=Coordinates(Decimal("12.9716"), Decimal("77.5946")),
    time_zone="Asia/Kolkata",
    station=StationId("CS1"),
    evse=1,
    evse_uid=EvseUid("E1"),
    connector=1,
    standard="IEC_62196_T2",
    format=ConnectorFormat.SOCKET,
    power_type=PowerType.AC_3_PHASE,
)
TOKEN = Token(
    PartnerId("IN*EMS"), "04AB", TokenType.RFID, "IN-EMS-C1", "EMS", True, Whitelist.ALLOWED
)


def bill() -> Cdr:
    usages = [
        Usage(NOON, NOON + timedelta(minutes=61), 7_001, UsageKind.CHARGING, 7_000, 30_000),
        Usage(NOON + timedelta(minutes=61), END, 0, UsageKind.PARKING),
    ]
    rating = rate(TARIFF, usages, ZoneInfo("Asia/Kolkata"))
    return Cdr(
        id=CdrId("C1"),
        session=SessionId("S1"),
        owner=PartnerId("IN*EMS"),
        place=PLACE,
        token=TOKEN,
        method=AuthMethod.COMMAND,
        started_at=NOON,
        ended_at=END,
        energy_wh=7_001,
        total_time=END - NOON,
        parking_time=rating.parking_time,
        rating=rating,
        tariffs=(TARIFF,),
        created_at=END,
        total=rating.total,
        reference="AUTH-1",
    )


def test_bill_survives_being_kept_as_text() -> None:
    cdr = bill()
    again = cdr_from_text(cdr_text(cdr))
    assert again == cdr
    assert cdr_text(again) == cdr_text(cdr)
    assert str(again.total.gross) == str(cdr.total.gross)
    assert again.trace == cdr.trace


def test_credit_negates_the_total_and_nothing_else() -> None:
    cdr = bill()
    back = credit(cdr, CdrId("C1-credit"), END + timedelta(days=1))
    assert back.total.gross == -cdr.total.gross
    assert (cdr.total + back.total).gross.amount == 0
    assert (back.energy_wh, back.rating, back.session) == (7_001, cdr.rating, cdr.session)
    assert back.credit and back.credit_of == cdr.id
    assert cdr_from_text(cdr_text(back)) == back


def test_credit_cannot_be_credited() -> None:
    back = credit(bill(), CdrId("C2"), END)
    with pytest.raises(InvalidValue, match="credit"):
        credit(back, CdrId("C3"), END)


def test_bill_cannot_say_another_total_than_was_rated() -> None:
    with pytest.raises(InvalidValue, match="not what was rated"):
        replace(bill(), total=Price.zero("INR"))


@pytest.mark.parametrize("length", [0, 37])
def test_id_fits_what_partners_can_store(length: int) -> None:
    with pytest.raises(InvalidValue, match="id"):
        replace(bill(), id=CdrId("x" * length))


def test_credit_id_may_be_a_little_longer() -> None:
    assert credit(bill(), CdrId("x" * 39), END).credit
    with pytest.raises(InvalidValue, match="id"):
        credit(bill(), CdrId("x" * 40), END)


def test_bill_cannot_end_before_it_starts() -> None:
    with pytest.raises(InvalidValue, match="ended_at"):
        replace(bill(), ended_at=NOON - timedelta(seconds=1))
