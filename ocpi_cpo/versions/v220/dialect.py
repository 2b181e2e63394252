"""OCPI 2.2 as a ``Dialect``: fewer connectors, a bill without what 2.2.1 added to it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from cms.domain.cdr import Cdr
from cms.domain.rated import Rating
from cms.domain.session import Session
from cms.domain.topology import Connector, Location
from ocpi_cpo.versions.v221.bills import NOT_AVAILABLE
from ocpi_cpo.versions.v221.dialect import V221
from ocpi_cpo.versions.v221.topology import EvseView
from ocpi_cpo.wire import Json

NEWER_STANDARDS = frozenset(
    "CHAOJI DOMESTIC_M DOMESTIC_N DOMESTIC_O GBT_AC GBT_DC NEMA_5_20 NEMA_6_30 NEMA_6_50"
    " NEMA_10_30 NEMA_10_50 NEMA_14_30 NEMA_14_50".split()
)
NEWER_CAPABILITY = "START_SESSION_CONNECTOR_REQUIRED"
_POWER = {"AC_2_PHASE": "AC_1_PHASE", "AC_2_PHASE_SPLIT": "AC_1_PHASE"}
"""The nearest that promises no more than there is."""

LONGEST_SIGNED = 512


class V220(V221):
    """Everything that 2.2.1 has no other word for is the same."""

    version = "2.2"
    newer_standards = V221.newer_standards | NEWER_STANDARDS

    # -- what we send

    def evse(self, view: EvseView) -> Json:
        return _evse(super().evse(view))

    def location(self, site: Location, evses: Sequence[EvseView], updated: datetime | None) -> Json:
        core = super().location(site, evses, updated)
        if not core.get("evses"):
            return core
        return {**core, "evses": [_evse(each) for each in core["evses"]]}

    def connector(self, plug: Connector, view: EvseView) -> Json:
        return _connector(super().connector(plug, view))

    def session(
        self,
        own: Session,
        site: Location,
        view: EvseView,
        rating: Rating | None,
        updated: datetime,
    ) -> Json:
        core = super().session(own, site, view, rating, updated)
        return {**core, "cdr_token": _token(core["cdr_token"])}

    def cdr(self, own: Cdr, updated: datetime) -> Json:
        """Return a bill.

        Raises:
            ValueError: its connector has no form here.
        """
        core = super().cdr(own, updated)
        if core["cdr_location"]["connector_standard"] in self.newer_standards:
            raise ValueError(f"2.2 knows no connector {core['cdr_location']['connector_standard']}")
        found = {**core, "cdr_token": _token(core["cdr_token"])}
        found["cdr_location"] = _place(core["cdr_location"])
        found.pop("home_charging_compensation", None)
        if _too_long(found.get("signed_data")):
            del found["signed_data"]  # half a signature proves nothing
        return found


def _evse(core: Json) -> Json:
    found = {**core, "connectors": [_connector(each) for each in core["connectors"]]}
    known = [each for each in core.get("capabilities") or () if each != NEWER_CAPABILITY]
    found.pop("capabilities", None)
    return {**found, "capabilities": known} if known else found


def _connector(core: Json) -> Json:
    return {**core, "power_type": _POWER.get(core["power_type"], core["power_type"])}


def _token(core: Json) -> Json:
    """Return a token in a session or bill: whose it is, is not said."""
    return {name: core[name] for name in ("uid", "type", "contract_id")}


def _place(core: Json) -> Json:
    found = {"postal_code": NOT_AVAILABLE, **core}
    found.pop("state", None)
    power = found["connector_power_type"]
    return {**found, "connector_power_type": _POWER.get(power, power)}


def _too_long(signed: Json | None) -> bool:
    values = (signed or {}).get("signed_values") or ()
    return any(
        len(each[name]) > LONGEST_SIGNED
        for each in values
        for name in ("plain_data", "signed_data")
    )
