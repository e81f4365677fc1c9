"""The engine's own process: one thread steps, the main thread serves web processes over a Unix socket.

    python -m streaming_server.engine_host MODEL SOCKET

It prints one JSON line on standard output, {"ready": true} or {"error": sentence}, and ends when its standard input
does: whoever started it is then gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import sys
from pathlib import Path
from typing import cast

from models.base import ModelError, ModelInfo
from models.engine import Cancel, Command, Engine, Open, Step
from models.registry import load_model

from . import logs
from .engine_link import frame, pack_event, pack_info, read_frame, unpack_command
from .engine_thread import EngineThread

log = logging.getLogger(__name__)

MAX_BACKLOG_BYTES = 64 << 20
"""Unread output of one web process beyond which it counts as stuck and is cut; its streams end."""


class EngineHost:
    """Joins the engine's thread to the sockets of web processes."""

    def __init__(self, engine: Engine) -> None:
        self._info: ModelInfo = engine.info
        self._loop = asyncio.get_running_loop()
        self._thread = EngineThread(engine, self._deliver)
        self._workers: dict[int, asyncio.StreamWriter] = {}
        self._num_workers_seen = 0

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._thread.stop()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One web process, from its connection to its end."""
        self._num_workers_seen += 1
        worker = self._num_workers_seen
        self._workers[worker] = writer
        streams: dict[object, None] = {}
        writer.write(frame({"info": pack_info(self._info)}))
        try:
            while True:
                message = await read_frame(reader)
                if "ping" in message:
                    writer.write(frame({"pong": message["ping"], "step_age_s": self._thread.step_age_s}))
                    continue
                commands: list[Command] = [unpack_command(data, worker) for data in message["commands"]]
                for command in commands:
                    if isinstance(command, Open):
                        streams[command.stream] = None
                    elif isinstance(command, Cancel):
                        streams.pop(command.stream, None)
                self._thread.post(commands)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        except ValueError as error:
            log.error("web process %d cut: %s", worker, error)
        finally:
            del self._workers[worker]
            self._thread.post([Cancel(stream) for stream in streams])
            writer.close()

    def _deliver(self, step: Step) -> None:
        """On the engine's thread: hand over and return to the next step."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: the process is ending
            self._loop.call_soon_threadsafe(self._send, step)

    def _send(self, step: Step) -> None:
        by_worker: dict[int, list[object]] = {}
        for event in step.events:
            worker, stream = cast("tuple[int, int]", event.stream)  # named so by unpack_command
            by_worker.setdefault(worker, []).append(pack_event(event, stream))
        for worker, events in by_worker.items():
            writer = self._workers.get(worker)
            if writer is None:
                continue
            writer.write(frame({"events": events, "at": step.started_at, "rows": step.num_rows, "s": step.seconds}))
            if writer.transport.get_write_buffer_size() > MAX_BACKLOG_BYTES:
                log.error("web process %d cut: it does not read what the engine speaks", worker)
                writer.transport.abort()


async def _until_orphaned() -> None:
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while await reader.read(1024):
        pass


async def _main(model_name: str, socket_path: Path) -> None:
    host = EngineHost(Engine(load_model(model_name)))
    host.start()
    server = await asyncio.start_unix_server(host.serve, socket_path, limit=1 << 20)
    os.chmod(socket_path, 0o600)
    print(json.dumps({"ready": True}), flush=True)
    try:
        await _until_orphaned()
    finally:
        server.close()
        host.stop()


def main() -> None:
    model_name, socket_path = sys.argv[1:3]
    logs.configure(os.environ.get("VOXWIRE_LOG_LEVEL", "info"), os.environ.get("VOXWIRE_LOG_FORMAT", "text"))
    try:
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(_main(model_name, Path(socket_path)))
    except ModelError as error:
        print(json.dumps({"error": str(error)}), flush=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
