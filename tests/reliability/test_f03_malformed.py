"""F03: malformed frames of every kind never end the server and never cost another charger anything.

Each frame of the corpus goes to a real server on a real socket. Its verdict is compared with the
expected one, and after it the same socket must still serve. A second station looks on.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import websockets
from msgspec import inspect

import adapters
from cms.app.ports import Frame
from cms.app.writes import Ack
from cms.bootstrap import running
from cms.config import Config
from cms.domain.ids import StationId, TransactionId
from ocpp_gateway.adaptation import Dialect
from ocpp_gateway.frames import ERROR_CODES
from ocpp_gateway.server import Gateway, Version
from ocpp_gateway.v16.inbound import Inbound as Inbound16
from ocpp_gateway.v16.outbound import Outbound as Outbound16
from ocpp_gateway.v201.inbound import Inbound as Inbound201
from ocpp_gateway.v201.outbound import Outbound as Outbound201
from tests.flow.gateway_fakes import Charger, FakeCore, charger, now
from tests.reliability.conftest import Judge

pytestmark = pytest.mark.reliability

CORPUS = Path(__file__).parent / "corpus"
BOOTS: dict[Dialect, dict[str, Any]] = {
    Dialect.V16: {"chargePointVendor": "ACME", "chargePointModel": "One"},
    Dialect.V201: {
        "reason": "PowerUp",
        "chargingStation": {"vendorName": "ACME", "model": "One"},
    },
}
STORED = ("transaction", "meter_values", "security_event")


class Recorder(FakeCore):
    """A core that, like ours, has a number even for a start that it cannot use."""

    async def keep(self, frame: Frame, why: str) -> Ack:
        await super().keep(frame, why)
        return Ack(TransactionId("77"))

    def taken(self) -> list[tuple[Any, ...]]:
        """Return and forget what has happened since the last look."""
        return [self.happened.get_nowait() for _ in range(self.happened.qsize())]


def rows(dialect: Dialect) -> list[dict[str, Any]]:
    name = f"frames-{dialect.removeprefix('ocpp')}.jsonl"
    return [json.loads(line) for line in (CORPUS / name).read_text("utf-8").splitlines()]


def data_of(row: dict[str, Any]) -> str | bytes:
    if "hex" in row:
        return bytes.fromhex(row["hex"])
    parts = row.get("parts", [row.get("frame")])
    return "".join(part if isinstance(part, str) else part[0] * part[1] for part in parts)


@asynccontextmanager
async def server(core: FakeCore) -> AsyncIterator[tuple[Gateway, str]]:
    """Both versions behind one port; fails if any task of the loop dies of an exception."""
    died: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: died.append(context))
    gateway = Gateway(
        events=core,
        gatekeeper=core,
        versions=[
            Version(Inbound16(core, now), Outbound16()),
            Version(Inbound201(core, now), Outbound201()),
        ],
        adapters=adapters.catalogue(),
        clock=now,
    )
    port = await gateway.start("127.0.0.1", 0)
    try:
        yield gateway, f"ws://127.0.0.1:{port}/ocpp/"
    finally:
        await gateway.stop()
    assert died == []


class Sender:
    """A booted station that reports what each frame led to, and connects again where closed."""

    def __init__(self, core: Recorder, address: str, dialect: Dialect) -> None:
        self._core, self._address, self._dialect = core, address, dialect
        self._client: Charger | None = None
        self._context: Any = None
        self._sent = 0
        self.closed = 0

    async def verdict(self, data: str | bytes) -> tuple[str, Any]:
        """Return the verdict of one frame and the message id of its answer."""
        client = self._client or await self._connect()
        self._core.taken()
        self._sent += 1
        probe = f"probe-{self._sent}"
        answers: list[Any] = []
        try:
            await client.say(data)
            await client.say(json.dumps([2, probe, "Heartbeat", {}]))
            while (answer := await client.hear())[1] != probe:
                answers.append(answer)
        except websockets.ConnectionClosed:
            self.closed += 1
            await self.leave()
            return f"closed {client.socket.close_code}", None
        return self._named(answers)

    def _named(self, answers: list[Any]) -> tuple[str, Any]:
        if not answers:
            return "silence", None
        assert len(answers) == 1, "one call has one answer"
        kind, id, *rest = answers[0]
        if kind == 4:
            assert len(rest) == 3 and isinstance(rest[1], str) and len(rest[1]) <= 255
            return rest[0], id
        happened = {fact[0] for fact in self._core.taken()}
        if "keep" in happened:
            return "kept", id
        return ("stored" if happened & set(STORED) else "answered"), id

    async def _connect(self) -> Charger:
        self._context = charger(
            self._address, subprotocols=[self._dialect.value], max_size=4 * 1024 * 1024
        )
        self._client = client = await self._context.__aenter__()
        await client.call("BootNotification", BOOTS[self._dialect])
        return client

    async def leave(self) -> None:
        if self._client is not None:
            self._client = None
            await self._context.__aexit__(None, None, None)


@asynccontextmanager
async def sending(dialect: Dialect) -> AsyncIterator[Sender]:
    """A station that sends what it likes, and another that must not notice."""
    core = Recorder()
    async with (
        server(core) as (_, address),
        charger(address, "CS2", "secret-2", ["ocpp1.6"]) as bystander,
    ):
        await bystander.boot()
        sender = Sender(core, address, dialect)
        yield sender
        await sender.leave()
        assert "currentTime" in await bystander.call("Heartbeat", {})


def is_as_expected(row: dict[str, Any], verdict: str, id: Any) -> bool:
    same_id = row.get("id") in (id, "the same") or verdict in ("silence", "closed 1009")
    return verdict == row["verdict"] and same_id


@pytest.mark.parametrize("dialect", list(Dialect))
async def test_every_malformed_frame_gets_its_verdict_and_the_connection_lives(
    dialect: Dialect,
) -> None:
    wrong, verdicts = [], Counter[str]()
    async with sending(dialect) as sender:
        for row in rows(dialect):
            verdict, id = await sender.verdict(data_of(row))
            verdicts[verdict] += 1
            if not is_as_expected(row, verdict, id):
                wrong.append((row["kind"], row["name"], row["verdict"], verdict, id))
    by_rule = sum(row["verdict"] == "closed 1009" for row in rows(dialect))
    print(
        f"F03 {dialect}: {verdicts.total()} frames, wrong verdicts {len(wrong)}, dead tasks 0, "
        f"sockets lost {sender.closed - by_rule} (by rule {by_rule}); {dict(verdicts)}"
    )
    assert wrong == []
    assert sender.closed == by_rule


def test_the_corpus_is_as_large_and_as_wide_as_promised() -> None:
    for dialect in Dialect:
        mine = rows(dialect)
        assert len(mine) >= 150
        assert len({(row["kind"], row["name"]) for row in mine}) == len(mine), "no frame twice"


@pytest.mark.parametrize("dialect", list(Dialect))
async def test_what_is_stored_of_a_damaged_frame_is_the_frame_as_it_came(dialect: Dialect) -> None:
    core = Recorder()
    async with server(core) as (_, address):
        sender = Sender(core, address, dialect)
        for row in rows(dialect):
            if row["verdict"] != "kept":
                continue
            data = data_of(row)
            client = sender._client or await sender._connect()
            await client.say(data)
            frame = (await core.until("keep"))[1]
            assert frame.raw == (data.encode() if isinstance(data, str) else data), row["name"]
            await client.hear()
        await sender.leave()


# ---------------------------------------------------------------- the whole product behind it


def config_in(folder: Path) -> Config:
    connector = {
        "number": 1,
        "standard": "IEC_62196_T2_COMBO",
        "format": "CABLE",
        "power_type": "DC",
        "max_voltage": 500,
        "max_amperage": 120,
    }
    here = {"latitude": "12.97", "longitude": "77.64", "time_zone": "Asia/Kolkata"}
    return Config.model_validate(
        {
            "ocpp": {"host": "127.0.0.1", "port": 0},
            "http": {"host": "127.0.0.1", "port": 0, "operator_file": folder / "operator.json"},
            "database": {"url": f"sqlite:///{folder}/cms.db"},
            "locations": [
                {"id": "L", "name": "L", "address": "1", "city": "B", "country": "IND", **here}
            ],
            "chargers": [
                {
                    "id": name,
                    "location": "L",
                    "auth": "none",
                    "approval": "approved",
                    "evses": [{"number": 1, "connectors": [connector]}],
                }
                for name in ("CS1", "CS2")
            ],
        }
    )


REPEATED = "StartTransaction: the payload missing"
"""Says what an empty payload says, so it is the same message again and hears the first answer."""


async def exchanged(client: Charger, data: str | bytes) -> str:
    """Send one frame and return how it was answered: silence, answered, or an error code."""
    await client.say(data)
    await client.say('[2,"probe","Heartbeat",{}]')
    found = "silence"
    while (answer := await client.hear())[1] != "probe":
        assert found == "silence", "one call has one answer"
        found = answer[2] if answer[0] == 4 else "answered"
    return found


@pytest.mark.parametrize("dialect", list(Dialect))
async def test_the_whole_product_gives_the_same_verdicts_and_loses_no_transaction_data(
    dialect: Dialect, tmp_path: Path, scenario: Judge
) -> None:
    """Gateway, use cases and a durable store; every start, stop and event is in the journal."""
    wrong, told, mine = [], [], rows(dialect)
    async with running(config_in(tmp_path)) as server:
        address = f"ws://127.0.0.1:{server.ocpp_port}/ocpp/"
        async with (
            charger(address, "CS1", None, [dialect.value]) as client,
            charger(address, "CS2", None, ["ocpp1.6"]) as bystander,
        ):
            await bystander.boot()
            await client.call("BootNotification", BOOTS[dialect])
            for row in (row for row in mine if row["verdict"] != "closed 1009"):
                data = data_of(row)
                acknowledged = row["verdict"] in ("stored", "kept", "answered")
                wanted = "answered" if acknowledged else row["verdict"]
                if (found := await exchanged(client, data)) != wanted:
                    wrong.append((row["kind"], row["name"], wanted, found))
                unique = "MeterValues" not in row["name"] and row["name"] != REPEATED
                if row["kind"] == "transaction" and unique:
                    told.append(data.encode() if isinstance(data, str) else data)
            assert "currentTime" in await bystander.call("Heartbeat", {})
        deaths = server.parts.supervisor.deaths
        ages = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
        kept = await server.parts.store.journal_of(StationId("CS1"), *ages, 10_000)
    journal = {entry.frame.raw for entry in kept}
    lost = [data[:80] for data in told if data not in journal]
    with scenario(f"F03-{dialect}", mutant="callerror-on-odd-data") as this:
        this.n = len(mine)
        this.wrong(*wrong, *lost)
        this.figure("wrong_verdicts", len(wrong))
        this.figure("transaction_frames_lost", len(lost))
        this.figure("task_deaths", deaths)
        this.facts["transaction_frames"] = len(told)


# ---------------------------------------------------------------- every field, every wrong type

WRONG = (None, True, -1, 10**25, 1.5, "", "zorg", "\ud800", "x" * 3000, [], [[]], {}, {"a": [1]})


def example(kind: inspect.Type) -> Any:
    match kind:
        case inspect.StructType():
            return {field.encode_name: example(field.type) for field in kind.fields}
        case inspect.ListType():
            return [example(kind.item_type)]
        case inspect.LiteralType():
            return kind.values[0]
        case inspect.StrType():
            return "2026-01-05T10:00:00Z"[: kind.max_length]
        case inspect.IntType() | inspect.FloatType():
            return 1
        case inspect.BoolType():
            return True
        case _:
            return {}


def spoilt(value: Any) -> Iterator[Any]:
    """Yield *value* with each of its fields, at any depth, once missing and once of each wrong."""
    if not isinstance(value, dict | list):
        return
    for key, child in list(value.items() if isinstance(value, dict) else enumerate(value)):
        for wrong in WRONG:
            yield replaced(value, key, wrong)
        if isinstance(value, dict):
            yield {name: each for name, each in value.items() if name != key}
        for inner in spoilt(child):
            yield replaced(value, key, inner)


def replaced(value: Any, key: Any, by: Any) -> Any:
    copy = value.copy()
    copy[key] = by
    return copy


@pytest.mark.parametrize("dialect", list(Dialect))
async def test_every_field_of_every_message_in_every_wrong_type_gets_one_lawful_answer(
    dialect: Dialect,
) -> None:
    """Transaction data is acknowledged whatever it says; the rest may be refused, lawfully."""
    lawful = set(ERROR_CODES[dialect].values())
    sent, verdicts = 0, Counter[str]()
    async with sending(dialect) as sender:
        core: Any = FakeCore()
        inbound: Any = (Inbound16 if dialect is Dialect.V16 else Inbound201)(core, now)
        for action, route in inbound.routes.items():
            shallow = top_fields(example(inspect.type_info(route.type)), route.transaction)
            for payload in spoilt(shallow):
                sent += 1
                verdict, id = await sender.verdict(json.dumps([2, f"m{sent}", action, payload]))
                verdicts[verdict] += 1
                assert id == f"m{sent}", (action, payload)
                if route.transaction:
                    assert verdict in ("stored", "kept"), (action, payload, verdict)
                else:
                    assert verdict in lawful | {"answered", "stored"}, (action, payload, verdict)
    assert sender.closed == 0
    print(f"F03 {dialect} sweep: {sent} frames, sockets lost 0, unlawful 0; {dict(verdicts)}")


def top_fields(payload: Any, transaction: bool) -> Any:
    """Return *payload* without the inner fields of messages that carry no transaction data.

    Those have hundreds of fields that nobody reads; their outer ones are enough.
    """
    if transaction:
        return without_extensions(payload)
    return {name: flat(value) for name, value in payload.items()}


def flat(value: Any) -> Any:
    return [] if isinstance(value, list) else {} if isinstance(value, dict) else value


def without_extensions(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: without_extensions(v) for k, v in value.items() if k != "customData"}
    return [without_extensions(each) for each in value] if isinstance(value, list) else value
