"""Q-001 to Q-008: what the opening handshake means, in spite of how it is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from urllib.parse import unquote_to_bytes

from ocpp_gateway.adaptation import (
    NO_NOTES,
    ChosenProtocol,
    Dialect,
    Note,
    Notes,
    RequestPath,
    is_identity,
)

_ALIASES = {
    "ocpp1.6": Dialect.V16,
    "ocpp16": Dialect.V16,
    "ocpp1.6j": Dialect.V16,
    "ocpp1.6-j": Dialect.V16,
    "ocpp16j": Dialect.V16,
    "ocpp-j1.6": Dialect.V16,
    "ocpp2.0.1": Dialect.V201,
    "ocpp201": Dialect.V201,
    "ocpp2.0.1j": Dialect.V201,
}
_REPEATED = Note("Q-006", "identity repeated in the path")
_SPELLED = Note("Q-006", "path spelled unusually")
_ENCODED = Note("Q-008", "identity percent-encoded or padded")
_NO_PROTOCOL = Note("Q-001", "no subprotocol offered, 1.6 assumed")
_NO_CONNECTION = Note("Q-004", "header Connection: Upgrade was missing")
_NO_VERSION = Note("Q-004", "header Sec-WebSocket-Version was missing")
_EMPTY_PROTOCOL = Note("Q-001", "empty Sec-WebSocket-Protocol")


def read_path(raw: str) -> RequestPath:
    """Find the identity: the last segment, whatever slashes, query or repetition surround it.

    Never guesses: what is no legal identity after decoding once and trimming is None (Q-007).
    """
    path = _without_authority(raw).partition("?")[0].partition("#")[0]
    encoded = [segment for segment in path.split("/") if segment]
    segments = [_decoded(segment) for segment in encoded]
    notes: list[Note] = []
    if path != "/" + "/".join(encoded):
        notes.append(_SPELLED)
    if segments != encoded:
        notes.append(_ENCODED)
    if len(segments) > 1 and segments[-1] == segments[-2]:
        notes.append(_REPEATED)
        segments.pop()
    if not segments or not is_identity(segments[-1]):
        return RequestPath(None, tuple(segments[:-1]), tuple(notes))
    return RequestPath(segments[-1], tuple(segments[:-1]), tuple(notes))


def _without_authority(raw: str) -> str:
    """Strip ``ws://host`` from an absolute-form request target."""
    if "://" not in raw.partition("?")[0]:
        return raw
    return "/" + raw.partition("://")[2].partition("/")[2]


def _decoded(segment: str) -> str:
    try:
        return unquote_to_bytes(segment).decode("utf-8").strip()
    except UnicodeDecodeError:
        return segment


def protocol_chooser(
    pin: Dialect | None = None,
) -> Callable[[Sequence[str]], ChosenProtocol | None]:
    """Return the choice of version for stations that are pinned to *pin*, or to none."""

    def choose(offered: Sequence[str]) -> ChosenProtocol | None:
        tokens = [token for token in offered if token.strip()]
        if not tokens:
            return _unoffered(pin)
        choices = (_meant(token) for token in tokens)
        return next((c for c in choices if c and pin in (None, c.dialect)), None)

    return choose


choose_protocol = protocol_chooser()


def _unoffered(pin: Dialect | None) -> ChosenProtocol | None:
    if pin is Dialect.V201:
        return None
    return ChosenProtocol(Dialect.V16, None, (_NO_PROTOCOL,))


def _meant(token: str) -> ChosenProtocol | None:
    dialect = _ALIASES.get(token.strip().strip("\"'").lower())
    if dialect is None:
        return None
    notes = () if token == dialect else (Note("Q-002", f"subprotocol {token[:40]!r}"),)
    return ChosenProtocol(dialect, token, notes)


def repair_headers(headers: Mapping[str, str]) -> tuple[Mapping[str, str | None], Notes]:
    """Add what an upgrade needs and some clients forget, when everything else says upgrade."""
    have = {name.lower(): value for name, value in headers.items()}
    if have.get("upgrade", "").lower() != "websocket":
        return {}, NO_NOTES
    changes: dict[str, str | None] = {}
    notes: list[Note] = []
    if "connection" not in have:
        changes["Connection"] = "Upgrade"
        notes.append(_NO_CONNECTION)
    if "sec-websocket-version" not in have:
        changes["Sec-WebSocket-Version"] = "13"
        notes.append(_NO_VERSION)
    if have.get("sec-websocket-protocol") == "":
        changes["Sec-WebSocket-Protocol"] = None
        notes.append(_EMPTY_PROTOCOL)
    return changes, tuple(notes)
