"""``cms ocpi``: look at a partner's side of OCPI, ours or anybody's.

The checker is imported by the verb that runs it, so that other verbs start without it.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from cms.domain.errors import CmsError

ocpi = typer.Typer(help="OCPI, looked at from outside.", no_args_is_help=True)


@ocpi.callback()
def about() -> None:
    """OCPI, looked at from outside."""


@ocpi.command()
def check(
    url: Annotated[str, typer.Option(help="The other side's versions URL")],
    token: Annotated[
        str,
        typer.Option(
            envvar="OCPI_CHECK_TOKEN", help="Token A; with --registered the token in use (C)"
        ),
    ],
    registered: Annotated[
        bool, typer.Option("--registered", help="Read only, with a token that is in use")
    ] = False,
    role: Annotated[
        str | None, typer.Option(help="cpo or emsp [default: seen from its endpoints]")
    ] = None,
    version: Annotated[str, typer.Option(help="2.2.1, 2.1.1 or 2.3.0")] = "2.2.1",
    only: Annotated[str, typer.Option(help="Groups or ids, e.g. TR,PG-07")] = "",
    party: Annotated[
        str | None, typer.Option(help="Who you are to it, COUNTRY*PARTY, e.g. IN*EMP")
    ] = None,
    write: Annotated[
        bool, typer.Option("--write", help="Also store and change test objects there")
    ] = False,
    start_session: Annotated[
        str | None, typer.Option(help="Charge for real at LOCATION/EVSE/CONNECTOR")
    ] = None,
    charge_seconds: Annotated[float, typer.Option(help="How long that charge lasts")] = 10.0,
    patience: Annotated[
        float, typer.Option(help="Seconds to wait for the session and for its CDR")
    ] = 60.0,
    listen: Annotated[
        str, typer.Option(help="Where to listen for it, HOST:PORT; port 0 = any")
    ] = "127.0.0.1:0",
    public_url: Annotated[
        str | None, typer.Option(help="How it reaches that, without a path")
    ] = None,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds per request")] = 15.0,
    pace: Annotated[float, typer.Option(min=0, help="Most requests per second; 0 = any")] = 20.0,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write a JSON report")] = None,
    junit: Annotated[Path | None, typer.Option(help="Write a JUnit report")] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="What is only recommended counts as well")
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Name skipped checks and their reasons")
    ] = False,
) -> None:
    """Check any CPO or eMSP, rule by rule. Exits 0 only if nothing failed, 2 if it cannot check."""
    from ocpi_check import report
    from ocpi_check.options import Options, Unusable
    from ocpi_check.run import Mark, Outcome, run

    try:
        options = Options.of(
            url=url, token=token, registered=registered, role=role, version=version, only=only,
            party=party, write=write, start_session=start_session, charge_seconds=charge_seconds,
            patience=patience, listen=listen, public_url=public_url, timeout=timeout, pace=pace,
        )  # fmt: skip
    except Unusable as error:
        raise CmsError(str(error)) from None
    out = Console(soft_wrap=True, highlight=False)

    def told(outcome: Outcome) -> None:
        if verbose or outcome.mark is not Mark.SKIPPED:
            out.print(report.line(outcome))

    try:
        result = asyncio.run(run(options, told))
    except (Unusable, OSError) as error:
        raise CmsError(str(error)) from None
    report.summary(result, out)
    if json_file is not None:
        json_file.write_text(json.dumps(report.as_json(result), indent=2, ensure_ascii=False))
    if junit is not None:
        junit.write_bytes(report.as_junit(result))
    failed = result.failed or (strict and bool(result.marked(Mark.ADVICE)))
    raise typer.Exit(1 if failed else 0)
