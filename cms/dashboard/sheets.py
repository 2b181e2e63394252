"""CSV for spreadsheets: whole tables, one page of the store at a time, inert in every cell."""

from __future__ import annotations

import csv
import io
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from aiohttp import web

from cms.app.ports import Page
from cms.dashboard.views import Json

PAGE_ROWS = 500

SESSION_COLUMNS = (
    "id status site charger evse connector transaction protocol id_token partner contract "
    "auth_method reference started_at ended_at start_wh last_wh energy_wh stop_reason flags"
).split()

CDR_COLUMNS = (
    "id session partner site charger evse evse_uid connector contract started_at ended_at "
    "energy_wh currency total_net total_tax total_gross taxes tariffs credit_of remark created_at"
).split()

SUM_COLUMNS = "site day currency bills energy_wh net tax gross".split()


async def send(
    request: web.Request,
    filename: str,
    columns: Sequence[str],
    page: Callable[[Page], Awaitable[list[Json]]],
) -> web.StreamResponse:
    """Answer with every row that *page* brings, in its order; a header line always."""
    rows = await page(Page(0, PAGE_ROWS))  # what goes wrong here still gets a proper answer
    response = web.StreamResponse(
        headers={
            "Content-Type": "text/csv; charset=utf-8",
            "Content-Disposition": f'attachment; filename="{filename}"',
        }
    )
    await response.prepare(request)
    await response.write(table(columns, rows).encode())
    offset = PAGE_ROWS
    while len(rows) == PAGE_ROWS:
        rows = await page(Page(offset, PAGE_ROWS))
        await response.write(_lines(columns, rows).encode())
        offset += PAGE_ROWS
    await response.write_eof()
    return response


def table(columns: Sequence[str], rows: Iterable[Json]) -> str:
    """Return a header line and *rows*."""
    return ",".join(columns) + "\r\n" + _lines(columns, rows)


def cdr_row(view: Json) -> Json:
    """Return a bill's view with its taxes in one cell: ``CGST 9% 2.01; SGST 9% 2.01``."""
    taxes = "; ".join(
        f"{tax['name']} {_cell(tax['percent'])}% {_cell(tax['amount'])}" for tax in view["taxes"]
    )
    return {**view, "taxes": taxes}


def _lines(columns: Sequence[str], rows: Iterable[Json]) -> str:
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerows([_cell(row[name]) for name in columns] for row in rows)
    return out.getvalue()


def _cell(value: Any) -> str:
    """Write a value; text that a spreadsheet would calculate is marked as text."""
    match value:
        case None:
            return ""
        case datetime():
            return value.isoformat().replace("+00:00", "Z")
        case Decimal():
            return format(value, "f")
        case list():
            return _inert(" ".join(map(str, value)))
        case str():
            return _inert(value)
        case _:
            return str(value)


def _inert(text: str) -> str:
    return f"'{text}" if text[:1] in tuple("=+-@\t\r\n") else text
