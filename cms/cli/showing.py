"""What the command line prints: tables for eyes, grep and awk, and plain JSON."""

from __future__ import annotations

import json
import sys
from typing import Any
from urllib.parse import quote

from rich.console import Console

out = Console(soft_wrap=True)


def in_path(id: str) -> str:
    return quote(id, safe="")


def show(rows: list[dict[str, Any]], as_json: bool, columns: str) -> None:
    """Print rows one a line, columns aligned, nothing cut: for eyes, grep and awk alike."""
    if as_json:
        print_json(rows)
        return
    names = columns.split()
    cells = [[cell(row.get(name)) or "-" for name in names] for row in rows]
    widths = [max(map(len, column)) for column in zip(names, *cells, strict=True)]
    out.print(f"[bold]{_line([name.upper() for name in names], widths)}[/]", highlight=False)
    for line in cells:
        out.print(_line(line, widths), markup=False, highlight=False)


def _line(cells: list[str], widths: list[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()


def cell(value: Any) -> str:
    match value:
        case None:
            return ""
        case True:
            return "yes"
        case False:
            return "no"
        case list():
            return " ".join(map(str, value))
        case _:
            return str(value)


def print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")
