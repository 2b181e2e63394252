"""What CPOs of OCPI 2.2.1 do wrong; most of it they could do in any version."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from ocpi_check.wire import moment, stamp
from tests.flow.broken_cpo import Asked, Defects, Said, evses_in, of, plugs_in

DEFECTS_221 = Defects()
defect, twist = DEFECTS_221.answers, DEFECTS_221.questions

# -- transport


@defect("TR-21")
def forgets_request_ids(asked: Asked, said: Said) -> None:
    said.drop("X-Request-ID", "X-Correlation-ID")


@defect("TR-21")
def forgets_request_ids_on_errors(asked: Asked, said: Said) -> None:
    if said.code != 1000:
        said.drop("X-Request-ID")


@defect("TR-21")
def invents_correlation_ids(asked: Asked, said: Said) -> None:
    said.set("X-Correlation-ID", "mine")


@defect("TR-14")
def stamps_envelopes_with_an_offset(asked: Asked, said: Said) -> None:
    said.body["timestamp"] = said.body["timestamp"].replace("Z", "+00:00")


@defect("TR-14")
def answers_404_with_a_page_of_html(asked: Asked, said: Said) -> None:
    if said.http == 404:
        said.raw = b"<html>Not found</html>"


@defect("TR-14", "TR-30", "LO-02")
def leaves_the_envelope_off_single_locations(asked: Asked, said: Said) -> None:
    if asked.module == "locations" and isinstance(said.data, dict):
        said.body = said.data


@defect("TR-02", "TR-03", "TR-07", "CR-06")
def answers_403_in_place_of_401(asked: Asked, said: Said) -> None:
    if said.http == 401:
        said.http = 403


@defect("TR-02", "TR-03", "TR-07", "CR-06")
def answers_401_with_200_and_a_code(asked: Asked, said: Said) -> None:
    if said.http == 401:
        said.http = 200


@twist("TR-03", "CR-06")
def lets_unknown_tokens_in(asked: Asked) -> Asked:
    given = asked.headers.get("Authorization", "")
    if given.startswith("Token") and given != asked.token:
        return replace(asked, headers={**asked.headers, "Authorization": asked.token})
    return asked


@twist("TR-07")
def wants_the_scheme_word_in_capitals(asked: Asked) -> Asked:
    if asked.headers.get("Authorization", "").startswith("token"):
        return replace(asked, headers={**asked.headers, "Authorization": "nothing"})
    return asked


@defect("TR-12", "LO-02", "TK-05", "TK-04", "TK-13", "SE-18")
def answers_absent_things_with_200(asked: Asked, said: Said) -> None:
    if said.http == 404:
        said.http = 200


@defect("TR-27", "CR-05")
def answers_405_as_404(asked: Asked, said: Said) -> None:
    if said.http == 405:
        said.http = 404


@defect("TR-28")
def redirects_slashes(asked: Asked, said: Said) -> None:
    if asked.path.endswith("/"):
        said.http = 301


@defect("TR-30")
def finds_ids_in_one_case_only(asked: Asked, said: Said) -> None:
    if asked.module == "locations" and len(asked.parts) == 3 and asked.parts[2][0].islower():
        said.http, said.body = 404, {**said.body, "status_code": 2003, "data": None}


@defect("TR-10")
def answers_broken_json_with_500(asked: Asked, said: Said) -> None:
    if said.http == 400:
        said.http = 500


@defect("TR-09")
def answers_a_charset_with_415(asked: Asked, said: Said) -> None:
    if "charset" in asked.headers.get("Content-Type", ""):
        said.http = 415


@defect(
    "TR-11", "TR-36", "PG-01", "PG-10", "RT-05", "CF-08", "CM-07", "CM-08", "CM-09", "CM-14", "CM-19",
    "TK-07", "SE-19",
)  # fmt: skip
def answers_bad_parameters_with_400(asked: Asked, said: Said) -> None:
    if said.http == 200 and 2000 <= said.code < 3000:
        said.http = 400


@defect("TR-36")
def falls_over_garbage_dates(asked: Asked, said: Said) -> None:
    if asked.query.get("date_from") == "yesterday":
        said.http, said.body = 500, {**said.body, "status_code": 3000}


@defect("TR-35")
def wants_a_z_in_dates(asked: Asked, said: Said) -> None:
    if re.fullmatch(r"[\d\-:T.]+", asked.query.get("date_from", "")):
        said.body = {k: v for k, v in said.body.items() if k != "data"} | {"status_code": 2001}


# -- values


@defect("TR-34")
def writes_dates_with_an_offset(asked: Asked, said: Said) -> None:
    for each in of(asked, said, "tariffs"):
        each["last_updated"] = each["last_updated"].replace("Z", "+00:00")


@defect("TR-34")
def writes_microseconds(asked: Asked, said: Said) -> None:
    for each in of(asked, said, "cdrs"):
        each["start_date_time"] = each["start_date_time"].replace("Z", ".123456Z")[:19] + ".123456Z"


@defect("TR-37")
def writes_numbers_as_strings(asked: Asked, said: Said) -> None:
    for each in of(asked, said, "sessions"):
        each["kwh"] = str(each["kwh"])


@defect("TR-37")
def writes_float_noise(asked: Asked, said: Said) -> None:
    for each in of(asked, said, "sessions"):
        each["kwh"] = Decimal("0.30000000000000004")


@defect("TR-38")
def writes_whole_numbers_with_a_fraction(asked: Asked, said: Said) -> None:
    for each in plugs_in(asked, said):
        each["max_voltage"] = Decimal("500.0")


@defect("TR-39")
def writes_bare_prices_in_sessions(asked: Asked, said: Said) -> None:
    for each in of(asked, said, "sessions"):
        each["total_cost"] = 1


@defect("TR-33")
def writes_names_that_are_too_long(asked: Asked, said: Said) -> None:
    for each in of(asked, said, "locations"):
        each["name"] = "x" * 300


@defect("TR-31")
def writes_enums_in_small_letters(asked: Asked, said: Said) -> None:
    for each in plugs_in(asked, said):
        each["format"] = each["format"].lower()


@defect("TR-32")
def writes_line_breaks(asked: Asked, said: Said) -> None:
    for each in of(asked, said, "locations"):
        each["address"] = "1 Road\nTown"


@defect("TR-40")
def writes_members_in_camel_case(asked: Asked, said: Said) -> None:
    for each in of(asked, said, "locations"):
        each["parkingType"] = "ON_STREET"


@defect("TR-44")
def hides_what_it_has_behind_placeholders(asked: Asked, said: Said) -> None:
    for each in of(asked, said, "locations"):
        each["name"] = "#NA"


@defect("TR-15")
def writes_lists_of_one_without_brackets(asked: Asked, said: Said) -> None:
    for each in of(asked, said, "locations"):
        each["energy_mix"] = {"is_green_energy": True, "energy_sources": {"source": "SOLAR"}}


@defect("TR-15")
def tells_its_hours_in_a_form_that_no_check_of_hours_can_read(asked: Asked, said: Said) -> None:
    for each in of(asked, said, "locations"):
        hours = each.get("opening_times") or {}
        if "regular_hours" in hours:
            hours["regular_hours"] = hours["regular_hours"][0]


# -- pages


@defect("PG-06")
def counts_the_page_in_place_of_the_list(asked: Asked, said: Said) -> None:
    if said.get("X-Total-Count"):
        said.set("X-Total-Count", str(len(said.items)))


@defect("PG-07")
def links_to_no_next_page(asked: Asked, said: Said) -> None:
    said.drop("Link")


@defect("PG-07")
def links_from_the_last_page(asked: Asked, said: Said) -> None:
    if said.items and not said.get("Link") and asked.query.get("limit") == "1":
        said.set("Link", '<http://127.0.0.1/ocpi/2.2.1/nowhere?offset=1&limit=1>; rel="next"')


@defect("PG-08")
def forgets_filters_in_links(asked: Asked, said: Said) -> None:
    if link := said.get("Link"):
        said.set("Link", re.sub(r"date_from=[^&>]*&?", "", link))


@defect("PG-05")
def refuses_large_limits(asked: Asked, said: Said) -> None:
    if int(asked.query.get("limit", "1").lstrip("-x") or 1) > 1000:
        said.body = {k: v for k, v in said.body.items() if k != "data"} | {"status_code": 2001}


@defect("PG-05")
def tells_the_page_as_x_limit(asked: Asked, said: Said) -> None:
    if said.get("X-Limit"):
        said.set("X-Limit", str(len(said.items)))


@twist("PG-04", "PG-09", "PG-10", "PG-07")
def ignores_offsets(asked: Asked) -> Asked:
    if asked.query.get("offset", "").isdigit():
        return replace(asked, query={k: v for k, v in asked.query.items() if k != "offset"})
    return asked


@defect("PG-09")
def shuffles_pages(asked: Asked, said: Said) -> None:
    if asked.query.get("limit") == "1" and asked.query.get("offset") == "2" and said.items:
        said.items[0]["id"] = "SOMETHING-ELSE"


@twist("PG-02", "PG-03", "TR-15")
def ignores_date_filters(asked: Asked) -> Asked:
    if "date_from" not in asked.query or moment(asked.query["date_from"]) is None:
        return asked
    query = {k: v for k, v in asked.query.items() if k != "date_to"}
    return replace(asked, query={**query, "date_from": "2010-01-01T00:00:00Z"})


@twist("PG-01")
def gives_sessions_without_a_date(asked: Asked) -> Asked:
    if asked.module == "sessions" and "date_from" not in asked.query and len(asked.parts) == 2:
        return replace(asked, query={**asked.query, "date_from": "2010-01-01T00:00:00Z"})
    return asked


@twist("PG-10")
def takes_negative_offsets(asked: Asked) -> Asked:
    if asked.query.get("offset") == "-1":
        return replace(asked, query={**asked.query, "offset": "0"})
    return asked


# -- routing


@defect("RT-04")
def repeats_routing_headers_as_they_came(asked: Asked, said: Said) -> None:
    if said.get("OCPI-from-party-id"):
        said.set("OCPI-from-party-id", "EMP")


@defect("RT-01", "RT-04")
def answers_without_routing_headers(asked: Asked, said: Said) -> None:
    said.drop(*(name for name in list(said.headers) if name.lower().startswith("ocpi-")))


@defect("RT-02")
def routes_versions(asked: Asked, said: Said) -> None:
    if asked.module in ("versions", "2.2.1"):
        said.set("OCPI-from-party-id", "CPO")


# -- versions and credentials


@defect("VE-02", "VE-03")
def lists_endpoints_without_roles(asked: Asked, said: Said) -> None:
    if asked.parts == ["2.2.1"] and isinstance(said.data, dict):
        for each in said.data["endpoints"]:
            del each["role"]


@defect("VE-03")
def lists_credentials_twice(asked: Asked, said: Said) -> None:
    if asked.parts == ["2.2.1"] and isinstance(said.data, dict):
        found = [e for e in said.data["endpoints"] if e["identifier"] == "credentials"]
        said.data["endpoints"].append({**found[0], "role": "RECEIVER"})


@defect("CR-10")
def shows_another_token(asked: Asked, said: Said) -> None:
    if asked.module == "credentials" and isinstance(said.data, dict):
        said.data["token"] = "another-token-0123456789"


@defect("CR-16")
def names_a_role_twice(asked: Asked, said: Said) -> None:
    if asked.module == "credentials" and isinstance(said.data, dict):
        said.data["roles"] *= 2


# -- locations


@defect("LO-12")
def swaps_coordinates(asked: Asked, said: Said) -> None:
    for each in of(asked, said, "locations"):
        place = each["coordinates"]
        place["latitude"], place["longitude"] = place["longitude"], place["latitude"]


@defect("LO-12")
def writes_coordinates_as_numbers(asked: Asked, said: Said) -> None:
    for each in of(asked, said, "locations"):
        each["coordinates"]["latitude"] = Decimal(each["coordinates"]["latitude"])


@defect("LO-03")
def lifts_no_parent(asked: Asked, said: Said) -> None:
    for each in of(asked, said, "locations"):
        before = moment(each["last_updated"])
        assert before is not None
        each["evses"][0]["last_updated"] = stamp(before + timedelta(hours=1))


@defect("LO-09")
def uses_an_evse_uid_twice(asked: Asked, said: Said) -> None:
    for each in of(asked, said, "locations"):
        each["evses"] = each["evses"] * 2


@defect("LO-11")
def writes_countries_in_two_letters(asked: Asked, said: Said) -> None:
    for each in of(asked, said, "locations"):
        each["country"] = each["country"][:2]


@defect("LO-11")
def writes_time_zones_of_its_own(asked: Asked, said: Said) -> None:
    for each in of(asked, said, "locations"):
        each["time_zone"] = "IST+5:30"


@defect("LO-17")
def lists_evses_without_connectors(asked: Asked, said: Said) -> None:
    for each in list(of(asked, said, "locations"))[:1]:
        if len(asked.parts) == 2:
            each["evses"].append({**each["evses"][0], "uid": "EMPTY", "connectors": []})


@defect("LO-20")
def names_no_tariff(asked: Asked, said: Said) -> None:
    for each in plugs_in(asked, said):
        each.pop("tariff_ids", None)


@defect("LO-21")
def names_tariffs_that_it_does_not_list(asked: Asked, said: Said) -> None:
    for each in plugs_in(asked, said):
        each["tariff_ids"] = ["NOT-LISTED"]


@defect("LO-22")
def sends_statuses_of_ocpp(asked: Asked, said: Said) -> None:
    for each in evses_in(asked, said):
        each["status"] = "Available"


@defect("LO-18")
def promises_more_power_than_volts_and_amperes(asked: Asked, said: Said) -> None:
    for each in plugs_in(asked, said):
        each["max_electric_power"] = 1_000_000


@defect("LO-25")
def opens_always_and_at_hours(asked: Asked, said: Said) -> None:
    for each in of(asked, said, "locations"):
        monday = {"weekday": 1, "period_begin": "08:00", "period_end": "20:00"}
        each["opening_times"] = {"twentyfourseven": True, "regular_hours": [monday]}


# -- sessions and bills


@defect("SE-01")
def shows_sessions_of_others(asked: Asked, said: Said) -> None:
    for each in list(of(asked, said, "sessions"))[:1]:
        each["cdr_token"]["party_id"] = "OTH"


@defect("CD-01")
def shows_bills_of_others(asked: Asked, said: Said) -> None:
    for each in list(of(asked, said, "cdrs"))[:1]:
        each["cdr_token"]["party_id"] = "OTH"


@defect("SE-07")
def leaves_contract_ids_out(asked: Asked, said: Said) -> None:
    for each in of(asked, said, "sessions"):
        del each["cdr_token"]["contract_id"]


@defect("SE-13")
def tells_another_running_cost(asked: Asked, said: Said) -> None:
    for each in of(asked, said, "sessions"):
        each["total_cost"] = {"excl_vat": Decimal("0.01"), "incl_vat": Decimal("0.02")}


@defect("SE-15")
def ends_sessions_before_they_begin(asked: Asked, said: Said) -> None:
    for each in of(asked, said, "sessions"):
        each["end_date_time"] = "2020-01-01T00:00:00Z"


@defect("SE-08")
def bills_from_when_the_card_was_shown(asked: Asked, said: Said) -> None:
    for each in of(asked, said, "cdrs"):
        begin = moment(each["start_date_time"])
        assert begin is not None
        each["start_date_time"] = stamp(begin - timedelta(minutes=5))
        each["charging_periods"][0]["start_date_time"] = each["start_date_time"]


@defect("LO-27")
def names_no_operator(asked: Asked, said: Said) -> None:
    for each in of(asked, said, "locations"):
        each["operator"] = {"website": "https://cpo.example"}


@defect("CD-07")
def says_credit_as_a_number(asked: Asked, said: Said) -> None:
    for each in of(asked, said, "cdrs"):
        each["credit"] = 0


@defect("CO-25", "CO-27", "CO-28", "SE-13")
def bills_a_cent_too_much(asked: Asked, said: Said) -> None:
    for each in of(asked, said, "cdrs"):
        total = each["total_cost"]
        total["excl_vat"] = Decimal(total["excl_vat"]) + Decimal("0.01")
        total["incl_vat"] = Decimal(total["incl_vat"]) + Decimal("0.01")


@defect("CO-24", "SE-13")
def adds_a_cent_of_tax(asked: Asked, said: Said) -> None:
    for each in of(asked, said, "cdrs"):
        total = each["total_cost"]
        total["incl_vat"] = Decimal(total["incl_vat"]) + Decimal("0.01")


@defect("CO-10", "CO-28", "CD-16")
def tells_parts_that_are_not_the_whole(asked: Asked, said: Said) -> None:
    for each in of(asked, said, "cdrs"):
        each["total_energy_cost"]["excl_vat"] = Decimal(999)


@defect("CD-20", "CO-25", "CO-27", "CO-10")
def writes_energy_in_wh(asked: Asked, said: Said) -> None:
    for each in of(asked, said, "cdrs"):
        for period in each["charging_periods"]:
            for dimension in period["dimensions"]:
                if dimension["type"] == "ENERGY":
                    dimension["volume"] = Decimal(dimension["volume"]) * 1000


@defect("CD-20", "CO-27", "CO-10")
def writes_energy_cumulatively(asked: Asked, said: Said) -> None:
    for each in of(asked, said, "cdrs"):
        begin, end = moment(each["start_date_time"]), moment(each["end_date_time"])
        assert begin is not None and end is not None
        whole, middle = Decimal(each["total_energy"]), begin + (end - begin) / 2
        hours = Decimal(str((end - begin).total_seconds())) / 7200
        first = each["charging_periods"][0]
        each["charging_periods"] = [
            {
                **first,
                "start_date_time": stamp(at),
                "dimensions": [
                    {"type": "ENERGY", "volume": energy},
                    {"type": "TIME", "volume": round(hours, 6)},
                ],
            }
            for at, energy in ((begin, round(whole / 2, 4)), (middle, whole))
        ]


@defect("CD-15")
def tells_another_total_of_energy(asked: Asked, said: Said) -> None:
    for each in of(asked, said, "cdrs"):
        each["total_energy"] = Decimal(each["total_energy"]) * 2


@defect("CD-11")
def leaves_the_tariffs_out_of_bills(asked: Asked, said: Said) -> None:
    for each in of(asked, said, "cdrs"):
        each.pop("tariffs", None)


@defect("CD-13")
def bills_without_an_evse_id(asked: Asked, said: Said) -> None:
    for each in of(asked, said, "cdrs"):
        del each["cdr_location"]["evse_id"]


@defect("CD-09")
def bills_without_a_total_time(asked: Asked, said: Said) -> None:
    for each in of(asked, said, "cdrs"):
        del each["total_time"]


@defect("CD-14")
def begins_periods_before_the_session(asked: Asked, said: Said) -> None:
    for each in of(asked, said, "cdrs"):
        each["charging_periods"][0]["start_date_time"] = "2020-01-01T00:00:00Z"


@defect("SE-16")
def bills_what_only_sessions_have(asked: Asked, said: Said) -> None:
    for each in of(asked, said, "cdrs"):
        more = {"type": "STATE_OF_CHARGE", "volume": 80}
        each["charging_periods"][0]["dimensions"].append(more)


@defect("CD-08", "PG-06", "PG-09")
def lists_a_bill_twice(asked: Asked, said: Said) -> None:
    if asked.module == "cdrs" and said.items and not asked.query:
        said.items.append(said.items[0])


@defect("CD-04")
def changes_bills_after_the_fact(asked: Asked, said: Said) -> None:
    for each in of(asked, said, "cdrs"):
        each["remark"] = said.body["timestamp"] + asked.headers["X-Request-ID"]


@defect("TA-05")
def prices_without_a_step_size(asked: Asked, said: Said) -> None:
    for each in of(asked, said, "tariffs"):
        del each["elements"][0]["price_components"][0]["step_size"]


@defect("TA-06")
def writes_vat_as_a_fraction(asked: Asked, said: Said) -> None:
    for each in of(asked, said, "tariffs"):
        each["elements"][0]["price_components"][0]["vat"] = Decimal("0.18")


# -- commands


@defect("CM-07")
def answers_unknown_places_with_2001(asked: Asked, said: Said) -> None:
    if asked.module == "commands" and said.code == 2003:
        said.body["status_code"] = 2001


@defect("CM-13", "CM-01", "CM-18")
def answers_commands_with_a_bare_word(asked: Asked, said: Said) -> None:
    if asked.module == "commands" and said.code == 1000:
        said.body["data"] = "UNKNOWN_SESSION"
