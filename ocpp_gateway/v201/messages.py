"""Wire types of OCPP 2.0.1, written by ``ocpp_gateway.generate``. Do not edit.

Field names and their order are the schemas'. Unknown fields are refused where a schema refuses
them; an absent field is ``UNSET`` and ``null`` is never a value.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

Text6 = Annotated[str, Meta(max_length=6)]
Text8 = Annotated[str, Meta(max_length=8)]
Text16 = Annotated[str, Meta(max_length=16)]
Text20 = Annotated[str, Meta(max_length=20)]
Text25 = Annotated[str, Meta(max_length=25)]
Text32 = Annotated[str, Meta(max_length=32)]
Text36 = Annotated[str, Meta(max_length=36)]
Text40 = Annotated[str, Meta(max_length=40)]
Text50 = Annotated[str, Meta(max_length=50)]
Text64 = Annotated[str, Meta(max_length=64)]
Text128 = Annotated[str, Meta(max_length=128)]
Text255 = Annotated[str, Meta(max_length=255)]
Text500 = Annotated[str, Meta(max_length=500)]
Text512 = Annotated[str, Meta(max_length=512)]
Text800 = Annotated[str, Meta(max_length=800)]
Text1000 = Annotated[str, Meta(max_length=1000)]
Text2500 = Annotated[str, Meta(max_length=2500)]
Text5500 = Annotated[str, Meta(max_length=5500)]
Text5600 = Annotated[str, Meta(max_length=5600)]
Text7500 = Annotated[str, Meta(max_length=7500)]
Text10000 = Annotated[str, Meta(max_length=10000)]

APNAuthenticationEnum = Literal["CHAP", "NONE", "PAP", "AUTO"]
AttributeEnum = Literal["Actual", "Target", "MinSet", "MaxSet"]
AuthorizationStatusEnum = Literal[
    "Accepted",
    "Blocked",
    "ConcurrentTx",
    "Expired",
    "Invalid",
    "NoCredit",
    "NotAllowedTypeEVSE",
    "NotAtThisLocation",
    "NotAtThisTime",
    "Unknown",
]
AuthorizeCertificateStatusEnum = Literal[
    "Accepted",
    "SignatureError",
    "CertificateExpired",
    "CertificateRevoked",
    "NoCertificateAvailable",
    "CertChainError",
    "ContractCancelled",
]
BootReasonEnum = Literal[
    "ApplicationReset",
    "FirmwareUpdate",
    "LocalReset",
    "PowerUp",
    "RemoteReset",
    "ScheduledReset",
    "Triggered",
    "Unknown",
    "Watchdog",
]
CancelReservationStatusEnum = Literal["Accepted", "Rejected"]
CertificateActionEnum = Literal["Install", "Update"]
CertificateSigningUseEnum = Literal["ChargingStationCertificate", "V2GCertificate"]
ChangeAvailabilityStatusEnum = Literal["Accepted", "Rejected", "Scheduled"]
ChargingLimitSourceEnum = Literal["EMS", "Other", "SO", "CSO"]
ChargingProfileKindEnum = Literal["Absolute", "Recurring", "Relative"]
ChargingProfilePurposeEnum = Literal[
    "ChargingStationExternalConstraints",
    "ChargingStationMaxProfile",
    "TxDefaultProfile",
    "TxProfile",
]
ChargingRateUnitEnum = Literal["W", "A"]
ChargingStateEnum = Literal["Charging", "EVConnected", "SuspendedEV", "SuspendedEVSE", "Idle"]
ClearChargingProfileStatusEnum = Literal["Accepted", "Unknown"]
ClearMonitoringStatusEnum = Literal["Accepted", "Rejected", "NotFound"]
ComponentCriterionEnum = Literal["Active", "Available", "Enabled", "Problem"]
ConnectorEnum = Literal[
    "cCCS1",
    "cCCS2",
    "cG105",
    "cTesla",
    "cType1",
    "cType2",
    "s309-1P-16A",
    "s309-1P-32A",
    "s309-3P-16A",
    "s309-3P-32A",
    "sBS1361",
    "sCEE-7-7",
    "sType2",
    "sType3",
    "Other1PhMax16A",
    "Other1PhOver16A",
    "Other3Ph",
    "Pan",
    "wInductive",
    "wResonant",
    "Undetermined",
    "Unknown",
]
ConnectorStatusEnum = Literal["Available", "Occupied", "Reserved", "Unavailable", "Faulted"]
CostKindEnum = Literal[
    "CarbonDioxideEmission",
    "RelativePricePercentage",
    "RenewableGenerationPercentage",
]
CustomerInformationStatusEnum = Literal["Accepted", "Rejected", "Invalid"]
DataEnum = Literal[
    "string",
    "decimal",
    "integer",
    "dateTime",
    "boolean",
    "OptionList",
    "SequenceList",
    "MemberList",
]
DataTransferStatusEnum = Literal["Accepted", "Rejected", "UnknownMessageId", "UnknownVendorId"]
DeleteCertificateStatusEnum = Literal["Accepted", "Failed", "NotFound"]
DisplayMessageStatusEnum = Literal[
    "Accepted",
    "NotSupportedMessageFormat",
    "Rejected",
    "NotSupportedPriority",
    "NotSupportedState",
    "UnknownTransaction",
]
EnergyTransferModeEnum = Literal["DC", "AC_single_phase", "AC_two_phase", "AC_three_phase"]
EventNotificationEnum = Literal[
    "HardWiredNotification",
    "HardWiredMonitor",
    "PreconfiguredMonitor",
    "CustomMonitor",
]
EventTriggerEnum = Literal["Alerting", "Delta", "Periodic"]
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
GenericDeviceModelStatusEnum = Literal["Accepted", "Rejected", "NotSupported", "EmptyResultSet"]
GetCertificateIdUseEnum = Literal[
    "V2GRootCertificate",
    "MORootCertificate",
    "CSMSRootCertificate",
    "V2GCertificateChain",
    "ManufacturerRootCertificate",
]
GetChargingProfileStatusEnum = Literal["Accepted", "NoProfiles"]
GetInstalledCertificateStatusEnum = Literal["Accepted", "NotFound"]
GetVariableStatusEnum = Literal[
    "Accepted",
    "Rejected",
    "UnknownComponent",
    "UnknownVariable",
    "NotSupportedAttributeType",
]
HashAlgorithmEnum = Literal["SHA256", "SHA384", "SHA512"]
IdTokenEnum = Literal[
    "Central",
    "eMAID",
    "ISO14443",
    "ISO15693",
    "KeyCode",
    "Local",
    "MacAddress",
    "NoAuthorization",
]
InstallCertificateStatusEnum = Literal["Accepted", "Rejected", "Failed"]
InstallCertificateUseEnum = Literal[
    "V2GRootCertificate",
    "MORootCertificate",
    "CSMSRootCertificate",
    "ManufacturerRootCertificate",
]
Iso15118EVCertificateStatusEnum = Literal["Accepted", "Failed"]
LocationEnum = Literal["Body", "Cable", "EV", "Inlet", "Outlet"]
LogEnum = Literal["DiagnosticsLog", "SecurityLog"]
LogStatusEnum = Literal["Accepted", "Rejected", "AcceptedCanceled"]
MeasurandEnum = Literal[
    "Current.Export",
    "Current.Import",
    "Current.Offered",
    "Energy.Active.Export.Register",
    "Energy.Active.Import.Register",
    "Energy.Reactive.Export.Register",
    "Energy.Reactive.Import.Register",
    "Energy.Active.Export.Interval",
    "Energy.Active.Import.Interval",
    "Energy.Active.Net",
    "Energy.Reactive.Export.Interval",
    "Energy.Reactive.Import.Interval",
    "Energy.Reactive.Net",
    "Energy.Apparent.Net",
    "Energy.Apparent.Import",
    "Energy.Apparent.Export",
    "Frequency",
    "Power.Active.Export",
    "Power.Active.Import",
    "Power.Factor",
    "Power.Offered",
    "Power.Reactive.Export",
    "Power.Reactive.Import",
    "SoC",
    "Voltage",
]
MessageFormatEnum = Literal["ASCII", "HTML", "URI", "UTF8"]
MessagePriorityEnum = Literal["AlwaysFront", "InFront", "NormalCycle"]
MessageStateEnum = Literal["Charging", "Faulted", "Idle", "Unavailable"]
MessageTriggerEnum = Literal[
    "BootNotification",
    "LogStatusNotification",
    "FirmwareStatusNotification",
    "Heartbeat",
    "MeterValues",
    "SignChargingStationCertificate",
    "SignV2GCertificate",
    "StatusNotification",
    "TransactionEvent",
    "SignCombinedCertificate",
    "PublishFirmwareStatusNotification",
]
MonitorEnum = Literal[
    "UpperThreshold",
    "LowerThreshold",
    "Delta",
    "Periodic",
    "PeriodicClockAligned",
]
MonitoringBaseEnum = Literal["All", "FactoryDefault", "HardWiredOnly"]
MonitoringCriterionEnum = Literal["ThresholdMonitoring", "DeltaMonitoring", "PeriodicMonitoring"]
MutabilityEnum = Literal["ReadOnly", "WriteOnly", "ReadWrite"]
NotifyEVChargingNeedsStatusEnum = Literal["Accepted", "Rejected", "Processing"]
OCPPInterfaceEnum = Literal[
    "Wired0",
    "Wired1",
    "Wired2",
    "Wired3",
    "Wireless0",
    "Wireless1",
    "Wireless2",
    "Wireless3",
]
OCPPTransportEnum = Literal["JSON", "SOAP"]
OCPPVersionEnum = Literal["OCPP12", "OCPP15", "OCPP16", "OCPP20"]
OperationalStatusEnum = Literal["Inoperative", "Operative"]
PhaseEnum = Literal["L1", "L2", "L3", "N", "L1-N", "L2-N", "L3-N", "L1-L2", "L2-L3", "L3-L1"]
PublishFirmwareStatusEnum = Literal[
    "Idle",
    "DownloadScheduled",
    "Downloading",
    "Downloaded",
    "Published",
    "DownloadFailed",
    "DownloadPaused",
    "InvalidChecksum",
    "ChecksumVerified",
    "PublishFailed",
]
ReadingContextEnum = Literal[
    "Interruption.Begin",
    "Interruption.End",
    "Other",
    "Sample.Clock",
    "Sample.Periodic",
    "Transaction.Begin",
    "Transaction.End",
    "Trigger",
]
ReasonEnum = Literal[
    "DeAuthorized",
    "EmergencyStop",
    "EnergyLimitReached",
    "EVDisconnected",
    "GroundFault",
    "ImmediateReset",
    "Local",
    "LocalOutOfCredit",
    "MasterPass",
    "Other",
    "OvercurrentFault",
    "PowerLoss",
    "PowerQuality",
    "Reboot",
    "Remote",
    "SOCLimitReached",
    "StoppedByEV",
    "TimeLimitReached",
    "Timeout",
]
RecurrencyKindEnum = Literal["Daily", "Weekly"]
RegistrationStatusEnum = Literal["Accepted", "Pending", "Rejected"]
ReportBaseEnum = Literal["ConfigurationInventory", "FullInventory", "SummaryInventory"]
ReservationUpdateStatusEnum = Literal["Expired", "Removed"]
ReserveNowStatusEnum = Literal["Accepted", "Faulted", "Occupied", "Rejected", "Unavailable"]
ResetEnum = Literal["Immediate", "OnIdle"]
SendLocalListStatusEnum = Literal["Accepted", "Failed", "VersionMismatch"]
SetMonitoringStatusEnum = Literal[
    "Accepted",
    "UnknownComponent",
    "UnknownVariable",
    "UnsupportedMonitorType",
    "Rejected",
    "Duplicate",
]
SetVariableStatusEnum = Literal[
    "Accepted",
    "Rejected",
    "UnknownComponent",
    "UnknownVariable",
    "NotSupportedAttributeType",
    "RebootRequired",
]
TransactionEventEnum = Literal["Ended", "Started", "Updated"]
TriggerMessageStatusEnum = Literal["Accepted", "Rejected", "NotImplemented"]
TriggerReasonEnum = Literal[
    "Authorized",
    "CablePluggedIn",
    "ChargingRateChanged",
    "ChargingStateChanged",
    "Deauthorized",
    "EnergyLimitReached",
    "EVCommunicationLost",
    "EVConnectTimeout",
    "MeterValueClock",
    "MeterValuePeriodic",
    "TimeLimitReached",
    "Trigger",
    "UnlockCommand",
    "StopAuthorized",
    "EVDeparted",
    "EVDetected",
    "RemoteStop",
    "RemoteStart",
    "AbnormalCondition",
    "SignedDataReceived",
    "ResetCommand",
]
UnlockStatusEnum = Literal[
    "Unlocked",
    "UnlockFailed",
    "OngoingAuthorizedTransaction",
    "UnknownConnector",
]
UnpublishFirmwareStatusEnum = Literal["DownloadOngoing", "NoFirmware", "Unpublished"]
UpdateEnum = Literal["Differential", "Full"]
UpdateFirmwareStatusEnum = Literal[
    "Accepted",
    "Rejected",
    "AcceptedCanceled",
    "InvalidCertificate",
    "RevokedCertificate",
]
UploadLogStatusEnum = Literal[
    "BadMessage",
    "Idle",
    "NotSupportedOperation",
    "PermissionDenied",
    "Uploaded",
    "UploadFailure",
    "Uploading",
    "AcceptedCanceled",
]
VPNEnum = Literal["IKEv2", "IPSec", "L2TP", "PPTP"]

class Closed(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """A shape that allows no other fields."""


class Open(Struct, frozen=True, gc=False):
    """A shape that makers may extend; what they add is passed over."""


class Custom(Open, frozen=True, kw_only=True):
    vendorId: Text255


class AdditionalInfo(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    additionalIdToken: Text36
    type: Text50


class IdToken(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    additionalInfo: Annotated[list[AdditionalInfo], Meta(min_length=1)] | UnsetType = UNSET
    idToken: Text36
    type: IdTokenEnum


class OCSPRequest(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    hashAlgorithm: HashAlgorithmEnum
    issuerNameHash: Text128
    issuerKeyHash: Text128
    serialNumber: Text40
    responderURL: Text512


class AuthorizeRequest(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    idToken: IdToken
    certificate: Text5500 | UnsetType = UNSET
    iso15118CertificateHashData: Annotated[list[OCSPRequest], Meta(min_length=1, max_length=4)] | UnsetType = UNSET


class MessageContent(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    format: MessageFormatEnum
    language: Text8 | UnsetType = UNSET
    content: Text512


class IdTokenInfo(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    status: AuthorizationStatusEnum
    cacheExpiryDateTime: str | UnsetType = UNSET
    chargingPriority: int | UnsetType = UNSET
    language1: Text8 | UnsetType = UNSET
    evseId: Annotated[list[int], Meta(min_length=1)] | UnsetType = UNSET
    groupIdToken: IdToken | UnsetType = UNSET
    language2: Text8 | UnsetType = UNSET
    personalMessage: MessageContent | UnsetType = UNSET


class AuthorizeResponse(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    idTokenInfo: IdTokenInfo
    certificateStatus: AuthorizeCertificateStatusEnum | UnsetType = UNSET


class Modem(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    iccid: Text20 | UnsetType = UNSET
    imsi: Text20 | UnsetType = UNSET


class ChargingStation(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    serialNumber: Text25 | UnsetType = UNSET
    model: Text20
    modem: Modem | UnsetType = UNSET
    vendorName: Text50
    firmwareVersion: Text50 | UnsetType = UNSET


class BootNotificationRequest(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    chargingStation: ChargingStation
    reason: BootReasonEnum


class StatusInfo(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    reasonCode: Text20
    additionalInfo: Text512 | UnsetType = UNSET


class BootNotificationResponse(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    currentTime: str
    interval: int
    status: RegistrationStatusEnum
    statusInfo: StatusInfo | UnsetType = UNSET


class CancelReservationRequest(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    reservationId: int


class CancelReservationResponse(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    status: CancelReservationStatusEnum
    statusInfo: StatusInfo | UnsetType = UNSET


class CertificateSignedRequest(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    certificateChain: Text10000
    certificateType: CertificateSigningUseEnum | UnsetType = UNSET


class CertificateSignedResponse(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    status: CancelReservationStatusEnum
    statusInfo: StatusInfo | UnsetType = UNSET


class EVSE(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    id: int
    connectorId: int | UnsetType = UNSET


class ChangeAvailabilityRequest(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    evse: EVSE | UnsetType = UNSET
    operationalStatus: OperationalStatusEnum


class ChangeAvailabilityResponse(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    status: ChangeAvailabilityStatusEnum
    statusInfo: StatusInfo | UnsetType = UNSET


class ClearCacheRequest(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET


class ClearCacheResponse(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    status: CancelReservationStatusEnum
    statusInfo: StatusInfo | UnsetType = UNSET


class ClearChargingProfile(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    evseId: int | UnsetType = UNSET
    chargingProfilePurpose: ChargingProfilePurposeEnum | UnsetType = UNSET
    stackLevel: int | UnsetType = UNSET


class ClearChargingProfileRequest(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    chargingProfileId: int | UnsetType = UNSET
    chargingProfileCriteria: ClearChargingProfile | UnsetType = UNSET


class ClearChargingProfileResponse(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    status: ClearChargingProfileStatusEnum
    statusInfo: StatusInfo | UnsetType = UNSET


class ClearDisplayMessageRequest(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    id: int


class ClearDisplayMessageResponse(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    status: ClearChargingProfileStatusEnum
    statusInfo: StatusInfo | UnsetType = UNSET


class ClearVariableMonitoringRequest(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    id: Annotated[list[int], Meta(min_length=1)]


class ClearMonitoringResult(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    status: ClearMonitoringStatusEnum
    id: int
    statusInfo: StatusInfo | UnsetType = UNSET


class ClearVariableMonitoringResponse(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    clearMonitoringResult: Annotated[list[ClearMonitoringResult], Meta(min_length=1)]


class ClearedChargingLimitRequest(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    chargingLimitSource: ChargingLimitSourceEnum
    evseId: int | UnsetType = UNSET


class ClearedChargingLimitResponse(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET


class CostUpdatedRequest(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    totalCost: float
    transactionId: Text36


class CostUpdatedResponse(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET


class CertificateHash(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    hashAlgorithm: HashAlgorithmEnum
    issuerNameHash: Text128
    issuerKeyHash: Text128
    serialNumber: Text40


class CustomerInformationRequest(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    customerCertificate: CertificateHash | UnsetType = UNSET
    idToken: IdToken | UnsetType = UNSET
    requestId: int
    report: bool
    clear: bool
    customerIdentifier: Text64 | UnsetType = UNSET


class CustomerInformationResponse(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    status: CustomerInformationStatusEnum
    statusInfo: StatusInfo | UnsetType = UNSET


class DataTransferRequest(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    messageId: Text50 | UnsetType = UNSET
    data: Any | UnsetType = UNSET
    vendorId: Text255


class DataTransferResponse(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    status: DataTransferStatusEnum
    statusInfo: StatusInfo | UnsetType = UNSET
    data: Any | UnsetType = UNSET


class DeleteCertificateRequest(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    certificateHashData: CertificateHash


class DeleteCertificateResponse(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    status: DeleteCertificateStatusEnum
    statusInfo: StatusInfo | UnsetType = UNSET


class FirmwareStatusNotificationRequest(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    status: FirmwareStatusEnum
    requestId: int | UnsetType = UNSET


class FirmwareStatusNotificationResponse(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET


class Get15118EVCertificateRequest(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    iso15118SchemaVersion: Text50
    action: CertificateActionEnum
    exiRequest: Text5600


class Get15118EVCertificateResponse(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    status: Iso15118EVCertificateStatusEnum
    statusInfo: StatusInfo | UnsetType = UNSET
    exiResponse: Text7500


class GetBaseReportRequest(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    requestId: int
    reportBase: ReportBaseEnum


class GetBaseReportResponse(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    status: GenericDeviceModelStatusEnum
    statusInfo: StatusInfo | UnsetType = UNSET


class GetCertificateStatusRequest(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    ocspRequestData: OCSPRequest


class GetCertificateStatusResponse(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    status: Iso15118EVCertificateStatusEnum
    statusInfo: StatusInfo | UnsetType = UNSET
    ocspResult: Text5500 | UnsetType = UNSET


class ChargingProfileCriterion(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    chargingProfilePurpose: ChargingProfilePurposeEnum | UnsetType = UNSET
    stackLevel: int | UnsetType = UNSET
    chargingProfileId: Annotated[list[int], Meta(min_length=1)] | UnsetType = UNSET
    chargingLimitSource: Annotated[list[ChargingLimitSourceEnum], Meta(min_length=1, max_length=4)] | UnsetType = UNSET


class GetChargingProfilesRequest(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    requestId: int
    evseId: int | UnsetType = UNSET
    chargingProfile: ChargingProfileCriterion


class GetChargingProfilesResponse(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    status: GetChargingProfileStatusEnum
    statusInfo: StatusInfo | UnsetType = UNSET


class GetCompositeScheduleRequest(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    duration: int
    chargingRateUnit: ChargingRateUnitEnum | UnsetType = UNSET
    evseId: int


class ChargingSchedulePeriod(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    startPeriod: int
    limit: float
    numberPhases: int | UnsetType = UNSET
    phaseToUse: int | UnsetType = UNSET


class CompositeSchedule(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    chargingSchedulePeriod: Annotated[list[ChargingSchedulePeriod], Meta(min_length=1)]
    evseId: int
    duration: int
    scheduleStart: str
    chargingRateUnit: ChargingRateUnitEnum


class GetCompositeScheduleResponse(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    status: CancelReservationStatusEnum
    statusInfo: StatusInfo | UnsetType = UNSET
    schedule: CompositeSchedule | UnsetType = UNSET


class GetDisplayMessagesRequest(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    id: Annotated[list[int], Meta(min_length=1)] | UnsetType = UNSET
    requestId: int
    priority: MessagePriorityEnum | UnsetType = UNSET
    state: MessageStateEnum | UnsetType = UNSET


class GetDisplayMessagesResponse(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    status: ClearChargingProfileStatusEnum
    statusInfo: StatusInfo | UnsetType = UNSET


class GetInstalledCertificateIdsRequest(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    certificateType: Annotated[list[GetCertificateIdUseEnum], Meta(min_length=1)] | UnsetType = UNSET


class CertificateHashDataChain(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    certificateHashData: CertificateHash
    certificateType: GetCertificateIdUseEnum
    childCertificateHashData: Annotated[list[CertificateHash], Meta(min_length=1, max_length=4)] | UnsetType = UNSET


class GetInstalledCertificateIdsResponse(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    status: GetInstalledCertificateStatusEnum
    statusInfo: StatusInfo | UnsetType = UNSET
    certificateHashDataChain: Annotated[list[CertificateHashDataChain], Meta(min_length=1)] | UnsetType = UNSET


class GetLocalListVersionRequest(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET


class GetLocalListVersionResponse(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    versionNumber: int


class LogParameters(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    remoteLocation: Text512
    oldestTimestamp: str | UnsetType = UNSET
    latestTimestamp: str | UnsetType = UNSET


class GetLogRequest(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    log: LogParameters
    logType: LogEnum
    requestId: int
    retries: int | UnsetType = UNSET
    retryInterval: int | UnsetType = UNSET


class GetLogResponse(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    status: LogStatusEnum
    statusInfo: StatusInfo | UnsetType = UNSET
    filename: Text255 | UnsetType = UNSET


class Component(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    evse: EVSE | UnsetType = UNSET
    name: Text50
    instance: Text50 | UnsetType = UNSET


class Variable(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    name: Text50
    instance: Text50 | UnsetType = UNSET


class ComponentVariable(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    component: Component
    variable: Variable | UnsetType = UNSET


class GetMonitoringReportRequest(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    componentVariable: Annotated[list[ComponentVariable], Meta(min_length=1)] | UnsetType = UNSET
    requestId: int
    monitoringCriteria: Annotated[list[MonitoringCriterionEnum], Meta(min_length=1, max_length=3)] | UnsetType = UNSET


class GetMonitoringReportResponse(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    status: GenericDeviceModelStatusEnum
    statusInfo: StatusInfo | UnsetType = UNSET


class GetReportRequest(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    componentVariable: Annotated[list[ComponentVariable], Meta(min_length=1)] | UnsetType = UNSET
    requestId: int
    componentCriteria: Annotated[list[ComponentCriterionEnum], Meta(min_length=1, max_length=4)] | UnsetType = UNSET


class GetReportResponse(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    status: GenericDeviceModelStatusEnum
    statusInfo: StatusInfo | UnsetType = UNSET


class GetTransactionStatusRequest(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    transactionId: Text36 | UnsetType = UNSET


class GetTransactionStatusResponse(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    ongoingIndicator: bool | UnsetType = UNSET
    messagesInQueue: bool


class GetVariable(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    attributeType: AttributeEnum | UnsetType = UNSET
    component: Component
    variable: Variable


class GetVariablesRequest(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    getVariableData: Annotated[list[GetVariable], Meta(min_length=1)]


class GetVariableResult(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    attributeStatusInfo: StatusInfo | UnsetType = UNSET
    attributeStatus: GetVariableStatusEnum
    attributeType: AttributeEnum | UnsetType = UNSET
    attributeValue: Text2500 | UnsetType = UNSET
    component: Component
    variable: Variable


class GetVariablesResponse(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    getVariableResult: Annotated[list[GetVariableResult], Meta(min_length=1)]


class HeartbeatRequest(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET


class HeartbeatResponse(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    currentTime: str


class InstallCertificateRequest(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    certificateType: InstallCertificateUseEnum
    certificate: Text5500


class InstallCertificateResponse(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    status: InstallCertificateStatusEnum
    statusInfo: StatusInfo | UnsetType = UNSET


class LogStatusNotificationRequest(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    status: UploadLogStatusEnum
    requestId: int | UnsetType = UNSET


class LogStatusNotificationResponse(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET


class SignedMeterValue(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    signedMeterData: Text2500
    signingMethod: Text50
    encodingMethod: Text50
    publicKey: Text2500


class UnitOfMeasure(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    unit: Text20 | UnsetType = UNSET
    multiplier: int | UnsetType = UNSET


class SampledValue(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    value: float
    context: ReadingContextEnum | UnsetType = UNSET
    measurand: MeasurandEnum | UnsetType = UNSET
    phase: PhaseEnum | UnsetType = UNSET
    location: LocationEnum | UnsetType = UNSET
    signedMeterValue: SignedMeterValue | UnsetType = UNSET
    unitOfMeasure: UnitOfMeasure | UnsetType = UNSET


class MeterValue(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    sampledValue: Annotated[list[SampledValue], Meta(min_length=1)]
    timestamp: str


class MeterValuesRequest(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    evseId: int
    meterValue: Annotated[list[MeterValue], Meta(min_length=1)]


class MeterValuesResponse(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET


class RelativeTimeInterval(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    start: int
    duration: int | UnsetType = UNSET


class Cost(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    costKind: CostKindEnum
    amount: int
    amountMultiplier: int | UnsetType = UNSET


class ConsumptionCost(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    startValue: float
    cost: Annotated[list[Cost], Meta(min_length=1, max_length=3)]


class SalesTariffEntry(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    relativeTimeInterval: RelativeTimeInterval
    ePriceLevel: Annotated[int, Meta(ge=0)] | UnsetType = UNSET
    consumptionCost: Annotated[list[ConsumptionCost], Meta(min_length=1, max_length=3)] | UnsetType = UNSET


class SalesTariff(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    id: int
    salesTariffDescription: Text32 | UnsetType = UNSET
    numEPriceLevels: int | UnsetType = UNSET
    salesTariffEntry: Annotated[list[SalesTariffEntry], Meta(min_length=1, max_length=1024)]


class ChargingSchedule(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    id: int
    startSchedule: str | UnsetType = UNSET
    duration: int | UnsetType = UNSET
    chargingRateUnit: ChargingRateUnitEnum
    chargingSchedulePeriod: Annotated[list[ChargingSchedulePeriod], Meta(min_length=1, max_length=1024)]
    minChargingRate: float | UnsetType = UNSET
    salesTariff: SalesTariff | UnsetType = UNSET


class ChargingLimit(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    chargingLimitSource: ChargingLimitSourceEnum
    isGridCritical: bool | UnsetType = UNSET


class NotifyChargingLimitRequest(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    chargingSchedule: Annotated[list[ChargingSchedule], Meta(min_length=1)] | UnsetType = UNSET
    evseId: int | UnsetType = UNSET
    chargingLimit: ChargingLimit


class NotifyChargingLimitResponse(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET


class NotifyCustomerInformationRequest(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    data: Text512
    tbc: bool | UnsetType = UNSET
    seqNo: int
    generatedAt: str
    requestId: int


class NotifyCustomerInformationResponse(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET


class MessageInfo(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    display: Component | UnsetType = UNSET
    id: int
    priority: MessagePriorityEnum
    state: MessageStateEnum | UnsetType = UNSET
    startDateTime: str | UnsetType = UNSET
    endDateTime: str | UnsetType = UNSET
    transactionId: Text36 | UnsetType = UNSET
    message: MessageContent


class NotifyDisplayMessagesRequest(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    messageInfo: Annotated[list[MessageInfo], Meta(min_length=1)] | UnsetType = UNSET
    requestId: int
    tbc: bool | UnsetType = UNSET


class NotifyDisplayMessagesResponse(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET


class ACChargingParameters(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    energyAmount: int
    evMinCurrent: int
    evMaxCurrent: int
    evMaxVoltage: int


class DCChargingParameters(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    evMaxCurrent: int
    evMaxVoltage: int
    energyAmount: int | UnsetType = UNSET
    evMaxPower: int | UnsetType = UNSET
    stateOfCharge: Annotated[int, Meta(ge=0, le=100)] | UnsetType = UNSET
    evEnergyCapacity: int | UnsetType = UNSET
    fullSoC: Annotated[int, Meta(ge=0, le=100)] | UnsetType = UNSET
    bulkSoC: Annotated[int, Meta(ge=0, le=100)] | UnsetType = UNSET


class ChargingNeeds(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    acChargingParameters: ACChargingParameters | UnsetType = UNSET
    dcChargingParameters: DCChargingParameters | UnsetType = UNSET
    requestedEnergyTransfer: EnergyTransferModeEnum
    departureTime: str | UnsetType = UNSET


class NotifyEVChargingNeedsRequest(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    maxScheduleTuples: int | UnsetType = UNSET
    chargingNeeds: ChargingNeeds
    evseId: int


class NotifyEVChargingNeedsResponse(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    status: NotifyEVChargingNeedsStatusEnum
    statusInfo: StatusInfo | UnsetType = UNSET


class NotifyEVChargingScheduleRequest(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    timeBase: str
    chargingSchedule: ChargingSchedule
    evseId: int


class NotifyEVChargingScheduleResponse(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    status: CancelReservationStatusEnum
    statusInfo: StatusInfo | UnsetType = UNSET


class Event(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    eventId: int
    timestamp: str
    trigger: EventTriggerEnum
    cause: int | UnsetType = UNSET
    actualValue: Text2500
    techCode: Text50 | UnsetType = UNSET
    techInfo: Text500 | UnsetType = UNSET
    cleared: bool | UnsetType = UNSET
    transactionId: Text36 | UnsetType = UNSET
    component: Component
    variableMonitoringId: int | UnsetType = UNSET
    eventNotificationType: EventNotificationEnum
    variable: Variable


class NotifyEventRequest(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    generatedAt: str
    tbc: bool | UnsetType = UNSET
    seqNo: int
    eventData: Annotated[list[Event], Meta(min_length=1)]


class NotifyEventResponse(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET


class VariableMonitoring(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    id: int
    transaction: bool
    value: float
    type: MonitorEnum
    severity: int


class Monitoring(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    component: Component
    variable: Variable
    variableMonitoring: Annotated[list[VariableMonitoring], Meta(min_length=1)]


class NotifyMonitoringReportRequest(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    monitor: Annotated[list[Monitoring], Meta(min_length=1)] | UnsetType = UNSET
    requestId: int
    tbc: bool | UnsetType = UNSET
    seqNo: int
    generatedAt: str


class NotifyMonitoringReportResponse(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET


class VariableAttribute(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    type: AttributeEnum | UnsetType = UNSET
    value: Text2500 | UnsetType = UNSET
    mutability: MutabilityEnum | UnsetType = UNSET
    persistent: bool | UnsetType = UNSET
    constant: bool | UnsetType = UNSET


class VariableCharacteristics(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    unit: Text16 | UnsetType = UNSET
    dataType: DataEnum
    minLimit: float | UnsetType = UNSET
    maxLimit: float | UnsetType = UNSET
    valuesList: Text1000 | UnsetType = UNSET
    supportsMonitoring: bool


class Report(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    component: Component
    variable: Variable
    variableAttribute: Annotated[list[VariableAttribute], Meta(min_length=1, max_length=4)]
    variableCharacteristics: VariableCharacteristics | UnsetType = UNSET


class NotifyReportRequest(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    requestId: int
    generatedAt: str
    reportData: Annotated[list[Report], Meta(min_length=1)] | UnsetType = UNSET
    tbc: bool | UnsetType = UNSET
    seqNo: int


class NotifyReportResponse(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET


class PublishFirmwareRequest(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    location: Text512
    retries: int | UnsetType = UNSET
    checksum: Text32
    requestId: int
    retryInterval: int | UnsetType = UNSET


class PublishFirmwareResponse(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    status: CancelReservationStatusEnum
    statusInfo: StatusInfo | UnsetType = UNSET


class PublishFirmwareStatusNotificationRequest(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    status: PublishFirmwareStatusEnum
    location: Annotated[list[Text512], Meta(min_length=1)] | UnsetType = UNSET
    requestId: int | UnsetType = UNSET


class PublishFirmwareStatusNotificationResponse(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET


class ChargingProfile(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    id: int
    stackLevel: int
    chargingProfilePurpose: ChargingProfilePurposeEnum
    chargingProfileKind: ChargingProfileKindEnum
    recurrencyKind: RecurrencyKindEnum | UnsetType = UNSET
    validFrom: str | UnsetType = UNSET
    validTo: str | UnsetType = UNSET
    chargingSchedule: Annotated[list[ChargingSchedule], Meta(min_length=1, max_length=3)]
    transactionId: Text36 | UnsetType = UNSET


class ReportChargingProfilesRequest(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    requestId: int
    chargingLimitSource: ChargingLimitSourceEnum
    chargingProfile: Annotated[list[ChargingProfile], Meta(min_length=1)]
    tbc: bool | UnsetType = UNSET
    evseId: int


class ReportChargingProfilesResponse(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET


class RequestStartTransactionRequest(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    evseId: int | UnsetType = UNSET
    groupIdToken: IdToken | UnsetType = UNSET
    idToken: IdToken
    remoteStartId: int
    chargingProfile: ChargingProfile | UnsetType = UNSET


class RequestStartTransactionResponse(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    status: CancelReservationStatusEnum
    statusInfo: StatusInfo | UnsetType = UNSET
    transactionId: Text36 | UnsetType = UNSET


class RequestStopTransactionRequest(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    transactionId: Text36


class RequestStopTransactionResponse(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    status: CancelReservationStatusEnum
    statusInfo: StatusInfo | UnsetType = UNSET


class ReservationStatusUpdateRequest(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    reservationId: int
    reservationUpdateStatus: ReservationUpdateStatusEnum


class ReservationStatusUpdateResponse(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET


class ReserveNowRequest(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    id: int
    expiryDateTime: str
    connectorType: ConnectorEnum | UnsetType = UNSET
    idToken: IdToken
    evseId: int | UnsetType = UNSET
    groupIdToken: IdToken | UnsetType = UNSET


class ReserveNowResponse(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    status: ReserveNowStatusEnum
    statusInfo: StatusInfo | UnsetType = UNSET


class ResetRequest(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    type: ResetEnum
    evseId: int | UnsetType = UNSET


class ResetResponse(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    status: ChangeAvailabilityStatusEnum
    statusInfo: StatusInfo | UnsetType = UNSET


class SecurityEventNotificationRequest(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    type: Text50
    timestamp: str
    techInfo: Text255 | UnsetType = UNSET


class SecurityEventNotificationResponse(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET


class Authorization(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    idToken: IdToken
    idTokenInfo: IdTokenInfo | UnsetType = UNSET


class SendLocalListRequest(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    localAuthorizationList: Annotated[list[Authorization], Meta(min_length=1)] | UnsetType = UNSET
    versionNumber: int
    updateType: UpdateEnum


class SendLocalListResponse(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    status: SendLocalListStatusEnum
    statusInfo: StatusInfo | UnsetType = UNSET


class SetChargingProfileRequest(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    evseId: int
    chargingProfile: ChargingProfile


class SetChargingProfileResponse(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    status: CancelReservationStatusEnum
    statusInfo: StatusInfo | UnsetType = UNSET


class SetDisplayMessageRequest(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    message: MessageInfo


class SetDisplayMessageResponse(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    status: DisplayMessageStatusEnum
    statusInfo: StatusInfo | UnsetType = UNSET


class SetMonitoringBaseRequest(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    monitoringBase: MonitoringBaseEnum


class SetMonitoringBaseResponse(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    status: GenericDeviceModelStatusEnum
    statusInfo: StatusInfo | UnsetType = UNSET


class SetMonitoringLevelRequest(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    severity: int


class SetMonitoringLevelResponse(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    status: CancelReservationStatusEnum
    statusInfo: StatusInfo | UnsetType = UNSET


class APN(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    apn: Text512
    apnUserName: Text20 | UnsetType = UNSET
    apnPassword: Text20 | UnsetType = UNSET
    simPin: int | UnsetType = UNSET
    preferredNetwork: Text6 | UnsetType = UNSET
    useOnlyPreferredNetwork: bool | UnsetType = UNSET
    apnAuthentication: APNAuthenticationEnum


class VPN(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    server: Text512
    user: Text20
    group: Text20 | UnsetType = UNSET
    password: Text20
    key: Text255
    type: VPNEnum


class NetworkConnectionProfile(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    apn: APN | UnsetType = UNSET
    ocppVersion: OCPPVersionEnum
    ocppTransport: OCPPTransportEnum
    ocppCsmsUrl: Text512
    messageTimeout: int
    securityProfile: int
    ocppInterface: OCPPInterfaceEnum
    vpn: VPN | UnsetType = UNSET


class SetNetworkProfileRequest(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    configurationSlot: int
    connectionData: NetworkConnectionProfile


class SetNetworkProfileResponse(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    status: InstallCertificateStatusEnum
    statusInfo: StatusInfo | UnsetType = UNSET


class SetMonitoring(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    id: int | UnsetType = UNSET
    transaction: bool | UnsetType = UNSET
    value: float
    type: MonitorEnum
    severity: int
    component: Component
    variable: Variable


class SetVariableMonitoringRequest(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    setMonitoringData: Annotated[list[SetMonitoring], Meta(min_length=1)]


class SetMonitoringResult(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    id: int | UnsetType = UNSET
    statusInfo: StatusInfo | UnsetType = UNSET
    status: SetMonitoringStatusEnum
    type: MonitorEnum
    component: Component
    variable: Variable
    severity: int


class SetVariableMonitoringResponse(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    setMonitoringResult: Annotated[list[SetMonitoringResult], Meta(min_length=1)]


class SetVariable(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    attributeType: AttributeEnum | UnsetType = UNSET
    attributeValue: Text1000
    component: Component
    variable: Variable


class SetVariablesRequest(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    setVariableData: Annotated[list[SetVariable], Meta(min_length=1)]


class SetVariableResult(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    attributeType: AttributeEnum | UnsetType = UNSET
    attributeStatus: SetVariableStatusEnum
    attributeStatusInfo: StatusInfo | UnsetType = UNSET
    component: Component
    variable: Variable


class SetVariablesResponse(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    setVariableResult: Annotated[list[SetVariableResult], Meta(min_length=1)]


class SignCertificateRequest(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    csr: Text5500
    certificateType: CertificateSigningUseEnum | UnsetType = UNSET


class SignCertificateResponse(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    status: CancelReservationStatusEnum
    statusInfo: StatusInfo | UnsetType = UNSET


class StatusNotificationRequest(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    timestamp: str
    connectorStatus: ConnectorStatusEnum
    evseId: int
    connectorId: int


class StatusNotificationResponse(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET


class Transaction(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    transactionId: Text36
    chargingState: ChargingStateEnum | UnsetType = UNSET
    timeSpentCharging: int | UnsetType = UNSET
    stoppedReason: ReasonEnum | UnsetType = UNSET
    remoteStartId: int | UnsetType = UNSET


class TransactionEventRequest(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    eventType: TransactionEventEnum
    meterValue: Annotated[list[MeterValue], Meta(min_length=1)] | UnsetType = UNSET
    timestamp: str
    triggerReason: TriggerReasonEnum
    seqNo: int
    offline: bool | UnsetType = UNSET
    numberOfPhasesUsed: int | UnsetType = UNSET
    cableMaxCurrent: int | UnsetType = UNSET
    reservationId: int | UnsetType = UNSET
    transactionInfo: Transaction
    evse: EVSE | UnsetType = UNSET
    idToken: IdToken | UnsetType = UNSET


class TransactionEventResponse(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    totalCost: float | UnsetType = UNSET
    chargingPriority: int | UnsetType = UNSET
    idTokenInfo: IdTokenInfo | UnsetType = UNSET
    updatedPersonalMessage: MessageContent | UnsetType = UNSET


class TriggerMessageRequest(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    evse: EVSE | UnsetType = UNSET
    requestedMessage: MessageTriggerEnum


class TriggerMessageResponse(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    status: TriggerMessageStatusEnum
    statusInfo: StatusInfo | UnsetType = UNSET


class UnlockConnectorRequest(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    evseId: int
    connectorId: int


class UnlockConnectorResponse(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    status: UnlockStatusEnum
    statusInfo: StatusInfo | UnsetType = UNSET


class UnpublishFirmwareRequest(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    checksum: Text32


class UnpublishFirmwareResponse(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    status: UnpublishFirmwareStatusEnum


class Firmware(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    location: Text512
    retrieveDateTime: str
    installDateTime: str | UnsetType = UNSET
    signingCertificate: Text5500 | UnsetType = UNSET
    signature: Text800 | UnsetType = UNSET


class UpdateFirmwareRequest(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    retries: int | UnsetType = UNSET
    retryInterval: int | UnsetType = UNSET
    requestId: int
    firmware: Firmware


class UpdateFirmwareResponse(Closed, frozen=True, kw_only=True):
    customData: Custom | UnsetType = UNSET
    status: UpdateFirmwareStatusEnum
    statusInfo: StatusInfo | UnsetType = UNSET


REQUESTS: Final[dict[str, type[Struct]]] = {
    "Authorize": AuthorizeRequest,
    "BootNotification": BootNotificationRequest,
    "CancelReservation": CancelReservationRequest,
    "CertificateSigned": CertificateSignedRequest,
    "ChangeAvailability": ChangeAvailabilityRequest,
    "ClearCache": ClearCacheRequest,
    "ClearChargingProfile": ClearChargingProfileRequest,
    "ClearDisplayMessage": ClearDisplayMessageRequest,
    "ClearVariableMonitoring": ClearVariableMonitoringRequest,
    "ClearedChargingLimit": ClearedChargingLimitRequest,
    "CostUpdated": CostUpdatedRequest,
    "CustomerInformation": CustomerInformationRequest,
    "DataTransfer": DataTransferRequest,
    "DeleteCertificate": DeleteCertificateRequest,
    "FirmwareStatusNotification": FirmwareStatusNotificationRequest,
    "Get15118EVCertificate": Get15118EVCertificateRequest,
    "GetBaseReport": GetBaseReportRequest,
    "GetCertificateStatus": GetCertificateStatusRequest,
    "GetChargingProfiles": GetChargingProfilesRequest,
    "GetCompositeSchedule": GetCompositeScheduleRequest,
    "GetDisplayMessages": GetDisplayMessagesRequest,
    "GetInstalledCertificateIds": GetInstalledCertificateIdsRequest,
    "GetLocalListVersion": GetLocalListVersionRequest,
    "GetLog": GetLogRequest,
    "GetMonitoringReport": GetMonitoringReportRequest,
    "GetReport": GetReportRequest,
    "GetTransactionStatus": GetTransactionStatusRequest,
    "GetVariables": GetVariablesRequest,
    "Heartbeat": HeartbeatRequest,
    "InstallCertificate": InstallCertificateRequest,
    "LogStatusNotification": LogStatusNotificationRequest,
    "MeterValues": MeterValuesRequest,
    "NotifyChargingLimit": NotifyChargingLimitRequest,
    "NotifyCustomerInformation": NotifyCustomerInformationRequest,
    "NotifyDisplayMessages": NotifyDisplayMessagesRequest,
    "NotifyEVChargingNeeds": NotifyEVChargingNeedsRequest,
    "NotifyEVChargingSchedule": NotifyEVChargingScheduleRequest,
    "NotifyEvent": NotifyEventRequest,
    "NotifyMonitoringReport": NotifyMonitoringReportRequest,
    "NotifyReport": NotifyReportRequest,
    "PublishFirmware": PublishFirmwareRequest,
    "PublishFirmwareStatusNotification": PublishFirmwareStatusNotificationRequest,
    "ReportChargingProfiles": ReportChargingProfilesRequest,
    "RequestStartTransaction": RequestStartTransactionRequest,
    "RequestStopTransaction": RequestStopTransactionRequest,
    "ReservationStatusUpdate": ReservationStatusUpdateRequest,
    "ReserveNow": ReserveNowRequest,
    "Reset": ResetRequest,
    "SecurityEventNotification": SecurityEventNotificationRequest,
    "SendLocalList": SendLocalListRequest,
    "SetChargingProfile": SetChargingProfileRequest,
    "SetDisplayMessage": SetDisplayMessageRequest,
    "SetMonitoringBase": SetMonitoringBaseRequest,
    "SetMonitoringLevel": SetMonitoringLevelRequest,
    "SetNetworkProfile": SetNetworkProfileRequest,
    "SetVariableMonitoring": SetVariableMonitoringRequest,
    "SetVariables": SetVariablesRequest,
    "SignCertificate": SignCertificateRequest,
    "StatusNotification": StatusNotificationRequest,
    "TransactionEvent": TransactionEventRequest,
    "TriggerMessage": TriggerMessageRequest,
    "UnlockConnector": UnlockConnectorRequest,
    "UnpublishFirmware": UnpublishFirmwareRequest,
    "UpdateFirmware": UpdateFirmwareRequest,
}

RESPONSES: Final[dict[str, type[Struct]]] = {
    "Authorize": AuthorizeResponse,
    "BootNotification": BootNotificationResponse,
    "CancelReservation": CancelReservationResponse,
    "CertificateSigned": CertificateSignedResponse,
    "ChangeAvailability": ChangeAvailabilityResponse,
    "ClearCache": ClearCacheResponse,
    "ClearChargingProfile": ClearChargingProfileResponse,
    "ClearDisplayMessage": ClearDisplayMessageResponse,
    "ClearVariableMonitoring": ClearVariableMonitoringResponse,
    "ClearedChargingLimit": ClearedChargingLimitResponse,
    "CostUpdated": CostUpdatedResponse,
    "CustomerInformation": CustomerInformationResponse,
    "DataTransfer": DataTransferResponse,
    "DeleteCertificate": DeleteCertificateResponse,
    "FirmwareStatusNotification": FirmwareStatusNotificationResponse,
    "Get15118EVCertificate": Get15118EVCertificateResponse,
    "GetBaseReport": GetBaseReportResponse,
    "GetCertificateStatus": GetCertificateStatusResponse,
    "GetChargingProfiles": GetChargingProfilesResponse,
    "GetCompositeSchedule": GetCompositeScheduleResponse,
    "GetDisplayMessages": GetDisplayMessagesResponse,
    "GetInstalledCertificateIds": GetInstalledCertificateIdsResponse,
    "GetLocalListVersion": GetLocalListVersionResponse,
    "GetLog": GetLogResponse,
    "GetMonitoringReport": GetMonitoringReportResponse,
    "GetReport": GetReportResponse,
    "GetTransactionStatus": GetTransactionStatusResponse,
    "GetVariables": GetVariablesResponse,
    "Heartbeat": HeartbeatResponse,
    "InstallCertificate": InstallCertificateResponse,
    "LogStatusNotification": LogStatusNotificationResponse,
    "MeterValues": MeterValuesResponse,
    "NotifyChargingLimit": NotifyChargingLimitResponse,
    "NotifyCustomerInformation": NotifyCustomerInformationResponse,
    "NotifyDisplayMessages": NotifyDisplayMessagesResponse,
    "NotifyEVChargingNeeds": NotifyEVChargingNeedsResponse,
    "NotifyEVChargingSchedule": NotifyEVChargingScheduleResponse,
    "NotifyEvent": NotifyEventResponse,
    "NotifyMonitoringReport": NotifyMonitoringReportResponse,
    "NotifyReport": NotifyReportResponse,
    "PublishFirmware": PublishFirmwareResponse,
    "PublishFirmwareStatusNotification": PublishFirmwareStatusNotificationResponse,
    "ReportChargingProfiles": ReportChargingProfilesResponse,
    "RequestStartTransaction": RequestStartTransactionResponse,
    "RequestStopTransaction": RequestStopTransactionResponse,
    "ReservationStatusUpdate": ReservationStatusUpdateResponse,
    "ReserveNow": ReserveNowResponse,
    "Reset": ResetResponse,
    "SecurityEventNotification": SecurityEventNotificationResponse,
    "SendLocalList": SendLocalListResponse,
    "SetChargingProfile": SetChargingProfileResponse,
    "SetDisplayMessage": SetDisplayMessageResponse,
    "SetMonitoringBase": SetMonitoringBaseResponse,
    "SetMonitoringLevel": SetMonitoringLevelResponse,
    "SetNetworkProfile": SetNetworkProfileResponse,
    "SetVariableMonitoring": SetVariableMonitoringResponse,
    "SetVariables": SetVariablesResponse,
    "SignCertificate": SignCertificateResponse,
    "StatusNotification": StatusNotificationResponse,
    "TransactionEvent": TransactionEventResponse,
    "TriggerMessage": TriggerMessageResponse,
    "UnlockConnector": UnlockConnectorResponse,
    "UnpublishFirmware": UnpublishFirmwareResponse,
    "UpdateFirmware": UpdateFirmwareResponse,
}
