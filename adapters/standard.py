"""Puts an adapter together from the pipeline's steps and a profile's switches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from functools import cache

import msgspec

from adapters.pipeline import handshake, names, octets, shapes, words
from adapters.pipeline.quantities import Quantities, Scales, number
from adapters.pipeline.times import time_reader
from ocpp_gateway.adaptation import (
    NO_NOTES,
    Adapter,
    Dialect,
    Handshake,
    Identity,
    Note,
    Notes,
    Payload,
    Readings,
)
from ocpp_gateway.v16 import messages as v16
from ocpp_gateway.v201 import messages as v201

REQUESTS: Mapping[Dialect, Mapping[str, type[msgspec.Struct]]] = {
    Dialect.V16: v16.REQUESTS,
    Dialect.V201: v201.REQUESTS,
}


@dataclass(frozen=True, slots=True)
class Switches:
    """Everything by which one family of stations may differ. The list is closed.

    Attributes:
        pin: the only version to speak; None = whatever is offered.
        naive: the zone of times that name none.
        scales: what the family's numbers really are.
        aliases: field -> folded word of the family -> the standard's words.
        omit: ``"Action.field"`` that calls of ours must not carry.
    """

    pin: Dialect | None = None
    naive: tzinfo = UTC
    scales: Scales = field(default_factory=Scales)
    aliases: words.Aliases = field(default_factory=dict)
    omit: frozenset[str] = frozenset()


def adapter(
    name: str,
    switches: Switches = Switches(),
    matches: Callable[[Identity], bool] = lambda identity: False,
    seen: str = "",
) -> Adapter:
    """Return the adapter with these switches."""
    quantities = Quantities(switches.scales)
    return Adapter(
        name=name,
        matches=matches,
        handshake=Handshake(
            handshake.read_path,
            handshake.protocol_chooser(switches.pin),
            handshake.repair_headers,
        ),
        repair_bytes=octets.repair_bytes,
        repair_action=repair_action,
        repair_payload=_payload_repairer(_with_common(switches.aliases)),
        readings=Readings(
            time=time_reader(switches.naive),
            energy=quantities.energy,
            register=quantities.register,
            number=number,
            meaning=quantities.meaning,
            token=names.token,
            text=names.clean,
        ),
        outbound=_outbound(switches.omit),
        seen=seen,
    )


def repair_action(action: str, dialect: Dialect) -> tuple[str, Notes]:
    """Q-033: an action in another case. One that is none of the version's is left alone."""
    if action in REQUESTS[dialect]:
        return action, NO_NOTES
    meant = _folded_actions(dialect).get(words.folded(action[:80]))
    return (meant, (Note("Q-033", f"action {action[:40]!r}"),)) if meant else (action, NO_NOTES)


@cache
def _folded_actions(dialect: Dialect) -> Mapping[str, str]:
    return {words.folded(action): action for action in REQUESTS[dialect]}


def _payload_repairer(
    aliases: words.Aliases,
) -> Callable[[str, Payload, Dialect], tuple[Payload, Notes]]:
    def repair(action: str, payload: Payload, dialect: Dialect) -> tuple[Payload, Notes]:
        wanted = REQUESTS[dialect].get(action)
        return shapes.conform(payload, wanted, aliases) if wanted else (payload, NO_NOTES)

    return repair


def _with_common(own: words.Aliases) -> words.Aliases:
    """Return the family's words over the common ones."""
    fields = own.keys() | words.COMMON.keys()
    return {name: {**words.COMMON.get(name, {}), **own.get(name, {})} for name in fields}


def _outbound(omit: frozenset[str]) -> Callable[[str, Payload], tuple[Payload, Notes]]:
    """Q-165, Q-170: calls of ours without the fields that a family cannot bear."""

    def rewrite(action: str, payload: Payload) -> tuple[Payload, Notes]:
        gone = [name for name in payload if f"{action}.{name}" in omit] if omit else []
        if not gone:
            return payload, NO_NOTES
        kept = {name: value for name, value in payload.items() if name not in gone}
        return kept, tuple(Note("Q-170", "left out for this family", name) for name in gone)

    return rewrite


STANDARD = adapter("standard")
"""Strict, then generically tolerant: for every station that no profile claims."""
