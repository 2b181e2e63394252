"""CSV that a spreadsheet opens and does not obey."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from cms.dashboard import sheets


def cells(*values: Any) -> list[str]:
    names = [f"c{number}" for number in range(len(values))]
    text = sheets.table(names, [dict(zip(names, values, strict=True))])
    rows = list(csv.reader(io.StringIO(text, newline="")))
    assert rows[0] == names
    return rows[1]


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", '=HYPERLINK("http://x")']
)
def test_text_that_a_spreadsheet_would_calculate_is_marked_as_text(text: str) -> None:
    assert cells(text) == ["'" + text]


def test_numbers_stay_numbers() -> None:
    assert cells(Decimal("-5.10"), Decimal("1E+2"), -3, 0, None) == ["-5.10", "100", "-3", "0", ""]


def test_moments_are_utc_and_say_so() -> None:
    assert cells(datetime(2026, 11, 20, 14, 5, tzinfo=UTC)) == ["2026-11-20T14:05:00Z"]


def test_commas_quotes_and_line_breaks_stay_in_their_cell() -> None:
    assert cells('a,b "c"\r\nd', "e") == ['a,b "c"\r\nd', "e"]


def test_a_table_without_rows_still_names_its_columns() -> None:
    assert sheets.table(["a", "b"], []) == "a,b\r\n"


def test_a_bills_taxes_are_one_cell() -> None:
    tax = {"name": "CGST", "percent": Decimal(9), "amount": Decimal("2.01")}
    row = sheets.cdr_row({"taxes": [tax, {**tax, "name": "SGST"}]})
    assert row["taxes"] == "CGST 9% 2.01; SGST 9% 2.01"
