"""The messages that are measured, as chargers send them, with holes for what changes each time."""

from __future__ import annotations

from typing import Final

BOOT_16: Final = (
    '[2,"<id>","BootNotification",{"chargePointVendor":"Bench","chargePointModel":"B1",'
    '"chargePointSerialNumber":"<station>","firmwareVersion":"1.0"}]'
)
BOOT_201: Final = (
    '[2,"<id>","BootNotification",{"reason":"PowerUp","chargingStation":{"model":"B2",'
    '"vendorName":"Bench","serialNumber":"<station>","firmwareVersion":"1.0"}}]'
)
HEARTBEAT: Final = '[2,"<id>","Heartbeat",{}]'
STATUS_16: Final = (
    '[2,"<id>","StatusNotification",{"connectorId":1,"errorCode":"NoError","status":"<status>",'
    '"timestamp":"<time>"}]'
)
STATUS_201: Final = (
    '[2,"<id>","StatusNotification",{"timestamp":"<time>","connectorStatus":"<status>",'
    '"evseId":1,"connectorId":1}]'
)
AUTHORIZE: Final = '[2,"<id>","Authorize",{"idTag":"<tag>"}]'
START: Final = (
    '[2,"<id>","StartTransaction",{"connectorId":<connector>,"idTag":"<tag>",'
    '"meterStart":<number>,"timestamp":"<time>"}]'
)
STOP: Final = (
    '[2,"<id>","StopTransaction",{"transactionId":<transaction>,"meterStop":<number>,'
    '"timestamp":"<time>","reason":"Local"}]'
)

_SAMPLED_16: Final = (
    (
        '{"value":"<number>","context":"Sample.Periodic","measurand":"Energy.Active.Import.Register",'
        '"location":"Outlet","unit":"Wh"}'
    ),
    '{"value":"7360.0","context":"Sample.Periodic","measurand":"Power.Active.Import","unit":"W"}',
    *(
        f'{{"value":"{value}","context":"Sample.Periodic","measurand":"{measurand}",'
        f'"phase":"L{phase}","unit":"{unit}"}}'
        for measurand, unit, value in (
            ("Current.Import", "A", "10.6"),
            ("Voltage", "V", "230.4"),
        )
        for phase in (1, 2, 3)
    ),
    '{"value":"57","context":"Sample.Periodic","measurand":"SoC","location":"EV","unit":"Percent"}',
    '{"value":"41.5","context":"Sample.Periodic","measurand":"Temperature","unit":"Celsius"}',
)
METER_VALUES: Final = (
    '[2,"<id>","MeterValues",{"connectorId":1,"transactionId":<transaction>,"meterValue":['
    '{"timestamp":"<time>","sampledValue":[' + ",".join(_SAMPLED_16) + "]}]}]"
)

_SAMPLED_201: Final = (
    (
        '{"value":<number>,"context":"Sample.Periodic","measurand":"Energy.Active.Import.Register",'
        '"location":"Outlet","unitOfMeasure":{"unit":"Wh"}}'
    ),
    (
        '{"value":7360.0,"context":"Sample.Periodic","measurand":"Power.Active.Import",'
        '"unitOfMeasure":{"unit":"W"}}'
    ),
    *(
        f'{{"value":{value},"context":"Sample.Periodic","measurand":"{measurand}",'
        f'"phase":"L{phase}","unitOfMeasure":{{"unit":"{unit}"}}}}'
        for measurand, unit, value in (
            ("Current.Import", "A", "10.6"),
            ("Voltage", "V", "230.4"),
        )
        for phase in (1, 2, 3)
    ),
    (
        '{"value":57,"context":"Sample.Periodic","measurand":"SoC","location":"EV",'
        '"unitOfMeasure":{"unit":"Percent"}}'
    ),
    (
        '{"value":41.5,"context":"Sample.Periodic","measurand":"Frequency",'
        '"unitOfMeasure":{"unit":"Hertz"}}'
    ),
)
EVENT_STARTED: Final = (
    '[2,"<id>","TransactionEvent",{"eventType":"Started","timestamp":"<time>",'
    '"triggerReason":"Authorized","seqNo":0,"transactionInfo":{"transactionId":"<transaction>",'
    '"chargingState":"Charging"},"evse":{"id":1,"connectorId":1},'
    '"idToken":{"idToken":"<tag>","type":"ISO14443"}}]'
)
EVENT_UPDATED: Final = (
    '[2,"<id>","TransactionEvent",{"eventType":"Updated","timestamp":"<time>",'
    '"triggerReason":"MeterValuePeriodic","seqNo":<number>,"transactionInfo":{'
    '"transactionId":"<transaction>","chargingState":"Charging"},"evse":{"id":1,"connectorId":1},'
    '"meterValue":[{"timestamp":"<time>","sampledValue":[' + ",".join(_SAMPLED_201) + "]}]}]"
)
