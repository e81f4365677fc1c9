"""One line an event, whatever is in it."""

from __future__ import annotations

import json
import logging
import unicodedata
import warnings
from collections.abc import Callable, Iterator
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming_server.logs import configure, escape

log = logging.getLogger("streaming_server.session")


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[[], str]]:
    """What has come out on standard error; the process's loggers are put back afterwards."""

    def taken() -> str:
        for handler in logging.getLogger().handlers:
            handler.flush()
        return capsys.readouterr().err

    yield taken
    logging.captureWarnings(False)
    logging.getLogger("uvicorn.access").disabled = False
    logging.basicConfig(level=logging.WARNING, handlers=[], force=True)
    for package in ("streaming_server", "models", "protocol"):
        logging.getLogger(package).setLevel(logging.NOTSET)


def test_text_line_names_moment_level_logger_message_and_fields(lines: Callable[[], str]) -> None:
    configure("info", "text")
    log.warning("session %s lost", "a1", extra={"session": "a1", "sent_bytes": 12})
    moment, rest = lines().split(" ", 1)
    assert rest == "warning streaming_server.session: session a1 lost session=a1 sent_bytes=12\n"
    assert len(moment) == len("2026-01-01T00:00:00.000Z")


def test_json_line_keeps_numbers_and_takes_any_value(lines: Callable[[], str]) -> None:
    configure("info", "json")
    log.info("done", extra={"rtf": 0.25, "patches": 7, "gap": float("nan"), "error": ValueError("x"), "held": None})
    fields = json.loads(lines())
    assert (fields["level"], fields["logger"], fields["message"]) == ("info", log.name, "done")
    assert (fields["rtf"], fields["patches"], fields["gap"], fields["error"], fields["held"]) == (
        0.25,
        7,
        "nan",
        "x",
        None,
    )


@pytest.mark.parametrize("format", ["text", "json"])
def test_a_traceback_stays_on_its_line(format: Literal["text", "json"], lines: Callable[[], str]) -> None:
    configure("info", format)
    try:
        raise RuntimeError("over\nboard")
    except RuntimeError:
        log.exception("step failed")
    line = lines()
    assert line.count("\n") == 1
    assert "RuntimeError: over" in line


@given(message=st.text(), value=st.text())
def test_no_text_breaks_a_line_or_a_terminal(message: str, value: str) -> None:
    line = escape(f"{message} {value}")
    assert len(line.splitlines()) == 1
    assert line.encode()
    assert not {"Cc", "Cs", "Zl", "Zp"} & {unicodedata.category(character) for character in line}


@pytest.mark.parametrize("format", ["text", "json"])
def test_a_client_cannot_forge_a_line(format: Literal["text", "json"], lines: Callable[[], str]) -> None:
    configure("info", format)
    hostile = "id\r\n2026 info root: all good\x1b[2K\u2028\u202e\ud800"
    log.info("unknown utterance %s", hostile, extra={"utterance": hostile})
    line = lines()
    assert len(line.splitlines()) == 1
    assert not set("\r\x1b\u2028\u202e\ud800") & set(line)
    if format == "json":
        assert json.loads(line)["utterance"] == hostile


@pytest.mark.parametrize("format", ["text", "json"])
def test_secrets_are_blotted_out(format: Literal["text", "json"], lines: Callable[[], str]) -> None:
    configure("info", format, secrets=["s3cret", ""])
    log.info("got s3cret", extra={"header": "Bearer abc123", "path": "/v1/stream?resume_token=zzz9&x=1"})
    line = lines()
    assert not [secret for secret in ("s3cret", "abc123", "zzz9") if secret in line]
    assert "x=1" in line


def test_uvicorn_logs_through_us_and_its_access_log_is_off(lines: Callable[[], str]) -> None:
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    configure("info", "text")
    logging.getLogger("uvicorn.error").info("started", extra={"color_message": "\x1b[1mstarted"})
    logging.getLogger("uvicorn.access").info("GET /?token=canary")
    assert lines().endswith("info uvicorn.error: started\n")


def test_debug_is_ours_alone(lines: Callable[[], str]) -> None:
    configure("debug", "text")
    log.debug("ours")
    logging.getLogger("websockets.server").debug("a whole frame")
    assert [line.split(": ")[1] for line in lines().splitlines()] == ["ours"]


def test_the_level_holds_and_a_second_call_replaces_the_first(lines: Callable[[], str]) -> None:
    configure("debug", "json")
    configure("error", "text")
    log.warning("quiet")
    log.error("loud")
    assert [line.split(": ")[1] for line in lines().splitlines()] == ["loud"]


def test_warnings_become_events(lines: Callable[[], str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        configure("info", "text")
        warnings.warn("old\nway", UserWarning, stacklevel=1)
    line = lines()
    assert "warning py.warnings: " in line
    assert line.count("\n") == 1
