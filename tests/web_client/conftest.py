"""Fixtures for the page's tests: one browser, and one server of each kind, for all of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Playwright, expect, sync_playwright

from tests.web_client.browsing import CHROMIUM, WAIT_MS, launched, serving


@pytest.fixture(scope="session")
def stage() -> Iterator[Playwright]:
    """What starts browsers."""
    if CHROMIUM is None:
        pytest.skip("Chromium is missing (apt install chromium)")
    expect.set_options(timeout=WAIT_MS)
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="session")
def browser(stage: Playwright) -> Iterator[Browser]:
    browser = launched(stage)
    yield browser
    browser.close()


@pytest.fixture(scope="session")
def tone_port(browser: Browser) -> Iterator[int]:
    """The tone model, no further ahead of the listener than 600 ms: what is not fetched in time is missed."""
    with serving("--model", "tone", "--lead-ms", "600") as server:
        yield server.port


@pytest.fixture(scope="session")
def espeak_port(browser: Browser) -> Iterator[int]:
    with serving("--model", "espeak") as server:
        yield server.port
