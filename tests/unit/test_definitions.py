"""The config file is the truth about what it names: taken up, changed, taken back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cms.app.definitions import DefinedKey, Definitions, take_up
from cms.app.ports import Page
from cms.domain.errors import Forbidden, InvalidValue
from cms.domain.ids import EvseUid, StationId, TariffId
from cms.domain.tariff_choice import TariffRule
from cms.domain.token import TokenType
from cms.domain.topology import Approval
from tests.unit.office import CS1, ME, SITE, Office, location, station, tariff, token

PASSWORD = b"0123456789abcdef"
WHOLE = Definitions(
    locations=[location()],
    stations=[station()],
    keys=[DefinedKey(CS1, PASSWORD)],
    tariffs=[tariff()],
    rules=[TariffRule("r", TariffId("T1"), location=SITE)],
    tokens=[token("OWN", None)],
)


async def start(office: Office, defined: Definitions) -> None:
    """What a start does with its file."""
    await take_up(defined, office.administration, office.catalogue, office.store)


async def rows(office: Office) -> int:
    return len(await office.store.audit(None, Page(0, 500)))


async def test_the_same_file_again_writes_nothing() -> None:
    office = Office()
    await start(office, WHOLE)
    head, audited = await office.store.head(), await rows(office)
    await start(office, WHOLE)
    assert (await office.store.head(), await rows(office)) == (head, audited)


async def test_every_change_of_the_file_is_audited_as_the_files() -> None:
    office = Office()
    await start(office, WHOLE)
    await start(office, replace(WHOLE, tariffs=[tariff(price="20.00")]))
    (row,) = [r for r in await office.store.audit(None, Page(0, 500)) if r.what == "tariff.changed"]
    assert row.who == "file"


async def test_what_leaves_the_file_is_removed_and_not_forgotten() -> None:
    office = Office()
    await start(office, WHOLE)
    await start(office, Definitions())
    assert office.catalogue.stations[CS1].approval is Approval.REMOVED
    assert office.catalogue.locations[SITE].removed
    assert office.link.closed == [CS1]
    card = office.catalogue.token(None, "OWN", TokenType.RFID)
    assert card is not None and not card.valid
    assert "r" not in office.catalogue.rules


async def test_what_the_api_defined_stays_when_the_file_changes() -> None:
    office = Office()
    await start(office, WHOLE)
    await office.administration.put_station(station("API"), ME)
    await start(office, WHOLE)
    assert office.catalogue.stations[StationId("API")].approval is Approval.APPROVED


async def test_what_the_file_names_is_not_the_apis_to_change() -> None:
    office = Office()
    await start(office, WHOLE)
    for wish in (
        office.administration.put_tariff(tariff(price="1"), ME),
        office.administration.drop_rule("r", ME),
        office.administration.put_token(token("OWN", None, valid=False), ME),
        office.administration.set_password(CS1, PASSWORD + b"x", ME),
    ):
        with pytest.raises(Forbidden):
            await wish


async def test_a_password_is_hashed_anew_only_if_it_changed() -> None:
    office = Office()
    await start(office, WHOLE)
    kept = office.catalogue.keys[CS1]
    await start(office, WHOLE)
    assert office.catalogue.keys[CS1] is kept
    await start(office, replace(WHOLE, keys=[DefinedKey(CS1, PASSWORD + b"x")]))
    assert office.catalogue.keys[CS1] != kept
    await start(office, replace(WHOLE, keys=[DefinedKey(CS1, None)]))
    assert office.catalogue.keys[CS1].open


def test_two_evses_of_one_uid_are_refused() -> None:
    (evse,) = station("CS2").evses
    twin = replace(station("CS2"), evses=(replace(evse, uid=EvseUid("cs1*1")),))
    with pytest.raises(InvalidValue):
        replace(WHOLE, stations=[station(), twin]).check()
