"""A WebSocket that may go on in another web process, from the moment when its `hello` is read until it is answered."""

from __future__ import annotations

import asyncio
import contextlib
from asyncio.transports import BaseTransport
from collections.abc import AsyncIterator, Coroutine
from typing import TYPE_CHECKING, Any, Final

from uvicorn.config import Config
from uvicorn.server import ServerState
from websockets.http11 import Request

from protocol.errors import CloseCode

from .handover import Heard
from .stream_socket import StreamSocket

if TYPE_CHECKING:
    from uvicorn._types import ASGISendEvent

SOCKET: Final = "voxwire.socket"
"""Under this name an ASGI scope's `state` has it."""

MAX_HEARD_BYTES: Final = 1 << 18
"""Of a request, a `hello`, and pings before it. Where there is more, the connection stays where it is."""

LOOK_EVERY_S: Final = 0.001


class MovableSocket(StreamSocket):
    """One connection. `heard`: of one that another web process has accepted, all that its peer had said by then.

    Nothing that was heard is put together anew: who gets the connection hears it all from its beginning, and leaves out
    the answer to the request, which the peer has had. A ping that stood before the `hello` is answered twice.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        *,
        heard: Heard | None = None,
        **options: Any,
    ) -> None:
        super().__init__(config, server_state, app_state, **options)
        self._heard: list[bytes] | None = []
        self._num_heard = 0
        self._handed = heard
        self.was_handed_over = heard is not None
        """Another web process has let it in."""

    def fileno(self) -> int:
        descriptor: int = self.transport.get_extra_info("socket").fileno()
        return descriptor

    @property
    def heard(self) -> Heard | None:
        """None: it has been answered, it is being closed, or its peer has said too much; so it stays here."""
        if not self._heard or self.transport.is_closing() or self.close_sent:
            return None
        return Heard(request=self._heard[0], frames=b"".join(self._heard[1:]))

    # ---- who hands it over

    @contextlib.asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """Nothing is read, nothing is said, and all that was said is with the kernel; then it goes on, unless it was
        let go. To be entered only where there is something `heard`."""
        self.stop_keepalive()
        self.read_paused = True
        self._hold()
        try:
            while self._goes_on or self.transport.get_write_buffer_size():  # noqa: ASYNC110 - neither tells
                await asyncio.sleep(LOOK_EVERY_S)
            yield
        finally:
            if not self.transport.is_closing():
                self._go_on()

    def let_go(self) -> None:
        """Another process has it. The connection lives: closing one of its descriptors sends nothing."""
        self._is_elsewhere = True
        self.transport.abort()

    def _go_on(self) -> None:
        self.start_keepalive()
        if self.queue.empty():  # else `receive` sees to it
            self.read_paused = False
            self._read_on()

    # ---- who is handed it

    def connection_made(self, transport: BaseTransport) -> None:
        super().connection_made(transport)
        if self._handed is None:
            return
        handed, self._handed = self._handed, None
        self._heard = [handed.request]
        self.conn.receive_data(handed.request)
        self.handle_events()
        self.conn.send_response(self.response)
        self.conn.data_to_send()
        self.handshake_complete = True
        self.start_keepalive()
        self.data_received(handed.frames)

    def settle(self) -> None:
        """To be called when its transport reads: uvloop's begins to, whatever was wanted while it was made."""
        if self.read_paused or self._holds_reading or self._goes_on:
            self._hold()

    # ---- what uvicorn does

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self.handshake_initiated and hasattr(self, "scope"):
            self.scope["state"].pop(SOCKET, None)  # no circle is left for the garbage collector

    def data_received(self, data: bytes) -> None:
        if self._heard is not None:
            self._heard.append(data)
            self._num_heard += len(data)
            if self._num_heard > MAX_HEARD_BYTES:
                self._heard = None
        super().data_received(data)

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if not self.handshake_complete:  # it may have been refused
            self.scope["state"][SOCKET] = self

    def write(self, data: bytes | str, sound_s: float) -> Coroutine[Any, Any, None]:
        self._heard = None
        return super().write(data, sound_s)

    async def send(self, message: ASGISendEvent) -> None:
        kind = message["type"]
        if kind != "websocket.accept":
            self._heard = None
        if self.was_handed_over:
            if kind in ("websocket.accept", "websocket.http.response.body"):
                return
            if kind == "websocket.http.response.start":  # the time for that is over
                await super().send({"type": "websocket.close", "code": CloseCode.BUSY, "reason": ""})
                return
        await super().send(message)
