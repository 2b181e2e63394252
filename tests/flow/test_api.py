"""The API as site owners and operators use it, over HTTP, with chargers on their sockets."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import os
import stat
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import aiohttp
import pytest
from openapi_spec_validator import validate

from cms.bootstrap import running
from cms.config import ConfigError
from cms.dashboard.access import COOKIE
from cms.dashboard.api import live
from tests.flow.owners import CARD, HERE, THERE, Json, Owners, charger, owners, site, tariff
from tests.flow.product import config_of, product
from tests.harness.charger import plugged, stamp, start16, status16, stop16, values16


@pytest.fixture
async def them(tmp_path: Path) -> AsyncIterator[Owners]:
    async with owners(tmp_path) as them:
        yield them


@pytest.fixture
async def fresh(tmp_path: Path) -> AsyncIterator[Owners]:
    async with owners(tmp_path, charged=False) as them:
        yield them


# -- money


async def test_sums_are_cut_at_the_sites_midnight_and_equal_the_bills(fresh: Owners) -> None:
    # IST is UTC+05:30: 18:29:59Z is the last second of the 19th, 18:30:00Z the first of the 20th
    for began, ended, wh in (
        ("2026-11-19T17:00:00Z", "2026-11-19T18:29:59Z", 10_001),
        ("2026-11-19T17:30:00Z", "2026-11-19T18:30:00Z", 7_777),
        ("2026-11-20T10:00:00Z", "2026-11-20T11:00:00Z", 3_333),
    ):
        await fresh.charge(HERE, began=began, ended=ended, wh=wh)
    days = await fresh.done("GET", "/sums?first=2026-11-18&last=2026-11-21")
    assert [(each["site"], each["day"], each["bills"]) for each in days] == [
        (HERE, "2026-11-19", 1),
        (HERE, "2026-11-20", 2),
    ]
    bills = (await fresh.done("GET", "/cdrs"))["cdrs"]
    for day, its_bills in ((days[0], bills[2:]), (days[1], bills[:2])):
        assert day["energy_wh"] == sum(each["energy_wh"] for each in its_bills)
        for total, part in (("net", "total_net"), ("tax", "total_tax"), ("gross", "total_gross")):
            assert Decimal(day[total]) == sum(Decimal(each[part]) for each in its_bills)
    assert days[0]["gross"] == "180.02", "10.001 kWh at 18.00, taxes included"
    sheet = (await fresh.ask("GET", "/sums.csv?first=2026-11-18&last=2026-11-21", key="operator"))[
        1
    ]
    rows = list(csv.DictReader(io.StringIO(sheet)))
    assert [row["gross"] for row in rows] == [each["gross"] for each in days]


async def test_a_running_session_says_what_it_costs_so_far(fresh: Owners) -> None:
    secret = fresh.passwords[fresh.identity(HERE)]
    async with plugged(fresh.it.network, 0, secret=secret) as socket:
        began = stamp(minutes=30)
        started = await socket.call("StartTransaction", start16(CARD, 1000, began))
        transaction = started["transactionId"]
        await socket.call("MeterValues", values16(transaction, 6000, stamp(minutes=10)))
        (session,) = (await fresh.done("GET", "/sessions?running=true"))["sessions"]
        told = await fresh.done("GET", f"/sessions/{session['id']}")
        assert told["price"] == {
            "net": "76.27", "tax": "13.73", "gross": "90.00", "currency": "INR", "final": False,
        }  # fmt: skip
        await socket.call("StopTransaction", stop16(transaction, 6000, stamp(minutes=5)))
        done = await fresh.it.until_told(
            f"/sessions/{session['id']}", lambda told: told["price"] and told["price"]["final"]
        )
        assert done["price"]["gross"] == "90.00"


async def test_a_tariff_is_shown_in_the_words_in_which_it_was_put(fresh: Owners) -> None:
    weekend = {"day_of_week": [6, 7], "start_time": "18:00", "end_time": "22:00"}
    element = {"components": [{"dimension": "energy", "price": "21.00"}], "restrictions": weekend}
    body = {"id": "WE", "currency": "INR", "elements": [element]}
    shown = await fresh.done("PUT", "/tariffs/WE", body)
    assert shown["elements"][0]["restrictions"]["day_of_week"] == [6, 7]
    (kept,) = [each for each in await fresh.done("GET", "/tariffs") if each["id"] == "WE"]
    assert kept == shown


# -- lists


async def test_lists_are_paged_and_filtered(fresh: Owners) -> None:
    for hour in range(5):
        at = f"2026-11-19T0{hour}"
        await fresh.charge(HERE, began=f"{at}:00:00Z", ended=f"{at}:30:00Z", wh=1000 + hour)
    first = await fresh.done("GET", "/sessions?limit=2")
    second = await fresh.done("GET", "/sessions?limit=2&offset=2")
    assert first["total"] == 5
    energies = [each["energy_wh"] for each in first["sessions"] + second["sessions"]]
    assert energies == [1004, 1003, 1002, 1001], "newest first, no row twice"
    window = "started_from=2026-11-19T01:00:00Z&started_to=2026-11-19T03:00:00Z"
    assert (await fresh.done("GET", f"/sessions?{window}"))["total"] == 2
    assert (await fresh.done("GET", "/sessions?running=true"))["total"] == 0
    assert (await fresh.done("GET", f"/sessions?site={THERE}"))["total"] == 0
    assert (await fresh.done("GET", "/sessions?charger=cs-00000"))["total"] == 5
    assert (await fresh.done("GET", f"/sessions?id_token={CARD}"))["total"] == 5
    ended = "ended_from=2026-11-19T02:00:00Z"
    assert (await fresh.done("GET", f"/cdrs?{ended}"))["total"] == 3
    _, sheet = await fresh.ask("GET", "/sessions.csv", key="operator")
    assert [row["energy_wh"] for row in csv.DictReader(io.StringIO(sheet))] == [
        "1000", "1001", "1002", "1003", "1004",
    ]  # fmt: skip


async def test_formulas_in_exported_cells_are_inert(fresh: Owners) -> None:
    tag = "=1+1"
    secret = fresh.passwords[fresh.identity(HERE)]
    async with plugged(fresh.it.network, 0, secret=secret) as socket:
        await socket.call("StartTransaction", start16(tag, 0, stamp(minutes=9)))
    await fresh.it.until_told("/sessions", lambda told: told["total"])
    _, sheet = await fresh.ask("GET", "/sessions.csv", key="operator")
    (row,) = csv.DictReader(io.StringIO(sheet))
    assert row["id_token"] == "'=1+1"


# -- live


class Stream:
    """Server-sent events of one key, read as they come."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self._answer = answer
        self.seen: list[tuple[str, Any]] = []

    async def until(self, kind: str, timeout: float = 10) -> Json:
        """Read on until an event of *kind* comes; returns its data."""
        name = ""
        async with asyncio.timeout(timeout):
            async for line in self._answer.content:
                text = line.decode().rstrip("\n")
                if text.startswith("event: "):
                    name = text.removeprefix("event: ")
                elif text.startswith("data: "):
                    self.seen.append((name, json.loads(text.removeprefix("data: "))))
                    if name == kind:
                        data: Json = self.seen[-1][1]
                        return data
                elif text == ": live" and kind == "live":
                    return {}
        raise AssertionError(f"the stream ended before {kind}")


async def test_events_tell_of_own_sites_and_never_of_others(fresh: Owners) -> None:
    key = await fresh.key("read", sites=[HERE])
    url = f"{fresh.it.network.base}/api/v1/events"
    async with fresh.http.get(url, headers={"Authorization": f"Bearer {key}"}) as answer:
        stream = Stream(answer)
        await stream.until("live")
        await fresh.charge(THERE, began=stamp(hours=2), ended=stamp(hours=1), wh=5000)
        secret = fresh.passwords[fresh.identity(HERE)]
        async with plugged(fresh.it.network, 0, secret=secret) as socket:
            await socket.call("StatusNotification", status16("Available"))
            evse = await stream.until("evse")
        await fresh.charge(HERE, began=stamp(hours=2), ended=stamp(hours=1), wh=7000)
        session, bill = await stream.until("session"), await stream.until("bill")
    assert evse["charger"] == session["charger"] == bill["charger"] == fresh.identity(HERE)
    assert bill["energy_wh"] == 7000
    assert {data["site"] for _, data in stream.seen} == {HERE}


async def test_a_stream_ends_when_its_key_is_revoked(
    fresh: Owners, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "KEEP_OPEN_SECONDS", 0.05)
    key = await fresh.key("read")
    url = f"{fresh.it.network.base}/api/v1/events"
    async with fresh.http.get(url, headers={"Authorization": f"Bearer {key}"}) as answer:
        await Stream(answer).until("live")
        await fresh.done("DELETE", f"/keys/{key.split('_')[1]}")
        async with asyncio.timeout(5):
            await answer.content.read()  # to its end


async def test_an_open_stream_does_not_hold_up_the_stop(tmp_path: Path) -> None:
    async with aiohttp.ClientSession() as http:
        began = 0.0
        async with product(tmp_path, chargers=1) as it:
            headers = {"Authorization": f"Bearer {it.server.operator_key}"}
            answer = await http.get(f"{it.network.base}/api/v1/events", headers=headers)
            await Stream(answer).until("live")
            began = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() - began < 8
        answer.close()


# -- the page's door


async def test_a_login_opens_the_page_and_a_logout_closes_it(them: Owners) -> None:
    base = them.it.network.base
    key = await them.key("read")
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as browser:
        async with browser.get(base, allow_redirects=False) as answer:
            assert (answer.status, answer.headers["Location"]) == (303, "/login")
        async with browser.post(f"{base}/login", data={"key": "wrong"}) as answer:
            assert answer.status == 401
        planted = {"Cookie": f"{COOKIE}=planted-by-somebody"}
        async with browser.post(f"{base}/login", data={"key": key}, headers=planted) as answer:
            text = await answer.text()
            assert answer.status == 200
        cookie = browser.cookie_jar.filter_cookies(answer.url)[COOKIE]
        assert cookie.value != "planted-by-somebody"
        csrf = text.partition('name="csrf" content="')[2].partition('"')[0]
        async with browser.get(f"{base}/api/v1/sites") as answer:
            assert answer.status == 200
        async with browser.post(f"{base}/api/v1/page-link") as answer:
            assert answer.status == 401, "a cookie without its token changes nothing"
        async with browser.post(
            f"{base}/api/v1/page-link", headers={"X-CSRF-Token": csrf, "Origin": "http://evil"}
        ) as answer:
            assert answer.status == 401, "nor from a foreign origin"
        async with browser.post(
            f"{base}/api/v1/page-link", headers={"X-CSRF-Token": csrf, "Origin": base}
        ) as answer:
            assert answer.status == 200
        async with browser.post(f"{base}/logout", data={"csrf": "wrong"}) as answer:
            assert answer.status == 403
        async with browser.post(f"{base}/logout", data={"csrf": csrf}) as answer:
            assert answer.status == 200
        async with browser.get(f"{base}/api/v1/sites") as answer:
            assert answer.status == 401


async def test_the_sessions_cookie_is_out_of_scripts_reach(them: Owners) -> None:
    url = f"{them.it.network.base}{them.it.server.once()}"
    async with them.http.get(url, allow_redirects=False) as answer:
        cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie and "SameSite=Lax" in cookie
    async with them.http.get(url, allow_redirects=False) as answer:
        assert answer.status == 401, "the link works once"


async def test_guessing_keys_is_slowed_down(them: Owners) -> None:
    statuses = []
    for _ in range(11):
        url = f"{them.it.network.base}/login"
        async with them.http.post(url, data={"key": "guess"}) as answer:
            statuses.append(answer.status)
    assert statuses == [401] * 10 + [429]


# -- what is kept of changes


async def test_every_change_leaves_its_audit_row(fresh: Owners) -> None:
    operator: Json = {"key": "operator", "headers": {"X-Reason": "because"}}
    await fresh.ask("PUT", "/sites/NEW", site("NEW"), **operator)
    await fresh.ask("PUT", "/chargers/X", charger("X", "NEW"), **operator)
    await fresh.ask("POST", "/chargers/X/approval", {"approval": "rejected"}, **operator)
    await fresh.ask("POST", "/chargers/X/password", {}, **operator)
    await fresh.ask("PUT", "/tariffs/T", tariff("T"), **operator)
    await fresh.ask("PUT", "/tariffs/T", tariff("T", "20.00"), **operator)
    await fresh.ask("PUT", "/tariff-rules/R", {"id": "R", "tariff": "T"}, **operator)
    await fresh.ask("DELETE", "/tariff-rules/R", **operator)
    await fresh.ask("DELETE", "/tariffs/T", **operator)
    await fresh.ask("PUT", "/tokens/T", {"uid": "T"}, **operator)
    _, drawn = await fresh.ask("POST", "/keys", {"name": "k", "rights": ["read"]}, **operator)
    await fresh.ask("DELETE", f"/keys/{drawn['id']}", **operator)
    rows = [
        row
        for row in await fresh.done("GET", "/audit?limit=500")
        if row["who"] == "key:operator" and row["reason"] == "because"
    ]
    assert [(row["what"], row["subject"]) for row in reversed(rows)] == [
        ("location.added", "location:NEW"),
        ("charger.added", "charger:X"),
        ("charger.password_changed", "charger:X"),
        ("charger.changed", "charger:X"),
        ("charger.password_changed", "charger:X"),
        ("tariff.added", "tariff:T"),
        ("tariff.changed", "tariff:T"),
        ("tariff_rule.added", "tariff_rule:R"),
        ("tariff_rule.removed", "tariff_rule:R"),
        ("tariff.removed", "tariff:T"),
        ("token.added", "token:own:T"),
        ("api_key.added", f"api_key:{drawn['id']}"),
        ("api_key.changed", f"api_key:{drawn['id']}"),
    ]
    changed = next(row for row in rows if row["what"] == "tariff.changed")
    assert '"price": "18"' in json.dumps(changed["before"])
    assert '"price": "20"' in json.dumps(changed["after"])
    assert drawn["key"].split("_", 2)[2] not in json.dumps(rows), "no secret in the audit"


async def test_every_command_leaves_its_audit_row_and_its_outcome(fresh: Owners) -> None:
    id = fresh.identity(HERE)
    async with plugged(fresh.it.network, 0, secret=fresh.passwords[id]) as socket:
        await socket.call("StatusNotification", status16("Available"))
        socket.answers["Reset"] = {"status": "Rejected"}
        reset = await fresh.done("POST", f"/chargers/{id}/reset", {"kind": "hard"})
        started = await fresh.done("POST", f"/evses/{id}-1/start", {"token": CARD})
    assert (reset["outcome"], started["outcome"]) == ("rejected", "accepted")
    rows = await fresh.done("GET", "/audit")
    whats = {row["subject"]: row["what"] for row in rows}
    assert whats[f"command:{reset['command']}"] == "command.reset_hard"
    assert whats[f"command:{started['command']}"] == "command.remote_start"


async def test_what_the_file_defines_is_read_only(tmp_path: Path) -> None:
    rule = {"id": "R", "tariff": "DC-18"}
    async with (
        product(tmp_path, chargers=1, tariff_rules=[rule]) as it,
        aiohttp.ClientSession() as http,
    ):
        them = Owners(it, http)
        id = it.network.identity(0)
        for method, path, body in (
            ("PUT", "/sites/SITE-0", site("SITE-0")),
            ("PUT", f"/chargers/{id}", charger(id, "SITE-0")),
            ("POST", f"/chargers/{id}/approval", {"approval": "removed"}),
            ("POST", f"/chargers/{id}/password", {}),
            ("PUT", "/tariffs/DC-18", tariff("DC-18")),
            ("DELETE", "/tariffs/DC-18", None),
            ("PUT", "/tariff-rules/R", rule | {"location": "SITE-0"}),
            ("DELETE", "/tariff-rules/R", None),
            ("PUT", "/tokens/TAG-00000", {"uid": "TAG-00000", "valid": False}),
        ):  # fmt: skip
            status, answer = await them.ask(method, path, body, key="operator")
            assert status == 403, f"{method} {path}: {status} {answer}"
            assert "defined by the config file" in answer["detail"]


async def test_what_leaves_the_file_is_taken_back(tmp_path: Path) -> None:
    rule = {"id": "R", "tariff": "DC-18"}
    async with product(tmp_path, chargers=1, tariff_rules=[rule]) as it:
        assert len(await it.api.get("/tariff-rules")) == 1
    async with product(tmp_path, chargers=0, tariffs=[], tokens=[]) as it:
        assert await it.api.get("/tariff-rules") == []
        (token,) = (await it.api.get("/tokens"))["tokens"]
        assert (token["uid"], token["valid"]) == ("TAG-00000", False)
        assert [each["approval"] for each in await it.api.get("/chargers")] == ["removed"]


# -- work and the case file


async def test_an_unknown_tag_is_work_that_can_be_assigned(fresh: Owners) -> None:
    id = fresh.identity(HERE)
    async with plugged(fresh.it.network, 0, secret=fresh.passwords[id]) as socket:
        started = await socket.call("StartTransaction", start16("GHOST", 0, stamp(hours=2)))
        transaction = started["transactionId"]
        await socket.call("StopTransaction", stop16(transaction, 4000, stamp(hours=1)))
    item = await fresh.it.work("unknown_token")
    owner = await fresh.key("operate", sites=[THERE])
    assert (await fresh.ask("GET", "/work-items", key=owner))[1] == []
    action: Json = {"action": "join", "target": "nothing"}
    path = f"/work-items/{item['id']}/actions"
    assert (await fresh.ask("POST", path, action, key=owner))[0] == 404
    assert (await fresh.ask("POST", path, action, key="operator"))[0] == 409
    closed = await fresh.done("POST", path, {"action": "assign", "target": f"own:{CARD}"})
    assert (closed["action"], closed["closed_by"]) == ("assign", "key:operator")
    assert await fresh.done("GET", "/work-items") == []
    everything = await fresh.done("GET", "/work-items?open=false")
    assert [each["id"] for each in everything] == [item["id"]]


async def test_any_handle_leads_to_the_story(fresh: Owners) -> None:
    id = fresh.identity(HERE)
    async with plugged(fresh.it.network, 0, secret=fresh.passwords[id]) as socket:
        await socket.call("StatusNotification", status16("Available"))
        command = await fresh.done("POST", f"/evses/{id}-1/start", {"token": CARD})
        tag = (await socket.called("RemoteStartTransaction"))["idTag"]
        began = datetime.now(UTC)
        started = await socket.call("StartTransaction", start16(tag, 0, stamp()))
        transaction = started["transactionId"]
        await socket.call("MeterValues", values16(transaction, 0, stamp()))
        await socket.call("StopTransaction", stop16(transaction, 0, stamp()))
    told = await fresh.it.until_told("/sessions", lambda told: told["total"])
    session = told["sessions"][0]["id"]
    local = began.astimezone(ZoneInfo("Asia/Kolkata"))
    for handle in (
        session,
        command["command"],
        tag,
        f"{id}@{local:%Y-%m-%dT%H:%M:%S}",
        f"{id.lower()}@{began.isoformat().replace('+', '%2B')}",
    ):
        stories = await fresh.done("GET", f"/explain?handle={handle}")
        assert session in [each["session"]["id"] for each in stories], handle
    story = await fresh.done("GET", f"/sessions/{session}/timeline")
    kinds = [step["kind"] for step in story["steps"]]
    assert kinds.index("command") < kinds.index("frame")
    assert story["time_zone"] == "Asia/Kolkata"
    assert [step["at"] for step in story["steps"]] == sorted(step["at"] for step in story["steps"])
    for handle, status in (("nothing", 404), (f"{id}@yesterday", 400), ("NOBODY@2026-11-20", 404)):
        assert (await fresh.ask("GET", f"/explain?handle={handle}", key="operator"))[0] == status


async def test_a_case_file_has_the_bill_and_its_price_lines(them: Owners) -> None:
    session = them.sessions[HERE]
    story = await them.done("GET", f"/sessions/{session}/timeline")
    lines = [step["title"] for step in story["steps"] if step["kind"] == "price"]
    assert any("= gross 180" in line for line in lines), lines
    other = them.sessions[THERE]
    raws = [step["detail"].get("raw", "") for step in story["steps"]]
    assert not any(other in raw for raw in raws)


# -- bad input


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "field"),
    [
        ("GET", "/sessions?limit=0", None, 400, "limit"),
        ("GET", "/sessions?colour=red", None, 400, "colour"),
        ("GET", "/sessions?started_from=2026-01-01T00:00:00", None, 400, "started_from"),
        ("GET", "/sums?first=2026-11-22&last=2026-11-21", None, 400, "last"),
        ("GET", "/sums?first=0001-01-01&last=9999-12-31", None, 400, "first"),
        ("GET", "/cdrs/%00", None, 400, "id"),
        ("GET", "/explain?handle=%00", None, 400, "handle"),
        ("GET", "/nowhere", None, 404, None),
        ("PATCH", "/sites", None, 405, None),
        ("PUT", "/tokens/A", {"uid": "B"}, 400, "uid"),
        ("PUT", "/tokens/A", [1], 400, "(all of it)"),
        ("PUT", "/tokens/A", {"uid": "A", "partner": "IN*EMS"}, 400, "partner"),
        ("PUT", "/chargers/X", charger("X", "NOWHERE"), 400, "location"),
        ("PUT", "/tariff-rules/R", {"id": "R", "tariff": "NONE"}, 400, "tariff"),
        ("PUT", "/tariff-rules/R", {"id": "R", "tariff": "SHELF", "evse": "NONE"}, 400, "evse"),
        ("POST", "/keys", {"name": "k", "rights": ["read"], "sites": ["NONE"]}, 400, "sites"),
        ("POST", "/keys", {"name": "k", "rights": ["read"], "expires_at": "2020-01-01T00:00:00Z"}, 400, "expires_at"),
        ("POST", "/evses/CS-00000-1/start", {"token": "NONE"}, 400, "token"),
        ("POST", "/evses/CS-00000-1/unlock", {"connector": 9}, 400, "connector"),
        ("POST", "/chargers/CS-00000/trigger", {"wanted": "status", "evse": 9}, 400, "evse"),
        ("POST", "/partners", {"id": "EMS", "name": "x"}, 400, "id"),
        ("POST", "/partners", {"id": "IN*EMS", "name": "x", "url": "http://x"}, 400, "url"),
        ("DELETE", "/tariffs/SHELF", None, 409, None),
    ],
)  # fmt: skip
async def test_bad_input_is_told_by_field_and_reason(
    fresh: Owners, method: str, path: str, body: Any, status: int, field: str | None
) -> None:
    got, answer = await fresh.ask(method, path, body, key="operator")
    assert (got, answer.get("field")) == (status, field), answer
    assert answer["status"] == status and answer["detail"]
    assert "Traceback" not in answer["detail"] and "pydantic" not in answer["detail"]


@pytest.mark.parametrize(
    ("raw", "status"),
    [(b"{bad", 400), (b"\xff\xfe", 400), (b"[" * 100_000, 400), (b"x" * 2_000_000, 413)],
    ids=["no JSON", "no text", "too deep", "too large"],
)
async def test_a_body_that_is_none_costs_nothing(fresh: Owners, raw: bytes, status: int) -> None:
    got, answer = await fresh.ask("PUT", "/tokens/A", key="operator", raw=raw)
    assert (got, answer["status"]) == (status, status)


# -- around it


async def test_the_document_is_served_to_anybody_and_valid(fresh: Owners) -> None:
    status, told = await fresh.ask("GET", "/openapi.json")
    assert status == 200
    validate(told)


async def test_health_readiness_and_figures(them: Owners) -> None:
    base = them.it.network.base
    for path in ("/healthz", "/readyz"):
        async with them.http.get(base + path) as answer:
            assert answer.status == 200
    async with them.http.get(f"{base}/metrics") as answer:
        figures = await answer.text()
    for line in (
        "cms_store_up 1.0",
        "cms_task_deaths_total 0.0",
        'cms_work_items_open{type="withheld_bill"} 0.0',
        "cms_sessions_open 0.0",
    ):
        assert line in figures.splitlines(), line
    for name in (
        "cms_messages_total", "cms_store_groups_total", "cms_gc_pause_seconds_max",
        "cms_loop_stall_seconds_max",
    ):  # fmt: skip
        (line,) = [each for each in figures.splitlines() if each.startswith(f"{name} ")]
        assert float(line.split()[1]) > 0 or "seconds_max" in name, line


async def test_a_refused_handshake_is_shown_and_counted(fresh: Owners) -> None:
    with pytest.raises(Exception, match="401"):
        async with plugged(fresh.it.network, 0, secret="wrong-wrong-wrong-wrong"):
            pass
    (refused,) = await fresh.done("GET", "/refused-handshakes")
    assert (refused["identity"], refused["reason"]) == (fresh.identity(HERE), "401 wrong password")
    async with fresh.http.get(f"{fresh.it.network.base}/metrics") as answer:
        assert 'cms_handshakes_refused_total{reason="wrong password"} 1.0' in await answer.text()


async def test_the_operator_file_is_private_and_goes_with_the_server(tmp_path: Path) -> None:
    async with product(tmp_path, chargers=1) as it:
        file = it.network.operator_file
        assert stat.S_IMODE(os.stat(file).st_mode) == 0o600
        told = json.loads(file.read_text())
        assert told == {"url": it.network.base, "key": it.server.operator_key}
    assert not file.exists()


async def test_a_server_that_cannot_start_leaves_the_others_file_alone(tmp_path: Path) -> None:
    async with product(tmp_path, chargers=1) as it:
        config = config_of(it.network)
        other = config.model_copy(
            update={
                "database": config.database.model_copy(update={"url": f"sqlite:///{tmp_path}/b.db"})
            }
        )
        with pytest.raises(ConfigError, match=r"http\.port: port \d+ is in use"):
            async with running(other):
                pass
        assert it.network.operator_file.exists()
