"""The page in a real browser: a person looks at the live network."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, async_playwright, expect

from tests.flow.owners import CARD, HERE, THERE, Owners, owners, site
from tests.harness.charger import plugged, stamp, start16, status16, stop16, values16
from tests.services import unavailable

CHROMIUM = Path("/usr/bin/chromium")
IS_THERE = CHROMIUM.exists()
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync"
).split()

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    if not IS_THERE:
        unavailable("Chromium is not installed")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield browser
        await browser.close()


@pytest.fixture
async def them(tmp_path: Path) -> AsyncIterator[Owners]:
    async with owners(tmp_path) as them:
        yield them


async def opened(browser: Browser, them: Owners, path: str, complaints: list[str]) -> Page:
    """Open *path*; what the page complains of goes to *complaints*."""
    page = await (await browser.new_context()).new_page()
    page.set_default_timeout(10_000)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda told: complaints.append(told.text) if told.type == "error" else None)
    expect.set_options(timeout=20_000)  # the machine may be busy; what never comes still fails
    await page.goto(them.it.network.base + path)
    return page


async def test_the_page_shows_the_network_as_it_changes(browser: Browser, them: Owners) -> None:
    complaints: list[str] = []
    page = await opened(browser, them, them.it.server.once(), complaints)
    await expect(page.locator("#link")).to_have_text("live")
    await expect(page.locator(".site h3")).to_have_text(["Site HERE", "Site THERE"])
    await expect(page.locator("#bills tbody tr")).to_have_count(2)
    tile = page.locator(".evse", has_text=f"{them.identity(HERE)}-1")
    async with plugged(them.it.network, 0, secret=them.passwords[them.identity(HERE)]) as socket:
        await socket.call("StatusNotification", status16("Available"))
        await expect(tile.locator("span")).to_have_text("available")
        started = await socket.call("StartTransaction", start16(CARD, 0, stamp(minutes=9)))
        transaction = started["transactionId"]
        await socket.call("StatusNotification", status16("Charging"))
        row = page.locator("#sessions tbody tr")
        await expect(row).to_have_count(1)
        for wh, text in ((1234, "1.234"), (2345, "2.345")):
            await socket.call("MeterValues", values16(transaction, wh, stamp()))
            await expect(row.locator("td.strong")).to_have_text(text)
        await expect(tile).to_contain_text("2.345 kWh")
        await row.get_by_role("button", name="Stop").click()
        asked = await socket.called("RemoteStopTransaction")
        assert asked["transactionId"] == transaction
        await socket.call("StopTransaction", stop16(transaction, 2345, stamp()))
        await expect(page.locator("#bills tbody tr")).to_have_count(3)
        await expect(row).to_have_count(0)
    await expect(page.locator("#bills tbody tr").first).to_contain_text("42.21 INR")
    assert complaints == []


async def test_an_owner_looks_and_cannot_touch(browser: Browser, them: Owners) -> None:
    complaints: list[str] = []
    key = await them.key("read", sites=[THERE])
    page = await opened(browser, them, "/login", complaints)
    await page.get_by_label("API key").fill("wrong")
    await page.get_by_role("button", name="Log in").click()
    await expect(page.get_by_role("alert")).to_contain_text("not valid")
    await page.get_by_label("API key").fill(key)
    await page.get_by_role("button", name="Log in").click()
    await expect(page.locator(".site h3")).to_have_text(["Site THERE"])
    secret = them.passwords[them.identity(THERE)]
    async with plugged(them.it.network, 1, secret=secret) as socket:
        await socket.call("StartTransaction", start16(CARD, 0, stamp(minutes=9)))
        await expect(page.locator("#sessions tbody tr")).to_have_count(1)
    await expect(page.get_by_role("button", name="Stop")).to_have_count(0)
    assert them.identity(HERE) not in await page.content()
    await page.get_by_role("button", name="Log out").click()
    await expect(page).to_have_url(f"{them.it.network.base}/login")
    await page.goto(them.it.network.base)
    await expect(page).to_have_url(f"{them.it.network.base}/login")


async def test_markup_in_names_stays_text(browser: Browser, them: Owners) -> None:
    complaints: list[str] = []
    name = "<img src=x onerror=alert(1)><b>Site</b>"
    await them.done("PUT", f"/sites/{HERE}", site(HERE, name=name))
    page = await opened(browser, them, them.it.server.once(), complaints)
    await expect(page.locator(".site h3").first).to_have_text(name)
    assert complaints == []
