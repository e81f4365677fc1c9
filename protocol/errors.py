"""Error codes, close codes, and the two exceptions that carry them (PROTOCOL.md, "Errors")."""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Final


class ErrorCode(StrEnum):
    """What went wrong, as `error.code` names it."""

    BAD_MESSAGE = "bad_message"
    UNKNOWN_TYPE = "unknown_type"
    UNSUPPORTED_VERSION = "unsupported_version"
    BAD_STATE = "bad_state"
    BAD_VALUE = "bad_value"
    UNKNOWN_UTTERANCE = "unknown_utterance"
    DUPLICATE_UTTERANCE = "duplicate_utterance"
    TOO_LARGE = "too_large"
    TOO_MANY_UTTERANCES = "too_many_utterances"
    TEXT_LIMIT = "text_limit"
    UNAUTHORIZED = "unauthorized"
    FORBIDDEN_ORIGIN = "forbidden_origin"
    UNKNOWN_VOICE = "unknown_voice"
    UNSUPPORTED_FORMAT = "unsupported_format"
    BUSY = "busy"
    RESUME_FAILED = "resume_failed"
    REPLAY_GAP = "replay_gap"
    SLOW_CONSUMER = "slow_consumer"
    TIMEOUT = "timeout"
    ENGINE_FAILED = "engine_failed"
    INTERNAL = "internal"


class CloseCode(IntEnum):
    """Why a WebSocket ends: RFC 6455 section 7.4.1, and our own from 4400 on."""

    NORMAL = 1000
    GOING_AWAY = 1001
    POLICY = 1008
    TOO_LARGE = 1009
    INTERNAL = 1011
    BUSY = 1013
    BAD_OPENING = 4400
    TIMEOUT = 4408
    REPLACED = 4409


CLOSE_CODES: Final[dict[ErrorCode, CloseCode]] = {
    ErrorCode.BAD_MESSAGE: CloseCode.BAD_OPENING,
    ErrorCode.UNKNOWN_TYPE: CloseCode.BAD_OPENING,
    ErrorCode.UNSUPPORTED_VERSION: CloseCode.BAD_OPENING,
    ErrorCode.BAD_STATE: CloseCode.BAD_OPENING,
    ErrorCode.BAD_VALUE: CloseCode.BAD_OPENING,
    ErrorCode.TOO_LARGE: CloseCode.TOO_LARGE,
    ErrorCode.BUSY: CloseCode.BUSY,
    ErrorCode.SLOW_CONSUMER: CloseCode.TIMEOUT,
    ErrorCode.TIMEOUT: CloseCode.TIMEOUT,
    ErrorCode.ENGINE_FAILED: CloseCode.INTERNAL,
    ErrorCode.INTERNAL: CloseCode.INTERNAL,
}
"""The close code that follows a fatal error of each code; POLICY for those not listed."""


class ProtocolError(Exception):
    """A broken rule of the protocol: what an `error` message says, and what a fatal one closes with.

    Raised only as `LocalProtocolError` (we broke it) or `RemoteProtocolError` (they did).
    `message` is one sentence: what was expected, what came. It is fit for the other side to read.
    """

    def __init__(
        self,
        code: ErrorCode,
        message: str,
        *,
        utterance: str | None = None,
        fatal: bool = False,
        retry_after_ms: int | None = None,
        close_code: CloseCode | None = None,
    ) -> None:
        if type(self) is ProtocolError:
            raise TypeError("expected LocalProtocolError or RemoteProtocolError, got the base class")
        super().__init__(message)
        self.code = code
        self.message = message
        self.utterance = utterance
        self.fatal = fatal
        self.retry_after_ms = retry_after_ms
        self._close_code = close_code

    @property
    def close_code(self) -> CloseCode:
        """What to close with if the error is fatal."""
        return self._close_code or CLOSE_CODES.get(self.code, CloseCode.POLICY)

    def make_fatal(self, close_code: CloseCode) -> None:
        """Where it happened makes it the connection's end."""
        self.fatal = True
        self._close_code = close_code

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


class SpeechError(Exception):
    """The server refused or failed something, or it is gone: what a caller of the client sees.

    `retry_after_ms`: when it may be worth another try, where the server said so.
    """

    def __init__(self, code: ErrorCode, message: str, *, retry_after_ms: int | None = None) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.retry_after_ms = retry_after_ms


class ConnectionLost(SpeechError):
    """There is no WebSocket, or none any more. `code` is the server's last word, or `internal` where it had none."""


class LocalProtocolError(ProtocolError):
    """This side was about to send what the protocol does not allow. Nothing was sent, nothing has changed."""


class RemoteProtocolError(ProtocolError):
    """The other side sent what the protocol does not allow. Unless `fatal`, the connection stays usable."""
