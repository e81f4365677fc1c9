"""Web processes at an engine host, on a real socket: several, slow, stuck, gone and mad ones."""

from __future__ import annotations

import asyncio
import socket
import struct
from math import inf
from pathlib import Path
from typing import Any

import msgpack
import pytest

from models.base import SpeechParams
from models.engine import Cancel, Command, Engine, Open, Suspend
from models.tone import ToneModel
from streaming_server import engine_port
from streaming_server.engine_frames import CAUGHT_UP_BYTES, SLOW_BYTES
from streaming_server.engine_link import pack_command
from streaming_server.engine_streams import LOST
from streaming_server.engine_thread import EngineThread
from tests.models.engine.scripted import ScriptedModel
from tests.streaming_server.slow_tone import SlowTone

from .ears import connected, hear, served, soon, speak, until


async def test_several_web_processes_are_strangers(tmp_path: Path) -> None:
    """Streams of the same names, and one client that goes: its slots are free again, the others hear all."""
    path = tmp_path / "engine"
    reports: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reports.append(context))
    async with served(ToneModel(), path) as host, connected(path) as first, connected(path) as second:
        ears = []
        for engine, seeds in ((first, range(1, 10)), (second, range(11, 20))):
            ears += [(seed, speak(engine, "hello there", seed=seed)[0]) for seed in seeds]
        async with connected(path) as third:
            gone = [speak(third, "x" * 5_000, seed=seed, lead=None)[0] for seed in range(21, 30)]
            await soon(gone[0].began.wait())
        for seed, ear in ears:
            await soon(ear.ended.wait())
            ear.heard_the_tone(seed, "hello there")
        await until(lambda: host.num_streams == 0)
        assert all(ear.ends == [LOST] for ear in gone)
    assert reports == []


async def test_host_forgets_streams_that_are_over(tmp_path: Path) -> None:
    path = tmp_path / "engine"
    async with served(ScriptedModel(max_slots=4), path) as host, connected(path) as engine:
        for number in range(200):
            text = "ab?"[: 1 + number % 3]
            await hear(engine, text)
        assert host.num_streams == 0


async def test_slow_worker_is_suspended_whatever_it_opens_or_says_meanwhile() -> None:
    """What it suspends itself stays so when it has caught up."""
    thread = EngineThread(Engine(ToneModel()), lambda step: None, lambda: None)  # not started: its inbox is looked into
    port = engine_port.EnginePort(1, ToneModel().info, thread, lambda number: None)

    def posted() -> list[Command]:
        commands = list(thread._commands)
        thread._commands.clear()
        return commands

    def tell(*commands: Command) -> None:
        port.received({"commands": [pack_command(command) for command in commands]})

    first, second, third = (Open(number, "s", "tone", SpeechParams(), None) for number in (1, 2, 3))
    tell(first, second)
    assert [type(command) for command in posted()] == [Open, Open]
    port.slowed(True)
    assert posted() == [Suspend((1, 1), True), Suspend((1, 2), True)]
    tell(third, Suspend(1, True), Suspend(2, True), Suspend(2, False), Cancel(9))
    opened, *others = posted()
    assert isinstance(opened, Open)
    assert others == [Suspend((1, 3), True), Cancel((1, 9))]
    port.slowed(False)
    assert posted() == [Suspend((1, 1), True), Suspend((1, 2), False), Suspend((1, 3), False)]
    tell(Suspend(1, False), Cancel(2))
    assert posted() == [Suspend((1, 1), False), Cancel((1, 2))]
    port.lost()
    assert posted() == [Cancel((1, 1)), Cancel((1, 3))]


async def test_all_web_processes_learn_that_the_engine_has_become_slow(tmp_path: Path) -> None:
    path = tmp_path / "engine"
    async with served(SlowTone(1.2), path), connected(path) as busy, connected(path) as idle:
        assert not idle.is_slow
        assert idle.capacity == inf
        await hear(busy, "ten chars.")
        await until(lambda: idle.is_slow)
        assert idle.rtf == pytest.approx(1.2, rel=0.2)
        assert idle.capacity == 1


def command_frame(*commands: list[Any]) -> bytes:
    body: bytes = msgpack.packb({"commands": list(commands)})
    return struct.pack("<I", len(body)) + body


async def test_worker_that_reads_nothing_is_suspended_then_cut_and_nobody_else_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_port, "STUCK_S", 1.0)
    path = tmp_path / "engine"
    async with served(ToneModel(), path) as host, connected(path) as engine:
        with socket.socket(socket.AF_UNIX) as worker:
            worker.connect(str(path))
            params = ["auto", 1.0, 1.0, 7, {}]
            for stream in range(40):
                opened = ["o", stream, "s", "tone", params, None, False, None, None]
                data = command_frame(opened, ["x", stream, "x" * 9000], ["s", stream])
                await asyncio.to_thread(worker.sendall, data)
            await until(lambda: host.num_streams >= 40)
            ear, _ = speak(engine, "hello" * 4, seed=2)
            await soon(ear.ended.wait())
            ear.heard_the_tone(2, "hello" * 4)
            await asyncio.sleep(0.3)
            assert CAUGHT_UP_BYTES < host.backlog_bytes < 4 * SLOW_BYTES
            await until(lambda: host.num_streams == 0)
        assert engine.ready


async def test_worker_that_was_slow_hears_all_of_it(tmp_path: Path) -> None:
    path = tmp_path / "engine"
    async with served(ToneModel(), path), connected(path) as engine:
        link = engine._link
        assert link is not None
        assert link._transport is not None
        ears = {seed: speak(engine, "x" * 400, seed=seed, lead=None)[0] for seed in range(1, 30)}
        await soon(ears[1].began.wait())
        link._transport.pause_reading()
        await asyncio.sleep(0.5)
        late, _ = speak(engine, "late", seed=99, lead=None)
        _, cancelled = speak(engine, "x" * 400, seed=98, lead=None)
        cancelled.cancel()
        await asyncio.sleep(0.1)
        assert late.patches == []
        link._transport.resume_reading()
        for seed, ear in ears.items():
            await soon(ear.ended.wait())
            ear.heard_the_tone(seed, "x" * 400)
        await soon(late.ended.wait())
        late.heard_the_tone(99, "late")


@pytest.mark.parametrize("garbage", [b"\xff\xff\xff\xff", command_frame(["z", 1]), struct.pack("<I", 1) + b"\xc1"])
async def test_worker_that_sends_garbage_is_cut_and_its_streams_end(
    garbage: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "engine"
    async with served(ToneModel(), path) as host, connected(path) as engine:
        reader, writer = await asyncio.open_unix_connection(path)
        params = ["auto", 1.0, 1.0, 7, {}]
        opened = ["o", 1, "s", "tone", params, None, True, None, None]
        writer.write(command_frame(opened, ["x", 1, "x" * 900], ["s", 1]))
        await until(lambda: host.num_streams == 1)
        writer.write(garbage)
        await soon(reader.read())
        await until(lambda: host.num_streams == 0)
        assert "cut" in caplog.text
        (await hear(engine, "ok", seed=3)).heard_the_tone(3, "ok")
        writer.close()
