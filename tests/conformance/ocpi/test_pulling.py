"""What we read from partners: a list that moves under our hands is read whole (PG-12)."""

from __future__ import annotations

from typing import Any

import pytest

from cms.domain.token import TokenType
from simulators.emsp.partner import Emsp
from tests.conformance.ocpi.world import EMP, World


async def test_pg_12_a_list_that_shrinks_while_it_is_read_is_read_again(
    cpo: World, emsp: Emsp, monkeypatch: pytest.MonkeyPatch
) -> None:
    emsp.tokens.most = 2
    names = [f"T{number}" for number in range(6)]
    for name in names:
        emsp.tokens.add(name)
    real, offsets = emsp.tokens.page, list[str]()

    def page(query: Any, url: str) -> Any:
        reply = real(query, url)
        offsets.append(query.get("offset", "0"))
        if len(offsets) == 1:
            del emsp.tokens.held["T0", "RFID"]  # T2 moves up over the edge of the first page
        return reply

    monkeypatch.setattr(type(emsp.tokens), "page", lambda own, *asked: page(*asked))
    await cpo.service.pull_tokens(EMP)
    assert offsets == ["0", "2", "0", "2", "4"]
    known = {name: cpo.catalogue.token(EMP, name, TokenType.RFID) for name in names}
    assert {name for name, token in known.items() if token is not None and token.valid} == {
        "T1", "T2", "T3", "T4", "T5"
    }  # fmt: skip


async def test_pg_12_a_list_that_never_holds_still_changes_nothing(
    cpo: World, emsp: Emsp, monkeypatch: pytest.MonkeyPatch
) -> None:
    emsp.tokens.most = 2
    for number in range(20):
        emsp.tokens.add(f"T{number}")
    await cpo.service.pull_tokens(EMP)
    real = emsp.tokens.page

    def page(query: Any, url: str) -> Any:
        reply = real(query, url)
        emsp.tokens.held.pop(next(iter(emsp.tokens.held)))
        return reply

    monkeypatch.setattr(type(emsp.tokens), "page", lambda own, *asked: page(*asked))
    assert await cpo.service.pull_tokens(EMP) == 0
    assert len([each for each in cpo.catalogue.tokens() if each.valid]) == 20
