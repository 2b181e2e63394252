"""What operators change: one commit with its audit row, and who hears of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from cms.app.administration import FILE, OPERATOR, By
from cms.app.ports import Page
from cms.domain.audit import AuditEntry
from cms.domain.errors import Conflict, Forbidden, InvalidValue, NotFound
from cms.domain.ids import EvseUid, LocationId, StationId, TariffId
from cms.domain.partner import Right
from cms.domain.status import EvseStatus
from cms.domain.tariff_choice import TariffRule
from cms.domain.topology import Approval
from tests.unit.office import CS1, EMS, EVSE, ME, SITE, Office, location, station, tariff, token

BY_FILE = By(FILE)


@pytest.fixture
async def office() -> Office:
    it = Office()
    await it.furnish()
    return it


async def audited(office: Office, what: str) -> list[AuditEntry]:
    return [each for each in await office.store.audit(None, Page(0, 500)) if each.what == what]


async def changed_keys(office: Office, kind: str, since: int) -> list[str]:
    return [each.key for each in await office.store.changes(EMS, [kind], since, 100)]


async def test_a_change_says_who_what_and_why(office: Office) -> None:
    await office.administration.put_tariff(tariff(price="20.00"), ME)
    (row,) = await audited(office, "tariff.changed")
    assert (row.who, row.subject, row.reason) == ("key:test", "tariff:T1", "because")
    assert "'18'" in str(row.before) and "'20'" in str(row.after)


async def test_nothing_new_leaves_no_row_and_no_news(office: Office) -> None:
    head, rows = await office.store.head(), len(await office.store.audit(None, Page(0, 500)))
    await office.administration.put_tariff(tariff(), ME)
    await office.administration.put_location(location(), ME)
    await office.administration.put_station(station(), ME)
    assert await office.store.head() == head
    assert len(await office.store.audit(None, Page(0, 500))) == rows


async def test_what_the_file_defines_is_changed_there_only(office: Office) -> None:
    await office.administration.put_location(location("F"), BY_FILE)
    await office.administration.put_station(
        replace(station("FS"), location=LocationId("F")), BY_FILE
    )
    with pytest.raises(Forbidden):
        await office.administration.put_location(location("F", name="New"), ME)
    with pytest.raises(Forbidden):
        await office.administration.approve(StationId("FS"), Approval.REMOVED, ME)
    with pytest.raises(Forbidden):
        await office.administration.new_password(StationId("FS"), ME)


async def test_a_station_needs_its_site_and_uids_of_its_own(office: Office) -> None:
    with pytest.raises(NotFound):
        await office.administration.put_station(
            replace(station("X"), location=LocationId("NOWHERE")), ME
        )
    (evse,) = station("X").evses
    with pytest.raises(InvalidValue, match="already"):
        await office.administration.put_station(
            replace(station("X"), evses=(replace(evse, uid=EvseUid("cs1*1")),)), ME
        )
    with pytest.raises(InvalidValue, match="case"):
        await office.administration.put_station(replace(station("cs1"), evses=()), ME)


async def test_an_evse_that_is_left_out_is_removed_never_gone(office: Office) -> None:
    await office.administration.put_station(station(evses=2), ME)
    kept = await office.administration.put_station(station(evses=1), ME)
    assert [each.removed for each in kept.evses] == [False, True]
    assert office.live.evse(replace(EVSE, evse=2)).status is EvseStatus.REMOVED


@pytest.mark.parametrize("approval", [Approval.REJECTED, Approval.REMOVED])
async def test_who_is_put_out_loses_the_socket_and_is_told_as_removed(
    office: Office, approval: Approval
) -> None:
    put_out = await office.administration.approve(CS1, approval, ME)
    assert office.link.closed == [CS1]
    assert put_out.seen, "partners knew it: it does not vanish from their lists"
    assert office.live.evse(EVSE).status is EvseStatus.REMOVED


async def test_a_station_under_test_is_seen_only_if_it_was_in_service(office: Office) -> None:
    back = await office.administration.approve(CS1, Approval.TESTING, ME)
    assert back.seen and not back.live
    assert office.live.evse(EVSE).status is EvseStatus.PLANNED
    fresh = replace(station("N"), approval=Approval.PENDING)
    await office.administration.put_station(fresh, ME)
    for approval in (Approval.TESTING, Approval.REJECTED):
        assert not (await office.administration.approve(StationId("N"), approval, ME)).seen


async def test_a_password_is_drawn_once_and_kept_as_a_hash(office: Office) -> None:
    password = await office.administration.new_password(CS1, ME)
    assert password.encode() not in office.catalogue.keys[CS1].digest
    (row,) = await audited(office, "charger.password_changed")
    assert password not in str(row)
    with pytest.raises(InvalidValue):
        await office.administration.set_password(CS1, b"short", ME)
    with pytest.raises(NotFound):
        await office.administration.new_password(StationId("NOBODY"), ME)


async def test_a_line_of_the_price_book_tells_site_and_tariff_again(office: Office) -> None:
    """Who sees a tariff hangs on the lines that name it: hidden ones must be taken back."""
    await office.administration.put_tariff(tariff("T2"), ME)
    head = await office.store.head()
    await office.administration.put_rule(TariffRule("r", TariffId("T2"), EMS, SITE), ME)
    assert await changed_keys(office, "tariff", head) == ["T2"]
    assert await changed_keys(office, "location", head) == [SITE]
    head = await office.store.head()
    await office.administration.drop_rule("r", ME)
    assert await changed_keys(office, "tariff", head) == ["T2"]
    with pytest.raises(NotFound):
        await office.administration.put_rule(TariffRule("r", TariffId("NONE")), ME)


async def test_a_tariff_that_is_shown_cannot_be_dropped(office: Office) -> None:
    with pytest.raises(Conflict, match=r"CS1\*1"):
        await office.administration.drop_tariff(TariffId("T1"), ME)
    await office.administration.put_tariff(tariff("T2"), ME)
    await office.administration.drop_tariff(TariffId("T2"), ME)
    assert TariffId("T2") not in office.catalogue.tariffs


async def test_a_list_of_tokens_is_one_commit_with_one_row(office: Office) -> None:
    cards = [token(f"C{number}") for number in range(5)]
    assert await office.administration.put_tokens(cards, ME) == 5
    assert await office.administration.put_tokens(cards, ME) == 0
    assert len(await audited(office, "token.added")) == 1


async def test_an_api_key_opens_until_it_is_revoked_or_expires(office: Office) -> None:
    soon = office.now + timedelta(hours=1)
    key, text = await office.administration.new_api_key("k", [Right.READ], None, ME, soon)
    assert office.administration.holder_of(text) == key
    assert office.administration.holder_of(text + "x") is None
    assert office.administration.holder_of("nonsense") is None
    office.pass_(hours=1)
    assert office.administration.holder_of(text) is None
    other, text = await office.administration.new_api_key("o", [Right.READ], [SITE], ME)
    await office.administration.revoke_api_key(other.id, ME)
    assert office.administration.holder_of(text) is None
    assert text.split("_", 2)[2] not in str(await office.store.audit(None, Page(0, 500)))


async def test_the_command_lines_key_cannot_be_revoked(office: Office) -> None:
    key, _ = office.administration.draw_key(OPERATOR, "command line", list(Right))
    office.catalogue.api_keys[OPERATOR] = key
    with pytest.raises(Forbidden):
        await office.administration.revoke_api_key(OPERATOR, ME)
