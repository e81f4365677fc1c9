"""`voxwire serve`: the socket, the engine's process, the web processes, and their end."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Coroutine, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn

from models.base import ModelError, ModelInfo
from models.registry import find_checkpoint, known_models, voice_preparation

from .admission import told_slowness
from .app import create_app
from .banner import print_banner
from .config import Config, ConfigError
from .drain import Drain
from .engine_client import EngineClient
from .engine_room import connected_engine, running_engine
from .garbage import collect_in_silence, collector_at_rest
from .heap import give_back
from .loop_watch import watch_loop
from .neighbours import Neighbours
from .studio import create_studio
from .text.normalizer import Normalizer
from .voices.preparation import Preparation
from .voices.shelf import VoiceShelf
from .web_server import WebServer
from .web_worker import keep_worker, obey_parent

log = logging.getLogger(__name__)

BACKLOG = 2048

SWITCH_INTERVAL_S = 0.000_05
"""A thread that encodes gives up the interpreter for every Opus packet, and waits as long as this to have it back. With
Python's 5 ms the p99 lateness of 250 Opus listeners was 75 to 350 ms on two cores; with this, 13 ms and less CPU.
"""


def serve(config: Config, argv: Sequence[str]) -> int:
    """Until SIGINT, or SIGTERM and all is said; the exit status. `argv` is handed on to further web processes."""
    status = 0
    try:
        with listen(config) as listener:
            _run(_serve(config, listener, argv))
    except* (ModelError, ConfigError) as group:  # from inside the task group that keeps the engine
        print(f"voxwire: {_first(group)}", file=sys.stderr)
        status = 2
    return status


def _first(error: BaseException) -> BaseException:
    return _first(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error


def serve_as_worker(config: Config, fd: int, directory: Path, number: int) -> int:
    """Web process `number`: the listening socket is inherited, the engine belongs to the parent, in `directory`."""
    with socket.socket(fileno=fd) as listener:
        _run(_work(config, listener, directory, number))
    return 0


def listen(config: Config) -> socket.socket:
    """The listening socket; accepted ones inherit its options. Raises ConfigError when the port is taken."""
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if config.send_buffer_bytes:  # else the kernel's own, which grows as the way needs it
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, config.send_buffer_bytes)
    # What is unsent in the kernel cannot be recalled when the listener barges in.
    for option, value in (
        ("TCP_NOTSENT_LOWAT", config.notsent_lowat_bytes),
        ("TCP_USER_TIMEOUT", config.tcp_user_timeout_ms),
        ("TCP_NODELAY", 1),
    ):
        if hasattr(socket, option):
            listener.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
    try:
        listener.bind((config.host, config.port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise ConfigError(
            f"cannot listen on {config.host}:{config.port} ({reason}); end the program that uses it or take --port"
        ) from None
    return listener


def _run(main: Coroutine[Any, Any, None]) -> None:
    """SIGTERM ends it as SIGINT does, at any moment, so that nothing started is left behind."""
    with (
        contextlib.suppress(KeyboardInterrupt, asyncio.CancelledError),
        asyncio.Runner(loop_factory=_new_loop) as runner,
    ):
        signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        runner.run(main)


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


@contextlib.contextmanager
def _own_directory() -> Iterator[Path]:
    """Where sockets and shared memory have their names: a process that is started again needs them. Locked, so that
    systemd-tmpfiles, which empties /tmp of what is days old, leaves it alone (tmpfiles.d(5))."""
    with tempfile.TemporaryDirectory(prefix="voxwire-") as name:
        lock = os.open(name, os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield Path(name)
        finally:
            os.close(lock)


async def _serve(config: Config, listener: socket.socket, argv: Sequence[str]) -> None:
    with _own_directory() as directory:
        async with running_engine(config, config.model or default_model(), directory) as engine:
            _check(config, engine.info)
            Neighbours.create(directory, config.workers)
            neighbours = Neighbours(directory, 0)
            leave = neighbours.turns.leave
            draining = asyncio.Event()
            async with asyncio.TaskGroup() as tasks:
                workers = [
                    tasks.create_task(keep_worker(listener, directory, number, argv, partial(leave, number), draining))
                    for number in range(1, config.workers)
                ]
                await serve_web(
                    config,
                    engine,
                    listener,
                    lambda _: _tell_started(listener, engine, config),
                    neighbours=neighbours if workers else None,
                    draining=draining,
                    others=workers,
                )
                for worker in workers:
                    worker.cancel()


def _tell_started(listener: socket.socket, engine: EngineClient, config: Config) -> None:
    print_banner(listener, engine.info, told_slowness(engine), has_standby=config.standby)


async def _work(config: Config, listener: socket.socket, directory: Path, number: int) -> None:
    draining = asyncio.Event()
    await obey_parent(draining.set)
    async with connected_engine(config, directory) as engine:
        await serve_web(config, engine, listener, neighbours=Neighbours(directory, number), draining=draining)


async def serve_web(
    config: Config,
    engine: EngineClient,
    listener: socket.socket,
    started: Callable[[uvicorn.Server], None] = lambda _: None,
    preparation: Preparation | None = None,
    neighbours: Neighbours | None = None,
    draining: asyncio.Event | None = None,
    others: Sequence[asyncio.Task[None]] = (),
) -> None:
    """One web process, until a signal or `should_exit` of the server that `started` is given.

    `preparation` makes voices ready; without one it is that of `config.model`. `neighbours`: of one among several.
    `draining`: set by the first SIGTERM, or by who started us; tasks that heed it, too, are the `others`.
    """
    normalizer = Normalizer()
    await asyncio.to_thread(normalizer.warm)
    studio = create_studio(config, engine, normalizer)
    preparation = preparation or voice_preparation(config.model or default_model(), config.model_options)
    shelf = VoiceShelf(engine, config.voices_dir, preparation, default_voice=config.voice)
    await shelf.start()
    app = create_app(config, studio, shelf, neighbours)
    drain = Drain(
        app.state.endpoint,
        app.state.admission,
        draining or asyncio.Event(),
        limit_s=config.drain_ms / 1000,
        others=others,
    )
    server = WebServer(config, app, started, drain)
    try:
        with collector_at_rest():
            async with asyncio.TaskGroup() as tasks:
                collecting = tasks.create_task(
                    collect_in_silence(
                        lambda: not engine.num_streams,
                        lambda: app.state.endpoint.num_over,
                        lambda: app.state.admission.num_sessions,
                        give_back,
                    )
                )
                watching = tasks.create_task(watch_loop(app.state.metrics))
                draining_task = tasks.create_task(server.drain())
                if neighbours is None:
                    await server.serve(sockets=[listener])
                else:
                    letting_in = tasks.create_task(server.let_in(listener, neighbours))
                    await server.serve(sockets=[])
                    letting_in.cancel()
                collecting.cancel()
                watching.cancel()
                draining_task.cancel()
    finally:
        studio.close()


def default_model() -> str:
    """The first checkpoint under weights/, else the embedded voice."""
    checkpoint = find_checkpoint(Path("weights"))
    return str(checkpoint) if checkpoint is not None else known_models()[0]


def _check(config: Config, info: ModelInfo) -> None:
    config.require_rates(info.name, info.sample_rate, info.token_rate)
    names = {voice.name for voice in info.voices}
    if config.voice and config.voice not in names:
        raise ConfigError(f"--voice {config.voice}: expected one of {', '.join(sorted(names)[:12])}")
