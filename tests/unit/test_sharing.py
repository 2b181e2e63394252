"""What a partner is shown is the operator's choice."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cms.domain.errors import InvalidValue
from cms.domain.ids import LocationId, TariffId
from cms.domain.sharing import EVERYTHING, LiveStatus, Sharing
from cms.domain.topology import Business, Location
from tests.contract.samples import LOCATION

MALL = replace(LOCATION, id=LocationId("MALL"), owner=Business("The Mall"))
YARD = replace(LOCATION, id=LocationId("YARD"), owner=None)


@pytest.mark.parametrize(
    ("sharing", "shown"),
    [
        (EVERYTHING, [MALL, YARD]),
        (Sharing(frozenset({YARD.id})), [YARD]),
        (Sharing(frozenset()), []),
        (Sharing(owners=frozenset({"the mall"})), [MALL]),
        (Sharing(frozenset({YARD.id}), frozenset({"The Mall"})), [MALL, YARD]),
    ],
)
def test_sites_are_chosen_by_id_or_by_owner(sharing: Sharing, shown: list[Location]) -> None:
    assert [site for site in (MALL, YARD) if sharing.shows(site)] == shown


def test_tariffs_are_chosen_by_id() -> None:
    assert EVERYTHING.shows_tariff(TariffId("A"))
    some = Sharing(tariffs=frozenset({TariffId("A")}))
    assert some.shows_tariff(TariffId("A"))
    assert not some.shows_tariff(TariffId("B"))


@pytest.mark.parametrize(
    ("status", "minutes"),
    [
        (LiveStatus.DELAYED, 0),
        (LiveStatus.DELAYED, 1441),
        (LiveStatus.SHOWN, 5),
        (LiveStatus.HIDDEN, 5),
    ],
)
def test_a_delay_belongs_to_a_delayed_status(status: LiveStatus, minutes: int) -> None:
    with pytest.raises(InvalidValue, match="delay_minutes"):
        Sharing(status=status, delay_minutes=minutes)
