"""Every check, topic by topic. The order here is the order within each phase of a run."""

from __future__ import annotations

from ocpi_check.catalogue import Check
from ocpi_check.checks import (
    charging,
    costs,
    emsp,
    joining,
    objects,
    paging,
    receiving,
    routing,
    transport,
    versions,
)

CATALOGUE: tuple[Check, ...] = (
    *transport.check,
    *paging.check,
    *routing.check,
    *joining.check,
    *objects.check,
    *costs.check,
    *receiving.check,
    *charging.check,
    *versions.check,
    *emsp.check,
)
