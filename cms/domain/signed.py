"""Meter values that the meter itself signed, so that a driver can check the bill.

They are passed on as they came. Nothing here computes with them and no bill depends on them: a
damaged or missing signature never costs an ordinary reading.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

LONGEST = 5_000
"""Characters that plain and signed text can have on a bill; half a signature proves nothing."""

MOST_BETWEEN = 100
"""Signed values between start and end that a bill lists; the journal keeps all of them."""


class Nature(StrEnum):
    """Where in its transaction a value was taken. Their order is the order on the bill."""

    START = "start"
    INTERMEDIATE = "intermediate"
    END = "end"


_ORDER = {nature: place for place, nature in enumerate(Nature)}


@dataclass(frozen=True, slots=True)
class SignedReading:
    """One signed value.

    Attributes:
        plain: what was signed, as text; empty where the encoding is unknown and no text.
        signed: the signed data, base64; case matters.
        encoding: name of the encoding, at most 36 printable ASCII characters, e.g. ``"OCMF"``; ``"UNKNOWN"`` where nobody said.
        public_key: base64; None where it was not told.
    """

    nature: Nature
    plain: str
    signed: str
    encoding: str
    public_key: str | None = None


@dataclass(frozen=True, slots=True)
class SignedRecord:
    """The signed values of one transaction.

    Attributes:
        kept: what the bill carries: of one encoding, each once, in order.
        left_out: how many more there are, which a bill cannot carry.
    """

    kept: tuple[SignedReading, ...] = ()
    left_out: int = 0


UNSIGNED = SignedRecord()


def signed_record(readings: Iterable[SignedReading]) -> SignedRecord:
    """Return what a bill can carry of *readings*, which are in order of arrival."""
    distinct = _distinct(readings)
    if not distinct:
        return UNSIGNED
    fitting = [each for each in distinct if max(len(each.plain), len(each.signed)) <= LONGEST]
    alike = [each for each in fitting if each.encoding == fitting[0].encoding]
    between = [each for each in alike if each.nature is Nature.INTERMEDIATE]
    beyond = {each.signed for each in between[MOST_BETWEEN:]}
    kept = tuple(each for each in alike if each.signed not in beyond)
    return SignedRecord(kept, len(distinct) - len(kept))


def _distinct(readings: Iterable[SignedReading]) -> list[SignedReading]:
    """Return each signed text once, by what it says best: a start or an end, if it is one."""
    found: dict[str, SignedReading] = {}
    for each in readings:
        known = found.get(each.signed)
        if known is None or known.nature is Nature.INTERMEDIATE:
            found[each.signed] = each
    return sorted(found.values(), key=lambda each: _ORDER[each.nature])
