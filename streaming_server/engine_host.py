"""The engine's own process: one thread steps, the main thread serves web processes over a Unix socket.

    python -m streaming_server.engine_host MODEL OPTIONS SOCKET LOG_LEVEL LOG_FORMAT [hurry]

In a hurry, because utterances wait for it, it measures its speed with one listener only; the crowd shows the rest.
It prints JSON lines on standard output: {"doing": what} as often as it has come further, then {"ready": true} or
{"error": sentence}. It ends when its standard input does: whoever started it is then gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TextIO, cast

from models.base import ModelError, ModelInfo, ModelOptions, SpeechModel
from models.engine import Engine, Event, Reloaded, Step, warm_up
from models.registry import load_model

from . import logs
from .engine_faults import FaultCounts
from .engine_lifeline import hold_lifeline
from .engine_link import HURRY, unpack_options
from .engine_port import EnginePort, Shared
from .engine_record import StepRecord
from .engine_thread import EngineThread
from .garbage import collect_in_silence, collector_at_rest

log = logging.getLogger("streaming_server.engine_host")  # it is run as __main__, which is not one of our packages

STOP_S = 2.0
"""So long the last step may take when everything ends; nobody hears it any more."""

CROWD_EVERY_S = 0.02
"""A web process learns so late how many listeners others have: newcomers are spread over engines by that number."""


class EngineHost:
    """Joins the engine's thread to the sockets of web processes. `ended` is set when there is nothing left to do."""

    def __init__(self, engine: Engine, shared: Shared | None = None) -> None:
        """`shared`: what web processes read in memory."""
        self._shared = shared
        self._info = engine.info
        self._loop = asyncio.get_running_loop()
        self._thread = EngineThread(engine, self._deliver, self._end)
        self._ports: dict[int, EnginePort] = {}
        self._num_ports_seen = 0
        self._was_slow = engine.tempo.is_slow
        self._crowd_told: asyncio.TimerHandle | None = None
        self.ended = asyncio.Event()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> bool:
        """End the engine; whether it came to a good end."""
        self._thread.stop(STOP_S)
        return not self._thread.is_alive and not self._thread.is_broken

    @property
    def num_streams(self) -> int:
        """Of all web processes."""
        return sum(port.crowd[0] for port in self._ports.values())

    def connect(self) -> EnginePort:
        """For a new connection."""
        self._num_ports_seen += 1
        number = self._num_ports_seen
        port = self._ports[number] = EnginePort(
            number, self._info, self._thread, self._ports.__delitem__, self._crowd_changed, self._shared
        )
        return port

    def _deliver(self, step: Step) -> None:
        """On the engine's thread: hand over and return to the next step."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: the process is ending
            self._loop.call_soon_threadsafe(self._send, step)

    def _end(self) -> None:
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self.ended.set)

    def _send(self, step: Step) -> None:
        by_port: dict[int, list[tuple[Event, int]]] = {}
        for event in step.events:
            number, stream = cast("tuple[int, int]", event.stream)  # named so by unpack_command
            by_port.setdefault(number, []).append((event, stream))
            if isinstance(event, Reloaded):
                self._tell_info(event.info, asked_by=number)
        for number, events in by_port.items():
            port = self._ports.get(number)
            if port is not None:
                port.tell(events, step.num_rows, step.seconds)
        is_slow = self._thread.told_tempo.is_slow
        if is_slow is not self._was_slow:
            self._was_slow = is_slow
            for port in self._ports.values():
                port.tell_tempo()

    def _crowd_changed(self) -> None:
        if self._crowd_told is None:
            self._crowd_told = self._loop.call_later(CROWD_EVERY_S, self._tell_crowd)

    def _tell_crowd(self) -> None:
        self._crowd_told = None
        crowds = {number: port.crowd for number, port in self._ports.items()}
        num_streams = sum(streams for streams, _ in crowds.values())
        num_listeners = sum(listeners for _, listeners in crowds.values())
        for number, (streams, listeners) in crowds.items():
            self._ports[number].tell_elsewhere(num_streams - streams, num_listeners - listeners)

    def _tell_info(self, info: ModelInfo, *, asked_by: int) -> None:
        """Those who did not ask are told, too, and who connects from now on."""
        self._info = info
        for number, port in self._ports.items():
            if number != asked_by:
                port.tell_info(info)


class _Parent(asyncio.Protocol):
    """Standard input: it ends when whoever started this process does."""

    def __init__(self, ended: asyncio.Event) -> None:
        self._ended = ended

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended.set()


async def _serve(model: SpeechModel, socket_path: Path, report: TextIO, *, hurries: bool) -> None:
    loop = asyncio.get_running_loop()
    shared = Shared.beside(socket_path)
    hold_lifeline(shared.lifeline)
    record = StepRecord(shared.steps, model.info.max_batch, FaultCounts(shared.faults))
    engine = Engine(model, witness=record)
    log.debug("warming up")
    warm_up(engine, max_listeners=1 if hurries else None)
    host = EngineHost(engine, shared)
    server = await loop.create_unix_server(host.connect, socket_path)
    os.chmod(socket_path, 0o600)
    await loop.connect_read_pipe(lambda: _Parent(host.ended), sys.stdin)
    host.start()
    with collector_at_rest():
        async with asyncio.TaskGroup() as tasks:
            collecting = tasks.create_task(collect_in_silence(lambda: not host.num_streams))
            log.debug("ready")
            _report(report, ready=True)
            await host.ended.wait()
            collecting.cancel()
    server.close()
    if not host.stop():
        logging.shutdown()
        os._exit(1)  # it hangs, or the device is lost: nothing waits for it or touches it again


def main(load: Callable[[str, ModelOptions], SpeechModel] = load_model) -> None:
    """`load` makes the model of that name with these options. Exits with 1 when there is none, or when it breaks."""
    model_name, options, socket_path, log_level, log_format, *rest = sys.argv[1:]
    logs.configure(log_level, "json" if log_format == "json" else "text")
    # It ends with its parent, which may have speech to finish when a terminal or a supervisor signals them all.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    # What a library prints must not be taken for the report, nor fill a pipe that nobody reads any more.
    with os.fdopen(os.dup(sys.stdout.fileno()), "w") as report:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        try:
            log.debug("loading")
            how = replace(unpack_options(options), progress=lambda doing: _report(report, doing=doing))
            asyncio.run(_serve(load(model_name, how), Path(socket_path), report, hurries=HURRY in rest))
        except ModelError as error:
            _report(report, error=str(error))
            sys.exit(1)
        except OSError as error:
            _report(report, error=f"the voice engine cannot start: {error}")
            sys.exit(1)


def _report(report: TextIO, **news: str | bool) -> None:
    print(json.dumps(news), file=report, flush=True)


if __name__ == "__main__":
    main()
