"""A CPO with a small network, and a partner that has registered with it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from simulators.emsp.partner import Emsp
from tests.conformance.ocpi.world import Asker, World, running


@pytest.fixture
async def cpo() -> AsyncIterator[World]:
    async with running() as world:
        await world.small_network()
        yield world


@pytest.fixture
async def emsp(cpo: World) -> AsyncIterator[Emsp]:
    """Registered by itself, and told of the whole network."""
    async with Emsp() as partner:
        await cpo.connect(partner)
        await partner.wait_for(lambda: partner.store.locations)
        yield partner


@pytest.fixture
def ask(cpo: World, emsp: Emsp) -> Asker:
    """Any request with the partner's valid token."""
    return Asker(cpo.base, emsp.connection.outbound)


@pytest.fixture
def stranger(cpo: World) -> Asker:
    """Any request without a token."""
    return Asker(cpo.base, None)
