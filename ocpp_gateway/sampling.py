"""Samples that are described alike are read alike: each description is understood once.

A charger sends the same dozen descriptions (measurand, unit, phase, place ...) with every message.
What one means depends on the description and on the adapter's readings, on nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from cms.domain.meter import Quantity, ReadingContext
from ocpp_gateway.adaptation import Readings, ReadValue

MOST_DESCRIPTIONS: Final = 2_000
"""Per adapter. Units are free text in 2.x, so that a charger could invent ever more of them."""

Shape = tuple[ReadValue, Quantity, ReadingContext, str | None, str]
"""How to read the value, and what else a sample of this description says."""

Description = tuple[Any, ...]
"""A sampled value without its value, as one version writes it. Hashable."""


class Shapes(dict[Description, Shape]):
    """Understands each description when it is first seen.

    Args:
        understand: what a description means in one version and with one adapter's readings.
    """

    def __init__(self, understand: Callable[[Description], Shape]) -> None:
        super().__init__()
        self._understand = understand

    def __missing__(self, description: Description) -> Shape:
        if len(self) >= MOST_DESCRIPTIONS:
            self.clear()
        shape = self[description] = self._understand(description)
        return shape


class AllShapes:
    """The shapes of every adapter in use, for one version."""

    def __init__(self, understand: Callable[[Readings, Description], Shape]) -> None:
        self._understand = understand
        self._known: dict[int, tuple[Readings, Shapes]] = {}

    def of(self, readings: Readings) -> Shapes:
        """Return the shapes that *readings* give."""
        known = self._known.get(id(readings))
        if known is None:
            shapes = Shapes(lambda description: self._understand(readings, description))
            known = self._known[id(readings)] = (
                readings,
                shapes,
            )  # kept, so that its id is its own
        return known[1]
