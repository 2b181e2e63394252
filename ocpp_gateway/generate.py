"""Writes the wire types from the JSON schemas that the ``ocpp`` package ships.

Run by ``make generate``. The result is committed, so that a reader and mypy see it; a test writes
it anew and compares. What the schemas use is little: type, enum, required, additionalProperties,
bounds, items and references. ``format`` is not asserted (the adaptation reads times), and
``multipleOf`` is left out: it cannot be checked on binary floats.
"""

from __future__ import annotations

import importlib.resources
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Schema = dict[str, Any]

LINE = 100


@dataclass(frozen=True, slots=True)
class Version:
    """One protocol version: where its schemas lie and how its requests' files are named."""

    package: str
    title: str
    request_suffix: str


VERSIONS = (Version("v16", "OCPP 1.6", ""), Version("v201", "OCPP 2.0.1", "Request"))

HEADER = '''"""Wire types of {title}, written by ``ocpp_gateway.generate``. Do not edit.

Field names and their order are the schemas'. Unknown fields are refused where a schema refuses
them; an absent field is ``UNSET`` and ``null`` is never a value.
"""

from __future__ import annotations

from typing import Annotated, {any}Final, Literal

from msgspec import UNSET, Meta, Struct, UnsetType
'''


def schemas(version: Version) -> dict[str, Schema]:
    """Return the schema of every message by its file's name, in alphabetical order."""
    folder = importlib.resources.files(f"ocpp.{version.package}") / "schemas"
    return {
        entry.name.removesuffix(".json"): json.loads(entry.read_text("utf-8"))
        for entry in sorted(folder.iterdir(), key=lambda entry: entry.name)
        if entry.name.endswith(".json")
    }


def is_request(version: Version, name: str) -> bool:
    return name.endswith("Request") if version.request_suffix else not name.endswith("Response")


def action_of(version: Version, name: str) -> str:
    """Return the Action that the message *name* belongs to."""
    return name.removesuffix("Response").removesuffix("Request")


def class_name(version: Version, name: str) -> str:
    """Return ``HeartbeatRequest`` or ``HeartbeatResponse`` for every version alike."""
    return f"{action_of(version, name)}{'Request' if is_request(version, name) else 'Response'}"


def meaning(schema: Any) -> Any:
    """Return what a schema demands, without its prose: equal ones share one type."""
    if isinstance(schema, dict):
        return {
            key: meaning(value)
            for key, value in schema.items()
            if not (key in ("description", "default", "javaType", "comment") and _is_prose(value))
        }
    if isinstance(schema, list):
        return [meaning(entry) for entry in schema]
    return schema


def _is_prose(value: Any) -> bool:
    return not isinstance(value, dict)


@dataclass(slots=True)
class Module:
    """Collects the types of one version; equal shapes become one type."""

    names: dict[str, str] = field(default_factory=dict)
    """Meaning of a shape -> the name it got."""
    enums: dict[str, list[str]] = field(default_factory=dict)
    texts: set[int] = field(default_factory=set)
    structs: dict[str, str] = field(default_factory=dict)

    def message(self, name: str, schema: Schema) -> None:
        self._struct(name, schema, schema.get("definitions", {}), name)

    def _type(self, hint: str, schema: Schema, definitions: Schema, owner: str) -> str:
        """Return the annotation of *schema*; *hint* is the name it would like."""
        if "$ref" in schema:
            target = schema["$ref"].rpartition("/")[2]
            return self._type(_definition_name(target), definitions[target], definitions, owner)
        match schema.get("type", "anything"):
            case "object":
                return self._named(hint, schema, definitions, owner)
            case "array":
                return self._array(hint, schema, definitions, owner)
            case "string" if "enum" in schema:
                return self._enum(hint, schema["enum"], owner)
            case "string":
                return self._text(schema)
            case "integer":
                return _bounded("int", schema)
            case "number":
                return _bounded("float", schema)
            case "boolean":
                return "bool"
            case "anything":
                return "Any"
            case other:
                raise ValueError(f"{hint}: no rule for type {other!r}")

    def _text(self, schema: Schema) -> str:
        if "maxLength" not in schema:
            return "str"
        self.texts.add(schema["maxLength"])
        return f"Text{schema['maxLength']}"

    def _array(self, hint: str, schema: Schema, definitions: Schema, owner: str) -> str:
        inner = f"list[{self._type(_singular(hint), schema['items'], definitions, owner)}]"
        bounds = [
            f"{word}={schema[key]}"
            for key, word in (("minItems", "min_length"), ("maxItems", "max_length"))
            if key in schema
        ]
        return f"Annotated[{inner}, Meta({', '.join(bounds)})]" if bounds else inner

    def _enum(self, hint: str, values: list[str], owner: str) -> str:
        key = json.dumps(["enum", values])
        if key not in self.names:
            self.names[key] = self._free(hint, owner)
            self.enums[self.names[key]] = values
        return self.names[key]

    def _named(self, hint: str, schema: Schema, definitions: Schema, owner: str) -> str:
        key = json.dumps(meaning(schema), sort_keys=True)
        if key not in self.names:
            self.names[key] = self._free(hint, owner)
            self._struct(self.names[key], schema, definitions, owner)
        return self.names[key]

    def _struct(self, name: str, schema: Schema, definitions: Schema, owner: str) -> None:
        required = schema.get("required", ())
        lines = [_class_line(name, closed=schema.get("additionalProperties") is False)]
        for key, part in schema.get("properties", {}).items():
            annotation = self._type(_capital(key), part, definitions, owner)
            lines.append(
                f"    {key}: {annotation}"
                if key in required
                else f"    {key}: {annotation} | UnsetType = UNSET"
            )
        if len(lines) == 1:
            lines.append("    pass")
        self.structs[name] = "\n".join(lines)

    def _free(self, hint: str, owner: str) -> str:
        """Return *hint*, or a longer name where another shape already has it."""
        taken = set(self.names.values()) | self.structs.keys()
        if hint not in taken and hint != owner and hint not in ("Status", "Type"):
            return hint
        return next(
            name for name in (f"{action_bare(owner)}{hint}", f"{owner}{hint}") if name not in taken
        )


def action_bare(owner: str) -> str:
    return owner.removesuffix("Request").removesuffix("Response")


def _definition_name(target: str) -> str:
    bare = target.removesuffix("Type").removesuffix("Enum").removesuffix("Data") or "Data"
    return bare + ("Enum" if target.endswith("EnumType") else "")


def _capital(key: str) -> str:
    return key[0].upper() + key[1:]


def _singular(name: str) -> str:
    return {"ConfigurationKey": "KeyValue", "LocalAuthorizationList": "AuthorizationData"}.get(
        name, name
    )


def _bounded(base: str, schema: Schema) -> str:
    bounds = [
        f"{word}={schema[key]:g}"
        for key, word in (("minimum", "ge"), ("maximum", "le"))
        if key in schema
    ]
    return f"Annotated[{base}, Meta({', '.join(bounds)})]" if bounds else base


def _class_line(name: str, *, closed: bool) -> str:
    base = "Closed" if closed else "Open"
    return f"class {name}({base}, frozen=True, kw_only=True):"


def _literal(name: str, values: list[str]) -> str:
    one = f"{name} = Literal[{', '.join(json.dumps(value) for value in values)}]"
    if len(one) <= LINE:
        return one
    return "\n".join([f"{name} = Literal[", *(f"    {json.dumps(v)}," for v in values), "]"])


def _table(name: str, entries: Iterable[tuple[str, str]]) -> Iterator[str]:
    yield f"{name}: Final[dict[str, type[Struct]]] = {{"
    for action, type_name in entries:
        yield f'    "{action}": {type_name},'
    yield "}"


BASES = '''
class Closed(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """A shape that allows no other fields."""


class Open(Struct, frozen=True, gc=False):
    """A shape that makers may extend; what they add is passed over."""
'''


def module(version: Version) -> str:
    """Return the text of one version's ``messages.py``."""
    found = schemas(version)
    types = Module()
    messages = {name: class_name(version, name) for name in found}
    for name, type_name in messages.items():
        types.message(type_name, found[name])
    uses_any = any(": Any" in text for text in types.structs.values())
    parts = [HEADER.format(title=version.title, any="Any, " if uses_any else "")]
    parts += [f"Text{n} = Annotated[str, Meta(max_length={n})]" for n in sorted(types.texts)]
    parts += ["", *(_literal(name, values) for name, values in sorted(types.enums.items()))]
    parts += [BASES]
    parts += [f"\n{text}\n" for text in types.structs.values()]
    for table, wanted in (("REQUESTS", True), ("RESPONSES", False)):
        parts += [
            "",
            *_table(
                table,
                (
                    (action_of(version, name), type_name)
                    for name, type_name in messages.items()
                    if is_request(version, name) is wanted
                ),
            ),
        ]
    return re.sub(r"\n{4,}", "\n\n\n", "\n".join(parts)).rstrip() + "\n"


def target(version: Version) -> Path:
    """Return where *version*'s module lies in this tree."""
    return Path(__file__).parent / version.package / "messages.py"


def main() -> None:
    for version in VERSIONS:
        target(version).write_text(module(version), "utf-8")


if __name__ == "__main__":
    main()
