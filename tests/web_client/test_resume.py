"""What is heard in Chromium when its connection is lost: every sample once, and no word about it while it sounds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import numpy as np
import pytest
from playwright.sync_api import Browser, expect

from models.tone import tone_samples
from tests.web_client.bad_link import BadLink, bad_link
from tests.web_client.browsing import Tape, Visit, serving
from tests.web_client.test_sound import seed_of

TEXT = "The quick brown fox jumps over the lazy dog, and rests."
"""55 code points: 3.85 s of tone."""
ALL_HEARD = "state.utterances.length && state.utterances.every((one) => one.over)"
TOLERATED = ("WebSocket connection to", "ERR_CONNECTION", "Failed to load resource")
WATCH_STATUS = """
    window.seen = [];
    addEventListener("DOMContentLoaded", () => {
        const note = () => seen.push(document.querySelector("#status").textContent);
        new MutationObserver(note).observe(document.querySelector("#status"), { childList: true, subtree: true });
    });
"""


@pytest.fixture
def link(tone_port: int) -> Iterator[BadLink]:
    with bad_link(tone_port) as link:
        yield link


def heard_once(visit: Visit) -> Tape:
    """What sounded, every sample of it once."""
    tape, state = visit.tape(), visit.state()
    tape.assert_tone(seed_of(tape.played()))
    (utterance,) = state["utterances"]
    assert utterance["reason"] == "end"
    assert utterance["restarts"] == 0
    assert len(tape.played()) == utterance["ticks"] >= 50 * 3087
    return tape


def cut(visit: Visit, link: BadLink) -> None:
    """Resets the connection, and waits for another one."""
    num_accepted = link.num_accepted
    link.reset_all()
    while link.num_accepted == num_accepted:
        visit.page.wait_for_timeout(20)
    visit.ready()


def visiting(browser: Browser, port: int) -> Visit:
    return Visit(browser, f"http://127.0.0.1:{port}/?record=1", tolerated=TOLERATED, script=WATCH_STATUS)


def test_every_sample_is_heard_once_over_three_resets(browser: Browser, link: BadLink) -> None:
    with visiting(browser, link.port) as visit:
        visit.ready().paste(TEXT)
        visit.click("Speak")
        for ticks in (11_025, 55_125, 110_250):
            visit.until(f"state.heard?.ticks > {ticks}")
            cut(visit, link)
        visit.until(ALL_HEARD)
        heard_once(visit)
        assert visit.state()["position"]["underruns"] == 0
        assert "Reconnecting" not in visit.page.evaluate("seen")
        expect(visit.page.locator("#link-notice")).to_be_hidden()


def test_a_server_that_comes_back_speaks_the_rest_from_the_first_word_that_lacks(browser: Browser) -> None:
    with ExitStack() as stack:
        first = stack.enter_context(serving("--model", "tone", "--lead-ms", "600"))
        visit = stack.enter_context(visiting(browser, first.port))
        visit.ready().paste(TEXT)
        visit.click("Speak")
        visit.until("state.heard?.ticks > 33075")
        first.kill()
        expect(visit.page.locator("#status")).to_have_text("Reconnecting")
        expect(visit.page.locator("#link-text")).to_contain_text("Speech goes on by itself")
        stack.enter_context(serving("--model", "tone", port=first.port))
        visit.until("state.utterances[0].restarts === 1")
        word = visit.page.locator("#restart-notice").inner_text().split("“")[1].rstrip("”.")
        visit.until(ALL_HEARD)
        state, tape = visit.state(), visit.tape()
        expect(visit.page.locator("#restart-notice")).to_be_hidden()
        expect(visit.page.locator("#link-notice")).to_be_hidden()
        assert state["status"] == "statusFinished"
        assert visit.page.locator("#transcript p:last-child").inner_text() == TEXT
        played = tape.played()
        seed = seed_of(played)
        rest = TEXT[TEXT.index(word) :].rstrip(".")
        begun = len(played) - len(rest) * 3087
        assert begun / 3087 >= TEXT.index(word) - 1, "all words before it were heard"
        np.testing.assert_array_equal(played[begun + 300 :] * 32768, tone_samples(seed, 300, len(rest) * 3087 - 300))
        np.testing.assert_array_equal(played[: begun - 500] * 32768, tone_samples(seed, 0, begun - 500))
