"""What a session has said and its socket has not taken."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Container

from protocol.messages import Audio, FormatChanged, Segment, ServerMessage, UtteranceMessage, Words

MAX_MESSAGES = 1024
"""More than these, and the client is not read until some have left: its messages are what makes most of them."""

MAX_SOUND_BYTES = 1 << 20
"""12 s of PCM; then the engine waits. What a step or two of it adds beyond that is bounded, too."""


class Outbox:
    """In order. A message gets its seq when it is taken; until then a cancel may recall it."""

    def __init__(self) -> None:
        self._messages: deque[ServerMessage] = deque()
        self._taker: asyncio.Future[None] | None = None  # who waits for something to take
        self._has_room = asyncio.Event()
        self._has_room.set()
        self.sound_bytes = 0

    def __len__(self) -> int:
        return len(self._messages)

    def is_full(self, *, still: bool) -> bool:
        """Whether too much sound waits for the socket. `still`: it was so; then until half of it is taken."""
        return self.sound_bytes > (MAX_SOUND_BYTES // 2 if still else MAX_SOUND_BYTES)

    async def filled(self) -> None:
        """Wait until there is something to take: one at a time."""
        if self._messages:
            return
        taker = self._taker = asyncio.get_running_loop().create_future()
        try:
            await taker
        finally:
            if self._taker is taker:
                self._taker = None

    async def room(self, taker: asyncio.Task[None]) -> None:
        """Wait until there are few enough messages for more to be asked for, or until `taker` takes none any more."""
        if self._has_room.is_set():
            return
        waiting = asyncio.ensure_future(self._has_room.wait())
        try:
            await asyncio.wait((waiting, taker), return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()

    def put(self, message: ServerMessage) -> None:
        self._messages.append(message)
        self.sound_bytes += _sound_bytes(message)
        if self._taker is not None and not self._taker.done():
            self._taker.set_result(None)
        if len(self._messages) > MAX_MESSAGES:
            self._has_room.clear()

    def take(self) -> ServerMessage | None:
        """The next message; None when there is none."""
        if not self._messages:
            return None
        message = self._messages.popleft()
        self.sound_bytes -= _sound_bytes(message)
        if len(self._messages) <= MAX_MESSAGES // 2:
            self._has_room.set()
        return message

    def recall(self, utterance: str, pts: int) -> int:
        """Withdraw the sound of a cancelled utterance that begins at that tick or later, and what announces it; its
        samples."""
        kept: deque[ServerMessage] = deque()
        num_samples, is_heard = 0, False
        for message in reversed(self._messages):
            is_its = isinstance(message, UtteranceMessage) and message.utterance == utterance
            is_heard |= is_its and isinstance(message, Audio) and message.pts < pts
            if is_its and not is_heard and isinstance(message, Audio | Segment | Words | FormatChanged):
                self.sound_bytes -= _sound_bytes(message)
                num_samples += message.samples if isinstance(message, Audio) else 0
            else:
                kept.appendleft(message)
        self._messages = kept
        return num_samples

    def keep_only(self, utterances: Container[str]) -> None:
        """Withdraw all that is not about one of these."""
        messages, self._messages = self._messages, deque()
        self.sound_bytes = 0
        for message in messages:
            if isinstance(message, UtteranceMessage) and message.utterance in utterances:
                self._messages.append(message)
                self.sound_bytes += _sound_bytes(message)
        if len(self._messages) <= MAX_MESSAGES // 2:
            self._has_room.set()

    def clear(self) -> None:
        self._messages.clear()
        self.sound_bytes = 0
        self._has_room.set()


def _sound_bytes(message: ServerMessage) -> int:
    if not isinstance(message, Audio):
        return 0
    return len(message.data) if message.data is not None else sum(map(len, message.packets or ()))
