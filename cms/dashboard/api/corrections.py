"""Bulk correction of bills: propose, look, carry out."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, Any

from pydantic import Field

from cms.app.correcting import Run, Selection
from cms.dashboard import views
from cms.dashboard.api.desk import Desk, only_all_sites
from cms.dashboard.routing import Call, Route
from cms.dashboard.views import Json
from cms.domain.errors import InvalidValue
from cms.domain.ids import CdrId, PartnerId, StationId, TariffId
from cms.domain.partner import Right
from cms.intake.base import Intake, Moment

_WH_PER_KWH = 1000


class CorrectionIn(Intake):
    """Which bills (at least one of the first six), and what was wrong with them."""

    ids: tuple[str, ...] = ()
    partner: str | None = None
    station: str | None = None
    used_tariff: str | None = None
    ended_from: Moment | None = None
    ended_to: Moment | None = None
    tariff: str | None = None
    energy_kwh: Annotated[Decimal, Field(ge=0, le=100_000, decimal_places=3)] | None = None
    reason: Annotated[str, Field(max_length=200)] | None = None

    def selection(self) -> Selection:
        chosen = Selection(
            tuple(map(CdrId, self.ids)),
            None if self.partner is None else PartnerId(self.partner),
            None if self.station is None else StationId(self.station),
            None if self.used_tariff is None else TariffId(self.used_tariff),
            self.ended_from,
            self.ended_to,
        )
        if chosen == Selection():
            raise InvalidValue("ids", "say which bills: ids, or a partner, station, tariff, period")
        return chosen

    @property
    def energy_wh(self) -> int | None:
        return None if self.energy_kwh is None else int(self.energy_kwh * _WH_PER_KWH)


def routes(desk: Desk) -> Sequence[Route]:
    """Return the routes of corrections; each needs the right to administer."""
    admin = Right.ADMIN
    its = Corrections(desk)
    return [
        Route("GET", "/corrections", admin, its.runs, answer="array"),
        Route("POST", "/corrections", admin, its.propose, CorrectionIn, status=201),
        Route("GET", "/corrections/{id}", admin, its.run),
        Route("POST", "/corrections/{id}/apply", admin, its.apply),
    ]


class Corrections:
    """Handlers of corrections."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def runs(self, call: Call) -> Any:
        """Corrections, newest first, without their bills."""
        only_all_sites(call)
        return [_head(each) for each in await self._desk.correcting.runs()]

    async def propose(self, call: Call) -> Any:
        """Show what a correction would do; no bill is touched."""
        given: CorrectionIn = call.body
        only_all_sites(call)
        run = await self._desk.correcting.propose(
            given.selection(),
            call.caller.who,
            None if given.tariff is None else TariffId(given.tariff),
            given.energy_wh,
            given.reason or call.reason,
        )
        return _whole(run)

    async def run(self, call: Call) -> Any:
        """One correction with its bills."""
        only_all_sites(call)
        return _whole(await self._desk.correcting.run(call.part("id")))

    async def apply(self, call: Call) -> Any:
        """Carry a correction out: a credit and a new bill for each."""
        only_all_sites(call)
        return _whole(await self._desk.correcting.begin(call.part("id"), call.caller.who))


def _head(run: Run) -> Json:
    return {
        "id": run.id,
        "at": run.at,
        "who": run.who,
        "state": run.state,
        "tariff": run.tariff,
        "energy_wh": run.energy_wh,
        "reason": run.reason,
        "applied_by": run.applied_by,
        "finished_at": run.finished_at,
        "bills": len(run.rows),
        "sums": [
            {"currency": currency, "old": old, "new": new, "difference": difference}
            for currency, (old, new, difference) in sorted(run.sums().items())
        ],
    }


def _whole(run: Run) -> Json:
    rows = [{**views.as_plain(each), "difference": each.difference} for each in run.rows]
    return {**_head(run), "rows": rows}
