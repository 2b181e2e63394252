"""Whose contract an EMAID names."""

from __future__ import annotations

import pytest

from cms.domain.token import provider_of


@pytest.mark.parametrize(
    "uid", ["DE-8AA-CA2B3C4D5-N", "DE8AACA2B3C4D5N", "DE-8AA-CA2B3C4D5", "de8aaca2b3c4d5"]
)
def test_a_contract_id_names_its_provider_with_hyphens_or_without(uid: str) -> None:
    assert provider_of(uid) == "DE*8AA"


@pytest.mark.parametrize(
    "uid",
    [
        "",
        "04A1B2C3D4E5F6",
        "DE-8AACA2B3C4D5",
        "DE8AA0A2B3C4D5",
        "DE8AACA2B3C4D5NN",
        "D18AACA2B3C4D5",
    ],
)
def test_other_words_name_nobody(uid: str) -> None:
    assert provider_of(uid) is None
