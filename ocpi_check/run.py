"""One run: reach the party, see what it offers, run every check in order, leave it clean."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from urllib.parse import urlsplit

from ocpi_check.catalogue import CPO, EMSP, Check, Failed, Phase, Skipped
from ocpi_check.checks import CATALOGUE
from ocpi_check.checks.joining import learn
from ocpi_check.client import Client
from ocpi_check.exchange import Exchange, NoAnswer, blacked_out
from ocpi_check.ground import INTERFACES, LISTS, Ground
from ocpi_check.listener import CPO_SIDE, EMSP_SIDE, Listener
from ocpi_check.options import Options, Unusable
from ocpi_check.wire import Json

STRANGER = ("XX", "CHK")
"""Who we say we are unless told."""


class Mark(Enum):
    PASSED = "pass"
    FAILED = "fail"
    ADVICE = "advice"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a check found.

    Attributes:
        text: why it failed or was skipped.
        exchanges: requests and answers that show a failure, without secrets.
    """

    check: Check
    mark: Mark
    text: str = ""
    exchanges: tuple[str, ...] = ()


@dataclass(slots=True)
class Result:
    """A whole run."""

    role: str
    version: str
    outcomes: list[Outcome] = field(default_factory=list)
    requests: int = 0

    def marked(self, mark: Mark) -> list[Outcome]:
        return [each for each in self.outcomes if each.mark is mark]

    @property
    def failed(self) -> bool:
        return bool(self.marked(Mark.FAILED))


Told = Callable[[Outcome], None]


async def run(options: Options, told: Told = lambda outcome: None) -> Result:
    """Check the party at ``options.url``.

    Args:
        told: of each outcome, as it is known.

    Raises:
        Unusable: nothing could be checked.
    """
    ground = _ground(options)
    await ground.listener.up()
    try:
        await _reach(ground)
        await _introduce(ground)
        chosen = _chosen(ground)
        result = Result(ground.role, options.version)
        try:
            for check in chosen:
                outcome = await _judged(check, ground)
                result.outcomes.append(outcome)
                told(outcome)
        finally:
            await _leave(ground)
        result.requests = len(ground.client.kept)
        return result
    finally:
        await ground.client.close()
        await ground.listener.down()


def _ground(options: Options) -> Ground:
    party = options.party or (None if options.registered else STRANGER)
    client = Client(
        options.version, options.token, us=party, timeout=options.timeout, pace=options.pace
    )
    client.hide(options.token)
    host, port = options.listen
    listener = Listener(options.version, party or STRANGER, host, port, options.public_url)
    client.hide(listener.token)
    ground = Ground(options, client, listener)
    if not options.registered:
        ground.token_a = options.token
    return ground


# -- reaching


async def _reach(ground: Ground) -> None:
    """Read versions and details.

    Raises:
        Unusable: nothing there that could be checked.
    """
    options = ground.options
    if urlsplit(options.url).scheme not in ("http", "https"):
        raise Unusable(f"--url: {options.url} is no http(s) address")
    ground.versions = await _needed(ground, "versions", options.url)
    url = _details_url(ground.versions, options.version)
    ground.details = await _needed(ground, "details", url)
    data = ground.details.data
    offered = data.get("endpoints") if isinstance(data, dict) else None
    if not isinstance(offered, list):
        raise Unusable(f"{url} lists no endpoints")
    ground.offered = [each for each in offered if isinstance(each, dict)]
    _settle(ground)


async def _needed(ground: Ground, module: str, url: str) -> Exchange:
    try:
        answer = await ground.client.ask(module, "GET", url)
    except NoAnswer as error:
        raise Unusable(f"{url}: {error}") from None
    if answer.http == 401:
        raise Unusable(f"{url}: the token is not accepted (HTTP 401)")
    if answer.data is None:
        raise Unusable(f"{url}: HTTP {answer.http} and no data of OCPI; is this the versions URL?")
    return answer


def _details_url(versions: Exchange, version: str) -> str:
    offered = {each.get("version"): each.get("url") for each in versions.items}
    url = offered.get(version)
    if not isinstance(url, str):
        names = ", ".join(str(each) for each in offered) or "none"
        raise Unusable(f"--version: {version} is not offered (offered: {names})")
    return url


def _settle(ground: Ground) -> None:
    """Know the other side's role and its addresses."""
    found = {(each.get("identifier"), each.get("role")) for each in ground.offered}
    seen = [
        role
        for role, sign in ((CPO, ("locations", "SENDER")), (EMSP, ("tokens", "SENDER")))
        if sign in found
    ]
    ground.role = ground.options.role or (seen[0] if seen else CPO)
    ground.listener.side = EMSP_SIDE if ground.role == CPO else CPO_SIDE
    for each in ground.offered:
        _place(ground, each)


def _place(ground: Ground, each: Json) -> None:
    identifier, url = each.get("identifier"), each.get("url")
    if not isinstance(identifier, str) or not isinstance(url, str):
        return
    role = each.get("role")
    if ground.version == "2.1.1" or not isinstance(role, str):
        role = INTERFACES[ground.role].get(identifier, "SENDER")
    ground.endpoints.setdefault((identifier, role), url)


async def _introduce(ground: Ground) -> None:
    """Know who both sides are, where a connection is there already."""
    if not ground.options.registered:
        return
    with suppress(NoAnswer, Skipped):
        shown = await ground.ask("credentials", "GET")
        learn(ground, shown.data if isinstance(shown.data, dict) else {})
    if ground.client.us is None and ground.version != "2.1.1":
        with suppress(NoAnswer, Skipped):
            page = await ground.page(LISTS[ground.role][0], limit=1)
            country = page.headers.get("OCPI-to-country-code")
            party = page.headers.get("OCPI-to-party-id")
            if country and party:
                ground.client.us = (country, party)


# -- running

UNREADABLE = "what came has a form that this check cannot read"
"""Why a check says nothing of a party whose objects are not even in shape."""


def _chosen(ground: Ground) -> list[Check]:
    order = list(Phase)
    wanted = [
        each
        for each in CATALOGUE
        if ground.role in each.roles
        and ground.version in each.versions
        and (_asked(each, ground.options.only) or each.phase is Phase.REGISTERING)
    ]
    return sorted(wanted, key=lambda each: order.index(each.phase))


def _asked(check: Check, only: Sequence[str]) -> bool:
    return not only or check.id in only or check.group in only


async def _judged(check: Check, ground: Ground) -> Outcome:
    secrets = ground.client.secrets
    try:
        _possible(check, ground)
        await check.run(ground)
    except Skipped as why:
        return Outcome(check, Mark.SKIPPED, str(why))
    except Failed as failed:
        shown = tuple(each.shown() for each in failed.exchanges)
        return Outcome(check, _mark(check), blacked_out(str(failed), secrets), shown)
    except NoAnswer as silent:
        return Outcome(check, _mark(check), str(silent), (silent.request,))
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as odd:
        # Of a form that the check did not expect: the checks of form say so; the others go on.
        return Outcome(check, Mark.SKIPPED, f"{UNREADABLE}: {type(odd).__name__}: {odd}")
    return Outcome(check, Mark.PASSED)


def _mark(check: Check) -> Mark:
    return Mark.FAILED if check.level == "M" else Mark.ADVICE


def _possible(check: Check, ground: Ground) -> None:
    """Skip what makes no sense any more.

    Raises:
        Skipped: with the reason.
    """
    if check.phase in (Phase.DOOR, Phase.REGISTERING, Phase.RENEWING, Phase.LEAVING):
        ground.registering()
    late = check.phase not in (Phase.DOOR, Phase.REGISTERING, Phase.LOOKING_BACK)
    if late and not ground.options.registered and not ground.memory.get("registered"):
        raise Skipped("the registration failed")


async def _leave(ground: Ground) -> None:
    """Unregister if that is still to do: the partner is left as it was."""
    if ground.memory.get("registered"):
        with suppress(NoAnswer, Skipped):
            await ground.ask("credentials", "DELETE")
