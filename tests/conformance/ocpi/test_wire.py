"""The rest of A1 to A3: bytes, dates, codes, addresses, links; and what we do with answers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from cms.bootstrap import assembled, ocpi_of
from cms.config import Config, checked
from cms.domain.errors import Conflict, InvalidValue
from cms.domain.ids import LocationId, TariffId
from cms.domain.partner import Partner
from cms.domain.status import ConnectorReport
from cms.domain.tariff import DisplayText
from cms.domain.token import TokenType
from cms.domain.topology import Business
from ocpi_cpo import errors
from ocpi_cpo.answers import Heard as Response
from ocpi_cpo.answers import Kind, judge
from ocpi_cpo.config import OcpiConfig, OwnParty
from ocpi_cpo.desk import Partners
from ocpi_cpo.errors import OcpiError
from ocpi_cpo.wire import join, stamp, with_query
from simulators.emsp.faults import Fault
from simulators.emsp.faults import Kind as Trouble
from simulators.emsp.partner import Emsp
from tests.conformance.ocpi.world import (
    EMP,
    EVSE,
    OPERATOR,
    SITE,
    Asker,
    World,
    now,
    shelf,
    until,
)
from tests.conformance.statements import reading, statement

ALL_TIME = "date_from=2020-01-01T00:00:00Z"


async def everything(cpo: World, ask: Asker) -> dict[str, Any]:
    """One of each object that we serve."""
    await cpo.session()
    await cpo.settle(await cpo.session())
    found = {
        module: (await ask("GET", f"/2.2.1/{module}?{ALL_TIME}")).data
        for module in ("locations", "sessions", "cdrs", "tariffs")
    }
    found["credentials"] = [(await ask("GET", "/2.2.1/credentials")).data]
    return found


def leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every value with the name of its member."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, key)
    elif isinstance(value, list):
        for inner in value:
            yield from leaves(inner, name)
    else:
        yield name, value


async def test_tr_01_every_address_that_we_advertise_is_ours_and_absolute(
    cpo: World, ask: Asker
) -> None:
    secure = OcpiConfig("https://cpo.example/ocpi/", (OwnParty("IN", "CPO", "One"),))
    assert secure.url("2.2.1", "locations") == "https://cpo.example/ocpi/2.2.1/locations"
    for path in ("/versions", "/2.2.1", "/2.2.1/credentials"):
        data = (await ask("GET", path, headers={"Host": "evil.example"})).data
        urls = [value for name, value in leaves(data) if name == "url"]
        assert urls and all(each.startswith(f"{cpo.base}/") for each in urls)


async def test_tr_01_no_partner_is_given_an_address_that_is_not_https(tmp_path: Path) -> None:
    plain = {"http": {"public_url": "http://cpo.example"}}
    with pytest.raises(InvalidValue, match=r"http\.public_url: expected https://"):
        checked(Config.model_validate(plain))
    checked(Config.model_validate({"http": {"public_url": "https://cpo.example"}}))
    checked(Config.model_validate({**plain, "ocpi": {"allow_private_addresses": True}}))
    database = {"url": f"sqlite:///{tmp_path / 'cms.db'}"}
    config = Config.model_validate({"database": database})  # no public_url, no certificate
    async with assembled(config) as parts:
        desk = Partners(parts.roaming, parts.catalogue, ocpi_of(config))
        with pytest.raises(Conflict, match="https:// addresses only"):
            await desk.invite(Partner(EMP, "Partner"), "key:boss")
        with pytest.raises(Conflict, match="https:// addresses only"):
            await desk.register(Partner(EMP, "P"), "https://emp.example", "t", "key:boss")
        near = Partner(EMP, "Partner", allow_private_addresses=True)
        assert await desk.invite(near, "key:boss")


@pytest.mark.parametrize(
    ("http", "code", "kind"),
    [
        (200, 1000, Kind.DELIVERED),
        (201, 1999, Kind.DELIVERED),
        (200, 2000, Kind.REFUSED),
        (200, 2999, Kind.REFUSED),
        (200, 3001, Kind.LATER),
        (200, 3999, Kind.LATER),
        (500, 1000, Kind.UNCLEAR),
        (200, None, Kind.UNCLEAR),
    ],
)
def test_tr_17_success_is_http_and_ocpi_together(http: int, code: int | None, kind: Kind) -> None:
    body = b"fine" if code is None else json.dumps({"status_code": code}).encode()
    assert judge(Response(http, {}, body, 1)).kind is kind


def test_tr_18_and_19_we_use_the_codes_that_are_defined_and_none_of_a_hub() -> None:
    def all_of(kind: type[OcpiError]) -> Iterator[type[OcpiError]]:
        yield kind
        for inner in kind.__subclasses__():
            yield from all_of(inner)

    codes = {each.code for each in all_of(OcpiError)}
    assert codes <= {2000, 2001, 2002, 2003, 2004, 3000, 3001, 3002, 3003}
    assert {errors.BadParameter.code, errors.UnknownToken.code} == {2001, 2004}


@pytest.mark.parametrize("code", [4001, 4002, 4003])
def test_tr_19_a_hubs_code_means_not_delivered(code: int) -> None:
    answer = judge(Response(200, {}, json.dumps({"status_code": code}).encode(), 1))
    assert not answer.ok and answer.again


@reading
@pytest.mark.parametrize(
    ("base", "joined"),
    [
        ("https://p.example/tokens", "https://p.example/tokens/A/authorize?type=OTHER"),
        ("https://p.example/tokens/", "https://p.example/tokens/A/authorize?type=OTHER"),
        ("https://p.example/t?k=v", "https://p.example/t/A/authorize?k=v&type=OTHER"),
    ],
)
def test_tr_29_partners_addresses_are_joined_with_one_slash(base: str, joined: str) -> None:
    assert with_query(join(base, "A", "authorize"), type="OTHER") == joined


async def test_tr_33_display_texts_are_shortened_and_ids_are_refused(
    cpo: World, ask: Asker
) -> None:
    site = cpo.catalogue.locations[SITE]
    long = replace(site, name="n" * 300, city="c" * 60, operator=Business("o" * 200))
    await cpo.administration.put_location(long, OPERATOR)
    shown = (await ask("GET", f"/2.2.1/locations/{SITE}")).data
    assert len(shown["name"]) == 255 and len(shown["city"]) == 45
    assert len(shown["operator"]["name"]) == 100
    with pytest.raises(ValueError, match="36"):
        replace(site, id=LocationId("x" * 37))
    with pytest.raises(ValueError, match="36"):
        shelf(TariffId("x" * 37))


async def test_tr_34_and_37_to_39_dates_numbers_and_prices_have_their_form(
    cpo: World, ask: Asker
) -> None:
    found = await everything(cpo, ask)
    dates = [value for name, value in leaves(found) if name.endswith(("date_time", "_updated"))]
    assert len(dates) > 8
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,3})?Z", x) for x in dates)
    whole = ("max_voltage", "max_amperage", "step_size", "weekday", "max_electric_power")
    numbers = [(name, value) for name, value in leaves(found) if name in whole]
    assert numbers and all(type(value) is int for _, value in numbers)
    for name in ("kwh", "volume", "total_energy", "total_time", "excl_vat", "price"):
        values = [value for key, value in leaves(found) if key == name]
        assert values and all(isinstance(value, int | float) for value in values), name
    [bill] = found["cdrs"]
    for name, value in bill.items():
        if name.endswith("_cost"):
            assert set(value) <= {"excl_vat", "incl_vat"} and "excl_vat" in value


async def test_tr_40_names_are_snake_case_and_texts_have_their_language(
    cpo: World, ask: Asker
) -> None:
    texts = (DisplayText("en", "Bring your own cable"), DisplayText("hi", "अपना केबल लाएँ"))
    await cpo.administration.put_tariff(replace(shelf(), names=texts), OPERATOR)
    found = await everything(cpo, ask)
    for module in found.values():
        for name, value in leaves(module):
            assert re.fullmatch(r"[a-z][a-z0-9_]*", name), name
            if name.endswith("url"):
                assert len(value) <= 255
    shown = found["tariffs"][0]["tariff_alt_text"]
    assert [each["language"] for each in shown] == ["en", "hi"]
    assert shown[1]["text"] == texts[1].text


@pytest.mark.parametrize("where", [EVSE])
async def test_tr_44_the_not_available_mark_is_only_where_nothing_is_known(
    cpo: World, ask: Asker, where: Any
) -> None:
    marks = [value for _, value in leaves(await everything(cpo, ask)) if value == "#NA"]
    assert not marks


async def test_tr_45_every_endpoint_has_its_version_in_its_address(ask: Asker) -> None:
    for version in (await ask("GET", "/versions")).data:
        endpoints = (await ask("GET", version["url"])).data["endpoints"]
        assert all(f"/{version['version']}/" in each["url"] for each in endpoints)


# -- A2, the client's side


async def test_pg_11_we_follow_next_links_and_stop_at_one_that_repeats(
    cpo: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Emsp() as emsp:
        for number in range(120):
            emsp.tokens.add(f"CARD{number}")
        await cpo.connect(emsp)
        await until(lambda: sum(1 for _ in cpo.catalogue.tokens()) == 120)
        pulls = [each for each in emsp.arrivals if each.module == "tokens"]
        assert len(pulls) > 1
        page = emsp.tokens.page

        def for_ever(query: Any, url: str) -> Any:
            return page({**query, "offset": "0", "limit": "10"}, url)

        monkeypatch.setattr(type(emsp.tokens), "page", lambda _, query, url: for_ever(query, url))
        before = len(emsp.arrivals)
        assert await cpo.service.pull_tokens(EMP) == 0
        assert len(emsp.arrivals) - before <= 3


async def test_rt_10_a_token_of_a_party_that_is_not_the_partners_is_ignored(cpo: World) -> None:
    async with Emsp() as emsp:
        emsp.tokens.add("MINE")
        emsp.tokens.add("THEIRS", party_id="XYZ")
        await cpo.connect(emsp)
        await until(lambda: cpo.catalogue.token(EMP, "MINE", TokenType.RFID))
        assert not list(cpo.catalogue.tokens_named("THEIRS"))


async def test_rt_12_dates_of_tokens_are_kept_as_their_owner_wrote_them(ask: Asker) -> None:
    from tests.conformance.ocpi.test_tokens_authorize import wire

    moment = stamp(now() - timedelta(days=3))
    await ask("PUT", "/2.2.1/tokens/IN/EMP/T1", wire(last_updated=moment))
    ids = {"X-Request-ID": "hop-2", "X-Correlation-ID": "chain-1"}
    heard = await ask("GET", "/2.2.1/tokens/IN/EMP/T1", headers=ids)
    assert heard.data["last_updated"] == moment
    assert {name: heard.headers[name] for name in ids} == ids


# -- A16


async def test_of_01_a_partner_that_takes_no_push_can_read_everything(cpo: World) -> None:
    async with Emsp(modules=("credentials", "tokens", "commands")) as emsp:
        await cpo.connect(emsp)
        await cpo.settle(await cpo.session())
        for module in ("locations", "tariffs", "cdrs"):
            assert await emsp.pull(module)
        assert await emsp.pull("sessions", date_from=datetime(2020, 1, 1, tzinfo=UTC))
        assert not [each for each in emsp.arrivals if each.method in ("PUT", "PATCH")]


@reading
async def test_of_02_and_03_after_an_outage_the_latest_state_comes_once(
    cpo: World, emsp: Emsp
) -> None:
    session = await cpo.session()
    await emsp.wait_for(lambda: emsp.history("sessions", "IN", "CPO", session.id))
    await emsp.go_down()
    began = now()
    for step in range(1, 6):
        session = await cpo.keep(replace(session, delivered_wh=1500 + step))
        await cpo.report(EVSE, list(ConnectorReport)[step % 2])
    await emsp.come_back()
    ask = Asker(cpo.base, emsp.connection.outbound)
    await ask("GET", "/2.2.1/credentials")  # it is back, and calls
    since = stamp(began).replace("+", "%2B")
    pulled = (await ask("GET", f"/2.2.1/sessions?date_from={since}")).data
    assert [each["id"] for each in pulled] == [session.id]
    latest = await emsp.wait_for(
        lambda: [v for v in emsp.history("sessions", "IN", "CPO", session.id)[1:] if v.body]
    )
    assert [each.body["kwh"] for each in latest if each.body] == [Decimal("1.505")]


@reading
async def test_of_04_a_bill_is_tried_again_with_the_same_id(cpo: World, emsp: Emsp) -> None:
    emsp.faults.add(Fault(Trouble.HTTP, "cdrs", "POST", times=1, http=502))
    bill = await cpo.settle(await cpo.session())
    await emsp.wait_for(lambda: emsp.store.cdrs)
    sent = emsp.pushes("cdrs")
    assert [each.object_id for each in sent] == [bill.id] * len(sent)
    assert emsp.store.cdr_copies == {("IN", "CPO", bill.id.upper()): 1} or (
        sum(emsp.store.cdr_copies.values()) == 1
    )


@reading
async def test_of_06_a_partner_that_refuses_our_token_is_left_alone(cpo: World, emsp: Emsp) -> None:
    emsp.connection.inbound.clear()
    await cpo.session()
    await until(lambda: cpo.service.health(EMP)["state"] == "refused")
    seen = len(emsp.arrivals)
    await cpo.session()
    await cpo.report(EVSE, ConnectorReport.CHARGING)
    async with Emsp(party_id="OTH") as witness:
        await cpo.connect(witness)
        await witness.wait_for(lambda: witness.store.locations)
    assert len(emsp.arrivals) == seen


@reading
async def test_of_07_a_partner_that_hangs_delays_nobody(cpo: World, emsp: Emsp) -> None:
    async with Emsp(party_id="OTH") as other:
        await cpo.connect(other)
        await other.wait_for(lambda: other.store.locations)
        emsp.faults.add(Fault(Trouble.BLACKHOLE, "locations"))
        for report in (ConnectorReport.CHARGING, ConnectorReport.FREE, ConnectorReport.FAULTED):
            await cpo.report(EVSE, report)
        await other.wait_for(
            lambda: (
                (other.store.evse(("IN", "CPO", SITE), "CS1-1") or {}).get("status") == "OUTOFORDER"
            ),
            timeout=2.0,
        )


@statement("TK-10")
async def test_of_09_after_a_restart_only_what_is_new_is_read(cpo: World) -> None:
    from tests.conformance.ocpi.world import running

    async with Emsp() as emsp:
        emsp.tokens.add("OLD")
        await cpo.connect(emsp)
        await until(lambda: cpo.catalogue.token(EMP, "OLD", TokenType.RFID))
        newest = emsp.tokens.held["OLD", "RFID"]["last_updated"]
        await until(lambda: cpo.service.connections.get(EMP).tokens_pulled_to)  # type: ignore[union-attr]
        seen = len(emsp.arrivals)
        emsp.tokens.add("NEW")
        async with running(cpo.store) as again:
            await until(lambda: again.catalogue.token(EMP, "NEW", TokenType.RFID))
            pulls = [each.path for each in emsp.arrivals[seen:] if each.module == "tokens"]
            assert f"date_from={newest.replace(':', '%3A')}" in pulls[0]
            kept = again.catalogue.token(EMP, "OLD", TokenType.RFID)
            assert kept is not None and kept.valid
