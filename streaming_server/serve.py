"""`voxwire serve`: the socket, the engine's process, the web processes, and their end."""

from __future__ import annotations

import asyncio
import contextlib
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
from starlette.applications import Starlette

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
from .stream_socket import StreamSocket
from .studio import create_studio
from .text.normalizer import Normalizer
from .turnstile import Turns, Turnstile
from .voices.preparation import Preparation
from .voices.shelf import VoiceShelf
from .web_worker import keep_worker, obey_parent

log = logging.getLogger(__name__)

BACKLOG = 2048

TURNS = "turns"
"""The file beside the engines' sockets by which web processes know whose turn it is to take a connection."""

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
    # A small send buffer: what lies in the kernel cannot be recalled when the listener barges in.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, config.send_buffer_bytes)
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


async def _serve(config: Config, listener: socket.socket, argv: Sequence[str]) -> None:
    with tempfile.TemporaryDirectory(prefix="voxwire-") as name:
        directory = Path(name)
        async with running_engine(config, config.model or default_model(), directory) as engine:
            _check(config, engine.info)
            Turns.create(directory / TURNS, config.workers)
            turns = Turns(directory / TURNS, 0)
            draining = asyncio.Event()
            async with asyncio.TaskGroup() as tasks:
                workers = [
                    tasks.create_task(
                        keep_worker(listener, directory, number, argv, partial(turns.leave, number), draining)
                    )
                    for number in range(1, config.workers)
                ]
                await serve_web(
                    config,
                    engine,
                    listener,
                    lambda _: _tell_started(listener, engine),
                    turns=turns if workers else None,
                    draining=draining,
                    others=workers,
                )
                for worker in workers:
                    worker.cancel()


def _tell_started(listener: socket.socket, engine: EngineClient) -> None:
    print_banner(listener, engine.info, told_slowness(engine))


async def _work(config: Config, listener: socket.socket, directory: Path, number: int) -> None:
    draining = asyncio.Event()
    await obey_parent(draining.set)
    async with connected_engine(config, directory) as engine:
        await serve_web(config, engine, listener, turns=Turns(directory / TURNS, number), draining=draining)


async def serve_web(
    config: Config,
    engine: EngineClient,
    listener: socket.socket,
    started: Callable[[uvicorn.Server], None] = lambda _: None,
    preparation: Preparation | None = None,
    turns: Turns | None = None,
    draining: asyncio.Event | None = None,
    others: Sequence[asyncio.Task[None]] = (),
) -> None:
    """One web process, until a signal or `should_exit` of the server that `started` is given.

    `preparation` makes voices ready; without one it is that of `config.model`. `turns`: of one among several.
    `draining`: set by the first SIGTERM, or by who started us; tasks that heed it, too, are the `others`.
    """
    normalizer = Normalizer()
    await asyncio.to_thread(normalizer.warm)
    studio = create_studio(config, engine, normalizer)
    preparation = preparation or voice_preparation(config.model or default_model(), config.model_options)
    shelf = VoiceShelf(engine, config.voices_dir, preparation, default_voice=config.voice)
    await shelf.start()
    app = create_app(config, studio, shelf)
    drain = Drain(
        app.state.endpoint,
        app.state.admission,
        draining or asyncio.Event(),
        limit_s=config.drain_ms / 1000,
        others=others,
    )
    server = _Server(_uvicorn_config(app, config), app, started, drain)
    try:
        with collector_at_rest():
            async with asyncio.TaskGroup() as tasks:
                collecting = tasks.create_task(
                    collect_in_silence(
                        lambda: not engine.num_streams,
                        lambda: app.state.admission.num_ended,
                        lambda: app.state.admission.num_sessions,
                    )
                )
                draining_task = tasks.create_task(server.drain())
                if turns is None:
                    await server.serve(sockets=[listener])
                else:
                    letting_in = tasks.create_task(server.let_in(listener, turns))
                    await server.serve(sockets=[])
                    letting_in.cancel()
                collecting.cancel()
                draining_task.cancel()
    finally:
        studio.close()


class _Server(uvicorn.Server):
    """uvicorn, which tells when it serves and says goodbye to streams before it closes sockets."""

    def __init__(
        self, config: uvicorn.Config, app: Starlette, on_started: Callable[[uvicorn.Server], None], drain: Drain
    ) -> None:
        super().__init__(config)
        self._drain = drain
        self._num_sigterms = 0
        self._app = app
        self._on_started = on_started
        self._is_serving = asyncio.Event()

    async def let_in(self, listener: socket.socket, turns: Turns) -> None:
        """Connections, when it is this process' turn, instead of by a server of asyncio's. Until cancelled."""
        await self._is_serving.wait()
        config, state, app_state = self.config, self.server_state, self.lifespan.state

        def protocol() -> asyncio.Protocol:
            return config.http_protocol_class(config=config, server_state=state, app_state=app_state)  # type: ignore[call-arg]

        await Turnstile(listener, turns, num_connections=lambda: len(state.connections), protocol=protocol).run()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """SIGTERM asks for an end; SIGINT, or a second one, is immediate. uvicorn would raise them again: a kill."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGINT, self.handle_exit, signal.SIGINT, None)
        loop.add_signal_handler(signal.SIGTERM, self._on_sigterm)
        try:
            yield
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)

    def _on_sigterm(self) -> None:
        self._drain.ask()  # it may have been before, by who started us
        self._num_sigterms += 1
        if self._num_sigterms > 1:
            self.handle_exit(signal.SIGTERM, None)

    async def drain(self) -> None:
        """Until there is nothing to be served any more. To be cancelled when serving ends otherwise."""
        await self._drain.run()
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._is_serving.set()
        self._on_started(self)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._app.state.admission.draining = True
        await self._app.state.endpoint.say_goodbye()
        await super().shutdown(sockets)


def _uvicorn_config(app: Starlette, config: Config) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http="auto",
        ws=partial(StreamSocket, stall_s=config.write_stall_ms / 1000),  # type: ignore[arg-type]
        ws_max_size=config.message_bytes,
        ws_per_message_deflate=False,
        ws_ping_interval=config.ping_interval_ms / 1000,
        ws_ping_timeout=config.ping_timeout_ms / 1000,
        access_log=False,
        proxy_headers=False,  # `callers` knows whom to believe
        log_config=None,
        log_level="warning",
        lifespan="off",
        server_header=False,
        timeout_graceful_shutdown=3,
    )


def default_model() -> str:
    """The first checkpoint under weights/, else the embedded voice."""
    checkpoint = find_checkpoint(Path("weights"))
    return str(checkpoint) if checkpoint is not None else known_models()[0]


def _check(config: Config, info: ModelInfo) -> None:
    config.require_rates(info.name, info.sample_rate, info.token_rate)
    names = {voice.name for voice in info.voices}
    if config.voice and config.voice not in names:
        raise ConfigError(f"--voice {config.voice}: expected one of {', '.join(sorted(names)[:12])}")
