"""Logs: one line an event on standard error, as text for people or JSON for machines.

What a client sent may stand in a message; so control characters, line separators and bidirectional overrides are
escaped (nobody can forge a line), and the secrets handed to `configure` are blotted out wherever they appear.
"""

from __future__ import annotations

import json
import logging
import math
import re
import sys
import time
from collections.abc import Sequence
from typing import Literal

from .log_queue import LogQueue

_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_CREDENTIAL = re.compile(r"(?i)(bearer\s+|(?:token|key|password)=)[^\s&\"',;]+")
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message"}


def configure(level: str, format: Literal["text", "json"], *, secrets: Sequence[str] = ()) -> None:
    """Send every logger of this process, uvicorn's among them, to standard error, one line an event.

    `level`: the least that our packages log (`debug` `info` `warning` `error`); others never go below `info`, because
    at `debug` they print what passes through them. Fields given as `extra=` are appended. uvicorn's access log stays
    off: it prints query strings. A second call replaces the first.
    """
    handler = LogQueue(sys.stderr)
    handler.setFormatter(_JsonLine(secrets) if format == "json" else _TextLine(secrets))
    threshold = logging.getLevelNamesMapping()[level.upper()]
    logging.basicConfig(level=max(threshold, logging.INFO), handlers=[handler], force=True)
    for package in ("streaming_server", "models", "protocol"):
        logging.getLogger(package).setLevel(threshold)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.setLevel(logging.NOTSET)
        logger.propagate = True
    logging.getLogger("uvicorn.access").disabled = True
    logging.captureWarnings(True)


def escape(text: str) -> str:
    """`text` as one line: what could break or disguise a line becomes `\\u000a`, `\\u202e` and the like."""
    return _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


class _Line(logging.Formatter):
    def __init__(self, secrets: Sequence[str]) -> None:
        super().__init__()
        self._secrets = [secret for secret in secrets if secret]

    def blot(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return _CREDENTIAL.sub(r"\1***", text)

    def fields(self, record: logging.LogRecord) -> dict[str, object]:
        trace = self.formatException(record.exc_info) if record.exc_info and record.exc_info[0] else ""
        time_s = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        return {
            "time": f"{time_s}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **({"trace": trace} if trace else {}),
            **{name: value for name, value in vars(record).items() if name not in _STANDARD},
        }


class _TextLine(_Line):
    def format(self, record: logging.LogRecord) -> str:
        fields = self.fields(record)
        head = " ".join(str(fields.pop(name)) for name in ("time", "level", "logger"))
        message, trace = fields.pop("message"), fields.pop("trace", "")
        extras = "".join(f" {name}={value}" for name, value in fields.items())
        return escape(self.blot(f"{head}: {message}{extras}" + (f"\n{trace}" if trace else "")))


class _JsonLine(_Line):
    def format(self, record: logging.LogRecord) -> str:
        fields = {name: self._plain(value) for name, value in self.fields(record).items()}
        return escape(json.dumps(fields, ensure_ascii=False))

    def _plain(self, value: object) -> object:
        if value is None or isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
            return value
        return self.blot(str(value))
