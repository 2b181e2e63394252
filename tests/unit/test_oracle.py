"""The oracle finds every kind of disagreement, and finds none where there is none."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from simulators.oracle import Kind, Verdict, compare

Line = dict[str, Any]
T0, T1, T2 = "2026-01-31T10:00:00.000Z", "2026-01-31T10:30:00.000Z", "2026-01-31T10:30:01.000Z"


class Books:
    """Three ledgers that agree about two sessions: one by a partner's driver, one by our own."""

    def __init__(self) -> None:
        self.chargers: list[Line] = []
        self.partner: list[Line] = []
        self.ours: list[Line] = []
        self.add("CP-1", "1.6", "local-1", "1001", "DE*ABC")
        self.add("CP-2", "2.0.1", "local-2", "local-2", None)

    def add(self, station: str, version: str, txn: str, id: str, partner: str | None) -> None:
        old = version == "1.6"
        acked = {"kind": "acked", "station": station, "txn": txn, "transaction_id": id, "at": T2}
        names = ("start", "sample", "stop") if old else ("started", "updated", "ended")
        registers = (1000, 4000, 8500)
        self.chargers += [
            {
                "kind": "delivered", "station": station, "version": version, "txn": txn,
                "evse": 1, "connector": 1, "id_tag": "TAG", "start_at": T0, "stop_at": T1,
                "start_wh": 1000, "stop_wh": 8500,
            },
            *(
                acked | {
                    "message": name, "register_wh": wh, "seq_no": None if old else number,
                    "answer": {},
                }
                for number, (name, wh) in enumerate(zip(names, registers, strict=True))
            ),
        ]  # fmt: skip
        session = f"S-{station}"
        self.ours += [
            {
                "kind": "session", "id": session, "station": station, "transaction_id": id,
                "version": version, "evse": 1, "connector": 1, "id_tag": "TAG",
                "started_at": T0, "ended_at": T1, "start_wh": 1000, "stop_wh": 8500,
                "energy_wh": 7500, "status": "completed", "partner": partner, "flags": [],
            },
            {
                "kind": "cdr", "id": f"C-{station}", "session_id": session, "partner": partner,
                "energy_wh": 7500, "currency": "EUR", "total_excl": "3.00",
                "total_incl": "3.57", "credit": False,
            },
            *(
                {
                    "kind": "journal", "station": station, "action": "any",
                    "transaction_id": id, "received_at": T2, "quarantined": False,
                }
                for _ in range(2 if old else 3)
            ),
        ]  # fmt: skip
        if partner is not None:
            self.partner += [bill(f"C-{station}"), {
                "kind": "recomputed", "cdr_id": f"C-{station}", "excl": "3.00", "incl": "3.57",
            }]  # fmt: skip

    def judge(self) -> Verdict:
        return compare(self.chargers, self.partner, self.ours)

    def line(self, ledger: list[Line], **marks: Any) -> Line:
        return next(each for each in ledger if marks.items() <= each.items())

    def drop(self, ledger: list[Line], **marks: Any) -> None:
        ledger[:] = [each for each in ledger if not marks.items() <= each.items()]


def bill(id: str, party: str = "ABC") -> Line:
    return {
        "kind": "cdr", "id": id, "session_id": "S", "stored": True,
        "body": {
            "id": id, "currency": "EUR", "total_energy": 7.5,
            "total_cost": {"excl_vat": 3.0, "incl_vat": 3.57},
            "cdr_token": {"country_code": "DE", "party_id": party},
        },
    }  # fmt: skip


def test_books_that_agree_are_good_and_the_figures_say_how_much_was_compared() -> None:
    verdict = Books().judge()
    assert verdict.mismatches == []
    assert verdict.good
    assert verdict.figures == {
        "delivered": 2, "acked_starts": 2, "acked_samples": 2, "acked_stops": 2, "gave_up": 0,
        "wh_delivered": 15_000, "sessions": 2, "wh_cdr": 15_000, "cdrs": 2,
        "cdrs_at_partner": 1, "cost_recomputed": 1,
    }  # fmt: skip


def lose_session(books: Books) -> None:
    books.drop(books.ours, kind="session", id="S-CP-1")
    books.drop(books.ours, kind="cdr", session_id="S-CP-1")
    books.partner.clear()


def lose_end(books: Books) -> None:
    books.line(books.ours, kind="session", id="S-CP-1")["ended_at"] = None


def lose_sample(books: Books) -> None:
    books.ours.remove(books.line(books.ours, kind="journal", station="CP-2"))


def orphan_stop_vanishes(books: Books) -> None:
    books.drop(books.chargers, kind="acked", message="start")
    books.drop(books.chargers, kind="acked", message="sample")
    books.line(books.chargers, message="stop")["transaction_id"] = None
    lose_session(books)


def book_twice(books: Books) -> None:
    again = deepcopy(books.line(books.ours, kind="session", id="S-CP-1"))
    again |= {"id": "S-again", "ended_at": None}
    books.ours.append(again)


def retried_start_gets_a_second_id(books: Books) -> None:
    again = deepcopy(books.line(books.ours, kind="session", id="S-CP-1"))
    again |= {"id": "S-again", "transaction_id": "1002", "ended_at": None}
    books.ours.append(again)


def invent_session(books: Books) -> None:
    ghost = deepcopy(books.line(books.ours, kind="session", id="S-CP-1"))
    ghost |= {"id": "S-ghost", "transaction_id": "666", "start_wh": 1, "stop_wh": 2}
    books.ours.append(ghost | {"ended_at": None})


def miss_energy(books: Books) -> None:
    books.line(books.ours, kind="session", id="S-CP-2")["energy_wh"] = 7499
    books.line(books.ours, kind="cdr", id="C-CP-2")["energy_wh"] = 7499


def withhold_energy(books: Books) -> None:
    books.line(books.ours, kind="session", id="S-CP-2")["energy_wh"] = None
    books.line(books.ours, kind="cdr", id="C-CP-2")["energy_wh"] = None


def forget_bill(books: Books) -> None:
    books.drop(books.ours, kind="cdr", id="C-CP-2")


def bill_twice(books: Books) -> None:
    books.ours.append(books.line(books.ours, kind="cdr", id="C-CP-2") | {"id": "C-again"})


def bill_nothing(books: Books) -> None:
    cdr = books.line(books.ours, kind="cdr", id="C-CP-2")
    books.ours.append(cdr | {"id": "C-lost", "session_id": "S-lost"})


def bill_other_energy(books: Books) -> None:
    books.line(books.ours, kind="cdr", id="C-CP-2")["energy_wh"] = 7501


def lose_bill_on_the_way(books: Books) -> None:
    books.partner.clear()


def refuse_bill(books: Books) -> None:
    books.line(books.partner, kind="cdr")["stored"] = False


def deliver_twice(books: Books) -> None:
    books.partner.append(bill("C-CP-1"))


def tell_another_partner(books: Books) -> None:
    books.line(books.partner, kind="cdr")["body"]["cdr_token"]["party_id"] = "XYZ"


def tell_another_partners_ledger(books: Books) -> None:
    books.line(books.partner, kind="cdr")["partner"] = "NL*XYZ"


def tell_a_partner_of_our_own_customer(books: Books) -> None:
    books.partner.append(bill("C-CP-2"))


def send_unknown_bill(books: Books) -> None:
    books.partner.append(bill("C-nobody"))


def send_other_energy(books: Books) -> None:
    books.line(books.partner, kind="cdr")["body"]["total_energy"] = 7.501


def send_other_cost(books: Books) -> None:
    books.line(books.ours, kind="cdr", id="C-CP-1")["total_excl"] = "3.01"


def send_other_tax(books: Books) -> None:
    books.line(books.ours, kind="cdr", id="C-CP-1")["total_incl"] = "3.58"


def miscalculate(books: Books) -> None:
    books.line(books.partner, kind="recomputed")["excl"] = "2.99"


def miscalculate_tax(books: Books) -> None:
    books.line(books.partner, kind="recomputed")["incl"] = "3.56"


def refuse_rudely(books: Books) -> None:
    books.chargers.append(
        {
            "kind": "callerror", "station": "CP-1", "txn": "local-1",
            "action": "StopTransaction", "code": "InternalError", "description": "",
        }
    )  # fmt: skip


@pytest.mark.parametrize(
    ("damage", "kinds"),
    [
        (lose_session, {Kind.ACKED_START_MISSING, Kind.ACKED_STOP_MISSING}),
        (lose_end, {Kind.ACKED_STOP_MISSING}),
        (lose_sample, {Kind.ACKED_SAMPLE_MISSING}),
        (orphan_stop_vanishes, {Kind.ACKED_STOP_MISSING}),
        (book_twice, {Kind.DUPLICATE_SESSION}),
        (retried_start_gets_a_second_id, {Kind.DUPLICATE_SESSION}),
        (invent_session, {Kind.UNEXPLAINED_SESSION}),
        (miss_energy, {Kind.ENERGY_DIFFERS}),
        (withhold_energy, {Kind.ENERGY_DIFFERS, Kind.CDR_ENERGY_DIFFERS}),
        (forget_bill, {Kind.SESSION_WITHOUT_CDR}),
        (bill_twice, {Kind.DUPLICATE_CDR}),
        (bill_nothing, {Kind.CDR_WITHOUT_SESSION}),
        (bill_other_energy, {Kind.CDR_ENERGY_DIFFERS}),
        (lose_bill_on_the_way, {Kind.CDR_MISSING_AT_PARTNER}),
        (refuse_bill, {Kind.CDR_MISSING_AT_PARTNER}),
        (deliver_twice, {Kind.CDR_TWICE_AT_PARTNER}),
        (tell_another_partner, {Kind.CDR_AT_WRONG_PARTNER}),
        (tell_another_partners_ledger, {Kind.CDR_AT_WRONG_PARTNER}),
        (tell_a_partner_of_our_own_customer, {Kind.CDR_AT_WRONG_PARTNER}),
        (send_unknown_bill, {Kind.CDR_AT_WRONG_PARTNER}),
        (send_other_energy, {Kind.CDR_BODY_DIFFERS}),
        (send_other_cost, {Kind.CDR_BODY_DIFFERS}),
        (send_other_tax, {Kind.CDR_BODY_DIFFERS}),
        (miscalculate, {Kind.COST_DIFFERS}),
        (miscalculate_tax, {Kind.COST_DIFFERS}),
        (refuse_rudely, {Kind.CALLERROR}),
    ],
)
def test_each_kind_of_damage_is_found_and_called_by_its_name(
    damage: Callable[[Books], None], kinds: set[Kind]
) -> None:
    books = Books()
    damage(books)
    verdict = books.judge()
    assert {each.kind for each in verdict.mismatches} == kinds
    assert not verdict.good


def test_damage_was_tried_for_every_kind() -> None:
    (marks,) = [
        mark
        for mark in test_each_kind_of_damage_is_found_and_called_by_its_name.pytestmark  # type: ignore[attr-defined]
        if mark.name == "parametrize"
    ]
    assert set().union(*(kinds for _, kinds in marks.args[1])) == set(Kind)


def test_a_stop_that_was_never_acknowledged_is_no_energy_difference() -> None:
    books = Books()
    books.drop(books.chargers, message="stop")
    lose_end(books)
    books.line(books.ours, kind="session", id="S-CP-1")["energy_wh"] = None
    books.drop(books.ours, kind="cdr", id="C-CP-1")
    books.partner.clear()
    assert books.judge().good


def test_an_orphan_stop_is_found_again_by_its_registers() -> None:
    books = Books()
    books.drop(books.chargers, message="start")
    books.drop(books.chargers, message="sample")
    books.line(books.chargers, message="stop")["transaction_id"] = None
    books.line(books.ours, kind="session", id="S-CP-1")["transaction_id"] = "-1"
    assert books.judge().good


def test_a_stop_may_end_the_session_before_if_its_own_start_was_given_up() -> None:
    books = Books()
    orphan_stop_vanishes(books)
    stop = books.line(books.chargers, message="stop")
    before = deepcopy(books.line(books.ours, kind="session", id="S-CP-2"))
    before |= {"id": "S-before", "station": "CP-1", "stop_wh": stop["register_wh"], "start_wh": 1}
    books.ours.append(before | {"status": "stopped"})
    assert {each.kind for each in books.judge().mismatches} >= {Kind.ACKED_STOP_MISSING}
    books.ours[-1]["flags"] = ["unknown_transaction"]
    assert Kind.ACKED_STOP_MISSING not in {each.kind for each in books.judge().mismatches}


def test_an_orphan_stop_without_a_session_is_good_if_somebody_is_asked_to_look_at_it() -> None:
    books = Books()
    orphan_stop_vanishes(books)
    item = {"kind": "work_item", "id": "W", "type": "orphan_stop", "subject": "CP-1"}
    books.ours.append(item | {"state": "open"})
    assert books.judge().good


def test_a_credit_takes_a_bill_back() -> None:
    books = Books()
    cdr = books.line(books.ours, kind="cdr", id="C-CP-2")
    books.ours.append(cdr | {"id": "C-credit", "credit": True, "total_excl": "-3.00"})
    books.ours.append(cdr | {"id": "C-new"})
    assert books.judge().good


def test_the_printed_line_names_scenario_seed_and_every_count() -> None:
    books = Books()
    assert books.judge().print_line("K01", 7).startswith("K01 pass seed=7 delivered=2 ")
    refuse_rudely(books)
    line = books.judge().print_line("K01", 7)
    assert line.startswith("K01 FAIL seed=7 ")
    assert "callerror=1" in line
    assert "energy-differs=0" in line


def test_a_sessions_disagreement_says_both_sides() -> None:
    books = Books()
    miss_energy(books)
    (mismatch,) = books.judge().of(Kind.ENERGY_DIFFERS)
    assert str(mismatch) == ("energy-differs: CP-2/local-2: delivered 7500 Wh, session says 7499")
    assert books.judge().count(Kind.ENERGY_DIFFERS) == 1
