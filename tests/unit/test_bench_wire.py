"""The load generator's frames: legal on the wire, and patched where they stand."""

from __future__ import annotations

import pytest

from benchmarks.charger import Hot
from benchmarks.wire import TEXT, Splitter, masked, template


@pytest.mark.parametrize("size", [0, 125, 126, 1400, 70_000])
def test_a_stream_is_cut_into_the_frames_that_were_sent(size: int) -> None:
    head = masked(TEXT, b"x" * size)
    unmasked = head[:1] + bytes((head[1] & 0x7F,)) + head[2 : len(head) - size - 4] + b"x" * size
    splitter = Splitter()
    found = []
    stream = unmasked * 3
    for at in range(0, len(stream), 7):
        found += splitter.feed(stream[at : at + 7])
    assert found == [(TEXT, b"x" * size)] * 3


def test_every_turn_of_a_frame_differs_and_has_the_same_length() -> None:
    hot = Hot(template('[2,"<id>","X",{"at":"<time>","wh":<number>,"tag":"<tag>"}]', tag="T1"))
    one, two = hot.fill(7), hot.fill(8)
    assert one != two
    assert len(one) == len(two)
    assert b'"000000007"' in one and b'"000000008"' in two
    assert b'"wh":100000002' in one and b'"wh":100000003' in two
    assert b'"tag":"T1"' in one
