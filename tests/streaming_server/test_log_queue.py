"""A log that is not read costs lines, and nobody's time."""

from __future__ import annotations

import fcntl
import logging
import os
import time
from collections.abc import Iterator

import pytest

from streaming_server.log_queue import MAX_LINES, LogQueue

PIPE_BYTES = 4096


@pytest.fixture
def pipe() -> Iterator[tuple[int, LogQueue]]:
    """The end that is read, and the handler that writes to the other."""
    read, write = os.pipe()
    fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    with os.fdopen(read, "rb"), os.fdopen(write, "w") as stream:
        yield read, LogQueue(stream)


def record(text: str) -> logging.LogRecord:
    return logging.LogRecord("test", logging.INFO, __file__, 0, text, (), None)


def test_lines_arrive_whole_and_in_order(pipe: tuple[int, LogQueue]) -> None:
    read, handler = pipe
    for number in range(100):
        handler.handle(record(f"line {number} é\ud800"))
    handler.flush()
    assert os.read(read, PIPE_BYTES).decode() == "".join(f"line {number} é\\ud800\n" for number in range(100))


def test_who_logs_does_not_wait_for_who_reads_and_the_loss_is_told(pipe: tuple[int, LogQueue]) -> None:
    read, handler = pipe
    began_at = time.monotonic()
    num_lines = MAX_LINES + 500
    for number in range(num_lines):
        handler.handle(record(f"{number:063}"))
    assert time.monotonic() - began_at < 10
    data = b""
    while b"lost" not in data:
        data += os.read(read, 1 << 16)
    *lines, told = data.decode().splitlines()
    num_lost = int(told.split()[0])
    assert told.endswith("lines of this log were lost: nobody took them in time")
    assert [int(line) for line in lines] == list(range(num_lines - num_lost))


def test_the_end_waits_for_the_last_lines_and_not_for_ever(pipe: tuple[int, LogQueue]) -> None:
    _, handler = pipe
    for _ in range(2 * PIPE_BYTES // 64):
        handler.handle(record(63 * "x"))
    began_at = time.monotonic()
    handler.flush()
    assert 0.9 < time.monotonic() - began_at < 10
