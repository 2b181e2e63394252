"""Tokens as operators write them down: their own, and those taken over from another system."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from cms.domain.ids import PartnerId
from cms.domain.token import Token, TokenType, Whitelist
from cms.intake.base import Intake, Moment


class TokenIn(Intake):
    """Without *partner* it is our own token. Own tokens are decided from our copy, always."""

    uid: Annotated[str, Field(min_length=1, max_length=36)]
    partner: Annotated[str, Field(pattern=r"^[A-Z]{2}\*[A-Z0-9]{3}$")] | None = None
    type: TokenType = TokenType.RFID
    contract_id: Annotated[str, Field(max_length=36)] | None = None
    issuer: Annotated[str, Field(min_length=1, max_length=64)] = "own"
    valid: bool = True
    whitelist: Whitelist = Whitelist.ALWAYS
    visual_number: str | None = None
    group: str | None = None
    language: Annotated[str, Field(min_length=2, max_length=2)] | None = None
    expires_at: Moment | None = None

    def value(self) -> Token:
        return Token(
            PartnerId(self.partner) if self.partner else None,
            self.uid,
            self.type,
            self.contract_id or self.uid,
            self.issuer,
            self.valid,
            self.whitelist,
            visual_number=self.visual_number,
            group=self.group,
            language=self.language,
            expires_at=self.expires_at,
        )
