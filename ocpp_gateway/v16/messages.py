"""Wire types of OCPP 1.6, written by ``ocpp_gateway.generate``. Do not edit.

Field names and their order are the schemas'. Unknown fields are refused where a schema refuses
them; an absent field is ``UNSET`` and ``null`` is never a value.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

Text20 = Annotated[str, Meta(max_length=20)]
Text25 = Annotated[str, Meta(max_length=25)]
Text40 = Annotated[str, Meta(max_length=40)]
Text50 = Annotated[str, Meta(max_length=50)]
Text128 = Annotated[str, Meta(max_length=128)]
Text255 = Annotated[str, Meta(max_length=255)]
Text500 = Annotated[str, Meta(max_length=500)]
Text512 = Annotated[str, Meta(max_length=512)]
Text800 = Annotated[str, Meta(max_length=800)]
Text5500 = Annotated[str, Meta(max_length=5500)]
Text10000 = Annotated[str, Meta(max_length=10000)]

AuthorizeStatus = Literal["Accepted", "Blocked", "Expired", "Invalid", "ConcurrentTx"]
BootNotificationStatus = Literal["Accepted", "Pending", "Rejected"]
CancelReservationStatus = Literal["Accepted", "Rejected"]
CertificateUseEnum = Literal["CentralSystemRootCertificate", "ManufacturerRootCertificate"]
ChangeAvailabilityStatus = Literal["Accepted", "Rejected", "Scheduled"]
ChangeAvailabilityType = Literal["Inoperative", "Operative"]
ChangeConfigurationStatus = Literal["Accepted", "Rejected", "RebootRequired", "NotSupported"]
ChargingProfileKind = Literal["Absolute", "Recurring", "Relative"]
ChargingProfilePurpose = Literal["ChargePointMaxProfile", "TxDefaultProfile", "TxProfile"]
ChargingRateUnit = Literal["A", "W"]
ClearChargingProfileStatus = Literal["Accepted", "Unknown"]
Context = Literal[
    "Interruption.Begin",
    "Interruption.End",
    "Sample.Clock",
    "Sample.Periodic",
    "Transaction.Begin",
    "Transaction.End",
    "Trigger",
    "Other",
]
DataTransferStatus = Literal["Accepted", "Rejected", "UnknownMessageId", "UnknownVendorId"]
DeleteCertificateStatusEnum = Literal["Accepted", "Failed", "NotFound"]
DiagnosticsStatusNotificationStatus = Literal["Idle", "Uploaded", "UploadFailed", "Uploading"]
ErrorCode = Literal[
    "ConnectorLockFailure",
    "EVCommunicationError",
    "GroundFailure",
    "HighTemperature",
    "InternalError",
    "LocalListConflict",
    "NoError",
    "OtherError",
    "OverCurrentFailure",
    "PowerMeterFailure",
    "PowerSwitchFailure",
    "ReaderFailure",
    "ResetFailure",
    "UnderVoltage",
    "OverVoltage",
    "WeakSignal",
]
FirmwareStatusEnum = Literal[
    "Downloaded",
    "DownloadFailed",
    "Downloading",
    "DownloadScheduled",
    "DownloadPaused",
    "Idle",
    "InstallationFailed",
    "Installing",
    "Installed",
    "InstallRebooting",
    "InstallScheduled",
    "InstallVerificationFailed",
    "InvalidSignature",
    "SignatureVerified",
]
FirmwareStatusNotificationStatus = Literal[
    "Downloaded",
    "DownloadFailed",
    "Downloading",
    "Idle",
    "InstallationFailed",
    "Installing",
    "Installed",
]
Format = Literal["Raw", "SignedData"]
GetInstalledCertificateStatusEnum = Literal["Accepted", "NotFound"]
HashAlgorithmEnum = Literal["SHA256", "SHA384", "SHA512"]
InstallCertificateStatusEnum = Literal["Accepted", "Failed", "Rejected"]
Location = Literal["Cable", "EV", "Inlet", "Outlet", "Body"]
LogEnum = Literal["DiagnosticsLog", "SecurityLog"]
LogStatusEnum = Literal["Accepted", "Rejected", "AcceptedCanceled"]
Measurand = Literal[
    "Energy.Active.Export.Register",
    "Energy.Active.Import.Register",
    "Energy.Reactive.Export.Register",
    "Energy.Reactive.Import.Register",
    "Energy.Active.Export.Interval",
    "Energy.Active.Import.Interval",
    "Energy.Reactive.Export.Interval",
    "Energy.Reactive.Import.Interval",
    "Power.Active.Export",
    "Power.Active.Import",
    "Power.Offered",
    "Power.Reactive.Export",
    "Power.Reactive.Import",
    "Power.Factor",
    "Current.Import",
    "Current.Export",
    "Current.Offered",
    "Voltage",
    "Frequency",
    "Temperature",
    "SoC",
    "RPM",
]
MessageTriggerEnum = Literal[
    "BootNotification",
    "LogStatusNotification",
    "FirmwareStatusNotification",
    "Heartbeat",
    "MeterValues",
    "SignChargePointCertificate",
    "StatusNotification",
]
Phase = Literal["L1", "L2", "L3", "N", "L1-N", "L2-N", "L3-N", "L1-L2", "L2-L3", "L3-L1"]
Reason = Literal[
    "EmergencyStop",
    "EVDisconnected",
    "HardReset",
    "Local",
    "Other",
    "PowerLoss",
    "Reboot",
    "Remote",
    "SoftReset",
    "UnlockCommand",
    "DeAuthorized",
]
RecurrencyKind = Literal["Daily", "Weekly"]
RequestedMessage = Literal[
    "BootNotification",
    "DiagnosticsStatusNotification",
    "FirmwareStatusNotification",
    "Heartbeat",
    "MeterValues",
    "StatusNotification",
]
ReserveNowStatus = Literal["Accepted", "Faulted", "Occupied", "Rejected", "Unavailable"]
ResetType = Literal["Hard", "Soft"]
SendLocalListStatus = Literal["Accepted", "Failed", "NotSupported", "VersionMismatch"]
SetChargingProfileStatus = Literal["Accepted", "Rejected", "NotSupported"]
StatusNotificationStatus = Literal[
    "Available",
    "Preparing",
    "Charging",
    "SuspendedEVSE",
    "SuspendedEV",
    "Finishing",
    "Reserved",
    "Unavailable",
    "Faulted",
]
StopTransactionUnit = Literal[
    "Wh",
    "kWh",
    "varh",
    "kvarh",
    "W",
    "kW",
    "VA",
    "kVA",
    "var",
    "kvar",
    "A",
    "V",
    "K",
    "Celcius",
    "Celsius",
    "Fahrenheit",
    "Percent",
]
TriggerMessageStatusEnum = Literal["Accepted", "Rejected", "NotImplemented"]
Unit = Literal[
    "Wh",
    "kWh",
    "varh",
    "kvarh",
    "W",
    "kW",
    "VA",
    "kVA",
    "var",
    "kvar",
    "A",
    "V",
    "K",
    "Celcius",
    "Celsius",
    "Fahrenheit",
    "Percent",
    "Hertz",
]
UnlockConnectorStatus = Literal["Unlocked", "UnlockFailed", "NotSupported"]
UpdateFirmwareStatusEnum = Literal[
    "Accepted",
    "Rejected",
    "AcceptedCanceled",
    "InvalidCertificate",
    "RevokedCertificate",
]
UpdateType = Literal["Differential", "Full"]
UploadLogStatusEnum = Literal[
    "BadMessage",
    "Idle",
    "NotSupportedOperation",
    "PermissionDenied",
    "Uploaded",
    "UploadFailure",
    "Uploading",
]

class Closed(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """A shape that allows no other fields."""


class Open(Struct, frozen=True, gc=False):
    """A shape that makers may extend; what they add is passed over."""


class AuthorizeRequest(Closed, frozen=True, kw_only=True):
    idTag: Text20


class IdTagInfo(Closed, frozen=True, kw_only=True):
    expiryDate: str | UnsetType = UNSET
    parentIdTag: Text20 | UnsetType = UNSET
    status: AuthorizeStatus


class AuthorizeResponse(Closed, frozen=True, kw_only=True):
    idTagInfo: IdTagInfo


class BootNotificationRequest(Closed, frozen=True, kw_only=True):
    chargePointVendor: Text20
    chargePointModel: Text20
    chargePointSerialNumber: Text25 | UnsetType = UNSET
    chargeBoxSerialNumber: Text25 | UnsetType = UNSET
    firmwareVersion: Text50 | UnsetType = UNSET
    iccid: Text20 | UnsetType = UNSET
    imsi: Text20 | UnsetType = UNSET
    meterType: Text25 | UnsetType = UNSET
    meterSerialNumber: Text25 | UnsetType = UNSET


class BootNotificationResponse(Closed, frozen=True, kw_only=True):
    status: BootNotificationStatus
    currentTime: str
    interval: int


class CancelReservationRequest(Closed, frozen=True, kw_only=True):
    reservationId: int


class CancelReservationResponse(Closed, frozen=True, kw_only=True):
    status: CancelReservationStatus


class CertificateSignedRequest(Closed, frozen=True, kw_only=True):
    certificateChain: Text10000


class CertificateSignedResponse(Closed, frozen=True, kw_only=True):
    status: CancelReservationStatus


class ChangeAvailabilityRequest(Closed, frozen=True, kw_only=True):
    connectorId: int
    type: ChangeAvailabilityType


class ChangeAvailabilityResponse(Closed, frozen=True, kw_only=True):
    status: ChangeAvailabilityStatus


class ChangeConfigurationRequest(Closed, frozen=True, kw_only=True):
    key: Text50
    value: Text500


class ChangeConfigurationResponse(Closed, frozen=True, kw_only=True):
    status: ChangeConfigurationStatus


class ClearCacheRequest(Closed, frozen=True, kw_only=True):
    pass


class ClearCacheResponse(Closed, frozen=True, kw_only=True):
    status: CancelReservationStatus


class ClearChargingProfileRequest(Closed, frozen=True, kw_only=True):
    id: int | UnsetType = UNSET
    connectorId: int | UnsetType = UNSET
    chargingProfilePurpose: ChargingProfilePurpose | UnsetType = UNSET
    stackLevel: int | UnsetType = UNSET


class ClearChargingProfileResponse(Closed, frozen=True, kw_only=True):
    status: ClearChargingProfileStatus


class DataTransferRequest(Closed, frozen=True, kw_only=True):
    vendorId: Text255
    messageId: Text50 | UnsetType = UNSET
    data: str | UnsetType = UNSET


class DataTransferResponse(Closed, frozen=True, kw_only=True):
    status: DataTransferStatus
    data: str | UnsetType = UNSET


class CertificateHash(Closed, frozen=True, kw_only=True):
    hashAlgorithm: HashAlgorithmEnum
    issuerNameHash: Text128
    issuerKeyHash: Text128
    serialNumber: Text40


class DeleteCertificateRequest(Closed, frozen=True, kw_only=True):
    certificateHashData: CertificateHash


class DeleteCertificateResponse(Closed, frozen=True, kw_only=True):
    status: DeleteCertificateStatusEnum


class DiagnosticsStatusNotificationRequest(Closed, frozen=True, kw_only=True):
    status: DiagnosticsStatusNotificationStatus


class DiagnosticsStatusNotificationResponse(Closed, frozen=True, kw_only=True):
    pass


class ExtendedTriggerMessageRequest(Closed, frozen=True, kw_only=True):
    requestedMessage: MessageTriggerEnum
    connectorId: int | UnsetType = UNSET


class ExtendedTriggerMessageResponse(Closed, frozen=True, kw_only=True):
    status: TriggerMessageStatusEnum


class FirmwareStatusNotificationRequest(Closed, frozen=True, kw_only=True):
    status: FirmwareStatusNotificationStatus


class FirmwareStatusNotificationResponse(Closed, frozen=True, kw_only=True):
    pass


class GetCompositeScheduleRequest(Closed, frozen=True, kw_only=True):
    connectorId: int
    duration: int
    chargingRateUnit: ChargingRateUnit | UnsetType = UNSET


class ChargingSchedulePeriod(Closed, frozen=True, kw_only=True):
    startPeriod: int
    limit: float
    numberPhases: int | UnsetType = UNSET


class ChargingSchedule(Closed, frozen=True, kw_only=True):
    duration: int | UnsetType = UNSET
    startSchedule: str | UnsetType = UNSET
    chargingRateUnit: ChargingRateUnit
    chargingSchedulePeriod: list[ChargingSchedulePeriod]
    minChargingRate: float | UnsetType = UNSET


class GetCompositeScheduleResponse(Closed, frozen=True, kw_only=True):
    status: CancelReservationStatus
    connectorId: int | UnsetType = UNSET
    scheduleStart: str | UnsetType = UNSET
    chargingSchedule: ChargingSchedule | UnsetType = UNSET


class GetConfigurationRequest(Closed, frozen=True, kw_only=True):
    key: list[Text50] | UnsetType = UNSET


class KeyValue(Closed, frozen=True, kw_only=True):
    key: Text50
    readonly: bool
    value: Text500 | UnsetType = UNSET


class GetConfigurationResponse(Closed, frozen=True, kw_only=True):
    configurationKey: list[KeyValue] | UnsetType = UNSET
    unknownKey: list[Text50] | UnsetType = UNSET


class GetDiagnosticsRequest(Closed, frozen=True, kw_only=True):
    location: str
    retries: int | UnsetType = UNSET
    retryInterval: int | UnsetType = UNSET
    startTime: str | UnsetType = UNSET
    stopTime: str | UnsetType = UNSET


class GetDiagnosticsResponse(Closed, frozen=True, kw_only=True):
    fileName: Text255 | UnsetType = UNSET


class GetInstalledCertificateIdsRequest(Closed, frozen=True, kw_only=True):
    certificateType: CertificateUseEnum


class GetInstalledCertificateIdsResponse(Closed, frozen=True, kw_only=True):
    certificateHashData: Annotated[list[CertificateHash], Meta(min_length=1)] | UnsetType = UNSET
    status: GetInstalledCertificateStatusEnum


class GetLocalListVersionRequest(Closed, frozen=True, kw_only=True):
    pass


class GetLocalListVersionResponse(Closed, frozen=True, kw_only=True):
    listVersion: int


class LogParameters(Closed, frozen=True, kw_only=True):
    remoteLocation: Text512
    oldestTimestamp: str | UnsetType = UNSET
    latestTimestamp: str | UnsetType = UNSET


class GetLogRequest(Closed, frozen=True, kw_only=True):
    log: LogParameters
    logType: LogEnum
    requestId: int
    retries: int | UnsetType = UNSET
    retryInterval: int | UnsetType = UNSET


class GetLogResponse(Closed, frozen=True, kw_only=True):
    status: LogStatusEnum
    filename: Text255 | UnsetType = UNSET


class HeartbeatRequest(Closed, frozen=True, kw_only=True):
    pass


class HeartbeatResponse(Closed, frozen=True, kw_only=True):
    currentTime: str


class InstallCertificateRequest(Closed, frozen=True, kw_only=True):
    certificateType: CertificateUseEnum
    certificate: Text5500


class InstallCertificateResponse(Closed, frozen=True, kw_only=True):
    status: InstallCertificateStatusEnum


class LogStatusNotificationRequest(Closed, frozen=True, kw_only=True):
    status: UploadLogStatusEnum
    requestId: int | UnsetType = UNSET


class LogStatusNotificationResponse(Closed, frozen=True, kw_only=True):
    pass


class SampledValue(Closed, frozen=True, kw_only=True):
    value: str
    context: Context | UnsetType = UNSET
    format: Format | UnsetType = UNSET
    measurand: Measurand | UnsetType = UNSET
    phase: Phase | UnsetType = UNSET
    location: Location | UnsetType = UNSET
    unit: Unit | UnsetType = UNSET


class MeterValue(Closed, frozen=True, kw_only=True):
    timestamp: str
    sampledValue: Annotated[list[SampledValue], Meta(min_length=1)]


class MeterValuesRequest(Closed, frozen=True, kw_only=True):
    connectorId: int
    transactionId: int | UnsetType = UNSET
    meterValue: Annotated[list[MeterValue], Meta(min_length=1)]


class MeterValuesResponse(Closed, frozen=True, kw_only=True):
    pass


class ChargingProfile(Closed, frozen=True, kw_only=True):
    chargingProfileId: int
    transactionId: int | UnsetType = UNSET
    stackLevel: int
    chargingProfilePurpose: ChargingProfilePurpose
    chargingProfileKind: ChargingProfileKind
    recurrencyKind: RecurrencyKind | UnsetType = UNSET
    validFrom: str | UnsetType = UNSET
    validTo: str | UnsetType = UNSET
    chargingSchedule: ChargingSchedule


class RemoteStartTransactionRequest(Closed, frozen=True, kw_only=True):
    connectorId: int | UnsetType = UNSET
    idTag: Text20
    chargingProfile: ChargingProfile | UnsetType = UNSET


class RemoteStartTransactionResponse(Closed, frozen=True, kw_only=True):
    status: CancelReservationStatus


class RemoteStopTransactionRequest(Closed, frozen=True, kw_only=True):
    transactionId: int


class RemoteStopTransactionResponse(Closed, frozen=True, kw_only=True):
    status: CancelReservationStatus


class ReserveNowRequest(Closed, frozen=True, kw_only=True):
    connectorId: int
    expiryDate: str
    idTag: Text20
    parentIdTag: Text20 | UnsetType = UNSET
    reservationId: int


class ReserveNowResponse(Closed, frozen=True, kw_only=True):
    status: ReserveNowStatus


class ResetRequest(Closed, frozen=True, kw_only=True):
    type: ResetType


class ResetResponse(Closed, frozen=True, kw_only=True):
    status: CancelReservationStatus


class SecurityEventNotificationRequest(Closed, frozen=True, kw_only=True):
    type: Text50
    timestamp: str
    techInfo: Text255 | UnsetType = UNSET


class SecurityEventNotificationResponse(Closed, frozen=True, kw_only=True):
    pass


class AuthorizationData(Closed, frozen=True, kw_only=True):
    idTag: Text20
    idTagInfo: IdTagInfo | UnsetType = UNSET


class SendLocalListRequest(Closed, frozen=True, kw_only=True):
    listVersion: int
    localAuthorizationList: list[AuthorizationData] | UnsetType = UNSET
    updateType: UpdateType


class SendLocalListResponse(Closed, frozen=True, kw_only=True):
    status: SendLocalListStatus


class SetChargingProfileRequest(Closed, frozen=True, kw_only=True):
    connectorId: int
    csChargingProfiles: ChargingProfile


class SetChargingProfileResponse(Closed, frozen=True, kw_only=True):
    status: SetChargingProfileStatus


class SignCertificateRequest(Closed, frozen=True, kw_only=True):
    csr: Text5500


class SignCertificateResponse(Closed, frozen=True, kw_only=True):
    status: CancelReservationStatus


class SignedFirmwareStatusNotificationRequest(Closed, frozen=True, kw_only=True):
    status: FirmwareStatusEnum
    requestId: int | UnsetType = UNSET


class SignedFirmwareStatusNotificationResponse(Closed, frozen=True, kw_only=True):
    pass


class Firmware(Closed, frozen=True, kw_only=True):
    location: Text512
    retrieveDateTime: str
    installDateTime: str | UnsetType = UNSET
    signingCertificate: Text5500
    signature: Text800


class SignedUpdateFirmwareRequest(Closed, frozen=True, kw_only=True):
    retries: int | UnsetType = UNSET
    retryInterval: int | UnsetType = UNSET
    requestId: int
    firmware: Firmware


class SignedUpdateFirmwareResponse(Closed, frozen=True, kw_only=True):
    status: UpdateFirmwareStatusEnum


class StartTransactionRequest(Closed, frozen=True, kw_only=True):
    connectorId: int
    idTag: Text20
    meterStart: int
    reservationId: int | UnsetType = UNSET
    timestamp: str


class StartTransactionResponse(Closed, frozen=True, kw_only=True):
    idTagInfo: IdTagInfo
    transactionId: int


class StatusNotificationRequest(Closed, frozen=True, kw_only=True):
    connectorId: int
    errorCode: ErrorCode
    info: Text50 | UnsetType = UNSET
    status: StatusNotificationStatus
    timestamp: str | UnsetType = UNSET
    vendorId: Text255 | UnsetType = UNSET
    vendorErrorCode: Text50 | UnsetType = UNSET


class StatusNotificationResponse(Closed, frozen=True, kw_only=True):
    pass


class StopTransactionSampledValue(Closed, frozen=True, kw_only=True):
    value: str
    context: Context | UnsetType = UNSET
    format: Format | UnsetType = UNSET
    measurand: Measurand | UnsetType = UNSET
    phase: Phase | UnsetType = UNSET
    location: Location | UnsetType = UNSET
    unit: StopTransactionUnit | UnsetType = UNSET


class TransactionData(Closed, frozen=True, kw_only=True):
    timestamp: str
    sampledValue: list[StopTransactionSampledValue]


class StopTransactionRequest(Closed, frozen=True, kw_only=True):
    idTag: Text20 | UnsetType = UNSET
    meterStop: int
    timestamp: str
    transactionId: int
    reason: Reason | UnsetType = UNSET
    transactionData: list[TransactionData] | UnsetType = UNSET


class StopTransactionResponse(Closed, frozen=True, kw_only=True):
    idTagInfo: IdTagInfo | UnsetType = UNSET


class TriggerMessageRequest(Closed, frozen=True, kw_only=True):
    requestedMessage: RequestedMessage
    connectorId: int | UnsetType = UNSET


class TriggerMessageResponse(Closed, frozen=True, kw_only=True):
    status: TriggerMessageStatusEnum


class UnlockConnectorRequest(Closed, frozen=True, kw_only=True):
    connectorId: int


class UnlockConnectorResponse(Closed, frozen=True, kw_only=True):
    status: UnlockConnectorStatus


class UpdateFirmwareRequest(Closed, frozen=True, kw_only=True):
    location: str
    retries: int | UnsetType = UNSET
    retrieveDate: str
    retryInterval: int | UnsetType = UNSET


class UpdateFirmwareResponse(Closed, frozen=True, kw_only=True):
    pass


REQUESTS: Final[dict[str, type[Struct]]] = {
    "Authorize": AuthorizeRequest,
    "BootNotification": BootNotificationRequest,
    "CancelReservation": CancelReservationRequest,
    "CertificateSigned": CertificateSignedRequest,
    "ChangeAvailability": ChangeAvailabilityRequest,
    "ChangeConfiguration": ChangeConfigurationRequest,
    "ClearCache": ClearCacheRequest,
    "ClearChargingProfile": ClearChargingProfileRequest,
    "DataTransfer": DataTransferRequest,
    "DeleteCertificate": DeleteCertificateRequest,
    "DiagnosticsStatusNotification": DiagnosticsStatusNotificationRequest,
    "ExtendedTriggerMessage": ExtendedTriggerMessageRequest,
    "FirmwareStatusNotification": FirmwareStatusNotificationRequest,
    "GetCompositeSchedule": GetCompositeScheduleRequest,
    "GetConfiguration": GetConfigurationRequest,
    "GetDiagnostics": GetDiagnosticsRequest,
    "GetInstalledCertificateIds": GetInstalledCertificateIdsRequest,
    "GetLocalListVersion": GetLocalListVersionRequest,
    "GetLog": GetLogRequest,
    "Heartbeat": HeartbeatRequest,
    "InstallCertificate": InstallCertificateRequest,
    "LogStatusNotification": LogStatusNotificationRequest,
    "MeterValues": MeterValuesRequest,
    "RemoteStartTransaction": RemoteStartTransactionRequest,
    "RemoteStopTransaction": RemoteStopTransactionRequest,
    "ReserveNow": ReserveNowRequest,
    "Reset": ResetRequest,
    "SecurityEventNotification": SecurityEventNotificationRequest,
    "SendLocalList": SendLocalListRequest,
    "SetChargingProfile": SetChargingProfileRequest,
    "SignCertificate": SignCertificateRequest,
    "SignedFirmwareStatusNotification": SignedFirmwareStatusNotificationRequest,
    "SignedUpdateFirmware": SignedUpdateFirmwareRequest,
    "StartTransaction": StartTransactionRequest,
    "StatusNotification": StatusNotificationRequest,
    "StopTransaction": StopTransactionRequest,
    "TriggerMessage": TriggerMessageRequest,
    "UnlockConnector": UnlockConnectorRequest,
    "UpdateFirmware": UpdateFirmwareRequest,
}

RESPONSES: Final[dict[str, type[Struct]]] = {
    "Authorize": AuthorizeResponse,
    "BootNotification": BootNotificationResponse,
    "CancelReservation": CancelReservationResponse,
    "CertificateSigned": CertificateSignedResponse,
    "ChangeAvailability": ChangeAvailabilityResponse,
    "ChangeConfiguration": ChangeConfigurationResponse,
    "ClearCache": ClearCacheResponse,
    "ClearChargingProfile": ClearChargingProfileResponse,
    "DataTransfer": DataTransferResponse,
    "DeleteCertificate": DeleteCertificateResponse,
    "DiagnosticsStatusNotification": DiagnosticsStatusNotificationResponse,
    "ExtendedTriggerMessage": ExtendedTriggerMessageResponse,
    "FirmwareStatusNotification": FirmwareStatusNotificationResponse,
    "GetCompositeSchedule": GetCompositeScheduleResponse,
    "GetConfiguration": GetConfigurationResponse,
    "GetDiagnostics": GetDiagnosticsResponse,
    "GetInstalledCertificateIds": GetInstalledCertificateIdsResponse,
    "GetLocalListVersion": GetLocalListVersionResponse,
    "GetLog": GetLogResponse,
    "Heartbeat": HeartbeatResponse,
    "InstallCertificate": InstallCertificateResponse,
    "LogStatusNotification": LogStatusNotificationResponse,
    "MeterValues": MeterValuesResponse,
    "RemoteStartTransaction": RemoteStartTransactionResponse,
    "RemoteStopTransaction": RemoteStopTransactionResponse,
    "ReserveNow": ReserveNowResponse,
    "Reset": ResetResponse,
    "SecurityEventNotification": SecurityEventNotificationResponse,
    "SendLocalList": SendLocalListResponse,
    "SetChargingProfile": SetChargingProfileResponse,
    "SignCertificate": SignCertificateResponse,
    "SignedFirmwareStatusNotification": SignedFirmwareStatusNotificationResponse,
    "SignedUpdateFirmware": SignedUpdateFirmwareResponse,
    "StartTransaction": StartTransactionResponse,
    "StatusNotification": StatusNotificationResponse,
    "StopTransaction": StopTransactionResponse,
    "TriggerMessage": TriggerMessageResponse,
    "UnlockConnector": UnlockConnectorResponse,
    "UpdateFirmware": UpdateFirmwareResponse,
}
