"""What a station does when the backend calls.

Each handler answers at once and leaves the consequences to tasks of the station: the `ocpp`
package reads no further while a handler runs.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ocpp.v16 import call_result as result16
from ocpp.v201 import call_result as result201

from simulators.ledger import now
from simulators.station.model import Outlet, Transaction
from simulators.station.reservations import Reserved, answer, reserved
from simulators.station.smart import Held, held_from, moment

if TYPE_CHECKING:
    from simulators.station.simulator import StationSimulator

Handler = Callable[..., Any]
Handlers = dict[str, Handler]


def commands_for(station: StationSimulator) -> Commands:
    """What *station* can be told on one connection, in its version of the protocol."""
    return Commands16(station) if station.config.version == "1.6" else Commands201(station)


class Commands:
    """What both versions have in common; each has handlers of its own for the same actions."""

    unlock: Handler
    reset: Handler
    trigger_message: Handler
    change_availability: Handler
    set_charging_profile: Handler
    clear_charging_profile: Handler
    composite_schedule: Handler
    data_transfer: Handler
    reserve_now: Handler
    cancel_reservation: Handler

    def __init__(self, station: StationSimulator) -> None:
        self.station = station
        self._consequences: list[Callable[[], None]] = []

    def handlers(self) -> Handlers:
        """Action to handler."""
        handlers = {
            "UnlockConnector": self.unlock,
            "Reset": self.reset,
            "TriggerMessage": self.trigger_message,
            "ChangeAvailability": self.change_availability,
            "SetChargingProfile": self.set_charging_profile,
            "ClearChargingProfile": self.clear_charging_profile,
            "GetCompositeSchedule": self.composite_schedule,
            "DataTransfer": self.data_transfer,
        }
        if self.station.config.reserves:
            handlers["ReserveNow"] = self.reserve_now
            handlers["CancelReservation"] = self.cancel_reservation
        return handlers

    def later(self, consequence: Callable[[], None]) -> None:
        """Do *consequence* after the answer has been written."""
        self._consequences.append(consequence)

    def carry_out(self) -> None:
        """Do what was accepted. Called when the answer is written, or can no longer be."""
        consequences, self._consequences = self._consequences, []
        for consequence in consequences:
            consequence()

    def told(self, action: str, honest: str) -> str:
        """The status to answer: what a test ordered, or else the honest one."""
        return self.station.answers.get(action, honest)

    def outlet_for(self, evse: int | None) -> Outlet | None:
        """The free outlet that a remote start means; any free one if it names none."""
        outlets = self.station.outlets
        candidates = list(outlets.values()) if evse is None else [outlets.get(evse)]
        taking = (each for each in candidates if each is not None and each.takes_remote_start)
        return next(taking, None)

    def running(self, transaction_id: str) -> tuple[Outlet, Transaction] | None:
        """The running transaction of that id, and where it runs."""
        for outlet in self.station.outlets.values():
            transaction = outlet.transaction
            if (
                transaction is not None
                and transaction.running
                and transaction.transaction_id == transaction_id
            ):
                return outlet, transaction
        return None

    def remote_start(
        self, action: str, evse: int | None, id_tag: str, token_type: str, remote_id: int | None
    ) -> str:
        outlet = self.outlet_for(evse)
        if outlet is not None and not self.station.reservations.lets(outlet, id_tag):
            outlet = None
        status = self.told(action, "Accepted" if outlet is not None else "Rejected")
        if status == "Accepted" and outlet is not None:
            outlet.reserved_for_remote = True
            self.later(
                lambda: self.station.spawn(
                    self.station.start_remotely(outlet, id_tag, token_type, remote_id)
                )
            )
        return status

    def remote_stop(self, action: str, transaction_id: str) -> str:
        found = self.running(transaction_id)
        status = self.told(action, "Accepted" if found is not None else "Rejected")
        if status == "Accepted" and found is not None:
            self.later(lambda: self.station.stop(found[0], "Remote"))
        return status

    def reserve(self, wish: Reserved) -> str:
        return answer(self.station, wish, self.later)

    def cancel(self, number: int) -> str:
        held = self.station.reservations.get(number) is not None
        status = self.told("CancelReservation", "Accepted" if held else "Rejected")
        if status == "Accepted":
            self.later(lambda: self._cancelled(number))
        return status

    def _cancelled(self, number: int) -> None:
        self.station.reservations.cancel(number)

    def availability(self, evse: int, operative: bool) -> str:
        """Open or close one outlet, or all of them for EVSE 0."""
        outlets = self.station.outlets
        if evse and evse not in outlets:
            return self.told("ChangeAvailability", "Rejected")
        chosen = list(outlets.values()) if not evse else [outlets[evse]]
        busy = [each for each in chosen if each.transaction and each.transaction.running]
        status = self.told(
            "ChangeAvailability", "Scheduled" if busy and not operative else "Accepted"
        )
        if status != "Rejected":
            self.later(lambda: self._set_availability(chosen, operative))
        return status

    def _set_availability(self, chosen: list[Outlet], operative: bool) -> None:
        for outlet in chosen:
            busy = outlet.transaction is not None and outlet.transaction.running
            outlet.inoperative_after = busy and not operative
            if not outlet.inoperative_after:
                outlet.operative = operative
            self.station.report(outlet.evse)
            if not operative:
                self.station.reservations.break_off(outlet.evse)

    def trigger(self, message: str, evse: int | None) -> str:
        station = self.station
        say = station.say
        known = {
            "BootNotification": lambda: station.say_now(station.boot_payload()),
            "Heartbeat": lambda: station.say_now(say.heartbeat()),
            "StatusNotification": lambda: station.report(evse or None),
            "MeterValues": lambda: self._report_meters(evse),
            "TransactionEvent": lambda: self._report_transactions(evse),
        }
        if evse and evse not in station.outlets:
            return self.told("TriggerMessage", "Rejected")
        status = self.told("TriggerMessage", "Accepted" if message in known else "NotImplemented")
        if status == "Accepted" and message in known:
            self.later(known[message])
        return status

    def _chosen(self, evse: int | None) -> list[Outlet]:
        outlets = self.station.outlets
        return [outlets[evse]] if evse else list(outlets.values())

    def _report_meters(self, evse: int | None) -> None:
        for outlet in self._chosen(evse):
            if outlet.transaction is not None and outlet.transaction.running:
                self.station.sample(outlet.evse, trigger="Trigger")
            else:
                self.station.say_now(self.station.say.idle_values(outlet, now()))

    def _report_transactions(self, evse: int | None) -> None:
        for outlet in self._chosen(evse):
            self.station.sample(outlet.evse, trigger="Trigger")

    # -- smart charging

    def set_profile(
        self, evse: int, profile: dict[str, Any], schedule: dict[str, Any], id: int
    ) -> str:
        """Take a profile if it can be used here; it holds as soon as the answer is written."""
        try:
            held = held_from(profile, evse, schedule, id)
        except (KeyError, ValueError):
            return self.told("SetChargingProfile", "Rejected")
        name = held.transaction
        fits = evse in (0, *self.station.outlets) and (
            held.purpose != "TxProfile"
            or (name is not None and (found := self.running(name)) and found[0].evse == evse)
        )
        status = self.told("SetChargingProfile", "Accepted" if fits else "Rejected")
        if status == "Accepted":
            self.later(lambda: self._take(held))
        return status

    def _take(self, held: Held) -> None:
        self.station.smart.put(held)
        self.station.regulate()

    def clear_profile(
        self,
        id: int | None = None,
        evse: int | None = None,
        purpose: str | None = None,
        stack: int | None = None,
    ) -> str:
        found = self.station.smart.clear(id, evse, purpose, stack)
        self.later(self.station.regulate)
        return self.told("ClearChargingProfile", "Accepted" if found else "Unknown")

    def composite(self, evse: int, seconds: int, unit: str) -> tuple[str, list[dict[str, Any]]]:
        """The start of the plan, and its periods."""
        outlet = self.station.outlets[evse]
        at = datetime.now(UTC)
        transaction = outlet.transaction
        began = at if transaction is None else moment(transaction.start_at)
        name = None if transaction is None else transaction.transaction_id
        most = self.station.config.power_w
        periods = self.station.smart.composite(evse, name, began, at, seconds, unit, most)
        return at.isoformat(timespec="milliseconds").replace("+00:00", "Z"), periods


class Commands16(Commands):
    """OCPP 1.6."""

    def handlers(self) -> Handlers:
        """Action to handler."""
        return super().handlers() | {
            "RemoteStartTransaction": self.start,
            "RemoteStopTransaction": self.stop,
            "ChangeConfiguration": self.change_configuration,
            "GetConfiguration": self.get_configuration,
        }

    def reserve_now(
        self,
        *,
        connector_id: int,
        expiry_date: str,
        id_tag: str,
        reservation_id: int,
        parent_id_tag: str | None = None,
    ) -> Any:
        wish = reserved(reservation_id, connector_id, id_tag, parent_id_tag, expiry_date)
        return result16.ReserveNow(status=self.reserve(wish))

    def cancel_reservation(self, *, reservation_id: int) -> Any:
        return result16.CancelReservation(status=self.cancel(reservation_id))

    def start(self, *, id_tag: str, connector_id: int | None = None, **_: Any) -> Any:
        return result16.RemoteStartTransaction(
            status=self.remote_start("RemoteStartTransaction", connector_id, id_tag, "", None)
        )

    def stop(self, *, transaction_id: int) -> Any:
        return result16.RemoteStopTransaction(
            status=self.remote_stop("RemoteStopTransaction", str(transaction_id))
        )

    def unlock(self, *, connector_id: int) -> Any:
        outlet = self.station.outlets.get(connector_id)
        status = self.told("UnlockConnector", "Unlocked" if outlet else "NotSupported")
        if outlet is not None and status == "Unlocked":
            self.later(lambda: self.station.stop(outlet, "UnlockCommand"))
        return result16.UnlockConnector(status=status)

    def reset(self, *, type: str) -> Any:
        status = self.told("Reset", "Accepted")
        if status == "Accepted":
            self.later(lambda: self.station.reset(f"{type}Reset"))
        return result16.Reset(status=status)

    def trigger_message(self, *, requested_message: str, connector_id: int | None = None) -> Any:
        return result16.TriggerMessage(status=self.trigger(requested_message, connector_id))

    def change_availability(self, *, connector_id: int, type: str) -> Any:
        return result16.ChangeAvailability(
            status=self.availability(connector_id, type == "Operative")
        )

    def set_charging_profile(
        self, *, connector_id: int, cs_charging_profiles: dict[str, Any]
    ) -> Any:
        schedule = cs_charging_profiles["charging_schedule"]
        id = cs_charging_profiles["charging_profile_id"]
        return result16.SetChargingProfile(
            status=self.set_profile(connector_id, cs_charging_profiles, schedule, id)
        )

    def clear_charging_profile(
        self,
        *,
        id: int | None = None,
        connector_id: int | None = None,
        charging_profile_purpose: str | None = None,
        stack_level: int | None = None,
    ) -> Any:
        return result16.ClearChargingProfile(
            status=self.clear_profile(id, connector_id, charging_profile_purpose, stack_level)
        )

    def composite_schedule(
        self, *, connector_id: int, duration: int, charging_rate_unit: str | None = None
    ) -> Any:
        known = connector_id in self.station.outlets
        status = self.told("GetCompositeSchedule", "Accepted" if known else "Rejected")
        if status != "Accepted" or not known:
            return result16.GetCompositeSchedule(status=status)
        unit = charging_rate_unit or "W"
        start, periods = self.composite(connector_id, duration, unit)
        return result16.GetCompositeSchedule(
            status=status,
            connector_id=connector_id,
            schedule_start=start,
            charging_schedule={
                "duration": duration,
                "charging_rate_unit": unit,
                "charging_schedule_period": periods,
            },
        )

    def change_configuration(self, *, key: str, value: str) -> Any:
        known = key in self.station.configuration
        status = self.told("ChangeConfiguration", "Accepted" if known else "NotSupported")
        if known and status in ("Accepted", "RebootRequired"):
            self.station.configuration[key] = value
        return result16.ChangeConfiguration(status=status)

    def get_configuration(self, *, key: list[str] | None = None) -> Any:
        known = self.station.configuration
        wanted = list(known) if not key else key
        return result16.GetConfiguration(
            configuration_key=[
                {"key": name, "readonly": False, "value": known[name]}
                for name in wanted
                if name in known
            ],
            unknown_key=[name for name in wanted if name not in known] or None,
        )

    def data_transfer(self, **_: Any) -> Any:
        return result16.DataTransfer(status=self.told("DataTransfer", "UnknownVendorId"))


class Commands201(Commands):
    """OCPP 2.0.1."""

    def handlers(self) -> Handlers:
        """Action to handler."""
        return super().handlers() | {
            "RequestStartTransaction": self.start,
            "RequestStopTransaction": self.stop,
            "GetTransactionStatus": self.transaction_status,
        }

    def reserve_now(
        self,
        *,
        id: int,
        expiry_date_time: str,
        id_token: dict[str, Any],
        evse_id: int | None = None,
        group_id_token: dict[str, Any] | None = None,
        **_: Any,
    ) -> Any:
        group = None if group_id_token is None else group_id_token["id_token"]
        wish = reserved(id, evse_id, id_token["id_token"], group, expiry_date_time)
        return result201.ReserveNow(status=self.reserve(wish))

    def cancel_reservation(self, *, reservation_id: int, **_: Any) -> Any:
        return result201.CancelReservation(status=self.cancel(reservation_id))

    def start(
        self,
        *,
        id_token: dict[str, Any],
        remote_start_id: int,
        evse_id: int | None = None,
        **_: Any,
    ) -> Any:
        return result201.RequestStartTransaction(
            status=self.remote_start(
                "RequestStartTransaction",
                evse_id,
                id_token["id_token"],
                id_token["type"],
                remote_start_id,
            )
        )

    def stop(self, *, transaction_id: str, **_: Any) -> Any:
        return result201.RequestStopTransaction(
            status=self.remote_stop("RequestStopTransaction", transaction_id)
        )

    def unlock(self, *, evse_id: int, connector_id: int, **_: Any) -> Any:
        outlet = self.station.outlets.get(evse_id)
        if outlet is None or outlet.connector != connector_id:
            honest = "UnknownConnector"
        elif outlet.transaction is not None and outlet.transaction.running:
            honest = "OngoingAuthorizedTransaction"
        else:
            honest = "Unlocked"
        return result201.UnlockConnector(status=self.told("UnlockConnector", honest))

    def reset(self, *, type: str, **_: Any) -> Any:
        busy = any(
            each.transaction is not None and each.transaction.running
            for each in self.station.outlets.values()
        )
        status = self.told("Reset", "Scheduled" if type == "OnIdle" and busy else "Accepted")
        if status == "Accepted":
            self.later(lambda: self.station.reset("HardReset"))
        elif status == "Scheduled":
            self.later(lambda: self.station.spawn(self._reset_when_idle()))
        return result201.Reset(status=status)

    async def _reset_when_idle(self) -> None:
        outlets = self.station.outlets.values()
        await self.station.until(
            lambda: not any(each.transaction and each.transaction.running for each in outlets),
            timeout=86_400,
        )
        self.station.reset("SoftReset")

    def trigger_message(
        self, *, requested_message: str, evse: dict[str, Any] | None = None, **_: Any
    ) -> Any:
        return result201.TriggerMessage(
            status=self.trigger(requested_message, evse["id"] if evse else None)
        )

    def change_availability(
        self, *, operational_status: str, evse: dict[str, Any] | None = None, **_: Any
    ) -> Any:
        return result201.ChangeAvailability(
            status=self.availability(evse["id"] if evse else 0, operational_status == "Operative")
        )

    def transaction_status(self, *, transaction_id: str | None = None, **_: Any) -> Any:
        station = self.station
        if transaction_id is None:
            return result201.GetTransactionStatus(messages_in_queue=len(station.queue) > 0)
        known = [each for each in station.transactions if each.txn == transaction_id]
        return result201.GetTransactionStatus(
            ongoing_indicator=any(each.running for each in known),
            messages_in_queue=any(station.queue.holds(each) for each in known),
        )

    def set_charging_profile(
        self, *, evse_id: int, charging_profile: dict[str, Any], **_: Any
    ) -> Any:
        [schedule, *_more] = charging_profile["charging_schedule"]
        return result201.SetChargingProfile(
            status=self.set_profile(evse_id, charging_profile, schedule, charging_profile["id"])
        )

    def clear_charging_profile(
        self,
        *,
        charging_profile_id: int | None = None,
        charging_profile_criteria: dict[str, Any] | None = None,
        **_: Any,
    ) -> Any:
        wanted = charging_profile_criteria or {}
        return result201.ClearChargingProfile(
            status=self.clear_profile(
                charging_profile_id,
                wanted.get("evse_id"),
                wanted.get("charging_profile_purpose"),
                wanted.get("stack_level"),
            )
        )

    def composite_schedule(
        self, *, evse_id: int, duration: int, charging_rate_unit: str | None = None, **_: Any
    ) -> Any:
        known = evse_id in self.station.outlets
        status = self.told("GetCompositeSchedule", "Accepted" if known else "Rejected")
        if status != "Accepted" or not known:
            return result201.GetCompositeSchedule(status=status)
        unit = charging_rate_unit or "W"
        start, periods = self.composite(evse_id, duration, unit)
        return result201.GetCompositeSchedule(
            status=status,
            schedule={
                "evse_id": evse_id,
                "duration": duration,
                "schedule_start": start,
                "charging_rate_unit": unit,
                "charging_schedule_period": periods,
            },
        )

    def data_transfer(self, **_: Any) -> Any:
        return result201.DataTransfer(status=self.told("DataTransfer", "UnknownVendorId"))
