"""Deny by default: every route, every right, own sites and others'.

The matrix is made of the routes themselves; a route that no row here knows fails the test.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest

from cms.dashboard.api import Api, Desk
from cms.domain.partner import Right
from tests.flow.owners import CARD, HERE, THERE, Owners, charger, owners, site, tariff

ROUTES = {(each.method, each.path): each for each in Api(cast(Desk, None)).routes()}


@dataclass(frozen=True, slots=True)
class Case:
    """How to ask one route.

    Attributes:
        path: with the place's things filled in: ``{site}``, ``{charger}``, ``{session}``.
        found: status for who may, at an own site whose charger is away.
        whole: it concerns the whole network; keys of own sites get 403.
        listing: it lists; other sites' things are left out, not refused.
    """

    path: str
    body: Any = None
    found: int = 200
    whole: bool = False
    listing: bool = False


_START = {"token": CARD}
_RESERVE = {"token": CARD, "expires_at": "2099-01-01T00:00:00Z"}
CHARGER = "{charger}-1"
"""Filled in, in a body too."""
_DAYS = "first=2020-01-01&last=2020-02-01"
CASES: dict[tuple[str, str], Case] = {
    ("GET", "/sites"): Case("/sites", listing=True),
    ("GET", "/sites/{id}"): Case("/sites/{site}"),
    ("PUT", "/sites/{id}"): Case("/sites/NEW", site("NEW"), whole=True),
    ("GET", "/chargers"): Case("/chargers", listing=True),
    ("GET", "/chargers/{id}"): Case("/chargers/{charger}"),
    ("PUT", "/chargers/{id}"): Case("/chargers/X", charger("X", HERE), whole=True),
    ("POST", "/chargers/{id}/approval"): Case("/chargers/{charger}/approval", {"approval": "approved"}),
    ("POST", "/chargers/{id}/password"): Case("/chargers/{charger}/password"),
    ("GET", "/chargers/{id}/log"): Case("/chargers/{charger}/log"),
    ("GET", "/refused-handshakes"): Case("/refused-handshakes", whole=True),
    ("POST", "/chargers/{id}/reset"): Case("/chargers/{charger}/reset", {}, found=409),
    ("POST", "/chargers/{id}/trigger"): Case("/chargers/{charger}/trigger", {"wanted": "status"}, found=409),
    ("POST", "/chargers/{id}/availability"): Case("/chargers/{charger}/availability", {"operative": True}, found=409),
    ("POST", "/evses/{uid}/start"): Case("/evses/{charger}-1/start", _START, found=409),
    ("POST", "/evses/{uid}/unlock"): Case("/evses/{charger}-1/unlock", {}, found=409),
    ("GET", "/reservations"): Case("/reservations", listing=True),
    ("GET", "/reservations/{id}"): Case("/reservations/1", found=404),
    ("POST", "/reservations/{id}/cancel"): Case("/reservations/1/cancel", found=404),
    ("POST", "/evses/{uid}/reserve"): Case("/evses/{charger}-1/reserve", _RESERVE, found=409),
    ("POST", "/chargers/{id}/reserve"): Case("/chargers/{charger}/reserve", _RESERVE, found=409),
    ("GET", "/sessions"): Case("/sessions", listing=True),
    ("GET", "/sessions.csv"): Case("/sessions.csv", listing=True),
    ("GET", "/sessions/{id}"): Case("/sessions/{session}"),
    ("GET", "/sessions/{id}/timeline"): Case("/sessions/{session}/timeline"),
    ("PUT", "/sessions/{id}/invoice-reference"): Case("/sessions/{session}/invoice-reference", {"reference": "INV-1"}, found=409),
    ("POST", "/sessions/{id}/stop"): Case("/sessions/{session}/stop", {}, found=409),
    ("GET", "/sessions/{id}/profile"): Case("/sessions/{session}/profile"),
    ("PUT", "/sessions/{id}/profile"): Case("/sessions/{session}/profile", {"limit": 7000}, found=409),
    ("DELETE", "/sessions/{id}/profile"): Case("/sessions/{session}/profile", found=409),
    ("POST", "/sessions/{id}/plan"): Case("/sessions/{session}/plan", {}, found=409),
    ("GET", "/evses/{uid}/profile"): Case("/evses/{charger}-1/profile"),
    ("PUT", "/evses/{uid}/profile"): Case("/evses/{charger}-1/profile", {"limit": 7000}, found=409),
    ("DELETE", "/evses/{uid}/profile"): Case("/evses/{charger}-1/profile", found=409),
    ("GET", "/explain"): Case("/explain?handle={session}"),
    ("GET", "/cdrs"): Case("/cdrs", listing=True),
    ("GET", "/cdrs.csv"): Case("/cdrs.csv", listing=True),
    ("GET", "/cdrs/{id}"): Case("/cdrs/{cdr}"),
    ("GET", "/cdrs/{id}/evidence.zip"): Case("/cdrs/{cdr}/evidence.zip", whole=True),
    ("GET", "/corrections"): Case("/corrections", whole=True),
    ("POST", "/corrections"): Case("/corrections", {"ids": ["none"], "tariff": "SHELF"}, found=404, whole=True),
    ("GET", "/corrections/{id}"): Case("/corrections/none", found=404, whole=True),
    ("POST", "/corrections/{id}/apply"): Case("/corrections/none/apply", found=404, whole=True),
    ("GET", "/sums"): Case(f"/sums?{_DAYS}&site={{site}}"),
    ("GET", "/sums.csv"): Case(f"/sums.csv?{_DAYS}&site={{site}}"),
    ("GET", "/tariffs"): Case("/tariffs", listing=True),
    ("PUT", "/tariffs/{id}"): Case("/tariffs/OTHER", tariff("OTHER"), whole=True),
    ("DELETE", "/tariffs/{id}"): Case("/tariffs/NONE", found=404, whole=True),
    ("GET", "/tariff-rules"): Case("/tariff-rules", listing=True),
    ("PUT", "/tariff-rules/{id}"): Case("/tariff-rules/R", {"id": "R", "tariff": "SHELF"}, whole=True),
    ("DELETE", "/tariff-rules/{id}"): Case("/tariff-rules/NONE", found=404, whole=True),
    ("GET", "/price-books"): Case("/price-books", whole=True),
    ("PUT", "/price-books/{id}"): Case("/price-books/B", {"id": "B", "percent": "5"}, whole=True),
    ("DELETE", "/price-books/{id}"): Case("/price-books/NONE", found=404, whole=True),
    ("GET", "/price-changes"): Case("/price-changes", whole=True),
    ("POST", "/price-changes"): Case("/price-changes", {"rule": {"id": "L", "tariff": "SHELF"}}, found=201, whole=True),
    ("POST", "/price-changes/preview"): Case("/price-changes/preview", {"tariff": tariff()}, whole=True),
    ("GET", "/price-changes/{id}"): Case("/price-changes/NONE", found=404, whole=True),
    ("POST", "/price-changes/{id}/rollback"): Case("/price-changes/NONE/rollback", {}, found=404, whole=True),
    ("POST", "/quotes"): Case("/quotes", {"handle": CHARGER, "kwh": "10"}),
    ("GET", "/tokens"): Case("/tokens", whole=True),
    ("PUT", "/tokens/{uid}"): Case("/tokens/T", {"uid": "T"}, whole=True),
    ("GET", "/partners"): Case("/partners", whole=True),
    ("GET", "/partners/{id}"): Case("/partners/IN*XXX", found=404, whole=True),
    ("POST", "/partners"): Case("/partners", {"id": "IN*ABC", "name": "A"}, found=201, whole=True),
    ("PATCH", "/partners/{id}"): Case("/partners/IN*XXX", {}, found=404, whole=True),
    ("POST", "/partners/{id}/adopt"): Case("/partners/IN*ADO/adopt", {"name": "A", "url": "https://a.example/ocpi/versions", "version": "2.2.1", "token": "theirs-0123456789", "our_token": "ours-0123456789abc", "endpoints": [{"module": "tokens", "role": "SENDER", "url": "https://a.example/tokens"}]}, found=201, whole=True),
    ("DELETE", "/partners/{id}"): Case("/partners/IN*XXX", found=404, whole=True),
    ("POST", "/partners/{id}/renew"): Case("/partners/IN*XXX/renew", {}, found=404, whole=True),
    ("POST", "/partners/{id}/resync"): Case("/partners/IN*XXX/resync", {}, found=404, whole=True),
    ("POST", "/partners/{id}/sync"): Case("/partners/IN*XXX/sync", {}, found=404, whole=True),
    ("POST", "/partners/{id}/compare"): Case("/partners/IN*XXX/compare", {}, found=404, whole=True),
    ("GET", "/partners/{id}/comparison"): Case("/partners/IN*XXX/comparison", found=404, whole=True),
    ("GET", "/partners/{id}/invoices"): Case("/partners/IN*XXX/invoices", found=404, whole=True),
    ("POST", "/partners/{id}/invoices"): Case("/partners/IN*XXX/invoices", {"number": "1"}, found=404, whole=True),
    ("PUT", "/partners/{id}/invoices/{invoice}"): Case(
        "/partners/IN*XXX/invoices/1", {"number": "1", "bills": ["x"]}, found=404, whole=True
    ),
    ("DELETE", "/partners/{id}/invoices/{invoice}"): Case("/partners/IN*XXX/invoices/1", found=404, whole=True),
    ("GET", "/partners/{id}/invoices-received"): Case(
        "/partners/IN*XXX/invoices-received", found=404, whole=True
    ),
    ("GET", "/partners/{id}/parties"): Case("/partners/IN*XXX/parties", found=404, whole=True),
    ("PUT", "/partners/{id}/parties/{party}"): Case(
        "/partners/IN*XXX/parties/NL*TNM", {"name": "A"}, found=404, whole=True
    ),
    ("GET", "/partners/{id}/parked"): Case("/partners/IN*XXX/parked", found=404, whole=True),
    ("POST", "/partners/{id}/parked/actions"): Case(
        "/partners/IN*XXX/parked/actions", {"action": "drop", "kind": "cdr", "key": "x"}, found=404, whole=True
    ),
    ("GET", "/keys"): Case("/keys", whole=True),
    ("POST", "/keys"): Case("/keys", {"name": "k", "rights": ["read"]}, found=201, whole=True),
    ("DELETE", "/keys/{id}"): Case("/keys/none", found=404, whole=True),
    ("POST", "/page-link"): Case("/page-link", listing=True),
    ("GET", "/work-items"): Case("/work-items", listing=True),
    ("POST", "/work-items/{id}/actions"): Case("/work-items/none/actions", {"action": "dismiss"}, found=404),
    ("GET", "/audit"): Case("/audit", whole=True),
    ("GET", "/ledger.jsonl"): Case("/ledger.jsonl", whole=True),
}  # fmt: skip
"""Everything but ``/events``, which never ends; it has a test of its own."""


@pytest.fixture
async def them(tmp_path: Path) -> AsyncIterator[Owners]:
    async with owners(tmp_path) as them:
        yield them


def at(case: Case, them: Owners, where: str) -> str:
    return case.path.format(
        site=where,
        charger=them.identity(where),
        session=them.sessions[where],
        cdr=them.sessions[where],
    )


def body(case: Case, them: Owners, where: str) -> Any:
    """The body, with the EVSE that it names filled in."""
    if isinstance(case.body, dict) and case.body.get("handle") == CHARGER:
        return {**case.body, "handle": f"{them.identity(where)}-1"}
    return case.body


def test_every_route_has_its_row() -> None:
    assert set(ROUTES) - {("GET", "/events")} == set(CASES)


async def test_nobody_gets_anything(them: Owners) -> None:
    for (method, path), case in CASES.items():
        for key in (None, "cms_operator_wrong", "nonsense"):
            status, answer = await them.ask(
                method, at(case, them, HERE), body(case, them, HERE), key=key
            )
            assert status == 401, f"{method} {path} with {key}: {status} {answer}"


async def test_a_key_without_the_right_gets_403_and_with_it_what_it_asked(them: Owners) -> None:
    keys = {right: await them.key(right.value) for right in Right}
    for (method, path), case in CASES.items():
        needed = ROUTES[method, path].right
        for right, key in keys.items():
            status, answer = await them.ask(
                method, at(case, them, HERE), body(case, them, HERE), key=key
            )
            may = right in (needed, Right.ADMIN)
            assert status == (case.found if may else 403), f"{right} {method} {path}: {answer}"


async def test_an_owner_sees_and_does_nothing_at_other_sites(them: Owners) -> None:
    rights = [right.value for right in Right]
    here, there = await them.key(*rights, sites=[HERE]), await them.key(*rights, sites=[THERE])
    for (method, path), case in CASES.items():
        address = at(case, them, HERE)
        own, _ = await them.ask(method, address, body(case, them, HERE), key=here)
        other, told = await them.ask(method, address, body(case, them, HERE), key=there)
        name = f"{method} {path}"
        if case.whole:
            assert (own, other) == (403, 403), name
        elif case.listing:
            assert (own, other) == (case.found, case.found), name
            for secret in (HERE, them.identity(HERE), them.sessions[HERE]):
                if secret != HERE or path != "/sites":
                    assert f'"{secret}"' not in str(told).replace("'", '"'), f"{name}: {told}"
        else:
            assert (own, other) == (case.found, 404), f"{name}: {told}"


async def test_lists_of_an_owner_hold_own_things(them: Owners) -> None:
    key = await them.key("read", sites=[HERE])
    _, sites = await them.ask("GET", "/sites", key=key)
    _, chargers = await them.ask("GET", "/chargers", key=key)
    _, sessions = await them.ask("GET", "/sessions", key=key)
    _, bills = await them.ask("GET", "/cdrs", key=key)
    _, sheet = await them.ask("GET", "/cdrs.csv", key=key)
    assert [each["id"] for each in sites] == [HERE]
    assert [each["site"] for each in chargers] == [HERE]
    assert (sessions["total"], [each["site"] for each in sessions["sessions"]]) == (1, [HERE])
    assert (bills["total"], [each["site"] for each in bills["cdrs"]]) == (1, [HERE])
    assert len(sheet.splitlines()) == 2
    assert (await them.ask("GET", f"/sessions?site={THERE}", key=key))[0] == 404


async def test_a_revoked_key_is_nobody_at_once(them: Owners) -> None:
    text = await them.key("read")
    assert (await them.ask("GET", "/sites", key=text))[0] == 200
    await them.done("DELETE", f"/keys/{text.split('_')[1]}")
    assert (await them.ask("GET", "/sites", key=text))[0] == 401


async def test_the_command_lines_key_cannot_be_revoked(them: Owners) -> None:
    status, answer = await them.ask("DELETE", "/keys/operator", key="operator")
    assert (status, answer["detail"]) == (403, "the command line's own key ends with the server")
