"""The verbs of the command line."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from cms.cli import billing, invoicing, partner_terms, roaming, serving, tables
from cms.cli.ocpi import ocpi
from cms.cli.office import Office, Refused, visit
from cms.cli.showing import cell as _cell
from cms.cli.showing import in_path as _in_path
from cms.cli.showing import out
from cms.cli.showing import print_json as _print_json
from cms.cli.showing import show as _show
from cms.config import Config, ConfigError, load
from cms.domain.errors import CmsError

app = typer.Typer(
    name="cms",
    help="The backend that a charge point operator runs: OCPP in, OCPI out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
chargers = typer.Typer(help="Charging stations.", no_args_is_help=True)
limits = typer.Typer(
    help="The most that a session, or every session of an EVSE, may take.", no_args_is_help=True
)
tokens = typer.Typer(help="Own tokens, and partners' as we hold them.", no_args_is_help=True)
tariffs = typer.Typer(help="Tariffs and the price book.", no_args_is_help=True)
partners = typer.Typer(help="Roaming partners.", no_args_is_help=True)
keys = typer.Typer(help="Keys to the HTTP API.", no_args_is_help=True)
reservations = typer.Typer(help="EVSEs held for drivers on their way.", no_args_is_help=True)
work = typer.Typer(help="What waits for a person.", no_args_is_help=True)
db = typer.Typer(help="The database.", no_args_is_help=True)
export = typer.Typer(help="Take data out.", no_args_is_help=True)
bring = typer.Typer(help="Take data over from another system, as CSV.", no_args_is_help=True)
for name, group in (
    ("chargers", chargers),
    ("limits", limits),
    ("tokens", tokens),
    ("tariffs", tariffs),
    ("partners", partners),
    ("keys", keys),
    ("reservations", reservations),
    ("work", work),
    ("db", db),
    ("export", export),
    ("import", bring),
    ("ocpi", ocpi),
):
    app.add_typer(group, name=name)
app.add_typer(billing.bills, name="bills")
app.add_typer(invoicing.invoices, name="invoices")
roaming.extend(partners)
partner_terms.extend(partners)

ConfigFile = Annotated[
    Path | None, typer.Option("--config", "-c", help="The TOML file [default: config.toml]")
]
AsJson = Annotated[bool, typer.Option("--json", help="Plain JSON instead of a table")]
Csv = Annotated[Path, typer.Argument(help="The CSV file; its first line names the columns")]


def guarded(run: Callable[[], Any]) -> int:
    """Run the command line. A known trouble is one line on standard error and exit code 2."""
    try:
        run()
    except (ConfigError, CmsError, Refused) as error:
        sys.stderr.write(f"cms: {error}\n")
        return 2
    return 0


# -- running


@app.command()
def serve(config: ConfigFile = None) -> None:
    """Run the backend until SIGTERM or Ctrl-C."""
    raise typer.Exit(serving.serve(load(config)))


@app.command()
def demo(
    sessions: Annotated[int, typer.Option(min=0, help="Stop after this many whole sessions")] = 0,
    seed: Annotated[int, typer.Option(help="Same seed, same sessions")] = 1,
    report: Annotated[Path | None, typer.Option(help="Write a JSON report there")] = None,
    chargers: Annotated[int, typer.Option(min=2, help="Simulated chargers")] = 8,
    hub: Annotated[
        bool, typer.Option("--hub", help="Four providers on three versions, three behind hubs")
    ] = False,
) -> None:
    """Show the whole: backend, simulated chargers, a simulated partner, live in the terminal."""
    raise typer.Exit(serving.demo(sessions, seed, report, chargers, hub=hub))


@app.command("check-config")
def check_config(config: ConfigFile = None) -> None:
    """Check the config file and say what it defines."""
    found = load(config)
    serving.check(found)
    out.print(
        f"config ok: {len(found.locations)} locations, {len(found.chargers)} chargers, "
        f"{len(found.tariffs)} tariffs, {len(found.tokens)} tokens"
    )


@app.command()
def explain(
    handle: Annotated[
        str, typer.Argument(help="Session, bill, reference, token, or CHARGER@2026-11-20T14:05")
    ],
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Tell the whole story behind any handle, in site time."""
    stories = visit(load(config), lambda office: office.get("/explain", handle=handle))
    if as_json:
        _print_json(stories)
        return
    for number, story in enumerate(stories):
        if number:
            out.print()
        _print_story(story)


_KINDS = {
    "command": "cyan",
    "decision": "magenta",
    "repair": "yellow",
    "commit": "green",
    "price": "green",
    "push": "blue",
    "work": "red",
}


def _print_story(story: dict[str, Any]) -> None:
    session = story["session"]
    out.print(
        f"[bold]session {session['id']}[/] at {session['charger']}/{session['evse']}: "
        f"{session['status']}, {session['energy_wh']} Wh "
        f"(times of the site, {story['time_zone']})",
        highlight=False,
    )
    for step in story["steps"]:
        kind = step["kind"]
        out.print(
            Text(f"{step['site_time']}  "),
            Text(f"{kind:<9}", style=_KINDS.get(kind, "dim")),
            Text(step["title"]),
            highlight=False,
        )
        for name, value in step["detail"].items():
            if value not in (None, "", [], {}):
                out.print(Text(f"{'':36}{name}: {_cell(value)}", style="dim"))


# -- chargers


@chargers.command("list")
def list_chargers(config: ConfigFile = None, as_json: AsJson = False) -> None:
    """List the chargers with their live state."""
    found = visit(load(config), lambda office: office.get("/chargers"))
    rows = [
        {
            **each,
            "evses": " ".join(f"{evse['number']}:{evse['status']}" for evse in each["evses"]),
        }
        for each in found
    ]
    _show(
        rows if not as_json else found,
        as_json,
        "id site approval online vendor model firmware protocol evses",
    )


@chargers.command("show")
def show_charger(id: str, config: ConfigFile = None) -> None:
    """Show one charger."""
    _print_json(visit(load(config), lambda office: office.get(f"/chargers/{_in_path(id)}")))


@chargers.command("add")
def add_charger(
    id: str,
    location: Annotated[str, typer.Option()],
    standard: Annotated[str, typer.Option()] = "IEC_62196_T2",
    format: Annotated[str, typer.Option()] = "SOCKET",
    power_type: Annotated[str, typer.Option()] = "AC_3_PHASE",
    max_voltage: Annotated[int, typer.Option()] = 230,
    max_amperage: Annotated[int, typer.Option()] = 32,
    evses: Annotated[int, typer.Option(min=1)] = 1,
    tariff: Annotated[list[str] | None, typer.Option()] = None,
    profile: Annotated[str | None, typer.Option()] = None,
    config: ConfigFile = None,
) -> None:
    """Add a charger; its password is shown once."""
    connector = {
        "standard": standard,
        "format": format,
        "power_type": power_type,
        "max_voltage": max_voltage,
        "max_amperage": max_amperage,
        "tariffs": tariff or [],
    }
    body: dict[str, Any] = {
        "id": id,
        "location": location,
        "evses": [{"number": each + 1, "connectors": [connector]} for each in range(evses)],
    }
    if profile is not None:
        body["profile"] = profile
    _print_json(visit(load(config), lambda office: office.put(f"/chargers/{_in_path(id)}", body)))


@chargers.command("approve")
def approve_charger(
    id: str,
    to: Annotated[str, typer.Option(help="testing, approved, rejected or removed")] = "approved",
    config: ConfigFile = None,
) -> None:
    """Move a charger on its way into the network."""
    body = {"approval": to}
    _print_json(
        visit(load(config), lambda office: office.post(f"/chargers/{_in_path(id)}/approval", body))
    )


@chargers.command("password")
def charger_password(id: str, config: ConfigFile = None) -> None:
    """Draw a new password for a charger; the old one is refused from now on."""
    _print_json(
        visit(load(config), lambda office: office.post(f"/chargers/{_in_path(id)}/password"))
    )


@chargers.command("log")
def charger_log(id: str, config: ConfigFile = None) -> None:
    """Show the last frames to and from a charger."""
    for frame in visit(load(config), lambda office: office.get(f"/chargers/{_in_path(id)}/log")):
        arrow = "<-" if frame["inbound"] else "->"
        out.print(f"{frame['at']} {arrow} {frame['text']}", markup=False)


@chargers.command("refused")
def refused(config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Show who was not let in lately, and why."""
    found = visit(load(config), lambda office: office.get("/refused-handshakes"))
    _show(found, as_json, "at identity source reason")


# -- charging profiles

SessionId = Annotated[str | None, typer.Option("--session", help="Of one running session")]
EvseUid = Annotated[str | None, typer.Option("--evse", help="Of every session of an EVSE")]


@limits.command("show")
def show_limit(session: SessionId = None, evse: EvseUid = None, config: ConfigFile = None) -> None:
    """Show what is set, and by whom."""
    path = _profile_path(session, evse)
    _print_json(visit(load(config), lambda office: office.get(path)))


@limits.command("set")
def set_limit(
    session: SessionId = None,
    evse: EvseUid = None,
    watts: Annotated[str | None, typer.Option(help="Of all phases together")] = None,
    amperes: Annotated[str | None, typer.Option(help="Per phase")] = None,
    minutes: Annotated[
        int | None, typer.Option(min=1, help="From the start of charging; default: no end")
    ] = None,
    config: ConfigFile = None,
) -> None:
    """Let it take so much at most; prints the charger's own answer."""
    if (watts is None) == (amperes is None):
        raise Refused("give --watts or --amperes")
    body: dict[str, Any] = {
        "unit": "W" if amperes is None else "A",
        "limit": watts if amperes is None else amperes,
    }
    if minutes is not None:
        body["duration"] = minutes * 60
    path = _profile_path(session, evse)
    _print_json(visit(load(config), lambda office: office.put(path, body)))


@limits.command("clear")
def clear_limit(session: SessionId = None, evse: EvseUid = None, config: ConfigFile = None) -> None:
    """Take back what operators set; what a partner set stays."""
    path = _profile_path(session, evse)
    _print_json(visit(load(config), lambda office: office.delete(path)))


def _profile_path(session: str | None, evse: str | None) -> str:
    if (session is None) == (evse is None):
        raise Refused("give --session or --evse")
    if session is not None:
        return f"/sessions/{_in_path(session)}/profile"
    return f"/evses/{_in_path(evse or '')}/profile"


# -- tokens, tariffs, partners, keys


@tokens.command("list")
def list_tokens(
    partner: Annotated[str | None, typer.Option(help="own, or a partner like IN*EMS")] = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """List tokens."""
    found = visit(load(config), lambda office: office.get("/tokens", partner=partner, limit=500))[
        "tokens"
    ]
    _show(found, as_json, "partner uid type contract_id valid whitelist group")


@tokens.command("add")
def add_token(
    uid: str,
    contract: Annotated[str | None, typer.Option()] = None,
    type: Annotated[str, typer.Option(help="rfid, app_user, ad_hoc_user or other")] = "rfid",
    blocked: Annotated[bool, typer.Option("--blocked")] = False,
    config: ConfigFile = None,
) -> None:
    """Add or replace an own token."""
    body: dict[str, Any] = {"uid": uid, "type": type, "valid": not blocked}
    if contract is not None:
        body["contract_id"] = contract
    _print_json(visit(load(config), lambda office: office.put(f"/tokens/{_in_path(uid)}", body)))


@tokens.command("show")
def show_token(uid: str, config: ConfigFile = None) -> None:
    """Show every token of that number."""
    found = visit(load(config), lambda office: office.get("/tokens", limit=500))["tokens"]
    same = [each for each in found if each["uid"].casefold() == uid.casefold()]
    if not same:
        raise Refused(f"no token {uid!r}")
    _print_json(same)


@tariffs.command("list")
def list_tariffs(config: ConfigFile = None, as_json: AsJson = False) -> None:
    """List tariffs."""
    found = visit(load(config), lambda office: office.get("/tariffs"))
    _show(found, as_json, "id currency basis valid_from valid_to")


@tariffs.command("show")
def show_tariff(id: str, config: ConfigFile = None) -> None:
    """Show one tariff."""
    found = visit(load(config), lambda office: office.get("/tariffs"))
    same = [each for each in found if each["id"] == id]
    if not same:
        raise Refused(f"no tariff {id!r}")
    _print_json(same[0])


@tariffs.command("add")
def add_tariff(
    id: str,
    price_per_kwh: Annotated[str, typer.Option()],
    currency: Annotated[str, typer.Option()] = "INR",
    gross: Annotated[bool, typer.Option("--gross", help="The price includes the taxes")] = False,
    tax: Annotated[list[str] | None, typer.Option(help="Like CGST:9, repeatable")] = None,
    config: ConfigFile = None,
) -> None:
    """Add or replace a tariff of one price per kWh."""
    taxes = [dict(zip(("name", "percent"), each.split(":"), strict=False)) for each in tax or []]
    body = {
        "id": id,
        "currency": currency,
        "basis": "gross" if gross else "net",
        "taxes": taxes,
        "price_per_kwh": price_per_kwh,
    }
    _print_json(visit(load(config), lambda office: office.put(f"/tariffs/{_in_path(id)}", body)))


_Rule = Annotated[Path, typer.Argument(help="JSON: a tariff, or a line of the price book")]
_At = Annotated[
    str | None, typer.Option(help="Moment with its offset [default: each site's next midnight]")
]


@tariffs.command("schedule")
def schedule_prices(
    file: _Rule,
    at: _At = None,
    go_ahead: Annotated[
        bool, typer.Option("--go-ahead", help="Also for partners that have not acknowledged it")
    ] = False,
    preview: Annotated[bool, typer.Option("--preview", help="Only say what would change")] = False,
    config: ConfigFile = None,
) -> None:
    """Schedule a new version of a tariff, or a line of the price book."""
    given = json.loads(file.read_text())
    body: dict[str, Any] = {"rule" if "tariff" in given else "tariff": given}
    body |= {"at": at, "unacknowledged": "go_ahead" if go_ahead else "keep_old"}
    path = "/price-changes/preview" if preview else "/price-changes"
    _print_json(visit(load(config), lambda office: office.post(path, body)))


@tariffs.command("changes")
def list_changes(
    id: Annotated[str | None, typer.Argument(help="One change, with who has acknowledged")] = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """List price changes, or show what one means for whom."""
    if id is not None:
        path = f"/price-changes/{_in_path(id)}"
        _print_json(visit(load(config), lambda office: office.get(path)))
        return
    found = visit(load(config), lambda office: office.get("/price-changes"))
    _show(found, as_json, "id state tariff replaces unacknowledged made_at made_by")


@tariffs.command("rollback")
def roll_back(id: str, at: _At = None, config: ConfigFile = None) -> None:
    """Withdraw a change that has not begun; bring the old prices back after one that has."""
    path = f"/price-changes/{_in_path(id)}/rollback"
    _print_json(visit(load(config), lambda office: office.post(path, {"at": at})))


@tariffs.command("books")
def list_books(config: ConfigFile = None, as_json: AsJson = False) -> None:
    """List partners' price books."""
    found = visit(load(config), lambda office: office.get("/price-books"))
    _show(found, as_json, "id percent per_kwh per_session currency partners")


@tariffs.command("book")
def put_book(
    id: Annotated[str, typer.Argument(help="Up to 12 letters, digits and hyphens")],
    partner: Annotated[list[str] | None, typer.Option(help="Like IN*EMS, repeatable")] = None,
    percent: str = "0",
    per_kwh: str = "0",
    per_session: str = "0",
    currency: str = "INR",
    config: ConfigFile = None,
) -> None:
    """Add or replace a price book: a mark-up that its partners share."""
    body = {
        "id": id,
        "percent": percent,
        "per_kwh": per_kwh,
        "per_session": per_session,
        "currency": currency,
        "partners": partner or [],
    }
    path = f"/price-books/{_in_path(id)}"
    _print_json(visit(load(config), lambda office: office.put(path, body)))


@app.command("quote")
def quote_charge(
    handle: Annotated[str, typer.Argument(help="The EVSE: its uid or its printed number")],
    connector: Annotated[int | None, typer.Option()] = None,
    partner: Annotated[str | None, typer.Option(help="Like IN*EMS; none = own drivers")] = None,
    kwh: Annotated[str | None, typer.Option()] = None,
    minutes: Annotated[str | None, typer.Option()] = None,
    amount: Annotated[str | None, typer.Option(help="Gross")] = None,
    start: Annotated[str | None, typer.Option(help="With its offset; none = now")] = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Say what a planned charge will cost, by the engine that makes the bills."""
    body = {
        "handle": handle,
        "connector": connector,
        "partner": partner,
        "kwh": kwh,
        "minutes": minutes,
        "amount": amount,
        "start": start,
    }
    given = {name: value for name, value in body.items() if value is not None}
    found = visit(load(config), lambda office: office.post("/quotes", given))
    if as_json:
        _print_json(found)
    else:
        out.print("\n".join(found["trace"]), markup=False, highlight=False)


@partners.command("list")
def list_partners(config: ConfigFile = None, as_json: AsJson = False) -> None:
    """List roaming partners and how they do."""
    found = visit(load(config), lambda office: office.get("/partners"))
    rows = [{**each, **each["health"]} for each in found]
    _show(rows if not as_json else found, as_json, "id name state connected lag parked last_error")


@partners.command("add")
def add_partner(
    id: Annotated[str, typer.Argument(help="Country code and party id, like IN*EMS")],
    name: Annotated[str, typer.Option()],
    url: Annotated[
        str | None, typer.Option(help="Its versions URL: we register with it at once")
    ] = None,
    token: Annotated[str | None, typer.Option(help="The token it handed us")] = None,
    profile: Annotated[
        str | None, typer.Option(help="How it differs from the standard; see docs/partners.md")
    ] = None,
    hub: Annotated[bool, typer.Option("--hub", help="It leads to further parties")] = False,
    broadcast: Annotated[
        bool, typer.Option(help="Tell a hub sites and tariffs once, for all parties behind it")
    ] = True,
    config: ConfigFile = None,
) -> None:
    """Invite a partner (prints URL and token to hand over), or register with one."""
    body: dict[str, Any] = {"id": id, "name": name, "hub": hub, "broadcast": broadcast}
    if url is not None:
        body["url"] = url
    if token is not None:
        body["token"] = token
    if profile is not None:
        body["profile"] = profile
    _print_json(visit(load(config), lambda office: office.post("/partners", body)))


@partners.command("parties")
def list_parties(hub: str, config: ConfigFile = None, as_json: AsJson = False) -> None:
    """List the parties behind a hub and how they do."""
    found = visit(load(config), lambda office: office.get(f"/partners/{_in_path(hub)}/parties"))
    rows = [{**each, **each["health"], "state": each["state"]} for each in found]
    _show(rows if not as_json else found, as_json, "id name state connected lag parked last_error")


@partners.command("place")
def place_party(
    hub: str,
    party: Annotated[str, typer.Argument(help="Country code and party id, like NL*TNM")],
    name: Annotated[str, typer.Option()],
    config: ConfigFile = None,
) -> None:
    """Say that a party is behind a hub which does not say so itself."""
    path = f"/partners/{_in_path(hub)}/parties/{_in_path(party)}"
    _print_json(visit(load(config), lambda office: office.put(path, {"name": name})))


@partners.command("remove")
def remove_partner(id: str, config: ConfigFile = None) -> None:
    """Unregister from a partner; its sessions and bills stay."""
    _print_json(visit(load(config), lambda office: office.delete(f"/partners/{_in_path(id)}")))


@keys.command("list")
def list_keys(config: ConfigFile = None, as_json: AsJson = False) -> None:
    """List API keys."""
    found = visit(load(config), lambda office: office.get("/keys"))
    _show(found, as_json, "id name rights sites expires_at revoked")


@keys.command("add")
def add_key(
    name: str,
    right: Annotated[list[str], typer.Option(help="read, operate, price or admin; repeatable")],
    site: Annotated[list[str] | None, typer.Option(help="Only these sites; repeatable")] = None,
    config: ConfigFile = None,
) -> None:
    """Draw an API key; it is shown once."""
    body: dict[str, Any] = {"name": name, "rights": right}
    if site:
        body["sites"] = site
    _print_json(visit(load(config), lambda office: office.post("/keys", body)))


@keys.command("revoke")
def revoke_key(id: str, config: ConfigFile = None) -> None:
    """Revoke an API key."""
    _print_json(visit(load(config), lambda office: office.delete(f"/keys/{_in_path(id)}")))


# -- reservations


@reservations.command("list")
def list_reservations(
    site: Annotated[str | None, typer.Option(help="Only this site")] = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """List reservations, newest first."""
    found = visit(load(config), lambda office: office.get("/reservations", site=site))
    _show(found, as_json, "id state site charger evse partner token expires_at session")


@reservations.command("show")
def show_reservation(id: int, config: ConfigFile = None) -> None:
    """Show one reservation and how it ended."""
    _print_json(visit(load(config), lambda office: office.get(f"/reservations/{id}")))


@reservations.command("place")
def place_reservation(
    token: Annotated[str, typer.Argument(help="One of our own tokens")],
    until: Annotated[str, typer.Argument(help="When it expires, e.g. 2026-03-01T12:00:00Z")],
    evse: Annotated[str | None, typer.Option(help="The EVSE's uid")] = None,
    charger: Annotated[
        str | None, typer.Option(help="Any EVSE of this charger, if it can hold any")
    ] = None,
    config: ConfigFile = None,
) -> None:
    """Hold an EVSE for one of our drivers."""
    if (evse is None) == (charger is None):
        raise typer.BadParameter("name either --evse or --charger")
    path = (
        f"/evses/{_in_path(evse)}" if evse is not None else f"/chargers/{_in_path(charger or '')}"
    )
    body = {"token": token, "expires_at": until}
    _print_json(visit(load(config), lambda office: office.post(f"{path}/reserve", body)))


@reservations.command("cancel")
def cancel_reservation(id: int, config: ConfigFile = None) -> None:
    """Cancel a reservation; a partner that asked for it is told."""
    _print_json(visit(load(config), lambda office: office.post(f"/reservations/{id}/cancel")))


# -- work


@work.command("list")
def list_work(config: ConfigFile = None, as_json: AsJson = False) -> None:
    """List what waits for a person, oldest first."""
    found = visit(load(config), lambda office: office.get("/work-items"))
    _show(found, as_json, "id type subject charger opened_at actions")


@work.command("act")
def act(
    id: str,
    action: Annotated[
        str,
        typer.Argument(help="end_at_last_sample, join, assign, write_off, retry or dismiss"),
    ],
    target: Annotated[str | None, typer.Option(help="For join a session, for assign a token")] = (
        None
    ),
    note: Annotated[str | None, typer.Option()] = None,
    config: ConfigFile = None,
) -> None:
    """Do something about a work item."""
    body = {"action": action}
    body |= {"target": target} if target is not None else {}
    body |= {"note": note} if note is not None else {}
    _print_json(
        visit(load(config), lambda office: office.post(f"/work-items/{_in_path(id)}/actions", body))
    )


# -- database, import, export


@db.command("upgrade")
def db_upgrade(config: ConfigFile = None) -> None:
    """Bring the database's schema up to this version."""
    out.print(f"schema {serving.upgrade(load(config))}, up to date")


@db.command("backup")
def db_backup(to: Path, config: ConfigFile = None) -> None:
    """Write a consistent copy of the database, also while the server runs."""
    out.print(serving.backup(load(config), to))


@export.command("ledger")
def export_ledger(
    to: Annotated[Path | None, typer.Argument(help="File; default standard output")] = None,
    config: ConfigFile = None,
) -> None:
    """Write sessions, bills, frames and work items as JSON lines."""
    serving.export_ledger(load(config), to)


@bring.command("locations")
def import_locations(file: Csv, config: ConfigFile = None) -> None:
    """Take over locations."""
    _bring(load(config), tables.locations(file), "/sites/{}")


@bring.command("chargers")
def import_chargers(file: Csv, config: ConfigFile = None) -> None:
    """Take over chargers with their EVSE ids."""
    _bring(load(config), tables.chargers(file), "/chargers/{}")


@bring.command("tokens")
def import_tokens(file: Csv, config: ConfigFile = None) -> None:
    """Take over own tokens."""
    _bring(load(config), tables.tokens(file), "/tokens/{}")


@bring.command("tariffs")
def import_tariffs(file: Csv, config: ConfigFile = None) -> None:
    """Take over tariffs."""
    _bring(load(config), tables.tariffs(file), "/tariffs/{}")


def _bring(config: Config, rows: list[tables.Taken], path: str) -> None:
    """Put every row; a row that is refused ends it and says how many went in before."""

    async def put_all(office: Office) -> list[Any]:
        answers = []
        for row in rows:
            try:
                answers.append(await office.put(path.format(_in_path(row.id)), row.body))
            except Refused as refused:
                done = f"{len(answers)} of {len(rows)} taken over before it"
                raise Refused(f"{row.place}: {refused} ({done})") from None
        return answers

    for answer in visit(config, put_all):
        if "password" in answer:
            out.print(f"{answer['id']}: password {answer['password']}", markup=False)
    out.print(f"{len(rows)} taken over")
