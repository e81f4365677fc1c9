"""The engine's asyncio face: streams that take text and give patches, whether the engine is a thread or a process."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Hashable
from itertools import count
from pathlib import Path
from typing import Any, Protocol, cast

from models.base import ModelInfo, SpeechModel, SpeechParams
from models.engine import (
    Cancel,
    Closed,
    Command,
    Engine,
    Event,
    Extend,
    Failed,
    Finish,
    Open,
    Pace,
    Reading,
    Seal,
    Spoke,
    Step,
)

from .engine_link import frame, pack_command, read_frame, unpack_event, unpack_info
from .engine_thread import EngineThread

log = logging.getLogger(__name__)

RECONNECT_S = 0.05
LOST = "the voice engine stopped and is being restarted"


class EngineUnavailable(Exception):
    """There is no engine just now; one sentence."""


class Listener(Protocol):
    """Who a stream speaks to. Called on the event loop, in order; nothing follows `on_closed` or `on_failed`."""

    def on_patch(self, patch: Spoke) -> None: ...
    def on_closed(self) -> None: ...
    def on_failed(self, message: str, busy: bool) -> None: ...


class EngineStream:
    """One utterance in the engine."""

    def __init__(self, engine: EngineClient, key: int) -> None:
        self._engine = engine
        self._key = key

    def speak(self, text: str) -> None:
        """A whole segment, normalised."""
        self._engine.post(Extend(self._key, text), Seal(self._key))

    def finish(self) -> None:
        self._engine.post(Finish(self._key))

    def pace(self, reading: Reading) -> None:
        self._engine.post(Pace(self._key, reading))

    def cancel(self) -> None:
        """Nothing reaches the listener any more."""
        self._engine.forget(self._key)
        self._engine.post(Cancel(self._key))


class EngineClient:
    """What both forms share: names of streams, and the way of events to their listeners."""

    def __init__(self) -> None:
        self._info: ModelInfo | None = None
        self._listeners: dict[int, Listener] = {}
        self._keys = count(1)
        self.num_restarts = 0
        self.num_steps = 0
        self.num_patches = 0
        self.busy_s = 0.0

    @property
    def info(self) -> ModelInfo:
        """Raises EngineUnavailable before the first engine has reported."""
        if self._info is None:
            raise EngineUnavailable("the voice engine is still starting")
        return self._info

    @property
    def ready(self) -> bool:
        raise NotImplementedError

    @property
    def num_streams(self) -> int:
        return len(self._listeners)

    def open(
        self,
        listener: Listener,
        *,
        session: Hashable,
        voice: str,
        params: SpeechParams,
        lead_samples: int | None,
        held: bool = False,
    ) -> EngineStream:
        """Raises EngineUnavailable."""
        if not self.ready:
            raise EngineUnavailable(LOST)
        key = next(self._keys)
        self._listeners[key] = listener
        self.post(Open(key, session, voice, params, lead_samples, held))
        return EngineStream(self, key)

    def post(self, *commands: Command) -> None:
        raise NotImplementedError

    def forget(self, key: int) -> None:
        self._listeners.pop(key, None)

    async def close(self) -> None:
        raise NotImplementedError

    def _dispatch(self, event: Event) -> None:
        key = cast("int", event.stream)  # every key here is ours
        match event:
            case Spoke():
                self.num_patches += 1
                listener = self._listeners.get(key)
                if listener is not None:
                    listener.on_patch(event)
            case Closed():
                listener = self._listeners.pop(key, None)
                if listener is not None:
                    listener.on_closed()
            case Failed():
                listener = self._listeners.pop(key, None)
                if listener is not None:
                    listener.on_failed(event.message, event.busy)

    def _lose_all(self) -> None:
        listeners, self._listeners = self._listeners, {}
        for listener in listeners.values():
            listener.on_failed(LOST, False)


class LocalEngine(EngineClient):
    """The engine in a thread of this process."""

    def __init__(self, model: SpeechModel) -> None:
        super().__init__()
        self._loop = asyncio.get_running_loop()
        self._info = model.info
        self._thread = EngineThread(Engine(model), self._deliver)
        self._thread.start()

    @property
    def ready(self) -> bool:
        return self._thread.is_alive

    def post(self, *commands: Command) -> None:
        self._thread.post(commands)

    async def close(self) -> None:
        await asyncio.to_thread(self._thread.stop)

    def _deliver(self, step: Step) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens any more
            self._loop.call_soon_threadsafe(self._take, step)

    def _take(self, step: Step) -> None:
        self.num_steps += 1
        self.busy_s += step.seconds
        for event in step.events:
            self._dispatch(event)


class RemoteEngine(EngineClient):
    """The engine in another process. `run` keeps the connection; when it breaks, its streams fail and it tries again."""

    def __init__(self, socket_path: Path) -> None:
        super().__init__()
        self._socket_path = socket_path
        self._loop = asyncio.get_running_loop()
        self._writer: asyncio.StreamWriter | None = None
        self._outbox: list[Command] = []
        self._pongs: dict[int, asyncio.Future[float]] = {}
        self._nonces = count()
        self._reached = asyncio.Event()

    @property
    def ready(self) -> bool:
        return self._writer is not None

    async def reached(self) -> None:
        """Wait for the first connection."""
        await self._reached.wait()

    def post(self, *commands: Command) -> None:
        if self._writer is None:
            return  # its streams have been told that they failed
        if not self._outbox:
            self._loop.call_soon(self._flush)
        self._outbox.extend(commands)

    async def run(self) -> None:
        """Until cancelled."""
        num_connections = 0
        while True:
            try:
                reader, writer = await asyncio.open_unix_connection(self._socket_path, limit=1 << 22)
            except (ConnectionError, FileNotFoundError):
                await asyncio.sleep(RECONNECT_S)
                continue
            try:
                hello = await read_frame(reader)
                self._info = unpack_info(hello["info"])
                self._writer = writer
                self._reached.set()
                num_connections += 1
                self.num_restarts = num_connections - 1
                while True:
                    self._take(await read_frame(reader))
            except (asyncio.IncompleteReadError, ConnectionError):
                log.warning("the connection to the voice engine is lost, streams=%d", len(self._listeners))
            except ValueError as error:
                log.error("the engine sent what it should not: %s", error)
            finally:
                self._writer = None
                self._outbox.clear()
                writer.close()
                self._lose_all()

    async def ping(self) -> float:
        """Seconds that the engine's present step has been running. Raises EngineUnavailable."""
        if self._writer is None:
            raise EngineUnavailable(LOST)
        nonce = next(self._nonces)
        pong = self._pongs[nonce] = self._loop.create_future()
        try:
            self._writer.write(frame({"ping": nonce}))
            step_age_s: float = await pong
            return step_age_s
        finally:
            del self._pongs[nonce]

    async def close(self) -> None:
        if self._writer is not None:
            self._writer.close()

    def _flush(self) -> None:
        if self._writer is not None and self._outbox:
            self._writer.write(frame({"commands": [pack_command(command) for command in self._outbox]}))
        self._outbox.clear()

    def _take(self, message: dict[str, Any]) -> None:
        if "pong" in message:
            pong = self._pongs.get(message["pong"])
            if pong is not None and not pong.done():
                pong.set_result(message["step_age_s"])
            return
        self.num_steps += 1
        self.busy_s += message["s"]
        for data in message["events"]:
            self._dispatch(unpack_event(data))
