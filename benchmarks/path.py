"""CPU per message through the whole path, against the bare server and the ``ocpp`` package."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from benchmarks import config, servers
from benchmarks.report import Figure, Report
from benchmarks.scale import Scale
from benchmarks.summary import Bound, median, ratio

CONNECTIONS = 200
CLIENT_LIMIT = 0.95
"""Above this share of its core the load generator, not the server, sets the pace."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of message.

    Attributes:
        most: times the CPU of the bare server. least: times less than the package; None = not
            compared.
        charging: a transaction runs on every connection. Those kinds come last, since a status
            during a transaction is part of its record and costs more.
    """

    name: str
    title: str
    version: str
    most: float
    least: float | None = None
    charging: bool = False


KINDS = (
    Kind("heartbeat", "Heartbeat", "1.6", 1.8, 2.5),
    Kind("status_same", "StatusNotification, unchanged", "1.6", 1.8),
    Kind("status_changed", "StatusNotification, changed", "1.6", 2.5),
    Kind("meter_values", "MeterValues, 10 samples", "1.6", 3.0, 9.0, charging=True),
    Kind("transaction_event", "TransactionEvent, 10 samples", "2.0.1", 3.0, 15.0, charging=True),
)


@dataclass(slots=True)
class Rounds:
    """What one server needed for one kind of message, round by round."""

    cpu_us: list[float] = field(default_factory=list)
    rate: list[float] = field(default_factory=list)
    p99_ms: list[float] = field(default_factory=list)
    client_core: list[float] = field(default_factory=list)
    errors: int = 0
    lost: int = 0

    def add(self, result: dict[str, Any]) -> None:
        if not result["count"]:
            raise servers.Failed("no message was answered")
        self.cpu_us.append(result["cpu_ns"] / 1e3 / result["count"])
        self.rate.append(result["count"] / result["seconds"])
        self.p99_ms.append(result["p99_ms"])
        self.client_core.append(result["client_core"])
        self.errors += result["errors"]
        self.lost += result["lost"]

    def doubt(self) -> str:
        if self.errors or self.lost:
            return f"{self.errors} CALLERRORs, {self.lost} connections lost"
        return ""

    def plain(self) -> dict[str, Any]:
        return {
            "cpu_us": self.cpu_us,
            "per_second": self.rate,
            "p99_ms": self.p99_ms,
            "client_core": self.client_core,
        }


async def measure(report: Report, scale: Scale) -> None:
    """Measure every kind on every server that it is compared with."""
    report.chapter(
        f"CPU per message, whole path, {CONNECTIONS} connections with one call in flight each"
    )
    folder = scale.folder / "path"
    body = config.network({"A": CONNECTIONS, "B": CONNECTIONS}, locations=20)
    with (
        servers.cms(folder / "cms", body) as cms,
        servers.reference("bare", folder) as bare,
        servers.reference("library", folder) as library,
    ):
        targets = {
            "ours": (cms.pid, cms.ocpp_port),
            "bare": bare,
            "library": library,
        }
        async with servers.load() as load:
            await _connect(load, targets)
            for kind in KINDS:
                if kind.charging:
                    await load("open_transactions", group=f"ours {kind.version}")
                _tell(report, kind, await _rounds(load, targets, kind, scale))


async def _connect(load: servers.Load, targets: dict[str, tuple[int, int]]) -> None:
    for name, (_pid, port) in targets.items():
        for version, prefix in (("1.6", "A"), ("2.0.1", "B")):
            await load(
                "connect",
                group=f"{name} {version}",
                port=port,
                prefix=prefix,
                first=0,
                count=CONNECTIONS,
                version=version,
                boot=name != "bare",
            )


async def _rounds(
    load: servers.Load, targets: dict[str, tuple[int, int]], kind: Kind, scale: Scale
) -> dict[str, Rounds]:
    found = {name: Rounds() for name in targets if name != "library" or kind.least}
    for number in range(scale.rounds):
        order = list(found) if number % 2 else list(reversed(found))
        for name in order:
            found[name].add(
                await load(
                    "run",
                    group=f"{name} {kind.version}",
                    kind=kind.name,
                    seconds=scale.seconds,
                    warm=scale.warm,
                    pid=targets[name][0],
                )
            )
    return found


def _tell(report: Report, kind: Kind, found: dict[str, Rounds]) -> None:
    ours, bare = found["ours"], found["bare"]
    busy = max(ours.client_core)
    report.add(
        Figure(
            f"{kind.title}: CPU, times the bare server's",
            ratio(ours.cpu_us, bare.cpu_us),
            "x",
            Bound.AT_MOST,
            kind.most,
            note=f"{median(ours.cpu_us):.1f} us against {median(bare.cpu_us):.1f} us, "
            f"{median(ours.rate):,.0f}/s, p99 {median(ours.p99_ms):.1f} ms"
            + (f", load generator {busy:.0%} busy" if busy > CLIENT_LIMIT else ""),
            doubt=ours.doubt() or bare.doubt(),
            detail={name: rounds.plain() for name, rounds in found.items()},
        )
    )
    if kind.least is None:
        return
    package = found["library"]
    report.add(
        Figure(
            f"{kind.title}: times less CPU than the ocpp package",
            ratio(package.cpu_us, ours.cpu_us),
            "x",
            Bound.AT_LEAST,
            kind.least,
            note=f"{median(package.cpu_us):.0f} us",
            doubt=ours.doubt() or package.doubt(),
        )
    )
