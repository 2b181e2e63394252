"""A status is written once for all who see the same of it, and anew whenever it is another one."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from cms.domain.ids import PartnerId
from cms.domain.sharing import LiveStatus, Sharing
from cms.domain.status import ConnectorReport
from ocpi_cpo.pages import ANYBODY, Group, Network
from ocpi_cpo.push.statuses import Shown, Statuses
from ocpi_cpo.versions.offered import CORE, DIALECTS
from tests.unit.office import EVSE, Office


@pytest.fixture
async def office() -> Office:
    made = Office()
    await made.furnish()
    made.plug_in()
    return made


def statuses(office: Office) -> Statuses:
    return Statuses(Network(office.catalogue, office.live, DIALECTS[CORE], clock=office.clock))


def shown(of: Statuses, office: Office, group: Group = ANYBODY) -> Shown:
    place = office.catalogue.place(EVSE)
    assert place is not None
    return of.of(place, group)


async def test_everybody_is_given_the_same_bytes(office: Office) -> None:
    made = statuses(office)
    first = shown(made, office)
    assert shown(made, office) is first
    assert json.loads(first.body)["status"] == "CHARGING"
    assert first.uid == "CS1*1"


async def test_another_status_is_another_body(office: Office) -> None:
    made = statuses(office)
    before = shown(made, office)
    office.plug_in(ConnectorReport.FAULTED)
    assert json.loads(shown(made, office).body)["status"] == "OUTOFORDER"
    assert shown(made, office).status != before.status


async def test_a_place_that_was_defined_anew_is_looked_at_anew(office: Office) -> None:
    made = statuses(office)
    before = shown(made, office)
    site = next(iter(office.catalogue.locations.values()))
    office.catalogue.locations[site.id] = replace(site, name="Another")
    assert shown(made, office) is not before


async def test_what_may_be_seen_later_only_is_never_kept(office: Office) -> None:
    made = statuses(office)
    hidden = Group(PartnerId("IN*EMS"), Sharing(status=LiveStatus.HIDDEN))
    assert shown(made, office, hidden) is not shown(made, office, hidden)
    assert shown(made, office, hidden).body != shown(made, office).body
