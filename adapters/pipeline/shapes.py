"""Q-042 to Q-050: brings a payload nearer to its schema, guided by the wire type itself.

The walk goes down the type, not down the payload, so that its depth is the schema's and no sender
can choose it. Whatever fits already is returned as it is; what cannot be repaired is left out where
the schema allows that, and otherwise left in place for strict decoding to refuse by name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as made_by
from functools import cache
from typing import Any, cast

import msgspec
from msgspec import inspect

from adapters.pipeline import names, words
from adapters.pipeline.defaults import (
    CORES,
    DECIDES_MEANING,
    DEFAULTS,
    EMPTY_ITEMS,
    NEVER_CUT,
    SCALAR_FIELD,
    TOKENS,
)
from adapters.pipeline.scalars import DAMAGED, Damage, as_bool, as_float, as_int, as_text
from ocpp_gateway.adaptation import Note, Notes, Payload

_MAX_NOTES = 32
_MAX_CUT = 1_000
_PHASE_SUFFIX = re.compile(r"(.+)\.(L[123](?:-N|-L[123])?|N)", re.ASCII)


@dataclass(slots=True)
class _Walk:
    """One repair in progress.

    Attributes:
        aliases: words of the family for words of the standard.
        notes: at most ``_MAX_NOTES``; a frame damaged a thousandfold is told once.
    """

    aliases: words.Aliases = made_by(default_factory=dict)
    notes: list[Note] = made_by(default_factory=list)

    def note(self, code: str, text: str, path: str) -> None:
        if len(self.notes) < _MAX_NOTES:
            self.notes.append(Note(code, text, path))


def conform(
    payload: Payload, wanted: type[msgspec.Struct], aliases: words.Aliases = words.COMMON
) -> tuple[Payload, Notes]:
    """Return *payload* brought as near to *wanted* as can be, and what was done."""
    walk = _Walk(aliases)
    fixed = _struct(payload, _type_of(wanted), "", walk)
    return (fixed if isinstance(fixed, dict) else payload), tuple(walk.notes)


@cache
def _type_of(wanted: type[msgspec.Struct]) -> inspect.StructType:
    return cast(inspect.StructType, inspect.type_info(wanted))


def _any(value: Any, wanted: inspect.Type, path: str, walk: _Walk) -> Any:
    """Dispatch on the kind of type. Returns ``DAMAGED`` where nothing can be made of *value*."""
    match wanted:
        case inspect.StructType():
            return _struct(value, wanted, path, walk)
        case inspect.ListType():
            return _list(value, wanted, path, walk)
        case inspect.LiteralType():
            return _word(value, cast(tuple[str, ...], wanted.values), path, walk)
        case inspect.StrType():
            return _text(value, wanted.max_length, path, walk)
        case inspect.IntType():
            return _scalar(value, as_int(value), "Q-040", path, walk)
        case inspect.FloatType():
            return _scalar(value, as_float(value), "Q-040", path, walk)
        case inspect.BoolType():
            return _scalar(value, as_bool(value), "Q-044", path, walk)
        case _:
            return value


def _scalar(value: object, fixed: object, code: str, path: str, walk: _Walk) -> object:
    if fixed is DAMAGED or type(fixed) is type(value) and fixed == value:
        return fixed
    if isinstance(fixed, float) and isinstance(value, int) and not isinstance(value, bool):
        return value
    walk.note(code, f"{type(value).__name__} {_shown(value)}", path)
    return fixed


def _text(value: object, limit: int | None, path: str, walk: _Walk) -> str | Damage:
    text = as_text(value)
    if not isinstance(text, str):
        return DAMAGED
    name = _field_of(path)
    if not isinstance(value, str):
        walk.note("Q-041", f"{type(value).__name__} {_shown(value)}", path)
    if limit is None or len(text) <= limit:
        return text
    cleaned, _ = names.token(text)
    if len(cleaned) <= limit:
        walk.note("Q-048", "control characters or blanks removed", path)
        return cleaned
    return _shortened(cleaned, limit, name, path, walk)


def _shortened(text: str, limit: int, name: str, path: str, walk: _Walk) -> str | Damage:
    """Q-047: cut what is only read by people; never what identifies or proves."""
    if name in NEVER_CUT or limit > _MAX_CUT:
        return DAMAGED
    walk.note("Q-047", f"{len(text)} characters cut to {limit}", path)
    return text[:limit]


def _word(value: object, allowed: tuple[str, ...], path: str, walk: _Walk) -> str | Damage:
    if isinstance(value, str) and value in allowed:
        return value
    name = _field_of(path)
    word = as_text(value)
    if not isinstance(word, str):
        return DAMAGED
    meant = words.recognise(word, allowed, name, walk.aliases)
    if isinstance(meant, str):
        walk.note(words.code_of(name), f"{_shown(word)} taken as {meant}", path)
    return meant


def _list(value: object, wanted: inspect.ListType, path: str, walk: _Walk) -> Any:
    if isinstance(value, dict):
        walk.note("Q-042", "an object where a list belongs", path)
        value = [value]
    if not isinstance(value, list):
        return DAMAGED
    items = (
        _any(item, wanted.item_type, f"{path}[{place}]", walk) for place, item in enumerate(value)
    )
    kept = [item for item in items if item is not DAMAGED]
    if len(kept) < len(value):
        walk.note("Q-059", f"{len(value) - len(kept)} of {len(value)} items unusable", path)
    if wanted.max_length is not None and len(kept) > wanted.max_length:
        walk.note("Q-047", f"{len(kept)} items cut to {wanted.max_length}", path)
        kept = kept[: wanted.max_length]
    return DAMAGED if len(kept) < (wanted.min_length or 0) else kept


def _struct(value: object, wanted: inspect.StructType, path: str, walk: _Walk) -> Any:
    name = wanted.cls.__name__
    payload = _as_object(value, name, path, walk)
    if payload is None:
        return DAMAGED
    known = {field.encode_name: field for field in wanted.fields}
    given = _with_phase(
        _renamed(payload, known, wanted.forbid_unknown_fields, path, walk), path, walk
    )
    given = _without_nulls(given, known, path, walk)
    made = {
        key: _field(given[key], field, _join(path, key), name, walk)
        for key, field in known.items()
        if key in given
    }
    if any(made.get(key) is DAMAGED for key in DECIDES_MEANING.get(name, ())):
        return DAMAGED
    fixed = {key: value for key, value in made.items() if value is not DAMAGED}
    if name in CORES and not fixed.keys() & CORES[name]:
        return payload
    return _completed(fixed, given, known, name, path, walk)


def _completed(
    fixed: Payload,
    given: Payload,
    known: Mapping[str, inspect.Field],
    name: str,
    path: str,
    walk: _Walk,
) -> Any:
    """Q-049: fill in what is required and absent, or unusable; fields that are open stay."""
    for key, field in known.items():
        if not field.required or key in fixed:
            continue
        if (name, key) in DEFAULTS:
            fixed[key] = DEFAULTS[name, key]
            walk.note("Q-049", "unusable" if key in given else "missing", _join(path, key))
        elif path:
            return DAMAGED
        elif key in given:
            fixed[key] = given[key]
    return fixed | {key: value for key, value in given.items() if key not in known}


def _as_object(value: object, name: str, path: str, walk: _Walk) -> Payload | None:
    match value:
        case dict():
            return value
        case [dict() as only]:
            walk.note("Q-042", "a list where an object belongs", path)
            return only
        case str() | int() | float() if name in SCALAR_FIELD:
            walk.note("Q-042", "a bare value where an object belongs", path)
            return {SCALAR_FIELD[name]: value}
        case _:
            return None


def _renamed(
    payload: Payload, known: Mapping[str, inspect.Field], closed: bool, path: str, walk: _Walk
) -> Payload:
    """Q-050: fields in another case are known, unknown ones are set aside (the frame is kept)."""
    if known.keys() >= payload.keys():
        return payload
    by_fold = {words.folded(name): name for name in known}
    given: Payload = {name: value for name, value in payload.items() if name in known}
    for name, value in payload.items():
        if name in known:
            continue
        meant = by_fold.get(words.folded(name[:80]))
        if meant is not None and meant not in given:
            walk.note("Q-050", f"field {_shown(name)} taken as {meant}", path)
            given[meant] = value
        elif closed:
            walk.note("Q-050", f"unknown field {_shown(name)}", path)
        else:
            given[name] = value
    return given


def _without_nulls(
    given: Payload, known: Mapping[str, inspect.Field], path: str, walk: _Walk
) -> Payload:
    """Q-045: null is absent, and so is an empty word where a word may be left out."""
    absent = [key for key, value in given.items() if _is_absent(value, known.get(key))]
    for key in absent:
        walk.note("Q-045", "null or empty", _join(path, key))
    return {key: value for key, value in given.items() if key not in absent} if absent else given


def _is_absent(value: object, field: inspect.Field | None) -> bool:
    if value is None:
        return True
    if value != "" or field is None or field.required:
        return False
    return isinstance(field.type, inspect.LiteralType | inspect.IntType)


def _with_phase(given: Payload, path: str, walk: _Walk) -> Payload:
    """Q-058: a phase glued to its measurand is taken off before the word is judged."""
    measurand = given.get("measurand")
    glued = _PHASE_SUFFIX.fullmatch(measurand) if isinstance(measurand, str) else None
    if glued is None:
        return given
    walk.note("Q-058", f"phase {glued[2]} in the measurand", path)
    return {**given, "measurand": glued[1], "phase": given.get("phase") or glued[2]}


def _field(value: Any, wanted: inspect.Field, path: str, owner: str, walk: _Walk) -> Any:
    """Return the field's value, or ``DAMAGED`` if it is to be left out."""
    made = _any(value, wanted.type, path, walk)
    if made is not DAMAGED:
        return made
    instead = EMPTY_ITEMS.get((owner, wanted.encode_name))
    if instead is not None:
        walk.note("Q-043", "nothing usable in the list", path)
        return _any(instead, wanted.type, path, _Walk())
    if wanted.required and wanted.encode_name in TOKENS and isinstance(value, str):
        walk.note("Q-048", f"token of {len(value)} characters replaced by nobody's", path)
        return names.stand_in(value, _limit(wanted.type))
    if not wanted.required:
        walk.note(words.code_of(wanted.encode_name), f"{_shown(value)} left out", path)
    return made


def _limit(kind: inspect.Type) -> int:
    return (kind.max_length if isinstance(kind, inspect.StrType) else None) or 20


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _field_of(path: str) -> str:
    return path.rpartition(".")[2].partition("[")[0]


def _shown(value: object) -> str:
    """Quote at most 40 characters of what a charger wrote."""
    return repr(value if isinstance(value, str) else str(value)[:80])[:40]
