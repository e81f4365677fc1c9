"""Several engines as one: who speaks what, who is asked next, and what is left when one is gone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from threading import Event

import pytest

from models.base import ModelError, SpeechModel, SpeechParams
from models.engine import Ear as Does
from models.engine import Reading
from models.tone import ToneModel
from streaming_server.engine_client import EngineClient, EngineUnavailable, LocalEngine, RemoteEngine, Stream
from streaming_server.engine_fleet import EngineFleet
from streaming_server.metrics import Metrics
from tests.models.engine.scripted import ScriptedModel

from .ears import LEAD, Ear, Served, connected, served, soon, speak, until
from .learning import LearningTone
from .test_engine_voices import Stubborn, put


@asynccontextmanager
async def fleet_of(*models: SpeechModel) -> AsyncIterator[EngineFleet]:
    engines = [LocalEngine(model) for model in models]
    fleet = EngineFleet(engines)
    try:
        yield fleet
    finally:
        await fleet.close()


@asynccontextmanager
async def hosts_of(directory: Path, models: Sequence[SpeechModel]) -> AsyncIterator[list[Served]]:
    async with AsyncExitStack() as stack:
        paths = [directory / f"engine{number}" for number in range(len(models))]
        yield [await stack.enter_async_context(served(model, path)) for model, path in zip(models, paths, strict=True)]


@asynccontextmanager
async def web_process(directory: Path, num_hosts: int = 2) -> AsyncIterator[EngineFleet]:
    async with AsyncExitStack() as stack:
        paths = [directory / f"engine{number}" for number in range(num_hosts)]
        yield EngineFleet([await stack.enter_async_context(connected(path)) for path in paths])


def join(engine: EngineClient, *, lead: int | None = LEAD, session: str = "s") -> tuple[Ear, Stream]:
    """Somebody who has nothing to hear yet."""
    ear = Ear()
    voice = engine.info.default_voice
    return ear, engine.open(ear, session=session, voice=voice, params=SpeechParams(), lead_samples=lead)


def streams_of(fleet: EngineFleet) -> list[int]:
    return [host.num_streams for host in fleet.hosts]


async def test_many_streams_hear_what_is_theirs_from_all_engines() -> None:
    async with fleet_of(ToneModel(), ToneModel(), ToneModel()) as fleet:
        ears = {seed: speak(fleet, "hello there " * (seed % 4), seed=seed)[0] for seed in range(1, 40)}
        assert min(streams_of(fleet)) >= 10
        for seed, ear in ears.items():
            await soon(ear.ended.wait())
            ear.heard_the_tone(seed, "hello there " * (seed % 4))
        assert (fleet.num_streams, fleet.num_listeners) == (0, 0)
        assert fleet.num_patches == sum(len(ear.patches) for ear in ears.values())
        assert fleet.num_steps == sum(host.num_steps for host in fleet.hosts)
        assert all(host.num_steps for host in fleet.hosts)
        assert fleet.busy_s > 0
        assert fleet.num_errors == fleet.num_restarts == 0


async def test_nobody_new_comes_to_where_a_suspect_is_tried(tmp_path: Path) -> None:
    """There it may kill; and it is tried where it was, however little the other has to do."""
    is_tried, goes_on = Event(), Event()

    def raise_once() -> None:
        if not is_tried.is_set():
            is_tried.set()
            raise RuntimeError("the step crashed")
        goes_on.wait(20.0)

    models = [ScriptedModel(max_slots=16, acts={"R": raise_once}) for _ in range(2)]
    async with hosts_of(tmp_path, models) as (first, second), web_process(tmp_path) as fleet:
        suspect, _ = speak(fleet, "abR", lead=None)
        await until(is_tried.is_set)
        await until(lambda: fleet.num_reopened == 1)
        assert streams_of(fleet) == [1, 0]
        others = [speak(fleet, "abc", seed=number, lead=None)[0] for number in range(2, 6)]
        assert streams_of(fleet) == [1, 4]
        goes_on.set()
        for ear in (suspect, *others):
            await soon(ear.ended.wait())
            assert ear.ends == ["closed"]
        assert [each.engine.num_errors for each in (first, second)] == [1, 0]


async def test_nobody_is_refused_for_what_befalls_one_device_while_another_speaks() -> None:
    failing = iter(range(6))  # no memory is left there, say: all together twice, and each alone

    def fail(_: int) -> None:
        if next(failing, None) is not None:
            raise RuntimeError("the step crashed")

    async with fleet_of(ScriptedModel(spend=fail), ScriptedModel(spend=lambda _: time.sleep(0.002))) as fleet:
        ears = [join(fleet, lead=None) for _ in range(8)]
        assert streams_of(fleet) == [4, 4]
        for number, (_, stream) in enumerate(ears):
            stream.speak("abc" if number % 2 == 0 else "x" * 200)
            stream.finish()
        for ear, _ in ears:
            await soon(ear.ended.wait())
            assert ear.ends == ["closed"]
        assert next(failing, None) is None


async def test_newcomers_are_spread_by_what_each_engine_can_do() -> None:
    async with fleet_of(ScriptedModel(max_slots=64), ScriptedModel(max_slots=64)) as fleet:
        for _ in range(6):
            join(fleet)
        assert streams_of(fleet) == [3, 3]
        small, large = fleet.hosts
        assert isinstance(small, LocalEngine)
        assert isinstance(large, LocalEngine)
        small.capacity, large.capacity = 10.0, 30.0
        assert fleet.capacity == 40
        for _ in range(18):
            join(fleet)
        assert streams_of(fleet) == [6, 18]


async def test_background_work_is_spread_though_nobody_listens() -> None:
    async with fleet_of(ScriptedModel(max_slots=64), ScriptedModel(max_slots=64)) as fleet:
        for _ in range(8):
            join(fleet, lead=None)
        assert streams_of(fleet) == [4, 4]
        assert fleet.num_listeners == 0


async def test_web_processes_know_each_others_listeners(tmp_path: Path) -> None:
    models = [ScriptedModel(max_slots=64), ScriptedModel(max_slots=64)]
    async with hosts_of(tmp_path, models), web_process(tmp_path) as first, web_process(tmp_path) as second:
        streams = [join(first.hosts[0])[1] for _ in range(5)]
        await until(lambda: second.hosts[0].num_listeners == 5)
        assert second.num_streams_elsewhere == 5
        for _ in range(7):
            join(second)
        assert streams_of(second) == [1, 6]
        await until(lambda: [host.num_listeners for host in first.hosts] == [6, 6])
        async with web_process(tmp_path) as third:
            await until(lambda: third.num_listeners == 12)
            join(third)
            await until(lambda: first.num_listeners == 13)
        await until(lambda: first.num_listeners == 12)
        for stream in streams:
            stream.cancel()
        await until(lambda: second.num_streams_elsewhere == 0)


async def test_refused_by_one_engine_an_utterance_is_spoken_by_the_next() -> None:
    """All that was said meanwhile goes along."""
    first, second = ScriptedModel(max_slots=1), ScriptedModel()
    async with fleet_of(first, second) as fleet:
        full, other = fleet.hosts
        assert isinstance(full, LocalEngine)
        assert isinstance(other, LocalEngine)
        join(full, lead=None)
        full.capacity, other.capacity = 1000.0, 10.0  # the full one seems to have most room
        ear, stream = speak(fleet, "abc", finish=False, seed=4)
        stream.speak("def")
        stream.suspend()
        stream.resume()
        stream.pace(Reading(0, None))
        stream.finish()
        await soon(ear.ended.wait())
        assert ear.ends == ["closed"]
        assert len(ear.patches) == 6
        assert [patch.segment for patch in ear.patches] == [0, 0, 0, 1, 1, 1]
        assert second.steps == [[4]] * 6
        quiet, suspended = speak(fleet, "abc", seed=5)
        suspended.suspend()
        await until(lambda: streams_of(fleet) == [1, 1])
        await asyncio.sleep(0.05)
        assert quiet.patches == []


async def test_busy_is_heard_once_and_only_when_all_refuse() -> None:
    async with fleet_of(ScriptedModel(max_slots=1), ScriptedModel(max_slots=1)) as fleet:
        assert fleet.info.max_slots == 2
        held = [join(fleet)[0] for _ in range(2)]
        assert streams_of(fleet) == [1, 1]
        refused, _ = join(fleet)
        await soon(refused.ended.wait())
        assert len(refused.ends) == 1
        assert refused.ends[0].startswith("busy: ")
        assert held[0].ends == held[1].ends == []


async def test_cancelled_before_it_is_refused_it_goes_nowhere_else() -> None:
    async with fleet_of(ScriptedModel(max_slots=1), ScriptedModel()) as fleet:
        full, other = fleet.hosts
        assert isinstance(full, LocalEngine)
        assert isinstance(other, LocalEngine)
        join(full, lead=None)
        full.capacity, other.capacity = 1000.0, 10.0
        ear, stream = speak(fleet, "abc")
        stream.cancel()
        await asyncio.sleep(0.05)
        assert (ear.ends, ear.patches) == ([], [])
        assert streams_of(fleet) == [1, 0]


async def test_a_session_is_refused_only_if_every_engine_refuses_it() -> None:
    async with fleet_of(ScriptedModel(), ScriptedModel()) as fleet:
        for host in fleet.hosts:
            assert isinstance(host, LocalEngine)
            host.is_slow = True
        assert fleet.is_slow
        join(fleet, session="a")
        assert fleet.refusal("b", Does.LISTENS) is None
        join(fleet, session="b")
        assert streams_of(fleet) == [1, 1]
        busy = fleet.refusal("c", Does.LISTENS)
        assert busy is not None
        assert "slowly" in busy.message


async def test_one_engine_goes_and_its_utterances_go_on_in_the_others(tmp_path: Path) -> None:
    async with hosts_of(tmp_path, [ToneModel(), ToneModel()]) as (first, _), web_process(tmp_path) as fleet:
        text = "long " * 400
        ears = [speak(fleet, text, seed=seed, lead=None)[0] for seed in range(1, 9)]
        for ear in ears:
            await soon(ear.began.wait())
        assert streams_of(fleet) == [4, 4]
        first.cut()
        await until(lambda: not fleet.hosts[0].ready)
        assert fleet.ready
        assert speak(fleet, "a")[0].ends == []
        await until(lambda: fleet.num_reopened == 4)
        assert streams_of(fleet)[0] == 0
        for seed, ear in enumerate(ears, start=1):
            await soon(ear.ended.wait())
            ear.heard_the_tone(seed, text)
        assert fleet.num_lost == fleet.num_reopened == 4
        await until(lambda: fleet.hosts[0].ready)
        assert fleet.num_restarts == 1


async def test_without_any_engine_nothing_is_opened(tmp_path: Path) -> None:
    fleet = EngineFleet([RemoteEngine(tmp_path / "nobody"), RemoteEngine(tmp_path / "no one")])
    assert not fleet.ready
    with pytest.raises(EngineUnavailable, match="starting"):
        _ = fleet.info
    with pytest.raises(EngineUnavailable):
        fleet.open(Ear(), session="s", voice="tone", params=SpeechParams(), lead_samples=None)
    with pytest.raises(EngineUnavailable):
        await fleet.reload_voices()


async def test_a_voice_is_there_once_all_engines_have_it(tmp_path: Path) -> None:
    models = [LearningTone(tmp_path), LearningTone(tmp_path)]
    async with fleet_of(*models) as fleet:
        put(tmp_path)
        await fleet.hosts[0].reload_voices()
        assert [voice.name for voice in fleet.info.voices] == ["tone"]
        await fleet.reload_voices()
        assert [voice.name for voice in fleet.info.voices] == ["tone", "Anna"]
        assert [model.num_reloads for model in models] == [2, 1]


async def test_a_voice_that_one_engine_does_not_take_is_nobodys(tmp_path: Path) -> None:
    async with fleet_of(LearningTone(tmp_path), Stubborn(tmp_path, ModelError("The folder is torn."))) as fleet:
        put(tmp_path)
        with pytest.raises(ModelError, match="torn"):
            await fleet.reload_voices()
        assert [voice.name for voice in fleet.info.voices] == ["tone"]


async def test_voices_are_looked_for_though_one_engine_is_gone(tmp_path: Path) -> None:
    sockets = tmp_path / "sockets"
    sockets.mkdir()
    voices = tmp_path / "voices"
    async with hosts_of(sockets, [LearningTone(voices)]), connected(sockets / "engine0") as here:
        fleet = EngineFleet([RemoteEngine(sockets / "engine1"), here])
        put(voices)
        await soon(fleet.reload_voices())
        assert [voice.name for voice in fleet.info.voices] == ["tone", "Anna"]


async def test_metrics_tell_of_each_engine_and_of_all() -> None:
    async with fleet_of(ScriptedModel(max_slots=5), ScriptedModel(max_slots=6)) as fleet:
        for _ in range(3):
            join(fleet)
        lines = Metrics(fleet).page().decode().splitlines()
        assert {'voxwire_host_streams{host="0"} 2.0', 'voxwire_host_streams{host="1"} 1.0'} <= set(lines)
        assert {"voxwire_engine_streams 3.0", "voxwire_engine_slots 11.0", "voxwire_engine_ready 1.0"} <= set(lines)
        assert 'voxwire_host_capacity{host="0"} +Inf' in lines


async def test_told_when_to_come_back_is_the_soonest_of_all_engines() -> None:
    async with fleet_of(ScriptedModel(), ScriptedModel()) as fleet:
        retries_ms = []
        for host, num_others in zip(fleet.hosts, (3, 1), strict=True):
            assert isinstance(host, LocalEngine)
            host.capacity = 1.0
            for number in range(num_others):
                join(host, session=f"other{number}")
            busy = host.refusal("mine", Does.LISTENS)
            assert busy is not None
            retries_ms.append(busy.retry_after_ms)
        told = fleet.refusal("mine", Does.LISTENS)
        assert told is not None
        assert told.retry_after_ms == min(retries_ms)
