"""Who is calling: an API key in the header, or a page session in a cookie.

Deny by default: a route without a declared right is not served (``routing.Route``), a key sees only
its sites, a cookie alone changes nothing (its CSRF token must come in a header, from our origin).
"""

from __future__ import annotations

import hmac
import secrets
from collections import OrderedDict, deque
from dataclasses import dataclass
from time import monotonic
from urllib.parse import urlsplit

from aiohttp import web

from cms.app.administration import Administration
from cms.domain.ids import LocationId
from cms.domain.partner import ApiKey, Right

COOKIE = "cms_session"
CSRF_HEADER = "X-CSRF-Token"
SESSION_SECONDS = 12 * 3600
ONCE_SECONDS = 15 * 60
TRIES_PER_MINUTE = 10
_MOST_SESSIONS = 1000
_MOST_ADDRESSES = 10_000

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class PageSession:
    """A browser that has logged in with a key."""

    id: str
    csrf: str
    key_id: str
    ends: float


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, and what they may.

    Attributes:
        sites: None = all sites.
    """

    id: str
    name: str
    rights: frozenset[Right]
    sites: frozenset[LocationId] | None

    @property
    def who(self) -> str:
        """As the audit names them."""
        return f"key:{self.id}"

    def may(self, right: Right) -> bool:
        return right in self.rights or Right.ADMIN in self.rights

    def sees(self, site: LocationId | None) -> bool:
        return self.sites is None or (site is not None and site in self.sites)


class Access:
    """Finds the caller of a request. Memory only."""

    def __init__(self, administration: Administration) -> None:
        self._administration = administration
        self._sessions: OrderedDict[str, PageSession] = OrderedDict()
        self._once: dict[str, tuple[str, float]] = {}
        self._tries: OrderedDict[str, deque[float]] = OrderedDict()

    def caller(self, request: web.Request) -> Caller | None:
        """Return who calls; None for nobody we know. A cookie counts only where CSRF is ruled out."""
        header = request.headers.get("Authorization", "")
        scheme, _, text = header.partition(" ")
        if scheme.lower() == "bearer":
            return _caller(self._administration.holder_of(text.strip()))
        session = self.session(request)
        if session is None or not self._same_origin(request, session):
            return None
        return _caller(self._administration.key(session.key_id))

    def session(self, request: web.Request) -> PageSession | None:
        """Return the page session that the request's cookie names, if it lives."""
        session = self._sessions.get(request.cookies.get(COOKIE, ""))
        return session if session is not None and session.ends > monotonic() else None

    def open_session(self, key: ApiKey) -> PageSession:
        """Begin a page session; always under a new id, whatever cookie came."""
        session = PageSession(
            secrets.token_urlsafe(32),
            secrets.token_urlsafe(32),
            key.id,
            monotonic() + SESSION_SECONDS,
        )
        self._sessions[session.id] = session
        while len(self._sessions) > _MOST_SESSIONS:
            self._sessions.popitem(last=False)
        return session

    def close_session(self, request: web.Request) -> None:
        self._sessions.pop(request.cookies.get(COOKIE, ""), None)

    def login(self, text: str, address: str) -> PageSession | None:
        """Log in with a key's text. None for a wrong key; *address* may try ten times a minute.

        Raises:
            web.HTTPTooManyRequests: too many tries from there.
        """
        self._count_try(address)
        key = self._administration.holder_of(text.strip())
        return None if key is None else self.open_session(key)

    def once(self, key: ApiKey) -> str:
        """Draw a one-time login for the holder of *key*, good for a quarter of an hour."""
        token = secrets.token_urlsafe(24)
        self._once[token] = (key.id, monotonic() + ONCE_SECONDS)
        return token

    def login_once(self, token: str, address: str) -> PageSession | None:
        self._count_try(address)
        key_id, ends = self._once.pop(token, ("", 0.0))
        key = self._administration.key(key_id) if ends > monotonic() else None
        return None if key is None else self.open_session(key)

    def _same_origin(self, request: web.Request, session: PageSession) -> bool:
        if request.method in SAFE_METHODS:
            return True
        origin = request.headers.get("Origin")
        if origin is not None and urlsplit(origin).netloc != request.host:
            return False
        given = request.headers.get(CSRF_HEADER, "")
        return hmac.compare_digest(given.encode(), session.csrf.encode())

    def _count_try(self, address: str) -> None:
        now = monotonic()
        tries = self._tries.setdefault(address, deque(maxlen=TRIES_PER_MINUTE))
        self._tries.move_to_end(address)
        while len(self._tries) > _MOST_ADDRESSES:
            self._tries.popitem(last=False)
        if len(tries) == TRIES_PER_MINUTE and now - tries[0] < 60:
            raise web.HTTPTooManyRequests(text="too many tries, wait a minute")
        tries.append(now)


def _caller(key: ApiKey | None) -> Caller | None:
    return None if key is None else Caller(key.id, key.name, key.rights, key.sites)
