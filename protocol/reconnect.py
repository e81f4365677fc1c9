"""When to try again after a connection was lost, how long to wait for it, and when it is of no use. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Final, Literal

from .errors import CloseCode, ErrorCode, SpeechError

FIRST_WAIT_S: Final = 0.1
MAX_WAIT_S: Final = 5.0
"""The bounds between which the waits double; each wait is anything up to its bound."""

FINAL_CLOSES: Final = frozenset(
    {CloseCode.NORMAL, CloseCode.POLICY, CloseCode.TOO_LARGE, CloseCode.BAD_OPENING, CloseCode.REPLACED}
)
"""What another connection would only meet again: a goodbye, a refusal, a fault of ours, or another client in our place.
After all others (1001 going away, 1006 none at all, 1011, 1012, 1013, 4408 ...) the server may be back in a moment."""

GHOST_S: Final = 10.0
"""So soon after a resume 4409 means that a try of our own, given up before, was read only then."""

FINAL_ERRORS: Final = frozenset(
    {
        ErrorCode.BAD_MESSAGE,
        ErrorCode.BAD_VALUE,
        ErrorCode.UNKNOWN_TYPE,
        ErrorCode.UNSUPPORTED_VERSION,
        ErrorCode.UNAUTHORIZED,
        ErrorCode.FORBIDDEN_ORIGIN,
        ErrorCode.TOO_LARGE,
    }
)
"""Answers to a `hello` that the next one would get, too. Not `bad_state`: a `hello` may have come late."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkReport:
    """What became of the way to the server. `connecting`: try number `attempt` will be made in `wait_s`.

    `resumed`: nothing is lost. `restarted`: the server had forgotten the session, and unfinished speech starts anew.
    `resting`: the server has closed a connection on which nothing was said; there will be another when something is.
    `gone`: there will be no connection any more.
    """

    state: Literal["connecting", "ready", "lost", "resumed", "restarted", "resting", "gone"]
    attempt: int = 0
    wait_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a client bears what. `give_up_s`: to find a server again, when the session can no longer be resumed.

    `silence_s`: a server that says nothing for so long, and does not answer a ping either, is lost.
    """

    resumes: bool = True
    open_timeout_s: float = 10.0
    give_up_s: float = 60.0
    silence_s: float = 4.5


@dataclass(frozen=True, slots=True)
class Loss:
    """A connection that has ended, or could not be made. `is_final`: there is no use in another. `was_timed_out`: the
    server has heard nothing for too long, or its session's life is over."""

    error: SpeechError
    is_final: bool
    was_timed_out: bool = False


class Backoff:
    """The waits between the tries: none before the first, then exponential ones with full jitter."""

    def __init__(self, random: Random | None = None) -> None:
        self._random = random or Random()

    def wait_s(self, num_tried: int, retry_after_ms: int | None = None) -> float:
        """Before the next try. `retry_after_ms`: the server's wish; not all are to keep it at the same moment."""
        bound_s = min(MAX_WAIT_S, FIRST_WAIT_S * 2.0 ** min(num_tried - 1, 16)) if num_tried else 0.0
        if retry_after_ms is None:
            return self._random.uniform(0.0, bound_s)
        return retry_after_ms / 1000 + self._random.uniform(0.0, max(bound_s, FIRST_WAIT_S))
