"""Verbs about on which terms roaming partners are served."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from cms.cli.office import visit
from cms.cli.showing import in_path, print_json
from cms.config import load
from cms.domain.errors import InvalidValue

ConfigFile = Annotated[
    Path | None, typer.Option("--config", "-c", help="The TOML file [default: config.toml]")
]
Profile = Annotated[
    str | None, typer.Option(help="How it differs from the standard; see docs/partners.md")
]
Switches = Annotated[
    list[str] | None, typer.Option("--switch", help="NAME=VALUE on top of the profile; repeatable")
]
Endpoints = Annotated[
    list[str] | None,
    typer.Option("--endpoint", help="MODULE:ROLE=URL in place of what it names; repeatable"),
]


def extend(partners: typer.Typer) -> None:
    """Add the verbs of this room to ``cms partners``."""
    partners.command("set")(set_partner)
    partners.command("share")(share)
    partners.command("adopt")(adopt)


def set_partner(
    id: str,
    profile: Profile = None,
    switch: Switches = None,
    reset: Annotated[
        list[str] | None, typer.Option(help="A switch back to what the profile says; repeatable")
    ] = None,
    endpoint: Endpoints = None,
    no_endpoints: Annotated[bool, typer.Option("--no-endpoints", help="None is ours")] = False,
    network: Annotated[
        list[str] | None, typer.Option(help="It may call from here only, 10.0.0.0/8; repeatable")
    ] = None,
    any_network: Annotated[bool, typer.Option("--any-network")] = False,
    certificate: Annotated[
        list[str] | None,
        typer.Option(help="It must present this: SHA-256 fingerprint or CN=...; repeatable"),
    ] = None,
    no_certificate: Annotated[bool, typer.Option("--no-certificate")] = False,
    our_certificate: Annotated[
        str | None, typer.Option(help="Name in [[ocpi.certificates]] that we present; '' = none")
    ] = None,
    config: ConfigFile = None,
) -> None:
    """Set how a partner is served, and from where it may call."""
    body: dict[str, Any] = {}
    if profile is not None:
        body["profile"] = profile
    turned: dict[str, str | None] = dict(_pair("switch", each) for each in switch or ())
    turned |= dict.fromkeys(reset or ())
    if turned:
        body["switches"] = turned
    lists: tuple[tuple[str, Sequence[Any], bool], ...] = (
        ("networks", network or (), any_network),
        ("certificates", certificate or (), no_certificate),
        ("endpoints", [_endpoint(each) for each in endpoint or ()], no_endpoints),
    )
    for name, given, none in lists:
        if given or none:
            body[name] = list(given)
    if our_certificate is not None:
        body["our_certificate"] = our_certificate
    _change(id, body, config)


def share(
    id: str,
    site: Annotated[list[str] | None, typer.Option(help="This site; repeatable")] = None,
    owner: Annotated[
        list[str] | None, typer.Option(help="The sites of this owner; repeatable")
    ] = None,
    all_sites: Annotated[bool, typer.Option("--all-sites")] = False,
    no_sites: Annotated[bool, typer.Option("--no-sites")] = False,
    status: Annotated[str | None, typer.Option(help="shown, hidden or delayed")] = None,
    delay_minutes: Annotated[int | None, typer.Option(help="for a delayed status")] = None,
    tariff: Annotated[list[str] | None, typer.Option(help="This tariff; repeatable")] = None,
    all_tariffs: Annotated[bool, typer.Option("--all-tariffs")] = False,
    config: ConfigFile = None,
) -> None:
    """Choose what a partner is shown: sites, live status, tariffs."""
    body: dict[str, Any] = {}
    if site or owner or no_sites:
        body |= {"sites": site or (None if owner else []), "owners": owner or []}
    if all_sites:
        body |= {"sites": None, "owners": []}
    if status is not None:
        body |= {"status": status, "delay_minutes": delay_minutes or 0}
    if tariff or all_tariffs:
        body["tariffs"] = tariff or None
    _change(id, {"sharing": body}, config)


def adopt(
    id: Annotated[str, typer.Argument(help="Country code and party id, like IN*EMS")],
    name: Annotated[str, typer.Option()],
    url: Annotated[str, typer.Option(help="Its versions URL")],
    version: Annotated[str, typer.Option(help="The version that was agreed")],
    token: Annotated[str, typer.Option(help="With which we call it")],
    our_token: Annotated[str, typer.Option(help="With which it calls us")],
    endpoint: Endpoints = None,
    role: Annotated[
        list[str] | None, typer.Option(help="'EMSP IN*EMS'; default: it is one eMSP; repeatable")
    ] = None,
    profile: Profile = None,
    switch: Switches = None,
    config: ConfigFile = None,
) -> None:
    """Take over a partner's connection from another system, without registering again."""
    body: dict[str, Any] = {
        "name": name,
        "url": url,
        "version": version,
        "token": token,
        "our_token": our_token,
        "endpoints": [_endpoint(each) for each in endpoint or ()],
        "roles": role or [],
        "profile": profile,
        "switches": dict(_pair("switch", each) for each in switch or ()),
    }
    path = f"/partners/{in_path(id)}/adopt"
    print_json(visit(load(config), lambda office: office.post(path, body)))


def _change(id: str, body: dict[str, Any], config: Path | None) -> None:
    path = f"/partners/{in_path(id)}"
    print_json(visit(load(config), lambda office: office.patch(path, body)))


def _pair(option: str, text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise InvalidValue(option, f"expected NAME=VALUE, not {text!r}")
    return name, value


def _endpoint(text: str) -> dict[str, str]:
    where, url = _pair("endpoint", text)
    module, colon, role = where.partition(":")
    if not colon:
        raise InvalidValue("endpoint", f"expected MODULE:ROLE=URL, not {text!r}")
    return {"module": module, "role": role, "url": url}
