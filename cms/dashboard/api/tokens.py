"""Tokens: the drivers' cards, our own and the partners'."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cms.dashboard import views
from cms.dashboard.api.desk import Desk, Paged, by, only_all_sites, same
from cms.dashboard.routing import Call, Route
from cms.domain.errors import InvalidValue
from cms.domain.partner import Right
from cms.domain.token import TokenType
from cms.intake.tokens import TokenIn


class TokensIn(Paged):
    partner: str | None = None


def routes(desk: Desk) -> Sequence[Route]:
    """Return the routes of tokens; each needs the right to administer."""
    admin = Right.ADMIN
    its = Tokens(desk)
    return [
        Route("GET", "/tokens", admin, its.tokens, query=TokensIn),
        Route("PUT", "/tokens/{uid}", admin, its.put_token, TokenIn),
    ]


class Tokens:
    """Handlers of tokens."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def tokens(self, call: Call) -> Any:
        """Tokens."""
        given: TokensIn = call.query
        only_all_sites(call)
        found = [
            each
            for each in self._desk.catalogue.tokens()
            if given.partner is None or (each.partner or "own") == given.partner
        ]
        window = found[given.offset : given.offset + given.limit]
        return {"total": len(found), "tokens": [views.as_plain(each) for each in window]}

    async def put_token(self, call: Call) -> Any:
        """Add or replace an own token."""
        given: TokenIn = call.body
        same("uid", given.uid, call.part("uid"))
        only_all_sites(call)
        if given.partner is not None:
            raise InvalidValue("partner", "a partner's tokens come from the partner")
        token = given.value()
        await self._desk.administration.put_token(token, by(call))
        return views.as_plain(self._desk.catalogue.token(None, token.uid, TokenType(token.type)))
