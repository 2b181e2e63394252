"""What was shown is what is billed: the whole way of a session, in three versions of OCPI.

``python -m benchmarks.agreement`` does it over 10,000 sessions and prints the figure.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from benchmarks import agreement
from cms.domain.settlement import Billed
from cms.domain.tariff import Tariff
from ocpi_cpo.versions.offered import DIALECTS


@pytest.mark.parametrize("version", sorted(DIALECTS))
def test_the_partner_recomputes_every_bill_to_the_paisa(version: str) -> None:
    tally = agreement.agreement(120, (version,))

    assert tally.differ == []
    assert tally.sessions[version] + tally.unsayable == 120
    assert len(tally.kinds) == 4, "plain, marked up, single prices, and single prices marked up"


def test_only_2_1_1_has_prices_that_it_cannot_say() -> None:
    assert agreement.agreement(60, ("2.2.1", "2.3.0")).unsayable == 0
    assert agreement.agreement(60, ("2.1.1",)).unsayable > 0


def test_a_price_that_is_not_the_one_that_was_shown_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The comparison can fail: a partner that is shown half a rupee more finds it."""
    compare = agreement._compare

    def shown_otherwise(
        seed: int,
        tally: agreement.Tally,
        version: str,
        done: Billed,
        shown: Tariff,
        zone: ZoneInfo,
    ) -> None:
        first = shown.elements[0]
        part = replace(first.components[0], price=first.components[0].price + Decimal("0.50"))
        dearer = replace(first, components=(part, *first.components[1:]))
        other = replace(shown, elements=(dearer, *shown.elements[1:]))
        compare(seed, tally, version, done, other, zone)

    monkeypatch.setattr(agreement, "_compare", shown_otherwise)
    assert agreement.agreement(60).differ
