"""Charging profiles of an eMSP: asked for, their one result each, and what the CPO tells later."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from simulators.emsp.client import Answer
from simulators.emsp.wire import Json, join

Request = Callable[..., Awaitable[Answer]]
Complain = Callable[[str, str, str], None]

ANSWERS = ("ACCEPTED", "NOT_SUPPORTED", "REJECTED", "TOO_OFTEN", "UNKNOWN_SESSION")
RESULTS = ("ACCEPTED", "REJECTED", "UNKNOWN")


@dataclass(slots=True, eq=False)
class ProfileRequest:
    """One request of ours.

    Attributes:
        verb: ``"set"``, ``"clear"`` or ``"ask"``.
        answer: ChargingProfileResponse.result; ``None`` if the CPO answered with an error.
        results: every body that came to the response_url; one is right, after ACCEPTED only.
    """

    id: str
    verb: str
    session: str
    http: int | None = None
    code: int | None = None
    answer: str | None = None
    timeout: int | None = None
    results: list[Json] = field(default_factory=list)
    _arrived: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self, body: Json) -> None:
        """A result came."""
        self.results.append(body)
        self._arrived.set()

    async def result(self, timeout: float = 30.0) -> Json:
        """Wait for the result.

        Raises:
            TimeoutError: none within *timeout* seconds.
        """
        async with asyncio.timeout(timeout):
            await self._arrived.wait()
        return self.results[0]


class Profiles:
    """The sender's side of chargingprofiles.

    Attributes:
        active: session -> every ActiveChargingProfile that the CPO told unasked, oldest first.
    """

    def __init__(
        self,
        request: Request,
        theirs: Callable[[], str],
        ours: Callable[[], str],
        complain: Complain,
        changed: Callable[[], None],
    ) -> None:
        self._request = request
        self._theirs = theirs
        self._ours = ours
        self._complain = complain
        self._changed = changed
        self.requests: dict[str, ProfileRequest] = {}
        self.active: dict[str, list[Json]] = {}
        self._set: set[str] = set()

    async def set(self, session: str, profile: Json, **body: Any) -> ProfileRequest:
        """PUT a profile; *body* replaces members of the SetChargingProfile."""
        asked = self._new("set", session)
        whole = {"charging_profile": profile, "response_url": self.url_of(asked), **body}
        return await self._send(asked, "PUT", join(self._theirs(), session), whole)

    async def clear(self, session: str) -> ProfileRequest:
        """DELETE our profile."""
        asked = self._new("clear", session)
        url = f"{join(self._theirs(), session)}?response_url={self.url_of(asked)}"
        return await self._send(asked, "DELETE", url)

    async def ask(self, session: str, seconds: int = 900) -> ProfileRequest:
        """GET what is planned."""
        asked = self._new("ask", session)
        url = f"{join(self._theirs(), session)}?duration={seconds}"
        return await self._send(asked, "GET", f"{url}&response_url={self.url_of(asked)}")

    def url_of(self, asked: ProfileRequest) -> str:
        """Where the result of *asked* is to go."""
        return join(self._ours(), "results", asked.id)

    def _new(self, verb: str, session: str) -> ProfileRequest:
        asked = ProfileRequest(uuid.uuid4().hex, verb, session)
        self.requests[asked.id] = asked
        return asked

    async def _send(
        self, asked: ProfileRequest, method: str, url: str, body: Json | None = None
    ) -> ProfileRequest:
        answer = await self._request(method, url, body)
        asked.http, asked.code = answer.http, answer.code
        if isinstance(answer.data, dict):
            asked.answer, asked.timeout = answer.data.get("result"), answer.data.get("timeout")
        if asked.answer is not None and asked.answer not in ANSWERS:
            self._complain(f"{method} {url}", "result", f"no such answer: {asked.answer}")
        if asked.answer == "ACCEPTED" and not isinstance(asked.timeout, int):
            self._complain(f"{method} {url}", "timeout", "missing")
        return asked

    def receive(self, method: str, segments: tuple[str, ...], body: Any) -> bool:
        """Take what the CPO sends; False for what is none of ours."""
        match (method, *segments):
            case ("POST", "results", id) if id in self.requests:
                self._take(self.requests[id], body)
            case ("PUT", session):
                self._take_active(session, body)
            case _:
                return False
        self._changed()
        return True

    def _take(self, asked: ProfileRequest, body: Any) -> None:
        where = f"result of {asked.verb}"
        if not isinstance(body, dict) or body.get("result") not in RESULTS:
            self._complain(where, "result", f"no result: {body}")
            return
        if asked.results:
            self._complain(where, "result", f"a second one: {body}")
        if asked.http is not None and asked.answer != "ACCEPTED":
            self._complain(where, "result", f"after {asked.answer}")
        if ("profile" in body) is not (asked.verb == "ask" and body["result"] == "ACCEPTED"):
            self._complain(where, "profile", "only, and always, with an accepted question")
        elif "profile" in body:
            self._check_active(where, body["profile"])
        if asked.verb == "set" and body["result"] == "ACCEPTED":
            self._set.add(asked.session)
        asked.take(body)

    def _take_active(self, session: str, body: Any) -> None:
        where = f"PUT chargingprofiles/{session}"
        if session not in self._set:
            self._complain(where, "session", "we never set a profile on it")
        self._check_active(where, body)
        self.active.setdefault(session, []).append(body)

    def _check_active(self, where: str, body: Any) -> None:
        profile = body.get("charging_profile") if isinstance(body, dict) else None
        if not isinstance(profile, dict) or not isinstance(body.get("start_date_time"), str):
            self._complain(where, "body", "no ActiveChargingProfile")
            return
        if profile.get("charging_rate_unit") not in ("W", "A"):
            self._complain(where, "charging_rate_unit", "neither W nor A")
        periods = profile.get("charging_profile_period") or []
        if not periods or periods[0].get("start_period") != 0:
            self._complain(where, "charging_profile_period", "does not say what holds at first")
        for each in periods:
            tenths = each.get("limit", -1) * 10
            if tenths < 0 or abs(tenths - round(tenths)) > 1e-9:
                self._complain(where, "limit", f"{each.get('limit')}: 0 or more, one decimal")
