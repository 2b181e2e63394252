"""``cms demo --hub``, as a person starts it, with few sessions."""

from __future__ import annotations

import json
from pathlib import Path

from cms.cli import hub_demonstration

VERSIONS = {"IN*AAA": "2.2.1", "IN*BBB": "2.2.1", "IN*CCC": "2.3.0", "IN*DDD": "2.1.1"}


def test_four_providers_on_three_versions_charge_and_see_nothing_of_each_other(
    tmp_path: Path,
) -> None:
    report = tmp_path / "r.json"
    code = hub_demonstration.run(sessions=8, seed=7, report=report, chargers=8)
    told = json.loads(report.read_text())
    assert (code, told["mismatches"], told["leaks"]) == (0, [], [])
    assert told["sessions"] == 8
    assert {id: row["version"] for id, row in told["providers"].items()} == VERSIONS
    for row in told["providers"].values():
        assert row["sessions"] == row["cdrs"] == 2
        assert float(row["kwh"]) > 0
    assert told["away"]["sent_while_offline"] == 0
