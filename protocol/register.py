"""The register of a session's utterances: who is live, finished or refused, and the rules both sides check alike.

The server's ledger and the client's journal are registers; what each keeps of an utterance is its page.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from .errors import ErrorCode, ProtocolError
from .messages import AboutUtterance, Error, Limits, Start, Text
from .recent import Recent
from .state import InputState, UtteranceState


@dataclass(slots=True, kw_only=True)
class Page:
    """What both sides keep of an utterance."""

    name: str
    state: UtteranceState
    preempt: bool
    text_chars: int = 0
    next_seq: int = 0  # of the next audio
    pts: int = 0  # ticks so far


P = TypeVar("P", bound=Page)


class Register(Generic[P]):
    """A session's utterances, oldest first. Errors are raised as the class that says who is to blame."""

    def __init__(self, page_type: type[P], limits: Limits | None) -> None:
        self.limits = limits or Limits()
        self._page_type = page_type
        self._live: dict[str, P] = {}
        self._finished: Recent[P] = Recent(self.limits.ids)
        self._refused: Recent[Error] = Recent(self.limits.ids)

    def set_limits(self, limits: Limits) -> None:
        """Other limits hold from now on; what is remembered already is kept."""
        self.limits = limits
        self._finished.bound = self._refused.bound = limits.ids

    @property
    def live(self) -> tuple[str, ...]:
        """The utterances that are asked for or under way, oldest first."""
        return tuple(self._live)

    @property
    def pages(self) -> Mapping[str, P]:
        """The live utterances' pages: to be read only."""
        return self._live

    def knows(self, utterance: str) -> bool:
        """Whether the id is live, or among the latest that are finished or refused."""
        return utterance in self._live or utterance in self._finished or utterance in self._refused

    def open(self, start: Start, blame: type[ProtocolError]) -> None:
        """Enter a new utterance. Raises `blame`: then nothing has changed."""
        name, limits = start.utterance, self.limits
        if name in self._live or name in self._finished:
            sentence = f"expected a new utterance id, got {name} again"
            raise blame(ErrorCode.DUPLICATE_UTTERANCE, sentence, utterance=name)
        num_open = 0 if start.preempt else sum(p.state.input is not InputState.CANCELLED for p in self._live.values())
        if num_open >= limits.utterances or len(self._live) >= 2 * limits.utterances:
            sentence = f"expected at most {limits.utterances} utterances at a time, got one more"
            raise blame(ErrorCode.TOO_MANY_UTTERANCES, sentence, utterance=name)
        if start.after is not None and not self.knows(start.after):
            sentence = f"expected after to name an earlier utterance, got {start.after}"
            raise blame(ErrorCode.UNKNOWN_UTTERANCE, sentence, utterance=name)
        page = self._page_type(name=name, state=UtteranceState(start), preempt=bool(start.preempt))
        self._write(page, start.text or "", blame)
        self._refused.forget(name)
        self._live[name] = page

    def say(self, page: P, message: AboutUtterance, blame: type[ProtocolError]) -> bool:
        """The client says something about a live utterance. Returns whether it has an effect.

        Raises `blame` (`bad_state`, `text_limit`): then nothing has changed.
        """
        if isinstance(message, Text) and page.state.input is InputState.OPEN:
            self._write(page, message.text, blame)
        return page.state.client_says(message, blame, page.name)

    def cancel_all(self, *, before: str | None = None) -> None:
        """What `cancel` `*` does, and the `started` of a preempting utterance to those before it."""
        for page in self._live.values():
            if page.name == before:
                return
            page.state.cancel()

    def finish(self, page: P) -> P | None:
        """The utterance is over. Returns the finished page that had to be forgotten for it."""
        page.state.finish()
        del self._live[page.name]
        return self._finished.keep(page.name, page)

    def refuse(self, name: str, error: Error) -> None:
        """A start was refused: its id stays free, and what was sent after it on trust means nothing."""
        self._live.pop(name, None)
        self._refused.keep(name, error)

    def _write(self, page: P, text: str, blame: type[ProtocolError]) -> None:
        if page.text_chars + len(text) > self.limits.text_chars:
            sentence = f"expected at most {self.limits.text_chars} characters in an utterance, got more"
            raise blame(ErrorCode.TEXT_LIMIT, sentence, utterance=page.name)
        page.text_chars += len(text)
