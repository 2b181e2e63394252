"""What CPOs of OCPI 2.1.1 do wrong: mostly what is right in later versions."""

from __future__ import annotations

from decimal import Decimal

from tests.flow.broken_cpo import Asked, Defects, Said, evses_in, of, plugs_in

DEFECTS_211 = Defects()
defect = DEFECTS_211.answers


# -- transport and credentials


@defect("B1-02")
def wants_request_ids(asked: Asked, said: Said) -> None:
    if not any(name.lower() == "x-request-id" for name in asked.headers):
        said.body = {k: v for k, v in said.body.items() if k != "data"} | {"status_code": 2001}


@defect("B1-03", "CM-07")
def answers_unknown_places_with_a_code_of_later_versions(asked: Asked, said: Said) -> None:
    if asked.module == "commands" and said.code == 2003:
        said.body["status_code"] = 2004


@defect("B1-04")
def writes_more_than_ascii(asked: Asked, said: Said) -> None:
    for each in of(asked, said, "locations"):
        each["name"] = "Z\u00fcrich Hbf"


@defect("B1-05")
def writes_fractions_of_seconds(asked: Asked, said: Said) -> None:
    for each in of(asked, said, "tariffs"):
        each["last_updated"] = each["last_updated"].replace("Z", ".123Z")


@defect("B1-06")
def gives_endpoints_roles(asked: Asked, said: Said) -> None:
    if asked.parts == ["2.1.1"] and isinstance(said.data, dict):
        for each in said.data["endpoints"]:
            each["role"] = "SENDER"


@defect("B1-07")
def offers_modules_of_later_versions(asked: Asked, said: Said) -> None:
    if asked.parts == ["2.1.1"] and isinstance(said.data, dict):
        url = said.data["endpoints"][0]["url"]
        said.data["endpoints"].append({"identifier": "hubclientinfo", "url": url})


@defect("B1-08")
def gives_credentials_with_roles(asked: Asked, said: Said) -> None:
    if asked.module == "credentials" and isinstance(said.data, dict):
        names = ("business_details", "party_id", "country_code")
        role = {"role": "CPO"} | {name: said.data.pop(name) for name in names}
        said.data["roles"] = [role]


@defect("B1-12")
def says_whose_a_location_is(asked: Asked, said: Said) -> None:
    for each in of(asked, said, "locations"):
        each |= {"country_code": "IN", "party_id": "CPO"}


# -- locations


@defect("B2-01")
def gives_locations_no_type(asked: Asked, said: Said) -> None:
    for each in of(asked, said, "locations"):
        del each["type"]


@defect("B2-01", "B2-02")
def lists_locations_that_are_not_published(asked: Asked, said: Said) -> None:
    for each in of(asked, said, "locations"):
        each["publish"] = False


@defect("B2-03")
def leaves_postal_codes_out(asked: Asked, said: Said) -> None:
    for each in of(asked, said, "locations"):
        del each["postal_code"]


@defect("B2-04", "TR-33", "LO-02")
def gives_connectors_long_ids(asked: Asked, said: Said) -> None:
    for each in plugs_in(asked, said):
        each["id"] = each["id"].rjust(40, "0")


@defect("B2-05")
def gives_coordinates_with_five_decimals(asked: Asked, said: Said) -> None:
    for each in of(asked, said, "locations"):
        place = each["coordinates"]
        place["latitude"] = place["latitude"][:-1]


@defect("B2-06")
def writes_volts_under_the_later_name(asked: Asked, said: Said) -> None:
    for each in plugs_in(asked, said):
        each["max_voltage"] = each.pop("voltage")


@defect("B2-06")
def names_tariffs_as_a_list(asked: Asked, said: Said) -> None:
    for each in plugs_in(asked, said):
        each["tariff_ids"] = [each.pop("tariff_id")]


@defect("B2-07")
def claims_capabilities_of_later_versions(asked: Asked, said: Said) -> None:
    for each in evses_in(asked, said):
        each["capabilities"] = ["TOKEN_GROUP_CAPABLE"]


@defect("B2-08")
def uses_power_types_of_later_versions(asked: Asked, said: Said) -> None:
    for each in plugs_in(asked, said):
        each["power_type"] = "AC_2_PHASE_SPLIT"


@defect("B2-09", "LO-25")
def opens_always_and_at_hours(asked: Asked, said: Said) -> None:
    for each in of(asked, said, "locations"):
        monday = {"weekday": 1, "period_begin": "08:00", "period_end": "20:00"}
        each["opening_times"] = {"twentyfourseven": True, "regular_hours": [monday]}


@defect("B2-10")
def names_impacts_by_category(asked: Asked, said: Said) -> None:
    for each in of(asked, said, "locations"):
        impact = {"category": "CARBON_DIOXIDE", "amount": 372}
        each["energy_mix"] = {"is_green_energy": False, "environ_impact": [impact]}


# -- sessions and bills


@defect("B3-01")
def gives_sessions_no_auth_id(asked: Asked, said: Said) -> None:
    for each in of(asked, said, "sessions"):
        del each["auth_id"]


@defect("B3-01")
def gives_sessions_a_cdr_token(asked: Asked, said: Said) -> None:
    for each in of(asked, said, "sessions"):
        each["cdr_token"] = {"uid": "CARD0", "type": "RFID", "contract_id": each["auth_id"]}


@defect("B3-01")
def names_the_place_of_a_session_by_id(asked: Asked, said: Said) -> None:
    for each in of(asked, said, "sessions"):
        each["location_id"] = each.pop("location")["id"]


@defect("B3-02")
def gives_the_running_cost_as_an_object(asked: Asked, said: Said) -> None:
    for each in of(asked, said, "sessions"):
        each["total_cost"] = {"excl_vat": each["total_cost"]}


@defect("B3-02")
def gives_the_cost_of_a_bill_as_an_object(asked: Asked, said: Said) -> None:
    for each in of(asked, said, "cdrs"):
        each["total_cost"] = {"excl_vat": each["total_cost"]}


@defect("B3-03")
def shows_reservations_as_sessions(asked: Asked, said: Said) -> None:
    for each in of(asked, said, "sessions"):
        each["status"] = "RESERVATION"
        each.pop("end_datetime", None)


@defect("B3-04")
def takes_charging_preferences(asked: Asked, said: Said) -> None:
    if asked.parts[-1] == "charging_preferences":
        said.http, said.body = 200, {**said.body, "status_code": 1000, "data": "ACCEPTED"}


@defect("B3-06")
def ends_bills_under_the_later_name(asked: Asked, said: Said) -> None:
    for each in of(asked, said, "cdrs"):
        each["end_date_time"] = each.pop("stop_date_time")


@defect("B3-06")
def gives_bills_no_auth_id(asked: Asked, said: Said) -> None:
    for each in of(asked, said, "cdrs"):
        del each["auth_id"]


@defect("B3-07")
def names_the_session_in_a_bill(asked: Asked, said: Said) -> None:
    for each in of(asked, said, "cdrs"):
        each["session_id"] = f"S-{each['id']}"[:36]


@defect("B3-08")
def lists_credits(asked: Asked, said: Said) -> None:
    for each in of(asked, said, "cdrs"):
        each |= {"credit": True, "credit_reference_id": "ANOTHER"}


@defect("B3-09")
def names_tariffs_in_periods(asked: Asked, said: Said) -> None:
    for each in of(asked, said, "cdrs"):
        each["charging_periods"][0]["tariff_id"] = "DC-18"


@defect("B3-09")
def bills_dimensions_of_later_versions(asked: Asked, said: Said) -> None:
    for each in of(asked, said, "cdrs"):
        more = {"type": "RESERVATION_TIME", "volume": Decimal(0)}
        each["charging_periods"][0]["dimensions"].append(more)


@defect("B3-10")
def says_that_a_command_authorised(asked: Asked, said: Said) -> None:
    for each in of(asked, said, "sessions"):
        each["auth_method"] = "COMMAND"


# -- tariffs


@defect("B4-01")
def limits_prices(asked: Asked, said: Said) -> None:
    for each in of(asked, said, "tariffs"):
        each["max_price"] = {"excl_vat": 100}


@defect("B4-02")
def adds_vat_to_prices(asked: Asked, said: Said) -> None:
    for each in of(asked, said, "tariffs"):
        each["elements"][0]["price_components"][0]["vat"] = 18


@defect("B4-03", "TA-09")
def prices_reservations(asked: Asked, said: Said) -> None:
    for each in of(asked, said, "tariffs"):
        reserved = {"price_components": each["elements"][0]["price_components"]}
        each["elements"].append(reserved | {"restrictions": {"reservation": "RESERVATION"}})


# -- commands


@defect("B5-05")
def takes_reservations_back(asked: Asked, said: Said) -> None:
    if asked.parts[-1] == "CANCEL_RESERVATION":
        envelope = {"data": {"result": "ACCEPTED"}, "status_code": 1000}
        said.http, said.body = 200, {**said.body, **envelope}


@defect("B5-06")
def takes_letters_as_the_number_of_a_reservation(asked: Asked, said: Said) -> None:
    if asked.parts[-1] == "RESERVE_NOW" and b'"letters"' in asked.body:
        said.body |= {"data": {"result": "REJECTED"}, "status_code": 1000}


@defect("B5-07")
def promises_results_in_seconds(asked: Asked, said: Said) -> None:
    if asked.module == "commands" and isinstance(said.data, dict):
        said.data["timeout"] = 30
