"""Logs without secrets, figures read from their owners."""

from __future__ import annotations

import json
import logging
from collections import Counter

import pytest
import structlog
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


def test_no_secret_reaches_a_log_line(capsys: pytest.CaptureFixture[str]) -> None:
    SECRETS.add("a-secret-of-this-test")
    observability.configure("info", "json")
    try:
        log = structlog.get_logger("test")
        try:
            raise ValueError("token a-secret-of-this-test is wrong")
        except ValueError:
            log.exception("it.failed", key="a-secret-of-this-test", header="Basic dXNlcjpwYXNz")
        logging.getLogger("library").warning("Authorization: Token YS1mb3JlaWduLXRva2Vu")
    finally:
        structlog.reset_defaults()
        logging.basicConfig(level=logging.WARNING, handlers=[], force=True)
    text = capsys.readouterr().err
    assert json.loads(text.splitlines()[0])["event"] == "it.failed"
    for secret in ("a-secret-of-this-test", "dXNlcjpwYXNz", "YS1mb3JlaWduLXRva2Vu"):
        assert secret not in text


def test_figures_are_read_when_somebody_looks() -> None:
    metrics, repairs = Metrics(), Counter({"Q-073": 2})
    metrics.counter("cms_repairs", "Repairs", lambda: dict(repairs), "code")
    metrics.gauge("cms_stations_online", "Online", lambda: 3)
    repairs["Q-073"] += 1
    text = generate_latest(metrics.registry).decode()
    assert 'cms_repairs_total{code="Q-073"} 3.0' in text
    assert "cms_stations_online 3.0" in text
