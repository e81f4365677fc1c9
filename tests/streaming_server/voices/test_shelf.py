"""What becomes of a voice when the engine, the model or the uploader does not play along."""

from __future__ import annotations

import asyncio
import fcntl
import os
import resource
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import chain, repeat
from pathlib import Path
from typing import IO, Any

import psutil
import pytest
from starlette.requests import Request

from models.base import ModelError
from models.voice_folder import STALE_S
from streaming_server.engine_client import LocalEngine
from streaming_server.voices.preparation import Preparation
from streaming_server.voices.refusal import VoiceRefused
from streaming_server.voices.shelf import VoiceShelf
from streaming_server.voices.upload import received
from tests.streaming_server.learning import (
    RATE_HZ,
    everything,
    fields,
    sound_file,
    speech,
)
from tests.streaming_server.learning_tone import LearningTone, Runs, prints, ready
from tests.streaming_server.serving import until


class Forgetful(LearningTone):
    """Finds no voice, whatever there is."""

    def reload_voices(self) -> None:
        self.num_reloads += 1


class Failing(LearningTone):
    """Cannot look at its voices."""

    def reload_voices(self) -> None:
        raise ModelError("The folder was expected to be one.")


STORED = {"Anna", "Anna/voice.toml", "Anna/prompt.wav"}
PROMPT = ("prompt.wav", 44 + 2 * 3 * RATE_HZ)


@pytest.fixture
def recording() -> Any:
    with tempfile.TemporaryFile() as file:
        file.write(sound_file(speech()))
        yield file


@asynccontextmanager
async def shelf_of(
    voices: Path, model: LearningTone | None = None, preparation: Preparation | None = None, **options: Any
) -> AsyncIterator[tuple[VoiceShelf, LocalEngine]]:
    engine = LocalEngine(model or LearningTone(voices))
    try:
        yield VoiceShelf(engine, voices, preparation or ready(), **options), engine
    finally:
        await engine.close()


async def test_a_voice_that_comes_while_the_engine_is_away_waits_for_it(tmp_path: Path, recording: IO[bytes]) -> None:
    async with shelf_of(tmp_path) as (shelf, engine):
        await engine.close()
        voice, is_spoken = await shelf.add(fields(), recording)
        assert (voice.name, is_spoken) == ("Anna", False)
    assert [voice.name for voice in LearningTone(tmp_path).info.voices] == ["tone", "Anna"]


async def test_a_voice_that_the_model_does_not_take_is_thrown_out(tmp_path: Path, recording: IO[bytes]) -> None:
    model, preparation = Forgetful(tmp_path), ready()
    async with shelf_of(tmp_path, model, preparation) as (shelf, _):
        with pytest.raises(VoiceRefused, match="The model did not take the voice") as refused:
            await shelf.add(fields(), recording)
    assert (refused.value.status, model.num_reloads) == (500, 1)
    assert everything(tmp_path) == set()
    assert preparation.forgotten == [PROMPT]


async def test_a_model_that_fails_at_a_new_voice_is_no_engine_that_restarts(
    tmp_path: Path, recording: IO[bytes]
) -> None:
    preparation = ready()
    async with shelf_of(tmp_path, Failing(tmp_path), preparation) as (shelf, _):
        with pytest.raises(VoiceRefused, match="The model could not look at its voices again") as refused:
            await shelf.add(fields(), recording)
    assert (refused.value.status, refused.value.code) == (500, "internal")
    assert everything(tmp_path) == set()
    assert preparation.forgotten == [PROMPT]


async def test_a_voice_that_the_model_goes_on_speaking_with_is_not_removed(
    tmp_path: Path, recording: IO[bytes]
) -> None:
    async with shelf_of(tmp_path) as (shelf, _):
        await shelf.add(fields(), recording)
    preparation = ready()
    async with shelf_of(tmp_path, Failing(tmp_path), preparation) as (shelf, _):
        with pytest.raises(VoiceRefused, match="The model could not look at its voices again") as refused:
            await shelf.remove("Anna")
        assert shelf.removable == {"Anna"}
    assert (refused.value.status, refused.value.code) == (500, "internal")
    assert everything(tmp_path) == STORED
    assert preparation.forgotten == []


async def test_what_was_made_of_a_recording_goes_with_its_voice(tmp_path: Path, recording: IO[bytes]) -> None:
    preparation = ready()
    async with shelf_of(tmp_path, preparation=preparation) as (shelf, engine):
        await shelf.add(fields(), recording)
        assert preparation.forgotten == []
        await engine.close()
        await shelf.remove("Anna")
    assert preparation.forgotten == [PROMPT]
    assert everything(tmp_path) == set()


async def test_what_was_made_of_a_recording_goes_when_its_name_was_given_away_meanwhile(
    tmp_path: Path, recording: IO[bytes]
) -> None:
    preparation = Runs(f"import os; os.mkdir({str(tmp_path / 'anna')!r})")
    async with shelf_of(tmp_path, preparation=preparation) as (shelf, _):
        with pytest.raises(VoiceRefused, match="there is the voice 'anna' already"):
            await shelf.add(fields(), recording)
    assert preparation.forgotten == [PROMPT]
    assert everything(tmp_path) == {"anna"}


async def test_a_disk_too_full_for_a_voice_is_told_and_nothing_is_half_written(
    tmp_path: Path, recording: IO[bytes]
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    async with shelf_of(tmp_path) as (shelf, _):
        resource.setrlimit(resource.RLIMIT_FSIZE, (65_536, hard))  # to a writer a limit looks as a full disk does
        try:
            with pytest.raises(VoiceRefused) as refused:
                await shelf.add(fields(), recording)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (refused.value.status, refused.value.code) == (507, "disk_full")
    assert everything(tmp_path) == set()


async def ended_by_force(adding: asyncio.Task[Any], go_on: Callable[[], None]) -> None:
    """Cancelled twice, as a shutdown does it."""
    for _ in range(2):
        adding.cancel()
        await asyncio.sleep(0.05)
    was_done = adding.done()
    go_on()
    assert not was_done, "the disk was still at it"
    with pytest.raises(asyncio.CancelledError):
        await adding


async def test_a_shutdown_while_a_voice_is_staged_leaves_nothing(
    tmp_path: Path, recording: IO[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, may_end = threading.Event(), threading.Event()

    def slow_disk(fd: int) -> None:
        begun.set()
        may_end.wait(20)

    monkeypatch.setattr(os, "fsync", slow_disk)
    async with shelf_of(tmp_path) as (shelf, _):
        adding = asyncio.create_task(shelf.add(fields(), recording))
        await until(begun.is_set)
        await ended_by_force(adding, may_end.set)
    assert everything(tmp_path) == set()


async def test_a_shutdown_while_a_voice_is_published_leaves_a_whole_one(tmp_path: Path, recording: IO[bytes]) -> None:
    ready_at = tmp_path / "ready"
    preparation = Runs(f"open({str(ready_at)!r}, 'w')")
    voices = tmp_path / "voices"
    voices.mkdir()
    fd = os.open(voices, os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX)  # as another server does that publishes
    async with shelf_of(voices, preparation=preparation) as (shelf, _):
        adding = asyncio.create_task(shelf.add(fields(), recording))
        await until(ready_at.exists)
        await asyncio.sleep(0.3)  # the process that has written it ends
        await ended_by_force(adding, lambda: os.close(fd))
    assert everything(voices) == STORED


async def test_a_preparation_that_hangs_is_killed_with_all_it_started(tmp_path: Path, recording: IO[bytes]) -> None:
    told = tmp_path / "pids"
    code = (
        "import os, subprocess, sys, time;"
        "child = subprocess.Popen([sys.executable, '-S', '-c', 'import time; time.sleep(60)']);"
        f"open({str(told)!r}, 'w').write(f'{{os.getpid()}} {{child.pid}}');"
        "time.sleep(60)"
    )

    async with shelf_of(tmp_path / "voices", preparation=Runs(code), prepare_s=1.5) as (shelf, _):
        with pytest.raises(VoiceRefused, match="could not be made ready"):
            await shelf.add(fields(), recording)
    pids = [int(pid) for pid in told.read_text().split()]
    assert len(pids) == 2
    assert not any(psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE for pid in pids)
    assert everything(tmp_path / "voices") == set()


async def test_an_upload_that_is_broken_off_leaves_neither_file_nor_process(
    tmp_path: Path, recording: IO[bytes]
) -> None:
    async with shelf_of(tmp_path, preparation=prints("{}", wait_s=60)) as (shelf, _):
        adding = asyncio.create_task(shelf.add(fields(), recording))
        while not everything(tmp_path):  # noqa: ASYNC110 - the files are another thread's
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        adding.cancel()
        with pytest.raises(asyncio.CancelledError):
            await adding
    assert everything(tmp_path) == set()
    living = [child for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE]
    assert [child for child in living if "time.sleep(60" in " ".join(child.cmdline())] == []


async def test_a_start_throws_out_what_a_crash_left(tmp_path: Path) -> None:
    torn = tmp_path / ".new-torn"
    torn.mkdir()
    (torn / "prompt.wav").write_bytes(b"RIFF")
    long_ago = time.time() - STALE_S - 1
    os.utime(torn, (long_ago, long_ago))
    preparation = ready()
    async with shelf_of(tmp_path, preparation=preparation) as (shelf, _):
        await shelf.start()
    assert everything(tmp_path) == set()
    assert preparation.forgotten == [("prompt.wav", 4)]


async def test_a_form_that_does_not_come_in_time_is_refused() -> None:
    bodies = chain([b'--x\r\ncontent-disposition: form-data; name="name"\r\n\r\n'], repeat(b"A"))

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(0.02)
        return {"type": "http.request", "body": next(bodies), "more_body": True}

    headers = [(b"content-type", b"multipart/form-data; boundary=x")]
    request = Request({"type": "http", "method": "POST", "headers": headers}, receive)
    with pytest.raises(VoiceRefused, match=r"within 0\.1 s") as refused:
        async with received(request, timeout_s=0.1):
            pass
    assert refused.value.status == 408


async def test_a_client_that_goes_away_leaves_nothing() -> None:
    messages = iter([{"type": "http.request", "body": b"--x\r\n", "more_body": True}, {"type": "http.disconnect"}])

    async def receive() -> Any:
        return next(messages)

    headers = [(b"content-type", b"multipart/form-data; boundary=x")]
    request = Request({"type": "http", "method": "POST", "headers": headers}, receive)
    with pytest.raises(VoiceRefused, match="connection was lost"):
        async with received(request):
            pass
