"""What a check is, and how its outcome is said."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Literal

from ocpi_check.exchange import Exchange

if TYPE_CHECKING:
    from ocpi_check.ground import Ground

ALL = ("2.1.1", "2.2.1", "2.3.0")
MODERN = ("2.2.1", "2.3.0")
CPO, EMSP = "CPO", "EMSP"

Level = Literal["M", "S", "E"]
Run = Callable[["Ground"], Awaitable[None]]


class Phase(Enum):
    """When a check runs; the order of the members is the order of a run."""

    DOOR = "with the registration token, before anything is changed"
    REGISTERING = "the registration"
    WRITING = "checks that change what the other side stores"
    CHARGING = "a real charge"
    READING = "reading, and requests that must be refused"
    SUMMING = "over everything that was said so far, with a request more"
    RENEWING = "renewal of the tokens"
    LEAVING = "the end of the registration"
    LOOKING_BACK = "over everything that was said"


class Failed(Exception):
    """A rule is broken.

    Attributes:
        exchanges: that show it.
    """

    def __init__(self, text: str, *exchanges: Exchange) -> None:
        super().__init__(text)
        self.exchanges = exchanges


class Skipped(Exception):
    """The check says nothing about this party, and why."""


@dataclass(frozen=True, slots=True)
class Check:
    """One rule and how to see whether it is kept.

    Attributes:
        id: the statement's, e.g. ``TR-14``.
        title: what a good party does, as a sentence without its subject.
        level: M demanded, S recommended by the specification; E our reading where it is silent.
        versions: in which there is such a rule.
        roles: of the party under test.
        run: returns, or raises ``Failed`` or ``Skipped``.
    """

    id: str
    title: str
    level: Level
    run: Run
    phase: Phase = Phase.READING
    versions: tuple[str, ...] = ALL
    roles: tuple[str, ...] = (CPO,)

    @property
    def group(self) -> str:
        """``TR`` of ``TR-14``."""
        return self.id.split("-")[0]


Declare = Callable[[Run], Run]


class Checks(list[Check]):
    """The checks of one topic, declared beside the functions that run them."""

    def __call__(
        self,
        id: str,
        title: str,
        level: Level = "M",
        *,
        phase: Phase = Phase.READING,
        versions: tuple[str, ...] = ALL,
        roles: tuple[str, ...] = (CPO,),
    ) -> Declare:
        def declared(run: Run) -> Run:
            self.append(Check(id, title, level, run, phase, versions, roles))
            return run

        return declared


def demand(condition: object, text: str, *exchanges: Exchange) -> None:
    """Fail with *text* unless *condition*.

    Raises:
        Failed: with the exchanges that show it.
    """
    if not condition:
        raise Failed(text, *exchanges)
