"""The seam between gateway and adapters: handshake, counting, and what strictness means."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

import adapters
from cms.domain.meter import Quantity
from ocpp_gateway.adaptation import STRICT, Dialect, Note, Notebook, is_identity

HANDSHAKE = adapters.STANDARD.handshake
NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("path", "identity", "before", "codes"),
    [
        ("/ocpp/CP1", "CP1", ("ocpp",), []),
        ("/CP1", "CP1", (), []),
        ("///CP1", "CP1", (), ["Q-006"]),
        ("/ocpp//CP1", "CP1", ("ocpp",), ["Q-006"]),
        ("/ocpp/CP1/", "CP1", ("ocpp",), ["Q-006"]),
        ("/ocpp/CP1/CP1", "CP1", ("ocpp",), ["Q-006"]),
        ("/ocpp/CP1?x=/y", "CP1", ("ocpp",), []),
        ("ws://host:9000/ocpp/CP1", "CP1", ("ocpp",), []),
        ("/ocpp/00%3A80%3AF4", "00:80:F4", ("ocpp",), ["Q-008"]),
        ("/ocpp/%20CP1%20", "CP1", ("ocpp",), ["Q-008"]),
        ("/ocpp/CP%31", "CP1", ("ocpp",), ["Q-008"]),
        ("/site-secret/ocpp/CP1", "CP1", ("site-secret", "ocpp"), []),
        ("/ocpp/CP%2531", None, ("ocpp",), ["Q-008"]),  # decoded once, never twice
        ("/ocpp/..%2F..%2Fetc", None, ("ocpp",), ["Q-008"]),
        ("/ocpp/CP%001", None, ("ocpp",), ["Q-008"]),
        ("/ocpp/CP%FF", None, ("ocpp",), []),
        ("/ocpp/" + "x" * 49, None, ("ocpp",), []),
        ("/", None, (), []),
        ("", None, (), ["Q-006"]),
    ],
)
def test_identity_is_the_last_segment_however_the_path_is_spelt(
    path: str, identity: str | None, before: tuple[str, ...], codes: list[str]
) -> None:
    found = HANDSHAKE.read_path(path)
    assert (found.identity, found.before) == (identity, before)
    assert [note.code for note in found.notes] == codes


@pytest.mark.parametrize(
    ("offered", "dialect", "echo", "codes"),
    [
        (["ocpp1.6"], Dialect.V16, "ocpp1.6", []),
        (["ocpp2.0.1", "ocpp1.6"], Dialect.V201, "ocpp2.0.1", []),
        (["ocpp2.1", "ocpp2.0.1"], Dialect.V201, "ocpp2.0.1", []),
        (["OCPP1.6"], Dialect.V16, "OCPP1.6", ["Q-002"]),
        (["ocpp16"], Dialect.V16, "ocpp16", ["Q-002"]),
        (["ocpp1.6j"], Dialect.V16, "ocpp1.6j", ["Q-002"]),
        (["ocpp1.6", ""], Dialect.V16, "ocpp1.6", []),
        ([], Dialect.V16, None, ["Q-001"]),
        ([""], Dialect.V16, None, ["Q-001"]),
    ],
)
def test_version_is_chosen_and_the_clients_own_spelling_echoed(
    offered: list[str], dialect: Dialect, echo: str | None, codes: list[str]
) -> None:
    chosen = HANDSHAKE.choose_protocol(offered)
    assert chosen is not None
    assert (chosen.dialect, chosen.echo) == (dialect, echo)
    assert [note.code for note in chosen.notes] == codes


@pytest.mark.parametrize("offered", [["ocpp1.5"], ["ocpp2.1"], ["soap"], ["chat", "ocpp1.2"]])
def test_a_version_we_do_not_speak_is_refused(offered: list[str]) -> None:
    assert HANDSHAKE.choose_protocol(offered) is None


def test_headers_are_completed_only_when_everything_else_says_upgrade() -> None:
    upgrade = {"Upgrade": "websocket", "Sec-WebSocket-Protocol": ""}
    changes, notes = HANDSHAKE.repair_headers(upgrade)
    assert changes == {
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Protocol": None,
    }
    assert [note.code for note in notes] == ["Q-004", "Q-004", "Q-001"]
    assert HANDSHAKE.repair_headers({"Host": "x"}) == ({}, ())


def test_strict_repairs_nothing_and_says_so() -> None:
    assert STRICT.repair_bytes(b"\xef\xbb\xbf[]") == (b"\xef\xbb\xbf[]", ())
    assert STRICT.repair_payload("Heartbeat", {"x": 1}, Dialect.V16) == ({"x": 1}, ())
    assert STRICT.handshake.choose_protocol(["OCPP1.6"]) is None
    assert STRICT.handshake.read_path("/ocpp/CP%31").identity is None
    assert STRICT.readings.time("2026-01-05T10:00:00", NOW)[0] is None
    assert STRICT.readings.time("2026-01-05T10:00:00Z", NOW)[0] is not None
    assert STRICT.readings.energy("12,5", "Wh", None)[0] is None
    assert STRICT.readings.measure(None, "12", None, 0)[:2] == (Quantity.ENERGY_REGISTER, 12)
    assert STRICT.readings.register(-1)[0] is None


def test_the_notebook_counts_by_code_and_by_station() -> None:
    book = Notebook()
    book.record("CS1", (Note("Q-070", "a"), Note("Q-070", "b"), Note("Q-059", "c")))
    book.record("CS2", (Note("Q-070", "a"),))
    book.record("CS3", ())
    assert book.total == {"Q-070": 3, "Q-059": 1}
    assert book.stations == {"CS1": {"Q-070": 2, "Q-059": 1}, "CS2": {"Q-070": 1}}


def test_a_note_reads_as_code_path_and_text() -> None:
    assert str(Note("Q-070", "no time zone", "timestamp")) == "Q-070: timestamp: no time zone"
    assert str(Note("Q-021", "byte order mark")) == "Q-021: byte order mark"


@pytest.mark.parametrize("text", ["", "a b", "a/b", "a\n", "ä", "x" * 49, "a,b", "<b>"])
def test_what_is_no_identity(text: str) -> None:
    assert not is_identity(text)
