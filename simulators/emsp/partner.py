"""The simulated eMSP: its server, its calls, its copies and its ledger in one handle for tests."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import unquote, urlsplit

from simulators.emsp.client import Answer, Client, object_url
from simulators.emsp.commands import Command
from simulators.emsp.connection import Connection, Party, mint_token
from simulators.emsp.faults import Faults
from simulators.emsp.invoices import MODULE as INVOICES
from simulators.emsp.invoices import Invoices
from simulators.emsp.ledger import Ledger
from simulators.emsp.originals import Originals
from simulators.emsp.presets import PRESETS, Preset
from simulators.emsp.profiles import Profiles
from simulators.emsp.rating import CannotRate, Cost, rate
from simulators.emsp.receivers import Receivers
from simulators.emsp.server import Server, ledger_line
from simulators.emsp.speech import Sent, Speech, Wrong
from simulators.emsp.store import Arrival, Complaint, Store, Version, key_of
from simulators.emsp.tokens import Tokens
from simulators.emsp.wire import Json, join, moment, next_link, stamp

T = TypeVar("T")

INTERFACES = {
    "credentials": "SENDER",
    "locations": "RECEIVER",
    "sessions": "RECEIVER",
    "cdrs": "RECEIVER",
    "tariffs": "RECEIVER",
    "tokens": "SENDER",
    "commands": "SENDER",
    "chargingprofiles": "SENDER",
    "hubclientinfo": "RECEIVER",
}
SHARED_UID = "a5a64d32-6f3b-4a47-9c0d-0e4f4f5d5f10"
"""Longer than any charger takes."""
SINCE_22 = frozenset({"chargingprofiles", "hubclientinfo"})
"""Modules that OCPI 2.1.1 does not have."""


class Emsp:
    """A roaming partner of one CPO. ``async with Emsp() as emsp: ...`` listens on loopback.

    Args:
        ledger: also append the ledger to this file.
        public_url: how the CPO reaches us; default: the address that we listen on.
        modules: interfaces that we offer; a CPO must not push to the others.
        version: of OCPI that we begin with; default: the preset's.
        preset: habits of a real partner, by name or as a value.
        versions: that we offer; default: this one only.

    Attributes:
        complaints: mistakes of the CPO; empty in a good run.
        remarks: oddities that OCPI allows.
        arrivals: every request, with its time.
        cost_differences: CDRs whose total_cost is not what we compute.
        requested_wh: authorization_reference -> energy that its driver asked for; a preset with a
            cut-off stops these sessions, once each.
    """

    def __init__(
        self,
        *,
        country_code: str = "IN",
        party_id: str = "EMP",
        name: str = "Simulated Mobility",
        host: str = "127.0.0.1",
        port: int = 0,
        public_url: str | None = None,
        ledger: Path | None = None,
        modules: tuple[str, ...] = tuple(INTERFACES),
        version: str | None = None,
        versions: tuple[str, ...] = (),
        preset: str | Preset = "spec",
    ) -> None:
        self.preset = PRESETS[preset] if isinstance(preset, str) else preset
        version = version or self.preset.version
        self.us = Party(country_code, party_id)
        self.name = name
        self.connection = Connection()
        self.versions = versions or (version,)
        self.client = Client(self.connection, self.us, self.preset.speech(version))
        self.client.one_page = self.preset.one_page
        self.store = Store()
        self.faults = Faults(self.store.pulse.beat)
        self.ledger = Ledger(ledger)
        self.tokens = Tokens(self.us, most=self.preset.token_page)
        self.commands: dict[str, Command] = {}
        self.profiles = Profiles(
            self._about_session,
            lambda: self.connection.endpoints["chargingprofiles", "RECEIVER"],
            lambda: self.url("chargingprofiles"),
            self.complain,
            self.store.pulse.beat,
        )
        self.arrivals: list[Arrival] = []
        self.complaints: list[Complaint] = []
        self.remarks: list[Complaint] = []
        self.recomputed: dict[str, Cost] = {}
        self.cost_differences: list[str] = []
        self.receivers = Receivers(
            self.store, self.connection, self.us, self.complaints, self.remarks, self._billed
        )
        self.receivers.strict = self.preset.strict
        self.originals = Originals()
        self.invoices = Invoices(
            self.us, self.store, self.connection, self._ask_quietly, self.complain
        )
        self.requested_wh: dict[str, int] = {}
        self._errands: set[asyncio.Task[Any]] = set()
        self._server = Server(self, host, port)
        self._host = host
        self._public_url = public_url
        self._modules = modules

    # -- life --------------------------------------------------------------------------------

    async def start(self) -> None:
        """Listen."""
        await self._server.up()

    async def stop(self) -> None:
        """Stop listening, write the commands that never got a result, close everything."""
        self.faults.clear()
        for errand in self._errands:
            errand.cancel()
        await asyncio.gather(*self._errands, return_exceptions=True)
        await self._server.down()
        await self.client.close()
        for command in self.commands.values():
            self._write(command)
        self.ledger.close()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    async def go_down(self) -> None:
        """Refuse connections until `come_back`; copies and registration are kept."""
        await self._server.down()

    async def come_back(self) -> None:
        """Listen again, on the same port."""
        await self._server.up()

    # -- who we are --------------------------------------------------------------------------

    @property
    def base_url(self) -> str:
        """Our address without a path."""
        return self._public_url or f"http://{self._host}:{self._server.port}"

    @property
    def versions_url(self) -> str:
        """What a CPO needs, with a token A, to register with us."""
        return join(self.base_url, "ocpi", "versions")

    @property
    def speech(self) -> Speech:
        """How we speak with the CPO: the version that was agreed."""
        return self.client.speech

    @property
    def details_url(self) -> str:
        """Our details of the version that we speak."""
        return self.address(self.speech.version)

    def address(self, version: str) -> str:
        """Our details of *version*."""
        return join(self.base_url, "ocpi", version)

    def url(self, module: str) -> str:
        """The URL of one of our interfaces."""
        return join(self.details_url, module)

    def endpoints(self, version: str | None = None) -> list[Json]:
        """The endpoints in our version details, with roles."""
        base = self.details_url if version is None else self.address(version)
        roles = [(module, INTERFACES[module]) for module in self._modules]
        if version == "2.3.0":
            roles += [(INVOICES, "SENDER"), (INVOICES, "RECEIVER")]
        return [
            {"identifier": module, "role": role, "url": join(base, module)}
            for module, role in roles
            if version != "2.1.1" or module not in SINCE_22
        ]

    def credentials(self) -> Json:
        """Our Credentials object, without the token."""
        role = {
            "role": "EMSP",
            "party_id": self.us.party_id,
            "country_code": self.us.country_code,
            "business_details": {"name": self.name},
        }
        return {"url": self.versions_url, "roles": [role]}

    # -- registration ------------------------------------------------------------------------

    def hand_out_token(self) -> str:
        """A token A, with which a CPO may register here once."""
        self.connection.token_a = mint_token()
        return self.connection.token_a

    async def register(self, versions_url: str, token_a: str) -> None:
        """Register at a CPO that gave us *token_a*.

        Raises:
            RegistrationFailed: with the OCPI code that says why.
        """
        await self.client.register(versions_url, token_a, self.credentials())

    async def update_credentials(self, version: str | None = None) -> None:
        """Renew the tokens by PUT, and move to *version* if one is given."""
        speech = self.preset.speech(version) if version else None
        await self.client.update(self.credentials(), speech)

    async def unregister(self) -> Answer:
        """End the registration by DELETE."""
        return await self.client.unregister()

    # -- waiting and looking -----------------------------------------------------------------

    async def wait_for(self, probe: Callable[[], T | None], timeout: float = 10.0) -> T:
        """Wait until *probe* gives something true; asked again after every arrival.

        Raises:
            TimeoutError: after *timeout* seconds.
        """
        return await self.store.pulse.until(probe, timeout)

    def history(self, module: str, *ids: str) -> list[Version]:
        """Every version of an object, oldest first.

        *ids*: country code, party id, id, and for locations EVSE uid and connector id.
        """
        return self.store.history.get((module, key_of(*ids)), [])

    def pushes(self, module: str, object_id: str | None = None) -> list[Arrival]:
        """The requests that arrived for *module*, of one object or of all."""
        return [
            arrival
            for arrival in self.arrivals
            if arrival.module == module and object_id in (None, arrival.object_id)
        ]

    def session(self, reference: str) -> Json | None:
        """The session with this authorization_reference."""
        sessions = self.store.sessions.values()
        return next((s for s in sessions if s.get("authorization_reference") == reference), None)

    def cdr_of(self, session_id: str) -> Json | None:
        """The CDR of a session (not the credit)."""
        cdrs = self.store.cdrs.values()
        return next(
            (c for c in cdrs if c.get("session_id") == session_id and not c.get("credit")), None
        )

    def complain(self, where: str, name: str, reason: str) -> None:
        """Record a mistake of the CPO."""
        self.receivers.complain(where, name, reason)

    def arrived(self, arrival: Arrival) -> None:
        """A request's head was read: wake who waits."""
        self.arrivals.append(arrival)
        self.store.pulse.beat()

    def answered(self, arrival: Arrival) -> None:
        """A request is through: write it down and wake who waits."""
        self.ledger.append(ledger_line(arrival))
        if arrival.module == "sessions":
            self._cut_off()
        self.store.pulse.beat()

    def report(self) -> Json:
        """What a steering process wants to know at a glance."""
        return {
            "registered": self.connection.registered,
            "locations": len(self.store.locations),
            "sessions": len(self.store.sessions),
            "cdrs": len(self.store.cdrs),
            "cdr_copies": sum(self.store.cdr_copies.values()),
            "requests": len(self.arrivals),
            "complaints": [f"{c.where}: {c.field}: {c.reason}" for c in self.complaints],
            "cost_differences": self.cost_differences,
        }

    # -- what versions leave out (``speech.Book``) -------------------------------------------

    def party_of_cpo(self) -> tuple[str, str]:
        """Country code and party id of the CPO."""
        party = self.connection.parties[0]
        return party.country_code, party.party_id

    def token_of_contract(self, contract: str) -> Json | None:
        """Our token with this contract id."""
        held = self.tokens.held.values()
        return next((each for each in held if each["contract_id"] == contract), None)

    def reference_of_contract(self, contract: str) -> str | None:
        """The authorization_reference of our newest START_SESSION for this contract."""
        for command in reversed(self.commands.values()):
            token = command.body.get("token")
            if token is not None and token["contract_id"] == contract:
                return command.reference
        return None

    def session_like(self, contract: str, start: str, evse_uid: str) -> str | None:
        """The id of the session that a CDR without one must be for."""
        wanted = (contract, moment(start), evse_uid)
        for each in self.store.sessions.values():
            begun = moment(each["start_date_time"])
            if (each["cdr_token"]["contract_id"], begun, each["evse_uid"]) == wanted:
                return str(each["id"])
        return None

    # -- money -------------------------------------------------------------------------------

    def _billed(self, cdr: Json, stored: bool) -> None:
        line = {"kind": "cdr", "id": cdr["id"], "session_id": cdr.get("session_id")}
        self.ledger.append({**line, "body": cdr, "stored": stored})
        if stored:
            self._recompute(cdr)

    def _took_back(self, cdr: Json) -> bool:
        """Whether a bill is for a reservation that we cancelled ourselves, so that it did not
        expire: a bill does not say."""
        cancelled = {
            each.body["reservation_id"].casefold()
            for each in self.commands.values()
            if each.name == "CANCEL_RESERVATION" and each.answer == "ACCEPTED"
        }
        return any(
            each.name == "RESERVE_NOW"
            and str(each.body["reservation_id"]).casefold() in cancelled
            and each.reference is not None
            and each.reference == cdr.get("authorization_reference")
            for each in self.commands.values()
        )

    def _recompute(self, cdr: Json) -> None:
        try:
            came = self._took_back(cdr)
            cost = rate(cdr, self._tariffs_for(cdr), self._time_zone(cdr), taken_back=came)
        except CannotRate as error:
            self.complain(f"CDR {cdr['id']}", "tariffs", str(error))
            return
        self.recomputed[cdr["id"]] = cost
        self.ledger.append(
            {
                "kind": "recomputed",
                "cdr_id": cdr["id"],
                "excl": str(cost.excl),
                "incl": str(cost.incl),
            }
        )
        if not cost.agrees_with(cdr["total_cost"]):
            self.cost_differences.append(
                f"CDR {cdr['id']}: {cdr['total_cost']}, recomputed {cost.excl} / {cost.incl}"
            )

    def _tariffs_for(self, cdr: Json) -> list[Json]:
        """The tariffs inside the CDR, then our copies for whatever it left out."""
        owner = (cdr["country_code"], cdr["party_id"])
        return [
            *(cdr.get("tariffs") or []),
            *(
                t
                for t in self.store.tariffs.values()
                if (t["country_code"], t["party_id"]) == owner
            ),
        ]

    def _time_zone(self, cdr: Json) -> str:
        ids = key_of(cdr["country_code"], cdr["party_id"], cdr["cdr_location"]["id"])
        location = self.store.locations.get(ids)
        return location["time_zone"] if location else "UTC"

    # -- commands ----------------------------------------------------------------------------

    async def command(self, name: str, *, to: Party | None = None, **body: Any) -> Command:
        """Send any command and read its answer; the result comes later (`Command.result`).

        *body*: members beside response_url, which is ours, unless given. *to*: behind a hub, the
        CPO; default: the owner of the location or session, as far as we know it.
        """
        identifier = str(uuid.uuid4())
        whole = {"response_url": join(self.url("commands"), name, identifier), **body}
        command = Command(identifier, name, whole)
        self.commands[identifier] = command
        endpoint = join(self.connection.endpoints["commands", "RECEIVER"], name)
        body = self.speech.order(name, whole)
        receiver = to or self._owner(whole)
        answer = await self.client.request("POST", endpoint, body, receiver=receiver)
        self._take_answer(command, answer)
        return command

    def _owner(self, body: Json) -> Party | None:
        """Behind a hub: the CPO that has what a command is about."""
        if self.connection.hub is None:
            return None
        for held, name in (
            (self.store.locations, "location_id"),
            (self.store.sessions, "session_id"),
        ):
            for key in held:
                if body.get(name, "").upper() == key[2]:
                    return Party(held[key]["country_code"], held[key]["party_id"])
        return self.connection.parties[0] if self.connection.parties else None

    async def _ask_quietly(self, method: str, url: str, body: Json | None = None) -> Answer:
        return await self.client.request(method, url, body)

    async def _about_session(self, method: str, url: str, body: Json | None = None) -> Answer:
        """A request whose path ends in the id of a session: for the CPO that has it."""
        session = unquote(urlsplit(url).path.rsplit("/", 1)[1])
        receiver = self._owner({"session_id": session})
        return await self.client.request(method, url, body, receiver=receiver)

    def _take_answer(self, command: Command, answer: Answer) -> None:
        command.mark_answered(answer.http, answer.code)
        if answer.problem:
            self.complain(f"{command.name} answer", "envelope", answer.problem)
        if answer.data is not None:
            try:
                response = self.speech.response(answer.data)
                command.answer, command.timeout = response.result, response.timeout
            except Wrong as error:
                self.complain(f"{command.name} answer", "data", str(error))
        if command.answer != "ACCEPTED" or command.results:
            self._write(command)

    def take_result(self, command: Command, result: str, where: str) -> None:
        """A CommandResult came; exactly one is right, and only after ACCEPTED.

        What was reserved may be let go by the CPO: that is told in a second one.
        """
        let_go = command.name == "RESERVE_NOW" and command.results == ["ACCEPTED"]
        if command.results and not (let_go and result == "CANCELED_RESERVATION"):
            self.complain(where, "result", f"a second CommandResult: {result}")
        if command.answered is not None and command.answer != "ACCEPTED":
            self.complain(where, "result", f"a CommandResult after {command.answer}")
        command.take(result)
        if command.answered is not None:
            self._write(command)

    def _write(self, command: Command) -> None:
        if not command.written:
            command.written = True
            self.ledger.append(command.line())

    async def start_session(
        self, location_id: str, evse_uid: str | None = None, *, token: Json, **body: Any
    ) -> Command:
        """START_SESSION with a fresh authorization_reference unless one is given."""
        body.setdefault("authorization_reference", str(uuid.uuid4()))
        if evse_uid is not None:
            body["evse_uid"] = evse_uid
        return await self.command("START_SESSION", token=token, location_id=location_id, **body)

    def _cut_off(self) -> None:
        """Stop the sessions that have nearly all that was asked for."""
        for reference, wanted in list(self.requested_wh.items()):
            session = self.session(reference)
            if session is None or session["status"] != "ACTIVE":
                continue
            if self.preset.due(wanted, Decimal(session["kwh"])):
                del self.requested_wh[reference]
                errand = asyncio.ensure_future(self.stop_session(session["id"]))
                self._errands.add(errand)
                errand.add_done_callback(self._errands.discard)

    def driver_token(self, uid: str) -> Json:
        """The token of a driver of the app: one of its own, or the one that all share."""
        if not self.preset.shared_token:
            return self.tokens.add(uid, type="APP_USER")
        shared = self.tokens.held.get((SHARED_UID.upper(), "APP_USER"))
        return shared or self.tokens.add(SHARED_UID, type="APP_USER", whitelist="ALWAYS")

    async def stop_session(self, session_id: str) -> Command:
        """STOP_SESSION."""
        return await self.command("STOP_SESSION", session_id=session_id)

    async def unlock_connector(self, location_id: str, evse_uid: str, connector_id: str) -> Command:
        """UNLOCK_CONNECTOR."""
        return await self.command(
            "UNLOCK_CONNECTOR",
            location_id=location_id,
            evse_uid=evse_uid,
            connector_id=connector_id,
        )

    async def reserve_now(
        self, reservation_id: str, expiry: Any, location_id: str, *, token: Json, **body: Any
    ) -> Command:
        """RESERVE_NOW until *expiry* (an aware datetime)."""
        return await self.command(
            "RESERVE_NOW",
            reservation_id=reservation_id,
            expiry_date=stamp(expiry),
            location_id=location_id,
            token=token,
            **body,
        )

    async def cancel_reservation(self, reservation_id: str) -> Command:
        """CANCEL_RESERVATION."""
        return await self.command("CANCEL_RESERVATION", reservation_id=reservation_id)

    # -- tokens and pulling ------------------------------------------------------------------

    async def push_token(self, token: Json) -> Answer:
        """PUT one of our tokens to the CPO."""
        base = self.connection.endpoints["tokens", "RECEIVER"]
        url = self._token_url(base, token)
        return await self.client.request("PUT", url, self.speech.token(token))

    async def patch_token(self, token: Json, **changes: Any) -> Answer:
        """Change one of our tokens here and PATCH it at the CPO."""
        base = self.connection.endpoints["tokens", "RECEIVER"]
        body = self.tokens.change(token["uid"], type=token["type"], **changes)
        url = self._token_url(base, token)
        return await self.client.request("PATCH", url, self.speech.token(body))

    def _token_url(self, base: str, token: Json) -> str:
        ids = (token["country_code"], token["party_id"], token["uid"])
        return object_url(base, *ids, **self.speech.token_query(token["type"]))

    async def pull(self, module: str, **filters: Any) -> list[Json]:
        """All of the CPO's locations, sessions, cdrs or tariffs, page by page, as they came."""
        return await self.client.pull(module, **filters)

    async def meet(self) -> int:
        """Ask the hub who is there; returns how many parties it named."""
        url = self.connection.endpoints["hubclientinfo", "SENDER"]
        found = 0
        while url:
            answer = await self.client.request("GET", url, functional=False)
            if not answer.ok:
                raise ValueError(f"GET hubclientinfo: HTTP {answer.http}, OCPI {answer.code}")
            for each in answer.data:
                self.connection.place(each)
                found += 1
            url = next_link(answer.headers) or ""
        return found

    async def prefer(self, session: Json, **preferences: Any) -> Answer:
        """PUT charging preferences of a session of ours; the answer's data is the response."""
        base = self.connection.endpoints["sessions", "SENDER"]
        url = object_url(base, session["id"], "charging_preferences")
        owner = Party(session["country_code"], session["party_id"])
        return await self.client.request("PUT", url, preferences, receiver=owner)

    async def refresh(self, module: str = "locations") -> int:
        """Pull locations or tariffs into our copies; returns how many came."""
        held = {"locations": self.store.locations, "tariffs": self.store.tariffs}[module]
        found = await self.pull(module)
        for each in found:
            item = self.speech.lift(
                Sent("PUT", module, (*self.party_of_cpo(), each["id"]), each), self
            )
            key = key_of(item["country_code"], item["party_id"], item["id"])
            held[key] = item
            self.originals.take(self.speech.version, "PUT", module, key, each)
            self.store.note(module, key, "GET", each, item)
        self.store.pulse.beat()
        return len(found)

    async def get(self, module: str, *segments: str, to: Party | None = None) -> Answer:
        """GET one object on the CPO's sender interface; *to*: behind a hub, which CPO."""
        url = object_url(self.connection.endpoints[module, "SENDER"], *segments)
        known = self.connection.parties if self.connection.hub else []
        return await self.client.request("GET", url, receiver=to or next(iter(known), None))
