"""The partner's tokens: what the CPO may list, and what it is told when it asks in real time."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from pydantic import ValidationError

from simulators.emsp.connection import Party
from simulators.emsp.models import LocationReferences
from simulators.emsp.wire import Json, Reply, lenient_moment, moment, now, stamp

ALLOWED = ("ALLOWED", "BLOCKED", "EXPIRED", "NO_CREDIT", "NOT_ALLOWED")
MAX_PAGE = 50
SLOW_SECONDS = 6.0
"""Longer than a charger's driver is kept waiting."""


@dataclass(frozen=True, slots=True)
class Script:
    """What a real-time authorisation is answered.

    Attributes:
        allowed: one of ALLOWED, or UNKNOWN (2004), or NEEDS_LOCATION (2002 unless told where).
        seconds: delay before the answer.
        reference: authorization_reference; ``None``: a fresh one.
        only: uids of the EVSEs that it is allowed at; ``None``: where it was asked for.
        unknown_http: HTTP status that goes with 2004; partners differ (404 or 200).
    """

    allowed: str = "ALLOWED"
    seconds: float = 0.0
    reference: str | None = None
    unknown_http: int = 404
    info: str | None = None
    only: tuple[str, ...] | None = None


POLICIES = {
    "generous": Script("ALLOWED"),
    "blocked": Script("BLOCKED"),
    "expired": Script("EXPIRED"),
    "broke": Script("NO_CREDIT"),
    "elsewhere": Script("NOT_ALLOWED"),
    "ignorant": Script("UNKNOWN"),
    "curious": Script("NEEDS_LOCATION"),
    "slow": Script("ALLOWED", seconds=SLOW_SECONDS),
}
"""What all cards are answered, in one word."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One real-time authorisation that the CPO asked for."""

    uid: str
    type: str
    location: Json | None
    allowed: str
    reference: str | None


@dataclass(slots=True)
class Tokens:
    """The partner's tokens and the scripted answers.

    Attributes:
        scripts: by token uid; without one, a known valid token is ALLOWED.
        asked: every authorisation asked for.
        most: tokens on a page at most.
        policy: what every token without a script of its own is answered; ``None``: as it is valid.
    """

    us: Party
    most: int = MAX_PAGE
    held: dict[tuple[str, str], Json] = field(default_factory=dict)
    scripts: dict[str, Script] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    policy: Script | None = None

    def add(self, uid: str, *, type: str = "RFID", **members: Any) -> Json:
        """Create a token of ours; *members* are further OCPI members or override the defaults."""
        token: Json = {
            "country_code": self.us.country_code,
            "party_id": self.us.party_id,
            "uid": uid,
            "type": type,
            "contract_id": f"{self.us.country_code}-{self.us.party_id}-C{uid}"[:36],
            "issuer": "Simulated Mobility",
            "valid": True,
            "whitelist": "ALLOWED" if type == "RFID" else "NEVER",
            "last_updated": stamp(now()),
            **members,
        }
        self.held[uid.upper(), type] = token
        return token

    def change(self, uid: str, *, type: str = "RFID", **members: Any) -> Json:
        """Change members of a token; returns the changes with their last_updated."""
        changes = {**members, "last_updated": stamp(now())}
        self.held[uid.upper(), type] = {**self.held[uid.upper(), type], **changes}
        return changes

    def follow(self, policy: str) -> None:
        """Answer every authorisation by one word: "honest", or one of POLICIES.

        Raises:
            ValueError: there is no such policy.
        """
        if policy != "honest" and policy not in POLICIES:
            raise ValueError(f"policy: one of honest, {', '.join(POLICIES)}")
        self.policy = POLICIES.get(policy)

    def page(self, query: Mapping[str, str], url: str) -> Reply:
        """The sender's list: date filters on last_updated, offset and limit, next link."""
        try:
            offset = int(query.get("offset", 0))
            limit = min(int(query.get("limit", self.most)), self.most)
            matching = list(self._between(query.get("date_from"), query.get("date_to")))
        except ValueError as error:
            return Reply(2001, message=str(error))
        if offset < 0 or limit < 1:
            return Reply(2001, message="offset or limit out of range")
        headers = {"X-Total-Count": str(len(matching)), "X-Limit": str(self.most)}
        if offset + limit < len(matching):
            kept = {**query, "offset": str(offset + limit), "limit": str(limit)}
            headers["Link"] = f'<{url}?{urlencode(kept)}>; rel="next"'
        return Reply(data=matching[offset : offset + limit], headers=headers)

    def _between(self, date_from: str | None, date_to: str | None) -> list[Json]:
        low = lenient_moment(date_from) if date_from else None
        high = lenient_moment(date_to) if date_to else None
        return [
            token
            for token in self.held.values()
            if (low is None or moment(token["last_updated"]) >= low)
            and (high is None or moment(token["last_updated"]) < high)
        ]

    def script(self, uid: str, type: str) -> Script:
        """What this token will be answered."""
        if uid in self.scripts:
            return self.scripts[uid]
        if self.policy is not None:
            return self.policy
        token = self.held.get((uid.upper(), type))
        if token is None:
            return Script("UNKNOWN")
        return Script("ALLOWED" if token["valid"] else "BLOCKED")

    def authorise(self, uid: str, type: str, body: Any) -> Reply:
        """Answer one real-time authorisation (the delay is the caller's business)."""
        if body is not None:
            try:
                LocationReferences.model_validate(body)
            except ValidationError as error:
                return Reply(2001, message=str(error.errors(include_url=False)[0]["loc"]))
        script = self.script(uid, type)
        token = self.held.get((uid.upper(), type)) or self._made_up(uid, type)
        reference = script.reference or str(uuid.uuid4())
        refused = script.allowed != "ALLOWED"
        self.asked.append(Asked(uid, type, body, script.allowed, None if refused else reference))
        if script.allowed == "UNKNOWN":
            return Reply(2004, message="unknown token", http=script.unknown_http)
        if script.allowed == "NEEDS_LOCATION" and body is None:
            return Reply(2002, message="where?")
        return Reply(data=_info(script, token, reference, body))

    def _made_up(self, uid: str, type: str) -> Json:
        known = self.held.copy()
        token = self.add(uid, type=type)
        self.held = known
        return token


def _info(script: Script, token: Json, reference: str, body: Any) -> Json:
    allowed = script.allowed if script.allowed in ALLOWED else "ALLOWED"
    info: Json = {"allowed": allowed, "token": token}
    if allowed == "ALLOWED":
        info["authorization_reference"] = reference
    if body is not None:
        info["location"] = body if script.only is None else {**body, "evse_uids": [*script.only]}
    if script.info:
        info["info"] = {"language": "en", "text": script.info}
    return info
