"""The core's values -> plain data for API and page. Pure functions, one per thing shown."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

from cms.app.casefile import Story
from cms.app.catalogue import Catalogue
from cms.app.live import LiveState
from cms.app.ports import DatedCdr, ParkedObject
from cms.app.quoting import Quote
from cms.app.sums import DaySum
from cms.domain.audit import AuditEntry, WorkItem
from cms.domain.derived import PriceBook
from cms.domain.money import Price, to_decimal
from cms.domain.partner import ApiKey, Partner
from cms.domain.price_change import PriceChange
from cms.domain.reservation import Reservation
from cms.domain.session import Session
from cms.domain.status import EvseState
from cms.domain.tariff import Tariff
from cms.domain.topology import ChargingStation, Location

Json = dict[str, Any]


def site(location: Location, stations: Iterable[ChargingStation], live: LiveState) -> Json:
    """A site with a count of its EVSEs by status."""
    counts: dict[str, int] = {}
    number = 0
    for station in stations:
        number += 1
        for evse in station.evses:
            status = live.evse(evse.ref).status.value
            counts[status] = counts.get(status, 0) + 1
    return {
        "id": location.id,
        "name": location.name or location.address,
        "address": location.address,
        "city": location.city,
        "country": location.country,
        "latitude": location.coordinates.latitude,
        "longitude": location.coordinates.longitude,
        "time_zone": location.time_zone,
        "publish": location.publish,
        "chargers": number,
        "evses_by_status": counts,
    }


def charger(station: ChargingStation, catalogue: Catalogue, live: LiveState) -> Json:
    """A charger: what it is, what it said of itself, how its EVSEs are now."""
    record = catalogue.record(station.id)
    return {
        "id": station.id,
        "site": station.location,
        "approval": station.approval,
        "profile": station.profile,
        "from_file": station.from_file,
        "online": any(state.online for state in live.station(station.id)),
        "vendor": record.vendor,
        "model": record.model,
        "serial": record.serial,
        "firmware": record.firmware,
        "protocol": record.dialect,
        "last_boot_at": record.last_boot_at,
        "last_seen_at": record.last_seen_at,
        "evses": [
            {
                **evse(live.evse(each.ref), live),
                "uid": each.uid,
                "evse_id": each.evse_id,
                "connectors": [
                    {
                        "number": connector.number,
                        "standard": connector.standard,
                        "format": connector.format,
                        "power_type": connector.power_type,
                        "power_w": connector.power_w,
                        "tariffs": list(connector.tariffs),
                    }
                    for connector in each.connectors
                ],
            }
            for each in station.evses
        ],
    }


def evse(state: EvseState, live: LiveState) -> Json:
    """An EVSE's live state, with the running session's progress."""
    running = live.session(state.session) if state.session is not None else None
    return {
        "number": state.ref.evse,
        "charger": state.ref.station,
        "status": state.status,
        "presence": state.presence,
        "reservation": state.reservation,
        "last_updated": state.last_updated,
        "error": state.error,
        "session": None if running is None else session(running),
    }


def session(each: Session) -> Json:
    return {
        "id": each.id,
        "status": each.status,
        "site": each.location,
        "charger": each.station,
        "evse": each.evse,
        "connector": each.connector,
        "transaction": each.transaction,
        "protocol": each.dialect,
        "id_token": each.id_token,
        "partner": each.owner,
        "contract": each.token.contract_id if each.token is not None else None,
        "auth_method": each.method,
        "reference": each.reference,
        "started_at": each.started_at,
        "activated_at": each.activated_at,
        "ended_at": each.ended_at,
        "start_wh": each.start_wh,
        "last_wh": each.last_wh,
        "energy_wh": each.delivered_wh,
        "power_w": each.power_w,
        "charging": each.charging,
        "last_sample_at": each.last_at,
        "stop_reason": each.stop_reason,
        "reservation": each.reservation,
        "held_from": each.held_from,
        "tariff_switched_at": [switch.at for switch in each.switches],
        "flags": list(each.flags),
    }


def reservation(each: Reservation) -> Json:
    """A reservation. Whose card it is stands there, as in sessions; where to answer does not."""
    hold = each.hold
    return {
        "id": each.id,
        "name": each.name,
        "state": each.state,
        "site": each.location,
        "charger": hold.station,
        "evse": hold.evse,
        "partner": each.owner,
        "token": hold.token.uid,
        "id_token": hold.id_token,
        "expires_at": hold.expires_at,
        "asked_by": hold.asked_by,
        "reference": hold.reference,
        "created_at": each.created_at,
        "held_at": each.held_at,
        "ended_at": each.ended_at,
        "why": each.why,
        "session": each.session,
        "charger_may_still_hold_it": each.owed,
    }


def price(total: Price, currency: str, *, final: bool) -> Json:
    """What a session costs; *final* once its bill is made."""
    net, gross = total.net.amount, total.gross.amount
    return {
        "net": net,
        "tax": gross - net,
        "gross": gross,
        "currency": currency,
        "final": final,
    }


def cdr(dated: DatedCdr) -> Json:
    bill = dated.cdr
    net, gross = bill.total.net.amount, bill.total.gross.amount
    return {
        "id": bill.id,
        "session": bill.session,
        "partner": bill.owner,
        "site": bill.place.location,
        "charger": bill.place.station,
        "evse": bill.place.evse,
        "evse_uid": bill.place.evse_uid,
        "connector": bill.place.connector,
        "contract": bill.token.contract_id if bill.token is not None else None,
        "started_at": bill.started_at,
        "ended_at": bill.ended_at,
        "energy_wh": bill.energy_wh,
        "currency": bill.currency,
        "total_net": net,
        "total_tax": gross - net,
        "total_gross": gross,
        "taxes": [
            {"name": tax.name, "percent": tax.percent, "amount": tax.amount.amount}
            for tax in bill.total.taxes
        ],
        "rounding": None if bill.total.rounding is None else bill.total.rounding.amount,
        "tariffs": [tariff.id for tariff in bill.tariffs],
        "trace": list(bill.trace),
        "credit_of": bill.credit_of,
        "invoice_reference": bill.invoice_reference,
        "remark": bill.remark,
        "created_at": bill.created_at,
    }


def day_sum(each: DaySum) -> Json:
    return {
        "site": each.location,
        "day": each.day.isoformat(),
        "currency": each.currency,
        "bills": each.bills,
        "energy_wh": each.energy_wh,
        "net": each.net,
        "tax": each.gross - each.net,
        "gross": each.gross,
    }


def tariff(each: Tariff) -> Json:
    """A tariff in the words in which it is put: weekdays count from 1, Monday."""
    view: Json = as_plain(each)
    for element in view["elements"]:
        days = element["restrictions"]["day_of_week"]
        element["restrictions"]["day_of_week"] = [day + 1 for day in days]
    return view


def price_book(each: PriceBook) -> Json:
    return {
        "id": each.id,
        "percent": each.markup.percent,
        "per_kwh": each.markup.per_kwh,
        "per_session": each.markup.per_session,
        "currency": each.currency,
        "partners": sorted(each.partners),
    }


def price_change(each: PriceChange, now: datetime) -> Json:
    """A change of prices; *state* is scheduled, beginning (some sites), begun or withdrawn."""
    state = "begun" if each.last <= now else "beginning" if each.first <= now else "scheduled"
    return {
        "id": each.id,
        "state": "withdrawn" if each.withdrawn else state,
        "tariff": each.tariff,
        "replaces": each.replaces,
        "restores": each.restores,
        "rule": None if each.rule is None else as_plain(each.rule),
        "begins": [{"site": moment.location, "at": moment.at} for moment in each.moments],
        "unacknowledged": each.unacknowledged,
        "made_at": each.made_at,
        "made_by": each.made_by,
        "withdrawn_at": each.withdrawn_at,
    }


def quote(each: Quote) -> Json:
    """What a planned charge costs, line by line as a bill would show it."""
    total = each.rating.total
    return {
        "site": each.place.location.id,
        "evse": each.place.evse.uid,
        "connector": each.connector.number,
        "partner": each.partner,
        "tariff": tariff(each.tariff),
        "power_w": each.power_w,
        "start": each.start,
        "end": each.end,
        "energy_wh": each.plan.energy,
        "charging_seconds": int(each.plan.charging.total_seconds()),
        "parking_seconds": int(each.plan.parking.total_seconds()),
        "lines": [
            {
                "dimension": line.dimension,
                "element": line.element,
                "volume": _number(line.volume),
                "billed": _number(line.billed),
                "price": line.price,
                "basis": line.basis,
                "net": to_decimal(line.net),
                "gross": to_decimal(line.gross),
            }
            for line in each.rating.lines
        ],
        "periods": [
            {
                "start": period.start,
                "end": period.end,
                "kind": period.kind,
                "energy_wh": _number(period.wh),
                "energy_element": period.energy,
                "time_element": period.time,
            }
            for period in each.rating.periods
        ],
        "currency": each.rating.currency,
        "total_net": total.net.amount,
        "taxes": [
            {"name": tax.name, "percent": tax.percent, "amount": tax.amount.amount}
            for tax in total.taxes
        ],
        "rounding": None if total.rounding is None else total.rounding.amount,
        "total_gross": total.gross.amount,
        "trace": list(each.rating.trace),
    }


def _number(value: int | Fraction) -> int | Decimal:
    return value if isinstance(value, int) else to_decimal(value)


def story(each: Story) -> Json:
    return {
        "session": session(each.session),
        "time_zone": each.zone.key,
        "steps": [
            {
                "at": step.at,
                "site_time": each.site_time(step),
                "kind": step.kind,
                "title": step.title,
                "detail": step.detail,
            }
            for step in each.steps
        ],
    }


def work_item(item: WorkItem) -> Json:
    return {
        "id": item.id,
        "type": item.type,
        "subject": item.subject,
        "charger": item.station,
        "site": item.location,
        "opened_at": item.opened_at,
        "evidence": item.evidence,
        "actions": list(item.actions),
        "closed_at": item.closed_at,
        "closed_by": item.closed_by,
        "action": item.action,
        "note": item.note,
    }


def audit_entry(entry: AuditEntry) -> Json:
    return {
        "at": entry.at,
        "who": entry.who,
        "what": entry.what,
        "subject": entry.subject,
        "before": entry.before,
        "after": entry.after,
        "reason": entry.reason,
    }


def partner(each: Partner) -> Json:
    return {
        "id": each.id,
        "name": each.name,
        "state": each.state,
        "authorise_in_real_time": each.authorise_in_real_time,
        "allow_private_addresses": each.allow_private_addresses,
        "profile": each.profile,
        "switches": dict(each.switches),
        "sharing": {
            "sites": each.sharing.sites,
            "owners": each.sharing.owners,
            "status": each.sharing.status,
            "delay_minutes": each.sharing.delay_minutes,
            "tariffs": each.sharing.tariffs,
            "since": each.sharing.since,
        },
        "networks": each.networks,
        "certificates": each.certificates,
        "our_certificate": each.our_certificate,
        "connected_at": each.connected_at,
        "created_at": each.created_at,
        "role": each.role,
        "via": each.via,
        "broadcast": each.broadcast,
    }


def parked(each: ParkedObject) -> Json:
    """What a partner would not take, with its last answer as it was kept."""
    last = each.last
    return {
        "kind": each.kind,
        "key": each.key,
        "why": each.why,
        "since": each.since,
        "attempts": each.attempts,
        "retry_at": each.retry_at,
        "last": None
        if last is None
        else {
            "at": last.at,
            "method": last.method,
            "url": last.url,
            "http_status": last.http_status,
            "took_ms": last.took_ms,
            "request": last.request.decode("utf-8", "replace"),
            "answer": last.answer.decode("utf-8", "replace"),
        },
    }


def api_key(each: ApiKey) -> Json:
    """A key without anything that could be used as one."""
    return {
        "id": each.id,
        "name": each.name,
        "rights": sorted(each.rights),
        "sites": None if each.sites is None else sorted(each.sites),
        "expires_at": each.expires_at,
        "revoked": each.revoked,
        "created_at": each.created_at,
    }


def as_plain(value: Any) -> Any:
    """Any frozen value of the core (tariffs, rules, tokens) as plain data, every field named."""
    if is_dataclass(value):
        names = [each.name for each in fields(value) if not each.name.startswith("_")]
        return {name: as_plain(getattr(value, name)) for name in names}
    if isinstance(value, tuple | list):
        return [as_plain(each) for each in value]
    if isinstance(value, frozenset):
        return sorted(value)
    return value
