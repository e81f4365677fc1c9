"""The panel of voices in real Chromium, against a real server: recorded, uploaded, tried, refused and deleted."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Playwright, Route, expect

from bench.checkpoint import write_checkpoint
from bench.checkpoint_shapes import SHAPES
from tests.streaming_server.learning import sound_file, speech
from tests.web_client.browsing import INSECURE_HOST, POLL_MS, WAIT_MS, Visit, free_port, hearing, launched, serving

RATE_HZ = 48_000
KEEP_STARTED = """
    window.spoken = [];
    window.Worker = class extends Worker {
        constructor(...options) {
            super(...options);
            this.addEventListener("message", ({ data }) => {
                if (data.type === "started") window.spoken.push(data.started.voice);
            });
        }
    };
"""
KEEP_TRACKS = """
    window.tracks = [];
    const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
    navigator.mediaDevices.getUserMedia = async (wanted) => {
        const stream = await ask(wanted);
        window.tracks.push(...stream.getTracks());
        return stream;
    };
"""
ALL_HEARD = "state.utterances.length && state.utterances.every((one) => one.over)"
SENTENCE = "The quick brown fox jumps over the lazy dog."


@pytest.fixture(scope="module")
def voices_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("voices")


@pytest.fixture(scope="module")
def port(browser: Browser, voices_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A small VoxCPM with random weights: it learns voices, and speaks noise."""
    folder = tmp_path_factory.mktemp("tiny")
    write_checkpoint(folder / "tiny", SHAPES["tiny"], seed=1)
    flags = ("--model", str(folder / "tiny"), "--voices-dir", str(voices_dir), "--cache-dir", str(folder / "cache"))
    port = free_port()
    insecure = f"http://{INSECURE_HOST}:{port}"
    with serving(*flags, "--threads", "1", "--allowed-origins", insecure, port=port) as server:
        yield server.port


@pytest.fixture(scope="module")
def hearing_browser(stage: Playwright, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Its microphone hears somebody speak."""
    recording = tmp_path_factory.mktemp("microphone") / "speech.wav"
    recording.write_bytes(sound_file(speech(10, rate_hz=RATE_HZ), rate_hz=RATE_HZ))
    browser = launched(stage, *hearing(recording))
    yield browser
    browser.close()


def local(port: int) -> str:
    return f"http://127.0.0.1:{port}/"


def open_panel(visit: Visit) -> None:
    visit.ready().page.locator("#voices-panel > summary").click()
    expect(visit.page.locator("#voice-count")).not_to_be_empty()


def upload(visit: Visit, audio: bytes, name: str = "sample.wav") -> None:
    visit.page.get_by_label("Upload a file").check()
    visit.page.locator("#voice-file").set_input_files({"name": name, "mimeType": "audio/wav", "buffer": audio})


def test_a_voice_is_recorded_named_sent_and_heard_and_deleted(
    hearing_browser: Browser, port: int, voices_dir: Path
) -> None:
    with Visit(hearing_browser, local(port), script=KEEP_STARTED) as visit:
        page = visit.page
        open_panel(visit)
        visit.click("Add a voice")
        expect(page.get_by_label("Name", exact=True)).to_be_focused()
        page.keyboard.type("Anna's voice")
        visit.click("Record")
        expect(page.get_by_role("timer")).to_have_text(re.compile("2[0-9] s left"))
        page.wait_for_function(
            "() => parseInt(document.querySelector('#record-level').style.width) > 50", polling=POLL_MS
        )
        expect(page.get_by_role("timer")).to_have_text(re.compile("2[0-6] s left"))
        visit.click("Stop recording")
        page.wait_for_function("() => document.querySelector('#voice-playback').duration > 3.5", polling=POLL_MS)
        expect(page.locator("#voice-sample-note")).to_be_empty()
        expect(page.locator("#voice-transcript")).to_have_value(page.locator("#voice-sentence").inner_text())
        visit.click("Add this voice")
        expect(page.get_by_role("alert").last).to_contain_text("Confirm that you speak here yourself")
        page.get_by_label("I speak here myself").check()
        visit.click("Add this voice")
        expect(page.locator("#voice-news")).to_have_text(
            "Anna's voice is added, and chosen for what is spoken next.", timeout=WAIT_MS
        )
        expect(page.locator("#voice-form")).to_be_hidden()
        expect(page.locator("#voice")).to_have_value("Anna's voice")
        expect(page.get_by_role("button", name="Try it")).to_be_focused()
        page.keyboard.press("Enter")
        visit.until("state.heard?.ticks > 0 && state.utterances[0].ticks > 7056")
        assert page.evaluate("spoken") == ["Anna's voice"]
        visit.until(ALL_HEARD)
        assert len(list(voices_dir.glob("*/prompt.wav"))) == 1

        page.get_by_role("button", name="Delete Anna's voice").click()
        visit.click("Keep it")
        expect(page.get_by_role("button", name="Delete Anna's voice")).to_be_visible()
        page.get_by_role("button", name="Delete Anna's voice").click()
        visit.click("Delete")
        expect(page.locator("#voice-news")).to_have_text("Anna's voice is deleted.")
        expect(page.get_by_role("button", name="Delete Anna's voice")).to_have_count(0)
        expect(page.locator("#voice")).to_have_value("")
        assert list(voices_dir.glob("*/prompt.wav")) == []


def test_what_the_server_says_against_a_voice_is_shown_and_nothing_is_lost(browser: Browser, port: int) -> None:
    with Visit(browser, local(port), tolerated=("422", "409")) as visit:
        page = visit.page
        open_panel(visit)
        visit.click("Add a voice")
        page.get_by_label("Name", exact=True).fill("amber")
        upload(visit, sound_file(speech(3)))
        page.locator("#voice-transcript").fill(SENTENCE)
        page.get_by_label("I speak here myself").check()
        visit.click("Add this voice")
        expect(page.locator("#voice-error")).to_contain_text("'name': ")
        page.get_by_label("Name", exact=True).fill("Ben")
        page.locator("#voice-file").set_input_files(
            {"name": "silence.flac", "mimeType": "audio/flac", "buffer": sound_file(np.zeros(48_000), format="FLAC")}
        )
        visit.click("Add this voice")
        expect(page.locator("#voice-error")).to_have_text(
            "'audio': speech was expected, but it is silent.", timeout=WAIT_MS
        )
        expect(page.get_by_label("Name", exact=True)).to_have_value("Ben")
        expect(page.locator("#voice-transcript")).to_have_value(SENTENCE)
        page.locator("#voice-file").set_input_files(
            {"name": "ben.ogg", "mimeType": "audio/ogg", "buffer": sound_file(speech(3), format="OGG")}
        )
        expect(page.locator("#voice-error")).to_be_empty()
        visit.click("Add this voice")
        expect(page.locator("#voice-news")).to_contain_text("Ben is added", timeout=WAIT_MS)
        visit.click("Add a voice")
        expect(page.get_by_label("Name", exact=True)).to_have_value("")


def test_what_is_too_long_or_too_big_is_not_sent(browser: Browser, port: int) -> None:
    with Visit(browser, local(port)) as visit:
        open_panel(visit)
        visit.click("Add a voice")
        upload(visit, sound_file(speech(31)))
        expect(visit.page.locator("#voice-error")).to_have_text(
            "This sample lasts 31 s; the server takes 30 s at most."
        )
        upload(visit, bytes(10 * 2**20 + 60_000))
        expect(visit.page.locator("#voice-error")).to_have_text(
            "This file has 10.1 MB; the server takes 10 MB at most."
        )


def fill_in(visit: Visit, name: str) -> None:
    """An upload that the server would take."""
    visit.click("Add a voice")
    visit.page.get_by_label("Name", exact=True).fill(name)
    upload(visit, sound_file(speech(3)))
    visit.page.locator("#voice-transcript").fill(SENTENCE)
    visit.page.get_by_label("I speak here myself").check()
    visit.click("Add this voice")


def test_what_is_wrong_with_an_upload_is_seen_on_a_phone_too(browser: Browser, port: int) -> None:
    with Visit(browser, local(port), {"viewport": {"width": 375, "height": 600}}) as visit:
        open_panel(visit)
        visit.click("Add a voice")
        upload(visit, sound_file(speech(31)))
        expect(visit.page.locator("#voice-error")).to_contain_text("This sample lasts 31 s")
        expect(visit.page.locator("#voice-error")).to_be_in_viewport(ratio=0.9)


def test_a_voice_that_is_called_off_while_it_is_sent_leaves_the_next_one_alone(browser: Browser, port: int) -> None:
    with Visit(browser, local(port)) as visit:
        page = visit.page

        def leave_unanswered(route: Route) -> None:
            if route.request.method != "POST":
                route.fallback()

        page.route("**/v1/voices", leave_unanswered)
        open_panel(visit)
        fill_in(visit, "Carla")
        expect(page.get_by_role("button", name="Sending and learning the voice…")).to_be_visible()
        with page.expect_event("requestfailed"):
            visit.click("Cancel")
        page.unroute("**/v1/voices")
        visit.click("Add a voice")
        page.get_by_label("Name", exact=True).fill("Dora")
        visit.click("Add this voice")
        expect(page.locator("#voice-error")).to_have_text("Record a sample first, or choose a file.")
        expect(page.get_by_label("Name", exact=True)).to_have_value("Dora")
        expect(page.locator("#voice-news")).to_be_empty()
        expect(page.locator("#voice")).to_have_value("")


def test_a_voice_that_comes_with_the_engines_restart_is_chosen_when_it_is_there(browser: Browser, port: int) -> None:
    with Visit(browser, local(port)) as visit:
        page = visit.page
        voice = {"name": "Eve", "language": "en", "removable": True}
        known: list[dict[str, object]] = []

        def answer(route: Route) -> None:
            if route.request.method == "POST":
                route.fulfill(status=202, json=voice)
            else:
                listing = route.fetch().json()
                route.fulfill(json={**listing, "voices": [*listing["voices"], *known]})

        page.route("**/v1/voices", answer)
        open_panel(visit)
        fill_in(visit, "Eve")
        expect(page.locator("#voice-news")).to_have_text(
            "Eve is added. It can be spoken with in a moment, when the server has restarted its model."
        )
        expect(page.get_by_role("button", name="Try it")).to_be_hidden()
        known.append(voice)
        expect(page.locator("#voice-news")).to_have_text("Eve is added, and chosen for what is spoken next.")
        expect(page.get_by_role("button", name="Try it")).to_be_visible()
        expect(page.locator("#voice")).to_have_value("Eve")
        page.unroute_all(behavior="wait")


def test_a_microphone_is_let_go_when_the_panel_is_closed(hearing_browser: Browser, port: int) -> None:
    with Visit(hearing_browser, local(port), script=KEEP_TRACKS) as visit:
        page = visit.page
        open_panel(visit)
        visit.click("Add a voice")
        visit.click("Record")
        expect(page.get_by_role("timer")).to_have_text(re.compile("2[0-9] s left"))
        assert page.evaluate("tracks.map((track) => track.readyState)") == ["live"]
        page.locator("#voices-panel > summary").click()
        page.wait_for_function("() => tracks.every((track) => track.readyState === 'ended')", polling=POLL_MS)
        page.locator("#voices-panel > summary").click()
        expect(page.get_by_role("button", name="Record", exact=True)).to_be_visible()


def test_a_microphone_is_let_go_when_it_cannot_be_listened_to(hearing_browser: Browser, port: int) -> None:
    failing = "AudioContext = class { constructor() { throw new DOMException('', 'NotSupportedError'); } };"
    with Visit(hearing_browser, local(port), script=KEEP_TRACKS + failing) as visit:
        page = visit.ready().page
        page.evaluate("document.querySelector('#voices-panel').open = true")
        expect(page.locator("#voice-add")).to_be_enabled()
        page.evaluate("document.querySelector('#voice-add').click()")
        page.evaluate("document.querySelector('#record').click()")
        expect(page.get_by_role("alert").last).to_contain_text("another program may be using it")
        assert page.evaluate("tracks.map((track) => track.readyState)") == ["ended"]


def test_the_length_of_a_long_upload_is_known_without_decoding_it(browser: Browser, port: int) -> None:
    refusing = "BaseAudioContext.prototype.decodeAudioData = () => { throw new Error('decoded'); };"
    with Visit(browser, local(port), script=refusing) as visit:
        open_panel(visit)
        visit.click("Add a voice")
        upload(visit, sound_file(speech(31), format="OGG"), name="long.ogg")
        expect(visit.page.locator("#voice-error")).to_have_text(
            "This sample lasts 31 s; the server takes 30 s at most."
        )


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        ("NotAllowedError", "The browser does not let this page use the microphone"),
        ("NotFoundError", "No microphone is connected"),
        ("NotReadableError", "another program may be using it"),
    ],
)
def test_a_microphone_that_does_not_open_is_explained(browser: Browser, port: int, script: str, sentence: str) -> None:
    refusing = f"navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('', '{script}'));"
    with Visit(browser, local(port), script=refusing) as visit:
        open_panel(visit)
        visit.click("Add a voice")
        visit.click("Record")
        expect(visit.page.get_by_role("alert").last).to_contain_text(sentence)
        expect(visit.page.get_by_role("button", name="Record", exact=True)).to_be_enabled()


def test_a_browser_without_a_microphone_says_so(browser: Browser, port: int) -> None:
    with Visit(browser, local(port)) as visit:
        open_panel(visit)
        visit.click("Add a voice")
        visit.click("Record")
        expect(visit.page.get_by_role("alert").last).to_contain_text("No microphone is connected")


def test_a_page_that_is_not_secure_says_why_there_is_no_microphone(browser: Browser, port: int) -> None:
    tolerated = ("ScriptProcessorNode is deprecated",)
    with Visit(browser, f"http://{INSECURE_HOST}:{port}/", tolerated=tolerated) as visit:
        open_panel(visit)
        visit.click("Add a voice")
        visit.click("Record")
        expect(visit.page.get_by_role("alert").last).to_contain_text("only on secure pages")


def test_a_model_with_voices_of_its_own_says_which_can_learn_some(browser: Browser, tone_port: int) -> None:
    with Visit(browser, local(tone_port)) as visit:
        open_panel(visit)
        expect(visit.page.get_by_role("button", name="Add a voice")).to_be_disabled()
        expect(visit.page.locator("#voice-fixed")).to_contain_text("where the server speaks with VoxCPM")


@pytest.mark.parametrize("width", [360, 1280])
def test_the_panel_fits_and_is_used_by_keyboard(browser: Browser, port: int, width: int) -> None:
    with Visit(browser, local(port), {"viewport": {"width": width, "height": 740}, "locale": "zh-CN"}) as visit:
        page = visit.ready().page
        page.locator("#voices-panel > summary").focus()
        page.keyboard.press("Enter")
        expect(page.get_by_role("list", name="现有音色").get_by_role("listitem").first).to_be_visible()
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        for role, name in [
            ("textbox", "名称"),
            ("combobox", "音色的语言"),
            ("radio", "现在录制"),
            ("button", "开始录音"),
            ("textbox", "样本中所说的内容（逐字）"),
            ("textbox", "许可：谁可以使用此音色，用于什么"),
            ("checkbox", "这是我本人的声音，或已获得说话人的许可。"),
            ("button", "添加此音色"),
            ("button", "试听 amber"),
        ]:
            expect(page.get_by_role(role, name=name, exact=True)).to_have_count(1)  # type: ignore[arg-type]
        expect(page.locator("#voice-language")).to_have_value("zh")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        order = [page.evaluate("document.activeElement.id")]
        for _ in range(8):
            page.keyboard.press("Tab")
            order.append(page.evaluate("document.activeElement.id"))
        wanted = ["name", "language", "by-recording", "record", "transcript", "licence", "consent", "send", "cancel"]
        assert [name.removeprefix("voice-") for name in order] == wanted
