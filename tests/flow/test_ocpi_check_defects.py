"""Each defect of a broken CPO turns exactly its own checks red."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio

from ocpi_check.options import Options
from ocpi_check.run import UNREADABLE, Mark, run
from ocpi_check.wire import authorization
from simulators.emsp import Emsp
from tests.flow.broken_cpo import Defect, broken
from tests.flow.defects_211 import DEFECTS_211
from tests.flow.defects_221 import DEFECTS_221
from tests.flow.defects_230 import DEFECTS_230
from tests.flow.product import Product
from tests.flow.seeded_cpo import seeded

pytestmark = pytest.mark.asyncio(loop_scope="module")


VERSIONS = ("2.1.1", "2.2.1", "2.3.0")
DEFECTS = [
    pytest.param(version, defect, id=f"{version}-{defect.name}")
    for version, defects in zip(VERSIONS, (DEFECTS_211, DEFECTS_221, DEFECTS_230), strict=True)
    for defect in defects
]


@dataclass(frozen=True, slots=True)
class Bed:
    """A good CPO with sites, tariffs, sessions and bills, and the partner that they belong to."""

    version: str
    cpo: Product
    emsp: Emsp

    @property
    def token(self) -> str:
        assert self.emsp.connection.outbound is not None
        return self.emsp.connection.outbound

    def options(self, url: str) -> Options:
        return Options(
            url, self.token, registered=True, version=self.version, party=("IN", "EMP"),
            pace=0, public_url=self.emsp.base_url, timeout=10,
        )  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Bed]:
    """One for all tests of a version."""
    async with seeded(tmp_path_factory.mktemp("cpo"), request.param) as (cpo, emsp):
        yield Bed(request.param, cpo, emsp)


async def red(options: Options) -> dict[str, str]:
    """Id and text of what fails or is advised against."""
    result = await run(options)
    return {
        each.check.id: each.text
        for mark in (Mark.FAILED, Mark.ADVICE)
        for each in result.marked(mark)
    }


@pytest.mark.parametrize("bed", VERSIONS, indirect=True)
async def test_the_good_one_is_green_and_most_of_it_is_really_checked(bed: Bed) -> None:
    result = await run(bed.options(f"{bed.cpo.network.base}/ocpi/versions"))
    bad = result.marked(Mark.FAILED) + result.marked(Mark.ADVICE)
    bad += [each for each in result.outcomes if each.text.startswith(UNREADABLE)]
    assert not [(each.check.id, each.text) for each in bad]
    assert len(result.marked(Mark.PASSED)) >= (90 if bed.version == "2.1.1" else 100)


@pytest.mark.parametrize("bed", VERSIONS, indirect=True)
async def test_a_proxy_that_breaks_nothing_is_green(bed: Bed) -> None:
    nothing = Defect("nothing", frozenset())
    async with broken(bed.cpo.network.base, nothing, "") as url:
        assert await red(bed.options(url)) == {}


@pytest.mark.parametrize(("bed", "defect"), DEFECTS, indirect=["bed"], scope="module")
async def test_a_defect_is_seen_by_its_checks_and_by_no_other(bed: Bed, defect: Defect) -> None:
    good = authorization(bed.token, bed.version)
    async with broken(bed.cpo.network.base, defect, good) as url:
        found = await red(bed.options(url))
    assert found.keys() == defect.red, found
