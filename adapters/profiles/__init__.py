"""Profiles: what is special about one family of stations, as data.

One TOML file per family beside this module. The list of keys is closed, there are no conditions
besides the match, and an unknown key is an error: whoever needs an ``if`` writes code instead.

    schema = 1
    name = "example.kwh"              # the config may fix a station to it
    title = "Example Charging KW series"
    stage = "approved"                # "draft": keys that change money are held back
    seen = ["a report, a firmware, a recorded frame"]

    [[match]]                         # one block: all must fit; several blocks: one must
    vendor = ["Example Charging"]     # without case; * and ? as in file names
    model = ["KW-*"]
    firmware = ["1.*"]
    serial = ["EX*"]

    [handshake]
    pin = "ocpp1.6"                   # the only version to speak               Q-003, Q-197
    [time]
    naive = "+05:30"                  # zone of times that name none            Q-070, money
    [meter]
    energy_is_kwh = true              # labelled Wh, or not at all, but is kWh  Q-080, money
    power_is_kw = true                # the same for W                          Q-081
    [vocabulary.status]               # field -> its word = the standard's      Q-055 to Q-064
    "In Use" = "Charging"
    [outbound]
    omit = ["TriggerMessage.connectorId"]  # fields to leave out of our calls   Q-165, Q-170
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC
from fnmatch import fnmatchcase
from importlib import resources
from pathlib import Path
from typing import Any

from adapters.pipeline import words
from adapters.pipeline.times import offset
from adapters.standard import Switches, adapter
from ocpp_gateway.adaptation import Adapter, Dialect, Identity

SCHEMA = 1
STAGES = ("draft", "approved")
KEYS: Mapping[str, frozenset[str]] = {
    "": frozenset({"schema", "name", "title", "stage", "seen", "match"}),
    "match": frozenset({"vendor", "model", "firmware", "serial"}),
    "handshake": frozenset({"pin"}),
    "time": frozenset({"naive"}),
    "meter": frozenset({"energy_is_kwh", "power_is_kw"}),
    "vocabulary": frozenset(words.CODES),
    "outbound": frozenset({"omit"}),
}
"""The closed list: section -> its keys."""

MONEY = frozenset({"time.naive", "meter.energy_is_kwh"})
"""Keys that change what somebody pays: they act only in an approved profile."""


class ProfileError(ValueError):
    """A profile breaks the format; the message names file and key."""


@dataclass(frozen=True, slots=True)
class Match:
    """One block of conditions, each a list of patterns of which one must fit; empty = any."""

    vendor: tuple[str, ...] = ()
    model: tuple[str, ...] = ()
    firmware: tuple[str, ...] = ()
    serial: tuple[str, ...] = ()

    def fits(self, identity: Identity) -> bool:
        return (
            _one_fits(self.vendor, identity.vendor)
            and _one_fits(self.model, identity.model)
            and _one_fits(self.firmware, identity.firmware)
            and _one_fits(self.serial, identity.serial)
        )


@dataclass(frozen=True, slots=True)
class Profile:
    """A profile as its file says, with what acts (``switches``) and what is held back."""

    name: str
    title: str
    stage: str
    seen: tuple[str, ...]
    match: tuple[Match, ...]
    switches: Switches = field(default_factory=Switches)
    said: Mapping[str, Any] = field(default_factory=dict)
    held_back: frozenset[str] = frozenset()

    def fits(self, identity: Identity) -> bool:
        return any(block.fits(identity) for block in self.match)

    def adapter(self) -> Adapter:
        return adapter(self.name, self.switches, self.fits, "; ".join(self.seen))


def built_in() -> tuple[Profile, ...]:
    """Return the profiles that come with the package, in the order of their files' names.

    Raises:
        ProfileError: if one breaks the format.
    """
    folder = resources.files("adapters.profiles")
    files = sorted(
        (entry for entry in folder.iterdir() if entry.name.endswith(".toml")),
        key=lambda entry: entry.name,
    )
    return tuple(parse(entry.read_text("utf-8"), entry.name) for entry in files)


def load(folder: Path) -> tuple[Profile, ...]:
    """Return an operator's own profiles.

    Raises:
        ProfileError: if one breaks the format.
    """
    return tuple(
        parse(file.read_text("utf-8"), file.name) for file in sorted(folder.glob("*.toml"))
    )


def parse(text: str, source: str) -> Profile:
    """Read one profile.

    Raises:
        ProfileError: naming *source*, the key and what is expected.
    """
    try:
        said = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ProfileError(f"{source}: {error}") from error
    _check_keys(said, source)
    settings = _settings(said)
    held = MONEY & settings.keys() if said.get("stage") != "approved" else frozenset()
    acting = {key: value for key, value in settings.items() if key not in held}
    try:
        return Profile(
            name=said["name"],
            title=said.get("title", said["name"]),
            stage=said["stage"],
            seen=tuple(said.get("seen", ())),
            match=tuple(_match(block) for block in said["match"]),
            switches=_switches(acting),
            said=settings,
            held_back=frozenset(held),
        )
    except ValueError as error:
        raise ProfileError(f"{source}: {error}") from error


def lint(profiles: Sequence[Profile], identities: Iterable[Identity] = ()) -> list[str]:
    """Return what is wrong with a set of profiles taken together; empty = nothing."""
    names = [profile.name for profile in profiles]
    found = [f"{name}: defined twice" for name in sorted({n for n in names if names.count(n) > 1})]
    found += [f"{p.name}: changes nothing" for p in profiles if not p.said]
    found += [f"{p.name}: no evidence in seen" for p in profiles if not p.seen]
    for identity in identities:
        claimed = [profile.name for profile in profiles if profile.fits(identity)]
        if len(claimed) > 1:
            found.append(f"{', '.join(claimed)}: all claim {identity}")
    return found


def explain(profiles: Sequence[Profile], identity: Identity) -> list[str]:
    """Tell, line by line, which profile a station gets and what it changes."""
    claimed = [profile for profile in profiles if profile.fits(identity)]
    if not claimed:
        return ["standard: no profile claims this station"]
    lines = [f"{profile.name} ({profile.stage}): {profile.title}" for profile in claimed]
    for profile in claimed:
        for key, value in profile.said.items():
            held = " [held back: not approved, changes money]" if key in profile.held_back else ""
            lines.append(f"{key} = {value!r} from {profile.name}{held}")
    return lines


def _one_fits(patterns: tuple[str, ...], value: str) -> bool:
    folded = value.strip().casefold()
    return not patterns or any(fnmatchcase(folded, pattern) for pattern in patterns)


def _match(block: Mapping[str, Any]) -> Match:
    if not block:
        raise ValueError("match: an empty block would claim every station")
    return Match(**{key: tuple(one.casefold() for one in value) for key, value in block.items()})


def _check_keys(said: Mapping[str, Any], source: str) -> None:
    def refuse(reason: str) -> None:
        raise ProfileError(f"{source}: {reason}")

    if said.get("schema") != SCHEMA:
        refuse(f"schema: expected {SCHEMA}")
    for key in ("name", "stage", "match"):
        if key not in said:
            refuse(f"{key}: is required")
    if said["stage"] not in STAGES:
        refuse(f"stage: expected one of {', '.join(STAGES)}")
    for section, value in said.items():
        if section in KEYS[""] - {"match"}:
            continue
        if section not in KEYS:
            refuse(f"{section}: unknown; known are {', '.join(sorted(KEYS[''] | KEYS.keys()))}")
        for block in value if section == "match" else [value]:
            for key in block.keys() - KEYS[section]:
                refuse(f"{section}.{key}: unknown; known are {', '.join(sorted(KEYS[section]))}")


def _settings(said: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``section.key`` -> value for everything that changes behaviour."""
    sections = KEYS.keys() - {"", "match"}
    return {
        f"{section}.{key}": value
        for section in sorted(sections & said.keys())
        for key, value in said[section].items()
    }


def _switches(settings: Mapping[str, Any]) -> Switches:
    switches = Switches(naive=UTC)
    for key, value in settings.items():
        switches = _SETTERS[key.partition(".")[0]](switches, key.partition(".")[2], value)
    return switches


def _set_handshake(switches: Switches, key: str, value: Any) -> Switches:
    return replace(switches, pin=Dialect(value))


def _set_time(switches: Switches, key: str, value: Any) -> Switches:
    return replace(switches, naive=offset(value))


def _set_meter(switches: Switches, key: str, value: Any) -> Switches:
    if value not in (True, False):
        raise ValueError(f"meter.{key}: expected true or false")
    scales = switches.scales
    match key:
        case "energy_is_kwh":
            return replace(switches, scales=replace(scales, energy_is_kwh=value))
        case _:
            return replace(switches, scales=replace(scales, power_is_kw=value))


def _set_vocabulary(switches: Switches, key: str, value: Any) -> Switches:
    own = {words.folded(word): (meant,) for word, meant in value.items()}
    changed = replace(switches, aliases={**switches.aliases, key: own})
    if key != "unit":
        return changed
    return replace(changed, scales=replace(switches.scales, units=dict(value)))


def _set_outbound(switches: Switches, key: str, value: Any) -> Switches:
    return replace(switches, omit=frozenset(value))


_SETTERS: Mapping[str, Callable[[Switches, str, Any], Switches]] = {
    "handshake": _set_handshake,
    "time": _set_time,
    "meter": _set_meter,
    "vocabulary": _set_vocabulary,
    "outbound": _set_outbound,
}
