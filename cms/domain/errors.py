"""The tree of everything that may go wrong by our own promise.

CmsError
├── InvalidValue        a value breaks a rule; ``field`` and ``reason`` say which and why
├── NotFound            ``kind`` and ``key`` of what is not there
├── Conflict            the wish contradicts what is already so
├── Forbidden           who asks may not
├── StoreDown           nothing can be made durable now; be absent, never rude
└── UnitRefused         the store refuses this one unit (constraint or data), others are unhurt

What the outside *may* do (a charger that rejects, a partner that is silent) is a value, not an
exception: see ``commands.Outcome`` and ``token.Decision``.
"""

from __future__ import annotations


class CmsError(Exception):
    """Base of all of ours."""


class InvalidValue(CmsError, ValueError):
    """A value breaks a rule."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


class NotFound(CmsError, LookupError):
    """No such thing, or none that who asks may see."""

    def __init__(self, kind: str, key: str) -> None:
        super().__init__(f"no {kind} {key!r}")
        self.kind = kind
        self.key = key


class Conflict(CmsError):
    """The wish contradicts what is already so."""


class Forbidden(CmsError):
    """Who asks may not."""


class StoreDown(CmsError):
    """Nothing can be made durable now."""


class UnitRefused(CmsError):
    """The store refuses this one unit of work; nothing of it was written."""
