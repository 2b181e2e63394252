"""Verbs about invoices: which bills we invoice to whom, and what partners invoice us."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from cms.cli.office import visit
from cms.cli.showing import in_path, print_json, show
from cms.config import load

ConfigFile = Annotated[
    Path | None, typer.Option("--config", "-c", help="The TOML file [default: config.toml]")
]
AsJson = Annotated[bool, typer.Option("--json", help="Plain JSON instead of a table")]

invoices = typer.Typer(help="Which bills are in which invoice.", no_args_is_help=True)

_COLUMNS = "id number last_updated bills_count currency total_gross"


@invoices.command("list")
def list_invoices(partner: str, config: ConfigFile = None, as_json: AsJson = False) -> None:
    """List our invoices to a partner."""
    _list(f"/partners/{in_path(partner)}/invoices", config, as_json)


@invoices.command("received")
def received(partner: str, config: ConfigFile = None, as_json: AsJson = False) -> None:
    """List what a partner invoices us; what does not fit is a work item."""
    _list(f"/partners/{in_path(partner)}/invoices-received", config, as_json)


@invoices.command("issue")
def issue(
    partner: str,
    number: Annotated[str, typer.Argument(help="As it stands on the invoice")],
    bill: Annotated[list[str] | None, typer.Option(help="This bill; repeatable")] = None,
    ended_from: Annotated[datetime | None, typer.Option(help="Ended then or later (UTC)")] = None,
    ended_to: Annotated[datetime | None, typer.Option(help="Ended before then (UTC)")] = None,
    config: ConfigFile = None,
) -> None:
    """Group bills into an invoice: those named, else all of the period that are in none."""
    body: dict[str, Any] = {
        "number": number,
        "bills": bill or [],
        "ended_from": _utc(ended_from),
        "ended_to": _utc(ended_to),
    }
    path = f"/partners/{in_path(partner)}/invoices"
    print_json(visit(load(config), lambda office: office.post(path, body)))


@invoices.command("withdraw")
def withdraw(partner: str, id: str, config: ConfigFile = None) -> None:
    """Take an invoice back whose record was an error; its bills are free again."""
    path = f"/partners/{in_path(partner)}/invoices/{in_path(id)}"
    print_json(visit(load(config), lambda office: office.delete(path)))


def _list(path: str, config: Path | None, as_json: bool) -> None:
    found = visit(load(config), lambda office: office.get(path))
    rows = [{**each, "bills_count": len(each["bills"])} for each in found]
    show(found if as_json else rows, as_json, _COLUMNS)


def _utc(moment: datetime | None) -> str | None:
    return None if moment is None else f"{moment.isoformat()}Z"
