"""Verbs about how roaming partners do: look, tell again, what they would not take."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from cms.cli.office import Office, visit
from cms.cli.showing import in_path, out, print_json, show
from cms.config import load

ConfigFile = Annotated[
    Path | None, typer.Option("--config", "-c", help="The TOML file [default: config.toml]")
]
AsJson = Annotated[bool, typer.Option("--json", help="Plain JSON instead of a table")]
Module = Annotated[
    str | None, typer.Option(help="locations, tariffs, sessions, cdrs or tokens; default all")
]

_LOOK_SECONDS = 1.0


def extend(partners: typer.Typer) -> None:
    """Add the verbs of this room to ``cms partners``."""
    partners.command("show")(show_partner)
    partners.command("renew")(renew)
    partners.command("sync")(sync)
    partners.command("resync", hidden=True)(sync)
    partners.command("compare")(compare)
    partners.command("parked")(parked)
    partners.command("retry")(retry)
    partners.command("drop")(drop)


def show_partner(id: str, config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Show how one partner does: state, lag, what it refuses, errors of the last hour."""
    found = visit(load(config), lambda office: office.get(f"/partners/{in_path(id)}"))
    if as_json:
        print_json(found)
        return
    health = found["health"]
    facts = {
        "partner": f"{found['id']} {found['name']}",
        "state": f"{found['state']}, OCPI {health['version'] or '-'}",
        "registered": _ago(health["registered_at"]),
        "tokens renewed": _ago(health["tokens_renewed_at"]),
        "driver tokens up to": health["tokens_pulled_to"] or "-",
        "last success": _ago(health["last_success_at"]),
        "last error": health["last_error"] or "-",
        "unseen changes": _unseen(health),
        "parked": health["parked"],
    }
    if health["failures"]:
        facts["not answering"] = (
            f"{health['failures']} times in a row; next try in {health['pause_seconds']:.0f} s"
        )
    for name, fact in facts.items():
        out.print(f"{name:<20} {fact}", markup=False, highlight=False)
    for module, ended in health["requests"].items():
        counts = ", ".join(f"{kind} {count}" for kind, count in ended.items())
        out.print(f"{'last hour':<20} {module}: {counts}", markup=False, highlight=False)
    for each in health["syncs"]:
        out.print(f"{'sync':<20} {_progress(each)}", markup=False, highlight=False)


def renew(
    id: str,
    version: Annotated[str | None, typer.Option(help="Version of OCPI to move to.")] = None,
    config: ConfigFile = None,
) -> None:
    """Exchange the tokens of both directions now: on suspicion, or to move to another version."""
    path, body = f"/partners/{in_path(id)}/renew", {"version": version}
    print_json(visit(load(config), lambda office: office.post(path, body)))


def sync(
    id: str,
    module: Module = None,
    wait: Annotated[bool, typer.Option(help="Show how far it is until it is done")] = False,
    config: ConfigFile = None,
) -> None:
    """Tell a partner everything that it may see again; bills only where it may lack them."""
    path = f"/partners/{in_path(id)}"

    async def go(office: Office) -> Any:
        asked = await office.post(f"{path}/sync", {"module": module})
        while wait:
            left = [each for each in asked["health"]["syncs"] if _asked(each, module)]
            _print_syncs(left)
            if not any(each["left"] for each in left):
                break
            await asyncio.sleep(_LOOK_SECONDS)
            asked = await office.get(path)
        return asked

    found = visit(load(config), go)
    if not wait:
        _print_syncs([each for each in found["health"]["syncs"] if _asked(each, module)])


def compare(
    id: str,
    module: Annotated[
        str | None, typer.Option(help="locations, tariffs, sessions or cdrs; default all")
    ] = None,
    last: Annotated[bool, typer.Option("--last", help="Only show the last one")] = False,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Compare a partner's copies with ours: what differs is shown and repaired, bills reported."""
    path = f"/partners/{in_path(id)}"

    async def go(office: Office) -> Any:
        if not last:
            await office.post(f"{path}/compare", {"module": module})
        found = await office.get(f"{path}/comparison")
        while not last and found["ended_at"] is None:
            await asyncio.sleep(_LOOK_SECONDS)
            found = await office.get(f"{path}/comparison")
        return found

    found = visit(load(config), go)
    if as_json:
        print_json(found)
        return
    show(found["looked"], False, "module offered looked same differing missing moving unverifiable")
    if found["findings"]:
        show(found["findings"], False, "module object field ours theirs done")
    if found["stopped"] is not None:
        out.print(f"ended early: {found['stopped']}", markup=False, highlight=False)


def parked(id: str, config: ConfigFile = None, as_json: AsJson = False) -> None:
    """List what a partner would not take: why, since when, its last answer (--json)."""
    found = visit(load(config), lambda office: office.get(f"/partners/{in_path(id)}/parked"))
    show(found, as_json, "kind key since attempts retry_at why")


def retry(id: str, kind: str, key: str, config: ConfigFile = None) -> None:
    """Try one parked object now."""
    _act(id, {"action": "retry", "kind": kind, "key": key}, config)


def drop(
    id: str,
    kind: str,
    key: str,
    note: Annotated[str | None, typer.Option(help="Why; kept in the audit")] = None,
    config: ConfigFile = None,
) -> None:
    """Give one parked object up: it is not tried again until it changes, a bill never."""
    _act(id, {"action": "drop", "kind": kind, "key": key, "note": note}, config)


def _act(id: str, body: dict[str, Any], config: Path | None) -> None:
    path = f"/partners/{in_path(id)}/parked/actions"
    print_json(visit(load(config), lambda office: office.post(path, body))["health"])


def _asked(state: dict[str, Any], module: str | None) -> bool:
    return module in (None, state["module"])


def _print_syncs(states: list[dict[str, Any]]) -> None:
    for each in states:
        out.print(_progress(each), markup=False, highlight=False)


def _progress(state: dict[str, Any]) -> str:
    left = state["left"]
    how = "done" if not left else f"{left} left"
    return f"{state['module']}: {state['total']} asked by {state['by']} {state['asked_at']}, {how}"


def _unseen(health: dict[str, Any]) -> str:
    modules = ", ".join(f"{name} {count}" for name, count in health["unseen"].items() if count)
    if not modules:
        return "none"
    return f"{health['lag']} ({modules}), the oldest {_ago(health['oldest_unseen_at'])}"


def _ago(text: str | None) -> str:
    if text is None:
        return "-"
    seconds = max(0, int((datetime.now(UTC) - datetime.fromisoformat(text)).total_seconds()))
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size} {unit} ago"
    return f"{seconds} s ago"
