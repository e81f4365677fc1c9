"""A second engine stands by: what it takes over, and who stands by then."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from models.base import ModelError, ModelOptions
from streaming_server.config import Config, ConfigError
from streaming_server.engine_client import RemoteEngine
from streaming_server.engine_fleet import EngineFleet
from streaming_server.engine_lasting import KILLER
from streaming_server.engine_process import EngineProcess
from streaming_server.engine_room import _processes, running_engine
from streaming_server.engine_standby import StandbyEngine
from tests.models.engine.scripted import PATCH

from .ears import connected, hear, soon, speak, until
from .learning import fields, sound_file, speech
from .scripted_host import KILLS

TEXT = "Sixteen patches and no more."
LEAD = 22_050


@asynccontextmanager
async def standing_by(
    directory: Path,
    model: str = "tone",
    *,
    host: str = "streaming_server.engine_host",
    options: ModelOptions | None = None,
    kind: type[EngineProcess] = EngineProcess,
) -> AsyncIterator[tuple[StandbyEngine, RemoteEngine]]:
    path = directory / "engine"
    make = partial(kind, model, start_timeout_s=20.0, step_timeout_s=1.0, host=host, options=options, name="the engine")
    pair = StandbyEngine(make, path, "the engine")
    await soon(pair.start())
    try:
        async with connected(path) as remote, asyncio.TaskGroup() as tasks:
            watch = tasks.create_task(pair.watch(remote))
            await until(lambda: pair.standby_pid is not None)
            yield pair, remote
            watch.cancel()
    finally:
        await pair.stop()


def kill(pid: int | None, number: signal.Signals = signal.SIGKILL) -> None:
    assert pid is not None
    os.kill(pid, number)


@pytest.mark.parametrize("fault", [signal.SIGKILL, pytest.param(signal.SIGSTOP, marks=pytest.mark.full)])
async def test_who_stands_by_goes_on_for_all_web_processes_and_is_followed(
    fault: signal.Signals, tmp_path: Path
) -> None:
    async with standing_by(tmp_path) as (pair, remote), connected(tmp_path / "engine") as other:
        fleets = [EngineFleet([each]) for each in (remote, other)]
        ears = {seed: speak(fleets[seed % 2], TEXT, seed=seed, lead=LEAD)[0] for seed in range(1, 11)}
        for ear in ears.values():
            await soon(ear.began.wait())
        next_pid = pair.standby_pid
        kill(pair.pid, fault)
        for seed, ear in ears.items():
            await soon(ear.ended.wait())
            ear.heard_the_tone(seed, TEXT)
        assert pair.pid == next_pid
        await until(lambda: pair.standby_pid not in (None, next_pid))
        assert pair.num_restarts == 1
        kill(pair.pid)
        await until(lambda: pair.num_restarts == 2 and all(fleet.ready for fleet in fleets))
        assert (await hear(fleets[1])).ends == ["closed"]
        assert sum(fleets[0].faults.values()) == 2


async def test_one_that_dies_while_it_stands_by_is_replaced_and_missed_by_nobody(tmp_path: Path) -> None:
    async with standing_by(tmp_path) as (pair, remote):
        first = pair.standby_pid
        kill(first)
        await until(lambda: pair.standby_pid not in (None, first))
        assert (pair.num_restarts, remote.num_restarts, remote.num_lost) == (0, 0, 0)
        assert not [name for name in os.listdir(tmp_path) if name.startswith("engine.1")]


@pytest.mark.full
async def test_the_death_of_both_is_survived(tmp_path: Path) -> None:
    async with standing_by(tmp_path) as (pair, remote):
        fleet = EngineFleet([remote])
        ear, _ = speak(fleet, TEXT, lead=LEAD)
        await soon(ear.began.wait())
        kill(pair.standby_pid)
        kill(pair.pid)
        await soon(ear.ended.wait())
        ear.heard_the_tone(1, TEXT)


class Lingering(EngineProcess):
    """As one with much memory, or with a device that does not let go of it: long after its end it is not reaped."""

    is_gone = asyncio.Event()

    async def stop(self) -> None:
        self.kill()
        await self.is_gone.wait()
        await super().stop()


async def test_who_has_taken_over_is_watched_though_the_one_before_lingers(tmp_path: Path) -> None:
    Lingering.is_gone.clear()
    async with standing_by(tmp_path, kind=Lingering) as (pair, _):
        next_pid = pair.standby_pid
        kill(pair.pid)
        try:
            await until(lambda: pair.pid == next_pid)
            kill(next_pid)
            await until(lambda: pair.num_restarts == 2)
        finally:
            Lingering.is_gone.set()


@pytest.mark.full
async def test_a_text_that_kills_is_refused_however_many_stand_by(tmp_path: Path) -> None:
    async with standing_by(tmp_path, "scripted", host="tests.streaming_server.scripted_host") as (_, remote):
        fleet = EngineFleet([remote])
        healthy = [speak(fleet, "x" * 12, lead=2 * PATCH)[0] for _ in range(20)]
        killer, _ = speak(fleet, f"ab{KILLS}", lead=2 * PATCH)
        for ear in healthy:
            await soon(ear.ended.wait())
            assert ear.ends == ["closed"]
            assert [patch.index for patch in ear.patches] == list(range(12))
        await soon(killer.ended.wait())
        assert killer.ends == [KILLER]


@pytest.mark.full
async def test_it_knows_the_voices_that_were_learnt_meanwhile(tmp_path: Path) -> None:
    voices = tmp_path / "voices"
    options = ModelOptions(voices=voices)
    host = "tests.streaming_server.learning_host"
    async with standing_by(tmp_path, "learning", host=host, options=options) as (_, remote):
        folder = voices / "anna"
        folder.mkdir(parents=True)
        (folder / "prompt.wav").write_bytes(sound_file(speech()))
        toml = "\n".join(f"{key} = {value!r}" for key, value in fields(name="anna").items())
        (folder / "voice.toml").write_text(toml)
        await remote.reload_voices()
        assert "anna" in {voice.name for voice in remote.info.voices}
        async with connected(tmp_path / "engine.1") as standby:
            await until(lambda: "anna" in {voice.name for voice in standby.info.voices})


async def test_a_second_engine_that_cannot_be_is_told_at_the_start(tmp_path: Path) -> None:
    def make(path: Path) -> EngineProcess:
        model = "refuses" if path.name == "engine.1" else "scripted"
        host = "tests.streaming_server.scripted_host"
        return EngineProcess(model, path, start_timeout_s=20.0, step_timeout_s=1.0, host=host)

    pair = StandbyEngine(make, tmp_path / "engine", "the engine")
    with pytest.raises(ModelError, match="directory with weights"):
        await soon(pair.start())
    assert pair.standby_pid is None
    assert not (tmp_path / "engine").exists()


@pytest.mark.parametrize(("asked", "each"), [(0.0, 0.46), (0.5, 0.25), (80.0, 40.0)])
def test_two_engines_share_the_memory_of_a_gpu(asked: float, each: float, tmp_path: Path) -> None:
    (pair,) = _processes(Config(standby=True, gpu_memory=asked), "tone", tmp_path)
    assert isinstance(pair, StandbyEngine)
    assert f'"gpu_memory": {each}' in " ".join(pair._active._command)


async def test_what_cannot_be_shared_or_doubled_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="more than 2 GiB"):
        _processes(Config(standby=True, gpu_memory=2), "tone", tmp_path)
    with pytest.raises(ConfigError, match="wants no --standby"):
        async with running_engine(Config(standby=True, engine="inprocess"), "tone", tmp_path):
            pass
