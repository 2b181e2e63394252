"""Who may look: keys, page sessions, one-time links. Memory only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from cms.app.administration import Administration
from cms.dashboard import access as access_module
from cms.dashboard.access import (
    COOKIE,
    CSRF_HEADER,
    ONCE_SECONDS,
    SESSION_SECONDS,
    Access,
    PageSession,
)
from cms.domain.ids import LocationId
from cms.domain.partner import ApiKey, Right

KEY = ApiKey("7", "owner", b"", b"", frozenset({Right.READ}), frozenset({LocationId("S")}))


class OneKey:
    """An administration that knows one key, ``secret``, until it is revoked."""

    def __init__(self) -> None:
        self.revoked = False

    def holder_of(self, text: str) -> ApiKey | None:
        return None if self.revoked or text != "secret" else KEY

    def key(self, id: str) -> ApiKey | None:
        return None if self.revoked or id != KEY.id else KEY


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    clock = Clock()
    monkeypatch.setattr(access_module, "monotonic", clock)
    yield clock


@pytest.fixture
def keys() -> OneKey:
    return OneKey()


@pytest.fixture
def access(keys: OneKey, clock: Clock) -> Access:
    return Access(cast(Administration, keys))


def asked(method: str = "GET", **headers: str) -> web.Request:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return make_mocked_request(method, "/", headers={"Host": "cpo.example", **given})


def with_cookie(session: PageSession, method: str = "GET", **headers: str) -> web.Request:
    return asked(method, Cookie=f"{COOKIE}={session.id}", **headers)


def logged_in(access: Access) -> PageSession:
    session = access.login("secret", "1.2.3.4")
    assert session is not None
    return session


def test_a_key_in_the_header_is_enough(access: Access) -> None:
    caller = access.caller(asked(Authorization="Bearer secret"))
    assert caller is not None and caller.who == "key:7"


@pytest.mark.parametrize("header", ["Bearer wrong", "Bearer", "Basic secret", "secret", ""])
def test_anything_else_in_the_header_is_nobody(access: Access, header: str) -> None:
    assert access.caller(asked(Authorization=header)) is None


def test_a_wrong_key_beside_a_good_cookie_is_nobody(access: Access) -> None:
    session = logged_in(access)
    assert access.caller(with_cookie(session, Authorization="Bearer wrong")) is None


def test_a_cookie_alone_reads_and_changes_nothing(access: Access) -> None:
    session = logged_in(access)
    assert access.caller(with_cookie(session)) is not None
    assert access.caller(with_cookie(session, "POST")) is None


def test_a_change_needs_the_csrf_token_of_this_very_session(access: Access) -> None:
    one, other = logged_in(access), logged_in(access)
    token = {CSRF_HEADER: one.csrf}
    assert access.caller(with_cookie(one, "POST", **token)) is not None
    assert access.caller(with_cookie(other, "POST", **token)) is None


@pytest.mark.parametrize(
    ("origin", "heard"),
    [
        ("https://cpo.example", True),
        ("https://evil.example", False),
        ("null", False),
        ("https://cpo.example.evil.example", False),
    ],
)
def test_a_change_from_a_foreign_origin_is_nobodys(
    access: Access, origin: str, heard: bool
) -> None:
    session = logged_in(access)
    request = with_cookie(session, "POST", **{CSRF_HEADER: session.csrf, "Origin": origin})
    assert (access.caller(request) is not None) == heard


def test_every_login_gets_a_new_session_whatever_cookie_came(access: Access) -> None:
    assert logged_in(access).id != logged_in(access).id


def test_an_invented_session_is_none(access: Access) -> None:
    invented = PageSession("fixed-by-somebody", "x", KEY.id, 1e9)
    assert access.caller(with_cookie(invented)) is None


def test_a_session_ends_with_its_time_its_logout_and_its_key(
    access: Access, keys: OneKey, clock: Clock
) -> None:
    one, other = logged_in(access), logged_in(access)
    access.close_session(with_cookie(one))
    assert access.caller(with_cookie(one)) is None
    assert access.caller(with_cookie(other)) is not None
    keys.revoked = True
    assert access.caller(with_cookie(other)) is None
    keys.revoked = False
    clock.now += SESSION_SECONDS + 1
    assert access.caller(with_cookie(other)) is None


def test_a_one_time_link_works_once(access: Access) -> None:
    token = access.once(KEY)
    assert access.login_once(token, "1.2.3.4") is not None
    assert access.login_once(token, "1.2.3.4") is None


def test_a_one_time_link_ends_after_a_quarter_of_an_hour(access: Access, clock: Clock) -> None:
    token = access.once(KEY)
    clock.now += ONCE_SECONDS + 1
    assert access.login_once(token, "1.2.3.4") is None


def test_an_address_may_try_ten_times_a_minute(access: Access, clock: Clock) -> None:
    for _ in range(10):
        assert access.login("wrong", "1.2.3.4") is None
    with pytest.raises(web.HTTPTooManyRequests):
        access.login("secret", "1.2.3.4")
    assert access.login("secret", "5.6.7.8") is not None, "another address is not concerned"
    clock.now += 61
    assert access.login("secret", "1.2.3.4") is not None


def test_a_caller_sees_own_sites_and_never_what_has_none(access: Access) -> None:
    caller = access.caller(asked(Authorization="Bearer secret"))
    assert caller is not None
    assert caller.sees(LocationId("S"))
    assert not caller.sees(LocationId("T"))
    assert not caller.sees(None)


def test_admin_may_everything_and_read_only_reads(access: Access) -> None:
    caller = access.caller(asked(Authorization="Bearer secret"))
    assert caller is not None
    assert [right for right in Right if caller.may(right)] == [Right.READ]
