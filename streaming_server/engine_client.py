"""The engine's asyncio face, in its two forms: a thread of this process, or a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from itertools import count
from math import inf
from pathlib import Path
from typing import Any

from models.base import ModelError, ModelOptions, SpeechModel
from models.engine import Command, Engine, Fault, Step, warm_up
from models.registry import load_model

from .engine_face import EngineClient, Stream
from .engine_faults import FaultCounts
from .engine_frames import FrameLink
from .engine_lifeline import Lifeline, peer_pid
from .engine_link import pack_command, unpack_event, unpack_info
from .engine_loss import Loss
from .engine_record import LastWords
from .engine_streams import LOST, EngineStreams, EngineUnavailable, Listener
from .engine_thread import EngineThread

__all__ = ["EngineClient", "EngineUnavailable", "Listener", "LocalEngine", "RemoteEngine", "Stream"]

log = logging.getLogger(__name__)

RECONNECT_S = 0.01
MAX_COMMANDS = 256
"""In one message: a thousand utterances that are opened again with their histories are tens of megabytes."""

MAX_STEPS_AHEAD = 16
"""Steps that the loop of this process may be behind an engine thread in it; then that thread waits."""


class LocalEngine(EngineStreams):
    """The engine in a thread of this process. Nobody restarts it: once broken, it is never ready again."""

    def __init__(self, model: SpeechModel, engine: Engine | None = None) -> None:
        """`engine`: the model's, where it has been warmed up."""
        super().__init__()
        self.known_info = model.info
        self._ended = False
        self._steps_ahead = threading.BoundedSemaphore(MAX_STEPS_AHEAD)
        self._thread = EngineThread(engine or Engine(model), self._deliver, self._end)
        self._heed(self._thread.told_tempo)
        self._thread.start()

    @classmethod
    async def load(
        cls, model_name: str, options: ModelOptions | None = None, *, is_measured: bool = False
    ) -> LocalEngine:
        """`is_measured`: it knows its speed, for one listener. Raises EngineUnavailable with the model's sentence."""
        try:
            model = await asyncio.to_thread(load_model, model_name, options or ModelOptions())
        except ModelError as error:
            raise EngineUnavailable(str(error)) from None
        return await cls.warmed_up(model, max_listeners=1) if is_measured else cls(model)

    @classmethod
    async def warmed_up(cls, model: SpeechModel, *, max_listeners: int | None = None) -> LocalEngine:
        """One whose first listener does not wait for what the model does once, and that knows its speed."""
        engine = Engine(model)
        await asyncio.to_thread(warm_up, engine, max_listeners=max_listeners)
        return cls(model, engine)

    @property
    def ready(self) -> bool:
        return not self._ended

    def post(self, *commands: Command) -> None:
        self._thread.post(commands)

    async def close(self) -> None:
        await asyncio.to_thread(self._thread.stop)

    def _deliver(self, step: Step) -> None:
        self._steps_ahead.acquire()
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens any more
            self._loop.call_soon_threadsafe(self._take, step)
            return
        self._steps_ahead.release()

    def _take(self, step: Step) -> None:
        self._steps_ahead.release()
        self.num_errors = self._thread.num_errors
        self._heed(self._thread.told_tempo)
        self._take_step(step.events, step.num_rows, step.seconds)

    def _end(self) -> None:
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._take_end)

    def _take_end(self) -> None:
        self._ended = True
        self._lose_all({})


@dataclass(frozen=True, slots=True)
class Pulse:
    """How long the engine's present step has been running, and how long it may by those before it."""

    step_age_s: float
    healthy_s: float


class RemoteEngine(EngineStreams):
    """The engine in another process. `run` keeps the connection; when it breaks, streams are lost; it tries again."""

    def __init__(self, socket_path: Path) -> None:
        super().__init__()
        self._socket_path = socket_path
        self._link: FrameLink | None = None
        self._outbox: list[Command] = []
        self._pongs: dict[int, asyncio.Future[Pulse]] = {}
        self._nonces = count()
        self._reached = asyncio.Event()
        self._lost_at = -inf
        self._number = 0  # ours among the web processes of the present engine
        self._last_words: LastWords | None = None  # its
        self._fault_counts: FaultCounts | None = None
        self._lifeline: Lifeline | None = None
        self._ending_pid = 0  # of the process whose lifeline broke last: its socket may still be there

    @property
    def ready(self) -> bool:
        return self._link is not None

    @property
    def away_s(self) -> float:
        return 0.0 if self.ready else self._loop.time() - self._lost_at

    @property
    def faults(self) -> Mapping[Fault, int]:
        return self._fault_counts.read() if self._fault_counts is not None else {}

    async def reached(self) -> None:
        """Wait for the first connection."""
        await self._reached.wait()

    def post(self, *commands: Command) -> None:
        if self._link is None:
            return  # its streams are lost
        if not self._outbox:
            self._loop.call_soon(self._flush)
        self._outbox.extend(commands)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._connect()
            await asyncio.sleep(RECONNECT_S)

    async def ping(self) -> Pulse:
        """How the engine's present step is doing. Raises EngineUnavailable."""
        if self._link is None:
            raise EngineUnavailable(LOST)
        nonce = next(self._nonces)
        pong = self._pongs[nonce] = self._loop.create_future()
        try:
            self._link.send({"ping": nonce})
            pulse: Pulse = await pong
            return pulse
        finally:
            del self._pongs[nonce]

    async def close(self) -> None:
        if self._link is not None:
            self._link.close()

    def take(self, link: FrameLink, message: Any) -> None:
        """What the engine's host sends."""
        match message:
            case {"events": events, "rows": num_rows, "s": seconds, "errors": num_errors, "tempo": tempo}:
                self.num_errors = num_errors
                self._heed(tempo)
                self._take_step(map(unpack_event, events), num_rows, seconds)
            case {"elsewhere": [num_streams, num_listeners], "tempo": tempo}:
                self.num_streams_elsewhere, self.num_listeners_elsewhere = num_streams, num_listeners
                self._heed(tempo)
            case {"tempo": tempo}:
                self._heed(tempo)
            case {"pong": nonce, "step_age_s": step_age_s, "healthy_s": healthy_s}:
                pong = self._pongs.get(nonce)
                if pong is not None and not pong.done():
                    pong.set_result(Pulse(step_age_s, healthy_s))
            case {"info": info} if link is self._link:
                self._loop.call_soon(self._learn, unpack_info(info))  # after what a step before it told
            case {"info": info}:
                self._learn(unpack_info(info))
                self._link = link
                self._map(message.get("shared"))
                if self._reached.is_set():
                    self.num_restarts += 1
                    log.info("connected to the voice engine again")
                self._reached.set()
                for tell in self._watchers:
                    self._loop.call_soon(tell)
            case _:
                raise ValueError(f"expected a step, a pong or the info, {str(message)[:40]} came")

    async def _connect(self) -> None:
        """One connection, from its attempt to its end."""
        link = _EngineLink(self)
        try:
            transport, _ = await self._loop.create_unix_connection(lambda: link, str(self._socket_path))
            if self._ending_pid and peer_pid(transport) == self._ending_pid:
                return
            await link.is_lost.wait()
            log.warning("the connection to the voice engine is lost, streams=%d", self.num_streams)
        except OSError as error:
            log.debug("no voice engine yet: %s", error)
        finally:
            link.close()
            self._lose(link)

    def _flush(self) -> None:
        commands, self._outbox = self._outbox, []
        for start in range(0, len(commands), MAX_COMMANDS):
            if self._link is not None:
                self._link.send({"commands": list(map(pack_command, commands[start : start + MAX_COMMANDS]))})

    def _lose(self, link: FrameLink) -> None:
        if link is not self._link:
            return
        self._link = None
        self._let_go()
        self._lost_at = self._loop.time()
        self.num_streams_elsewhere = self.num_listeners_elsewhere = 0
        for pong in self._pongs.values():
            if not pong.done():
                pong.set_exception(EngineUnavailable(LOST))
        self._lose_all(self._losses())

    def _map(self, shared: Mapping[str, Any] | None) -> None:
        """What that engine shares."""
        self._let_go()
        if self._last_words is not None:
            self._last_words.close()
            self._last_words = None
        if shared is not None:
            try:
                self._fault_counts = FaultCounts(Path(shared["faults"]))
                self._last_words = LastWords(Path(shared["steps"]), shared["pid"])
                self._number = shared["port"]
                self._lifeline = Lifeline(Path(shared["lifeline"]), partial(self._end, shared["pid"]))
            except (OSError, ValueError) as error:  # it is gone already; the next one will tell more
                log.warning("what the voice engine does is not known: %s", error)

    def _end(self, pid: int) -> None:
        """The engine is being torn down: nothing more comes, though its connections may stand for a second yet."""
        self._ending_pid = pid
        if self._link is not None:
            self._link.cut()

    def _let_go(self) -> None:
        if self._lifeline is not None:
            self._lifeline.let_go()
            self._lifeline = None

    def _losses(self) -> Mapping[int, Loss]:
        """Of streams that may be why it is gone."""
        if self._last_words is None:
            return {}
        blame = self._last_words.blame()
        return {
            stream: Loss(num_suspects=len(blame.streams), index=index, on_trial=blame.on_trial)
            for (number, stream), index in blame.streams.items()
            if number == self._number
        }


class _EngineLink(FrameLink):
    def __init__(self, engine: RemoteEngine) -> None:
        super().__init__()
        self._engine = engine
        self.is_lost = asyncio.Event()

    def received(self, message: Any) -> None:
        self._engine.take(self, message)

    def lost(self) -> None:
        self.is_lost.set()
