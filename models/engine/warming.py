"""Before the first listener: what a model does only once is done, and then its speed measured."""

from __future__ import annotations

from ..base import SpeechParams
from .commands import Cancel, Extend, Finish, Open, Seal
from .engine import Engine
from .tempo import Tempo

TEXT = "one, two, three, four, five, six"
NUM_MEASURED = 6  # steps
MAX_UTTERANCES = 4
"""A model that is not trained may say any text in two steps."""


def warm_up(engine: Engine) -> None:
    """Speak a few words to nobody. The first step of all loads what is loaded late, and does not count."""
    num_steps = 0
    for _ in range(MAX_UTTERANCES):
        key = object()
        voice = Open(key, key, engine.info.default_voice, SpeechParams(), None)
        for command in (voice, Extend(key, TEXT), Seal(key), Finish(key)):
            engine.apply(command)
        while num_steps <= NUM_MEASURED and engine.step() is not None:
            num_steps += 1
            if num_steps == 1:
                engine.tempo = Tempo()
        engine.apply(Cancel(key))
