"""What is heard in Chromium when its connection is lost: every sample once, and no word about it while it sounds."""

from __future__ import annotations

import io
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import numpy as np
import pytest
import soundfile
from playwright.sync_api import Browser, expect

from models.tone import locate_tone, tone_samples
from tests.web_client.bad_link import BadLink, bad_link
from tests.web_client.browsing import WAIT_MS, Tape, Visit, serving
from tests.web_client.test_sound import seed_of

TEXT = "The quick brown fox jumps over the dog."
"""39 code points: 2.73 s of tone."""
ALL_HEARD = "state.utterances.length && state.utterances.every((one) => one.over)"
TOLERATED = ("WebSocket connection to", "ERR_CONNECTION", "Failed to load resource")
UPGRADE = b"""GET /v1/stream HTTP/1.1\r
Host: 127.0.0.1\r
Connection: Upgrade\r
Upgrade: websocket\r
Sec-WebSocket-Version: 13\r
Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r
\r
"""
WATCH_STATUS = """
    window.seen = [];
    addEventListener("DOMContentLoaded", () => {
        const note = () => seen.push(document.querySelector("#status").textContent);
        new MutationObserver(note).observe(document.querySelector("#status"), { childList: true, subtree: true });
    });
"""


@pytest.fixture(scope="module")
def small_port(browser: Browser) -> Iterator[int]:
    """A server for one listener, who has to be back soon."""
    flags = ("--lead-ms", "600", "--resume-ms", "200", "--max-sessions", "1")
    with serving("--model", "tone", *flags) as server:
        yield server.port


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
    assert len(tape.played()) == utterance["ticks"] >= 38 * 3087
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


def test_every_sample_is_heard_once_over_three_resets_and_from_three_addresses(browser: Browser, link: BadLink) -> None:
    with visiting(browser, link.port) as visit:
        visit.ready().paste(TEXT)
        visit.click("Speak")
        for number, ticks in enumerate((5_000, 35_000, 70_000), 2):
            visit.until(f"state.heard?.ticks > {ticks}")
            link.come_from(f"127.0.0.{number}")
            cut(visit, link)
        visit.until(ALL_HEARD)
        heard_once(visit)
        assert "Reconnecting" not in visit.page.evaluate("seen")
        expect(visit.page.locator("#link-notice")).to_be_hidden()


def test_a_silent_link_is_left_and_what_is_written_meanwhile_is_said(browser: Browser, link: BadLink) -> None:
    with visiting(browser, link.port) as visit:
        visit.ready().type("The quick brown fox, ", 1)
        visit.until("state.heard?.ticks > 22050")
        link.refuse()
        link.swallow()
        visit.type("and the lazy dog.", 1)
        visit.page.keyboard.press("Enter")
        expect(visit.page.locator("#status")).to_have_text("Reconnecting", timeout=WAIT_MS)
        expect(visit.page.locator("#link-text")).to_contain_text("Speech goes on by itself")
        link.swallow(False)  # the old connection is of no use: bytes of it are lost
        link.admit()
        visit.until(ALL_HEARD)
        tape, (utterance,) = visit.tape(), visit.state()["utterances"]
        tape.assert_tone(seed_of(tape.played()))
        assert (utterance["reason"], utterance["restarts"]) == ("end", 0)
        assert len(tape.played()) == utterance["ticks"] >= 36 * 3087
        expect(visit.page.locator("#link-notice")).to_be_hidden()
        seen = visit.page.evaluate("seen")
        assert seen.index("Reconnecting") > seen.index("Speaking")


def test_a_page_whose_first_touch_finds_no_server_is_heard_when_there_is_one(browser: Browser, link: BadLink) -> None:
    with visiting(browser, link.port) as visit:
        visit.ready()
        link.refuse()
        link.reset_all()
        visit.until("state.link === 'lost'")
        visit.paste(TEXT)
        visit.click("Speak")
        visit.page.wait_for_timeout(300)
        link.admit()
        visit.until(ALL_HEARD)
        heard_once(visit)


def assert_continued(visit: Visit, text: str) -> None:
    """One speech, although two sessions spoke it: up to a word, and from the beginning of that on."""
    word = visit.page.locator("#restart-notice").inner_text().split("“")[1].rstrip("”.")
    visit.until(ALL_HEARD)
    expect(visit.page.locator("#restart-notice")).to_be_hidden()
    expect(visit.page.locator("#link-notice")).to_be_hidden()
    assert visit.page.locator("#transcript p:last-child").inner_text() == text
    state, tape = visit.state(), visit.tape()
    (utterance,) = state["utterances"]
    assert (utterance["reason"], utterance["restarts"], state["status"]) == ("end", 1, "statusFinished")
    assert len(utterance["gaps"]) == state["position"]["underruns"]
    with visit.page.expect_download() as download:
        visit.click("Download WAV")
    kept, _ = soundfile.read(io.BytesIO(download.value.path().read_bytes()), dtype="int16")
    seed, _ = locate_tone(kept)
    begun = next(
        int(at)
        for at in np.flatnonzero(kept == tone_samples(seed, 0, 1)[0])[1:]
        if np.array_equal(kept[at : at + 64], tone_samples(seed, 0, 64))
    )
    np.testing.assert_array_equal(kept[:begun], tone_samples(seed, 0, begun))
    np.testing.assert_array_equal(kept[begun:], tone_samples(seed, 0, len(kept) - begun))
    place = text.index(word)
    assert place - 1 <= begun / 3087 <= place + len(word), "the cut lies before the word or in it"
    assert abs((len(kept) - begun) / 3087 - len(text[place:])) <= 1
    played = tape.played() * 32768
    assert len(played) == len(kept) == utterance["ticks"] == utterance["length"]
    differing = np.flatnonzero(played != kept)
    assert len(differing) == 0 or (begun - 441 <= differing[0] and differing[-1] <= begun + 221), "but for the fades"


def test_a_session_that_has_expired_goes_on_in_another(browser: Browser, small_port: int) -> None:
    with bad_link(small_port) as link, visiting(browser, link.port) as visit:
        visit.ready().paste(TEXT)
        visit.click("Speak")
        visit.until("state.heard?.ticks > 11025")
        link.refuse()
        link.reset_all()
        visit.page.wait_for_timeout(500)
        link.admit()
        visit.until("state.utterances[0].restarts === 1")
        assert_continued(visit, TEXT)


def test_a_server_that_is_restarted_goes_on_when_it_is_back(browser: Browser) -> None:
    text = f"{TEXT} Then it sleeps."
    with ExitStack() as stack:
        first = stack.enter_context(serving("--model", "tone", "--lead-ms", "600", "--drain-ms", "500"))
        visit = stack.enter_context(visiting(browser, first.port))
        visit.ready().paste(text)
        visit.click("Speak")
        visit.until("state.heard?.ticks > 11025")
        first.process.terminate()
        expect(visit.page.locator("#link-text")).to_contain_text("The server is being restarted")
        expect(visit.page.locator("#error-notice")).to_be_hidden()
        first.process.wait()
        stack.enter_context(serving("--model", "tone", port=first.port))
        visit.page.evaluate("dispatchEvent(new Event('online'))")
        visit.until("state.utterances[0].restarts === 1")
        assert_continued(visit, text)


def test_a_server_that_has_no_room_is_not_called_one_that_refuses_the_page(browser: Browser, small_port: int) -> None:
    with ExitStack() as stack:
        num_taken = 0
        while num_taken < 2:  # an earlier listener's place may not be free yet
            place = stack.enter_context(socket.create_connection(("127.0.0.1", small_port)))
            place.sendall(UPGRADE)
            num_taken += b" 101 " in place.recv(4096)
        visit = stack.enter_context(visiting(browser, small_port))
        expect(visit.page.locator("#link-text")).to_contain_text("opens no connection")
