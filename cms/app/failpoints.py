"""Named points at which a test may kill, fail or delay the process.

``CMS_FAILPOINT=name:hit:action[,...]`` arms points from outside, e.g. ``X2:3:kill`` kills the process
the third time that it passes X2. Actions are ``kill`` (SIGKILL to ourselves), ``raise`` and ``delay``
(``delay=0.5`` for so many seconds; 1 without). Unset, passing a point costs one look at an empty dict.

The crash points of a bill's way:

* ``X1``  a unit is about to be committed
* ``X2``  a unit is durable, its charger has not been answered
* ``X3``  the charger has its answer, nothing was derived from it yet
* ``X4``  a bill's row is written, its commit is not yet done
* ``X5``  the partner has answered, our mark is not yet written
* ``X8``  a remote start went to the charger, its answer is not yet kept

And of a partner's credentials:

* ``X9``  what was agreed with a partner is about to be made durable
* ``X10`` it is durable, and the partner has not been answered
"""

from __future__ import annotations

import os
import signal
import sys
import time
from dataclasses import dataclass

X1 = "X1"
X2 = "X2"
X3 = "X3"
X4 = "X4"
X5 = "X5"
X8 = "X8"
X9 = "X9"
X10 = "X10"

_ACTIONS = ("kill", "raise", "delay")


class Failed(RuntimeError):
    """A failpoint was told to raise."""


@dataclass(slots=True)
class _Point:
    on_hit: int
    action: str
    seconds: float
    hits: int = 0


_armed: dict[str, _Point] = {}


def hit(name: str) -> None:
    """Pass the point *name*; does what it is armed to do, else nothing."""
    if _armed:
        _fire(name)


def arm(name: str, on_hit: int = 1, action: str = "raise", seconds: float = 1.0) -> None:
    """Arm a point: on its *on_hit*-th passing (1 = the next) it acts, once.

    Raises:
        ValueError: if *action* is none of kill, raise, delay, or *on_hit* is below 1.
    """
    if action not in _ACTIONS or on_hit < 1:
        raise ValueError(f"failpoint {name}: expected HIT >= 1 and kill, raise or delay[=SECONDS]")
    _armed[name] = _Point(on_hit, action, seconds)


def disarm() -> None:
    """Disarm every point."""
    _armed.clear()


def hits(name: str) -> int:
    """How often the armed point *name* was passed; 0 where it is not armed."""
    point = _armed.get(name)
    return 0 if point is None else point.hits


def arm_from(text: str) -> None:
    """Arm what *text*, in the form of ``CMS_FAILPOINT``, names.

    Raises:
        ValueError: if it cannot be read.
    """
    for part in filter(None, text.split(",")):
        name, number, what = (*part.split(":"), "", "")[:3]
        action, _, seconds = what.partition("=")
        if not number.isdigit():
            raise ValueError(f"CMS_FAILPOINT: {part!r} is not NAME:HIT:ACTION")
        arm(name, int(number), action, float(seconds or 1))


def _fire(name: str) -> None:
    point = _armed.get(name)
    if point is None:
        return
    point.hits += 1
    if point.hits != point.on_hit:
        return
    sys.stderr.write(f"failpoint {name} hit {point.hits}: {point.action}\n")
    sys.stderr.flush()
    if point.action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif point.action == "raise":
        raise Failed(f"failpoint {name}")
    else:
        time.sleep(point.seconds)


arm_from(os.environ.get("CMS_FAILPOINT", ""))
