"""Who may connect: passwords, lanes, newcomers. Memory only."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from cms.app.catalogue import Catalogue
from cms.app.gatekeeping import COMING_WITHIN, EnrolmentLane, Gate, hash_key, new_password
from cms.app.ports import Admitted
from cms.domain.ids import LocationId, StationId
from cms.domain.topology import Approval, StationKey
from cms.store.memory import MemoryStore
from tests.unit.office import CS1, SITE, location, station

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
PASSWORD = b"0123456789abcdef"
SECRET = "lane-secret-0123456789"


class Door:
    """A gate over a catalogue with one station that has a password."""

    def __init__(self, *lanes: EnrolmentLane) -> None:
        self.now = NOW
        self.catalogue = Catalogue()
        self.catalogue.put_location(location())
        self.catalogue.put_location(location("BLR-2"))
        self.catalogue.put_station(station())
        self.catalogue.keys[CS1] = hash_key(CS1, PASSWORD)
        self.gate = Gate(self.catalogue, MemoryStore(lambda: self.now), lambda: self.now, lanes)

    def knock(
        self, identity: str = CS1, password: bytes | None = PASSWORD, *path: str,
        source: str = "203.0.113.9",
    ) -> Admitted:  # fmt: skip
        return self.gate.admit(identity, password, source, path).verdict

    def keyless(self, approval: Approval) -> None:
        """Put a station that came through a lane and has no password yet."""
        self.catalogue.put_station(replace(station("NEW"), approval=approval))


def lane(**more: object) -> EnrolmentLane:
    given = {"location": SITE, "until": NOW + timedelta(hours=1), "secret": SECRET} | more
    return EnrolmentLane(**given)  # type: ignore[arg-type]


def test_the_right_password_opens_and_any_other_does_not() -> None:
    door = Door()
    assert door.knock() is Admitted.YES
    for wrong in (b"", None, PASSWORD + b"x", PASSWORD.upper(), b"\xff\xfe"):
        assert door.knock(password=wrong) is Admitted.WRONG_PASSWORD


def test_an_identity_is_known_whatever_its_case() -> None:
    admission = Door().gate.admit("cs1", PASSWORD, "", ())
    assert admission.station == CS1


def test_a_password_is_kept_salted() -> None:
    first, second = hash_key(CS1, PASSWORD), hash_key(CS1, PASSWORD)
    assert first.salt != second.salt and first.digest != second.digest
    assert PASSWORD not in first.digest


def test_drawn_passwords_are_long_and_never_the_same() -> None:
    drawn = {new_password() for _ in range(100)}
    assert len(drawn) == 100 and all(len(each) >= 16 for each in drawn)


def test_a_station_whose_config_says_so_needs_no_password() -> None:
    door = Door()
    door.catalogue.keys[CS1] = StationKey(CS1, b"", b"", open=True)
    assert door.knock(password=None) is Admitted.YES


@pytest.mark.parametrize("approval", [Approval.REJECTED, Approval.REMOVED])
def test_a_station_that_was_put_out_stays_out_with_the_right_password(approval: Approval) -> None:
    door = Door()
    door.catalogue.put_station(replace(station(), approval=approval))
    assert door.knock() is Admitted.BLOCKED


def test_a_stranger_is_unknown_and_leaves_nothing() -> None:
    door = Door()
    assert door.knock("NEW") is Admitted.UNKNOWN
    assert door.gate.newcomers == {}


def test_a_lane_opens_by_its_secret_in_the_path() -> None:
    door = Door(lane())
    assert door.knock("NEW", None, "ocpp", SECRET) is Admitted.YES
    assert door.gate.newcomers[StationId("NEW")].approval is Approval.PENDING
    assert door.knock("OTHER", None, "ocpp", SECRET + "x") is Admitted.UNKNOWN


def test_a_lane_opens_by_source_address() -> None:
    door = Door(lane(secret=None, networks=("10.1.0.0/16", "2001:db8::/32")))
    assert door.knock("A", None, source="10.1.2.3") is Admitted.YES
    assert door.knock("B", None, source="2001:db8::7") is Admitted.YES
    assert door.knock("C", None, source="10.2.0.1") is Admitted.UNKNOWN
    assert door.knock("D", None, source="not an address") is Admitted.UNKNOWN


def test_a_lane_may_ask_for_a_password_that_newcomers_share() -> None:
    door = Door(lane(password="shared-0123456789"))
    assert door.knock("NEW", b"shared-0123456789", SECRET) is Admitted.YES
    assert door.knock("OTHER", None, SECRET) is Admitted.UNKNOWN


def test_a_lane_closes_in_time() -> None:
    door = Door(lane())
    door.now += timedelta(hours=1)
    assert door.knock("NEW", None, SECRET) is Admitted.UNKNOWN


def test_a_lane_to_a_site_that_nobody_knows_is_closed() -> None:
    assert Door(lane(location=LocationId("GONE"))).knock("NEW", None, SECRET) is Admitted.UNKNOWN


def test_a_lane_lets_only_so_many_wait() -> None:
    door = Door(lane(most=2))
    assert [door.knock(each, None, SECRET) for each in "ABC"] == [
        Admitted.YES, Admitted.YES, Admitted.BLOCKED,
    ]  # fmt: skip
    assert door.knock("A", None, SECRET) is Admitted.YES, "it has its place already"


def test_a_newcomer_that_never_came_gives_its_place_back() -> None:
    door = Door(lane(most=1))
    assert door.knock("A", None, SECRET) is Admitted.YES
    door.now += COMING_WITHIN + timedelta(seconds=1)
    assert door.knock("B", None, SECRET) is Admitted.YES
    assert list(door.gate.newcomers) == ["B"]


def test_who_waits_in_the_catalogue_counts() -> None:
    door = Door(lane(most=1))
    door.keyless(Approval.PENDING)
    assert door.knock("A", None, SECRET) is Admitted.BLOCKED
    door.keyless(Approval.APPROVED)
    assert door.knock("A", None, SECRET) is Admitted.YES


@pytest.mark.parametrize("approval", [Approval.PENDING, Approval.TESTING, Approval.APPROVED])
def test_an_enrolled_station_without_a_password_keeps_its_lane(approval: Approval) -> None:
    door = Door(lane())
    door.keyless(approval)
    assert door.knock("NEW", None, SECRET) is Admitted.YES
    assert door.knock("NEW", None) is Admitted.WRONG_PASSWORD
    assert door.knock("NEW", b"") is Admitted.WRONG_PASSWORD


def test_a_lane_to_one_site_is_no_door_to_a_station_of_another() -> None:
    door = Door(lane(location=LocationId("BLR-2")))
    door.keyless(Approval.APPROVED)
    assert door.knock("NEW", None, SECRET) is Admitted.WRONG_PASSWORD


def test_once_it_has_a_password_the_lane_is_no_door_any_more() -> None:
    door = Door(lane())
    assert door.knock(CS1, None, SECRET) is Admitted.WRONG_PASSWORD


def test_what_a_station_said_at_boot_is_known_at_the_next_handshake() -> None:
    door = Door()
    assert door.gate.admit(CS1, PASSWORD, "", ()).boot is None
    record = replace(door.catalogue.record(CS1), vendor="ACME", last_boot_at=NOW)
    door.catalogue.records[CS1] = record
    boot = door.gate.admit(CS1, PASSWORD, "", ()).boot
    assert boot is not None and boot.vendor == "ACME"
