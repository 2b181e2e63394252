"""A1 to A3 once more, clause by clause: what one test of each statement left unsaid."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
from yarl import URL

from cms.domain.errors import StoreDown
from cms.domain.ids import LocationId, PartnerId, TariffId
from cms.domain.status import ConnectorReport
from cms.domain.tariff import Basis, Dimension, DisplayText, Element, PriceComponent
from cms.domain.token import TokenType
from cms.domain.topology import Hours, Image, OpeningTimes
from ocpi_cpo.wire import authorization, stamp
from simulators.emsp.faults import Fault, Kind
from simulators.emsp.partner import Emsp
from simulators.emsp.wire import dumps
from tests.conformance.ocpi.test_tokens_authorize import wire
from tests.conformance.ocpi.world import (
    EMP,
    EVSE,
    OPERATOR,
    OTHER,
    SITE,
    STATION,
    Asker,
    World,
    now,
    running,
    shelf,
    until,
)
from tests.conformance.statements import reading, statement

ALL_TIME = "date_from=2020-01-01T00:00:00Z"
LISTS = ("locations", "sessions", "cdrs", "tariffs")
TOKEN = "/2.2.1/tokens/IN/EMP/T1"
IDS = {"X-Request-ID": "req-1", "X-Correlation-ID": "cor-1"}
A_MOMENT = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,3})?Z"


async def text_of(ask: Asker, path: str) -> str:
    """Return an answer's bytes as they are, before anything reads its numbers."""
    headers = {"Authorization": authorization(ask.token or "")}
    async with aiohttp.ClientSession() as http:
        async with http.get(f"{ask.base}{path}", headers=headers) as answer:
            return await answer.text()


# -- A1


@statement("TR-04")
@pytest.mark.parametrize(
    ("method", "path"),
    [("PUT", TOKEN), ("POST", "/2.2.1/commands/START_SESSION"), ("GET", "/2.1.1/locations")],
)
async def test_a_registration_token_writes_nothing_either(
    cpo: World, method: str, path: str
) -> None:
    ask = Asker(cpo.base, await cpo.invite())
    assert (await ask(method, path, wire())).http == 401
    assert (await ask("GET", "/2.2.1")).http == 200
    assert not list(cpo.catalogue.tokens_named("T1"))


async def test_tr_05_the_standard_alphabet_is_used_and_padded(cpo: World, emsp: Emsp) -> None:
    given = "???>>>" * 6 + "~"
    emsp.connection.accept(given)
    ask = Asker(cpo.base, emsp.connection.outbound)
    body = {**emsp.credentials(), "token": given}
    assert (await ask("PUT", "/2.2.1/credentials", body)).code == 1000
    await cpo.session()
    await emsp.wait_for(lambda: emsp.store.sessions)
    header = emsp.arrivals[-1].headers["Authorization"]
    assert header == f"Token {base64.b64encode(given.encode()).decode()}"
    assert {"/", "="} <= set(header)


async def test_tr_06_tokens_in_our_answers_are_minted_the_same(cpo: World, emsp: Emsp) -> None:
    first = emsp.connection.outbound or ""
    await emsp.update_credentials()
    second = emsp.connection.outbound or ""
    assert first != second
    assert all(re.fullmatch(r"[!-~]{32,64}", each) for each in (first, second))


@reading
@pytest.mark.parametrize("form", ["Bearer {raw}", "Bearer {b64}", "Basic {b64}", "{raw}"])
async def test_tr_07_a_good_token_under_another_scheme_answers_401(ask: Asker, form: str) -> None:
    raw = ask.token or ""
    header = form.format(raw=raw, b64=base64.b64encode(raw.encode()).decode())
    assert (await ask("GET", "/versions", authorization_header=header)).http == 401


async def test_tr_08_neither_body_nor_address_shows_what_is_anothers(
    cpo: World, ask: Asker, emsp: Emsp
) -> None:
    bill = await cpo.settle(await cpo.session(owner=OTHER))
    session = await cpo.session(owner=OTHER)
    for claimed in ({}, {"OCPI-from-country-code": "IN", "OCPI-from-party-id": "OTH"}):
        heard = await ask("GET", "/2.2.1/cdrs", headers=claimed)
        assert (heard.data or [], heard.headers.get("X-Total-Count", "0")) == ([], "0")
        assert (await ask("GET", f"/2.2.1/cdrs/{bill.id}", headers=claimed)).http == 404
    body = {"response_url": emsp.url("commands"), "session_id": session.id}
    heard = await ask("POST", "/2.2.1/commands/STOP_SESSION", body)
    assert heard.data is None or heard.data["result"] != "ACCEPTED"
    assert not cpo.link.sent
    theirs = wire(party_id="OTH")
    assert (await ask("PUT", "/2.2.1/tokens/IN/OTH/T1", theirs)).http == 404
    assert not list(cpo.catalogue.tokens_named("T1"))


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PATCH", TOKEN),
        ("POST", "/2.2.1/commands/START_SESSION"),
        ("PUT", "/2.2.1/credentials"),
        ("PUT", "/2.2.1/sessions/S1/charging_preferences"),
        ("PUT", "/2.2.1/chargingprofiles/S1"),
    ],
)
async def test_tr_10_no_module_takes_a_body_that_is_no_json(
    ask: Asker, method: str, path: str
) -> None:
    heard = await ask(method, path, raw=b"{'a': 1}")
    assert heard.http == 400
    assert 2000 <= heard.code < 3000 and "data" not in heard.envelope


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", TOKEN),
        ("PATCH", TOKEN),
        ("POST", "/2.2.1/commands/START_SESSION"),
        ("PUT", "/2.2.1/credentials"),
    ],
)
@pytest.mark.parametrize("raw", [b"[]", b"null", b'"text"', b"7", b"{}"])
async def test_tr_11_json_of_another_shape_is_no_http_error(
    ask: Asker, method: str, path: str, raw: bytes
) -> None:
    await ask("PUT", TOKEN, wire())
    heard = await ask(method, path, raw=raw)
    assert (heard.http, heard.code) == (200, 2001)


async def test_tr_13_a_patched_object_answers_200(ask: Asker) -> None:
    await ask("PUT", TOKEN, wire())
    heard = await ask("PATCH", TOKEN, {"valid": False, "last_updated": "2099-01-01T00:00:00Z"})
    assert (heard.http, heard.code) == (200, 1000)


@statement("TR-18", "TR-21")
async def test_tr_14_refusals_and_our_own_failures_are_envelopes_with_both_ids(
    cpo: World, ask: Asker, stranger: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*asked: Any) -> Any:
        raise RuntimeError("a bug of ours")

    async def down(*asked: Any) -> Any:
        raise StoreDown("no database")

    heard = [
        (400, 2000, await ask("PUT", TOKEN, raw=b"{", headers=IDS)),
        (401, 2000, await stranger("GET", "/2.2.1/locations", headers=IDS)),
        (404, 2000, await ask("GET", "/2.2.1/nonsense", headers=IDS)),
        (404, 2003, await ask("GET", "/2.2.1/locations/NOPE", headers=IDS)),
        (404, 2004, await ask("GET", "/2.2.1/tokens/IN/EMP/NOPE", headers=IDS)),
        (405, 2000, await ask("DELETE", "/2.2.1/tokens/IN/EMP/NOPE", headers=IDS)),
        (413, 2000, await ask("PUT", TOKEN, raw=b" " * (1024 * 1024 + 1), headers=IDS)),
        (200, 2001, await ask("PUT", TOKEN, {}, headers=IDS)),
        (201, 1000, await ask("PUT", TOKEN, wire(), headers=IDS)),
    ]
    monkeypatch.setattr(cpo.store, "cdrs", broken)
    heard.append((500, 3000, await ask("GET", "/2.2.1/cdrs", headers=IDS)))
    monkeypatch.setattr(cpo.store, "cdrs", down)
    heard.append((503, 3000, await ask("GET", "/2.2.1/cdrs", headers=IDS)))
    for http, code, each in heard:
        assert (each.http, each.code) == (http, code)
        assert type(each.envelope["status_code"]) is int
        assert re.fullmatch(A_MOMENT, each.envelope["timestamp"])
        assert set(each.envelope) <= {"status_code", "timestamp", "status_message"}
        assert {name: each.headers[name] for name in IDS} == IDS
        assert each.headers["Content-Type"].startswith("application/json")


@pytest.mark.parametrize("module", LISTS)
async def test_tr_15_every_list_is_an_array_and_one_thing_is_an_object(
    ask: Asker, module: str
) -> None:
    heard = await ask("GET", f"/2.2.1/{module}?date_from=2090-01-01T00:00:00Z")
    assert (heard.http, heard.code, heard.data) == (200, 1000, [])
    await ask("PUT", TOKEN, wire())
    for path in (f"/2.2.1/locations/{SITE}", TOKEN, "/2.2.1", "/2.2.1/credentials"):
        assert isinstance((await ask("GET", path)).data, dict)


async def test_tr_16_a_patch_has_no_data_and_any_data_of_a_partner_will_do(
    cpo: World, ask: Asker, emsp: Emsp
) -> None:
    await ask("PUT", TOKEN, wire())
    changes = {"valid": False, "last_updated": "2099-01-01T00:00:00Z"}
    assert "data" not in (await ask("PATCH", TOKEN, changes)).envelope
    for data in ("", ',"data":null', ',"data":"thanks"', ',"data":[{"id":7}]'):
        body = '{"status_code":1000,"timestamp":"2026-01-01T00:00:00Z"' + data + "}"
        emsp.faults.add(Fault(Kind.RAW, "sessions", "PUT", times=1, http=200, body=body))
        session = await cpo.session()
        await emsp.wait_for(lambda own=session: emsp.pushes("sessions", own.id))  # type: ignore[misc]
        after = await cpo.session()
        await emsp.wait_for(lambda own=after: emsp.history("sessions", "IN", "CPO", own.id))  # type: ignore[misc]
        assert len(emsp.pushes("sessions", session.id)) == 1  # taken for good, not sent again
    assert not await cpo.store.deliveries(EMP, "parked")


async def test_tr_17_http_200_with_a_code_of_failure_is_a_failure(cpo: World, emsp: Emsp) -> None:
    emsp.faults.add(Fault(Kind.OCPI, "sessions", "PUT", times=1, status_code=3999))
    later = await cpo.session()
    await emsp.wait_for(lambda: emsp.history("sessions", "IN", "CPO", later.id))  # sent again
    assert len(emsp.pushes("sessions", later.id)) == 2
    emsp.faults.add(Fault(Kind.OCPI, "sessions", "PUT", times=1, status_code=1999))
    fine = await cpo.session()
    await emsp.wait_for(lambda: emsp.pushes("sessions", fine.id))
    witness = await cpo.session()
    await emsp.wait_for(lambda: emsp.history("sessions", "IN", "CPO", witness.id))
    assert len(emsp.pushes("sessions", fine.id)) == 1


async def test_tr_22_and_25_what_does_not_fit_leaves_the_copy_as_it_was(ask: Asker) -> None:
    await ask("PUT", TOKEN, wire(group_id="G1"))
    before = (await ask("GET", TOKEN)).data
    for wrong in ({"uid": "T2"}, {"country_code": "NL"}, {"party_id": "OTH"}):
        assert (await ask("PUT", TOKEN, wire(**wrong))).code == 2001
        dated = {"last_updated": "2099-01-01T00:00:00Z", **wrong}
        assert (await ask("PATCH", TOKEN, dated)).code == 2001
    assert (await ask("GET", TOKEN)).data == before


@reading
async def test_tr_27_a_method_that_is_not_there_changes_nothing(cpo: World, ask: Asker) -> None:
    await ask("PUT", TOKEN, wire())
    for method, path in (
        ("DELETE", TOKEN),
        ("POST", TOKEN),
        ("DELETE", f"/2.2.1/locations/{SITE}"),
        ("PUT", f"/2.2.1/locations/{SITE}"),
        ("POST", "/2.2.1/cdrs"),
        ("PATCH", "/2.2.1/sessions"),
        ("DELETE", "/2.2.1/tariffs"),
    ):
        assert (await ask(method, path, {})).http == 405, (method, path)
    assert (await ask("GET", TOKEN)).data["valid"] is True
    assert [each["id"] for each in (await ask("GET", "/2.2.1/locations")).data] == [SITE]


@reading
async def test_tr_28_every_route_takes_a_slash_at_its_end(ask: Asker, emsp: Emsp) -> None:
    assert (await ask("PUT", f"{TOKEN}/", wire())).http == 201
    stop = {"response_url": emsp.url("commands"), "session_id": "NONE"}
    for method, path, body in (
        ("GET", TOKEN, None),
        ("GET", "/2.2.1", None),
        ("GET", "/2.2.1/credentials", None),
        ("GET", f"/2.2.1/locations/{SITE}", None),
        ("GET", "/2.2.1/tariffs", None),
        ("POST", "/2.2.1/commands/STOP_SESSION", stop),
    ):
        without, with_it = [await ask(method, f"{path}{end}", body) for end in ("", "/")]
        assert (without.http, with_it.http) == (200, 200), path
        assert without.data == with_it.data


@reading
@statement("VE-08")
async def test_tr_29_addresses_of_a_partner_that_end_in_a_slash_or_a_query_are_kept(
    cpo: World,
) -> None:
    class Odd(Emsp):
        def endpoints(self, *version: Any) -> list[Any]:
            ends = {"sessions": "/", "cdrs": "?key=7", "tokens": "?key=7"}
            return [
                {**each, "url": each["url"] + ends.get(each["identifier"], "")}
                for each in super().endpoints(*version)
            ]

    async with Odd() as emsp:
        await cpo.connect(emsp)
        connection = cpo.service.connections.get(EMP)
        assert connection is not None
        assert connection.endpoint("sessions", "RECEIVER") == f"{emsp.url('sessions')}/"
        assert connection.endpoint("cdrs", "RECEIVER") == f"{emsp.url('cdrs')}?key=7"
        session = await cpo.session()
        await emsp.wait_for(lambda: emsp.pushes("sessions", session.id))
        assert emsp.pushes("sessions")[0].path.endswith(f"/sessions/IN/CPO/{session.id}")
        await cpo.settle(session)
        await emsp.wait_for(lambda: emsp.store.cdrs)
        assert not [each for each in emsp.arrivals if "//" in each.path]


async def test_tr_30_a_second_spelling_is_the_same_token(cpo: World, ask: Asker) -> None:
    await ask("PUT", "/2.2.1/tokens/IN/EMP/AbC1", wire(uid="AbC1"))
    heard = await ask("PUT", "/2.2.1/tokens/in/emp/ABC1", wire(uid="ABC1", issuer="Anew"))
    assert (heard.http, heard.code) == (200, 1000)  # replaced, not created
    assert len(list(cpo.catalogue.tokens_named("abc1"))) == 1
    shown = (await ask("GET", "/2.2.1/tokens/IN/EMP/abc1")).data
    assert (shown["uid"], shown["issuer"]) == ("ABC1", "Anew")
    site = (await ask("GET", f"/2.2.1/locations/{SITE}/cs1-1")).data
    assert site["uid"] == "CS1-1"


async def test_tr_31_words_are_sent_exactly_as_they_are_listed(cpo: World, ask: Asker) -> None:
    station = cpo.catalogue.stations[STATION]
    plug = replace(station.evses[0].connectors[0], standard="IEC_60309_2_single_16")
    evses = (replace(station.evses[0], connectors=(plug,)),)
    await cpo.administration.put_station(replace(station, evses=evses), OPERATOR)
    shown = (await ask("GET", f"/2.2.1/locations/{SITE}/CS1-1/1")).data
    assert shown["standard"] == "IEC_60309_2_single_16"
    assert (await ask("PUT", f"{TOKEN}?type=rfid", wire())).code == 2001
    assert (await ask("PUT", TOKEN, wire(type="rfid"))).code == 2001
    await ask("PUT", TOKEN, wire(issuer="iSSuer"))
    assert (await ask("GET", TOKEN)).data["issuer"] == "iSSuer"


async def test_tr_32_lengths_are_counted_in_characters(ask: Asker) -> None:
    for name in ("Л" * 64, "電" * 64):  # 128 and 192 bytes
        assert (await ask("PUT", TOKEN, wire(issuer=name))).code == 1000
        assert (await ask("GET", TOKEN)).data["issuer"] == name
    assert (await ask("PUT", TOKEN, wire(issuer="Л" * 65))).code == 2001


@pytest.mark.parametrize("bad", ["\r", "\n", "\t"])
@pytest.mark.parametrize("field", ["issuer", "contract_id", "group_id", "visual_number"])
async def test_tr_32_no_field_takes_a_line_feed_a_return_or_a_tab(
    ask: Asker, field: str, bad: str
) -> None:
    heard = await ask("PUT", TOKEN, wire(**{field: f"a{bad}b"}))
    assert (heard.http, heard.code) == (200, 2001)
    assert field in heard.envelope["status_message"]


@pytest.mark.parametrize(
    ("shape", "read"),
    [
        ("2026-01-28T12:00:00Z", "2026-01-28T12:00:00Z"),
        ("2026-01-28T12:00:00", "2026-01-28T12:00:00Z"),
        ("2026-01-28T12:00:00.2Z", "2026-01-28T12:00:00.200Z"),
        ("2026-01-28T12:00:00.2", "2026-01-28T12:00:00.200Z"),
        ("2026-01-28T12:00:00.123Z", "2026-01-28T12:00:00.123Z"),
        ("2026-01-28T12:00:00.123", "2026-01-28T12:00:00.123Z"),
    ],
)
async def test_tr_35_each_shape_of_a_date_is_its_moment(ask: Asker, shape: str, read: str) -> None:
    assert (await ask("PUT", TOKEN, wire(last_updated=shape))).code == 1000
    assert (await ask("GET", TOKEN)).data["last_updated"] == read
    assert (await ask("GET", f"/2.2.1/cdrs?date_from={shape}")).code == 1000


@reading
@pytest.mark.parametrize("plus", ["+", "%2B", "%20"])
async def test_tr_36_an_offset_in_a_query_is_converted_even_where_its_plus_is_not_escaped(
    cpo: World, ask: Asker, plus: str
) -> None:
    await cpo.session()
    pune = timezone(timedelta(hours=5, minutes=30))
    for at, found in ((-1, 1), (1, 0)):  # taken for UTC, both would be hours off
        local = (datetime.now(UTC) + timedelta(hours=at)).astimezone(pune)
        text = local.isoformat(timespec="seconds").replace("+", plus)
        assert len(await _raw_sessions(ask, text)) == found


async def _raw_sessions(ask: Asker, date_from: str) -> Any:
    """A list request whose bytes no client has put right."""
    url = URL(f"{ask.base}/2.2.1/sessions?date_from={date_from}", encoded=True)
    headers = {"Authorization": authorization(ask.token or "")}
    async with aiohttp.ClientSession() as http, http.get(url, headers=headers) as answer:
        return (await answer.json())["data"]


@reading
async def test_tr_36_an_offset_in_a_body_is_converted_and_never_sent(ask: Asker) -> None:
    body = wire(last_updated="2026-01-28T17:30:00+05:30")
    assert (await ask("PUT", TOKEN, body)).code == 1000
    assert (await ask("GET", TOKEN)).data["last_updated"] == "2026-01-28T12:00:00Z"


@reading
@pytest.mark.parametrize(
    "text",
    [
        "0001-01-01T00:00:00+05:30",
        "9999-12-31T23:59:59-05:30",
        "2026-02-30T00:00:00Z",
        "2026-01-01T24:61:00Z",
        "2026-01-01T00:00:00+99:99",
        "2026-01-01",
        "٢٠٢٦-01-01T00:00:00Z",
    ],
)
async def test_tr_36_what_is_no_moment_is_refused_in_queries_and_in_bodies(
    ask: Asker, text: str
) -> None:
    heard = await ask("GET", f"/2.2.1/cdrs?date_from={quote(text)}")
    assert (heard.http, heard.code) == (200, 2001)
    assert "date_from" in heard.envelope["status_message"]
    heard = await ask("PUT", TOKEN, wire(last_updated=text))
    assert (heard.http, heard.code) == (200, 2001)
    assert "last_updated" in heard.envelope["status_message"]


async def test_tr_37_four_decimals_are_kept_to_the_end(cpo: World, emsp: Emsp, ask: Asker) -> None:
    fine = replace(
        shelf(TariffId("FINE")),
        basis=Basis.NET,
        elements=(Element((PriceComponent(Dimension.ENERGY, Decimal("0.1234")),)),),
    )
    await cpo.administration.put_tariff(fine, OPERATOR)
    assert '"price":0.1234,' in await text_of(ask, "/2.2.1/tariffs")
    await emsp.wait_for(lambda: emsp.history("tariffs", "IN", "CPO", "FINE"))
    [sent] = emsp.store.tariffs["IN", "CPO", "FINE"]["elements"]
    assert sent["price_components"][0]["price"] == Decimal("0.1234")


async def test_tr_37_no_number_on_the_wire_is_text_or_has_noise(cpo: World, ask: Asker) -> None:
    await cpo.settle(await cpo.session(delivered_wh=100 + 200))
    await cpo.session(delivered_wh=1234)
    for module in LISTS:
        text = await text_of(ask, f"/2.2.1/{module}?{ALL_TIME}")
        assert not re.findall(r":-?\d+\.\d{13,}", text)
        names = "kwh|volume|total_energy|total_time|excl_vat|incl_vat|price|vat|step_size"
        assert not re.findall(rf'"({names})":"', text)
    text = await text_of(ask, f"/2.2.1/sessions?{ALL_TIME}")
    assert '"kwh":0.3,' in text and '"kwh":1.234,' in text


async def test_tr_38_weekdays_timeouts_and_power_are_whole_numbers(
    cpo: World, ask: Asker, emsp: Emsp
) -> None:
    opening = OpeningTimes(False, (Hours(1, "08:00", "20:00"),))
    site = cpo.catalogue.locations[SITE]
    await cpo.administration.put_location(replace(site, opening=opening), OPERATOR)
    assert '"weekday":1,' in await text_of(ask, f"/2.2.1/locations/{SITE}")
    body = {
        "response_url": emsp.url("commands"),
        "token": wire(),
        "location_id": SITE,
        "evse_uid": "CS1-1",
    }
    heard = await ask("POST", "/2.2.1/commands/START_SESSION", body)
    assert type(heard.data["timeout"]) is int


async def test_tr_40_a_text_is_cut_and_an_address_that_is_too_long_is_not_sent(
    cpo: World, emsp: Emsp, ask: Asker
) -> None:
    long = Image(f"https://cpo.example/{'p' * 240}.jpg", "ENTRANCE", "jpeg")
    short = Image("https://cpo.example/p.jpg", "ENTRANCE", "jpeg")
    site = cpo.catalogue.locations[SITE]
    words = (DisplayText("en", "w" * 600),)
    changed = replace(site, images=(long, short), directions=words)
    await cpo.administration.put_location(changed, OPERATOR)
    shown = (await ask("GET", f"/2.2.1/locations/{SITE}")).data
    assert len(shown["directions"][0]["text"]) == 512
    assert [each["url"] for each in shown["images"]] == [short.url]


async def test_tr_41_an_empty_list_and_null_are_as_if_it_were_missing(cpo: World) -> None:
    ask = Asker(cpo.base, await cpo.invite())
    body = {"token": "b" * 20, "url": "http://127.0.0.1:9/versions"}
    heard = [
        await ask("POST", "/2.2.1/credentials", each)
        for each in (body, {**body, "roles": None}, {**body, "roles": []})
    ]
    assert [(each.http, each.code) for each in heard] == [(200, 2001)] * 3
    assert all("roles" in each.envelope["status_message"] for each in heard)


@reading
async def test_tr_42_unknown_members_inside_other_objects_are_ignored(
    ask: Asker, emsp: Emsp
) -> None:
    body = {
        "response_url": emsp.url("commands"),
        "token": {**wire(), "colour": "red"},
        "location_id": SITE,
        "evse_uid": "CS1-1",
        "mood": {"good": True},
    }
    assert (await ask("POST", "/2.2.1/commands/START_SESSION", body)).code == 1000


@reading
async def test_tr_43_a_bad_object_in_a_pulled_list_costs_the_others_nothing(cpo: World) -> None:
    async with Emsp() as emsp:
        for name in ("GOOD1", "BAD", "GOOD2"):
            emsp.tokens.add(name)
        emsp.tokens.held["BAD", "RFID"]["whitelist"] = "SOMETIMES"
        await cpo.connect(emsp)
        await until(lambda: cpo.catalogue.token(EMP, "GOOD2", TokenType.RFID))
        assert cpo.catalogue.token(EMP, "GOOD1", TokenType.RFID)
        assert not list(cpo.catalogue.tokens_named("BAD"))


# -- A2


@reading
@pytest.mark.parametrize("module", LISTS)
async def test_pg_01_and_10_every_list_takes_all_four_and_refuses_what_is_no_number(
    cpo: World, ask: Asker, module: str
) -> None:
    await cpo.settle(await cpo.session())
    window = f"{ALL_TIME}&date_to=2090-01-01T00:00:00Z&offset=0&limit=1"
    assert len((await ask("GET", f"/2.2.1/{module}?{window}")).data) == 1
    if module != "sessions":
        assert len((await ask("GET", f"/2.2.1/{module}")).data) == 1
    for wrong in ("offset=-1", "limit=x", "limit=-5", "offset=1.5"):
        heard = await ask("GET", f"/2.2.1/{module}?{ALL_TIME}&{wrong}")
        assert (heard.http, heard.code) == (200, 2001)


@pytest.mark.parametrize("module", LISTS)
async def test_pg_02_and_03_each_list_includes_its_begin_and_leaves_out_its_end(
    cpo: World, ask: Asker, module: str
) -> None:
    await cpo.settle(await cpo.session())
    [shown] = (await ask("GET", f"/2.2.1/{module}?{ALL_TIME}")).data
    at = datetime.fromisoformat(shown["last_updated"])
    after = quote(stamp(at + timedelta(milliseconds=1)))
    at_text = quote(stamp(at))
    found = [
        len((await ask("GET", f"/2.2.1/{module}?{window}")).data)
        for window in (
            f"date_from={at_text}",
            f"{ALL_TIME}&date_to={at_text}",
            f"{ALL_TIME}&date_to={after}",
            f"date_from={after}",
        )
    ]
    assert found == [1, 0, 1, 0]


async def test_pg_05_to_08_a_page_holds_our_most_and_its_link_says_what_was_used() -> None:
    async with running(page_limit=10) as cpo, Emsp() as emsp:
        for number in range(30):
            await cpo.add_site(LocationId(f"S{number:02}"))
        await cpo.connect(emsp)
        ask = Asker(cpo.base, emsp.connection.outbound)
        until_then = "date_to=2090-01-01T05%3A30%3A00Z"
        path = f"/2.2.1/locations?limit=2000&{ALL_TIME}&{until_then}"
        heard = await ask("GET", path, headers={"Host": "evil.example"})
        assert (len(heard.data), heard.headers["X-Limit"]) == (10, "10")
        link = re.fullmatch(r'<(http[^>]+)>; rel="next"', heard.headers["Link"])
        assert link is not None and link[1].startswith(f"{cpo.base}/2.2.1/locations?")
        assert {"limit=10", "offset=10", until_then} <= set(link[1].split("?")[1].split("&"))
        last = await ask("GET", "/2.2.1/locations?offset=20&limit=10")
        assert (len(last.data), "Link" in last.headers) == (10, False)  # full, and the last
        few = await ask("GET", "/2.2.1/locations?limit=3")
        assert (len(few.data), few.headers["X-Limit"]) == (3, "10")
        none = await ask("GET", "/2.2.1/locations?date_from=2090-01-01T00:00:00Z")
        assert (none.headers["X-Total-Count"], "Link" in none.headers) == ("0", False)
        page = (await ask("GET", "/2.2.1/locations?offset=10&limit=10")).data
        assert [each["id"] for each in page] == [f"S{number}" for number in range(10, 20)]


async def test_pg_06_the_total_counts_what_this_partner_may_see_under_the_filters(
    cpo: World, ask: Asker
) -> None:
    for owner in (EMP, OTHER, EMP, OTHER, EMP):
        await cpo.settle(await cpo.session(owner))
    for module in ("sessions", "cdrs"):
        heard = await ask("GET", f"/2.2.1/{module}?{ALL_TIME}&limit=1&offset=1")
        assert (len(heard.data), heard.headers["X-Total-Count"]) == (1, "3")
        heard = await ask("GET", f"/2.2.1/{module}?date_from=2090-01-01T00:00:00Z")
        assert heard.headers["X-Total-Count"] == "0"


async def test_pg_09_a_crawl_misses_nothing_while_everything_changes(
    cpo: World, ask: Asker
) -> None:
    for number in range(10, 20):
        await cpo.add_site(LocationId(f"P{number}"))
    sessions = [await cpo.session() for _ in range(9)]
    seen: dict[str, list[str]] = {"locations": [], "sessions": []}
    for module, ids in seen.items():
        path: str | None = f"/2.2.1/{module}?{ALL_TIME}&limit=2"
        turn = 0
        while path is not None:
            heard = await ask("GET", path)
            ids += [each["id"] for each in heard.data]
            link = heard.headers.get("Link")
            path = None if link is None else link[1 : link.index(">")]
            await cpo.report(EVSE, list(ConnectorReport)[turn % 2])  # the first site
            site = cpo.catalogue.locations[LocationId(f"P1{turn % 10}")]
            changed = replace(site, name=f"n{turn}")
            await cpo.administration.put_location(changed, OPERATOR)
            moved = sessions[turn % 9]
            await cpo.keep(replace(moved, delivered_wh=2000 + turn))
            turn += 1
    assert sorted(seen["locations"]) == sorted([SITE, *(f"P{n}" for n in range(10, 20))])
    assert sorted(seen["sessions"]) == sorted(each.id for each in sessions)


@pytest.mark.parametrize(
    ("header", "link", "pulled"),
    [
        ("link", '<{next}>; rel="next"', 2),
        ("LINK", '<{next}>; rel="next"', 2),
        ("Link", '<{next}>; rel="prev"', 1),
        ("Link", '<{wrong}>; rel="first", <{next}>; rel="next"', 2),
        ("Link", '<http://127.0.0.1:9/ocpi/2.2.1/tokens?offset=1>; rel="next"', 0),
    ],
)
@reading
async def test_pg_11_only_a_next_link_on_the_same_host_is_followed(
    cpo: World, emsp: Emsp, header: str, link: str, pulled: int
) -> None:
    for name in ("ONE", "TWO"):
        emsp.tokens.add(name)
    held = [dict(each) for each in emsp.tokens.held.values()]
    address = emsp.url("tokens")
    following = link.format(next=f"{address}?offset=1&limit=1", wrong=f"{address}?offset=0")
    for at, headers in ((0, {header: following}), (1, {})):
        body = dumps({"status_code": 1000, "timestamp": stamp(now()), "data": [held[at]]})
        text = body if isinstance(body, str) else body.decode()
        emsp.faults.add(
            Fault(Kind.RAW, "tokens", "GET", times=1, http=200, body=text, headers=headers)
        )
    seen = len(emsp.arrivals)
    await cpo.service.pull_tokens(EMP)
    emsp.faults.clear()
    assert len([each for each in cpo.catalogue.tokens() if each.partner == EMP]) == pulled
    assert len(emsp.arrivals) - seen == max(pulled, 1)


@reading
async def test_pg_11_a_next_link_to_another_host_is_not_asked(cpo: World, emsp: Emsp) -> None:
    async with Emsp(party_id="OTH") as stranger:
        stranger.connection.inbound |= emsp.connection.inbound  # it would even answer
        elsewhere = f'<{stranger.url("tokens")}?offset=1>; rel="next"'
        text = dumps({"status_code": 1000, "timestamp": stamp(now()), "data": []}).decode()
        emsp.faults.add(
            Fault(Kind.RAW, "tokens", "GET", http=200, body=text, headers={"Link": elsewhere})
        )
        await cpo.service.pull_tokens(EMP)
        assert not stranger.arrivals


# -- A3


async def test_rt_01_and_03_both_receiver_modules_and_all_pushes_name_the_parties(
    cpo: World, emsp: Emsp, ask: Asker
) -> None:
    names = [
        f"OCPI-{side}-{what}" for side in ("from", "to") for what in ("country-code", "party-id")
    ]
    session = await cpo.session()
    await cpo.settle(session)
    await cpo.report(EVSE, ConnectorReport.CHARGING)
    await emsp.wait_for(lambda: emsp.store.cdrs)
    await emsp.wait_for(lambda: [each for each in emsp.arrivals if each.method == "PATCH"])
    configuration = ("versions", "2.2.1", "credentials", "hubclientinfo")
    functional = [each for each in emsp.arrivals if each.module not in configuration]
    assert {"locations", "tariffs", "sessions", "cdrs", "tokens"} <= {e.module for e in functional}
    for each in functional:
        assert [each.headers[name] for name in names] == ["IN", "CPO", "IN", "EMP"], each.path
    for method, path, body in (
        ("PUT", TOKEN, wire()),
        ("PUT", TOKEN, {}),
        ("PATCH", TOKEN, {}),
        ("POST", "/2.2.1/commands/STOP_SESSION", {}),
        ("GET", "/2.2.1/cdrs", None),
    ):
        heard = await ask(method, path, body)
        assert [heard.headers[name] for name in names] == ["IN", "CPO", "IN", "EMP"], path


async def test_rt_02_our_registration_calls_carry_no_parties(cpo: World) -> None:
    async with Emsp() as emsp:
        await cpo.invite()
        await cpo.service.register(EMP, emsp.versions_url, emsp.hand_out_token(), "test")
        await cpo.service.renew(EMP, "test")
        asked = [e for e in emsp.arrivals if e.module in ("versions", "2.2.1", "credentials")]
        assert {each.method for each in asked} == {"GET", "POST", "PUT"}
        for each in asked:
            assert not [name for name in each.headers if name.upper().startswith("OCPI-")]


@reading
async def test_rt_05_a_request_without_parties_is_served_as_the_only_one(
    cpo: World, ask: Asker
) -> None:
    heard = await ask("GET", "/2.2.1/locations")
    assert (heard.http, heard.code, len(heard.data)) == (200, 1000, 1)
    to = {"OCPI-to-country-code": "IN", "OCPI-to-party-id": "XXX"}
    heard = await ask("PUT", TOKEN, wire(), headers=to)
    assert (heard.http, heard.code) == (200, 2001)
    assert not list(cpo.catalogue.tokens_named("T1"))
    assert PartnerId("IN*XXX") not in cpo.catalogue.partners
