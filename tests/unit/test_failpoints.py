"""Failpoints act once, on the passing that was named, and cost nothing unarmed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from cms.app import failpoints


@pytest.fixture(autouse=True)
def _disarmed() -> Iterator[None]:
    yield
    failpoints.disarm()


def test_an_unarmed_point_does_nothing() -> None:
    failpoints.hit("X1")
    assert failpoints.hits("X1") == 0


def test_a_point_acts_on_its_hit_and_only_then() -> None:
    failpoints.arm("X1", on_hit=2)
    failpoints.hit("X1")
    failpoints.hit("X2")
    with pytest.raises(failpoints.Failed, match="X1"):
        failpoints.hit("X1")
    failpoints.hit("X1")
    assert failpoints.hits("X1") == 3


def test_several_points_are_armed_from_outside() -> None:
    failpoints.arm_from("X1:1:raise,X2:1:delay=0")
    failpoints.hit("X2")
    with pytest.raises(failpoints.Failed):
        failpoints.hit("X1")


@pytest.mark.parametrize("text", ["X1", "X1:1", "X1:x:kill", "X1:0:kill", "X1:1:burn"])
def test_what_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="failpoint|CMS_FAILPOINT"):
        failpoints.arm_from(text)


def test_kill_kills_the_process_as_a_crash_would() -> None:
    script = (
        "from cms.app import failpoints as f; f.hit('X2'); print('one', flush=True); f.hit('X2')"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={"CMS_FAILPOINT": "X2:2:kill"},
        check=False,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == -9
    assert done.stdout == "one\n"
    assert "failpoint X2 hit 2: kill" in done.stderr
