"""How the partner misbehaves on purpose: per module, for the next N requests or until told.

A fault belongs to a stage. BEFORE: nothing was stored when it strikes. REPEATED: only for a CDR
that is already here. AFTER: the request was processed and stored, the answer is what breaks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum


class Stage(Enum):
    """When in the life of a request a fault strikes."""

    BEFORE = "before"
    REPEATED = "repeated"
    AFTER = "after"


class Kind(Enum):
    """What goes wrong. The comment names the arguments that matter beside module and times."""

    SLOW = "slow"  # seconds; then the request is served
    CLOSE = "close"  # the connection is cut, nothing stored
    BLACKHOLE = "blackhole"  # never answered, until the fault is cleared
    HTTP = "http"  # http, retry_after
    OCPI = "ocpi"  # HTTP 200 with status_code
    HTML = "html"  # http; a page of HTML
    BAD_JSON = "bad_json"  # HTTP 200, broken JSON
    HUGE = "huge"  # size in bytes
    DRIP = "drip"  # seconds between single bytes of an endless answer
    REDIRECT = "redirect"  # url, http (301, 302 ...)
    RAW = "raw"  # http, body, headers: any answer at all
    CONFLICT = "conflict"  # a repeated CDR gets 409
    REFUSE_REPEAT = "refuse_repeat"  # a repeated CDR gets 200 + status_code
    STORE_TWICE = "store_twice"  # a repeated CDR is stored and billed again
    CUT_AFTER = "cut_after"  # stored, then cut before the status line
    CUT_WITHIN = "cut_within"  # stored, then cut in the middle of the answer
    SLOW_AFTER = "slow_after"  # stored, answered after seconds
    HTTP_AFTER = "http_after"  # stored, then http (e.g. 502 from a proxy)
    NO_LOCATION = "no_location"  # a stored CDR without the Location header
    RELATIVE_LOCATION = "relative_location"  # a Location header without a host


_REPEATED = {Kind.CONFLICT, Kind.REFUSE_REPEAT, Kind.STORE_TWICE}
_AFTER = {
    Kind.CUT_AFTER,
    Kind.CUT_WITHIN,
    Kind.SLOW_AFTER,
    Kind.HTTP_AFTER,
    Kind.NO_LOCATION,
    Kind.RELATIVE_LOCATION,
}


@dataclass(slots=True, eq=False)
class Fault:
    """One misbehaviour.

    Attributes:
        module: OCPI module identifier ("cdrs", "versions", ...) or "*".
        method: only for this HTTP method; ``None``: any.
        times: for how many requests; ``None``: until cleared.
        hits: how often it struck.
        released: set when cleared; frees requests held by BLACKHOLE and DRIP.
    """

    kind: Kind
    module: str = "*"
    method: str | None = None
    times: int | None = None
    seconds: float = 1.0
    http: int = 503
    retry_after: int | None = None
    status_code: int = 2000
    size: int = 64 * 1024 * 1024
    url: str = "http://127.0.0.1:9/elsewhere"
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    hits: int = 0
    released: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def stage(self) -> Stage:
        """When it strikes."""
        if self.kind in _REPEATED:
            return Stage.REPEATED
        return Stage.AFTER if self.kind in _AFTER else Stage.BEFORE

    def fits(self, stage: Stage, module: str, method: str) -> bool:
        """Whether it strikes this request, now."""
        return (
            self.stage is stage
            and self.module in ("*", module)
            and self.method in (None, method)
            and (self.times is None or self.hits < self.times)
        )


class Faults:
    """The faults in force.

    Args:
        struck: called whenever one strikes.
    """

    def __init__(self, struck: Callable[[], None] = lambda: None) -> None:
        self._struck = struck
        self._active: list[Fault] = []

    def add(self, fault: Fault) -> Fault:
        """Put *fault* in force; it is returned so that its `hits` can be read."""
        self._active.append(fault)
        return fault

    def clear(self, fault: Fault | None = None) -> None:
        """End one fault, or all, and release the requests that they hold."""
        for gone in [fault] if fault else list(self._active):
            gone.released.set()
            if gone in self._active:
                self._active.remove(gone)

    def strike(self, stage: Stage, module: str, method: str) -> list[Fault]:
        """The faults for this request, counted: every SLOW, and the first of any other kind."""
        fitting = [fault for fault in self._active if fault.fits(stage, module, method)]
        slow = [fault for fault in fitting if fault.kind is Kind.SLOW]
        other = [fault for fault in fitting if fault.kind is not Kind.SLOW][:1]
        for fault in slow + other:
            fault.hits += 1
            self._struck()
        return slow + other
