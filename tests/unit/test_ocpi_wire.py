"""OCPI's bytes: dates, tokens in headers, joined addresses, links, decimals."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest

from cms.domain.ids import TariffId
from ocpi_cpo.errors import BadParameter
from ocpi_cpo.paging import PageSizes, Window, page_headers, window
from ocpi_cpo.versions.v221 import models
from ocpi_cpo.wire import (
    authorization,
    dumps,
    join,
    loads,
    moment,
    next_link,
    presented_tokens,
    shortened,
    stamp,
    with_query,
)


def test_a_moment_is_written_in_utc_with_milliseconds_at_most() -> None:
    east = timezone(timedelta(hours=5, minutes=30))
    assert stamp(datetime(2026, 1, 1, 5, 30, tzinfo=east)) == "2026-01-01T00:00:00Z"
    assert stamp(datetime(2026, 1, 1, 0, 0, 0, 123999, UTC)) == "2026-01-01T00:00:00.123Z"


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-01T00:00:00Z",
        "2026-01-01T00:00:00",
        "2026-01-01T00:00:00.000Z",
        "2026-01-01T05:30:00+05:30",
        "2026-01-01T05:30:00 05:30",
        "2026-01-01T05:30:00+0530",
        " 2026-01-01 00:00:00z",
    ],
)
def test_a_moment_is_read_in_every_shape(text: str) -> None:
    assert moment(text) == datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("text", ["", "2026-01-01", "2026-02-30T00:00:00Z", "now", "1e9"])
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        moment(text)


def test_a_token_is_recognised_in_base64_with_a_line_feed_and_raw() -> None:
    def b64(raw: str) -> str:
        return base64.b64encode(raw.encode()).decode()

    assert presented_tokens(authorization("s3cret"))[0] == "s3cret"
    assert presented_tokens(f"Token {b64('s3cret' + chr(10))}")[0] == "s3cret"
    assert presented_tokens("token s3cret!") == ("s3cret!",)
    assert presented_tokens("Token YWJj") == ("abc", "YWJj")  # a raw token may look encoded
    assert presented_tokens("Basic abcd") == ()
    assert presented_tokens(None) == ()


def test_addresses_are_joined_with_one_slash_and_keep_their_query() -> None:
    assert join("https://a/x/", "b c", "d") == "https://a/x/b%20c/d"
    assert join("https://a/x?k=1", "b") == "https://a/x/b?k=1"
    assert join("https://a/x", "IN*E/1") == "https://a/x/IN*E%2F1"
    assert with_query("https://a/x?k=1", type="APP") == "https://a/x?k=1&type=APP"


def test_only_the_next_link_is_followed() -> None:
    header = '<https://a/1>; rel="prev", <https://a/2>; rel="next"'
    assert next_link({"Link": header}) == "https://a/2"
    assert next_link({"Link": "<https://a/3>; rel=next"}) == "https://a/3"
    assert next_link({"Link": '<https://a/1>; rel="last"'}) is None


def test_decimals_keep_their_digits() -> None:
    assert dumps({"a": Decimal("0.30"), "b": Decimal("1E+2")}) == b'{"a":0.30,"b":100}'
    assert loads(b'{"a":1}') == {"a": 1}


def test_display_texts_are_shortened_to_what_fits() -> None:
    assert shortened("a\tb\n c", 10) == "a b c"
    assert len(shortened("x" * 50, 45)) == 45


# -- pages


def test_a_window_is_limited_by_our_maximum() -> None:
    assert window({"limit": "500", "offset": "3"}, PageSizes(50, 50)) == Window(3, 50)
    with pytest.raises(BadParameter, match="limit"):
        window({"limit": "0"}, PageSizes(50, 50))


def test_the_next_page_keeps_filters_and_the_limit_that_was_used() -> None:
    since = datetime(2026, 1, 1, tzinfo=UTC)
    headers = page_headers("https://a/x", Window(10, 10, since), 25, 50)
    assert headers["X-Total-Count"] == "25"
    assert headers["Link"] == (
        '<https://a/x?date_from=2026-01-01T00%3A00%3A00Z&offset=20&limit=10>; rel="next"'
    )
    assert "Link" not in page_headers("https://a/x", Window(20, 10), 25, 50)


# -- objects


def test_an_object_from_outside_names_the_field_that_is_wrong() -> None:
    with pytest.raises(BadParameter, match=r"^roles\.0\.business_details: "):
        models.read(
            models.Credentials,
            {
                "token": "t",
                "url": "https://a/x",
                "roles": [{"role": "EMSP", "party_id": "EMP", "country_code": "IN"}],
            },
        )
    with pytest.raises(BadParameter, match="object"):
        models.read(models.Credentials, [])


def test_an_object_of_ours_that_breaks_a_rule_cannot_be_built() -> None:
    with pytest.raises(ValueError):
        models.Price(excl_vat=1.1)  # type: ignore[arg-type]
    assert TariffId("x") == "x"
