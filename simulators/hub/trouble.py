"""How the hub misbehaves on purpose: one mode at a time or several, for some or for all."""

from __future__ import annotations

import random
import time
from collections import deque
from dataclasses import dataclass, field
from enum import Enum


class Mode(Enum):
    """What goes wrong. The comment names the arguments that matter beside module and party."""

    REJECT = "reject"  # HTTP 200 with OCPI code
    RATE_LIMIT = "rate-limit"  # 429 and Retry-After beyond `limit` requests in `seconds`
    RANDOM_500 = "random-500"  # a share `rate` of the requests, by `seed`
    AUTH_FAIL = "auth-fail"  # 401 for a token that is right
    SLOW = "slow"  # seconds before the request is looked at
    PARTIAL = "partial"  # lists lose their last object, broadcasts reach the first party only
    PAGINATION_STRESS = "pagination-stress"  # one object a page, and every other page empty
    DEAD = "dead"  # connections are cut; nobody is called


@dataclass(slots=True, eq=False)
class Trouble:
    """One misbehaviour in force.

    Attributes:
        module: OCPI module identifier, or "*" for all.
        party: country code and party id ("IN*CPO") of the sender that it meets; ``None``: all.
        times: for how many requests; ``None``: until cleared.
        limit: requests let through in each `seconds` (rate-limit).
        hits: how often it struck.
    """

    mode: Mode
    module: str = "*"
    party: str | None = None
    times: int | None = None
    seconds: float = 1.0
    limit: int = 0
    rate: float = 0.5
    seed: int = 1
    code: int = 2000
    hits: int = 0
    _chance: random.Random = field(init=False)
    _seen: deque[float] = field(default_factory=deque)

    def __post_init__(self) -> None:
        self._chance = random.Random(self.seed)

    def meets(self, module: str, party: str | None) -> bool:
        """Whether it concerns a request of this kind."""
        return (
            self.module in ("*", module)
            and self.party in (None, party)
            and (self.times is None or self.hits < self.times)
        )

    def strikes(self) -> bool:
        """Whether it strikes this time; counted if so."""
        struck = {Mode.RANDOM_500: self._unlucky, Mode.RATE_LIMIT: self._too_many}.get(
            self.mode, lambda: True
        )()
        self.hits += struck
        return struck

    def _unlucky(self) -> bool:
        return self._chance.random() < self.rate

    def _too_many(self) -> bool:
        now = time.monotonic()
        while self._seen and self._seen[0] <= now - self.seconds:
            self._seen.popleft()
        if len(self._seen) >= self.limit:
            return True
        self._seen.append(now)
        return False


class Troubles:
    """The misbehaviours in force."""

    def __init__(self) -> None:
        self._active: list[Trouble] = []

    def add(self, trouble: Trouble) -> Trouble:
        """Put one in force; it is returned so that its `hits` can be read."""
        self._active.append(trouble)
        return trouble

    def clear(self, trouble: Trouble | None = None) -> None:
        """End one, or all."""
        self._active = [each for each in self._active if trouble not in (None, each)]

    def strike(self, module: str, party: str | None, *modes: Mode) -> Trouble | None:
        """The first of *modes* that strikes this request."""
        for each in self._active:
            if each.mode in modes and each.meets(module, party) and each.strikes():
                return each
        return None

    @property
    def dead(self) -> bool:
        """Whether the hub is to call nobody."""
        return any(each.mode is Mode.DEAD for each in self._active)
