"""An engine host whose model kills, hangs or breaks where the text says so; the model's name may be trouble, too."""

from __future__ import annotations

import ctypes
import os
import signal
import time

from models.base import History, ModelError, ModelOptions, SpeechModel, SpeechParams
from streaming_server import engine_host
from tests.models.engine.scripted import ScriptedModel

KILLS = "K"
EXITS = "E"
SEGFAULTS = "S"
HANGS = "H"
RAISES = "R"
HAS_NO_MEMORY = "M"
LOSES_DEVICE = "D"
TAKES_TWO_SECONDS = "2"
KILLS_ON_RETURN = 1313
"""A seed: to open it again kills."""


class AcceleratorError(RuntimeError):
    """What torch calls a failure of the device, after which every other call fails."""


def _raise(error: Exception) -> None:
    raise error


class _Model(ScriptedModel):
    def open(
        self, slot: int, generation: int, voice: str, params: SpeechParams, history: History | None = None
    ) -> None:
        if history is not None and params.seed == KILLS_ON_RETURN:
            os.kill(os.getpid(), signal.SIGKILL)
        super().open(slot, generation, voice, params, history)


def load(name: str, options: ModelOptions) -> SpeechModel:
    match name:
        case "refuses":
            raise ModelError("A directory with weights was expected, but it is empty.")
        case "crashes":
            raise RuntimeError("the weights are torn")
        case "sleeps":
            time.sleep(600)
        case "takes its time":
            for number in range(12):
                options.progress(f"makes the voice {number + 1} of 12")
                time.sleep(0.3)
        case "stands still":
            options.progress("makes the voice 1 of 8")
            time.sleep(600)
        case "prints":
            print("loading checkpoint shards", flush=True)
            os.write(1, b"x" * 200_000)  # more than a pipe holds, and past Python's own standard output
    spend_s = 0.1 if name == "slow" else 0.0
    return _Model(
        max_slots=64,
        max_batch=32,
        spend=lambda num_rows: time.sleep(spend_s),
        acts={
            TAKES_TWO_SECONDS: lambda: time.sleep(2.0),
            KILLS: lambda: os.kill(os.getpid(), signal.SIGKILL),
            EXITS: lambda: os._exit(3),
            SEGFAULTS: lambda: ctypes.string_at(0),
            RAISES: lambda: _raise(RuntimeError("the step crashed")),
            HAS_NO_MEMORY: lambda: _raise(MemoryError()),
            LOSES_DEVICE: lambda: _raise(AcceleratorError("CUDA error: an illegal memory access was encountered")),
            HANGS: lambda: time.sleep(600),
        },
    )


if __name__ == "__main__":
    engine_host.main(load)
