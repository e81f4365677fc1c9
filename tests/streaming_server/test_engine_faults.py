"""An engine is killed, hangs, or is killed by a text: every utterance goes on where it was, and ends once."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from bench.checkpoint import write_checkpoint
from bench.checkpoint_shapes import SHAPES
from models.base import ModelOptions, Pcm
from models.engine import Fault, Reading
from models.engine.streams import FAILED
from streaming_server import engine_fleet, engine_ward
from streaming_server.admission import Admission
from streaming_server.engine_fleet import EngineFleet
from streaming_server.engine_lasting import KILLER
from streaming_server.engine_process import EngineProcess
from streaming_server.engine_streams import LOST, EngineUnavailable
from streaming_server.engine_ward import NUM_DEATHS
from streaming_server.metrics import Metrics
from tests.models.engine.scripted import IS_NOT_A_NUMBER, PATCH, ScriptedModel

from .ears import Ear, connected, hear, scripted_process, served, soon, speak, until, watched
from .scripted_host import (
    EXITS,
    HANGS,
    HAS_NO_MEMORY,
    KILLS,
    KILLS_ON_RETURN,
    LOSES_DEVICE,
    RAISES,
    SEGFAULTS,
    TAKES_TWO_SECONDS,
)

LEAD = 22_050  # half a second of the tone
TEXT = "Sixteen patches and no more."
ESPEAK_TEXTS = ("One sentence, and “another” one follows; then it ends.", "Two. Three! Four?", "A plain short text")


@asynccontextmanager
async def engine_process(
    directory: Path, model: str, *, step_timeout_s: float = 4.0
) -> AsyncIterator[tuple[EngineProcess, EngineFleet]]:
    path = directory / model
    scripted = scripted_process(path, step_timeout_s=step_timeout_s)
    real = EngineProcess(model, path, start_timeout_s=20.0, step_timeout_s=step_timeout_s)
    process = scripted if model == "scripted" else real
    async with watched(process, path) as host:
        yield process, EngineFleet([host])


def crowd(fleet: EngineFleet, num_streams: int = 20) -> dict[int, Ear]:
    return {seed: speak(fleet, TEXT, seed=seed, lead=LEAD)[0] for seed in range(1, num_streams + 1)}


async def all_heard(ears: dict[int, Ear]) -> None:
    for seed, ear in ears.items():
        await soon(ear.ended.wait())
        ear.heard_the_tone(seed, TEXT)
        assert [patch.index for patch in ear.patches] == list(range(len(ear.patches)))
        assert sum(len(patch.words) for patch in ear.patches) == len(TEXT.split())


async def kill(process: EngineProcess, number: signal.Signals = signal.SIGKILL) -> None:
    assert process.pid is not None
    os.kill(process.pid, number)


async def back(process: EngineProcess, fleet: EngineFleet, pid: int | None) -> None:
    await until(lambda: process.pid != pid and fleet.ready)


@pytest.mark.parametrize("fault", [signal.SIGKILL, signal.SIGSTOP])
async def test_all_utterances_of_an_engine_that_is_killed_or_hangs_are_complete(
    fault: signal.Signals, tmp_path: Path
) -> None:
    async with engine_process(tmp_path, "tone", step_timeout_s=1.0) as (process, fleet):
        ears = crowd(fleet)
        for ear in ears.values():
            await soon(ear.began.wait())
        await kill(process, fault)
        await until(lambda: not fleet.ready)
        assert fleet.num_streams == 20
        await all_heard(ears)
        assert fleet.num_lost == fleet.num_reopened == 20
        assert fleet.num_streams == fleet.num_listeners == 0
        lines = Metrics(fleet).page().decode().splitlines()
        assert {"voxwire_engine_lost_streams 20.0", "voxwire_engine_reopened_streams 20.0"} <= set(lines)


async def test_espeak_goes_on_to_the_sample(tmp_path: Path) -> None:
    async with engine_process(tmp_path, "espeak") as (process, fleet):
        whole: list[Pcm] = [(await hear(fleet, text)).pcm for text in ESPEAK_TEXTS]
        ears = [speak(fleet, text, lead=LEAD)[0] for text in ESPEAK_TEXTS]
        for ear in ears:
            await soon(ear.began.wait())
        await kill(process)
        for ear, pcm in zip(ears, whole, strict=True):
            await soon(ear.ended.wait())
            assert ear.ends == ["closed"]
            np.testing.assert_array_equal(ear.pcm, pcm)
        assert fleet.num_reopened == 3


@pytest.mark.full
async def test_a_neural_voice_goes_on_from_what_was_delivered(tmp_path: Path) -> None:
    """Wherever it was cut: nothing but the order of a few additions may differ."""
    write_checkpoint(tmp_path / "tiny", SHAPES["tiny"], seed=1, never_stop=True)
    path = tmp_path / "engine"
    options = ModelOptions(num_threads=1, cache=tmp_path)
    process = EngineProcess(str(tmp_path / "tiny"), path, start_timeout_s=60.0, step_timeout_s=4.0, options=options)
    async with watched(process, path) as host:
        fleet = EngineFleet([host])
        whole = (await hear(fleet, "So.")).pcm.astype(np.int32)
        num_patches = len(whole) // fleet.info.patch_samples
        assert num_patches > 6
        for cut_at in (1, num_patches // 2):
            ear, _ = speak(fleet, "So.", lead=LEAD)
            await until(lambda ear=ear, cut_at=cut_at: len(ear.patches) >= cut_at)  # type: ignore[misc]
            await kill(process)
            await soon(ear.ended.wait(), 60.0)
            assert ear.ends == ["closed"]
            np.testing.assert_allclose(ear.pcm.astype(np.int32), whole, rtol=0, atol=2)
        assert fleet.num_reopened == 2


async def test_an_engine_killed_again_as_it_comes_back_loses_nothing(tmp_path: Path) -> None:
    async with engine_process(tmp_path, "tone") as (process, fleet):
        ears = crowd(fleet)
        for ear in ears.values():
            await soon(ear.began.wait())
        pid = process.pid
        await kill(process)
        await back(process, fleet, pid)
        num_patches = fleet.num_patches
        await until(lambda: fleet.num_patches > num_patches)
        await kill(process)
        await all_heard(ears)
        assert process.num_restarts == 2


async def test_text_that_is_written_meanwhile_is_spoken(tmp_path: Path) -> None:
    """Before the engine is gone, while it is, and once it is back; one is finished while there is no engine."""
    async with engine_process(tmp_path, "tone") as (process, fleet):
        streams = [speak(fleet, "First. ", seed=seed, finish=False) for seed in (1, 2, 3)]
        (silent, late), *_ = streams[2:]
        await until(lambda: all(ear.patches and ear.patches[-1].last for ear, _ in streams))
        pid = process.pid
        await kill(process)
        for _, stream in streams[:2]:
            stream.speak("Second. ")
        await until(lambda: not fleet.ready)
        for _, stream in streams[:2]:
            stream.expect("Th")
            stream.speak("Third. ")
        streams[0][1].finish()
        await back(process, fleet, pid)
        streams[1][1].speak("Fourth. ")
        streams[1][1].finish()
        await asyncio.sleep(0.1)
        assert silent.ends == []
        late.finish()
        for ear, _ in streams:
            await soon(ear.ended.wait())
        streams[0][0].heard_the_tone(1, "First. Second. Third. ")
        streams[1][0].heard_the_tone(2, "First. Second. Third. Fourth. ")
        silent.heard_the_tone(3, "First. ")


async def test_who_is_cancelled_while_there_is_no_engine_hears_nothing_more(tmp_path: Path) -> None:
    async with engine_process(tmp_path, "tone") as (process, fleet):
        gone, stream = speak(fleet, TEXT, seed=50, lead=LEAD)
        ears = crowd(fleet, 4)
        for ear in (gone, *ears.values()):
            await soon(ear.began.wait())
        await kill(process)
        await until(lambda: not fleet.ready)
        num_patches = len(gone.patches)
        stream.cancel()
        assert fleet.num_streams == 4
        await all_heard(ears)
        assert (len(gone.patches), gone.ends) == (num_patches, [])
        assert fleet.num_reopened == 4


async def test_who_has_heard_all_but_the_end_is_told_the_end(tmp_path: Path) -> None:
    async with served(ScriptedModel(), tmp_path / "engine") as host, connected(tmp_path / "engine") as remote:
        fleet = EngineFleet([remote])
        ear, stream = speak(fleet, "abc", finish=False)
        await until(lambda: len(ear.patches) == 3)
        host.cut()
        stream.finish()
        await soon(ear.ended.wait())
        assert ear.ends == ["closed"]
        assert len(ear.patches) == 3


@pytest.mark.full
async def test_pace_and_pauses_are_known_to_the_next_engine(tmp_path: Path) -> None:
    """Who is suspended, paused or far ahead is not spoken to, whatever the new engine would think."""
    async with served(ScriptedModel(), tmp_path / "engine") as host, connected(tmp_path / "engine") as remote:
        fleet = EngineFleet([remote])
        lead = 3 * PATCH
        suspended, first = speak(fleet, "x" * 20, lead=lead)
        paused, second = speak(fleet, "x" * 20, lead=lead)
        await until(lambda: min(len(suspended.patches), len(paused.patches)) >= 3)
        first.suspend()
        second.pace(Reading(0, None))
        await hear(fleet, "a")
        heard = [len(ear.patches) for ear in (suspended, paused)]
        host.cut()
        await until(lambda: fleet.num_reopened == 2)
        await hear(fleet, "abc")
        await asyncio.sleep(0.3)
        assert [len(ear.patches) for ear in (suspended, paused)] == heard
        first.resume()
        second.pace(Reading(0, asyncio.get_running_loop().time() - 60))
        for ear in (suspended, paused):
            await soon(ear.ended.wait())
            assert [patch.index for patch in ear.patches] == list(range(20))


def healthy_crowd(fleet: EngineFleet) -> dict[int, Ear]:
    return {seed: speak(fleet, "x" * 12, seed=seed, lead=2 * PATCH)[0] for seed in range(1, 21)}


async def all_whole(ears: dict[int, Ear]) -> None:
    """To the sample, in order, once, and a good end."""
    for seed, ear in ears.items():
        await soon(ear.ended.wait(), 40.0)
        assert ear.ends == ["closed"]
        wanted = np.full((12, PATCH), seed, np.int16)
        wanted[:, 0] = np.arange(12)
        np.testing.assert_array_equal(ear.pcm, wanted.ravel())


@pytest.mark.parametrize(
    ("poison", "kind", "num_deaths"),
    [
        (KILLS, Fault.KILLED, NUM_DEATHS + 1),
        pytest.param(f"ab{KILLS}c", Fault.KILLED, NUM_DEATHS + 1, marks=pytest.mark.full),
        pytest.param(EXITS, Fault.EXITED, NUM_DEATHS + 1, marks=pytest.mark.full),
        pytest.param(SEGFAULTS, Fault.KILLED, NUM_DEATHS + 1, marks=pytest.mark.full),
        pytest.param(LOSES_DEVICE, Fault.EXITED, NUM_DEATHS + 1, marks=pytest.mark.full),
        pytest.param(HANGS, Fault.HUNG, NUM_DEATHS + 1, marks=pytest.mark.full),
        (f"ab{RAISES}", Fault.RAISED, 0),
        pytest.param(HAS_NO_MEMORY, Fault.OUT_OF_MEMORY, 0, marks=pytest.mark.full),
    ],
)
async def test_a_text_that_kills_is_refused_and_nobody_else(
    poison: str, kind: Fault, num_deaths: int, tmp_path: Path
) -> None:
    async with engine_process(tmp_path, "scripted", step_timeout_s=0.6) as (process, fleet):
        healthy = healthy_crowd(fleet)
        killer, _ = speak(fleet, poison, seed=99, lead=2 * PATCH)
        await soon(killer.ended.wait(), 40.0)
        assert killer.ends == [KILLER]
        await all_whole(healthy)
        assert process.num_restarts <= num_deaths
        assert fleet.faults[kind] >= NUM_DEATHS
        assert (fleet.num_refused, fleet.num_lost - fleet.num_reopened) == (1, 1)
        assert f'voxwire_engine_faults_total{{kind="{kind}"}} {fleet.faults[kind]}.0' in Metrics(fleet).page().decode()
        assert (await hear(fleet, "abc")).ends == ["closed"]


async def test_four_who_kill_are_found_with_a_death_for_each_and_two_more(tmp_path: Path) -> None:
    async with engine_process(tmp_path, "scripted") as (process, fleet):
        healthy = healthy_crowd(fleet)
        killers = [speak(fleet, f"ab{KILLS}", seed=90 + number, lead=2 * PATCH)[0] for number in range(4)]
        for killer in killers:
            await soon(killer.ended.wait(), 40.0)
            assert killer.ends == [KILLER]
        await all_whole(healthy)
        assert fleet.num_refused == 4
        assert process.num_restarts <= NUM_DEATHS + 3 + 2  # where not all were in the first step that killed


async def test_a_patch_that_is_no_sound_ends_its_own_utterance_at_once(tmp_path: Path) -> None:
    async with engine_process(tmp_path, "scripted") as (process, fleet):
        healthy = healthy_crowd(fleet)
        mute, _ = speak(fleet, f"ab{IS_NOT_A_NUMBER}", seed=99, lead=2 * PATCH)
        await soon(mute.ended.wait())
        assert (mute.ends, len(mute.patches)) == ([FAILED], 2)
        await all_whole(healthy)
        assert (fleet.faults[Fault.UNSOUND], fleet.num_lost, process.num_restarts) == (1, 0, 0)


@pytest.mark.full
async def test_a_slow_step_is_counted_and_ends_nobody(tmp_path: Path) -> None:
    async with engine_process(tmp_path, "scripted") as (process, fleet):
        healthy = healthy_crowd(fleet)
        slow, _ = speak(fleet, f"ab{TAKES_TWO_SECONDS}", seed=99, lead=2 * PATCH)
        await soon(slow.ended.wait())
        assert slow.ends == ["closed"]
        await all_whole(healthy)
        assert (fleet.faults[Fault.SLOW], fleet.num_lost, process.num_restarts) == (1, 0, 0)


@pytest.mark.full
async def test_one_that_has_nothing_to_say_and_kills_on_return_is_refused(tmp_path: Path) -> None:
    async with engine_process(tmp_path, "scripted") as (process, fleet):
        killer, _ = speak(fleet, "abc", seed=KILLS_ON_RETURN, finish=False)
        idle, stream = speak(fleet, "abc", finish=False)
        await until(lambda: len(killer.patches) == len(idle.patches) == 3)
        await kill(process)
        await soon(killer.ended.wait())
        assert killer.ends == [KILLER]
        stream.speak("def")
        stream.finish()
        await soon(idle.ended.wait())
        assert idle.ends == ["closed"]
        assert [patch.index for patch in idle.patches] == list(range(6))


@pytest.mark.full
async def test_a_killer_in_one_web_process_costs_the_others_nothing(tmp_path: Path) -> None:
    """They try what might have been it one at a time, too."""
    path = tmp_path / "engine"
    process = scripted_process(path)
    async with watched(process, path) as host, AsyncExitStack() as stack:
        others = [await stack.enter_async_context(connected(path)) for _ in range(3)]
        fleets = [EngineFleet([each]) for each in (host, *others)]
        healthy = [speak(fleet, "x" * 12, lead=2 * PATCH)[0] for fleet in fleets for _ in range(5)]
        killer, _ = speak(fleets[0], f"ab{KILLS}", lead=2 * PATCH)
        for ear in healthy:
            await soon(ear.ended.wait())
            assert ear.ends == ["closed"]
            assert [patch.index for patch in ear.patches] == list(range(12))
        assert killer.ends == [KILLER]


async def test_a_killer_is_tried_on_its_own_device_and_everybody_else_is_left_whole(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        paths = [tmp_path / "engine0", tmp_path / "engine1"]
        processes = [scripted_process(path) for path in paths]
        fleet = EngineFleet(
            [await stack.enter_async_context(watched(*each)) for each in zip(processes, paths, strict=True)]
        )
        healthy = [speak(fleet, "x" * 12, lead=2 * PATCH)[0] for _ in range(12)]
        killer, _ = speak(fleet, f"ab{KILLS}", lead=2 * PATCH)
        for ear in healthy:
            await soon(ear.ended.wait())
            assert ear.ends == ["closed"]
            assert [patch.index for patch in ear.patches] == list(range(12))
        assert killer.ends == [KILLER]
        assert sorted(process.num_restarts for process in processes)[0] == 0


async def test_two_web_processes_go_on_in_the_same_new_engine(tmp_path: Path) -> None:
    path = tmp_path / "tone"
    async with engine_process(tmp_path, "tone") as (process, first), connected(path) as remote:
        second = EngineFleet([remote])
        mine, others = crowd(first, 5), crowd(second, 5)
        for ear in (*mine.values(), *others.values()):
            await soon(ear.began.wait())
        await kill(process)
        await all_heard(mine)
        await all_heard(others)


async def test_an_engine_that_does_not_come_back_ends_its_utterances_in_time(tmp_path: Path) -> None:
    path = tmp_path / "engine"
    async with served(ScriptedModel(), path) as host, connected(path) as remote:
        fleet = EngineFleet([remote], patience_s=0.2)
        ear, stream = speak(fleet, "abc", finish=False)
        await soon(ear.began.wait())
        path.unlink()
        host.cut()
        await soon(ear.ended.wait())
        assert ear.ends == [LOST]
        stream.speak("more")
        stream.cancel()
        assert fleet.num_streams == 0


async def test_who_comes_while_the_engine_is_started_again_is_heard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For as long as newcomers wait: a busy machine may take more than their second to start an engine."""
    monkeypatch.setattr(engine_ward, "NEWCOMER_WAITS_S", 20.0)
    monkeypatch.setattr(engine_fleet, "NEWCOMER_WAITS_S", 20.0)
    async with engine_process(tmp_path, "tone") as (process, fleet):
        await kill(process)
        await until(lambda: not fleet.ready)
        assert fleet.admits
        assert Admission(fleet, max_sessions=9).refuse_utterance("s") is None
        ears = crowd(fleet, 3)
        gone, stream = speak(fleet, TEXT)
        assert fleet.num_streams == 4
        stream.cancel()
        await all_heard(ears)
        assert (gone.ends, gone.patches, fleet.num_reopened) == ([], [], 0)


async def test_who_comes_is_told_in_time_that_the_engine_does_not(tmp_path: Path) -> None:
    path = tmp_path / "engine"
    async with served(ScriptedModel(), path) as host, connected(path) as remote:
        fleet = EngineFleet([remote])
        path.unlink()
        host.cut()
        await until(lambda: not fleet.ready)
        ear, _ = speak(fleet, "abc")
        await soon(ear.ended.wait(), 1.5)
        assert ear.ends == [f"busy: {LOST}"]
        assert not fleet.admits
        assert Admission(fleet, max_sessions=9).refuse_utterance("s") is not None
        with pytest.raises(EngineUnavailable):
            speak(fleet, "abc")


async def test_who_finds_no_slot_on_return_waits_for_one(tmp_path: Path) -> None:
    """Others have taken them meanwhile; who was let in once is not turned away."""
    path = tmp_path / "engine"
    async with served(ScriptedModel(max_slots=1), path) as host, connected(path) as remote, connected(path) as other:
        fleet = EngineFleet([remote])
        ear, _ = speak(fleet, "x" * 10, lead=2 * PATCH)
        await soon(ear.began.wait())
        assert remote._link is not None
        remote._link.cut()
        await until(lambda: host.num_streams == 0)
        taker, taken = speak(other, "a", finish=False)
        await soon(taker.began.wait())
        await until(lambda: remote.ready)
        num_patches = len(ear.patches)
        await asyncio.sleep(0.1)
        assert (len(ear.patches), ear.ends, fleet.num_streams, fleet.num_reopened) == (num_patches, [], 1, 0)
        taken.cancel()
        await soon(ear.ended.wait())
        assert ear.ends == ["closed"]
        assert [patch.index for patch in ear.patches] == list(range(10))
        assert fleet.num_reopened == 1


async def test_the_models_own_fault_still_fails(tmp_path: Path) -> None:
    async with served(ScriptedModel(), tmp_path / "engine") as host, connected(tmp_path / "engine") as remote:
        fleet = EngineFleet([remote])
        ear, _ = speak(fleet, "x" * 10 + "?", lead=2 * PATCH)
        await soon(ear.began.wait())
        host.cut()
        await soon(ear.ended.wait())
        assert ear.ends == ["This cannot be said."]
        assert len(ear.patches) == 10
