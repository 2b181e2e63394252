"""What a transaction was does not depend on how its events reached us."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from cms.domain.folding import Folded, fold
from cms.domain.meter import Quantity, ReadingContext, Sample
from cms.domain.transaction import ChargingState, EventKind, Flag, TransactionEvent
from cms.domain.usage import UsageKind, usages_from_readings

T0 = datetime(2026, 3, 1, 10, 0, tzinfo=UTC)


def at(minutes: int) -> datetime:
    return T0 + timedelta(minutes=minutes)


def sample(minutes: int, wh: int, **more: object) -> Sample:
    return Sample(at(minutes), Quantity.ENERGY_REGISTER, wh)._replace(**more)


def event(kind: EventKind, minutes: int, **more: object) -> TransactionEvent:
    content = f"{kind}{minutes}{sorted(more.items())}".encode()
    plain = TransactionEvent(kind, at(minutes), at(minutes), content)
    return replace(plain, **more)


def started(minutes: int = 0, wh: int | None = 1000, **more: object) -> TransactionEvent:
    more = {"register_wh": wh, "id_token": "CARD", "evse": 1, **more}
    return event(EventKind.STARTED, minutes, **more)


def updated(minutes: int, wh: int, **more: object) -> TransactionEvent:
    return event(EventKind.UPDATED, minutes, samples=(sample(minutes, wh),), **more)


def ended(minutes: int = 60, wh: int | None = 8000, **more: object) -> TransactionEvent:
    return event(EventKind.ENDED, minutes, register_wh=wh, **more)


def test_start_samples_and_stop_become_energy_and_readings() -> None:
    told = fold([started(), updated(30, 4000), ended(reason="local")])

    assert (told.start_wh, told.stop_wh, told.energy_wh) == (1000, 8000, 7000)
    assert [(each.at, each.wh) for each in told.readings] == [
        (at(0), 1000),
        (at(30), 4000),
        (at(60), 8000),
    ]
    assert told.complete and told.billable and told.flags == ()
    assert told.reason == "local" and told.id_token == "CARD" and told.evse == 1


def test_copies_and_another_order_change_nothing() -> None:
    events = [started(), updated(20, 3000), updated(40, 5000), ended()]

    assert fold([*reversed(events), *events]) == fold(events)


def test_a_copy_that_calls_itself_offline_changes_nothing() -> None:
    start = started()
    copy = replace(start, offline=True, received_at=at(9))

    assert fold([copy, start, ended()]) == fold([start, ended()])


def test_the_chargers_numbers_order_events_whose_clock_jumped_back() -> None:
    first = started(10, seq_no=0)
    second = updated(5, 2000, seq_no=1, charging=ChargingState.CHARGING)
    third = updated(4, 3000, seq_no=2, charging=ChargingState.SUSPENDED_BY_CAR)

    assert fold([third, first, second]).charging is ChargingState.SUSPENDED_BY_CAR


def test_a_reused_number_falls_back_to_time_and_is_flagged() -> None:
    told = fold([ended(seq_no=0), updated(30, 4000, seq_no=0), started(seq_no=0)])

    assert [each.kind for each in told.events] == ["started", "updated", "ended"]
    assert Flag.SEQ_REUSED in told.flags
    assert told.complete and told.energy_wh == 7000


def test_a_missing_number_leaves_the_record_incomplete() -> None:
    told = fold([started(seq_no=4), updated(10, 2000, seq_no=5), ended(seq_no=9)])

    assert told.gaps == ((6, 8),)
    assert not told.complete and Flag.SEQ_GAP in told.flags
    assert told.energy_wh == 7000  # registers hold over a gap


def test_a_huge_number_costs_no_memory() -> None:
    assert fold([started(seq_no=0), ended(seq_no=2**31 - 1)]).gaps == ((1, 2**31 - 2),)


@pytest.mark.parametrize("turned", [False, True])
def test_a_second_end_with_other_values_is_set_aside(turned: bool) -> None:
    events = [started(), ended(60, 8000), ended(61, 9000)]
    told = fold(reversed(events) if turned else events)

    assert told.energy_wh == 7000
    assert [each.register_wh for each in told.conflicts] == [9000]
    assert Flag.CONFLICTING_END in told.flags


def test_a_second_end_in_other_words_is_no_conflict() -> None:
    told = fold([started(), ended(), ended(reason="remote")])

    assert told.conflicts == () and told.flags == ()


def test_what_the_charger_says_of_the_end_outweighs_what_we_concluded() -> None:
    concluded = ended(30, 4000, content=b"core:interrupted:s1")

    assert fold([started(), concluded]).energy_wh == 3000
    told = fold([started(), concluded, ended(60, 8000)])
    assert told.energy_wh == 7000 and told.conflicts == ()


def test_a_register_that_ends_below_its_start_is_withheld() -> None:
    told = fold([started(wh=5000), ended(wh=4000)])

    assert told.energy_wh is None and told.readings == ()
    assert told.withheld == "the register fell from 5000 to 4000 Wh"
    assert {Flag.REGISTER_FELL, Flag.ENERGY_IMPLAUSIBLE} <= set(told.flags)


def test_a_register_that_was_reset_in_between_is_withheld() -> None:
    told = fold([started(), updated(20, 6000), updated(30, 0), ended(wh=3000)])

    assert told.withheld is not None and told.energy_wh is None


def test_rounding_between_two_messages_is_no_fall() -> None:
    told = fold([started(), updated(59, 8004), ended(60, 8000)])

    assert told.energy_wh == 7000 and told.flags == ()


def test_more_than_the_charger_can_deliver_is_withheld() -> None:
    told = fold([started(), ended(wh=7_001_000)], most_w=11_000)

    assert told.withheld == "7000000 Wh in 3600 s are more than 11000 W can deliver"


def test_energy_in_no_time_is_withheld() -> None:
    assert fold([started(0), ended(0, 1500)]).withheld == "500 Wh in no time at all"


def test_an_end_before_the_start_is_withheld() -> None:
    told = fold([started(60), ended(0)])

    assert told.withheld == "it ends before it starts" and Flag.TIME_IMPLAUSIBLE in told.flags


def test_without_any_register_nothing_is_invented() -> None:
    told = fold([started(wh=None), ended(wh=None)])

    assert told.energy_wh is None and Flag.REGISTER_MISSING in told.flags
    assert told.withheld == "no register says how much energy it was"


def test_registers_are_found_among_the_samples_of_start_and_end() -> None:
    begin = sample(0, 1000, context=ReadingContext.BEGIN)
    end = sample(60, 8000, context=ReadingContext.END)
    told = fold([started(wh=None, samples=(begin,)), ended(wh=None, samples=(end,))])

    assert told.energy_wh == 7000 and told.flags == ()


def test_a_stop_without_register_ends_at_the_last_sample_and_says_so() -> None:
    told = fold([started(), updated(30, 4000), ended(wh=None)])

    assert told.energy_wh == 3000 and Flag.REGISTER_MISSING in told.flags


def test_phases_are_added_up_where_there_is_no_whole() -> None:
    phases = tuple(sample(30, 1000, phase=phase) for phase in ("L1", "L2", "L3"))
    told = fold([started(wh=0), event(EventKind.UPDATED, 30, samples=phases), ended(wh=6000)])

    assert told.readings[1].wh == 3000


def test_energy_per_interval_becomes_a_register() -> None:
    parts = tuple(Sample(at(minutes), Quantity.ENERGY_INTERVAL, 500) for minutes in (20, 40, 60))
    told = fold([started(wh=None), event(EventKind.ENDED, 60, samples=parts)])

    assert told.energy_wh == 1500


def test_samples_of_another_place_are_not_billed() -> None:
    inlet = event(EventKind.UPDATED, 30, samples=(sample(30, 99_000, place="inlet"),))

    assert fold([started(), inlet, ended()]).energy_wh == 7000


def test_a_sample_after_the_end_is_kept_and_not_billed() -> None:
    told = fold([started(), ended(60, 8000), updated(70, 9000)])

    assert told.energy_wh == 7000 and Flag.AFTER_END in told.flags
    assert told.readings[-1].at == at(60)


def test_time_in_which_the_car_asks_for_nothing_is_parking() -> None:
    suspended = event(EventKind.UPDATED, 30, charging=ChargingState.SUSPENDED_BY_CAR)
    told = fold([started(charging=ChargingState.CHARGING), suspended, ended()])

    kinds = [usage.kind for usage in usages_from_readings(told.readings)]
    assert kinds == [UsageKind.CHARGING, UsageKind.PARKING]


def test_dark_time_lasts_until_the_charger_is_back() -> None:
    dark = event(EventKind.UPDATED, 10, flags=(Flag.DARK,))
    back = event(EventKind.UPDATED, 25, flags=(Flag.STITCHED,))

    assert fold([back, started(), dark, ended()]).dark == ((at(10), at(25)),)


def test_dark_time_without_return_lasts_until_the_end() -> None:
    dark = event(EventKind.UPDATED, 10, flags=(Flag.DARK,))

    assert fold([started(), dark, ended()]).dark == ((at(10), at(60)),)


def test_an_open_transaction_tells_its_newest_register() -> None:
    told = fold([started(), updated(20, 3000), updated(10, 2000)])

    assert (told.last_at, told.last_wh) == (at(20), 3000)
    assert not told.billable and told.stop_wh is None


def test_an_open_transaction_can_be_priced_up_to_its_last_register() -> None:
    told = fold([started(), updated(20, 3000), event(EventKind.UPDATED, 25)])

    assert [(each.at, each.wh) for each in told.readings] == [(at(0), 1000), (at(20), 3000)]
    assert fold([started()]).readings == ()
    assert fold([started(), updated(20, 0)]).readings == ()


def test_nothing_folds_to_nothing() -> None:
    assert fold([]) == Folded(withheld="nothing was said")
