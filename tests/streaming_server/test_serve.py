"""The listening socket, several web processes, and how the server ends."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import psutil
import pytest
from websockets.asyncio.client import connect

from models.tone import tone_samples
from streaming_server.serve import listen
from streaming_server.settings import Config
from tests.streaming_server.serving import Wire, assert_complete, audio_of, until

ROOT = Path(__file__).parents[2]


@contextmanager
def voxwire_serve(*flags: str, max_files: int | None = None) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """The command as a user starts it; the process and its port once it is ready."""
    command = [sys.executable, "-m", "streaming_server", "serve", "--model", "tone", "--port", "0", *flags]
    if max_files is not None:
        command = ["sh", "-c", f'ulimit -n {max_files}; exec "$@"', "sh", *command]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        try:
            assert process.stdout is not None
            line = ""
            while "http://127.0.0.1:" not in line:
                line = process.stdout.readline()
                assert line, "serve ended before it was ready"
            yield process, int(line.strip().rstrip("/").rpartition(":")[2])
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait(30)


def command_of(process: psutil.Process) -> str:
    """Its command line; empty for one that ends as we look."""
    try:
        return " ".join(process.cmdline())
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return ""


async def hear(port: int, utterance: str, seed: int) -> None:
    url = f"ws://127.0.0.1:{port}/v1/stream"
    async with connect(url, compression=None, max_size=None) as socket_, Wire(socket_, as_json=False) as wire:
        await wire.send("hello", version=1, lead_ms=None)
        await wire.receive()
        messages = await wire.speak(utterance, "Hello there, this is a test.", seed=seed)
        assert_complete(messages)
        pcm = np.frombuffer(audio_of(messages), dtype="<i2")
        np.testing.assert_array_equal(pcm, tone_samples(seed, 0, len(pcm)))


def test_accepted_sockets_hold_little_that_is_unsent_and_notice_dead_peers() -> None:
    with (
        listen(Config(port=0, send_buffer_bytes=65_536)) as listener,
        socket.create_connection(listener.getsockname()),
        listener.accept()[0] as accepted,
    ):
        assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) == 2 * 65_536, "Linux doubles it"
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT) == 16_384
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 4_000
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_several_web_processes_share_one_port_and_one_engine() -> None:
    with voxwire_serve("--workers", "3") as (process, port):
        await asyncio.gather(*(hear(port, f"u{seed}", seed) for seed in range(24)))
        commands = [command_of(child) for child in psutil.Process(process.pid).children(recursive=True)]
        assert sum("engine_host" in command for command in commands) == 1
        assert sum("serve-worker" in command for command in commands) == 2


async def test_each_device_has_an_engine_and_one_that_dies_is_replaced_while_the_other_speaks() -> None:
    with voxwire_serve("--workers", "2", "--devices", "cpu,cpu") as (process, port):
        await asyncio.gather(*(hear(port, f"u{seed}", seed) for seed in range(8)))
        first, second = engines_of(process)
        first.kill()
        await until(lambda: first.pid not in {engine.pid for engine in engines_of(process)})
        await asyncio.gather(*(hear(port, f"v{seed}", seed) for seed in range(8)))
        await until(lambda: len({engine.pid for engine in engines_of(process)} - {first.pid}) == 2)
        assert second.pid in {engine.pid for engine in engines_of(process)}
        process.terminate()
        assert process.wait(30) == 0
        assert not second.is_running()


async def test_web_processes_share_their_listeners_evenly() -> None:
    with voxwire_serve("--workers", "3") as (process, port), ExitStack() as clients:

        def connect_one() -> None:
            clients.enter_context(socket.create_connection(("127.0.0.1", port)))

        while 0 in num_clients(process, port) or len(workers_of(process)) < 2:  # some may not be there yet
            connect_one()
            await asyncio.sleep(0.05)
        for _ in range(120 - sum(num_clients(process, port))):
            connect_one()
        await until(lambda: sum(num_clients(process, port)) == 120)
        assert max(num_clients(process, port)) <= 44


def num_clients(process: subprocess.Popen[str], port: int) -> list[int]:
    """Connections of each web process."""
    return [
        sum(each.status == psutil.CONN_ESTABLISHED and each.laddr[1] == port for each in web.net_connections("tcp"))
        for web in (psutil.Process(process.pid), *workers_of(process))
    ]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_server_and_all_it_started(number: int) -> None:
    with voxwire_serve("--workers", "2") as (process, _):
        children = psutil.Process(process.pid).children(recursive=True)
        assert len(children) == 2
        os.killpg(process.pid, number)  # as Ctrl-C in a terminal does
        assert process.wait(30) == 0
        _, alive = psutil.wait_procs(children, timeout=30)
        assert not alive


def engines_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    children = psutil.Process(process.pid).children()
    return [child for child in children if "engine_host" in command_of(child)]


def workers_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    children = psutil.Process(process.pid).children()
    return [child for child in children if "serve-worker" in command_of(child)]


async def test_a_killed_web_process_is_started_again() -> None:
    with voxwire_serve("--workers", "2") as (process, port):
        (worker,) = workers_of(process)
        worker.kill()
        await until(lambda: [other.pid for other in workers_of(process)] not in ([], [worker.pid]))
        await asyncio.gather(*(hear(port, f"u{seed}", seed) for seed in range(8)))


def test_web_processes_end_when_the_first_one_is_killed() -> None:
    with voxwire_serve("--workers", "3") as (process, port):
        workers = workers_of(process)
        assert len(workers) == 2
        process.kill()
        _, alive = psutil.wait_procs(workers, timeout=30)
        assert not alive
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))


async def test_a_killed_engine_is_back_within_seconds_and_speech_goes_on() -> None:
    """Its listener is not told, and hears every sample once."""
    text = "Hello there. " * 4
    with voxwire_serve() as (process, port):
        url = f"ws://127.0.0.1:{port}/v1/stream"
        async with connect(url, compression=None, max_size=None) as socket_, Wire(socket_, as_json=False) as wire:
            await wire.send("hello", version=1, lead_ms=320)
            await wire.receive()
            begun = len(wire.received)
            await wire.send("start", utterance="u1", text=text, end=True, seed=5)
            await wire.until("audio")
            (engine,) = [
                child
                for child in psutil.Process(process.pid).children(recursive=True)
                if "engine_host" in command_of(child)
            ]
            engine.kill()
            await wire.until("done")
            messages = wire.received[begun:]
            assert_complete(messages)
            assert messages[-1]["reason"] == "end"
            assert messages[-1]["text_chars"] == len(text)
            pcm = np.frombuffer(audio_of(messages), dtype="<i2")
            np.testing.assert_array_equal(pcm, tone_samples(5, 0, len(pcm)))
