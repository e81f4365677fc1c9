"""Both forms of the client: the engine in a thread, and an engine host on a real socket (here in the same process)."""

from __future__ import annotations

import asyncio
import struct
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import msgpack
import pytest

from models.base import SpeechParams
from models.engine import Reading, Spoke
from models.engine.steps import MAX_FAILED_STEPS
from models.engine.streams import FAILED
from models.tone import ToneModel
from streaming_server.engine_client import EngineUnavailable, LocalEngine, RemoteEngine
from streaming_server.engine_link import pack_info
from streaming_server.engine_streams import DEAF, LOST
from tests.models.engine.scripted import ScriptedModel

from .ears import FORMS, Ear, connected, engine_of, hear, served, soon, speak, until


@FORMS
async def test_many_streams_hear_what_is_theirs(form: str, tmp_path: Path) -> None:
    async with engine_of(form, ToneModel(), tmp_path) as engine:
        texts = {seed: "word " * (1 + seed % 7) for seed in range(1, 60)}
        ears = {seed: speak(engine, text, seed=seed, session=str(seed % 5))[0] for seed, text in texts.items()}
        for seed, ear in ears.items():
            await soon(ear.ended.wait())
            ear.heard_the_tone(seed, texts[seed])
            assert [patch.index for patch in ear.patches] == list(range(len(ear.patches)))
            assert sum(len(patch.words) for patch in ear.patches) == len(texts[seed].split())
        assert engine.num_streams == 0
        assert engine.num_patches == sum(len(ear.patches) for ear in ears.values())
        assert 0 < engine.num_steps <= engine.num_patches
        assert engine.rtf is not None
        assert 0 < engine.rtf < 0.5
        assert engine.busy_s > 0


@FORMS
async def test_segments_are_spoken_as_they_come(form: str, tmp_path: Path) -> None:
    async with engine_of(form, ToneModel(), tmp_path) as engine:
        ear, stream = speak(engine, "First. ", seed=3, finish=False)
        await until(lambda: bool(ear.patches) and ear.patches[-1].last)
        stream.speak("Second.")
        stream.finish()
        await soon(ear.ended.wait())
        ear.heard_the_tone(3, "First. Second.")
        assert [patch.segment for patch in ear.patches if patch.last] == [0, 1]


@FORMS
async def test_cancelled_stream_hears_nothing_more(form: str, tmp_path: Path) -> None:
    async with engine_of(form, ToneModel(), tmp_path) as engine:
        ear, stream = speak(engine, "x" * 10_000, lead=None)
        await soon(ear.began.wait())
        stream.cancel()
        num_patches = len(ear.patches)
        stream.speak("more")
        stream.finish()
        stream.cancel()
        (await hear(engine, "another", seed=2)).heard_the_tone(2, "another")
        assert len(ear.patches) == num_patches
        assert ear.ends == []
        assert engine.num_streams == 0


@FORMS
async def test_held_and_suspended_streams_wait_to_be_let_go(form: str, tmp_path: Path) -> None:
    async with engine_of(form, ToneModel(), tmp_path) as engine:
        ear = Ear()
        stream = engine.open(ear, session="s", voice="tone", params=SpeechParams(seed=4), lead_samples=8_000, held=True)
        stream.speak("held for a while")
        stream.finish()
        await until(lambda: len(ear.patches) == 2)
        stream.suspend()
        stream.pace(Reading(0, asyncio.get_running_loop().time() - 10.0))
        await hear(engine)
        assert len(ear.patches) == 2
        stream.resume()
        await soon(ear.ended.wait())
        ear.heard_the_tone(4, "held for a while")


@FORMS
async def test_failures_are_told_once_and_touch_nobody_else(form: str, tmp_path: Path) -> None:
    async with engine_of(form, ScriptedModel(max_slots=3, max_batch=1), tmp_path) as engine:
        ears = [speak(engine, text)[0] for text in ("a!", "ab", "a?")]
        busy, _ = speak(engine, "a")
        for ear in (*ears, busy):
            await soon(ear.ended.wait())
        assert [ear.ends for ear in ears] == [[FAILED], ["closed"], ["This cannot be said."]]
        (end,) = busy.ends
        assert end.startswith("busy: all 3 slots of the voice engine are in use")
        assert engine.num_errors == 1
        assert engine.num_streams == 0
        assert (await hear(engine)).ends == ["closed"]


class Deaf(Ear):
    """Raises at its second patch."""

    def on_patch(self, patch: Spoke) -> None:
        if self.patches:
            raise RuntimeError("no room for it")
        super().on_patch(patch)


@FORMS
async def test_listener_that_raises_loses_its_stream_and_no_other(form: str, tmp_path: Path) -> None:
    reports: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reports.append(context))
    async with engine_of(form, ToneModel(), tmp_path) as engine:
        deaf = Deaf()
        text = "x" * 100
        for ear_number in range(3):
            if ear_number == 1:
                stream = engine.open(deaf, session="s", voice="tone", params=SpeechParams(seed=9), lead_samples=None)
                stream.speak(text)
            else:
                ear, _ = speak(engine, text, seed=ear_number + 1, lead=None)
        await soon(ear.ended.wait())
        ear.heard_the_tone(3, text)
        await soon(deaf.ended.wait())
        assert len(deaf.patches) == 1
        assert deaf.ends == [DEAF]
        assert engine.num_streams == 0
        assert [str(report["exception"]) for report in reports] == ["no room for it"]


@FORMS
async def test_engine_whose_every_step_fails_is_told_to_its_streams(form: str, tmp_path: Path) -> None:
    async with engine_of(form, ScriptedModel(), tmp_path) as engine:
        waiting, _ = speak(engine, "a", finish=False)
        await soon(waiting.began.wait())
        for _ in range(MAX_FAILED_STEPS):
            assert (await hear(engine, "!")).ends == [FAILED]
        if form == "local":
            await soon(waiting.ended.wait())
            assert waiting.ends == [LOST]
            assert not engine.ready
            with pytest.raises(EngineUnavailable, match="restarted"):
                speak(engine, "a")


async def test_local_engine_waits_for_a_loop_that_is_behind() -> None:
    """Background work is as fast as the loop takes it; nothing piles up between them."""
    engine = LocalEngine(ToneModel())
    ear, _ = speak(engine, "x" * 20_000, lead=None)
    await soon(ear.began.wait())
    num_patches = len(ear.patches)
    time.sleep(0.3)  # noqa: ASYNC251
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert len(ear.patches) - num_patches <= 2 * 16
    await engine.close()
    assert ear.ends in ([], [LOST])


async def test_remote_engine_is_not_there_before_its_host_is(tmp_path: Path) -> None:
    path = tmp_path / "engine"
    async with asyncio.TaskGroup() as tasks:
        engine = RemoteEngine(path)
        run = tasks.create_task(engine.run())
        await asyncio.sleep(0.1)
        assert not engine.ready
        with pytest.raises(EngineUnavailable, match="still starting"):
            _ = engine.info
        with pytest.raises(EngineUnavailable):
            await engine.ping()
        async with served(ToneModel(), path):
            await soon(engine.reached())
            assert engine.info == ToneModel().info
            assert (await engine.ping()).step_age_s == 0.0
            (await hear(engine, "hello", seed=5)).heard_the_tone(5, "hello")
        run.cancel()


async def test_lost_host_fails_each_stream_once_and_the_next_one_serves(tmp_path: Path) -> None:
    path = tmp_path / "engine"
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(served(ToneModel(), path))
        engine = await stack.enter_async_context(connected(path))
        ears = [speak(engine, "x" * 5_000, seed=seed)[0] for seed in range(1, 20)]
        for ear in ears:
            await soon(ear.began.wait())
        first.cut()
        path.unlink()
        for ear in ears:
            await soon(ear.ended.wait())
        assert not engine.ready
        assert engine.num_streams == 0
        with pytest.raises(EngineUnavailable, match="restarted"):
            speak(engine, "now")
        async with served(ToneModel(), path):
            await until(lambda: engine.ready)
            (await hear(engine, "again", seed=6)).heard_the_tone(6, "again")
            assert engine.num_restarts == 1
            assert [ear.ends for ear in ears] == [[LOST]] * len(ears)


async def test_ping_that_is_under_way_ends_with_the_connection(tmp_path: Path) -> None:
    """A watchdog that waited for its time-out would take the dead for hung."""
    path = tmp_path / "engine"

    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        body: bytes = msgpack.packb({"info": pack_info(ToneModel().info)})
        writer.write(struct.pack("<I", len(body)) + body)
        await reader.readexactly(8)
        writer.close()

    server = await asyncio.start_unix_server(mute, path)
    async with connected(path) as engine:
        with pytest.raises(EngineUnavailable, match="restarted"):
            await asyncio.wait_for(engine.ping(), 30)
        server.close()
