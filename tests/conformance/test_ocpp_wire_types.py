"""The generated wire types demand what the published JSON schemas demand, no more and no less."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from jsonschema import Draft4Validator

from ocpp_gateway import generate
from ocpp_gateway.v16 import messages as v16
from ocpp_gateway.v201 import messages as v201

TABLES = {"v16": v16, "v201": v201}
PAYLOADS = 40
JUNK: list[Any] = [None, True, 7, -1, 2**40, 1.5, "", "x", "x" * 9000, [], [1], {}, {"a": 1}]


def messages() -> Iterator[Any]:
    for version in generate.VERSIONS:
        for name, schema in generate.schemas(version).items():
            table = TABLES[version.package]
            side = table.REQUESTS if generate.is_request(version, name) else table.RESPONSES
            yield pytest.param(
                schema, side[generate.action_of(version, name)], id=f"{version.package}-{name}"
            )


ALL = list(messages())


def without_multiple_of(schema: Any) -> Any:
    """Drop ``multipleOf``: plain jsonschema checks it on binary floats and errs (50.8 / 0.1)."""
    if isinstance(schema, dict):
        return {k: without_multiple_of(v) for k, v in schema.items() if k != "multipleOf"}
    if isinstance(schema, list):
        return [without_multiple_of(entry) for entry in schema]
    return schema


def draw(schema: dict[str, Any], root: dict[str, Any], dice: random.Random, depth: int = 0) -> Any:
    """Draw a payload that the schema allows."""
    if "$ref" in schema:
        return draw(root["definitions"][schema["$ref"].rpartition("/")[2]], root, dice, depth)
    match schema.get("type"):
        case "object":
            required = schema.get("required", ())
            return {
                key: draw(part, root, dice, depth + 1)
                for key, part in schema.get("properties", {}).items()
                if key in required or dice.random() < 0.5 / (depth + 1)
            }
        case "array":
            least = schema.get("minItems", 0)
            most = min(schema.get("maxItems", least + 2), least + 2)
            length = dice.randint(least, most)
            return [draw(schema["items"], root, dice, depth + 1) for _ in range(length)]
        case "string" if "enum" in schema:
            return dice.choice(schema["enum"])
        case "string":
            return "\u00e9" * dice.randint(0, min(schema.get("maxLength", 12), 12))
        case "integer":
            return dice.randint(int(schema.get("minimum", -5)), int(schema.get("maximum", 500)))
        case "number":
            return dice.choice([0, 1, round(dice.uniform(0, 100), 1)])
        case "boolean":
            return dice.random() < 0.5
    return dice.choice(JUNK)


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every (container, key) within *value*."""
    items: Any = ()
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    for key, inner in items:
        yield value, key
        yield from places(inner)


def mutate(payload: Any, dice: random.Random) -> Any:
    """Break (or not) one place of *payload*."""
    mutant = copy.deepcopy(payload)
    spots = list(places(mutant))
    if not spots or dice.random() < 0.1:
        mutant["unexpected"] = dice.choice(JUNK)
        return mutant
    container, key = dice.choice(spots)
    match dice.randrange(4):
        case 0:
            del container[key]
        case 1 if isinstance(container[key], str):
            container[key] *= 60
        case 2 if isinstance(container, dict):
            container[f"{key}X"] = container.pop(key)
        case _:
            container[key] = dice.choice(JUNK)
    return mutant


def accepts(decoder: msgspec.json.Decoder[Any], payload: Any) -> bool:
    try:
        decoder.decode(json.dumps(payload).encode())
    except msgspec.ValidationError:
        return False
    return True


@pytest.mark.parametrize(("schema", "type_"), ALL)
def test_the_wire_type_agrees_with_the_published_schema(
    schema: dict[str, Any], type_: type[msgspec.Struct]
) -> None:
    dice = random.Random(type_.__name__)
    judge = Draft4Validator(without_multiple_of(schema))
    decoder = msgspec.json.Decoder(type_)
    for _ in range(PAYLOADS):
        payload = draw(schema, schema, dice)
        assert judge.is_valid(payload), payload
        assert accepts(decoder, payload), payload
        mutant = mutate(payload, dice)
        assert accepts(decoder, mutant) == judge.is_valid(mutant), mutant


@pytest.mark.parametrize(("schema", "type_"), ALL)
def test_keys_leave_in_the_order_of_the_schema(
    schema: dict[str, Any], type_: type[msgspec.Struct]
) -> None:
    assert type_.__struct_encode_fields__ == tuple(schema.get("properties", {}))


@pytest.mark.parametrize("version", generate.VERSIONS, ids=lambda version: version.package)
def test_the_committed_types_are_what_the_generator_writes(version: generate.Version) -> None:
    assert generate.target(version).read_text("utf-8") == generate.module(version)


def test_what_a_maker_adds_to_custom_data_is_passed_over() -> None:
    raw = b'{"customData":{"vendorId":"acme","own":[1,{"deep":2}]}}'
    assert msgspec.json.decode(raw, type=v201.HeartbeatRequest).customData.vendorId == "acme"  # type: ignore[union-attr]
