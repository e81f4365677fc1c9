"""A WebSocket and its session: one reader, one writer, one edge where every fault becomes an error and a close code."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from protocol.connection import Connection, Side
from protocol.errors import CloseCode, ErrorCode, ProtocolError, RemoteProtocolError
from protocol.messages import Error, Hello, ServerMessage, UtteranceMessage

from .admission import Admission
from .auth import Doorkeeper
from .callers import Key
from .config import Config
from .greeting import told_limits
from .lobby import Lobby
from .metrics import Metrics
from .session import Session
from .studio import Studio
from .turning_away import TOO_SLOW, as_message, time_is_up
from .visit import Visit

log = logging.getLogger(__name__)

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Write = Callable[[bytes | str, float], Awaitable[None]]  # a message, and seconds of sound in it

FAREWELL_S = 1.0
"""A last word or a close that the peer does not take is given up after this."""


class _Gone(Exception):
    """The client has closed the socket, or lost it."""

    def __init__(self, code: int | None = None) -> None:
        super().__init__()
        self.is_goodbye = code in (CloseCode.NORMAL, CloseCode.GOING_AWAY)
        self.is_slow = code == CloseCode.TIMEOUT  # `stream_socket` says so; it may still take a last word


class Conversation:
    """One connection, from its acceptance to its close."""

    def __init__(
        self,
        config: Config,
        studio: Studio,
        admission: Admission,
        doorkeeper: Doorkeeper,
        metrics: Metrics,
        lobby: Lobby,
        visit: Visit,
        hand_over: Callable[[str], Awaitable[bool]],
        *,
        headers: Mapping[str, str],
        receive: Receive,
        write: Write,
        send: Send,
    ) -> None:
        self._config = config
        self._studio = studio
        self._admission = admission
        self._doorkeeper = doorkeeper
        self._metrics = metrics
        self._lobby = lobby
        self._visit = visit
        self._hand_over = hand_over
        self._key: Key | None = None
        self._headers = headers
        self._receive = receive
        self._put_on_wire = write
        self._send = send
        self._connection = Connection(Side.SERVER, limits=told_limits(config))
        self._session: Session | None = None
        self._again: deque[UtteranceMessage] = deque()  # held for a client that has come back
        self._is_sending = False
        self._is_lost = False  # the connection, not the session
        self._farewell: CloseCode | None = None
        self._is_closing = False  # its last word is being said
        task = asyncio.current_task()
        assert task is not None, "an endpoint runs in a task"
        self.task = task

    @property
    def session(self) -> Session | None:
        """What it has; None before `ready`, and when another connection has it."""
        return self._session

    @property
    def is_busy(self) -> bool:
        """Whether something is still being said here."""
        return self._session is not None and (self._is_sending or bool(self._again) or not self._session.is_idle)

    def leave(self) -> None:
        """The server is going away."""
        self._end(CloseCode.GOING_AWAY)

    def replaced(self) -> None:
        """Another connection has the session; not a message of it goes out here any more."""
        self._session = None
        self._end(CloseCode.REPLACED)

    def _end(self, code: CloseCode) -> None:
        if self._farewell is None and not self._is_closing:
            self._farewell = code
            self.task.cancel()

    async def run(self) -> None:
        """The session's edge: the outermost of the broad nets (ARCHITECTURE.md, decision 13)."""
        try:
            await self._converse()
        except _Gone as gone:
            self._is_lost = not gone.is_goodbye
            if gone.is_slow:
                await self._refuse(TOO_SLOW)
        except ProtocolError as error:
            await self._refuse(error)
        except asyncio.CancelledError:
            if self._farewell is None:
                raise
            self.task.uncancel()
            await self._close(self._farewell)
        except Exception:
            log.exception("session failed")
            self._metrics.internal_errors.inc()
            await self._refuse(
                RemoteProtocolError(ErrorCode.INTERNAL, "the server failed; this connection is over", fatal=True)
            )
        finally:
            if self._session is not None:
                (self._lobby.park if self._is_lost else self._lobby.leave)(self._session)

    async def _converse(self) -> None:
        hello, unknown = await self._hello()
        if not (self._doorkeeper.knows(hello.token) or self._doorkeeper.knows_headers(self._headers)):
            raise RemoteProtocolError(
                ErrorCode.UNAUTHORIZED, "expected the server's API key in hello.token, got another or none", fatal=True
            )
        self._key = self._doorkeeper.key_of(hello.token, self._headers)
        self._visit.show(self._key)
        if hello.resume is not None and await self._hand_over(hello.resume.session):
            return  # another web process has that session, and the socket now
        session = await self._come_back(hello, unknown) or await self._enter(hello, unknown)
        fault: ProtocolError | _Gone | None = None
        async with asyncio.TaskGroup() as tasks:
            writer = tasks.create_task(self._write(session))
            try:
                await self._read(session, writer)
            except (ProtocolError, _Gone) as error:
                fault = error
            finally:
                writer.cancel()
        try:
            if isinstance(fault, _Gone):
                raise fault
            if fault is None:
                await self._close(CloseCode.NORMAL)
            else:
                await self._flush(session)
                await self._refuse(fault)
        finally:
            del fault  # else its traceback holds this frame, and this frame holds it

    async def _come_back(self, hello: Hello, unknown: tuple[str, ...]) -> Session | None:
        """The session that the client asks for, on this connection now. None: it asks for none, or has been told."""
        if hello.resume is None:
            return None
        session = self._session = self._lobby.claim(hello.resume, self, self._key)
        if session is None:
            message = "expected the session and token of a connection lost a moment ago; these are unknown or expired"
            await self._put(Error(code=ErrorCode.RESUME_FAILED, message=message))
            return None
        self._connection.resume(session.ledger)
        self._again.extend(session.come_back(hello).messages)
        await self._put(session.ready(self._lobby.issue(session, self._key), unknown, resumed=True))
        return session

    async def _enter(self, hello: Hello, unknown: tuple[str, ...]) -> Session:
        refusal = self._admission.refuse_session()
        if refusal is not None:
            raise RemoteProtocolError(
                ErrorCode.BUSY, refusal.message, fatal=True, retry_after_ms=refusal.retry_after_ms
            )
        name, ledger = self._lobby.new_name(), self._connection.ledger
        session = Session(name, hello, self._config, self._studio, self._admission, self._metrics, ledger)
        self._lobby.enter(session, self)
        self._session = session
        await self._put(session.ready(self._lobby.issue(session, self._key), unknown, resumed=False))
        return session

    async def _hello(self) -> tuple[Hello, tuple[str, ...]]:
        timeout_s = self._config.hello_timeout_ms / 1000
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

    async def _read(self, session: Session, taker: asyncio.Task[None]) -> None:
        """Until the session is closed. Raises ProtocolError when it ends by a fatal fault or by its limits."""
        clock, config = self._studio.clock, self._config
        idle_s, life_s, ends_at = config.idle_ms / 1000, config.session_ms / 1000, session.ends_at
        while not session.closed:
            # One timer for many messages, set anew when it rings: one for each cost a tenth of a web process. Where the
            # client is silent and only listens, it looks again after half the time.
            rings_at = min(ends_at, max(session.active_at + idle_s, clock() + idle_s / 2))
            try:
                async with asyncio.timeout(rings_at - clock()):
                    await self._take_messages(session, taker)
            except TimeoutError:
                now = clock()
                if now >= ends_at:
                    raise time_is_up(f"expected a session of at most {life_s:g} s, this one is over") from None
                if session.is_idle and now >= session.active_at + idle_s:
                    raise time_is_up(f"expected a message within {idle_s:g} s, none came") from None

    async def _take_messages(self, session: Session, taker: asyncio.Task[None]) -> None:
        clock = self._studio.clock
        while not session.closed:
            message, data = None, await self._next()
            try:
                event = self._connection.receive(data)
                if event is not None:
                    self._visit.admit(event.message, session.ledger, clock())
                    session.handle(event.message, event.unknown)
                    message = event.message
            except ProtocolError as error:
                if error.fatal:
                    raise
                session.emit(as_message(error))
            await self._visit.pause(message, session.throttle_s(message, clock()), clock())
            await session.outbox.room(taker)

    async def _write(self, session: Session) -> None:
        with contextlib.suppress(_Gone):  # the reader hears of it, too
            while self._session is session:  # until another connection has it
                await self._empty(session)
                await session.outbox.filled()

    async def _empty(self, session: Session) -> None:
        """Say all there is: first, in its order, what is held for a client that has come back."""
        while self._again:
            for data in self._connection.resend((held := self._again.popleft(),)):
                await self._transmit(data, session.sound_s(held))
            await asyncio.sleep(0)  # a socket with room keeps nobody waiting, and it may be a lot
        while self._session is session and (message := session.outbox.take()) is not None:
            data = self._connection.send(message)
            self._is_sending = True
            try:
                await self._transmit(data, session.sound_s(message))
            finally:  # it is in the ledger, whatever becomes of this socket
                self._is_sending = False
                session.on_sent(message)

    async def _next(self) -> bytes | str:
        message = await self._receive()
        if message["type"] != "websocket.receive":
            raise _Gone(message.get("code"))
        data: bytes | str | None = message.get("bytes")
        return data if data is not None else message["text"]

    async def _put(self, message: ServerMessage) -> None:
        await self._transmit(self._connection.send(message))

    async def _transmit(self, data: bytes | str, sound_s: float = 0.0) -> None:
        try:
            await self._put_on_wire(data, sound_s)
        except OSError:
            raise _Gone from None

    async def _flush(self, session: Session) -> None:
        """What was said before a fatal fault still goes out before it."""
        with contextlib.suppress(TimeoutError, _Gone):
            async with asyncio.timeout(FAREWELL_S):
                await self._empty(session)

    async def _refuse(self, error: ProtocolError) -> None:
        self._is_closing = True
        self._metrics.errors.labels(error.code).inc()
        with contextlib.suppress(ProtocolError, TimeoutError, _Gone):  # nobody may be there to hear it
            async with asyncio.timeout(FAREWELL_S):
                await self._put(as_message(error))
        await self._close(error.close_code)

    async def _close(self, code: CloseCode) -> None:
        self._is_closing = True
        with contextlib.suppress(TimeoutError, OSError, RuntimeError):  # it may be closed already
            async with asyncio.timeout(FAREWELL_S):
                await self._send({"type": "websocket.close", "code": int(code)})
