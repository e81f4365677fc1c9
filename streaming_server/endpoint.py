"""A WebSocket and its session: one reader, one writer, one edge where every fault becomes an error and a close code."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.datastructures import Headers

from protocol.connection import Connection, Side
from protocol.errors import CloseCode, ErrorCode, ProtocolError, RemoteProtocolError
from protocol.messages import SUBPROTOCOL, Error, Hello, ServerMessage

from .admission import GOING_AWAY, Admission, Refusal
from .auth import Doorkeeper
from .config import Config
from .greeting import told_limits
from .metrics import Metrics
from .session import Session
from .studio import Studio
from .turning_away import turn_away

log = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

FAREWELL_S = 1.0
"""A last word or a close that the peer does not take is given up after this."""


class _Gone(Exception):
    """The client has closed the socket, or lost it."""


class StreamEndpoint:
    """`GET /v1/stream`, an ASGI application."""

    def __init__(
        self, config: Config, studio: Studio, admission: Admission, doorkeeper: Doorkeeper, metrics: Metrics
    ) -> None:
        self._config = config
        self._studio = studio
        self._admission = admission
        self._doorkeeper = doorkeeper
        self._metrics = metrics
        self._limits = told_limits(config)
        self._open: set[_Conversation] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if (await receive())["type"] != "websocket.connect":
            return
        if not self._doorkeeper.allows_origin(Headers(scope=scope)):
            await send({"type": "websocket.close", "code": CloseCode.POLICY})  # HTTP 403, before the upgrade
            return
        if len(self._open) >= self._admission.max_connections:
            await turn_away(send, 503, Refusal("all connections of this server are in use"))
            return
        if self._admission.draining:
            await turn_away(send, 503, Refusal(GOING_AWAY))
            return
        offered = SUBPROTOCOL if SUBPROTOCOL in scope.get("subprotocols", []) else None
        await send({"type": "websocket.accept", "subprotocol": offered})
        self._metrics.connections.inc()
        conversation = _Conversation(self, Headers(scope=scope), receive, send)
        self._open.add(conversation)
        try:
            await conversation.run()
        finally:
            self._open.discard(conversation)

    @property
    def sessions(self) -> list[Session]:
        """Those that have a connection."""
        return [each.session for each in self._open if each.session is not None]

    @property
    def num_busy(self) -> int:
        """Connections that something is still being said on."""
        return sum(each.is_busy for each in self._open)

    async def say_goodbye(self) -> None:
        """The server is going away: every connection is closed with 1001."""
        open_now = list(self._open)
        for conversation in open_now:
            conversation.leave()
        if open_now:
            await asyncio.wait([conversation.task for conversation in open_now], timeout=FAREWELL_S)


class _Conversation:
    """One connection, from its acceptance to its close."""

    def __init__(self, endpoint: StreamEndpoint, headers: Headers, receive: Receive, send: Send) -> None:
        self._endpoint = endpoint
        self._headers = headers
        self._receive = receive
        self._send = send
        self._connection = Connection(Side.SERVER, limits=endpoint._limits)
        self._session: Session | None = None
        task = asyncio.current_task()
        assert task is not None, "an endpoint runs in a task"
        self.task = task
        self._leaving = False
        self._is_sending = False

    @property
    def session(self) -> Session | None:
        return self._session

    @property
    def is_busy(self) -> bool:
        return self._session is not None and (self._is_sending or not self._session.is_idle)

    def leave(self) -> None:
        self._leaving = True
        self.task.cancel()

    async def run(self) -> None:
        """The session's edge: the outermost of the broad nets (ARCHITECTURE.md, decision 13)."""
        try:
            await self._converse()
        except _Gone:
            pass
        except ProtocolError as error:
            await self._refuse(error)
        except asyncio.CancelledError:
            if not self._leaving:
                raise
            self.task.uncancel()
            await self._close(CloseCode.GOING_AWAY)
        except Exception:
            log.exception("session failed")
            self._endpoint._metrics.internal_errors.inc()
            await self._refuse(
                RemoteProtocolError(ErrorCode.INTERNAL, "the server failed; this connection is over", fatal=True)
            )
        finally:
            if self._session is not None:
                self._session.close()
                self._endpoint._admission.num_sessions -= 1
                self._endpoint._metrics.sessions.dec()

    async def _converse(self) -> None:
        endpoint = self._endpoint
        hello, unknown = await self._hello()
        if not (endpoint._doorkeeper.knows(hello.token) or endpoint._doorkeeper.knows_headers(self._headers)):
            raise RemoteProtocolError(
                ErrorCode.UNAUTHORIZED, "expected the server's API key in hello.token, got another or none", fatal=True
            )
        refusal = endpoint._admission.refuse_session()
        if refusal is not None:
            raise RemoteProtocolError(
                ErrorCode.BUSY, refusal.message, fatal=True, retry_after_ms=refusal.retry_after_ms
            )
        session = Session(
            hello,
            endpoint._config,
            endpoint._studio,
            endpoint._admission,
            endpoint._metrics,
            self._connection.ledger,
        )
        self._session = session
        endpoint._admission.num_sessions += 1
        endpoint._metrics.sessions.inc()
        if hello.resume is not None:
            message = "expected the session and token of a connection lost a moment ago; these are unknown or expired"
            await self._put(Error(code=ErrorCode.RESUME_FAILED, message=message))
        await self._put(session.ready(unknown))
        fault: ProtocolError | None = None
        gone = False
        async with asyncio.TaskGroup() as tasks:
            writer = tasks.create_task(self._write(session))
            try:
                await self._read(session)
            except ProtocolError as error:
                fault = error
            except _Gone:
                gone = True
            finally:
                writer.cancel()
        if fault is not None:
            await self._flush(session)
            await self._refuse(fault)
        elif not gone:
            await self._close(CloseCode.NORMAL)

    async def _hello(self) -> tuple[Hello, tuple[str, ...]]:
        timeout_s = self._endpoint._config.hello_timeout_ms / 1000
        try:
            async with asyncio.timeout(timeout_s):
                event = self._connection.receive(await self._next())
        except TimeoutError:
            raise RemoteProtocolError(
                ErrorCode.BAD_STATE, f"expected hello within {timeout_s:g} s, nothing came", fatal=True
            ) from None
        assert event is not None
        assert isinstance(event.message, Hello), "the connection lets nothing else be first"
        return event.message, event.unknown

    async def _read(self, session: Session) -> None:
        """Until the session is closed. Raises ProtocolError when it ends by a fatal fault or by its limits."""
        clock = self._endpoint._studio.clock
        config = self._endpoint._config
        idle_s, life_s = config.idle_ms / 1000, config.session_ms / 1000
        ends_at = clock() + life_s
        while not session.closed:
            # One timer for many messages, set anew when it rings: one for each cost a tenth of a web process. Where the
            # client is silent and only listens, it looks again after half the time.
            rings_at = min(ends_at, max(session.active_at + idle_s, clock() + idle_s / 2))
            try:
                async with asyncio.timeout(rings_at - clock()):
                    await self._take_messages(session)
            except TimeoutError:
                now = clock()
                if now >= ends_at:
                    raise _time_is_up(f"expected a session of at most {life_s:g} s, this one is over") from None
                if session.is_idle and now >= session.active_at + idle_s:
                    raise _time_is_up(f"expected a message within {idle_s:g} s, none came") from None

    async def _take_messages(self, session: Session) -> None:
        """Until the session is closed."""
        clock = self._endpoint._studio.clock
        while not session.closed:
            message = None
            data = await self._next()
            try:
                event = self._connection.receive(data)
                if event is not None:
                    session.handle(event.message, event.unknown)
                    message = event.message
            except ProtocolError as error:
                if error.fatal:
                    raise
                self._report(session, error)
            wait_s = session.throttle_s(message, clock())
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            await session.outbox.room()

    async def _write(self, session: Session) -> None:
        outbox = session.outbox
        with contextlib.suppress(OSError):  # the socket is lost; the reader hears of it
            while True:
                await outbox.filled()
                await self._empty(session)

    async def _empty(self, session: Session) -> None:
        while (message := session.outbox.take()) is not None:
            self._is_sending = True
            await self._put(message)
            self._is_sending = False
            session.on_sent(message)

    async def _next(self) -> bytes | str:
        message = await self._receive()
        if message["type"] != "websocket.receive":
            raise _Gone
        data: bytes | str | None = message.get("bytes")
        return data if data is not None else message["text"]

    async def _put(self, message: ServerMessage) -> None:
        data = self._connection.send(message)
        key = "bytes" if isinstance(data, bytes) else "text"
        await self._send({"type": "websocket.send", key: data})

    async def _flush(self, session: Session) -> None:
        """What was said before a fatal fault still goes out before it."""
        with contextlib.suppress(TimeoutError, OSError):
            async with asyncio.timeout(FAREWELL_S):
                await self._empty(session)

    def _report(self, session: Session, error: ProtocolError) -> None:
        self._endpoint._metrics.errors.labels(error.code).inc()
        session.emit(_as_message(error))

    async def _refuse(self, error: ProtocolError) -> None:
        self._endpoint._metrics.errors.labels(error.code).inc()
        with contextlib.suppress(ProtocolError, TimeoutError, OSError):  # nobody may be there to hear it
            async with asyncio.timeout(FAREWELL_S):
                await self._put(_as_message(error))
        await self._close(error.close_code)

    async def _close(self, code: CloseCode) -> None:
        with contextlib.suppress(TimeoutError, OSError, RuntimeError):  # it may be closed already
            async with asyncio.timeout(FAREWELL_S):
                await self._send({"type": "websocket.close", "code": int(code)})


def _as_message(error: ProtocolError) -> Error:
    return Error(
        code=error.code,
        message=error.message,
        utterance=error.utterance,
        fatal=error.fatal,
        retry_after_ms=error.retry_after_ms,
    )


def _time_is_up(sentence: str) -> RemoteProtocolError:
    return RemoteProtocolError(ErrorCode.TIMEOUT, sentence, fatal=True)
