"""Before the first listener: what a model does only once is done, and then its speed measured."""

from __future__ import annotations

from math import ceil, inf

from ..base import SpeechParams
from .commands import Cancel, Extend, Finish, Open, Seal
from .engine import Engine
from .tempo import JUDGED_S, Tempo

TEXT = "one, two, three, four, five, six"
NUM_MEASURED = 6
"""Steps of one row."""
MEASURED_TOGETHER_S = 1.2 * JUDGED_S
"""Of speech, for each number of rows beyond."""
MAX_UTTERANCES = 4
"""A model that is not trained may say any text in two steps."""


def warm_up(engine: Engine, *, max_listeners: int | None = None) -> None:
    """Speak a few words to nobody: to one, then to twice as many each time, as long as the model keeps up with them or
    there are `max_listeners`. So its `tempo` knows whom it has time for before there is a crowd."""
    num_measured = 0
    for _ in range(MAX_UTTERANCES):
        if num_measured < NUM_MEASURED:
            num_measured += _rehearse(engine, 1, NUM_MEASURED - num_measured)
    info = engine.info
    most = min(info.max_batch, info.max_slots, max_listeners or info.max_batch)
    num_rows = 1
    while num_rows < most and num_measured and engine.tempo.capacity > num_rows:
        num_rows = min(next((size for size in info.buckets if size > num_rows), 2 * num_rows), most)
        _rehearse(engine, num_rows, ceil(1000 * MEASURED_TOGETHER_S / info.patch_ms))


def _rehearse(engine: Engine, num_rows: int, num_measured: int) -> int:
    """How many steps were measured. The first does not count: it loads what is loaded late, and reads in the text."""
    keys = [object() for _ in range(num_rows)]
    for key in keys:
        voice = Open(key, key, engine.info.default_voice, SpeechParams(), None)
        for command in (voice, Extend(key, TEXT), Seal(key), Finish(key)):
            engine.apply(command)
    engine.is_rehearsing = True
    tempo, engine.tempo = engine.tempo, Tempo()
    _step(engine)
    engine.tempo = tempo
    num_steps = 0
    while num_steps < num_measured and _step(engine):
        num_steps += 1
    for key in keys:
        engine.apply(Cancel(key))
    while _step(engine):
        pass  # what was under way
    engine.is_rehearsing = False
    return num_steps


def _step(engine: Engine) -> bool:
    """Until a step is told; False when there is none to come."""
    while engine.next_wake() == -inf:
        if engine.step() is not None:
            return True
    return False
