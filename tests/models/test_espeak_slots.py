from __future__ import annotations

import os
import signal

import numpy as np
import pytest

from models.base import Failure, Patch, SpeechParams, Voice
from models.espeak import EspeakModel
from models.espeak_voices import EspeakVoice
from tests.models.speaking import Spoken, finish, speak

ENGLISH = "Hello there, my friend. How are you today? I am fine; really: quite well! Wait... what? Done."
CHINESE = "你好，世界。今天天气怎么样？我很好！真的；是这样：一、二、三。完。"


def test_slots_in_one_step_sound_as_alone(espeak: EspeakModel) -> None:
    plan = [
        ("en-US-male", ENGLISH, SpeechParams()),
        ("cmn-female", CHINESE, SpeechParams(speed=1.3)),
        ("en-US-male", "Short.", SpeechParams(volume=1.7)),
        ("es-male", "El perro corre por la carretera.", SpeechParams()),
    ]
    alone = [speak(espeak, [text], voice=voice, params=params) for voice, text, params in plan]
    for slot, (voice, text, params) in enumerate(plan):
        espeak.open(slot, slot, voice, params)
        espeak.extend(slot, text)
        espeak.seal(slot)
    heard: dict[int, list[Patch]] = {slot: [] for slot in range(len(plan))}
    live = set(heard)
    while live:
        for patch in espeak.submit(sorted(live)).patches():
            assert isinstance(patch, Patch)
            heard[patch.slot].append(patch)
            if patch.last:
                live.discard(patch.slot)
    for slot, expected in enumerate(alone):
        together = Spoken(patches=tuple(heard[slot]))
        np.testing.assert_array_equal(together.pcm, expected.pcm)
        assert together.words == expected.words
        espeak.close(slot)


def test_another_model_says_the_same(espeak: EspeakModel) -> None:
    other = EspeakModel()
    np.testing.assert_array_equal(speak(other, [ENGLISH]).pcm, speak(espeak, [ENGLISH]).pcm)
    other.shutdown()


def test_reopened_slot_starts_anew_under_its_generation(espeak: EspeakModel) -> None:
    espeak.open(0, 1, "en-US-male", SpeechParams())
    espeak.extend(0, ENGLISH)
    espeak.seal(0)
    late = espeak.submit([0])
    espeak.close(0)
    espeak.open(0, 2, "en-US-male", SpeechParams())
    espeak.extend(0, "New.")
    espeak.seal(0)
    assert [patch.generation for patch in late.patches()] == [1]
    patches = finish(espeak, 0)
    espeak.close(0)
    assert {(patch.generation, patch.segment) for patch in patches} == {(2, 0)}
    np.testing.assert_array_equal(Spoken(patches=tuple(patches)).pcm, speak(espeak, ["New."]).pcm)


def test_voice_whose_process_was_killed_is_started_again(espeak: EspeakModel) -> None:
    expected = speak(espeak, ["Hello again."])
    for process in (process for lane in espeak._lanes for process in lane.processes.values()):
        os.kill(process.pid, signal.SIGKILL)
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    for _ in range(3):
        np.testing.assert_array_equal(speak(espeak, ["Hello again."]).pcm, expected.pcm)


def test_failing_slot_leaves_its_neighbour_alone(espeak: EspeakModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(espeak._voices, "nobody", EspeakVoice(Voice(name="nobody", language="en"), "gmw/nobody"))
    for slot, voice in ((0, "en-US-male"), (1, "nobody")):
        espeak.open(slot, 7, voice, SpeechParams())
        espeak.extend(slot, "Hello.")
        espeak.seal(slot)
    good, bad = espeak.submit([0, 1]).patches()
    assert isinstance(good, Patch)
    assert len(good.pcm)
    assert isinstance(bad, Failure)
    assert (bad.slot, bad.generation) == (1, 7)
    assert "'gmw/nobody'" in bad.message
    espeak.close(0)
    espeak.close(1)


def test_more_voices_than_processes_are_served(espeak: EspeakModel) -> None:
    for voice in ("de", "fr", "es", "it", "pt", "nl", "pl", "ru", "tr", "en-US"):
        assert speak(espeak, ["Radio 7."], voice=f"{voice}-male").words
    assert len(espeak._lanes[0].processes) == 8


def test_slots_made_side_by_side_sound_as_alone(espeak: EspeakModel) -> None:
    texts = ["The first clause.", "Another one, and more.", "A third.", "你好，世界。"]
    alone = [speak(espeak, [text]).pcm for text in texts]
    for slot, text in enumerate(texts):
        espeak.open(slot, 1, espeak.info.default_voice, SpeechParams())
        espeak.extend(slot, text)
        espeak.seal(slot)
    heard: dict[int, list[Patch]] = {slot: [] for slot in range(len(texts))}
    while open_slots := [slot for slot, patches in heard.items() if not patches or not patches[-1].last]:
        for patch in espeak.submit(open_slots).patches():
            assert isinstance(patch, Patch)
            heard[patch.slot].append(patch)
    for slot, expected in enumerate(alone):
        espeak.close(slot)
        np.testing.assert_array_equal(Spoken(patches=tuple(heard[slot])).pcm, expected)
