"""Verbs about bills: list, evidence for a dispute, bulk correction."""

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from cms.cli.office import Office, Refused, visit
from cms.cli.showing import in_path, out, print_json, show
from cms.config import load

ConfigFile = Annotated[
    Path | None, typer.Option("--config", "-c", help="The TOML file [default: config.toml]")
]
AsJson = Annotated[bool, typer.Option("--json", help="Plain JSON instead of a table")]

bills = typer.Typer(help="Bills: look, prove, correct.", no_args_is_help=True)

_LOOK_SECONDS = 1.0
_COLUMNS = "bill owner old_wh new_wh currency old_gross new_gross difference outcome by_hand why"


@bills.command("list")
def list_bills(
    limit: Annotated[int, typer.Option(min=1, max=500)] = 50,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """List bills, newest first."""
    found = visit(load(config), lambda office: office.get("/cdrs", limit=limit))["cdrs"]
    show(found, as_json, "id partner charger ended_at energy_wh currency total_gross credit_of")


@bills.command("evidence")
def evidence(
    id: str,
    to: Annotated[Path, typer.Option("--out", help="The archive to write")],
    config: ConfigFile = None,
) -> None:
    """Write everything that a bill rests on into one archive, without secrets."""
    path = f"/cdrs/{in_path(id)}/evidence.zip"
    archive = visit(load(config), lambda office: office.fetch(path))
    try:
        with to.open("xb") as file:
            file.write(archive)
    except FileExistsError:
        raise Refused(f"{to} is there already; nothing was written") from None
    except OSError as error:
        raise Refused(f"{to}: {error.strerror}") from None
    out.print(f"{to}: {len(archive)} bytes", markup=False, highlight=False)


@bills.command("correct")
def correct(
    id: Annotated[list[str] | None, typer.Option(help="This bill; repeatable")] = None,
    partner: Annotated[str | None, typer.Option(help="Bills of this partner")] = None,
    station: Annotated[str | None, typer.Option(help="Bills of this charger")] = None,
    used_tariff: Annotated[str | None, typer.Option(help="Bills by this tariff")] = None,
    ended_from: Annotated[datetime | None, typer.Option(help="Ended then or later (UTC)")] = None,
    ended_to: Annotated[datetime | None, typer.Option(help="Ended before then (UTC)")] = None,
    tariff: Annotated[str | None, typer.Option(help="The tariff that should have held")] = None,
    kwh: Annotated[str | None, typer.Option(help="What was really charged; for one bill")] = None,
    reason: Annotated[str | None, typer.Option(help="Stands on the new bills")] = None,
    apply: Annotated[bool, typer.Option("--apply", help="Do it, not only show it")] = False,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Show what a correction of bills would do; with --apply, credit and replace each."""
    body: dict[str, Any] = {
        "ids": id or [],
        "partner": partner,
        "station": station,
        "used_tariff": used_tariff,
        "ended_from": _utc(ended_from),
        "ended_to": _utc(ended_to),
        "tariff": tariff,
        "energy_kwh": kwh,
        "reason": reason,
    }

    async def go(office: Office) -> Any:
        run = await office.post("/corrections", body)
        return await _applied(office, run["id"]) if apply else run

    _print_run(visit(load(config), go), as_json)


@bills.command("apply")
def apply_run(id: str, config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Carry out a correction that was shown before."""
    _print_run(visit(load(config), lambda office: _applied(office, id)), as_json)


@bills.command("corrections")
def corrections(config: ConfigFile = None, as_json: AsJson = False) -> None:
    """List corrections, newest first."""
    found = visit(load(config), lambda office: office.get("/corrections"))
    show(found, as_json, "id at who state bills reason")


async def _applied(office: Office, id: str) -> Any:
    run = await office.post(f"/corrections/{in_path(id)}/apply")
    while run["state"] != "done":
        await asyncio.sleep(_LOOK_SECONDS)
        run = await office.get(f"/corrections/{in_path(id)}")
    return run


def _utc(moment: datetime | None) -> str | None:
    return None if moment is None else f"{moment.isoformat()}Z"


def _print_run(run: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(run)
        return
    show(run["rows"], False, _COLUMNS)
    for each in run["sums"]:
        out.print(
            f"{each['currency']}: {each['old']} becomes {each['new']}, {each['difference']}",
            markup=False,
            highlight=False,
        )
    words = f"correction {run['id']}: {run['state']}"
    hint = f"; cms bills apply {run['id']} carries it out" if run["state"] == "proposed" else ""
    out.print(words + hint, markup=False, highlight=False)
