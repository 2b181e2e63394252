"""The second reference: a server straight on the ``ocpp`` package's ChargePoint, as its README shows.

Default settings (its schema validation is on), handlers that answer and store nothing. It runs on
uvloop as well, so that what is compared is the package and not the loop.
"""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime
from typing import Any

import uvloop
from ocpp.routing import on
from ocpp.v16 import ChargePoint as ChargePoint16
from ocpp.v16 import call_result as result16
from ocpp.v16.enums import Action as Action16
from ocpp.v16.enums import AuthorizationStatus, RegistrationStatus
from ocpp.v201 import ChargePoint as ChargePoint201
from ocpp.v201 import call_result as result201
from ocpp.v201.enums import Action as Action201
from ocpp.v201.enums import RegistrationStatusEnumType
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from benchmarks import meter


def now() -> str:
    return datetime.now(UTC).isoformat()


class Station16(ChargePoint16):  # type: ignore[misc]
    @on(Action16.boot_notification)  # type: ignore[untyped-decorator]
    def booted(self, **_fields: Any) -> Any:
        return result16.BootNotification(
            current_time=now(), interval=300, status=RegistrationStatus.accepted
        )

    @on(Action16.heartbeat)  # type: ignore[untyped-decorator]
    def beat(self, **_fields: Any) -> Any:
        return result16.Heartbeat(current_time=now())

    @on(Action16.status_notification)  # type: ignore[untyped-decorator]
    def reported(self, **_fields: Any) -> Any:
        return result16.StatusNotification()

    @on(Action16.meter_values)  # type: ignore[untyped-decorator]
    def metered(self, **_fields: Any) -> Any:
        return result16.MeterValues()

    @on(Action16.start_transaction)  # type: ignore[untyped-decorator]
    def started(self, **_fields: Any) -> Any:
        return result16.StartTransaction(
            transaction_id=1, id_tag_info={"status": AuthorizationStatus.accepted}
        )


class Station201(ChargePoint201):  # type: ignore[misc]
    @on(Action201.boot_notification)  # type: ignore[untyped-decorator]
    def booted(self, **_fields: Any) -> Any:
        return result201.BootNotification(
            current_time=now(), interval=300, status=RegistrationStatusEnumType.accepted
        )

    @on(Action201.status_notification)  # type: ignore[untyped-decorator]
    def reported(self, **_fields: Any) -> Any:
        return result201.StatusNotification()

    @on(Action201.transaction_event)  # type: ignore[untyped-decorator]
    def charged(self, **_fields: Any) -> Any:
        return result201.TransactionEvent()


async def talk(socket: ServerConnection) -> None:
    assert socket.request is not None
    name = socket.request.path.rsplit("/", 1)[-1]
    newer = socket.subprotocol == "ocpp2.0.1"
    station = Station201(name, socket) if newer else Station16(name, socket)
    try:
        await station.start()
    except ConnectionClosed:
        return


async def main(port: int) -> None:
    protocols = [Subprotocol("ocpp1.6"), Subprotocol("ocpp2.0.1")]
    async with serve(talk, "127.0.0.1", port, subprotocols=protocols) as server:
        await server.serve_forever()


if __name__ == "__main__":
    logging.getLogger("ocpp").setLevel(logging.WARNING)
    meter.pin(meter.SERVER_CORE)
    uvloop.run(main(int(sys.argv[1])))
