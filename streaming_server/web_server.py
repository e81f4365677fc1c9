"""uvicorn in one web process: how it lets connections in, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import uvicorn
from starlette.applications import Starlette

from .config import Config
from .drain import Drain
from .file_limit import room_for_connections
from .http_limits import MAX_REQUESTS
from .http_socket import HttpSocket
from .movable_socket import MovableSocket
from .neighbours import Neighbours
from .side_door import SideDoor
from .turnstile import Turnstile


class WebServer(uvicorn.Server):
    """uvicorn, which tells when it serves and says goodbye to streams before it closes sockets."""

    def __init__(
        self, config: Config, app: Starlette, on_started: Callable[[uvicorn.Server], None], drain: Drain
    ) -> None:
        self._socket: Callable[..., MovableSocket] = partial(
            MovableSocket,
            stall_s=config.write_stall_ms / 1000,
            frames_per_s=config.messages_per_s,
            metrics=app.state.metrics,
        )
        super().__init__(_uvicorn_config(app, config, self._socket))
        self._drain = drain
        self._num_sigterms = 0
        self._app = app
        self._on_started = on_started
        self._is_serving = asyncio.Event()

    async def let_in(self, listener: socket.socket, neighbours: Neighbours) -> None:
        """Connections, when it is this process' turn, instead of by a server of asyncio's. Until cancelled."""
        await self._is_serving.wait()
        state = self.server_state
        given: dict[str, Any] = {"config": self.config, "server_state": state, "app_state": self.lifespan.state}
        turnstile = Turnstile(
            listener,
            neighbours.turns,
            num_connections=lambda: len(state.connections),
            protocol=lambda: self.config.http_protocol_class(**given),
        )
        side_door = SideDoor(
            neighbours.door,
            admits=self._app.state.endpoint.admits,
            protocol=lambda heard: self._socket(**given, heard=heard),
        )
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(turnstile.run())
            tasks.create_task(side_door.run())
            tasks.create_task(self._app.state.roll_call.run())

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


def _uvicorn_config(app: Starlette, config: Config, socket: Callable[..., MovableSocket]) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=partial(  # type: ignore[arg-type]
            HttpSocket,
            callers=app.state.callers,
            metrics=app.state.metrics,
            max_connections=room_for_connections(app.state.admission.max_connections + MAX_REQUESTS),
            head_s=config.handshake_timeout_ms / 1000,
        ),
        ws=socket,  # type: ignore[arg-type]
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
