"""Tokens, receiver: partners tell us who may charge. And the puller, for their whole list."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import structlog

from cms.app.administration import Administration, By
from cms.app.catalogue import Catalogue
from cms.app.ports import Clock
from cms.domain.ids import PartnerId
from cms.domain.token import Token, TokenType, Whitelist
from ocpi_cpo.connections import Connection, Connections
from ocpi_cpo.envelope import Reply
from ocpi_cpo.errors import BadParameter, ClientApi, NotThere, OcpiError, UnknownToken
from ocpi_cpo.parties import Parties
from ocpi_cpo.partner_api import PartnerApi
from ocpi_cpo.profiles import Profile
from ocpi_cpo.reading import pages
from ocpi_cpo.server import Call, Route
from ocpi_cpo.versions.dialect import Dialect
from ocpi_cpo.versions.offered import dialect_of
from ocpi_cpo.versions.v221.people import partner_of
from ocpi_cpo.wire import stamp, with_query

log = structlog.get_logger()

MOST_READINGS = 3
"""Of a list that grows shorter while it is read."""
_IN_ONE_COMMIT = 1000

Forget = Callable[[PartnerId, str], None]
"""Told of a token that changed: what its partner answered about it before counts no more."""


class Tokens:
    """``/tokens/{country}/{party}/{uid}``. The key is country, party, uid and type."""

    def __init__(
        self,
        catalogue: Catalogue,
        administration: Administration,
        parties: Parties,
        dialect: Dialect,
        clock: Clock,
        forget: Forget,
    ) -> None:
        self._parties = parties
        self._catalogue = catalogue
        self._administration = administration
        self._dialect = dialect
        self._clock = clock
        self._forget = forget

    def routes(self) -> list[Route]:
        path = (self._dialect.version, "tokens", "*", "*", "*")
        return [
            Route("GET", path, self._get),
            Route("PUT", path, self._put),
            Route("PATCH", path, self._patch),
            *(
                Route(method, (*path, "authorize"), self._authorise, offered=_asks_us)
                for method in ("POST", "PUT")
            ),
        ]

    async def _get(self, call: Call) -> Reply:
        return Reply(self._dialect.token(self._stored(call), self._clock()))

    async def _put(self, call: Call) -> Reply:
        own = await self._writer(call)
        token = self._dialect.read_token(call.body(), own)
        self._same(call, token, own)
        new = await self._take(call, token)
        await self._retire_others(call, token)
        return Reply(http=201 if new else 200)

    async def _patch(self, call: Call) -> Reply:
        changes, before = call.body(), self._stored(call)
        token = self._dialect.read_token_changes(before, changes, self._clock())
        self._same(call, token, self._owner(call))
        await self._take(call, token)
        return Reply()

    async def _authorise(self, call: Call) -> Reply:
        """Say what our copy of a token says: no part of the standard, and it changes nothing."""
        owner = self._owner(call)
        found = [self._catalogue.token(owner, call.path[2], type) for type in TokenType]
        token = next((each for each in found if each is not None), None)
        if token is None:
            return Reply({"allowed": "UNKNOWN"})
        return Reply(
            {
                "allowed": _allowed(token, self._clock()),
                "token": self._dialect.token(token, self._clock()),
            }
        )

    async def _retire_others(self, call: Call, token: Token) -> None:
        """Where the address names no type, *token* takes the place of one of another type."""
        for type in self._types(call):
            other = self._catalogue.token(token.partner, token.uid, type)
            if other is not None and type is not token.type and other.valid:
                await self._take(call, replace(other, valid=False, last_updated=token.last_updated))

    async def _take(self, call: Call, token: Token) -> bool:
        """Keep *token* unless ours is newer. Returns whether it is new."""
        before = self._catalogue.token(token.partner, token.uid, token.type)
        skew = timedelta(seconds=call.profile.clock_skew_seconds)
        if before is not None and _newer(before, token, skew):
            return False
        by = By(f"partner:{call.caller.partner}")
        new = await self._administration.put_token(token, by)
        assert token.partner is not None
        self._forget(token.partner, token.uid)
        return new

    def _owner(self, call: Call) -> PartnerId:
        """Check that the URL names a party for which the caller speaks; all others are not there.

        A hub that broadcasts speaks for every party behind it.
        """
        party = _named(call)
        if party not in call.parties:
            raise NotThere(f"{party} is no party of yours")
        return party

    async def _writer(self, call: Call) -> PartnerId:
        """Return whose token is put; a hub without client info makes a party known by it."""
        party = _named(call)
        if party not in call.parties and await self._parties.learn(call.connection, party):
            return party
        return self._owner(call)

    def _types(self, call: Call) -> Sequence[TokenType]:
        return self._dialect.addressed_types(call.query)

    def _stored(self, call: Call) -> Token:
        owner = self._owner(call)
        for type in self._types(call):
            token = self._catalogue.token(owner, call.path[2], type)
            if token is not None:
                return token
        unknown = UnknownToken("no such token")
        unknown.code = self._dialect.unknown_token_code
        raise unknown

    def _same(self, call: Call, token: Token, owner: PartnerId) -> None:
        if token.partner != owner:
            raise BadParameter("country_code, party_id: differ from the URL")
        if token.uid.casefold() != call.path[2].casefold():
            raise BadParameter("uid: differs from the URL")
        if token.type not in self._types(call):
            raise BadParameter("type: differs from the URL, where RFID is the default")


def _named(call: Call) -> PartnerId:
    country, party, _ = call.path
    return partner_of(country, party)


def _newer(before: Token, token: Token, skew: timedelta) -> bool:
    """Whether *before* is the newer one, by more than the partner's clocks may differ."""
    return (
        before.last_updated is not None
        and token.last_updated is not None
        and before.last_updated - token.last_updated > skew
    )


def _asks_us(profile: Profile) -> bool:
    return profile.authorise_here


def _allowed(token: Token, now: datetime) -> str:
    if not token.valid:
        return "BLOCKED"
    expired = token.expires_at is not None and token.expires_at <= now
    return "NOT_ALLOWED" if expired or token.whitelist is Whitelist.NEVER else "ALLOWED"


class Puller:
    """Reads a partner's token list, page by page, as its links lead."""

    def __init__(
        self,
        catalogue: Catalogue,
        administration: Administration,
        connections: Connections,
        parties: Parties,
        api: PartnerApi,
        forget: Forget,
    ) -> None:
        self._parties = parties
        self._catalogue = catalogue
        self._administration = administration
        self._connections = connections
        self._api = api
        self._forget = forget
        self._pulling: dict[PartnerId, asyncio.Lock] = {}

    async def pull(self, partner: PartnerId, whole: bool = True) -> int:
        """Take over the token list of *partner*; returns how many tokens changed.

        A hub lists the tokens of all parties behind it; each names its own.

        Args:
            whole: everything, and what is not listed any more becomes invalid; else only what
                changed since the newest token seen.

        Raises:
            ClientApi: the partner's list cannot be read; what was read before is kept.
        """
        async with self._pulling.setdefault(partner, asyncio.Lock()):
            return await self._pull(partner, whole)

    async def _pull(self, partner: PartnerId, whole: bool) -> int:
        connection = self._connections.own(partner)
        url = connection.endpoint("tokens", "SENDER") if connection else None
        if connection is None or url is None:
            return 0
        since = None if whole else connection.tokens_pulled_to
        if since is not None:
            since -= timedelta(seconds=self._api.profile(partner).clock_skew_seconds)
        owners = self._parties.behind(partner) | {partner}
        before = [each for each in self._catalogue.tokens() if each.partner in owners]
        found = await self._read(connection, url, since)
        changed = found + (self._absent(before, found) if since is None else [])
        skew = timedelta(seconds=self._api.profile(partner).clock_skew_seconds)
        changed = [each for each in changed if not self._outdated(each, skew)]
        count = 0
        for start in range(0, len(changed), _IN_ONE_COMMIT):
            count += await self._administration.put_tokens(
                changed[start : start + _IN_ONE_COMMIT], By(f"partner:{partner}")
            )
        for token in changed:
            self._forget(token.partner or partner, token.uid)
        await self._note(partner, found)
        log.info("tokens.pulled", partner=partner, listed=len(found), changed=count)
        return count

    async def _read(self, connection: Connection, url: str, since: datetime | None) -> list[Token]:
        """Read the list; once more from its beginning if it grew shorter meanwhile.

        What moves up over the edge of a page while we turn it would be missed, and then be taken
        for deleted.
        """
        for _ in range(MOST_READINGS):
            found, shrank = await self._read_once(connection, url, since)
            if not shrank:
                return found
        raise ClientApi("its token list grows shorter whenever we read it")

    async def _read_once(
        self, connection: Connection, url: str, since: datetime | None
    ) -> tuple[list[Token], bool]:
        """Return the list, and whether its total fell while we read."""
        most, found = 0, list[Token]()
        first = url if since is None else with_query(url, date_from=stamp(since))
        async for items, total in pages(self._api, connection, first, "token"):
            found += await self._tokens(connection, items)
            if total is not None and total < most:
                return found, True
            most = max(most, total or 0)
        return found, False

    async def _tokens(self, connection: Connection, items: list[Any]) -> list[Token]:
        """Return the good ones; a damaged one is logged and hurts no other.

        Those of a party that is not behind the connection are left.
        """
        good = []
        for item in items:
            try:
                token = dialect_of(connection.version).read_token(item, connection.partner)
            except OcpiError as error:
                log.warning("token.damaged", partner=connection.partner, why=error.message)
                continue
            owner = token.partner
            if owner is not None and await self._belongs(connection, owner):
                good.append(token)
        return good

    async def _belongs(self, connection: Connection, owner: PartnerId) -> bool:
        if owner == connection.partner or owner in self._parties.behind(connection.partner):
            return True
        return await self._parties.learn(connection, owner)

    def _outdated(self, token: Token, skew: timedelta) -> bool:
        before = self._catalogue.token(token.partner, token.uid, token.type)
        return before is not None and _newer(before, token, skew)

    def _absent(self, before: list[Token], found: list[Token]) -> list[Token]:
        """Return what is not listed any more, as invalid.

        A token that its partner sent while we read is no older than the list, and stays.
        """
        listed = {(each.partner, each.uid.casefold(), each.type) for each in found}
        return [
            replace(each, valid=False)
            for each in before
            if each.valid
            and (each.partner, each.uid.casefold(), each.type) not in listed
            and self._catalogue.token(each.partner, each.uid, each.type) is each
        ]

    async def _note(self, partner: PartnerId, found: list[Token]) -> None:
        times = [each.last_updated for each in found if each.last_updated is not None]
        newest = max(times, default=None)
        if newest is not None:
            await self._connections.change(
                partner, lambda current: replace(current, tokens_pulled_to=newest)
            )
