"""Transport, headers, envelope: checklist part A1, and message routing A3."""

from __future__ import annotations

import base64
import re
from typing import Any
from uuid import UUID

import pytest

from ocpi_cpo.versions.v221.people import token_out
from simulators.emsp.partner import Emsp
from simulators.emsp.wire import loads as strict_loads
from tests.conformance.ocpi.world import EMP, OTHER, Asker, World, now, token
from tests.conformance.statements import reading

MODULES = ("locations", "sessions?date_from=2020-01-01T00:00:00Z", "cdrs", "tariffs")
ROUTING = (
    "OCPI-from-country-code",
    "OCPI-from-party-id",
    "OCPI-to-country-code",
    "OCPI-to-party-id",
)


@pytest.mark.parametrize("path", ["/versions", "/2.2.1", "/2.2.1/credentials", "/2.2.1/locations"])
async def test_tr_02_without_a_token_every_endpoint_answers_401(stranger: Asker, path: str) -> None:
    heard = await stranger("GET", path)
    assert heard.http == 401
    assert 2000 <= heard.code < 3000
    assert "data" not in heard.envelope


@pytest.mark.parametrize("header", ["Token", "Token ", "Basic YTpi", "Bearer x", "Token bm9wZQ=="])
async def test_tr_03_an_unknown_or_malformed_token_answers_401(
    stranger: Asker, header: str
) -> None:
    heard = await stranger("GET", "/2.2.1/locations", authorization_header=header)
    assert heard.http == 401


@pytest.mark.parametrize("module", MODULES)
async def test_tr_04_a_registration_token_opens_no_module(cpo: World, module: str) -> None:
    ask = Asker(cpo.base, await cpo.invite())
    assert (await ask("GET", f"/2.2.1/{module}")).http == 401
    assert (await ask("GET", "/versions")).http == 200
    assert (await ask("GET", "/2.2.1/credentials")).http == 200


async def test_tr_05_our_own_requests_carry_the_token_in_base64(emsp: Emsp) -> None:
    for arrival in emsp.arrivals:
        scheme, _, value = arrival.headers["Authorization"].partition(" ")
        assert scheme == "Token"
        assert base64.b64encode(base64.b64decode(value, validate=True)).decode() == value
        assert base64.b64decode(value).decode() in emsp.connection.inbound


async def test_tr_06_tokens_that_we_mint_are_printable_short_and_never_the_same(cpo: World) -> None:
    tokens = {await cpo.invite() for _ in range(20)}
    assert len(tokens) == 20
    assert all(re.fullmatch(r"[!-~]{32,64}", each) for each in tokens)


@reading
@pytest.mark.parametrize("form", ["TOKEN {b64}", "token {b64}", "Token {raw}", "Token {b64_lf}"])
async def test_tr_07_the_header_is_read_leniently(ask: Asker, form: str) -> None:
    raw = ask.token or ""
    header = form.format(
        raw=raw,
        b64=base64.b64encode(raw.encode()).decode(),
        b64_lf=base64.b64encode(f"{raw}\n".encode()).decode(),
    )
    assert (await ask("GET", "/versions", authorization_header=header)).http == 200


async def test_tr_08_headers_never_widen_what_the_token_shows(cpo: World, ask: Asker) -> None:
    await cpo.session(owner=EMP)
    claimed = {"OCPI-from-country-code": "IN", "OCPI-from-party-id": "OTH"}
    other = await cpo.session(owner=OTHER)
    heard = await ask("GET", "/2.2.1/sessions?date_from=2020-01-01T00:00:00Z", headers=claimed)
    assert other.id not in {each["id"] for each in heard.data}
    assert len(heard.data) == 1


async def test_tr_09_a_body_with_or_without_a_charset_is_accepted(ask: Asker) -> None:
    body = _token()
    for media in ("application/json", "application/json; charset=utf-8"):
        heard = await ask("PUT", "/2.2.1/tokens/IN/EMP/T1", body, headers={"Content-Type": media})
        assert heard.code == 1000


async def test_tr_09_what_we_send_is_declared_as_json(emsp: Emsp) -> None:
    sent = [each for each in emsp.arrivals if each.method in ("PUT", "PATCH", "POST")]
    assert sent
    assert {each.headers["Content-Type"] for each in sent} == {"application/json"}


@pytest.mark.parametrize("raw", [b"{", b"", b"\xff\xfe", b"[" * 10_000])
async def test_tr_10_a_body_that_is_no_json_answers_400(ask: Asker, raw: bytes) -> None:
    heard = await ask("PUT", "/2.2.1/tokens/IN/EMP/T1", raw=raw)
    assert heard.http == 400
    assert 2000 <= heard.code < 3000


async def test_tr_11_a_bad_object_answers_200_with_2001_and_the_field(
    cpo: World, ask: Asker
) -> None:
    body = _token()
    del body["issuer"]
    heard = await ask("PUT", "/2.2.1/tokens/IN/EMP/T1", body)
    assert (heard.http, heard.code) == (200, 2001)
    assert "issuer" in heard.envelope["status_message"]
    assert not list(cpo.catalogue.tokens_named("T1"))


async def test_tr_12_a_thing_that_is_not_there_answers_404(ask: Asker) -> None:
    heard = await ask("GET", "/2.2.1/locations/NOPE")
    assert heard.http == 404
    assert 2000 <= heard.code < 3000


async def test_tr_13_a_first_put_answers_201_and_a_second_200(ask: Asker) -> None:
    assert (await ask("PUT", "/2.2.1/tokens/IN/EMP/T1", _token())).http == 201
    assert (await ask("PUT", "/2.2.1/tokens/IN/EMP/T1", _token(valid=False))).http == 200


@pytest.mark.parametrize(
    ("method", "path", "http"),
    [
        ("GET", "/2.2.1/locations", 200),
        ("GET", "/2.2.1/nonsense", 404),
        ("PATCH", "/2.2.1/locations", 405),
        ("POST", "/2.2.1/credentials", 405),
    ],
)
async def test_tr_14_every_answer_is_an_envelope(
    ask: Asker, method: str, path: str, http: int
) -> None:
    heard = await ask(method, path, {} if method == "POST" else None)
    assert heard.http == http
    assert type(heard.envelope["status_code"]) is int
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,3})?Z", heard.envelope["timestamp"])


async def test_tr_15_a_list_without_matches_is_an_empty_array(ask: Asker) -> None:
    heard = await ask("GET", "/2.2.1/cdrs")
    assert (heard.http, heard.code, heard.data) == (200, 1000, [])


async def test_tr_16_data_is_left_out_where_there_is_none(ask: Asker) -> None:
    heard = await ask("PUT", "/2.2.1/tokens/IN/EMP/T1", _token())
    assert "data" not in heard.envelope


async def test_tr_20_our_requests_carry_fresh_ids(emsp: Emsp) -> None:
    for name in ("X-Request-ID", "X-Correlation-ID"):
        ids = [each.headers[name] for each in emsp.arrivals]
        assert len(set(ids)) == len(ids)
        assert all(UUID(each) for each in ids)


@pytest.mark.parametrize("path", ["/2.2.1/locations", "/2.2.1/nonsense", "/2.2.1/locations/NOPE"])
async def test_tr_21_both_ids_are_echoed_on_success_and_on_errors(ask: Asker, path: str) -> None:
    ids = {"X-Request-ID": "req-1", "X-Correlation-ID": "cor-1"}
    heard = await ask("GET", path, headers=ids)
    assert {name: heard.headers[name] for name in ids} == ids


async def test_tr_21_ids_that_the_caller_left_out_are_made_up(stranger: Asker) -> None:
    heard = await stranger("GET", "/versions")
    assert heard.http == 401
    assert heard.headers["X-Request-ID"] and heard.headers["X-Correlation-ID"]


async def test_tr_22_a_put_clears_what_it_leaves_out(ask: Asker) -> None:
    await ask("PUT", "/2.2.1/tokens/IN/EMP/T1", _token(group_id="G1"))
    await ask("PUT", "/2.2.1/tokens/IN/EMP/T1", _token())
    assert "group_id" not in (await ask("GET", "/2.2.1/tokens/IN/EMP/T1")).data


async def test_tr_23_a_patch_leaves_alone_what_it_leaves_out(ask: Asker) -> None:
    await ask("PUT", "/2.2.1/tokens/IN/EMP/T1", _token(group_id="G1"))
    changes = {"valid": False, "last_updated": "2099-02-01T00:00:00Z"}
    assert (await ask("PATCH", "/2.2.1/tokens/IN/EMP/T1", changes)).code == 1000
    kept = (await ask("GET", "/2.2.1/tokens/IN/EMP/T1")).data
    assert (kept["group_id"], kept["valid"]) == ("G1", False)


async def test_tr_25_a_body_that_differs_from_its_url_is_not_stored(cpo: World, ask: Asker) -> None:
    heard = await ask("PUT", "/2.2.1/tokens/IN/EMP/OTHER", _token())
    assert (heard.http, heard.code) == (200, 2001)
    assert not list(cpo.catalogue.tokens_named("T1"))


async def test_tr_26_a_party_that_is_not_the_callers_answers_404(ask: Asker) -> None:
    assert (await ask("PUT", "/2.2.1/tokens/XX/ZZZ/T1", _token())).http == 404


@reading
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/2.2.1/locations"),
        ("DELETE", "/2.2.1/tokens/IN/EMP/T1"),
        ("PUT", "/2.2.1/cdrs"),
        ("GET", "/2.2.1/commands/START_SESSION"),
    ],
)
async def test_tr_27_a_method_that_the_module_lacks_answers_405(
    ask: Asker, method: str, path: str
) -> None:
    heard = await ask(method, path)
    assert heard.http == 405
    assert 2000 <= heard.code < 3000
    assert heard.headers["Allow"]


@reading
async def test_tr_28_a_slash_at_the_end_means_nothing(ask: Asker) -> None:
    for path in ("/2.2.1/locations", "/2.2.1/locations/", "/versions/"):
        assert (await ask("GET", path)).http == 200


async def test_tr_30_ids_are_compared_without_case_and_kept_as_they_came(ask: Asker) -> None:
    await ask("PUT", "/2.2.1/tokens/IN/EMP/AbC1", _token(uid="AbC1"))
    heard = await ask("GET", "/2.2.1/tokens/in/emp/abc1")
    assert heard.data["uid"] == "AbC1"
    await ask("PUT", "/2.2.1/tokens/IN/EMP/ABC1", _token(uid="ABC1"))
    assert (await ask("GET", "/2.2.1/locations/pune-1")).data["id"] == "PUNE-1"


async def test_tr_31_an_enumeration_in_lower_case_is_refused(ask: Asker) -> None:
    heard = await ask("PUT", "/2.2.1/tokens/IN/EMP/T1", _token(whitelist="allowed"))
    assert (heard.http, heard.code) == (200, 2001)


async def test_tr_32_texts_beyond_ascii_come_back_unchanged(ask: Asker) -> None:
    name = "Ладога 電力 é"
    await ask("PUT", "/2.2.1/tokens/IN/EMP/T1", _token(issuer=name))
    assert (await ask("GET", "/2.2.1/tokens/IN/EMP/T1")).data["issuer"] == name


@pytest.mark.parametrize(
    "field", [{"issuer": "a\nb"}, {"uid": "T\u00e91"}, {"contract_id": "x" * 37}]
)
async def test_tr_32_control_characters_and_over_long_values_are_refused(
    ask: Asker, field: dict[str, Any]
) -> None:
    heard = await ask("PUT", "/2.2.1/tokens/IN/EMP/T1", _token(**field))
    assert (heard.http, heard.code) == (200, 2001)


@reading
@pytest.mark.parametrize(
    "text",
    [
        "2026-01-28T12:00:00Z",
        "2026-01-28T12:00:00",
        "2026-01-28T12:00:00.123Z",
        "2026-01-28T12:00:00.123",
        "2026-01-28T12:00:00%2B05:30",
        "2026-01-28T12:00:00+05:30",
    ],
)
async def test_tr_35_and_36_dates_are_read_in_every_shape(ask: Asker, text: str) -> None:
    assert (await ask("GET", f"/2.2.1/cdrs?date_from={text}")).code == 1000


@reading
@pytest.mark.parametrize("text", ["yesterday", "2026-13-01T00:00:00Z", "1700000000"])
async def test_tr_36_a_date_that_is_none_answers_2001(ask: Asker, text: str) -> None:
    heard = await ask("GET", f"/2.2.1/cdrs?date_from={text}")
    assert (heard.http, heard.code) == (200, 2001)


async def test_tr_37_numbers_have_no_binary_noise(cpo: World, ask: Asker) -> None:
    session = await cpo.session(delivered_wh=300 + 100)
    await cpo.settle(session)
    heard = await ask("GET", "/2.2.1/cdrs")
    strict = strict_loads(str(heard.data).replace("'", '"').encode())  # refuses noise
    assert strict[0]["total_energy"]


async def test_tr_41_a_null_counts_as_missing(ask: Asker) -> None:
    assert (await ask("PUT", "/2.2.1/tokens/IN/EMP/T1", _token(group_id=None))).code == 1000
    heard = await ask("PUT", "/2.2.1/tokens/IN/EMP/T1", _token(issuer=None))
    assert heard.code == 2001


@reading
async def test_tr_42_unknown_members_are_ignored(ask: Asker) -> None:
    assert (await ask("PUT", "/2.2.1/tokens/IN/EMP/T1", _token(colour="red"))).code == 1000


@reading
async def test_tr_43_an_unknown_enumeration_value_names_its_field(ask: Asker) -> None:
    heard = await ask("PUT", "/2.2.1/tokens/IN/EMP/T1?type=CAR", _token(type="CAR"))
    assert heard.code == 2001
    assert "type" in heard.envelope["status_message"]


async def test_a_body_without_end_is_cut_off(ask: Asker) -> None:
    heard = await ask("PUT", "/2.2.1/tokens/IN/EMP/T1", raw=b" " * (1024 * 1024 + 1))
    assert heard.http == 413


# -- A3


async def test_rt_01_and_04_answers_of_modules_carry_the_swapped_parties(ask: Asker) -> None:
    sent = {
        "OCPI-from-country-code": "IN",
        "OCPI-from-party-id": "EMP",
        "OCPI-to-country-code": "IN",
        "OCPI-to-party-id": "CPO",
    }
    for method, path in (
        ("GET", "/2.2.1/locations"),
        ("GET", "/2.2.1/locations/NOPE"),
        ("GET", "/2.2.1/locations/a/b/c/d"),
        ("POST", "/2.2.1/locations"),
        ("GET", "/2.2.1/commands/START_SESSION"),
    ):
        heard = await ask(method, path, headers=sent)
        assert [heard.headers[name] for name in ROUTING] == ["IN", "CPO", "IN", "EMP"]


async def test_rt_02_configuration_modules_carry_none(ask: Asker, emsp: Emsp) -> None:
    for path in ("/versions", "/2.2.1", "/2.2.1/credentials"):
        heard = await ask("GET", path)
        assert not [name for name in ROUTING if name in heard.headers]
    configuration = [each for each in emsp.arrivals if each.module in ("versions", "2.2.1")]
    assert configuration
    assert not [name for each in configuration for name in ROUTING if name in each.headers]


async def test_rt_03_our_pushes_name_both_parties(emsp: Emsp) -> None:
    sent = emsp.pushes("locations") + emsp.pushes("tariffs")
    assert sent
    for each in sent:
        assert [each.headers[name] for name in ROUTING] == ["IN", "CPO", "IN", "EMP"]


@reading
async def test_rt_05_a_request_to_a_party_that_is_not_ours_is_refused(ask: Asker) -> None:
    to = {"OCPI-to-country-code": "in", "OCPI-to-party-id": "cpo"}
    assert (await ask("GET", "/2.2.1/locations", headers=to)).code == 1000
    heard = await ask("GET", "/2.2.1/locations", headers={**to, "OCPI-to-party-id": "XXX"})
    assert (heard.http, heard.code) == (200, 2001)


def _token(**more: Any) -> dict[str, Any]:
    return {**token_out(token(uid="T1"), now()).wire(), **more}
