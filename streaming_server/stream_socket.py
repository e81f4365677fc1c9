"""uvicorn's WebSocket, with an answer to peers that do not read.

As it comes, it answers pings whether or not the pongs are taken, in memory without bound; and a peer that stops reading
is kept for ever, since closing waits until all is written.
"""

from __future__ import annotations

import asyncio
from asyncio.transports import BaseTransport
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from uvicorn.config import Config
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.server import ServerState
from websockets.frames import Frame, Opcode
from websockets.protocol import State

from protocol.errors import CloseCode

from .admission import Throttle
from .frame_head import frame_head
from .metrics import Metrics
from .quota import Quota
from .socket_queues import SocketQueues
from .sound_window import SoundWindow
from .upgrade_socket import UpgradeSocket

if TYPE_CHECKING:
    from uvicorn._types import ASGIReceiveEvent

INVALID_DATA = 1007
"""RFC 6455, 7.4.1: text that is not UTF-8."""

LOOKS = 4
"""So many times within the time that a stall may last it is looked whether something was taken."""

SLICE_BYTES = 2_048
"""So much of what has come is parsed at a turn of the loop: 256 KiB of the smallest frames, which a read may bring,
would keep all others waiting for 300 ms."""

LAST_WORD_S = 2.0
"""So long a peer that is cut has to read why."""


class StreamSocket(UpgradeSocket):
    """One connection. While it is full ("writing is paused") a ping stops reading until it is not: all else that a peer
    says is read, a `cancel` above all, for nothing else is answered without the application. Of frames that are no
    messages, pings and fragments, `frames_per_s` are read.

    `stall_s`: a full socket from which the peer has taken nothing for so long is lost to the application, as a
    disconnection with 4408; what it then still sends goes out if the peer reads it at once. The round trip, which it
    takes to hear that anything was taken, is not counted.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        *,
        metrics: Metrics,
        stall_s: float,
        frames_per_s: float,
    ) -> None:
        super().__init__(config, server_state, app_state)
        self._stall_s = stall_s
        self._metrics = metrics
        self._is_stalled = False
        self._is_silent = False
        self._is_elsewhere = False
        self._has_failed = False  # the peer broke RFC 6455, and has been told
        self._rest = b""  # has come, and is not parsed
        self._goes_on = False  # more of that is parsed at the loop's next turn
        self._holds_for_pongs = False
        self._frames = Throttle(frames_per_s)
        self.quotas: Sequence[Quota] = ()
        """What it shares with others of its address or key."""
        self._paid_at = 0.0  # when what was read is no longer too much
        self._pause: asyncio.TimerHandle | None = None
        self._num_untaken = 0
        self._taken_at = 0.0
        self._queues: SocketQueues
        self._sound: SoundWindow
        self._num_unacknowledged = 0  # when a pong was overdue
        self._timer: asyncio.TimerHandle | None = None

    @property
    def _is_full(self) -> bool:
        return not self.writable.is_set()

    # ---- what the transport says

    def connection_made(self, transport: BaseTransport) -> None:
        super().connection_made(transport)
        self._queues = SocketQueues(self.transport)
        self._sound = SoundWindow(self._queues, self.loop.time)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_from_now()

    def resume_writing(self) -> None:
        super().resume_writing()
        if not self._is_stalled:
            self._stop_watching()
        self._holds_for_pongs = False
        self._read_on()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_watching()
        self._rest = b""
        if self._pause is not None:
            self._pause.cancel()
        if (cause := self._cause_of_loss(exc)) is not None:
            self._metrics.sockets_lost.labels(cause).inc()
        super().connection_lost(exc)

    def _cause_of_loss(self, exc: Exception | None) -> str | None:
        """None: somebody said goodbye, or another process has it."""
        if self._is_stalled:
            return "slow"
        if self._is_silent:
            return "silent"
        if self._is_elsewhere or self.close_sent or self.conn.close_rcvd is not None:
            return None
        if exc is None:
            return "eof"
        return "timeout" if isinstance(exc, TimeoutError) else "reset"

    # ---- reading

    def data_received(self, data: bytes) -> None:
        if self._has_failed:
            return  # nothing of it means anything any more
        if self._rest or len(data) > SLICE_BYTES:
            self._rest += data
            self._read_on()
        else:
            super().data_received(data)

    @property
    def _holds_reading(self) -> bool:
        return self._holds_for_pongs or self._pause is not None

    def _hold(self) -> None:
        if not self.transport.is_closing():
            self.transport.pause_reading()

    def _read_on(self) -> None:
        """Parse what is left, then let more come, unless something speaks against it."""
        if self.read_paused or self._holds_reading or self._goes_on or self.transport.is_closing():
            return
        if self._rest:
            self._hold()
            self._goes_on = True
            self.loop.call_soon(self._parse_slice)
        else:
            self.transport.resume_reading()

    def _parse_slice(self) -> None:
        self._goes_on = False
        data, self._rest = self._rest[:SLICE_BYTES], self._rest[SLICE_BYTES:]
        if data and not self.transport.is_closing():
            super().data_received(data)
            self._read_on()

    def _count_frame(self) -> None:
        """It is read more slowly where these come too fast."""
        now = self.loop.time()
        own_s = self._frames.take(1, now)
        wait_s = max(own_s, *(quota.take_frame(now) for quota in self.quotas)) if self.quotas else own_s
        self._paid_at = now + wait_s
        if wait_s > 0 and self._pause is None:
            self._hold()
            self._pause = self.loop.call_later(wait_s, self._end_pause)
            self._metrics.throttled.labels("session" if wait_s <= own_s else "shared").inc()

    def _end_pause(self) -> None:
        """Unless more came in the slice that was being parsed."""
        self._pause = None
        if self.loop.time() < self._paid_at:
            self._pause = self.loop.call_at(self._paid_at, self._end_pause)
        self._read_on()

    # ---- what uvicorn does

    def handle_cont(self, event: Frame) -> None:
        if event.data or event.fin:  # fragments without content are not counted by any limit of size
            super().handle_cont(event)
        self._count_frame()

    def handle_ping(self) -> None:
        super().handle_ping()
        self._count_frame()
        if self._is_full:
            self._holds_for_pongs = True
            self._hold()

    def handle_pong(self, event: Frame) -> None:
        super().handle_pong(event)
        self._count_frame()

    def keepalive_timeout(self) -> None:
        """A pong may be among what is not read: while the socket is full (then the other watch is enough), while its
        peer is read more slowly, and when this process has stood still. Or the ping has not come: sound goes before."""
        before, self._num_unacknowledged = self._num_unacknowledged, self._queues.num_untaken()
        is_behind = self._sound.lies_there(self._num_unacknowledged) and self._num_unacknowledged != before
        if self.ping_timeout is not None and (self._is_full or is_behind or self._rest or self._queues.num_unread()):
            self.pong_timer = self.loop.call_later(self.ping_timeout, self.keepalive_timeout)
        else:
            self._is_silent = True
            super().keepalive_timeout()

    def send_receive_event_to_app(self) -> None:
        """Without a traceback in the log for every text that is not UTF-8."""
        if self.curr_msg_data_type == "text" and not self.close_sent:
            try:
                b"".join(self.frames).decode()
            except UnicodeDecodeError:
                self.frames = []
                self.conn.send_close(INVALID_DATA)
                self.handle_parser_exception()
                return
        super().send_receive_event_to_app()

    def handle_parser_exception(self) -> None:
        """Reads on for a while: a socket that is closed with bytes unread is reset, and its peer never hears why."""
        assert self.conn.close_sent is not None, "expected the parser to have said why"
        told = self.conn.close_sent
        self._metrics.frames_refused.labels(str(int(told.code))).inc()
        self.queue.put_nowait({"type": "websocket.disconnect", "code": told.code, "reason": told.reason})
        self._has_failed = self.close_sent = True
        self._rest = b""
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.transport.write_eof()
        self.transport.resume_reading()
        self.close_timer = self.loop.call_later(LAST_WORD_S, self.transport.close)

    async def receive(self) -> ASGIReceiveEvent:
        message = await super().receive()
        if not self.read_paused and not self._has_failed:  # uvicorn, whose queue is empty, has just resumed reading
            if self._holds_reading or self._goes_on:
                self._hold()
            elif self._rest:
                self._read_on()
        return message

    async def write(self, data: bytes | str, sound_s: float) -> None:
        """A message with so much sound, once there is room: `send` has many cases more. Raises ClientDisconnected."""
        was_stalled = self._is_stalled
        if self._is_full:
            await self.writable.wait()
        if self._sound.is_over(sound_s):
            self._watch_from_now()
            await self._sound.room(sound_s, lambda: self._is_stalled or self.transport.is_closing())
            if not (self._is_full or self._is_stalled):
                self._stop_watching()
        if (self._is_stalled and not was_stalled) or self.disconnected or self.conn.state is not State.OPEN:
            raise ClientDisconnected
        opcode, payload = (Opcode.TEXT, data.encode()) if isinstance(data, str) else (Opcode.BINARY, data)
        self.transport.write(frame_head(opcode, len(payload)) + payload)
        self._sound.write(len(payload), sound_s)

    # ---- the watch

    def _watch_from_now(self) -> None:
        self._num_untaken, self._taken_at = self._queues.num_untaken(), self.loop.time()
        self._watch(self._stall_s / LOOKS)

    def _watch(self, delay_s: float) -> None:
        self._stop_watching()
        self._timer = self.loop.call_later(delay_s, self._on_time)

    def _stop_watching(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _on_time(self) -> None:
        if self._is_stalled:
            self.transport.abort()
            return
        num_untaken, now = self._queues.num_untaken(), self.loop.time()
        if num_untaken < self._num_untaken:
            self._taken_at = now
        self._num_untaken = num_untaken
        waited_s = now - self._taken_at
        if waited_s < self._stall_s or waited_s < self._stall_s + self._queues.way().round_trip_s:
            self._watch(self._stall_s / LOOKS)
            return
        self._is_stalled = True
        self.queue.put_nowait({"type": "websocket.disconnect", "code": CloseCode.TIMEOUT, "reason": "slow_consumer"})
        self.writable.set()
        self._watch(LAST_WORD_S)
