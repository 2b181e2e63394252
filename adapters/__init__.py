"""How to live with chargers' dialects: a generic tolerant pipeline, and profiles on top of it.

The gateway is handed ``catalogue()``; nothing outside this package knows a vendor's name.

* ``pipeline/``  small pure steps, always at hand, that know no vendor
* ``profiles/``  what is special about a family, as TOML with a closed list of keys
* ``standard``   puts an adapter together from both
"""

from __future__ import annotations

from pathlib import Path

from adapters import profiles
from adapters.standard import STANDARD
from ocpp_gateway.adaptation import Adapters


def catalogue(folder: Path | None = None) -> Adapters:
    """Return every adapter: the standard one, the built-in profiles, and an operator's own.

    Raises:
        profiles.ProfileError: if a profile breaks the format, or two have one name.
    """
    found = profiles.built_in() + (profiles.load(folder) if folder else ())
    twice = [line for line in profiles.lint(found) if line.endswith("defined twice")]
    if twice:
        raise profiles.ProfileError("; ".join(twice))
    return Adapters(STANDARD, tuple(profile.adapter() for profile in found))


__all__ = ["STANDARD", "catalogue"]
