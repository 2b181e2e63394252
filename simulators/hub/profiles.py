"""Habits of real hubs, as a closed list of switches."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HubProfile:
    """How a hub differs from the specification.

    Attributes:
        country_code, party_id: of the hub itself, unless told otherwise.
        raw_tokens: sends its token as it is, not in base64.
        details_404: lists version details at an address that does not exist.
        routes: puts routing headers on what it forwards, and wants them. Without: the owner of a
            session or bill is found in its cdr_token, and everything else goes to everybody.
        client_info: offers HubClientInfo and pushes it.
        accepts: (module, method) that parties may push; ``None``: everything that OCPI defines.
        page_limit: the most objects in a page.
        authorize_per_minute: real-time authorisations that a party may ask for; ``None``: any.
        asks_stations: asks a CPO by ``PUT tokens/.../authorize``, which OCPI does not define.
        checks_bills: refuses a CDR whose totals cannot be.
        gstin: tax number in business_details.
    """

    name: str
    country_code: str = "IN"
    party_id: str = "HUB"
    raw_tokens: bool = False
    details_404: bool = False
    routes: bool = True
    client_info: bool = True
    accepts: frozenset[tuple[str, str]] | None = None
    page_limit: int = 50
    authorize_per_minute: int | None = None
    asks_stations: bool = False
    checks_bills: bool = False
    gstin: str | None = None


_CHARGEINDIA = frozenset(
    {
        ("locations", "PUT"),
        ("locations", "PATCH"),
        ("tariffs", "PUT"),
        ("sessions", "PUT"),
        ("cdrs", "POST"),
        ("tokens", "POST"),
        ("tokens", "PUT"),
        ("commands", "POST"),
    }
)

PROFILES: dict[str, HubProfile] = {
    each.name: each
    for each in (
        HubProfile("spec"),
        HubProfile(
            "ubc",
            party_id="UBC",
            raw_tokens=True,
            details_404=True,
            routes=False,
            client_info=False,
            page_limit=1000,
        ),
        HubProfile(
            "chargeindia",
            party_id="CIH",
            accepts=_CHARGEINDIA,
            authorize_per_minute=100,
            asks_stations=True,
            gstin="29AAACC1206D1ZM",
        ),
        HubProfile("gireve", country_code="FR", party_id="107", page_limit=20, checks_bills=True),
    )
}
"""By name."""
