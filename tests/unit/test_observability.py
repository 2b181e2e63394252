"""Logs without secrets, figures read from their owners."""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import time
from collections import Counter
from collections.abc import Sequence
from random import Random

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import generate_latest

from cms import observability
from cms.observability import SECRETS, Metrics, Secrets


def test_a_secret_is_found_wherever_it_hides() -> None:
    secrets = Secrets()
    secrets.add("hunter2-hunter2", None, "")
    value = {"url": "https://x/?t=hunter2-hunter2", "deep": [b"hunter2-hunter2", {"k": 7}]}
    assert secrets.scrub(value) == {"url": "https://x/?t=[secret]", "deep": ["[secret]", {"k": 7}]}


def test_short_texts_are_no_secrets() -> None:
    secrets = Secrets()
    secrets.add("abc")
    assert secrets.redact("abc") == "abc"


def test_of_two_secrets_the_longer_is_blacked_out_whole() -> None:
    secrets = Secrets()
    secrets.add("secret-one", "secret-one-and-two")
    assert secrets.redact("secret-one-and-two") == "[secret]"


CANARY = "canary-Zm9v/b4r+_~.42"
ODD = 'p\u00e4ss "w]o^r\\d'


@pytest.mark.parametrize("secret", [CANARY, ODD])
@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "https://partner.example/versions?token={}&limit=5",
        "https://partner.example/ocpi/{}/cdrs",
        "postgresql://cms:{}@db.example:5432/cms",
        "Authorization: Token {}",
        "X-Key={};path=/",
        '{"password":"{}","n":1}',
        "ValueError: invalid literal for int() with base 10: '{}'",
        "user:{}",
        "token={}",
        "{}.{}",
        "glued{}together",
        "k\u00e9y\n{}\x00",
    ],
)
def test_a_secret_is_found_whatever_stands_before_and_after_it(secret: str, text: str) -> None:
    secrets = Secrets()
    secrets.add(secret)
    said = text.replace("{}", secret)
    assert secrets.redact(said) == said.replace(secret, "[secret]")


def test_secrets_that_overlap_leave_nothing_of_either() -> None:
    secrets = Secrets()
    secrets.add("first-and-second", "second-and-third")
    assert secrets.redact("x first-and-second-and-third y") == "x [secret] y"


def test_what_only_begins_like_a_secret_stays() -> None:
    secrets = Secrets()
    secrets.add("charger-password-1", "charger-password-22")
    assert secrets.redact("charger-password-2") == "charger-password-2"
    assert secrets.redact("charger-password-12") == "[secret]2"


def _outside(text: str, secrets: Sequence[str]) -> str:
    """What of *text* lies in no secret, found the slow and simple way."""
    inside = {
        at + offset
        for secret in secrets
        for at in range(len(text))
        if text.startswith(secret, at)
        for offset in range(len(secret))
    }
    return "".join(each for at, each in enumerate(text) if at not in inside)


@given(
    st.lists(st.text("ab-", min_size=8, max_size=11), max_size=6),
    st.lists(st.text("ab-c", max_size=9), max_size=6),
    st.randoms(use_true_random=False),
)
def test_exactly_what_lies_in_a_secret_is_taken_out(
    known: list[str], between: list[str], order: Random
) -> None:
    pieces = known + between
    order.shuffle(pieces)
    text = "".join(pieces)
    secrets = Secrets()
    for each in known:
        secrets.add(each)
    assert secrets.redact(text).replace("[secret]", "") == _outside(text, known)


def test_a_hundred_thousand_secrets_cost_a_line_no_more_than_ten() -> None:
    line = (
        '{"event": "push.failed", "url": "https://partner.example/ocpi/2.2.1/cdrs/IN/CPO/8f14e45f",'
        ' "exception": "Traceback (most recent call last): connection refused", "secret": "%s"}'
    )

    def password(number: int) -> str:
        return hashlib.sha256(b"%d" % number).hexdigest()[:32]

    def seconds(number: int) -> float:
        """The least of many, so that a busy machine does not count."""
        secrets = Secrets()
        secrets.add(*map(password, range(number)))
        said, least = line % password(7), 1.0
        assert "[secret]" in secrets.redact(said)
        for _ in range(200):
            began = time.perf_counter()
            secrets.redact(said)
            least = min(least, time.perf_counter() - began)
        return least

    assert seconds(100_000) < 10 * seconds(10)


def test_no_secret_reaches_a_log_line(capsys: pytest.CaptureFixture[str]) -> None:
    SECRETS.add("a-secret-of-this-test")
    basic = base64.b64encode(b"CS-1:a-secret-of-this-test").decode()
    observability.configure("info", "json")
    try:
        log = structlog.get_logger("test")
        try:
            raise ValueError("token a-secret-of-this-test is wrong")
        except ValueError:
            log.exception("it.failed", key="a-secret-of-this-test", header="Basic dXNlcjpwYXNz")
        log.warning("it.asked", request=f"GET /x\r\nAuthorization: Basic {basic}\r\n")
        logging.getLogger("library").warning("Authorization: Token YS1mb3JlaWduLXRva2Vu")
        logging.getLogger("library").warning("GET https://x/a-secret-of-this-test/y")
    finally:
        structlog.reset_defaults()
        logging.basicConfig(level=logging.WARNING, handlers=[], force=True)
    text = capsys.readouterr().err
    assert json.loads(text.splitlines()[0])["event"] == "it.failed"
    for secret in ("a-secret-of-this-test", "dXNlcjpwYXNz", "YS1mb3JlaWduLXRva2Vu", basic):
        assert secret not in text


def test_figures_are_read_when_somebody_looks() -> None:
    metrics, repairs = Metrics(), Counter({"Q-073": 2})
    metrics.counter("cms_repairs", "Repairs", lambda: dict(repairs), "code")
    metrics.gauge("cms_stations_online", "Online", lambda: 3)
    repairs["Q-073"] += 1
    text = generate_latest(metrics.registry).decode()
    assert 'cms_repairs_total{code="Q-073"} 3.0' in text
    assert "cms_stations_online 3.0" in text
