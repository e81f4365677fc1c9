"""Our engine, in this process, as somebody who speaks to many (bench.gpu_streams)."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from models.base import ModelInfo, SpeechModel, SpeechParams
from models.engine.commands import Cancel, Closed, Command, Extend, Failed, Finish, Open, Seal, Spoke
from models.engine.engine import Engine

from .gpu_streams import Sound
from .peer import TEXT


class EngineStreams:
    """`lead_s` None: background rows, made as fast as it goes. All speak `text`, each with a seed of its own."""

    def __init__(
        self,
        model: SpeechModel,
        *,
        lead_s: float | None,
        text: str = TEXT,
        num_steps: int = 10,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = Engine(model, clock=clock)
        self._clock = clock
        info: ModelInfo = self._engine.info
        self.rate_hz, self.patch_samples = info.sample_rate, info.patch_samples
        self._lead = None if lead_s is None else int(lead_s * info.sample_rate)
        self._text, self._num_steps = text, num_steps
        self._voice = info.default_voice
        self._open: set[int] = set()

    def start(self, key: int, num_patches: int) -> None:
        knobs = {"max_len": num_patches, "inference_timesteps": self._num_steps, "cfg_value": 2.0}
        params = SpeechParams(seed=key, knobs=knobs)
        commands: tuple[Command, ...] = (
            Open(key, key, self._voice, params, self._lead),
            Extend(key, self._text),
            Seal(key),
            Finish(key),
        )
        self._open.add(key)
        for command in commands:
            self._engine.apply(command)

    def step(self) -> Sequence[Sound]:
        step = self._engine.step()
        sounds: list[Sound] = []
        for event in step.events if step is not None else ():
            if isinstance(event, Spoke):
                pcm = event.pcm
                is_flat = pcm[:254] == pcm[2:256] and pcm[:-2] == pcm[2:]  # int16, all the same
                sounds.append(Sound(_key(event.stream), len(pcm) // 2, is_last=event.last, is_flat=is_flat))
            elif isinstance(event, Failed):
                sounds.append(Sound(_key(event.stream), 0, is_last=True))
            elif isinstance(event, Closed):
                self._open.discard(_key(event.stream))
        return sounds

    def next_at(self) -> float | None:
        return self._engine.next_wake()

    def cancel_all(self) -> None:
        """Everybody leaves at once; the model is free for another engine."""
        for key in self._open:
            self._engine.apply(Cancel(key))
        self._open.clear()
        while self._engine.next_wake() is not None:
            self._engine.step()  # what is under way is of nobody

    def shutdown(self) -> None:
        self._engine.shutdown()


def _key(stream: object) -> int:
    assert isinstance(stream, int)
    return stream
