"""The utterances of a client that are not over, under the ids that the server knows them by."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from itertools import count
from typing import Final

from .errors import ConnectionLost, ErrorCode, LocalProtocolError, SpeechError
from .link import Link
from .messages import Audio, Cancel, Done, Error, Ready, UtteranceMessage
from .speech import Speech
from .text_flow import TextFlow

log = logging.getLogger(__name__)

MAX_NAME: Final = 40
"""Of a user's id this much is in the one that another server gets."""


class Roster:
    """`over`: is told which have come to their end. `max_buffered_bytes`: of sound that is not taken."""

    def __init__(
        self,
        link: Link,
        *,
        clock: Callable[[], float],
        max_buffered_bytes: int,
        over: Callable[[Speech], None],
    ) -> None:
        self.is_draining = False
        """The server is going away: what it breaks off may go on with another."""
        self._link = link
        self._max_buffered_bytes = max_buffered_bytes
        self._over = over
        self._speeches: dict[str, Speech] = {}
        self._broken_off: dict[str, ErrorCode] = {}
        self._has_moved = False
        self._numbers = count(1)
        self.flow = TextFlow(self._speeches, lambda: link.limits, clock)

    def expect_new(self, utterance: str) -> None:
        """Raises LocalProtocolError for an id that is live for its user, if not for the server."""
        if any(speech.utterance == utterance and not speech.is_over for speech in self._speeches.values()):
            sentence = f"expected a new utterance id, got {utterance} again"
            raise LocalProtocolError(ErrorCode.DUPLICATE_UTTERANCE, sentence, utterance=utterance)

    @property
    def _ready(self) -> Ready:
        assert self._link.ready is not None, "expected a session"
        return self._link.ready

    @property
    def is_speaking(self) -> bool:
        """Whether one is not over."""
        return any(not speech.is_over for speech in self._speeches.values())

    def enter(self, speech: Speech) -> None:
        """It was started."""
        self._speeches[speech.wire_id] = speech

    def wire_id(self, utterance: str | None) -> str | None:
        """The id of an earlier utterance for the server. None, too, if it was over before the session was begun."""
        for speech in self._speeches.values():
            if speech.utterance == utterance:
                return speech.wire_id
        is_known = utterance is None or self._link.journal.knows(utterance)
        return utterance if is_known or not self._has_moved else None

    def hear(self, message: UtteranceMessage) -> None:
        """What the server says about one of them."""
        if message.utterance not in self._speeches:
            return
        speech = self._speeches[message.utterance]
        if self._link.resumes and self._is_to_go_on(speech, message):
            return
        speech.take(message)
        if speech.is_over:
            self._forget(speech)
        elif isinstance(message, Audio) and speech.buffered_bytes > self._max_buffered_bytes:
            sentence = "expected the server to wait while its speech is not taken, got more"
            speech.fail(SpeechError(ErrorCode.SLOW_CONSUMER, sentence))
        if not isinstance(message, Audio):
            self.flow.look_again()

    def go_on(self, *, resumed: bool, cancelled: Collection[str]) -> None:
        """There is a connection again; those that its session does not know are begun anew, or were cancelled."""
        self._has_moved |= not resumed
        self.is_draining &= resumed and self._ready.resume == "local"  # else it may be another server
        if not resumed:
            self._broken_off.clear()
        live = self._link.journal.live
        strangers = [speech for name, speech in self._speeches.items() if name not in live]
        for speech in strangers:
            speech.stop(is_cancelled=speech.wire_id in cancelled)
        self._begin_anew(strangers)
        for speech in self._speeches.values():
            speech.tell_playhead()

    def lose(self, lost: ConnectionLost) -> None:
        """There will be no connection any more."""
        for speech in list(self._speeches.values()):
            speech.lose(lost)
            self._forget(speech)
        self.flow.look_again()

    def _is_to_go_on(self, speech: Speech, message: UtteranceMessage) -> bool:
        """Whether it was broken off by something that is not its own fault, so that its user need not know."""
        name = speech.wire_id
        match message:
            case Error(code=ErrorCode.REPLAY_GAP as code):
                self._broken_off[name] = code
            case Error(code=ErrorCode.BUSY as code) if self.is_draining:
                self._broken_off[name] = code
                if message.seq is None:  # it was not even begun
                    speech.stop()
            case Done(reason="error") if name in self._broken_off:
                speech.stop()
                if self._broken_off.pop(name) is ErrorCode.REPLAY_GAP:
                    self._begin_anew([speech])
            case _:
                return False
        return True

    def _begin_anew(self, speeches: Iterable[Speech]) -> None:
        for speech in speeches:
            self._speeches.pop(speech.wire_id)
        for speech in speeches:
            self._restart(speech)
            if speech.is_over:
                self._over(speech)
        self.flow.look_again()

    def _restart(self, speech: Speech) -> None:
        rate = self._ready.model.sample_rate
        if rate != speech.sample_rate:
            sentence = f"expected a server whose model speaks at {speech.sample_rate} Hz, got one at {rate} Hz"
            speech.lose(SpeechError(ErrorCode.UNSUPPORTED_FORMAT, sentence))
            return
        name = f"{speech.utterance[:MAX_NAME]}~{next(self._numbers)}"
        after = self.wire_id(speech.after)
        try:
            for message in speech.restart(name, after=after, piece_chars=self.flow.piece_chars):
                self._link.post(message)
        except LocalProtocolError as error:  # the limits of this server are tighter
            speech.lose(SpeechError(error.code, error.message))
            with suppress(LocalProtocolError):
                self._link.post(Cancel(utterance=name))
            return
        if not speech.is_over:
            self._speeches[name] = speech
            self.flow.spend(speech.num_pending_chars)
            for restart in speech.restarts[-1:]:
                log.warning("utterance %s begun anew at code point %d", speech.utterance, restart.text_start)

    def _forget(self, speech: Speech) -> None:
        del self._speeches[speech.wire_id]
        self._over(speech)
