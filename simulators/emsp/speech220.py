"""The partner speaks OCPI 2.2: 2.2.1 before it was corrected; a session's token names no party."""

from __future__ import annotations

from typing import Any

from simulators.emsp.speech import Book, Sent, Speech, Wrong


class Speech220(Speech):
    """OCPI 2.2."""

    version = "2.2"
    translates = True

    def lift(self, sent: Sent, book: Book) -> Any:
        body = super().lift(sent, book)
        if sent.module not in ("sessions", "cdrs") or not isinstance(body, dict):
            return body
        token = body.get("cdr_token")
        if not isinstance(token, dict):
            return body
        for name in ("country_code", "party_id"):
            if name in token:
                raise Wrong(f"cdr_token.{name}", "came with 2.2.1")
        own = book.token_of_contract(str(token.get("contract_id")))
        if own is None:
            raise Wrong("cdr_token.contract_id", "no token of ours: this is a leak")
        ids = {name: own[name] for name in ("country_code", "party_id")}
        return {**body, "cdr_token": {**token, **ids}}
