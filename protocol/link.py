"""The way to the server: one WebSocket after another, and one session as long as the server keeps it.

What is posted while there is no connection is noted in the journal, and goes out when there is one again (PROTOCOL.md,
"Resume"). Only what needs no keeping is dropped: pings and playheads, which the owner tells anew.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from dataclasses import replace
from math import inf
from typing import Protocol

from websockets.exceptions import ConnectionClosed, WebSocketException

from .connection import Connection, Side
from .dial import CLOSE_TIMEOUT_S, Dial, Socket
from .errors import CloseCode, ConnectionLost, ErrorCode, ProtocolError, RemoteProtocolError, SpeechError
from .journal import Journal
from .messages import ClientMessage, Close, Counted, Error, Hello, Limits, Ping, Ready, Resume, ServerMessage
from .reconnect import FINAL_CLOSES, FINAL_ERRORS, GHOST_S, MAX_WAIT_S, Backoff, LinkReport, Loss, Patience
from .state import InputState
from .vigil import watch
from .wire import Encoding


class Owner(Protocol):
    """Whose link it is."""

    @property
    def is_waiting(self) -> bool:
        """Whether it wants something that the journal knows nothing of."""

    def hear(self, message: ServerMessage) -> None:
        """What the server says: news only."""

    def joined(self, *, resumed: bool, cancelled: Collection[str]) -> None:
        """There is a connection again. Not `resumed`: with a session that knows of nothing.

        `cancelled`: utterances that have come to nothing by it, and were to end anyway.
        """

    def lose(self, lost: ConnectionLost) -> None:
        """There will be none any more."""

    def report(self, report: LinkReport) -> None:
        """For who wants to know."""


class Link:
    """`hello`: without `resume`. Use: `open`, then `run` in a task, and `close`."""

    def __init__(
        self,
        dial: Dial,
        hello: Hello,
        owner: Owner,
        *,
        encoding: Encoding = Encoding.MSGPACK,
        patience: Patience | None = None,
        backoff: Backoff | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self.ready: Ready | None = None
        self.journal = Journal()
        self._dial = dial
        self._hello = hello
        self._owner = owner
        self._encoding = encoding
        self._patience = patience or Patience()
        self._backoff = backoff or Backoff()
        self._clock = clock
        self._sleep = sleep
        self._connection = Connection(Side.CLIENT, ledger=self.journal, encoding=encoding)
        self._socket: Socket | None = None
        self._is_up = False
        self._is_leaving = False
        self._is_resting = False
        self._wakes = asyncio.Event()
        self._lost: ConnectionLost | None = None
        self._num_tried = 0  # since something new was heard
        self._deadline: float | None = None
        self._resumed_at = -inf
        self._outbox: deque[bytes | str] = deque()  # bounded: text waits for room, playheads have an interval
        self._filled = asyncio.Event()

    @property
    def resumes(self) -> bool:
        """Whether a connection that is lost is replaced."""
        return self._patience.resumes

    @property
    def limits(self) -> Limits:
        """Those of the newest `ready`."""
        return self.journal.limits

    def check(self) -> None:
        """Raises ConnectionLost if the link is lost for good."""
        if self._lost is not None:
            raise ConnectionLost(self._lost.code, self._lost.message)

    def post(self, message: ClientMessage) -> None:
        """Send, or note for later. Does nothing once the link is lost for good. Raises LocalProtocolError."""
        if self._lost is not None:
            return
        if self._is_up:
            self._outbox.append(self._connection.send(message))
            self._filled.set()
        else:
            self._connection.hold(message)
            if isinstance(message, Counted | Ping):
                self._wakes.set()

    async def open(self) -> None:
        """The first connection. Raises ConnectionLost if there is no such server, SpeechError if it refuses."""
        self._owner.report(LinkReport(state="connecting", attempt=1))
        loss = await self._try(self._patience.open_timeout_s)
        if loss is not None:
            raise loss.error
        self._owner.report(LinkReport(state="ready"))

    async def run(self) -> None:
        """Until the link is lost for good, or closed."""
        while True:
            loss = await self._hold()
            if self._is_leaving:
                return
            if loss.was_timed_out and self.resumes and not self._is_expecting():
                await self._rest()
            else:
                self._owner.report(LinkReport(state="lost"))
            last = await self._return(loss) if self.resumes else loss
            if last is not None:
                self.lose(last.error)
                self._owner.report(LinkReport(state="gone"))
                return

    async def _rest(self) -> None:
        """The server has forgotten a session in which nothing was said: until there is something to say, or to ask."""
        self._is_resting = True
        self._num_tried, self._deadline = 0, None
        self._wakes.clear()
        self._owner.report(LinkReport(state="resting"))  # who is told may have something to say
        await self._wakes.wait()

    def lose(self, error: SpeechError) -> None:
        """For good."""
        if self._lost is None:
            self._lost = ConnectionLost(error.code, error.message, retry_after_ms=error.retry_after_ms)
            self._owner.lose(self._lost)

    async def close(self, running: asyncio.Task[None]) -> None:
        """Goodbye. `running`: the task that runs it."""
        self._is_leaving = True
        was_up = self._is_up
        if was_up:
            self.post(Close())
        self.lose(ConnectionLost(ErrorCode.INTERNAL, "expected an open client, got one that was left"))
        try:
            if was_up:
                await asyncio.wait([running], timeout=CLOSE_TIMEOUT_S)
        finally:
            running.cancel()
            assert self._socket is not None, "expected a link that was opened"
            await self._socket.close()

    async def _try(self, timeout_s: float) -> Loss | None:
        """Connect, greet, and resume if there is something to resume."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._join()
        except TimeoutError:
            sentence = f"expected {self._dial.url} to answer within {timeout_s:g} s, it did not"
            return Loss(ConnectionLost(ErrorCode.TIMEOUT, sentence), is_final=False)
        except SpeechError as refusal:
            return Loss(refusal, is_final=refusal.code in FINAL_ERRORS)
        except (OSError, WebSocketException, ProtocolError) as error:
            sentence = f"expected a server at {self._dial.url}, got: {error}"
            return Loss(ConnectionLost(ErrorCode.INTERNAL, sentence), isinstance(error, ProtocolError))
        return None

    async def _join(self) -> None:
        socket = await self._dial.connect()
        resume = self._pass()
        try:
            journal = Journal(self.limits) if resume is None else self.journal
            connection = Connection(Side.CLIENT, ledger=journal, encoding=self._encoding)
            await socket.send(connection.send(replace(self._hello, resume=resume)))
            ready = await self._greet(socket, connection)
        except BaseException:
            socket.transport.abort()
            raise
        is_first, self.ready = self.ready is None, ready
        self._socket, self._connection = socket, connection
        before, self.journal = self.journal, connection.journal
        self._outbox.clear()
        self._outbox.extend(connection.resend(connection.unsettled))
        self._filled.set()
        self._is_up, self._is_resting = True, False
        if not is_first:
            self._resumed_at = self._clock()
            cancelled = (page.name for page in before.pages.values() if page.state.input is InputState.CANCELLED)
            self._owner.joined(resumed=ready.resumed, cancelled=frozenset(cancelled))

    def _pass(self) -> Resume | None:
        if self.ready is None or self._is_resting:
            return None
        return Resume(session=self.ready.session, token=self.ready.resume_token, received=self.journal.received)

    async def _greet(self, socket: Socket, connection: Connection) -> Ready:
        while True:
            received = connection.receive(await socket.recv())
            assert received is not None, "expected the table to close nothing before ready"
            match received.message:
                case Ready() as ready:
                    return ready
                case Error(code=code, message=sentence, retry_after_ms=retry_after_ms, fatal=True):
                    raise SpeechError(code, sentence, retry_after_ms=retry_after_ms)
                case _:
                    pass  # `resume_failed`, after which a `ready` comes

    async def _hold(self) -> Loss:
        """Keep a connection until it is lost."""
        socket = self._socket
        assert socket is not None, "expected a link that was opened"
        begun_at = self._clock()
        async with asyncio.TaskGroup() as tasks:
            watching = watch(
                socket,
                silence_s=self._patience.silence_s,
                is_expecting=self._is_expecting,
                ask=lambda: self.post(Ping()),
                sleep=self._sleep,
            )
            helpers = [tasks.create_task(self._write(socket)), tasks.create_task(watching)]
            loss = await self._read(socket)
            self._is_up = False
            for helper in helpers:
                helper.cancel()
        if self._clock() - begun_at > MAX_WAIT_S:  # nothing was said, but it worked
            self._num_tried, self._deadline = 0, None
        return loss

    async def _read(self, socket: Socket) -> Loss:
        last = SpeechError(ErrorCode.INTERNAL, "expected speech, but the server has closed the connection")
        with suppress(ConnectionClosed):  # without a goodbye, or with one that says less than the error before it
            while True:
                data = await socket.recv()
                try:
                    received = self._connection.receive(data)
                except RemoteProtocolError as error:
                    if error.fatal:
                        await socket.close(error.close_code)
                        return Loss(SpeechError(error.code, error.message), is_final=True)
                    continue  # what is not fatal is what a newer server may say
                if received is None:
                    continue
                match received.message:
                    case Error(code=code, message=sentence, retry_after_ms=retry_after_ms, fatal=True):
                        last = SpeechError(code, sentence, retry_after_ms=retry_after_ms)
                        self._is_up = False  # what is said until the close comes is for the next connection
                    case _:  # the server works
                        self._num_tried, self._deadline = 0, None
                self._owner.hear(received.message)
        is_ghost = socket.close_code == CloseCode.REPLACED and self._clock() < self._resumed_at + GHOST_S
        is_final = socket.close_code in FINAL_CLOSES and not is_ghost
        return Loss(last, is_final, was_timed_out=socket.close_code == CloseCode.TIMEOUT)

    async def _write(self, socket: Socket) -> None:
        with suppress(ConnectionClosed):  # the reader has seen it, too
            while True:
                while self._outbox:
                    await socket.send(self._outbox.popleft())
                self._filled.clear()
                await self._filled.wait()

    def _is_expecting(self) -> bool:
        return self._owner.is_waiting or bool(self.journal.live)

    async def _return(self, loss: Loss) -> Loss | None:
        """Find a server again. Returns the last loss if there is none."""
        if self._deadline is None:
            self._deadline = self._clock() + self.limits.resume_ms / 1000 + self._patience.give_up_s
        while not loss.is_final:
            wait_s = self._backoff.wait_s(self._num_tried, loss.error.retry_after_ms)
            if self._clock() + wait_s > self._deadline:
                break
            self._num_tried += 1
            self._owner.report(LinkReport(state="connecting", attempt=self._num_tried, wait_s=wait_s))
            await self._sleep(wait_s)
            failed = await self._try(min(self._patience.open_timeout_s, self._patience.silence_s))
            if failed is None:
                return None
            loss = failed
        return loss
