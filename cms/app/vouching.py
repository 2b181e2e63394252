"""Tokens that their partner vouched for by naming them in a command.

A partner that starts or reserves for a card has authorised that card. When the driver holds the
card itself to the reader of that station, within a quarter of an hour, nobody is asked again
(OCPI 2.2.1, commands module, StartSession and ReserveNow).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from cms.app.writes import CommandRecord
from cms.domain.ids import PartnerId, StationId
from cms.domain.reservation import CLOCKS_APART
from cms.domain.token import AuthMethod, Decision, Token, TokenType, Verdict

VOUCHED = timedelta(minutes=15)
"""For how long a partner's word in a command stands for a card."""

_MOST = 50_000
"""Vouchers kept; beyond that those that are over go first, then the oldest."""


@dataclass(frozen=True, slots=True)
class Voucher:
    token: Token
    reference: str | None
    until: datetime


class Vouchers:
    """What partners vouched for, per station; memory only, taken up again from the commands."""

    def __init__(self) -> None:
        self._kept: dict[tuple[StationId, str], Voucher] = {}

    def vouch(
        self, station: StationId, token: Token | None, reference: str | None, at: datetime
    ) -> None:
        """Remember that a partner named *token* in a command for *station*.

        Only cards: what an app starts goes under a drawn idTag of its own.
        """
        if token is None or token.partner is None or token.type is not TokenType.RFID:
            return
        key = (station, token.uid.casefold())
        self._kept.pop(key, None)  # the newest last
        self._kept[key] = Voucher(token, reference, at + VOUCHED)
        if len(self._kept) > _MOST:
            self._thin_out(at)

    def restore(self, commands: Iterable[CommandRecord]) -> None:
        """Take up what partners vouched for before a restart."""
        for each in commands:
            self.vouch(each.station, each.token, each.reference, each.created_at)

    def decision(self, station: StationId, uid: str, now: datetime) -> Decision | None:
        """Return the partner's own word about *uid* at *station*; None where it gave none.

        Args:
            now: when the card was shown.
        """
        found = self._kept.get((station, uid.casefold()))
        if found is None or not found.until - VOUCHED - CLOCKS_APART <= now < found.until:
            return None
        return Decision(
            Verdict.ACCEPTED,
            f"{found.token.partner} named it in a command for this station",
            found.token,
            AuthMethod.COMMAND,
            found.reference,
        )

    def spent(self, station: StationId, token: Token | None) -> None:
        """The command has its session: its reference is not for another one."""
        key = (station, "" if token is None else token.uid.casefold())
        if (found := self._kept.get(key)) is not None:
            self._kept[key] = replace(found, reference=None)

    def forget(self, partner: PartnerId, uid: str) -> None:
        """A partner changed a token: what it said of it before no longer counts."""
        named = uid.casefold()
        gone = [
            key
            for key, each in self._kept.items()
            if key[1] == named and each.token.partner == partner
        ]
        for key in gone:
            del self._kept[key]

    def _thin_out(self, now: datetime) -> None:
        self._kept = {key: each for key, each in self._kept.items() if each.until > now}
        while len(self._kept) > _MOST:
            del self._kept[next(iter(self._kept))]
