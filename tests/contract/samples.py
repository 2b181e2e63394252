"""One of everything that a store keeps, with every field set somewhere."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from cms.app.writes import (
    Ack,
    AuthorisationNote,
    CommandRecord,
    Delivery,
    Exchange,
    JournalFrame,
)
from cms.domain.audit import AuditEntry, WorkAction, WorkItem, WorkType
from cms.domain.cdr import Cdr, CdrPlace
from cms.domain.ids import (
    CdrId,
    CommandId,
    EvseRef,
    EvseUid,
    LocationId,
    PartnerId,
    ReservationId,
    SessionId,
    StationId,
    TariffHash,
    TariffId,
    TransactionId,
)
from cms.domain.meter import Quantity, ReadingContext, Sample
from cms.domain.partner import ApiKey, Partner, PartnerState, Right
from cms.domain.rating import rate
from cms.domain.reservation import Hold, Reservation, ReservationState
from cms.domain.session import Limit, Session, SessionStatus, TariffSwitch
from cms.domain.sharing import LiveStatus, Sharing
from cms.domain.status import ConnectorReport, EvseState, LastMeter, Presence
from cms.domain.tariff import Basis, Dimension, Element, PriceComponent, Restrictions, Tariff, Tax
from cms.domain.tariff_choice import TariffRule
from cms.domain.token import AuthMethod, Token, TokenType, Verdict, Whitelist
from cms.domain.topology import (
    Approval,
    Business,
    ChargingStation,
    Connector,
    ConnectorFormat,
    Coordinates,
    Evse,
    ExceptionalPeriod,
    Hours,
    Location,
    OpeningTimes,
    PowerType,
    StationKey,
    StationRecord,
)
from cms.domain.transaction import ChargingState, EventKind, Flag, TransactionEvent
from cms.domain.usage import Usage

NOW = datetime(2026, 3, 3, 6, 30, 0, 123456, tzinfo=UTC)
ALPHA = PartnerId("IN*ALP")
BETA = PartnerId("DE*BET")
STATION = StationId("CS1")
SITE = LocationId("LOC1")
MINUTE = timedelta(minutes=1)

TOKEN = Token(
    partner=ALPHA,
    uid="Abc123",
    type=TokenType.APP_USER,
    contract_id="IN-ALP-C1",
    issuer="Alpha",
    valid=True,
    whitelist=Whitelist.ALLOWED_OFFLINE,
    visual_number="12 34",
    group="G1",
    language="en",
    default_profile="GREEN",
    energy_supplier="Sun",
    energy_contract="S-1",
    expires_at=NOW + MINUTE,
    last_updated=NOW,
)

TARIFF = Tariff(
    id=TariffId("AC-18"),
    currency="INR",
    basis=Basis.GROSS,
    taxes=(Tax("CGST", Decimal(9)), Tax("SGST", Decimal(9))),
    elements=(
        Element((PriceComponent(Dimension.ENERGY, Decimal(18)),)),
        Element(
            (PriceComponent(Dimension.TIME, Decimal("1.50"), 60),),
            Restrictions(start_time=time(22), end_time=time(6), day_of_week=frozenset({5, 6})),
        ),
    ),
    valid_from=NOW - MINUTE,
)

EVSE = Evse(
    ref=EvseRef(STATION, 1),
    uid=EvseUid("CS1-1"),
    connectors=(
        Connector(
            number=1,
            standard="IEC_62196_T2",
            format=ConnectorFormat.SOCKET,
            power_type=PowerType.AC_3_PHASE,
            max_voltage=230,
            max_amperage=32,
            max_power_w=22_000,
            tariffs=(TARIFF.id,),
            terms_url="https://example.org/terms",
        ),
    ),
    evse_id="IN*CPO*E0001",
    floor_level="-1",
    physical_reference="7",
    parking_restrictions=("EV_ONLY",),
)

CHARGER = ChargingStation(
    id=STATION,
    location=SITE,
    evses=(EVSE,),
    approval=Approval.TESTING,
    profile="generic",
    from_file=True,
    created_at=NOW,
)

LOCATION = Location(
    id=SITE,
    party=PartnerId("IN*CPO"),
    address="1 Road",
    city="Pune",
    country="IND",
    coordinates=Coordinates(Decimal("18.5204"), Decimal("73.8567")),
    time_zone="Asia/Kolkata",
    name="Mall \u2713",
    postal_code="411001",
    state="MH",
    operator=Business("Op", "https://op.example", "https://op.example/logo.png"),
    owner=Business("Owner"),
    opening=OpeningTimes(
        twentyfourseven=False,
        regular=(Hours(1, "08:00", "20:00"),),
        closings=(ExceptionalPeriod(NOW, NOW + MINUTE),),
    ),
    parking_type="PARKING_LOT",
    facilities=("MALL",),
    created_at=NOW,
)

RECORD = StationRecord(
    id=STATION,
    visit=3,
    boots=2,
    vendor="V",
    model="M",
    serial="S",
    firmware="1.0",
    dialect="1.6",
    last_boot_at=NOW,
    last_seen_at=NOW,
)
KEY = StationKey(STATION, b"\x00salt", b"\xff\x00digest")
RULE = TariffRule("r1", TARIFF.id, ALPHA, SITE, EVSE.uid, 1)
PARTNER = Partner(
    ALPHA,
    "Alpha",
    PartnerState.CONNECTED,
    False,
    True,
    NOW,
    NOW,
    profile="strict",
    switches=(("routing_headers_sent", "false"),),
    sharing=Sharing(
        frozenset({LocationId("BLR-1")}),
        frozenset({"The mall"}),
        LiveStatus.DELAYED,
        15,
        frozenset({TariffId("DC-18")}),
        NOW,
    ),
    networks=("10.0.0.0/8",),
    certificates=("ab" * 32,),
    our_certificate="roaming",
)
API_KEY = ApiKey(
    id="k1",
    name="Owner",
    salt=b"s\x00",
    digest=b"d\xff",
    rights=frozenset({Right.READ, Right.OPERATE}),
    sites=frozenset({SITE}),
    expires_at=NOW,
    created_at=NOW,
)
STATE = EvseState(
    ref=EVSE.ref,
    presence=Presence.GRACE,
    connectors={1: ConnectorReport.CHARGING, 2: ConnectorReport.FREE},
    session=SessionId("s1"),
    meter=LastMeter(NOW, 1500, 500, 7000, 42),
    error="GroundFailure",
    version=7,
)
EVENT = TransactionEvent(
    kind=EventKind.STARTED,
    occurred_at=NOW - MINUTE,
    received_at=NOW,
    content=b"\x00\x01hash",
    seq_no=0,
    evse=1,
    connector=1,
    id_token="ABC123",
    register_wh=1000,
    samples=(
        Sample(NOW, Quantity.ENERGY_REGISTER, 1000),
        Sample(NOW, Quantity.VOLTAGE, 230_000, ReadingContext.BEGIN, "L1-N", "inlet"),
    ),
    charging=ChargingState.SUSPENDED_BY_CAR,
    reason="Local",
    remote_start=77,
    reservation=5,
    offline=True,
    flags=(Flag.TIME_IMPLAUSIBLE, Flag.STARTED_OFFLINE),
)
SESSION = Session(
    id=SessionId("s1"),
    station=STATION,
    evse=1,
    status=SessionStatus.ACTIVE,
    started_at=NOW - MINUTE,
    received_at=NOW,
    id_token="ABC123",
    transaction=TransactionId("4711"),
    connector=1,
    location=SITE,
    token=TOKEN,
    owner=ALPHA,
    method=AuthMethod.COMMAND,
    reference="REF-1",
    command=CommandId("c1"),
    start_wh=1000,
    last_wh=1500,
    last_at=NOW,
    delivered_wh=500,
    power_w=7000,
    charging=True,
    stop_reason="Local",
    settle_after=NOW + MINUTE,
    tariff=TariffHash("h1"),
    currency="INR",
    limit=Limit(5000, Decimal("100.50"), 3600),
    stop_asked_at=NOW,
    touched_at=NOW,
    dialect="1.6",
    flags=(Flag.SEQ_GAP, Flag.DARK),
    reservation=ReservationId(4242),
    held_from=NOW - MINUTE,
    switches=(TariffSwitch(NOW, TariffHash("h2")),),
    activated_at=NOW - MINUTE,
)
COMMAND = CommandRecord(
    id=CommandId("c1"),
    verb="remote_start",
    station=STATION,
    asked_by=f"partner:{ALPHA}",
    created_at=NOW,
    expires_at=NOW + MINUTE,
    evse=1,
    connector=1,
    transaction=TransactionId("4711"),
    id_token="A1B2C3D4E5F6G7H8",
    number=77,
    token=TOKEN,
    owner=ALPHA,
    reference="REF-1",
    limit_wh=5000,
    limit_money="100.50",
    limit_seconds=3600,
    reply_to="https://alpha.example/commands/1",
    session=SESSION.id,
)
HOLD = Hold(
    station=STATION,
    evse=1,
    token=TOKEN,
    id_token="A1B2C3D4E5F6G7H9",
    card=False,
    expires_at=NOW + MINUTE,
    asked_by=f"partner:{ALPHA}",
    reference="REF-1",
    reply_to="https://alpha.example/commands/2",
    command=CommandId("c9"),
)
RESERVATION = Reservation(
    id=ReservationId(2**31 - 1),
    name="R-1",
    owner=ALPHA,
    location=SITE,
    hold=HOLD,
    created_at=NOW,
    state=ReservationState.HELD,
    asked=replace(HOLD, evse=None, card=True),
    session=SESSION.id,
    held_at=NOW,
    why="replaced",
)
ENTRY = AuditEntry(
    at=NOW,
    who="key:k1",
    what="tariff.changed",
    subject="tariff:AC-18",
    before={"price": "17.00", "n": [1, None, True]},
    after={"price": "18.00"},
    reason="new year",
)
ITEM = WorkItem(
    id="w1",
    type=WorkType.ORPHAN_STOP,
    subject="journal:1",
    opened_at=NOW,
    station=STATION,
    location=SITE,
    evidence={"register_wh": 1500, "token": None},
    actions=(WorkAction.JOIN, WorkAction.DISMISS),
)
NOTE = AuthorisationNote(
    at=NOW,
    station=STATION,
    id_token="ABC123",
    verdict=Verdict.BLOCKED,
    why="the partner said so",
    owner=ALPHA,
    session=SESSION.id,
    waited_ms=120,
)
DELIVERY = Delivery(
    partner=ALPHA,
    kind="cdr",
    key="b1",
    state="parked",
    seq=9,
    at=NOW,
    attempts=5,
    place="https://alpha.example/cdrs/b1",
    error="4xx",
    retry_at=NOW + MINUTE,
)
EXCHANGE = Exchange(
    at=NOW,
    partner=ALPHA,
    outbound=True,
    kind="session",
    key="s1",
    method="PUT",
    url="https://alpha.example/sessions/s1",
    request=b'{"a":1}\x00',
    http_status=200,
    answer=b"\xff",
    took_ms=12,
    session=SESSION.id,
)


def frame(key: bytes | None = b"k1", **more: object) -> JournalFrame:
    """A journalled start; its raw bytes hold what text columns refuse."""
    whole = JournalFrame(
        key=key,
        station=STATION,
        visit=3,
        action="StartTransaction",
        raw=b'[2,"1","StartTransaction",{"idTag":"A\x00\xff"}]',
        received_at=NOW,
        session=SESSION.id,
        transaction=TransactionId("4711"),
        event=EVENT,
        ack=Ack(TransactionId("4711"), Verdict.ACCEPTED),
        notes=("Q-001: trimmed",),
    )
    return replace(whole, **more)  # type: ignore[arg-type]


def session(id: str, transaction: str | None = None, **more: object) -> Session:
    named = {"id": SessionId(id), "transaction": TransactionId(transaction or id)}
    return replace(SESSION, **{**named, **more})  # type: ignore[arg-type]


def cdr(
    id: str = "b1",
    session: str = "s1",
    *,
    owner: PartnerId | None = ALPHA,
    location: LocationId = SITE,
    ended_at: datetime = NOW,
    wh: int = 1234,
    created_at: datetime = NOW,
) -> Cdr:
    """A bill of half an hour."""
    started_at = ended_at - 30 * MINUTE
    rating = rate(TARIFF, [Usage(started_at, ended_at, wh)], ZoneInfo("Asia/Kolkata"))
    place = CdrPlace(
        location=location,
        party=PartnerId("IN*CPO"),
        address="1 Road",
        city="Pune",
        country="IND",
        coordinates=LOCATION.coordinates,
        time_zone="Asia/Kolkata",
        station=STATION,
        evse=1,
        evse_uid=EVSE.uid,
        connector=1,
        standard="IEC_62196_T2",
        format=ConnectorFormat.SOCKET,
        power_type=PowerType.AC_3_PHASE,
    )
    return Cdr(
        id=CdrId(id),
        session=SessionId(session),
        owner=owner,
        place=place,
        token=TOKEN,
        method=AuthMethod.WHITELIST,
        started_at=started_at,
        ended_at=ended_at,
        energy_wh=wh,
        total_time=30 * MINUTE,
        parking_time=timedelta(0),
        rating=rating,
        tariffs=(TARIFF,),
        created_at=created_at,
        total=rating.total,
        reference="REF-1",
        remark="tested",
    )
