"""Where WebSockets come in: who may, and the goodbye to all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, MutableMapping
from functools import partial
from typing import Any

from starlette.datastructures import Headers

from protocol.errors import CloseCode
from protocol.messages import SUBPROTOCOL

from .admission import GOING_AWAY, Admission, Refusal
from .auth import Doorkeeper
from .callers import Callers
from .config import Config
from .conversation import FAREWELL_S, Conversation, Receive, Send
from .lobby import Lobby
from .metrics import Metrics
from .movable_socket import SOCKET, MovableSocket
from .neighbours import Neighbours
from .session import Session
from .studio import Studio
from .turning_away import turn_away
from .visit import Visit

Scope = MutableMapping[str, Any]


class StreamEndpoint:
    """`GET /v1/stream`, an ASGI application."""

    def __init__(
        self,
        config: Config,
        studio: Studio,
        admission: Admission,
        doorkeeper: Doorkeeper,
        callers: Callers,
        metrics: Metrics,
        neighbours: Neighbours | None = None,
    ) -> None:
        self._config = config
        self._studio = studio
        self._admission = admission
        self._doorkeeper = doorkeeper
        self._metrics = metrics
        self._neighbours = neighbours
        resume_s = config.resume_ms / 1000
        self._lobby = Lobby(admission, metrics, resume_s=resume_s, clock=studio.clock, neighbours=neighbours)
        self._callers = callers
        self._open: set[Conversation] = set()
        self.num_over = 0
        """Connections that are, those that were turned away included."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._attend(scope, receive, send)
        finally:
            self.num_over += 1

    async def _attend(self, scope: Scope, receive: Receive, send: Send) -> None:
        if (await receive())["type"] != "websocket.connect":
            return
        headers = Headers(scope=scope)
        if len(self._open) >= self._admission.max_connections:
            await self._turn_away(send, 503, Refusal("all connections of this server are in use"))
            return
        socket = _socket_of(scope)
        is_new = socket is None or not socket.was_handed_over
        if is_new and self._admission.draining and not self._lobby.may_be_resumed:
            await self._turn_away(send, 503, Refusal(GOING_AWAY))
            return
        visit = Visit(self._callers, self._callers.address(scope), self._metrics, is_new=is_new)
        if visit.refusal is not None:
            await self._turn_away(send, 429, visit.refusal)
            return
        try:
            if not self._doorkeeper.allows_origin(headers):
                self._metrics.turned_away.labels("403").inc()
                await send({"type": "websocket.close", "code": CloseCode.POLICY})  # HTTP 403, before the upgrade
                return
            if socket is not None:
                socket.quotas = visit.quotas
            self._metrics.connections.inc(is_new)
            await self._let_in(scope, visit, headers, receive, send)
        finally:
            visit.leave()

    async def _turn_away(self, send: Send, status: int, refusal: Refusal) -> None:
        self._metrics.turned_away.labels(str(status)).inc()
        await turn_away(send, status, refusal)

    async def _let_in(self, scope: Scope, visit: Visit, headers: Headers, receive: Receive, send: Send) -> None:
        offered = SUBPROTOCOL if SUBPROTOCOL in scope.get("subprotocols", []) else None
        await send({"type": "websocket.accept", "subprotocol": offered})
        socket = _socket_of(scope)
        conversation = Conversation(
            self._config,
            self._studio,
            self._admission,
            self._doorkeeper,
            self._metrics,
            self._lobby,
            visit,
            partial(self._hand_over, socket),
            headers=headers,
            receive=receive,
            write=partial(_write, send) if socket is None else socket.write,
            send=send,
        )
        self._open.add(conversation)
        try:
            await conversation.run()
        finally:
            self._open.discard(conversation)

    def admits(self, session: str) -> bool:
        """Whether there is such a session for a connection to ask for, and room for one."""
        return self._lobby.has(session) and len(self._open) < self._admission.max_connections

    async def _hand_over(self, socket: MovableSocket | None, session: str) -> bool:
        if socket is None or self._neighbours is None or not await self._neighbours.hand_over(session, socket):
            return False
        self._metrics.resumes_handed_over.inc()
        return True

    @property
    def sessions(self) -> list[tuple[Conversation, Session]]:
        """Those that have a connection, and it."""
        return [(each, each.session) for each in self._open if each.session is not None]

    def on_return(self, tell: Callable[[], None]) -> None:
        """`tell` is called from now on when somebody has come back to a session."""
        self._lobby.on_return = tell

    @property
    def num_busy(self) -> int:
        """Connections that something is still being said on, and those that are expected back for the rest of it."""
        return sum(each.is_busy for each in self._open) + self._lobby.num_awaited

    def wind_up(self, *, at_once: bool) -> None:
        """End what speaks, with an error: at once, or where its segment ends. The lost hear of it if they come back."""
        for session in self._lobby.sessions:
            session.wind_up(at_once=at_once)

    async def say_goodbye(self) -> None:
        """The server is going away: every connection is closed with 1001, and nobody comes back."""
        self._lobby.close()
        open_now = list(self._open)
        for conversation in open_now:
            conversation.leave()
        if open_now:
            await asyncio.wait([conversation.task for conversation in open_now], timeout=FAREWELL_S)


async def _write(send: Send, data: bytes | str, sound_s: float) -> None:
    await send({"type": "websocket.send", "bytes" if isinstance(data, bytes) else "text": data})


def _socket_of(scope: Scope) -> MovableSocket | None:
    """None under a server that is not ours."""
    socket = scope.get("state", {}).get(SOCKET)
    return socket if isinstance(socket, MovableSocket) else None
