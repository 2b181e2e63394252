"""The versions of OCPI that we speak, and which of them two sides choose."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from ocpi_cpo.versions.dialect import Dialect
from ocpi_cpo.versions.v211.dialect import V211
from ocpi_cpo.versions.v220.dialect import V220
from ocpi_cpo.versions.v221.dialect import V221
from ocpi_cpo.versions.v230.dialect import V230

CORE = "2.2.1"
"""The version whose shape the others translate; spoken where none was agreed yet."""

DIALECTS: dict[str, Dialect] = {each.version: each for each in (V211(), V220(), V221(), V230())}
"""By version number, oldest first."""


def dialect_of(version: str | None) -> Dialect:
    """Return the dialect of an agreed *version*; the core's where none was agreed."""
    return DIALECTS[version or CORE]


def newest_common(ours: Collection[str], theirs: Iterable[str]) -> Dialect | None:
    """Return the highest version that both sides offer; None if there is none."""
    common = [each for each in theirs if each in ours and each in DIALECTS]
    newest = max(common, key=lambda version: tuple(map(int, version.split("."))), default=None)
    return None if newest is None else DIALECTS[newest]
