"""What 2.3.0 adds to sites, EVSEs and connectors. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence

from cms.domain.topology import Connector, EvseParking, Location, ParkingPlace
from ocpi_cpo.versions.v221.topology import EvseView
from ocpi_cpo.wire import Json, shortened

LONGEST_PHONE = 25


def location(site: Location, evses: Sequence[EvseView], core: Json) -> Json:
    """Return a whole Location."""
    found = dict(core)
    if core.get("evses"):
        pairs = zip(evses, core["evses"], strict=True)
        found["evses"] = [evse(view, wire) for view, wire in pairs]
    if site.parking_places:
        found["parking_places"] = [parking_place(each) for each in site.parking_places]
    if site.help_phone is not None and len(site.help_phone) <= LONGEST_PHONE:
        found["help_phone"] = site.help_phone  # half a number reaches nobody
    return found


def evse(view: EvseView, core: Json) -> Json:
    """Return a whole EVSE."""
    pairs = zip(view.evse.connectors, core["connectors"], strict=True)
    found = {**core, "connectors": [connector(plug, wire) for plug, wire in pairs]}
    if view.parking:
        found["parking"] = [parking(each) for each in view.parking]
    return found


def connector(plug: Connector, core: Json) -> Json:
    """Return a whole Connector."""
    return {**core, "capabilities": list(plug.capabilities)} if plug.capabilities else core


def parking(own: EvseParking) -> Json:
    """Return which parking place an EVSE serves."""
    side = {} if own.position is None else {"evse_position": own.position}
    return {"parking_id": own.place, **side}


def parking_place(own: ParkingPlace) -> Json:
    """Return a whole Parking."""
    details = {
        "physical_reference": own.physical_reference and shortened(own.physical_reference, 12),
        "max_vehicle_weight": own.max_weight_kg,
        "max_vehicle_height": own.max_height_cm,
        "max_vehicle_length": own.max_length_cm,
        "max_vehicle_width": own.max_width_cm,
        "parking_space_length": own.length_cm,
        "parking_space_width": own.width_cm,
        "dangerous_goods_allowed": own.dangerous_goods_allowed,
        "direction": own.direction,
        "drive_through": own.drive_through,
        "time_limit": own.time_limit_minutes,
        "roofed": own.roofed,
        "lighting": own.lit,
    }
    return {
        "id": own.id,
        "vehicle_types": list(own.vehicle_types),
        "restricted_to_type": own.restricted_to_type,
        "reservation_required": own.reservation_required,
        **{name: value for name, value in details.items() if value is not None},
    }
