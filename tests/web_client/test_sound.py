"""What sounds in real Chromium is what the model made: sample by sample, on every path through the page."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile
import soxr
from numpy.typing import NDArray
from playwright.sync_api import Browser

from models.tone import locate_tone, tone_samples
from streaming_server.audio.encoder import open_encoder
from streaming_server.audio.opus import opus_available
from tests.streaming_server.audio.listening import decode, snr_db
from tests.web_client.browsing import INSECURE_HOST, Visit, free_port, serving

TEXT = "The quick brown fox jumps over the lazy dog, and then it rests. "
"""64 code points: 4.48 s of tone."""
ALL_HEARD = "state.utterances.length && state.utterances.every((one) => one.over)"


def recording(port: int, host: str = "127.0.0.1") -> str:
    return f"http://{host}:{port}/?record=1"


def seed_of(samples: NDArray[np.float32]) -> int:
    seed, index = locate_tone((samples[:4096] * 32768).astype(np.int16))
    assert index == 0
    return seed


def test_pcm_sounds_bit_for_bit(browser: Browser, tone_port: int) -> None:
    with Visit(browser, recording(tone_port)) as visit:
        visit.ready().paste(TEXT)
        visit.click("Speak")
        visit.until(ALL_HEARD)
        tape = visit.tape()
        tape.assert_tone(seed_of(tape.played()))
        state = visit.state()
        assert len(tape.played()) == state["utterances"][0]["ticks"] > 4 * 44100
        assert state["sampleRate"] == tape.sample_rate == 44100
        assert state["plain"] is False


def test_speech_goes_on_while_the_page_is_stuck(browser: Browser, tone_port: int) -> None:
    with Visit(browser, recording(tone_port)) as visit:
        visit.ready().paste(TEXT)
        visit.click("Speak")
        visit.until("state.position?.state === 'playing'")
        before = visit.state()["frame"]
        visit.block(1500)
        after = visit.state()["frame"]
        visit.until(ALL_HEARD)
        tape = visit.tape()
        tape.assert_tone(seed_of(tape.played()))
        sounding = sum(
            max(0, min(run["frame"] + run["length"], after) - max(run["frame"], before)) for run in tape.runs
        )
        # Only 600 ms were in hand when the page got stuck: the rest came past it.
        assert sounding / 44100 >= 1.2


def test_opus_sounds_like_the_model(browser: Browser, tone_port: int) -> None:
    if not opus_available():
        pytest.skip("libopus is missing (apt install libopus0)")
    with Visit(browser, recording(tone_port)) as visit:
        visit.ready().page.locator("#codec").select_option("opus-64000")
        visit.paste(TEXT)
        visit.click("Speak")
        visit.until(ALL_HEARD)
        tape = visit.tape()
        assert tape.sample_rate == 48000
        heard = tape.played()
        ticks = visit.state()["utterances"][0]["ticks"]
        assert ticks > 4 * 44100
        assert len(heard) == -(-ticks * 48000 // 44100)
        assert_as_libopus_decodes(heard, ticks)


def test_opus_keeps_its_place_over_the_writers_pauses(browser: Browser, tone_port: int) -> None:
    if not opus_available():
        pytest.skip("libopus is missing (apt install libopus0)")
    with Visit(browser, recording(tone_port)) as visit:
        visit.ready().page.locator("#codec").select_option("opus-64000")
        visit.type("Hello there, you. ")
        visit.until("state.position?.state === 'buffering' && state.heard?.ticks > 44100")
        visit.type("And that is all.")
        visit.page.keyboard.press("Enter")
        visit.until(ALL_HEARD)
        tape = visit.tape()
        state = visit.state()
        assert len(tape.runs) >= 2
        # Each pause began another run with a pre-skip of its own: one slip of a sample would cost the SNR.
        assert_as_libopus_decodes(tape.played(), state["utterances"][0]["ticks"])
        assert state["utterances"][0]["gaps"] == []
        assert state["position"]["underruns"] == 0


def assert_as_libopus_decodes(heard: NDArray[np.float32], ticks: int) -> None:
    """The page is as near to the model as libopus' own decoder is, with no shift in time.

    The codec's distance from the tone depends on its pitch, one of 32 that the server's seed chose.
    """

    def snr(seed: int, sound: NDArray[np.float32]) -> float:
        model = tone_samples(seed, 0, ticks).astype(np.float64) / 32768
        expected = soxr.resample(model, 44100, 48000)[: len(sound)]
        return snr_db(expected, sound[: len(expected)])

    in_page, seed = max((snr(seed, heard), seed) for seed in range(64))
    encoder = open_encoder("opus", sample_rate=48000, bitrate=64000, frame_ms=20, model_rate=44100)
    packets = [*encoder.encode(tone_samples(seed, 0, ticks)), *encoder.finish()]
    in_libopus = snr(seed, decode(packets, 960)[encoder.pre_skip :][: len(heard)])
    assert in_page > 20
    assert in_page > in_libopus - 9, "dB: each run begins with rougher frames, and a clause may be a run of its own"


def test_barge_in_is_silent_within_20_ms(browser: Browser, tone_port: int) -> None:
    with Visit(browser, recording(tone_port)) as visit:
        visit.ready().paste(TEXT)
        visit.click("Speak")
        visit.until("state.heard?.ticks > 30000")
        asked = visit.page.evaluate(
            "() => { const { frame } = voxwire.state(); document.querySelector('#stop').click(); return frame; }"
        )
        visit.until("state.status === 'statusStopped' && state.position.state === 'idle'")
        visit.until("state.utterances[0].reason === 'cancelled'")
        tape = visit.tape()
        sounded = np.flatnonzero(tape.samples)
        silent = tape.frame + int(sounded[-1]) + 1
        assert 1 <= len(tape.stops) <= 2  # the first Speak stops what may have sounded before it
        assert silent - tape.stops[-1] <= 0.020 * 44100
        print(f"silent {1000 * (silent - asked) / 44100:.1f} ms after the click")
        cut = visit.state()["utterances"][0]["cutTicks"]
        played = sum(run["length"] for run in tape.runs)
        assert abs(cut - played) <= 3087 * 2, f"the server counted {cut} ticks, {played} had sounded"
        visit.click("Speak")
        visit.until("state.utterances.length === 2 && state.utterances[1].over")
        last = visit.tape()
        last.assert_tone(seed_of(last.played(track=1)), track=1)


def test_pausing_and_going_on_loses_nothing(browser: Browser, tone_port: int) -> None:
    with Visit(browser, recording(tone_port)) as visit:
        visit.ready().paste(TEXT)
        visit.click("Speak")
        visit.until("state.heard?.ticks > 20000")
        visit.page.locator("h1").click()
        visit.page.keyboard.press("Space")
        visit.until("state.status === 'statusPaused' && state.position.paused")
        held = visit.state()["position"]["frame"]
        visit.page.wait_for_timeout(1000)
        visit.page.keyboard.press("Space")
        visit.until(ALL_HEARD)
        tape = visit.tape()
        at = held - tape.frame + 1000
        assert not tape.samples[at : at + 20000].any(), "silence while paused"
        # The fade at the pause touches real samples: both sides of it are exact.
        assert sum(run["length"] for run in tape.runs) == visit.state()["utterances"][0]["ticks"]


def test_an_insecure_origin_plays_pcm_and_says_how_to_get_the_rest(browser: Browser) -> None:
    port = free_port()
    flags = ("--model", "tone", "--lead-ms", "600", "--allowed-origins", f"http://{INSECURE_HOST}:{port}")
    tolerated = ("ScriptProcessorNode is deprecated",)
    with serving(*flags, port=port), Visit(browser, recording(port, INSECURE_HOST), tolerated=tolerated) as visit:
        visit.ready()
        assert visit.page.evaluate("isSecureContext") is False
        visit.paste(TEXT[:30])
        visit.click("Speak")
        visit.until(ALL_HEARD)
        assert visit.state()["plain"] is True
        tape = visit.tape()
        tape.assert_tone(seed_of(tape.played()))
        notice = visit.page.locator("#insecure-notice")
        assert notice.is_visible()
        assert f"ssh -L {port}:127.0.0.1:{port}" in notice.inner_text()
        assert visit.page.locator("#codec option").all_inner_texts() == ["PCM, exact (44.1 kHz)"]


def test_the_download_is_what_was_received(browser: Browser, tone_port: int) -> None:
    with Visit(browser, recording(tone_port)) as visit:
        visit.ready().paste(TEXT[:30])
        visit.click("Speak")
        visit.until(ALL_HEARD)
        seed = seed_of(visit.tape().played())
        with visit.page.expect_download() as download:
            visit.click("Download WAV")
        samples, rate = soundfile.read(io.BytesIO(download.value.path().read_bytes()), dtype="int16")
        assert rate == 44100
        np.testing.assert_array_equal(samples, tone_samples(seed, 0, len(samples)))
        assert len(samples) == visit.state()["utterances"][0]["ticks"]
