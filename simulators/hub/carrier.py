"""What the hub sends on: one request to one party, with new headers, and its answer brought back."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp
from yarl import URL

from simulators.emsp.client import routing
from simulators.emsp.connection import Party
from simulators.emsp.wire import BadJson, Json, Reply, dumps, loads
from simulators.hub.members import Client
from simulators.hub.passages import Passage

if TYPE_CHECKING:
    from simulators.hub.hub import Hub

TIMED_OUT, NOT_CONNECTED = 4002, 4003


@dataclass(frozen=True, slots=True)
class Carried:
    """The answer to what was sent on; the hub's own where there was none.

    Attributes:
        raw: the body as it came.
        envelope: read from it; ``None`` if it is no JSON object.
        by: who answered; ``None``: the hub in the party's place.
    """

    http: int
    raw: bytes
    headers: Mapping[str, str]
    envelope: Json | None
    by: Party | None
    request_id: str | None = None

    @property
    def code(self) -> int | None:
        """OCPI status_code."""
        code = (self.envelope or {}).get("status_code")
        return code if isinstance(code, int) else None


class Carrier:
    """Sends on what arrived.

    Args:
        timeout: seconds for an answer.
    """

    def __init__(self, hub: Hub, timeout: float) -> None:
        self._hub = hub
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._http: aiohttp.ClientSession | None = None
        self._queues: dict[Client, asyncio.Queue[Passage]] = {}
        self._workers: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Drop what waits and close all connections."""
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
        if self._http:
            await self._http.close()

    async def send(
        self, method: str, url: str, body: Any, headers: dict[str, str]
    ) -> tuple[int, bytes, Mapping[str, str]]:
        """One HTTP request.

        Raises:
            aiohttp.ClientError, TimeoutError: no answer.
        """
        if self._hub.troubles.dead:
            raise aiohttp.ClientConnectionError("the hub is dead")
        if self._http is None:
            connector = aiohttp.TCPConnector(limit=0)
            self._http = aiohttp.ClientSession(timeout=self._timeout, connector=connector)
        payload = None if body is None else dumps(body)
        if payload is not None:
            headers = {**headers, "Content-Type": "application/json"}
        async with self._http.request(
            method, URL(url, encoded=True), data=payload, headers=headers, allow_redirects=False
        ) as answer:
            return answer.status, await answer.read(), answer.headers

    async def ask(
        self,
        client: Client,
        method: str,
        url: str,
        body: Any,
        *,
        sender: Party | None,
        correlation_id: str | None = None,
    ) -> Carried:
        """Send one request on to *client*: a new X-Request-ID, the same X-Correlation-ID."""
        if not client.reachable or client.member is None:
            return _instead(NOT_CONNECTED, f"{client.party} is {client.status.value}")
        request_id = str(uuid.uuid4())
        headers = {
            "Authorization": self._hub.authorization(client.member),
            "X-Request-ID": request_id,
            "X-Correlation-ID": correlation_id or str(uuid.uuid4()),
        }
        if self._hub.profile.routes:
            headers |= routing(sender=sender, receiver=client.party)
        try:
            http, raw, found = await self.send(method, url, body, headers)
        except TimeoutError:
            return _instead(TIMED_OUT, f"{client.party} did not answer in time", request_id)
        except aiohttp.ClientError as error:
            return _instead(NOT_CONNECTED, f"{client.party}: {type(error).__name__}", request_id)
        self._check(client, f"{method} {url}", headers, found)
        return Carried(http, raw, found, _envelope(raw), client.party, request_id)

    def _check(
        self, client: Client, where: str, sent: dict[str, str], found: Mapping[str, str]
    ) -> None:
        """Note what is wrong with the headers of an answer."""
        for name in ("X-Request-ID", "X-Correlation-ID"):
            if found.get(name) != sent[name]:
                self._hub.complain(f"answer to {where}", name, "was not echoed")
        if not self._hub.profile.routes:
            return
        swapped = {
            "OCPI-from-country-code": sent.get("OCPI-to-country-code"),
            "OCPI-from-party-id": sent.get("OCPI-to-party-id"),
            "OCPI-to-country-code": sent.get("OCPI-from-country-code"),
            "OCPI-to-party-id": sent.get("OCPI-from-party-id"),
        }
        for name, value in swapped.items():
            if value is not None and found.get(name, "").upper() != value.upper():
                reason = f"{found.get(name)} instead of {value}"
                self._hub.complain(f"answer to {where}", name, reason)

    # -- broadcasts --------------------------------------------------------------------------

    def queue(self, client: Client, passage: Passage) -> None:
        """Send a broadcast to one party, after all earlier ones to it."""
        if client not in self._queues:
            self._queues[client] = asyncio.Queue()
            worker = asyncio.ensure_future(self._work(client, self._queues[client]))
            self._workers.add(worker)
        self._queues[client].put_nowait(passage)

    async def _work(self, client: Client, queue: asyncio.Queue[Passage]) -> None:
        while True:
            passage = await queue.get()
            try:
                await self._deliver(client, passage)
            finally:
                queue.task_done()

    async def _deliver(self, client: Client, passage: Passage) -> None:
        answer = await self.ask(
            client,
            passage.method,
            passage.path,
            passage.body,
            sender=self._hub.us,
            correlation_id=passage.correlation_id,
        )
        passage.http, passage.code = answer.http, answer.code
        passage.request_ids = (passage.request_ids[0], answer.request_id)
        self._hub.record(passage)

    @property
    def busy(self) -> bool:
        """Whether broadcasts wait or are on their way."""
        return any(queue._unfinished_tasks for queue in self._queues.values())  # type: ignore[attr-defined]

    async def idle(self) -> None:
        """Wait until every broadcast is delivered or failed."""
        await asyncio.gather(*(queue.join() for queue in self._queues.values()))


def _envelope(raw: bytes) -> Json | None:
    try:
        found = loads(raw)
    except BadJson:
        return None
    return found if isinstance(found, dict) else None


def _instead(code: int, message: str, request_id: str | None = None) -> Carried:
    raw = Reply(code, message=message).body()
    return Carried(200, raw, {}, loads(raw), None, request_id)
