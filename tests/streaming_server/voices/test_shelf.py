"""What becomes of a voice when the engine, the model or the uploader does not play along."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import chain, repeat
from pathlib import Path
from typing import IO, Any

import psutil
import pytest
from starlette.requests import Request

from models.voice_folder import STALE_S
from streaming_server.engine_client import LocalEngine
from streaming_server.voices.refusal import VoiceRefused
from streaming_server.voices.shelf import VoiceShelf
from streaming_server.voices.upload import received
from tests.streaming_server.learning import READY, LearningTone, everything, fields, prints, sound_file, speech


class Forgetful(LearningTone):
    """Finds no voice, whatever there is."""

    def reload_voices(self) -> None:
        self.num_reloads += 1


@pytest.fixture
def recording() -> Any:
    with tempfile.TemporaryFile() as file:
        file.write(sound_file(speech()))
        yield file


@asynccontextmanager
async def shelf_of(
    voices: Path, model: LearningTone | None = None, preparation: Any = READY, **options: Any
) -> AsyncIterator[tuple[VoiceShelf, LocalEngine]]:
    engine = LocalEngine(model or LearningTone(voices))
    try:
        yield VoiceShelf(engine, voices, preparation, **options), engine
    finally:
        await engine.close()


async def test_a_voice_that_comes_while_the_engine_is_away_waits_for_it(tmp_path: Path, recording: IO[bytes]) -> None:
    async with shelf_of(tmp_path) as (shelf, engine):
        await engine.close()
        voice, is_spoken = await shelf.add(fields(), recording)
        assert (voice.name, is_spoken) == ("Anna", False)
    assert [voice.name for voice in LearningTone(tmp_path).info.voices] == ["tone", "Anna"]


async def test_a_voice_that_the_model_does_not_take_is_thrown_out(tmp_path: Path, recording: IO[bytes]) -> None:
    model = Forgetful(tmp_path)
    async with shelf_of(tmp_path, model) as (shelf, _):
        with pytest.raises(VoiceRefused, match="The model did not take the voice") as refused:
            await shelf.add(fields(), recording)
    assert (refused.value.status, model.num_reloads) == (500, 1)
    assert everything(tmp_path) == set()


async def test_a_preparation_that_hangs_is_killed_with_all_it_started(tmp_path: Path, recording: IO[bytes]) -> None:
    told = tmp_path / "pids"
    code = (
        "import os, subprocess, sys, time;"
        "child = subprocess.Popen([sys.executable, '-S', '-c', 'import time; time.sleep(60)']);"
        f"open({str(told)!r}, 'w').write(f'{{os.getpid()}} {{child.pid}}');"
        "time.sleep(60)"
    )

    def hangs(prompt: Path) -> tuple[str, ...]:
        return (sys.executable, "-S", "-c", code)

    async with shelf_of(tmp_path / "voices", preparation=hangs, prepare_s=1.5) as (shelf, _):
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
    assert [child for child in psutil.Process().children() if "time.sleep(60" in " ".join(child.cmdline())] == []


async def test_a_start_throws_out_what_a_crash_left(tmp_path: Path) -> None:
    torn = tmp_path / ".new-torn"
    torn.mkdir()
    long_ago = time.time() - STALE_S - 1
    os.utime(torn, (long_ago, long_ago))
    async with shelf_of(tmp_path) as (shelf, _):
        await shelf.start()
    assert everything(tmp_path) == set()


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
