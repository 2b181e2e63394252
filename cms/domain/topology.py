"""The network on the ground: sites, stations, EVSEs, connectors.

OCPI's attributes in the core's own words. Enumerations that only pass through (connector
standards, facilities, parking types, capabilities) are upper-case text as the field writes it and
are checked where they enter.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from zoneinfo import ZoneInfo, available_timezones

from cms.domain.errors import InvalidValue
from cms.domain.ids import EvseRef, EvseUid, LocationId, PartnerId, StationId, TariffId
from cms.domain.status import EvseStatus
from cms.domain.tariff import DisplayText, EnergyMix


class PowerType(StrEnum):
    AC_1_PHASE = "AC_1_PHASE"
    AC_2_PHASE = "AC_2_PHASE"
    AC_2_PHASE_SPLIT = "AC_2_PHASE_SPLIT"
    AC_3_PHASE = "AC_3_PHASE"
    DC = "DC"


class ConnectorFormat(StrEnum):
    SOCKET = "SOCKET"
    CABLE = "CABLE"


CONNECTOR_STANDARDS = frozenset(
    """CHADEMO CHAOJI DOMESTIC_A DOMESTIC_B DOMESTIC_C DOMESTIC_D DOMESTIC_E DOMESTIC_F DOMESTIC_G
    DOMESTIC_H DOMESTIC_I DOMESTIC_J DOMESTIC_K DOMESTIC_L DOMESTIC_M DOMESTIC_N DOMESTIC_O GBT_AC
    GBT_DC IEC_60309_2_single_16 IEC_60309_2_three_16 IEC_60309_2_three_32 IEC_60309_2_three_64
    IEC_62196_T1 IEC_62196_T1_COMBO IEC_62196_T2 IEC_62196_T2_COMBO IEC_62196_T3A IEC_62196_T3C
    NEMA_5_20 NEMA_6_30 NEMA_6_50 NEMA_10_30 NEMA_10_50 NEMA_14_30 NEMA_14_50 PANTOGRAPH_BOTTOM_UP
    PANTOGRAPH_TOP_DOWN TESLA_R TESLA_S MCS SAE_J3400""".split()
)


@dataclass(frozen=True, slots=True)
class Connector:
    """One plug or socket.

    Attributes:
        number: 1-based within its EVSE.
        max_voltage: V, line to neutral for three phases.
        max_amperage: A per phase.
        max_power_w: W, where the real limit lies below volts times amperes.
        tariffs: base tariffs, in order of preference.
        capabilities: what drivers can really use here, e.g. ``"ISO_15118_2_PLUG_AND_CHARGE"``.
    """

    number: int
    standard: str
    format: ConnectorFormat
    power_type: PowerType
    max_voltage: int
    max_amperage: int
    max_power_w: int | None = None
    tariffs: tuple[TariffId, ...] = ()
    terms_url: str | None = None
    capabilities: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.number < 1:
            raise InvalidValue("number", "a connector's number starts at 1")
        if self.standard not in CONNECTOR_STANDARDS:
            raise InvalidValue("standard", f"{self.standard!r} is no connector standard of OCPI")
        for name in ("max_voltage", "max_amperage"):
            if getattr(self, name) <= 0:
                raise InvalidValue(name, "must be above 0")

    @property
    def power_w(self) -> int:
        """The most this connector can deliver, W."""
        if self.max_power_w is not None:
            return self.max_power_w
        phases = {PowerType.AC_3_PHASE: 3, PowerType.AC_2_PHASE: 2}.get(self.power_type, 1)
        return self.max_voltage * self.max_amperage * phases


@dataclass(frozen=True, slots=True)
class ParkingPlace:
    """A space in which vehicles park while they charge.

    Attributes:
        id: unique at its site, at most 36 characters.
        vehicle_types: for which it is made, at least one: ``"PERSONAL_VEHICLE"``, ``"VAN"`` ...
        restricted_to_type: other vehicles may not park even if they fit.
        max_weight_kg: kilograms; all lengths are in centimetres.
        direction: PARALLEL, PERPENDICULAR or ANGLE to the road.
    """

    id: str
    vehicle_types: tuple[str, ...]
    restricted_to_type: bool = False
    reservation_required: bool = False
    physical_reference: str | None = None
    max_weight_kg: int | None = None
    max_height_cm: int | None = None
    max_length_cm: int | None = None
    max_width_cm: int | None = None
    length_cm: int | None = None
    width_cm: int | None = None
    dangerous_goods_allowed: bool | None = None
    direction: str | None = None
    drive_through: bool | None = None
    time_limit_minutes: int | None = None
    roofed: bool | None = None
    lit: bool | None = None

    def __post_init__(self) -> None:
        if not 1 <= len(self.id) <= 36:
            raise InvalidValue("parking_places.id", "1 to 36 characters")
        if not self.vehicle_types:
            raise InvalidValue("vehicle_types", f"parking place {self.id} needs at least one")
        if self.direction not in (None, "PARALLEL", "PERPENDICULAR", "ANGLE"):
            raise InvalidValue("direction", f"{self.direction!r} is no direction of parking")


@dataclass(frozen=True, slots=True)
class EvseParking:
    """A parking place that an EVSE serves; *position* of the EVSE: LEFT, RIGHT or CENTER."""

    place: str
    position: str | None = None

    def __post_init__(self) -> None:
        if self.position not in (None, "LEFT", "RIGHT", "CENTER"):
            raise InvalidValue("position", f"{self.position!r} is none of LEFT, RIGHT, CENTER")


@dataclass(frozen=True, slots=True)
class Image:
    """A picture on the web.

    Attributes:
        category: what it shows, upper-case text as the field writes it, e.g. ``"LOCATION"``.
        type: of the file, at most 4 characters, e.g. ``"jpeg"``.
        width, height: pixels.
    """

    url: str
    category: str
    type: str
    thumbnail: str | None = None
    width: int | None = None
    height: int | None = None

    def __post_init__(self) -> None:
        if not 1 <= len(self.type) <= 4:
            raise InvalidValue("type", f"{self.type!r} is not 1 to 4 characters")


@dataclass(frozen=True, slots=True)
class PlannedStatus:
    """A status that is foreseen; for information only, the status itself is told when it comes.

    Attributes:
        end: None = until further notice.
    """

    begin: datetime
    status: EvseStatus
    end: datetime | None = None


@dataclass(frozen=True, slots=True)
class Evse:
    """One place to charge one car at a time.

    Attributes:
        uid: what partners call it, stable for ever.
        evse_id: the printed eMI3 id, e.g. ``"IN*CPO*E0001"``; None until given.
        coordinates: where they are not the site's.
    """

    ref: EvseRef
    uid: EvseUid
    connectors: tuple[Connector, ...]
    evse_id: str | None = None
    capabilities: tuple[str, ...] = ("REMOTE_START_STOP_CAPABLE", "RFID_READER")
    floor_level: str | None = None
    physical_reference: str | None = None
    parking_restrictions: tuple[str, ...] = ()
    removed: bool = False
    parking: tuple[EvseParking, ...] = ()
    coordinates: Coordinates | None = None
    directions: tuple[DisplayText, ...] = ()
    images: tuple[Image, ...] = ()
    schedule: tuple[PlannedStatus, ...] = ()

    def __post_init__(self) -> None:
        if not self.connectors:
            raise InvalidValue("connectors", f"EVSE {self.uid} needs at least one")
        if len(self.uid) > 36:
            raise InvalidValue("uid", "at most 36 characters")

    def connector(self, number: int) -> Connector | None:
        return next((each for each in self.connectors if each.number == number), None)


class Approval(StrEnum):
    """How far a station has come into the network."""

    PENDING = "pending"  # enrolled, waits for a person
    TESTING = "testing"  # may charge for its first test, unseen by partners
    APPROVED = "approved"
    REJECTED = "rejected"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class ChargingStation:
    """A station as the operator defines it. What it says of itself is in ``StationRecord``.

    Attributes:
        profile: name of the adapter profile to use; None lets the station's identity decide.
        from_file: defined by the config file and read-only elsewhere.
        published: it was in service once, so partners know its EVSEs. What they know never
            vanishes; it is told as PLANNED or REMOVED from then on.
        reserves_any: it can hold any one of its EVSEs, without saying which, until the driver is
            there.
        changed_at: when it was last replaced by something else.
    """

    id: StationId
    location: LocationId
    evses: tuple[Evse, ...]
    approval: Approval = Approval.APPROVED
    profile: str | None = None
    from_file: bool = False
    created_at: datetime | None = None
    published: bool = False
    reserves_any: bool = False
    changed_at: datetime | None = None

    def evse(self, number: int) -> Evse | None:
        if 0 < number <= len(self.evses):  # as a rule they are numbered from 1, in order
            likely = self.evses[number - 1]
            if likely.ref.evse == number:
                return likely
        return next((each for each in self.evses if each.ref.evse == number), None)

    @property
    def live(self) -> bool:
        return self.approval is Approval.APPROVED

    @property
    def seen(self) -> bool:
        """Whether partners may know of it."""
        return self.live or self.published

    @property
    def put_out(self) -> bool:
        """Whether it is no part of the network (any more): it may not connect."""
        return self.approval in (Approval.REJECTED, Approval.REMOVED)


@dataclass(frozen=True, slots=True)
class Hours:
    """Opening on one weekday, site time, ``"HH:MM"``; end after begin (overnight: two entries)."""

    weekday: int
    begin: str
    end: str

    def __post_init__(self) -> None:
        if not 1 <= self.weekday <= 7:
            raise InvalidValue("weekday", f"{self.weekday} is not 1 (Monday) to 7")
        if self.end <= self.begin:
            raise InvalidValue("end", f"{self.end} is not after {self.begin}: use two entries")


@dataclass(frozen=True, slots=True)
class ExceptionalPeriod:
    begin: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class OpeningTimes:
    """When a site is open. Exceptional openings add to it; closings override everything."""

    twentyfourseven: bool = True
    regular: tuple[Hours, ...] = ()
    openings: tuple[ExceptionalPeriod, ...] = ()
    closings: tuple[ExceptionalPeriod, ...] = ()


@dataclass(frozen=True, slots=True)
class Coordinates:
    """WGS 84 in decimal degrees, kept as Decimal so that the wire shows what was given."""

    latitude: Decimal
    longitude: Decimal

    def __post_init__(self) -> None:
        if not -90 <= self.latitude <= 90:
            raise InvalidValue("latitude", f"{self.latitude} is not within -90 .. 90")
        if not -180 <= self.longitude <= 180:
            raise InvalidValue("longitude", f"{self.longitude} is not within -180 .. 180")


@dataclass(frozen=True, slots=True)
class Business:
    name: str
    website: str | None = None
    logo: str | None = None


@dataclass(frozen=True, slots=True)
class AllowedToken:
    """Whose drivers may be shown a site that is not published: what is given must all agree.

    Enough is given with uid and type, with visual number and issuer, or with a group.
    """

    uid: str | None = None
    type: str | None = None
    visual_number: str | None = None
    issuer: str | None = None
    group: str | None = None

    def __post_init__(self) -> None:
        pairs = (self.uid, self.type), (self.visual_number, self.issuer)
        if self.group is None and not any(None not in pair for pair in pairs):
            raise InvalidValue(
                "publish_to", "needs uid and type, or visual_number and issuer, or group"
            )


@dataclass(frozen=True, slots=True)
class Location:
    """A site.

    Attributes:
        party: our own ``country_code*party_id`` that owns it towards partners.
        country: ISO 3166-1 alpha-3.
        time_zone: IANA name; bills and sums are cut by its calendar.
        publish: whether apps may show it to everybody.
        publish_to: whose drivers may see it all the same; only where it is not published.
        changed_at: when it was last replaced by something else; the audit knows what was before.
        home_charging: a driver's own home: bills say that its driver is to be compensated.
        roaming: whether partners hear of it at all; False is a purely private site.
        help_phone: whom drivers may call, at most 25 characters.
        site_secret: path secret of the enrolment lane; None = nobody enrols here.
    """

    id: LocationId
    party: PartnerId
    address: str
    city: str
    country: str
    coordinates: Coordinates
    time_zone: str
    name: str | None = None
    postal_code: str | None = None
    state: str | None = None
    operator: Business | None = None
    owner: Business | None = None
    suboperator: Business | None = None
    opening: OpeningTimes = OpeningTimes()
    charging_when_closed: bool = True
    publish: bool = True
    parking_type: str | None = None
    facilities: tuple[str, ...] = ()
    from_file: bool = False
    removed: bool = False
    created_at: datetime | None = None
    parking_places: tuple[ParkingPlace, ...] = ()
    help_phone: str | None = None
    publish_to: tuple[AllowedToken, ...] = ()
    roaming: bool = True
    directions: tuple[DisplayText, ...] = ()
    images: tuple[Image, ...] = ()
    energy_mix: EnergyMix | None = None
    changed_at: datetime | None = None
    home_charging: bool = False

    def __post_init__(self) -> None:
        if self.publish and self.publish_to:
            raise InvalidValue("publish_to", "is for sites that are not published")
        if not re.fullmatch(r"[A-Z]{2}\*[A-Z0-9]{3}", self.party):
            raise InvalidValue("party", f"{self.party!r} is not like IN*CPO")
        if not re.fullmatch(r"[A-Z]{3}", self.country):
            raise InvalidValue("country", f"{self.country!r} is not three letters (ISO 3166-1)")
        if self.time_zone not in _ZONES:
            raise InvalidValue("time_zone", f"{self.time_zone!r} is no time zone (IANA)")
        if not 1 <= len(self.id) <= 36:
            raise InvalidValue("id", "1 to 36 characters")
        if len({each.id for each in self.parking_places}) != len(self.parking_places):
            raise InvalidValue("parking_places", "two of them have the same id")

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)


_ZONES = available_timezones()


@dataclass(frozen=True, slots=True)
class StationRecord:
    """What a station said of itself and how often it came; survives restarts.

    Attributes:
        visit: number of its newest connection; a higher one fences a lower one.
        boots: how many BootNotifications we have seen.
        dialect: label of the protocol version it spoke last, e.g. ``"1.6"``; opaque to the core.
    """

    id: StationId
    visit: int = 0
    boots: int = 0
    vendor: str = ""
    model: str = ""
    serial: str = ""
    firmware: str = ""
    dialect: str = ""
    last_boot_at: datetime | None = None
    last_seen_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class StationKey:
    """A station's password, as a salted fast hash (machine-made keys have 128 bits or more)."""

    station: StationId
    salt: bytes
    digest: bytes
    open: bool = False
    """True only where the station's own config says ``auth = "none"``."""


def unique_uids(stations: Sequence[ChargingStation]) -> None:
    """Check that no two EVSEs share a uid.

    Raises:
        InvalidValue: naming both EVSEs.
    """
    seen: dict[str, EvseRef] = {}
    for station in stations:
        for evse in station.evses:
            other = seen.setdefault(evse.uid.casefold(), evse.ref)
            if other != evse.ref:
                raise InvalidValue("uid", f"{evse.uid!r} names both {other} and {evse.ref}")
