"""The hub: its registrations, its directory of parties, and one handle for tests."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Coroutine, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp

from simulators.emsp.client import NEEDED, RegistrationFailed, credentials_url, object_url
from simulators.emsp.connection import Party, mint_token
from simulators.emsp.languages import SPEECHES
from simulators.emsp.ledger import Ledger
from simulators.emsp.models import Credentials, VersionDetails
from simulators.emsp.speech import Speech, Wrong
from simulators.emsp.store import Complaint, Pulse
from simulators.emsp.wire import Json, join, loads, now, stamp
from simulators.hub.carrier import Carrier
from simulators.hub.members import Client, Directory, Member, Status
from simulators.hub.passages import Passage
from simulators.hub.profiles import PROFILES, HubProfile
from simulators.hub.server import Server
from simulators.hub.trouble import Mode, Trouble, Troubles

MODULES = (
    "locations",
    "sessions",
    "cdrs",
    "tariffs",
    "tokens",
    "commands",
    "chargingprofiles",
)
"""Functional modules, each with both interfaces: a hub stands on either side."""

TIMEOUT_SECONDS = 10.0


class Hub:
    """A roaming hub. ``async with Hub() as hub: ...`` listens on loopback.

    Args:
        profile: habits of a real hub, by name or as a value.
        versions: of OCPI that it speaks with anybody; parties on different ones cannot talk.
        timeout: seconds that a party has for an answer (else 4002).
        ledger: also append the passages to this file.

    Attributes:
        passages: every request that went through, once for each receiver.
        complaints: mistakes of the parties; empty in a good run.
        pulse: beats after every passage and every change of the directory.
    """

    def __init__(
        self,
        *,
        profile: str | HubProfile = "spec",
        versions: tuple[str, ...] = ("2.2.1",),
        country_code: str | None = None,
        party_id: str | None = None,
        name: str = "Simulated Hub",
        host: str = "127.0.0.1",
        port: int = 0,
        public_url: str | None = None,
        timeout: float = TIMEOUT_SECONDS,
        ledger: Path | None = None,
    ) -> None:
        self.profile = PROFILES[profile] if isinstance(profile, str) else profile
        self.us = Party(
            country_code or self.profile.country_code, party_id or self.profile.party_id
        )
        self.name, self.versions = name, versions
        self.directory, self.troubles = Directory(), Troubles()
        self.passages: list[Passage] = []
        self.complaints: list[Complaint] = []
        self.ledger, self.pulse = Ledger(ledger), Pulse()
        self.carrier = Carrier(self, timeout)
        self._server = Server(self, host, port)
        self._host, self._public_url = host, public_url
        self._jobs: set[asyncio.Task[Any]] = set()
        self._exchanging = asyncio.Lock()

    # -- life --------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        await self._server.up()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for job in self._jobs:
            job.cancel()
        await asyncio.gather(*self._jobs, return_exceptions=True)
        await self.carrier.close()
        await self._server.down()
        self.ledger.close()

    async def go_down(self) -> None:
        """Refuse connections until `come_back`; registrations are kept."""
        await self._server.down()

    async def come_back(self) -> None:
        """Listen again, on the same port."""
        await self._server.up()

    def after(self, job: Coroutine[Any, Any, Any]) -> None:
        """Run *job* beside the answer."""
        task = asyncio.ensure_future(job)
        self._jobs.add(task)
        task.add_done_callback(self._jobs.discard)

    async def quiet(self, timeout: float = 10.0) -> None:
        """Wait until nothing is on its way any more.

        Raises:
            TimeoutError: after *timeout* seconds.
        """
        async with asyncio.timeout(timeout):
            while self._jobs or self.carrier.busy:
                await asyncio.gather(*self._jobs, return_exceptions=True)
                await self.carrier.idle()

    # -- who we are --------------------------------------------------------------------------

    @property
    def base_url(self) -> str:
        """Our address without a path."""
        return self._public_url or f"http://{self._host}:{self._server.port}"

    @property
    def versions_url(self) -> str:
        """What a party needs, with a token A, to register here."""
        return join(self.base_url, "ocpi", "versions")

    def address(self, version: str, *segments: str) -> str:
        """A URL of ours in *version*."""
        return join(self.base_url, "ocpi", version, *segments)

    def details_url(self, version: str) -> str:
        """Where version details are said to be."""
        wrong = ("details",) if self.profile.details_404 else ()
        return self.address(version, *wrong)

    def endpoints(self, version: str) -> list[Json]:
        """Our endpoints: of every functional module both interfaces."""
        found = [
            {
                "identifier": "credentials",
                "role": "SENDER",
                "url": self.address(version, "credentials"),
            }
        ]
        if self.profile.client_info:
            url = self.address(version, "hubclientinfo")
            found.append({"identifier": "hubclientinfo", "role": "SENDER", "url": url})
        for module in MODULES:
            for role in ("SENDER", "RECEIVER"):
                url = self.address(version, role.lower(), module)
                found.append({"identifier": module, "role": role, "url": url})
        return found

    def credentials(self, member: Member, version: str) -> Json:
        """Our Credentials for *member*, without the token: in 2.2.1 the hub alone, in 2.3.0 the
        parties behind it and ``hub_party_id``."""
        details: Json = {"name": self.name}
        if self.profile.gstin:
            details["gstin"] = self.profile.gstin
        own = {
            "role": "HUB",
            "party_id": self.us.party_id,
            "country_code": self.us.country_code,
            "business_details": details,
        }
        found: Json = {"url": self.versions_url, "roles": [own]}
        if version == "2.3.0":
            others = [c for c in self.directory.all() if c.member is not member and c.reachable]
            roles = [each.as_role() for each in others] or [{**own, "role": "OTHER"}]
            found["roles"] = roles
            found["hub_party_id"] = self.us.country_code + self.us.party_id
        return found

    def authorization(self, member: Member, token: str | None = None) -> str:
        """The Authorization header for *member*."""
        token = token or member.outbound or ""
        return f"Token {token}" if self.profile.raw_tokens else _speech(member).authorization(token)

    # -- registration ------------------------------------------------------------------------

    def hand_out_token(self) -> str:
        """A token A, with which one platform may register here."""
        member = Member(self.versions[0], mint_token())
        self.directory.members.append(member)
        return str(member.token_a)

    async def register(self, versions_url: str, token_a: str, version: str | None = None) -> Member:
        """Register at a platform that gave us *token_a*.

        Raises:
            RegistrationFailed: with the OCPI code that says why; nothing is kept.
        """
        member = Member(version or self.versions[0])
        self.directory.members.append(member)
        try:
            details = await self._details_of(member, versions_url, token_a)
            await self._exchange(member, "POST", details, token_a)
        except RegistrationFailed:
            self.directory.members.remove(member)
            raise
        self.settled(member)
        return member

    async def renew(self, member: Member) -> None:
        """PUT our credentials: new tokens, and in 2.3.0 the roles as they are now.

        Raises:
            RegistrationFailed: nothing changes.
        """
        async with self._exchanging:
            details = await self._details_of(member, str(member.versions_url), str(member.outbound))
            await self._exchange(member, "PUT", details, str(member.outbound))

    async def _exchange(
        self, member: Member, method: str, details: VersionDetails, token: str
    ) -> None:
        inbound = member.mint()
        body = {**self.credentials(member, member.version), "token": inbound}
        url = credentials_url(details)
        member.settled.clear()
        try:
            _, envelope = await self.configuration(member, method, url, body, token)
            theirs = _speech(member).read_credentials((envelope or {}).get("data"))
            member.learn(theirs, details, member.version)
        except Wrong as error:
            member.inbound.discard(inbound)
            raise RegistrationFailed(3001, f"{method} {url}: {error.field}: {error}") from error
        finally:
            member.settled.set()

    async def look_at(self, member: Member, theirs: Credentials, version: str) -> None:
        """Take over what a platform sent: fetch its endpoints with its token.

        Raises:
            RegistrationFailed: its versions cannot be read; nothing is kept.
        """
        before, member.version = member.version, version
        try:
            details = await self._details_of(member, theirs.url, theirs.token)
        except RegistrationFailed:
            member.version = before
            raise
        member.learn(theirs, details, version)

    async def _details_of(self, member: Member, url: str, token: str) -> VersionDetails:
        versions = await self._read(member, url, token)
        of_ours = [each["url"] for each in versions if each.get("version") == member.version]
        if not of_ours:
            raise RegistrationFailed(3002, f"{url} offers no {member.version}")
        try:
            details = _speech(member).details(await self._read(member, of_ours[0], token))
        except Wrong as error:
            raise RegistrationFailed(3001, f"{error.field}: {error}") from error
        if not any(each.identifier == "credentials" for each in details.endpoints):
            raise RegistrationFailed(3003, f"no credentials endpoint; wanted {NEEDED}")
        return details

    async def _read(self, member: Member, url: str, token: str) -> Any:
        http, envelope = await self.configuration(member, "GET", url, None, token)
        if http != 200 or not envelope or not envelope.get("data"):
            raise RegistrationFailed(3001, f"GET {url}: HTTP {http}")
        return envelope["data"]

    async def configuration(
        self, member: Member, method: str, url: str, body: Any, token: str | None = None
    ) -> tuple[int, Json | None]:
        """One request of a configuration module: no routing headers; status and envelope.

        Raises:
            RegistrationFailed: no answer.
        """
        headers = {
            "Authorization": self.authorization(member, token),
            "X-Request-ID": str(uuid.uuid4()),
            "X-Correlation-ID": str(uuid.uuid4()),
        }
        try:
            http, raw, _ = await self.carrier.send(method, url, body, headers)
            return http, loads(raw) if raw else None
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise RegistrationFailed(3001, f"{method} {url}: {type(error).__name__}") from error

    def settled(self, member: Member) -> None:
        """A platform registered, changed its roles or left: everybody is told."""
        self.tell(self.directory.settle(member))

    def leave(self, member: Member) -> None:
        """A platform unregistered: its parties are suspended."""
        member.roles = []
        self.settled(member)
        member.forget()

    # -- client info -------------------------------------------------------------------------

    def status(self, party: str, status: Status | str) -> None:
        """Change the status of a party (``IN*CPO``) in all its roles and tell everybody.

        Raises:
            KeyError: no such party.
        """
        wanted = _party(party)
        changed = [each for each in self.directory.all() if each.party.same(*_ids(wanted))]
        if not changed:
            raise KeyError(party)
        for each in changed:
            each.status, each.last_updated = Status(status), now()
        self.tell(changed)

    def plan(self, party: str, role: str = "EMSP") -> None:
        """Announce a party that will come."""
        self.tell([self.directory.plan(_party(party), role)])

    def clients_for(self, member: Member) -> list[Client]:
        """What HubClientInfo shows to *member*: everybody else, and the hub's own party not."""
        return [each for each in self.directory.all() if each.member is not member]

    def tell(self, changed: Iterable[Client]) -> None:
        """Push changed parties to every other member: ClientInfo, and in 2.3.0 new roles."""
        changed = list(changed)
        self.pulse.beat()
        for member in self.directory.members:
            news = [each for each in changed if each.member is not member]
            if not member.registered or not news:
                continue
            if self.profile.client_info and ("hubclientinfo", "RECEIVER") in member.endpoints:
                self.after(self._push_clients(member, news))
            if member.version == "2.3.0":
                self.after(self._renew_quietly(member))

    async def _push_clients(self, member: Member, news: list[Client]) -> None:
        base = member.endpoints["hubclientinfo", "RECEIVER"]
        for each in news:
            url = object_url(base, each.party.country_code, each.party.party_id)
            try:
                http, envelope = await self.configuration(member, "PUT", url, each.info())
            except RegistrationFailed as failed:
                self.complain(f"PUT hubclientinfo {each.party}", "answer", str(failed))
                continue
            if not 200 <= http < 300 or not envelope or envelope.get("status_code") != 1000:
                self.complain(f"PUT hubclientinfo {each.party}", "answer", f"HTTP {http}")

    async def _renew_quietly(self, member: Member) -> None:
        try:
            await self.renew(member)
        except RegistrationFailed as failed:
            self.complain("PUT credentials", "answer", str(failed))

    # -- what only some hubs do --------------------------------------------------------------

    async def ask_cpo(self, cpo: str, token: Json) -> tuple[int, Json | None]:
        """``PUT tokens/{cc}/{pid}/{uid}/authorize`` at a CPO, in the name of the token's party:
        HTTP status and envelope. No rule of OCPI; at least one hub does it."""
        client = self.directory.find(_party(cpo), "CPO")
        if client is None or client.member is None:
            raise KeyError(cpo)
        ids = (token["country_code"], token["party_id"], token["uid"], "authorize")
        url = object_url(client.member.endpoints["tokens", "RECEIVER"], *ids)
        sender = Party(token["country_code"], token["party_id"])
        answer = await self.carrier.ask(client, "PUT", url, token, sender=sender)
        return answer.http, answer.envelope

    # -- misbehaving and looking -------------------------------------------------------------

    def trouble(self, mode: Mode | str, **more: Any) -> Trouble:
        """Misbehave from now on; see `Trouble` for the arguments."""
        return self.troubles.add(Trouble(Mode(mode), **more))

    def heal(self) -> None:
        """Behave again."""
        self.troubles.clear()

    def complain(self, where: str, name: str, reason: str) -> None:
        """Record a mistake of a party."""
        self.complaints.append(Complaint(where, name, reason))

    def record(self, passage: Passage) -> None:
        """Keep what went through."""
        self.passages.append(passage)
        self.ledger.append(passage.line())
        self.pulse.beat()

    def passed(self, module: str, to: str | None = None) -> list[Passage]:
        """What went through for *module*, to one party or to all."""
        return [
            each for each in self.passages if each.module == module and to in (None, each.receiver)
        ]

    def report(self) -> Json:
        """What a steering process wants to know at a glance."""
        return {
            "hub": str(self.us),
            "profile": self.profile.name,
            "at": stamp(now()),
            "parties": [each.info() for each in self.directory.all()],
            "passages": len(self.passages),
            "complaints": [f"{c.where}: {c.field}: {c.reason}" for c in self.complaints],
        }


def _speech(member: Member) -> Speech:
    return SPEECHES[member.version]


def _party(text: str) -> Party:
    country, _, party = text.partition("*")
    return Party(country, party)


def _ids(party: Party) -> tuple[str, str]:
    return party.country_code, party.party_id
