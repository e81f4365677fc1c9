"""The engine's own process: real faults, and what is told of them."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import sys
import textwrap
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest
import uvloop

from models.base import ModelError, SpeechParams
from models.engine import Trial
from models.engine.steps import MAX_FAILED_STEPS
from models.engine.streams import FAILED
from streaming_server.engine_client import EngineUnavailable, RemoteEngine
from streaming_server.engine_link import HURRY
from streaming_server.engine_process import EngineProcess
from streaming_server.engine_streams import LOST

from .ears import Ear, connected, hear, scripted_process, soon, speak, until, watched
from .scripted_host import HANGS, KILLS, TAKES_TWO_SECONDS

ROOT = Path(__file__).parents[2]


async def is_back(engine: RemoteEngine, process: EngineProcess, former_pid: int | None) -> None:
    """Another process serves, and a new stream speaks."""
    await until(lambda: process.pid != former_pid and engine.ready)
    assert (await hear(engine, "abc")).ends == ["closed"]


def fill(engine: RemoteEngine, num_streams: int = 5) -> list[Ear]:
    return [speak(engine, "x" * 1000, seed=seed)[0] for seed in range(num_streams)]


async def lost_once(ears: list[Ear]) -> None:
    for ear in ears:
        await soon(ear.ended.wait())
    assert [ear.ends for ear in ears] == [[LOST]] * len(ears)


async def test_killed_engine_is_back_and_every_stream_was_told_once(tmp_path: Path) -> None:
    process = scripted_process(tmp_path / "engine")
    async with watched(process, tmp_path / "engine") as engine:
        pid = process.pid
        assert pid is not None
        ears = fill(engine)
        for ear in ears:
            await soon(ear.began.wait())
        started_s = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        await lost_once(ears)
        assert time.monotonic() - started_s < 3.0  # told by the connection, not by a time-out
        await is_back(engine, process, pid)
        assert time.monotonic() - started_s < 30.0
        assert process.num_restarts == engine.num_restarts == 1
        assert [ear.ends for ear in ears] == [[LOST]] * len(ears)


@pytest.mark.parametrize("trial", [None, Trial(1)])
async def test_it_is_known_of_an_engine_whether_it_died_of_one_on_trial(trial: Trial | None, tmp_path: Path) -> None:
    """Then it is started again without a pause."""
    process = scripted_process(tmp_path / "engine")
    await soon(process.start())
    try:
        async with connected(tmp_path / "engine") as engine:
            voice = engine.info.default_voice
            stream = engine.open(Ear(), session="s", voice=voice, params=SpeechParams(), lead_samples=None, trial=trial)
            stream.speak(KILLS)
            await until(lambda: not process.is_alive)
            assert process.died_on_trial is (trial is not None)
    finally:
        await process.stop()


async def test_engine_that_a_text_kills_is_back_each_time(tmp_path: Path) -> None:
    process = scripted_process(tmp_path / "engine")
    async with watched(process, tmp_path / "engine") as engine:
        for _ in range(2):
            pid = process.pid
            assert (await hear(engine, KILLS)).ends == [LOST]
            await is_back(engine, process, pid)
        assert process.num_restarts == 2


@pytest.mark.parametrize("fault", ["the process stands still", "a step hangs"])
async def test_hung_engine_is_killed_and_back(fault: str, tmp_path: Path) -> None:
    process = scripted_process(tmp_path / "engine", step_timeout_s=1.0)
    async with watched(process, tmp_path / "engine") as engine:
        pid = process.pid
        assert pid is not None
        ears = fill(engine)
        for ear in ears:
            await soon(ear.began.wait())
        started_s = time.monotonic()
        if fault == "a step hangs":
            ears.append(speak(engine, HANGS)[0])
        else:
            os.kill(pid, signal.SIGSTOP)
        await lost_once(ears)
        assert 0.5 < time.monotonic() - started_s < 30.0
        await is_back(engine, process, pid)
        assert not psutil.pid_exists(pid)


async def test_engine_whose_every_step_fails_is_started_anew(tmp_path: Path) -> None:
    process = scripted_process(tmp_path / "engine")
    async with watched(process, tmp_path / "engine") as engine:
        pid = process.pid
        waiting, _ = speak(engine, "a", finish=False)
        await soon(waiting.began.wait())
        for _ in range(MAX_FAILED_STEPS - 1):
            assert (await hear(engine, "!")).ends == [FAILED]
        assert (await hear(engine, "!")).ends in ([FAILED], [LOST])
        await lost_once([waiting])
        await is_back(engine, process, pid)


async def test_engine_that_cannot_be_reached_is_started_anew(tmp_path: Path) -> None:
    path = tmp_path / "engine"
    process = scripted_process(path, step_timeout_s=0.5)
    await soon(process.start())
    try:
        pid = process.pid
        path.unlink()
        async with asyncio.TaskGroup() as tasks:
            engine = RemoteEngine(path)
            running = [tasks.create_task(engine.run()), tasks.create_task(process.watch(engine))]
            await is_back(engine, process, pid)
            for task in running:
                task.cancel()
    finally:
        await process.stop()


async def test_two_web_processes_both_hear_of_the_death_and_both_go_on(tmp_path: Path) -> None:
    path = tmp_path / "engine"
    process = scripted_process(path)
    async with watched(process, path) as first, connected(path) as second:
        pid = process.pid
        ears = fill(first) + fill(second)
        for ear in ears:
            await soon(ear.began.wait())
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        await lost_once(ears)
        await is_back(first, process, pid)
        await is_back(second, process, pid)


@pytest.mark.parametrize(
    ("model", "start_timeout_s", "sentence"),
    [
        ("refuses", 20.0, "^A directory with weights was expected, but it is empty.$"),
        ("crashes", 20.0, "^the voice engine ended before it was ready; its log says why$"),
        ("sleeps", 0.5, "^the voice engine was not ready within 0.5 s$"),
        (
            "stands still",
            3.0,
            "^the voice engine was not ready within 3 s of the last .* makes the voice 1 of 8$",
        ),
    ],
)
async def test_engine_that_cannot_start_says_why(
    model: str, start_timeout_s: float, sentence: str, tmp_path: Path
) -> None:
    path = tmp_path / "engine"
    process = scripted_process(path, model, start_timeout_s=start_timeout_s)
    with pytest.raises(ModelError, match=sentence):
        await soon(process.start())
    assert process.pid is not None
    assert not psutil.pid_exists(process.pid)
    assert not path.exists()


async def test_start_may_take_as_long_as_there_are_signs_of_life(tmp_path: Path) -> None:
    process = scripted_process(tmp_path / "engine", "takes its time", start_timeout_s=3.0)
    async with watched(process, tmp_path / "engine") as engine:
        assert (await hear(engine, "abc")).ends == ["closed"]


async def test_long_step_of_a_slow_model_is_healthy_and_of_a_fast_one_is_not(tmp_path: Path) -> None:
    for model, ends in (("slow", "closed"), ("scripted", LOST)):
        path = tmp_path / model
        process = scripted_process(path, model, step_timeout_s=0.6)
        async with watched(process, path) as engine:
            assert (await hear(engine, f"ab{TAKES_TWO_SECONDS}c")).ends == [ends]
            assert process.num_restarts == (0 if model == "slow" else process.num_restarts)


async def test_unknown_model_and_unusable_socket_are_said_in_a_sentence(tmp_path: Path) -> None:
    for model, path, sentence in (
        ("nonesuch", tmp_path / "engine", "nonesuch"),
        ("tone", tmp_path / "missing" / "engine", "the voice engine cannot start: .*No such file"),
        ("tone", tmp_path / ("x" * 120), "the voice engine cannot start: AF_UNIX path too long"),
    ):
        process = EngineProcess(model, path, start_timeout_s=20.0, step_timeout_s=1.0)
        with pytest.raises(ModelError, match=sentence):
            await soon(process.start())


async def test_start_that_is_given_up_leaves_no_process(tmp_path: Path) -> None:
    process = scripted_process(tmp_path / "engine", "sleeps")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1.0):
            await process.start()
    assert process.pid is not None
    assert not psutil.pid_exists(process.pid)


async def test_engine_that_does_not_come_back_is_tried_again(tmp_path: Path) -> None:
    """Its module is gone for a while; then it is there again."""
    path = tmp_path / "engine"
    process = scripted_process(path)
    async with watched(process, path) as engine:
        pid = process.pid
        assert pid is not None
        good, process._command = process._command, (sys.executable, "-c", "raise SystemExit(3)")
        os.kill(pid, signal.SIGKILL)
        await until(lambda: process.num_restarts >= 2)
        assert not engine.ready
        with pytest.raises(EngineUnavailable):
            speak(engine, "a")
        process._command = good
        await is_back(engine, process, pid)


async def test_what_a_library_prints_is_neither_report_nor_block(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    process = scripted_process(tmp_path / "engine", "prints")
    async with watched(process, tmp_path / "engine") as engine:
        assert (await hear(engine, "abc")).ends == ["closed"]
    assert "loading checkpoint shards" in capfd.readouterr().err


async def test_signals_for_all_leave_the_engine_to_its_parent(tmp_path: Path) -> None:
    """A terminal's Ctrl-C or a supervisor's SIGTERM: the web process may still have speech to finish."""
    process = scripted_process(tmp_path / "engine")
    async with watched(process, tmp_path / "engine") as engine:
        assert process.pid is not None
        ear, _ = speak(engine, "abcdef", lead=1)
        await soon(ear.began.wait())
        os.kill(process.pid, signal.SIGINT)
        os.kill(process.pid, signal.SIGTERM)
        await soon(ear.ended.wait())
        assert ear.ends == ["closed"]


async def test_stopped_engine_leaves_neither_process_nor_socket(tmp_path: Path) -> None:
    path = tmp_path / "engine"
    process = scripted_process(path)
    await soon(process.start())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    pid = process.pid
    assert pid is not None
    await process.stop()
    assert not psutil.pid_exists(pid)
    assert not path.exists()
    await process.stop()


@pytest.mark.parametrize("fault", ["", "hung"])
def test_orphaned_host_ends(fault: str, tmp_path: Path) -> None:
    """Its parent is killed, and cannot clean up."""
    script = textwrap.dedent(
        f"""
        import asyncio
        from pathlib import Path
        from tests.streaming_server.ears import connected, scripted_process, speak

        async def main():
            path = Path({str(tmp_path / "engine")!r})
            process = scripted_process(path)
            await process.start()
            async with connected(path) as engine:
                ear, _ = speak(engine, "x{HANGS if fault else "x" * 5000}", lead=None)
                await ear.began.wait()
                print(process.pid, flush=True)
                await asyncio.sleep(600)

        asyncio.run(main())
        """
    )
    parent = psutil.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=-1, text=True)
    with parent.stdout:
        host = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
        parent.wait()
    try:
        host.wait(30)
    except psutil.TimeoutExpired:
        host.kill()
        raise


def under_uvloop(main: Callable[[], Awaitable[None]]) -> None:
    async def run() -> None:
        await main()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())


def test_engine_is_started_and_restarted_under_uvloop_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a folder that has a `models` of its own, with relative paths."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "__init__.py").write_text("raise ImportError('not these models')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VOXWIRE_API_KEY", "secret")

    async def main() -> None:
        path = Path("engine")
        process = EngineProcess("tone", path, start_timeout_s=20.0, step_timeout_s=1.0)
        async with watched(process, path) as engine:
            pid = process.pid
            assert pid is not None
            assert "VOXWIRE_API_KEY" not in psutil.Process(pid).environ()
            (await hear(engine, "hello", seed=8)).heard_the_tone(8, "hello")
            os.kill(pid, signal.SIGKILL)
            await until(lambda: process.pid != pid and engine.ready)
            (await hear(engine, "hello", seed=9)).heard_the_tone(9, "hello")

    under_uvloop(main)


async def test_one_that_is_started_again_is_told_to_hurry(tmp_path: Path) -> None:
    path = tmp_path / "engine"
    process = scripted_process(path)
    async with watched(process, path) as engine:
        first = process.pid
        assert first is not None
        assert HURRY not in psutil.Process(first).cmdline()
        os.kill(first, signal.SIGKILL)
        await is_back(engine, process, first)
        assert psutil.Process(process.pid).cmdline()[-1] == HURRY
