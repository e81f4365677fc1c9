"""How the page behaves in real Chromium: writing, listening, stopping, and what it says when something is missing."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, expect

from streaming_server.audio.opus import opus_available
from tests.web_client.browsing import INSECURE_HOST, WITHOUT_LIBOPUS, Visit, serving

LONG = "The quick brown fox jumps over the lazy dog, and then it rests for a while in the shade of a tree."
COUNT_SEGMENTS = """
    window.segments = 0;
    window.Worker = class extends Worker {
        constructor(...options) {
            super(...options);
            this.addEventListener("message", ({ data }) => { window.segments += data.type === "segment"; });
        }
    };
"""
ALL_HEARD = "state.utterances.length && state.utterances.every((one) => one.over)"


def local(port: int) -> str:
    return f"http://127.0.0.1:{port}/"


def test_typed_text_is_heard_before_it_is_finished(browser: Browser, espeak_port: int) -> None:
    with Visit(browser, local(espeak_port)) as visit:
        visit.ready().type("Good morning, this is the first sentence. ")
        visit.until("state.heard?.ticks > 0 && state.status === 'statusSpeaking'")
        assert visit.state()["utterances"][0]["reason"] is None
        visit.type("And this is the second.")
        visit.page.keyboard.press("Enter")
        visit.until(ALL_HEARD)
        (utterance,) = visit.state()["utterances"]
        assert utterance["text"] == "Good morning, this is the first sentence. And this is the second."
        assert utterance["reason"] == "end"
        assert utterance["firstAudioMs"] > 0
        assert utterance["firstSoundMs"] >= utterance["firstAudioMs"]
        assert visit.page.locator("#first-audio").inner_text().endswith(" ms")


def test_steady_typing_is_not_chopped_into_words(browser: Browser, espeak_port: int) -> None:
    with Visit(browser, local(espeak_port), script=COUNT_SEGMENTS) as visit:
        visit.ready().type("Good morning everybody and welcome to our meeting today.", 90)
        visit.page.keyboard.press("Enter")
        visit.until(ALL_HEARD)
        assert 1 <= visit.page.evaluate("segments") <= 2


def test_another_codec_waits_for_the_next_utterance(browser: Browser, espeak_port: int) -> None:
    if not opus_available():
        pytest.skip("libopus is missing")
    with Visit(browser, local(espeak_port)) as visit:
        visit.ready().paste(LONG)
        visit.click("Speak")
        visit.until("state.heard?.ticks > 11025")
        visit.page.locator("#codec").select_option("opus-32000")
        expect(visit.page.locator("#note")).to_contain_text("as soon as this speech has ended")
        visit.page.locator("#transcript").click()
        visit.until(ALL_HEARD)
        assert visit.state()["utterances"][0]["cutTicks"] is None
        assert visit.state()["status"] == "statusFinished"
        assert visit.state()["sampleRate"] == 44100
        visit.click("Speak")
        visit.until("state.utterances.length === 2 && state.heard?.ticks > 11025")
        assert visit.state()["sampleRate"] == 48000
        expect(visit.page.locator("#note")).to_be_empty()


def test_speech_goes_on_when_the_engine_dies(browser: Browser) -> None:
    with serving("--model", "tone", "--lead-ms", "400") as server, Visit(browser, local(server.port)) as visit:
        visit.ready().paste(LONG)
        visit.click("Speak")
        visit.until("state.heard?.ticks > 11025")
        server.kill_engines()
        visit.until(ALL_HEARD)
        assert visit.state()["utterances"][0]["reason"] == "end"
        expect(visit.page.locator("#error-notice")).to_be_hidden()


def test_the_mouse_pauses_and_the_keys_go_on_writing(browser: Browser, espeak_port: int) -> None:
    with Visit(browser, local(espeak_port)) as visit:
        visit.ready().paste(LONG)
        visit.click("Speak")
        visit.until("state.heard?.ticks > 0")
        for name in ("Pause", "Resume"):
            visit.click(name)
            expect(visit.page.locator("#text")).to_be_focused()
        visit.page.locator("#pause").focus()
        visit.page.keyboard.press("Enter")
        expect(visit.page.locator("#pause")).to_be_focused()


@pytest.mark.parametrize(("asked", "taken"), [("0", "1"), ("9999", "500"), ("", "20"), ("30", "30")])
def test_the_replay_rate_stays_in_bounds(browser: Browser, tone_port: int, asked: str, taken: str) -> None:
    with Visit(browser, local(tone_port)) as visit:
        field = visit.ready().page.locator("#replay-rate")
        field.fill(asked)
        field.blur()
        expect(field).to_have_value(taken)


def test_captions_follow_the_ear(browser: Browser, espeak_port: int) -> None:
    with Visit(browser, local(espeak_port)) as visit:
        visit.ready().paste(LONG)
        visit.click("Speak")
        visit.until("state.status === 'statusSpeaking'")
        visit.page.evaluate(
            """() => {
                window.seen = [];
                const mark = document.querySelector("#transcript mark");
                setInterval(() => {
                    const at = mark.previousSibling.data.length;
                    const { heard } = voxwire.state();
                    if (mark.textContent && seen.at(-1)?.at !== at) {
                        seen.push({ at, word: mark.textContent, ticks: heard.ticks });
                    }
                }, 10);
            }"""
        )
        visit.until(ALL_HEARD)
        seen = visit.page.evaluate("seen")
        assert len(seen) >= 15
        places = [entry["at"] for entry in seen]
        assert places == sorted(places)
        for entry in seen:
            assert LONG[entry["at"] :].startswith(entry["word"])
            assert re.fullmatch(r"\w+( \w+)*", entry["word"]), "a word, or a few that espeak says as one"
        ticks = [entry["ticks"] for entry in seen]
        assert ticks == sorted(ticks)
        assert visit.page.locator("#transcript p:last-child").inner_text() == LONG


def test_a_correction_is_said_where_it_was_not_yet_heard(browser: Browser, espeak_port: int) -> None:
    with Visit(browser, local(espeak_port)) as visit:
        visit.ready().type("One two three four five six seven eight nine ten, eleven twelve cats are here. ", 2)
        visit.until("state.status === 'statusSpeaking'")
        visit.page.evaluate(
            """() => {
                const box = document.querySelector("#text");
                const at = box.value.indexOf("cats");
                box.setSelectionRange(at, at + 4);
            }"""
        )
        visit.page.keyboard.type("dogs")
        visit.until("state.utterances.length === 2")
        visit.page.keyboard.press("Enter")
        visit.until(ALL_HEARD)
        first, second = visit.state()["utterances"]
        assert first["reason"] == "cancelled"
        assert second["reason"] == "end"
        assert second["text"].endswith("dogs are here. ")
        assert "cats" not in second["text"]
        spoken = visit.page.locator("#transcript p").nth(1)
        unheard = spoken.locator(".unheard").inner_text().strip()
        assert unheard.endswith("cats are here.")
        assert "One two three four five six seven eight nine ten, eleven twelve cats are here.".endswith(unheard)


def test_a_replay_writes_as_an_llm_would(browser: Browser, espeak_port: int) -> None:
    with Visit(browser, local(espeak_port)) as visit:
        visit.ready().paste("The rain in Spain stays mainly in the plain, they say. Nobody has measured it.")
        visit.page.locator("#replay-rate").fill("8")
        visit.click("As an LLM would")
        visit.until("state.heard?.ticks > 0")
        assert len(visit.state()["utterances"][0]["text"]) < 78, "speech begins while the text is written"
        visit.until(ALL_HEARD)
        assert visit.state()["utterances"][0]["text"].endswith("measured it.")


def test_escape_stops_and_the_text_shows_what_was_not_heard(browser: Browser, espeak_port: int) -> None:
    with Visit(browser, local(espeak_port)) as visit:
        visit.ready().paste(3 * LONG)
        visit.page.locator("#text").press("Enter")
        visit.until("state.heard?.ticks > 44100")
        visit.page.keyboard.press("Escape")
        visit.until("state.utterances[0].reason === 'cancelled'")
        assert visit.state()["status"] == "statusStopped"
        assert (3 * LONG).endswith(visit.page.locator("#transcript .unheard").inner_text())
        expect(visit.page.get_by_role("status")).to_have_text("Stopped")


def test_a_locked_browser_shows_tap_to_hear(browser: Browser, tone_port: int) -> None:
    # What Playwright evaluates counts as a gesture; so the page writes by itself, and is watched past Playwright.
    script = """const timer = setInterval(() => {
        if (window.voxwire?.state().link !== "ready") return;
        clearInterval(timer);
        const box = document.querySelector("#text");
        box.value = "Hello there, listener. ";
        box.dispatchEvent(new Event("input"));
    }, 50);"""
    tolerated = ("AudioContext was not allowed to start",)
    with Visit(browser, local(tone_port), script=script, tolerated=tolerated) as visit:
        watcher = visit.context.new_cdp_session(visit.page)
        for _ in range(300):
            visit.page.wait_for_timeout(100)
            question = {"expression": "document.querySelector('[role=status]').textContent", "userGesture": False}
            status = watcher.send("Runtime.evaluate", question)["result"]["value"]
            if status not in ("Connecting", "Ready"):
                break
        assert status == "Sound is held back: tap to hear"
        visit.click("Tap to hear")
        visit.until("state.running && state.heard?.ticks > 0")
        expect(visit.page.locator("#tap-panel")).to_be_hidden()


def test_a_server_with_a_key_is_asked_for_it(browser: Browser) -> None:
    with serving("--model", "tone", "--api-key", "open-sesame") as server, Visit(browser, local(server.port)) as visit:
        field = visit.page.get_by_label("API key")
        field.fill("wrong")
        field.press("Enter")
        expect(field).to_have_value("")
        expect(field).to_be_visible()
        expect(visit.page.locator("#token-error")).to_have_text("The server does not know this key.")
        field.fill("open-sesame")
        field.press("Enter")
        visit.ready()
        visit.page.reload()
        visit.ready()
        visit.paste("Hello.")
        visit.click("Speak")
        visit.until(ALL_HEARD)


def test_a_page_of_a_strange_origin_is_told_how_it_may_connect(browser: Browser, tone_port: int) -> None:
    url = f"http://{INSECURE_HOST}:{tone_port}/"
    with Visit(browser, url, tolerated=("WebSocket connection to", "Failed to load resource")) as visit:
        expect(visit.page.locator("#link-text")).to_contain_text(f"--allowed-origins {url.rstrip('/')} ")
        visit.until("state.link === 'lost'")


@pytest.mark.full
def test_a_page_that_nobody_used_for_long_is_disconnected_in_peace_and_speaks_when_it_is_asked_to(
    browser: Browser,
) -> None:
    with serving("--model", "tone", "--idle-ms", "1500") as server, Visit(browser, local(server.port)) as visit:
        visit.ready()
        visit.until("state.link === 'resting'")
        visit.page.wait_for_timeout(1000)
        expect(visit.page.locator("#link-notice")).to_be_hidden()
        state = visit.state()
        assert (state["link"], state["status"]) == ("resting", "statusReady")
        visit.paste("Hello.")
        visit.click("Speak")
        visit.until(ALL_HEARD)


def test_opus_is_offered_where_the_server_has_it(browser: Browser) -> None:
    with serving("--model", "tone", before=WITHOUT_LIBOPUS) as server, Visit(browser, local(server.port)) as visit:
        visit.ready()
        assert visit.page.locator("#codec option").all_inner_texts() == ["PCM, exact (44.1 kHz)"]
    if opus_available():
        with serving("--model", "tone") as server, Visit(browser, local(server.port)) as visit:
            visit.ready()
            expect(visit.page.locator("#codec option")).to_have_count(4)


def test_a_chinese_browser_sees_chinese(browser: Browser, espeak_port: int) -> None:
    with Visit(browser, local(espeak_port), {"locale": "zh-CN"}) as visit:
        visit.ready()
        assert visit.page.locator("html").get_attribute("lang") == "zh-Hans"
        expect(visit.page.locator("#language")).to_have_value("auto")
        expect(visit.page.get_by_role("button", name="朗读")).to_be_visible()
        visit.type("你好，世界。今天天气很好，我们出去走走。")
        visit.page.keyboard.press("Enter")
        visit.until("state.status === 'statusSpeaking'")
        visit.page.locator("#ui-language").select_option("en")
        expect(visit.page.get_by_role("button", name="Speak", exact=True)).to_be_visible()
        visit.until(ALL_HEARD)
        visit.page.reload()
        assert visit.page.locator("html").get_attribute("lang") == "en"


@pytest.mark.parametrize("width", [360, 1280])
def test_everything_has_a_name_and_fits(browser: Browser, tone_port: int, width: int) -> None:
    with Visit(browser, local(tone_port), {"viewport": {"width": width, "height": 740}}) as visit:
        visit.ready()
        page = visit.page
        for role, name in [
            ("textbox", "Text"),
            ("checkbox", "Speak while I type"),
            ("button", "Speak"),
            ("button", "Pause"),
            ("button", "Stop"),
            ("button", "As an LLM would"),
            ("spinbutton", "Replay rate in tokens per second"),
            ("combobox", "Voice"),
            ("combobox", "Language"),
            ("combobox", "Audio"),
            ("combobox", "Language of this page"),
            ("slider", re.compile("^Speed")),
            ("button", "Download WAV"),
        ]:
            exact = isinstance(name, str)
            expect(page.get_by_role(role, name=name, exact=exact)).to_have_count(1)  # type: ignore[arg-type]
        assert page.get_by_role("status").count() == 1
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        order = []
        page.locator("body").click(position={"x": 1, "y": 1})
        for _ in range(14):
            page.keyboard.press("Tab")
            order.append(page.evaluate("document.activeElement.id"))
        wanted = ["ui-language", "live", "text", "speak", "replay", "replay-rate", "voice", "language", "codec"]
        assert [name for name in dict.fromkeys(order) if name in wanted] == wanted
