"""Q-020 to Q-030: frames that are no JSON, or JSON but no OCPP-J.

Runs only after strict decoding failed. Each step takes and returns text; none recurses into the
frame, so that depth and size cost time in proportion and nothing else. What still cannot be read
afterwards is returned as it came: guessing further would be inventing.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec

from ocpp_gateway.adaptation import NO_NOTES, Note, Notes

Step = Callable[[str], tuple[str, Note | None]]

_CALL, _RESULT, _ERROR = 2, 3, 4
_MAX_DIGITS = 40
_MAX_CLOSED = 3

_STRING = r'"[^"\\]*(?:\\.[^"\\]*)*"'
_CONTROL = re.compile("[\x00-\x1f\x7f]")
_LONE_SURROGATE = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    r"|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F][0-9a-fA-F]{2}"
)
_TOKENS = re.compile(
    rf"(?P<string>{_STRING})"
    r"|(?P<hole>\[\s*,|:\s*(?=[,}])|,\s*(?=[\]}]))"
    rf"|(?P<word>-?\b(?:NaN|Infinity|inf|nan)\b)"
    rf"|(?P<long>-?\d{{{_MAX_DIGITS},}}(?:\.\d+)?(?:[eE][+-]?\d+)?)",
    re.DOTALL,
)
_HOLES = {"[": "[", ":": ":null", ",": ""}


def repair_bytes(data: bytes) -> tuple[bytes, Notes]:
    """Return a frame that can be read, with notes; or *data* itself and no notes."""
    text, notes = _text_of(data)
    for step in (_without_padding, _without_controls, _whole_surrogates, _filled, _closed, _shaped):
        text, note = step(text)
        if note is not None:
            notes.append(note)
    if not notes or _parsed(text) is None:
        return data, NO_NOTES
    return text.encode("utf-8"), tuple(notes)


def _text_of(data: bytes) -> tuple[str, list[Note]]:
    """Q-021: a byte order mark, or another encoding than UTF-8 (mostly Windows' in free text)."""
    try:
        text = data.decode("utf-8")
        notes = []
    except UnicodeDecodeError:
        text = data.decode("cp1252", "replace")
        notes = [Note("Q-021", "not UTF-8; read as Windows-1252")]
    if text.startswith("\ufeff"):
        return text[1:], [*notes, Note("Q-021", "byte order mark")]
    return text, notes


def _without_padding(text: str) -> tuple[str, Note | None]:
    bare = text.strip("\x00 \t\r\n")
    return bare, Note("Q-020", "NUL around the frame") if "\x00" in text[len(bare) :] else None


def _without_controls(text: str) -> tuple[str, Note | None]:
    """Q-020: raw control characters; JSON allows none in strings and means none elsewhere."""
    clean, count = _CONTROL.subn("", text)
    return clean, Note("Q-020", f"{count} control characters removed") if count else None


def _whole_surrogates(text: str) -> tuple[str, Note | None]:
    clean, count = _LONE_SURROGATE.subn(r"\\ufffd", text)
    return clean, Note("Q-021", "half a surrogate pair") if count else None


def _filled(text: str) -> tuple[str, Note | None]:
    """Q-023: holes (``[,`` and ``:,`` and ``,]``), numbers that JSON has no word for, or too long.

    What is repaired becomes ``null`` and counts as absent.
    """
    kinds: set[str] = set()

    def mend(match: re.Match[str]) -> str:
        kind, found = match.lastgroup, match.group()
        if kind in (None, "string"):
            return found
        kinds.add(str(kind))
        return _HOLES[found[0]] if kind == "hole" else "null"

    mended = _TOKENS.sub(mend, text)
    if not kinds:
        return text, None
    code = "Q-023" if "hole" in kinds else "Q-088"
    return mended, Note(code, "holes or impossible numbers read as absent")


def _closed(text: str) -> tuple[str, Note | None]:
    """Q-022: an answer cut off in its last brackets. Never a call: that may lack a money field."""
    if not text.startswith("[3,"):
        return text, None
    opened: list[str] = []
    bare = re.sub(_STRING, "", text, flags=re.DOTALL)
    if '"' in bare:
        return text, None
    for char in bare:
        if char in "[{":
            opened.append("]" if char == "[" else "}")
        elif char in "]}" and (not opened or opened.pop() != char):
            return text, None
    if not 0 < len(opened) <= _MAX_CLOSED:
        return text, None
    return text + "".join(reversed(opened)), Note("Q-022", f"{len(opened)} brackets were missing")


def _shaped(text: str) -> tuple[str, Note | None]:
    """Q-029, Q-030: wrong arity, a null payload, a wrong type. The id stays as it came (Q-025)."""
    parts = _parsed(text)
    match parts:
        case [kind, id, action, *rest] if _is_call(kind, action):
            fixed = [b"2", id, action, _object(rest[0] if rest else b"null")]
        case [b"3" | b'"3"', id, *rest]:
            fixed = [b"3", id, _object(rest[0] if rest else b"null")]
        case [b"4" | b'"4"', id, *rest]:
            texts = [*rest[:2], b'""', b'""'][:2]
            code = texts[0] if texts[0] != b'""' else b'"GenericError"'
            fixed = [b"4", id, code, texts[1], _object(rest[2] if rest[2:] else b"null")]
        case _:
            return text, None
    if fixed == parts:
        return text, None
    return (b"[" + b",".join(fixed) + b"]").decode("utf-8"), _shape_note(parts, fixed)


def _shape_note(parts: list[bytes], fixed: list[bytes]) -> Note:
    if parts[0] != fixed[0]:
        return Note("Q-030", "wrong message type")
    return Note("Q-029", "shape of the frame")


def _is_call(kind: bytes, action: bytes) -> bool:
    return action.startswith(b'"') and kind in (b"2", b'"2"', b"1")


def _object(payload: bytes) -> bytes:
    return b"{}" if payload == b"null" else payload


def _parsed(text: str) -> list[bytes] | None:
    """Split a frame into its parts, each in its own JSON; None if it is no array."""
    try:
        raw = msgspec.json.decode(text, type=list[msgspec.Raw])
    except (msgspec.MsgspecError, RecursionError, UnicodeEncodeError):
        return None
    return [bytes(part).strip() for part in raw]
