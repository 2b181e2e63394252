"""Q-020, Q-048: control characters and blanks in tokens and in other text.

A token is never shortened, folded or otherwise led to another one: only what no token can contain
is taken away.
"""

from __future__ import annotations

import hashlib
import re

from ocpp_gateway.adaptation import NO_NOTES, Note, Text

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u200b\ufeff]")
_CLEANED = (Note("Q-020", "control characters removed"),)
_TRIMMED = (Note("Q-048", "blanks or control characters around a token removed"),)


def clean(text: str) -> Text:
    """Remove control characters (NUL among them: databases refuse it) with the blanks around."""
    if text.isprintable():
        return text, NO_NOTES
    cleaned = _CONTROL.sub("", text)
    return (cleaned.strip(), _CLEANED) if cleaned != text else (text, NO_NOTES)


def token(text: str) -> Text:
    """Return a token without control characters and without blanks around it."""
    if text.isprintable() and text == text.strip():
        return text, NO_NOTES
    return _CONTROL.sub("", text).strip(), _TRIMMED


def stand_in(text: str, length: int) -> str:
    """Return a token that is nobody's, always the same one for *text*, of *length* characters.

    For a token too long for its field: cutting it could make it somebody else's.
    """
    return "~" + hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[: length - 1]
