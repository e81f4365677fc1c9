"""Who listens to an engine's streams in the tests, and a host whose model does what its text says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from models.base import Pcm, SpeechModel, SpeechParams
from models.engine import Engine, Spoke
from models.tone import CODE_POINT_SAMPLES, tone_samples
from streaming_server.engine_client import EngineClient, LocalEngine, RemoteEngine, Stream
from streaming_server.engine_host import EngineHost
from streaming_server.engine_process import EngineProcess

LEAD = 44_100  # a second of the tone


FORMS = pytest.mark.parametrize("form", ["local", "remote"])


class Ear:
    """Writes down what a stream says, and every end that it is told."""

    def __init__(self) -> None:
        self.patches: list[Spoke] = []
        self.ends: list[str] = []
        self.began = asyncio.Event()
        self.ended = asyncio.Event()

    def on_patch(self, patch: Spoke) -> None:
        self.patches.append(patch)
        self.began.set()

    def on_closed(self) -> None:
        self.ends.append("closed")
        self.ended.set()

    def on_failed(self, message: str, busy: bool, retry_after_ms: int = 0) -> None:
        self.ends.append(f"busy: {message}" if busy else message)
        self.ended.set()

    @property
    def pcm(self) -> Pcm:
        return np.frombuffer(b"".join(patch.pcm for patch in self.patches), "<i2")

    def heard_the_tone(self, seed: int, text: str) -> None:
        """All of it, in order, once, and a good end."""
        assert self.ends == ["closed"]
        np.testing.assert_array_equal(self.pcm, tone_samples(seed, 0, len(text) * CODE_POINT_SAMPLES))


def speak(
    engine: EngineClient,
    text: str,
    *,
    seed: int = 1,
    lead: int | None = LEAD,
    session: str = "s",
    finish: bool = True,
) -> tuple[Ear, Stream]:
    """A stream with a text, in the model's default voice."""
    ear = Ear()
    voice = engine.info.default_voice
    stream = engine.open(ear, session=session, voice=voice, params=SpeechParams(seed=seed), lead_samples=lead)
    stream.speak(text)
    if finish:
        stream.finish()
    return ear, stream


async def hear(engine: EngineClient, text: str = "ok", *, seed: int = 1) -> Ear:
    """A stream from its text to its end, as fast as it goes."""
    ear, _ = speak(engine, text, seed=seed, lead=None)
    await soon(ear.ended.wait())
    return ear


async def soon(awaitable: Awaitable[object], timeout_s: float = 20.0) -> None:
    """Fail instead of waiting for ever. Generous: the machine may be busy."""
    async with asyncio.timeout(timeout_s):
        await awaitable


async def until(condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
    async with asyncio.timeout(timeout_s):
        # Polled, because what is waited for lies in another thread or process.
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


class Served:
    """A host in this process, on a real socket, and a look inside."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.host = EngineHost(engine)

    @property
    def num_streams(self) -> int:
        """That the engine has, or that the host takes for alive."""
        return max(self.engine.num_streams, sum(len(port._streams) for port in self.host._ports.values()))

    @property
    def backlog_bytes(self) -> int:
        """The most that waits for one web process."""
        transports = [port._transport for port in self.host._ports.values()]
        return max(transport.get_write_buffer_size() for transport in transports if transport is not None)

    def cut(self) -> None:
        """What its death would do to the connections."""
        for port in list(self.host._ports.values()):
            port.cut()


@asynccontextmanager
async def served(model: SpeechModel, path: Path) -> AsyncIterator[Served]:
    stand = Served(Engine(model))
    stand.host.start()
    server = await asyncio.get_running_loop().create_unix_server(stand.host.connect, path)
    try:
        yield stand
    finally:
        server.close()
        await asyncio.to_thread(stand.host.stop)


@asynccontextmanager
async def connected(path: Path) -> AsyncIterator[RemoteEngine]:
    engine = RemoteEngine(path)
    async with asyncio.TaskGroup() as tasks:
        run = tasks.create_task(engine.run())
        await soon(engine.reached())
        try:
            yield engine
        finally:
            run.cancel()


def scripted_process(
    path: Path, model: str = "scripted", *, start_timeout_s: float = 20.0, step_timeout_s: float = 4.0
) -> EngineProcess:
    return EngineProcess(
        model,
        path,
        start_timeout_s=start_timeout_s,
        step_timeout_s=step_timeout_s,
        host="tests.streaming_server.scripted_host",
    )


@asynccontextmanager
async def watched(process: EngineProcess, path: Path) -> AsyncIterator[RemoteEngine]:
    """Started, within its own time-out, connected and watched; killed at the end."""
    await process.start()
    try:
        async with connected(path) as engine, asyncio.TaskGroup() as tasks:
            watch = tasks.create_task(process.watch(engine))
            try:
                yield engine
            finally:
                watch.cancel()
    finally:
        await process.stop()


@asynccontextmanager
async def engine_of(form: str, model: SpeechModel, tmp_path: Path) -> AsyncIterator[EngineClient]:
    """The model's, in one of the two `FORMS` of its client."""
    if form == "local":
        engine = LocalEngine(model)
        try:
            yield engine
        finally:
            await engine.close()
    else:
        async with served(model, tmp_path / "engine"), connected(tmp_path / "engine") as remote:
            yield remote
