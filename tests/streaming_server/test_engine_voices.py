"""Voices that come and go while the engine runs: every client of it knows them, in every form of it."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import numpy as np
import pytest

from models.base import ModelError, ModelOptions
from models.engine import Reloaded
from models.own_voice import own_voice
from models.voice_folder import discard_voice, publish_voice, remove_voice, stage_voice
from streaming_server.engine_client import EngineClient, EngineUnavailable, RemoteEngine
from streaming_server.engine_frames import FrameLink
from streaming_server.engine_link import pack_event, pack_info
from streaming_server.engine_process import EngineProcess
from streaming_server.engine_streams import LOST
from tests.streaming_server.ears import FORMS, connected, engine_of, hear, served, soon, speak, until, watched
from tests.streaming_server.learning import RATE_HZ, fields, speech
from tests.streaming_server.learning_tone import LearningTone


def put(voices: Path, name: str = "Anna") -> None:
    voice = own_voice(fields(name=name))
    prompt = np.rint(32_767 * speech()).astype(np.int16)
    publish_voice(stage_voice(voices, voice, prompt, RATE_HZ), voice)


def known(engine: EngineClient) -> list[str]:
    return [voice.name for voice in engine.info.voices]


@FORMS
async def test_engine_learns_and_forgets_voices(form: str, tmp_path: Path) -> None:
    voices = tmp_path / "voices"
    async with engine_of(form, LearningTone(voices), tmp_path) as engine:
        put(voices)
        assert known(engine) == ["tone"]
        await soon(engine.reload_voices())
        assert known(engine) == ["tone", "Anna"]
        grave = remove_voice(voices, "Anna")
        assert grave is not None
        discard_voice(grave)
        await soon(engine.reload_voices())
        assert known(engine) == ["tone"]


@FORMS
async def test_each_who_asks_at_once_finds_what_was_there_then(form: str, tmp_path: Path) -> None:
    voices = tmp_path / "voices"
    async with engine_of(form, LearningTone(voices), tmp_path) as engine:

        async def add(name: str) -> None:
            put(voices, name)
            await engine.reload_voices()
            assert name in known(engine)

        await soon(asyncio.gather(*(add(f"Anna {number}") for number in range(5))))


@FORMS
async def test_speech_under_way_goes_on(form: str, tmp_path: Path) -> None:
    text = "Speech that is under way while the voices change."
    async with engine_of(form, LearningTone(tmp_path / "voices"), tmp_path) as engine:
        ear, _ = speak(engine, text, seed=7, lead=None)
        await soon(ear.began.wait())
        await soon(engine.reload_voices())
        await soon(ear.ended.wait())
        ear.heard_the_tone(7, text)


class Stubborn(LearningTone):
    """Does not find its voices, in one way or another."""

    def __init__(self, voices: Path, trouble: Exception) -> None:
        super().__init__(voices)
        self._trouble = trouble

    def reload_voices(self) -> None:
        raise self._trouble


@FORMS
@pytest.mark.parametrize(
    ("trouble", "said"),
    [(ModelError("The voices were expected in a folder."), "expected in a folder"), (RuntimeError("torn"), "failed")],
)
async def test_model_that_does_not_find_its_voices_speaks_on(
    form: str, trouble: Exception, said: str, tmp_path: Path
) -> None:
    async with engine_of(form, Stubborn(tmp_path, trouble), tmp_path) as engine:
        with pytest.raises(ModelError, match=said):
            await soon(engine.reload_voices())
        assert known(engine) == ["tone"]
        (await hear(engine)).heard_the_tone(1, "ok")


async def test_every_web_process_is_told_and_so_is_the_next_one(tmp_path: Path) -> None:
    path, voices = tmp_path / "engine", tmp_path / "voices"
    async with served(LearningTone(voices), path), connected(path) as one, connected(path) as two:
        put(voices)
        await soon(one.reload_voices())
        await until(lambda: known(two) == ["tone", "Anna"])
        async with connected(path) as three:
            assert known(three) == ["tone", "Anna"]
        assert (one.num_restarts, two.num_restarts) == (0, 0)
        (await hear(two)).heard_the_tone(1, "ok")


async def test_of_two_looks_the_later_one_counts(tmp_path: Path) -> None:
    """One's own, told with a step, and another's, told by itself, may arrive at once."""
    engine, link = RemoteEngine(tmp_path / "engine"), FrameLink()
    empty, full = LearningTone(tmp_path), LearningTone(tmp_path)
    put(tmp_path)
    full.reload_voices()
    step = {"rows": 0, "s": 0.0, "errors": 0, "tempo": (None, False, 9.0, 0.0, 0.0, 1.0)}
    engine.take(link, {"info": pack_info(empty.info)})
    engine.take(link, {"events": [pack_event(Reloaded(1, empty.info), 1)], **step})
    engine.take(link, {"info": pack_info(full.info)})
    await asyncio.sleep(0)
    assert known(engine) == ["tone", "Anna"]


async def test_engine_that_is_lost_meanwhile_is_told(tmp_path: Path) -> None:
    path = tmp_path / "engine"
    async with served(LearningTone(tmp_path / "voices"), path) as stand, connected(path) as engine:
        reload = asyncio.ensure_future(engine.reload_voices())
        await asyncio.sleep(0)
        stand.cut()
        with pytest.raises(EngineUnavailable, match=LOST):
            await soon(reload)


async def test_a_new_engine_knows_the_voices_that_came_before_it(tmp_path: Path) -> None:
    path, voices = tmp_path / "engine", tmp_path / "voices"
    process = EngineProcess(
        "learning",
        path,
        start_timeout_s=20.0,
        step_timeout_s=4.0,
        options=ModelOptions(voices=voices),
        host="tests.streaming_server.learning_host",
    )
    async with watched(process, path) as engine:
        put(voices)
        await soon(engine.reload_voices())
        put(voices, "Bert")
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        await until(lambda: engine.num_restarts == 1)
        assert known(engine) == ["tone", "Anna", "Bert"]
