"""`voxwire`, with an engine that texts can trouble, whose model learns voices, and with a wall clock that is set a day
ahead by SIGUSR1.

Its engine is started again at once, however often it ends: faults come faster here than anywhere else.
"""

from __future__ import annotations

import signal
import sys
import time
from functools import partial

from streaming_server import engine_process, engine_room, serve
from streaming_server.__main__ import main
from tests.streaming_server.learning_tone import ready

DAY_S = 86_400.0
HOST = "tests.faults.troubled_engine_host"


def jump(*_: object) -> None:
    before = time.time
    time.time = lambda: before() + DAY_S


if __name__ == "__main__":
    engine_process.BACKOFF_MAX_S = 0.1
    signal.signal(signal.SIGUSR1, jump)
    engine_room.EngineProcess = partial(engine_process.EngineProcess, host=HOST)  # type: ignore[assignment,misc]
    serve.voice_preparation = lambda *_: ready()  # type: ignore[assignment]
    sys.exit(main())
