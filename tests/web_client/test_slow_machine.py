"""A machine slower than real time, in real Chromium: what waits, what is said of it, and what sounds."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import pytest
from playwright.sync_api import Browser, expect

from models.tone import locate_tone
from tests.web_client.browsing import Visit, serving

RTF = 1.7
SLOWED = f"""
import time
from models.tone import ToneModel
submit = ToneModel.submit
def slowed(model, slots):
    time.sleep({RTF} * 0.16 * len(slots))
    return submit(model, slots)
ToneModel.submit = slowed
"""
TEXT = "It is slow, and it says so. Then it speaks."
"""43 code points: 3.01 s of tone."""
ALL_HEARD = "state.utterances.length && state.utterances.every((one) => one.over)"


@pytest.fixture(scope="module")
def slow_url(browser: Browser) -> Iterator[str]:
    with serving("--model", "tone", "--engine", "inprocess", before=SLOWED) as server:
        yield f"http://127.0.0.1:{server.port}/?record=1"


def test_speech_waits_until_the_rest_plays_without_a_gap(browser: Browser, slow_url: str) -> None:
    with Visit(browser, slow_url) as visit:
        visit.ready().paste(TEXT)
        visit.click("Speak")
        visit.until("state.status === 'statusBuffering' && state.position.wait.share > 0.2")
        expect(visit.page.get_by_role("status").first).to_have_text("Buffering")
        expect(visit.page.locator("#wait-text")).to_have_text(re.compile(r"About \d s until it can play without a gap"))
        assert 0 < visit.page.get_by_role("progressbar").evaluate("bar => bar.value") < 1
        assert visit.state()["heard"] is None
        visit.until("state.heard?.ticks > 0")
        expect(visit.page.locator("#wait")).to_be_hidden()
        assert visit.state()["utterances"][0]["reason"] is None, "it begins before all of it is made"
        visit.until(ALL_HEARD)
        state, tape = visit.state(), visit.tape()
        assert state["position"]["underruns"] == 0
        assert len(tape.runs) == 1, "one stretch of sound"
        seed, index = locate_tone((tape.played()[:4096] * 32768).astype(np.int16))
        assert index == 0
        tape.assert_tone(seed)


def test_who_does_not_want_to_wait_hears_it_with_pauses(browser: Browser, slow_url: str) -> None:
    with Visit(browser, slow_url) as visit:
        visit.ready().paste(TEXT)
        visit.click("Speak")
        visit.until("state.status === 'statusBuffering' && state.position.buffered > 0")
        visit.click("Play now anyway")
        visit.until("state.heard?.ticks > 0")
        assert visit.state()["utterances"][0]["ticks"] < 1.5 * 44100
        visit.until("state.status === 'statusBuffering'")
        expect(visit.page.get_by_role("button", name="Play now anyway")).to_be_visible()
        visit.until(ALL_HEARD)
        tape = visit.tape()
        assert len(tape.played()) == visit.state()["utterances"][0]["ticks"]
        assert len(tape.runs) > 1


def test_a_long_wait_is_told_in_minutes(browser: Browser, slow_url: str) -> None:
    with Visit(browser, slow_url) as visit:
        visit.ready().paste(TEXT * 100)
        visit.click("Speak")
        expect(visit.page.locator("#wait-text")).to_have_text(re.compile(r"About [3-9] min until it can play"))
        visit.click("Stop")
        expect(visit.page.locator("#wait")).to_be_hidden()
