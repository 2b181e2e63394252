"""The checker's catalogue, its eyes for JSON values, and what it never shows."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest

from ocpi_check.catalogue import CPO, EMSP
from ocpi_check.checks import CATALOGUE
from ocpi_check.checks.charging import last, moved_back
from ocpi_check.exchange import BLACK, Exchange
from ocpi_check.kinds import Shape, ident, integer, many, number, one_of, text, url, when
from ocpi_check.options import Options, Plug, Unusable
from ocpi_check.shapes import SHAPES, bare_price, price
from ocpi_check.wire import BadJson, Json, join, loads, next_link, query_of, with_query

STATEMENTS = Path(__file__).parents[1] / "conformance" / "ocpi" / "statements.txt"
ARGUMENTS = {
    "url": "https://cpo.example/versions", "token": "secret-token", "registered": False,
    "role": None, "version": "2.2.1", "only": "", "party": None, "write": False,
    "start_session": None, "listen": "127.0.0.1:0", "public_url": None, "timeout": 5.0,
    "pace": 0.0, "charge_seconds": 1.0, "patience": 1.0,
}  # fmt: skip


def statements() -> dict[str, str]:
    """Level of each statement."""
    lines = [line.split() for line in STATEMENTS.read_text().splitlines()]
    return {line[0]: line[1] for line in lines if line and not line[0].startswith("#")}


# -- the catalogue


def test_every_check_is_of_a_statement_and_of_its_level() -> None:
    known = statements()
    assert {each.id for each in CATALOGUE} <= known.keys()
    assert {each.id: each.level for each in CATALOGUE} == {
        each.id: known[each.id] for each in CATALOGUE
    }


@pytest.mark.parametrize("role", [CPO, EMSP])
def test_no_id_is_checked_twice_for_one_side(role: str) -> None:
    times = Counter(each.id for each in CATALOGUE if role in each.roles)
    assert not {id for id, number in times.items() if number > 1}


def test_a_cpo_is_checked_by_many_statements_in_every_version() -> None:
    def ids(version: str) -> set[str]:
        return {e.id for e in CATALOGUE if CPO in e.roles and version in e.versions}

    assert len(ids("2.2.1") | ids("2.1.1") | ids("2.3.0")) >= 150
    assert len(ids("2.2.1")) >= 120
    assert len(ids("2.1.1")) >= 100
    assert len(ids("2.3.0")) >= 120


def test_every_check_says_what_a_good_party_does() -> None:
    assert all(each.title and each.title[0].islower() for each in CATALOGUE)


# -- values


@pytest.mark.parametrize(
    ("value", "good"),
    [
        ("2026-11-20T10:00:00Z", True),
        ("2026-11-20T10:00:00.123Z", True),
        ("2026-11-20T10:00:00+00:00", False),
        ("2026-11-20T10:00:00.123456Z", False),
        ("2026-11-20T10:00:00", False),
        ("2026-13-20T10:00:00Z", False),
        (1_700_000_000, False),
    ],
)
def test_a_date_is_utc_with_z_and_at_most_milliseconds(value: object, good: bool) -> None:
    assert [each.rule for each in when(value, "x")] == ([] if good else ["TR-34"])


@pytest.mark.parametrize(
    ("value", "rules"),
    [
        (Decimal("0.3"), []),
        (230, []),
        ("230", ["TR-37"]),
        (True, ["TR-37"]),
        (Decimal("0.30000000000000004"), ["TR-37"]),
        (Decimal("1.00000000000000000"), []),
    ],
)
def test_a_number_is_one_and_has_no_float_noise(value: object, rules: list[str]) -> None:
    assert [each.rule for each in number(value, "x")] == rules


def test_an_int_has_no_fraction_part() -> None:
    assert [each.rule for each in integer(Decimal("230.0"), "x")] == ["TR-38"]
    assert not list(integer(230, "x"))


def test_texts_have_lengths_and_no_line_breaks() -> None:
    assert not list(text(5)("Årö", "x"))
    assert [each.rule for each in text(2)("abc", "x")] == ["TR-33"]
    assert [each.rule for each in text(9)("a\nb", "x")] == ["TR-32"]
    assert [each.rule for each in ident(9)("Årö", "x")] == ["TR-32"]
    assert [each.rule for each in ident(9)("", "x")] == ["TR-32"]


def test_urls_are_absolute_and_enums_exact() -> None:
    assert not list(url("https://a.example/x", "x"))
    assert [each.rule for each in url("/x", "x")] == ["TR-40"]
    assert [each.rule for each in one_of(("A",))("a", "x")] == ["TR-31"]


def test_a_price_is_an_object_except_in_2_1_1() -> None:
    assert [each.rule for each in price(Decimal(1), "x")] == ["TR-39"]
    assert not list(price({"excl_vat": 1}, "x"))
    assert [each.rule for each in bare_price({"excl_vat": 1}, "x")] == ["B3-02"]


def test_a_shape_names_what_is_missing_by_its_path() -> None:
    inner = Shape("Inner", "XX-02", {"id": ident()})
    outer = Shape("Outer", "XX-01", {"items": many(inner)}, never={"old": "XX-03"})
    found = [str(each) for each in outer({"items": [{"id": "a"}, {}], "old": 1}, "thing")]
    assert found == [
        "thing.items[1].id is missing; a Inner must have it",
        "thing.old does not exist in this version",
    ]


def test_null_is_as_good_as_missing() -> None:
    shape = Shape("Thing", "XX-01", {"id": ident()}, {"more": number})
    assert not list(shape({"id": "a", "more": None}, ""))
    assert [each.rule for each in shape({"id": None}, "")] == ["XX-01"]


def test_every_version_has_every_shape() -> None:
    assert len({frozenset(each) for each in SHAPES.values()}) == 1


# -- the wire


def test_json_is_read_strictly() -> None:
    assert loads(b'{"a": 0.10}') == {"a": Decimal("0.10")}
    for bad in (b'{"a": 1, "a": 2}', b"NaN", b"{", b"\xff"):
        with pytest.raises(BadJson):
            loads(bad)


def test_addresses_are_joined_with_one_slash_and_keep_their_query() -> None:
    assert join("https://a/b/?key=1", "c d", "e") == "https://a/b/c%20d/e?key=1"
    assert with_query("https://a/b?key=1", limit=2, offset=None) == "https://a/b?key=1&limit=2"
    assert query_of("https://a/?x=1&y=") == {"x": "1", "y": ""}
    assert next_link({"Link": '<https://a/?offset=1>; rel="next"'}) == "https://a/?offset=1"
    assert next_link({"Link": '<https://a/>; rel="last"'}) is None


# -- secrets


def test_what_is_shown_holds_no_secret() -> None:
    exchange = Exchange(
        "credentials", False, "POST", "https://a/credentials",
        {"Authorization": "Token c2VjcmV0LXRva2Vu", "X-Request-ID": "1"},
        b'{"token":"their-new-token","url":"https://b"}', 200, {"Content-Type": "application/json"},
        b'{"data":{"token": "fresh"},"status_message":"hello secret-token"}',
        hidden=frozenset({"secret-token"}),
    )  # fmt: skip
    shown = exchange.shown()
    for secret in ("c2VjcmV0LXRva2Vu", "their-new-token", "fresh", "secret-token"):
        assert secret not in shown
    assert BLACK in shown and "X-Request-ID: 1" in shown and "HTTP 200" in shown


# -- arguments


@pytest.mark.parametrize(
    "wrong",
    [
        {"version": "1.0"},
        {"role": "hub"},
        {"party": "INEMP"},
        {"listen": "8080"},
        {"start_session": "SITE-1"},
    ],
)
def test_arguments_that_cannot_be_used_are_named(wrong: dict[str, str]) -> None:
    (name,) = wrong
    with pytest.raises(Unusable, match=name.replace("_", "-")):
        Options.of(**(ARGUMENTS | wrong))


def test_arguments_are_read() -> None:
    wanted = {"only": "tr, PG-07", "party": "in*emp", "start_session": "A/B/1", "role": "emsp"}
    found = Options.of(**(ARGUMENTS | wanted))
    assert (found.only, found.party) == (("TR", "PG-07"), ("IN", "EMP"))
    assert found.plug == Plug("A", "B", "1") and found.role == "EMSP"


# -- the start of a session, as it was pushed

PENDING = {"status": "PENDING", "start_date_time": "2026-11-20T10:00:00Z"}
LATER, EARLIER = "2026-11-20T10:05:00Z", "2026-11-20T09:55:00Z"


@pytest.mark.parametrize(
    ("more", "bad"),
    [
        ([{"status": "ACTIVE", "start_date_time": LATER}], False),
        ([{"status": "ACTIVE", "start_date_time": PENDING["start_date_time"]}], False),
        ([{"kwh": 1}, {"start_date_time": EARLIER}], False),  # still pending: when it was made
        ([{"status": "ACTIVE", "start_date_time": EARLIER}], True),
        ([{"status": "ACTIVE"}, {"start_date_time": EARLIER}], True),
    ],
)
def test_an_active_session_starts_no_earlier_than_it_was_pending(
    more: list[Json], bad: bool
) -> None:
    assert bool(list(moved_back([PENDING, *more], "start_date_time"))) is bad


def test_of_a_start_the_last_word_counts() -> None:
    told = [PENDING, {"status": "ACTIVE", "start_date_time": LATER}, {"kwh": 1}]
    assert last(told, "start_date_time") == LATER
    assert last([{"kwh": 1}], "start_date_time") is None
