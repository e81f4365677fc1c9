"""What a voice engine is to everything above it: in a thread, in a process, or in several."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Protocol

from models.base import ModelInfo, SpeechParams
from models.engine import Busy, Ear, Fault, Reading

from .engine_streams import Listener


class Stream(Protocol):
    """One utterance in the engine. Whatever is said to one that is over is ignored."""

    def speak(self, text: str) -> None:
        """A whole segment, normalised."""

    def expect(self, text: str) -> None:
        """The next segment will probably begin with this text. For a stream that has nothing to speak."""

    def finish(self) -> None:
        """No more text comes."""

    def pace(self, reading: Reading) -> None:
        """What is known of the listener's clock."""

    def suspend(self) -> None:
        """Make no more for now, not even up to the lead: what there is is not being taken."""

    def resume(self) -> None:
        """It is being taken again."""

    def cancel(self) -> None:
        """Nothing reaches the listener any more."""


class EngineClient(Protocol):
    """The engine's asyncio face. What is counted is this web process', save what says otherwise."""

    @property
    def info(self) -> ModelInfo:
        """Raises EngineUnavailable before the first engine has reported."""

    @property
    def ready(self) -> bool:
        """Whether there is an engine just now."""

    @property
    def admits(self) -> bool:
        """Whether a stream can be opened: an engine that was lost just now is waited for, but not for long."""

    @property
    def rtf(self) -> float | None:
        """Seconds of work for a second of speech to one listener, as measured; None before the first."""

    @property
    def is_slow(self) -> bool:
        """Whether that is slower than real time (`models.engine.Tempo`)."""

    @property
    def capacity(self) -> float:
        """How many listeners it has time for, those of other web processes too."""

    @property
    def num_streams(self) -> int: ...

    @property
    def num_streams_elsewhere(self) -> int:
        """Of other web processes, as of some hundredths of a second ago."""

    @property
    def num_listeners(self) -> int:
        """Of all web processes."""

    @property
    def num_restarts(self) -> int: ...

    @property
    def num_lost(self) -> int:
        """Streams whose engine ended while they were open."""

    @property
    def num_reopened(self) -> int:
        """Of those, how often one went on: in the same engine once it was back, or in another."""

    @property
    def num_refused(self) -> int:
        """Of those, what was refused: engines ended with it again and again."""

    @property
    def faults(self) -> Mapping[Fault, int]:
        """What befell the engine, of all web processes and of all its lives."""

    @property
    def num_steps(self) -> int: ...

    @property
    def num_patches(self) -> int: ...

    @property
    def num_errors(self) -> int:
        """What the model should not have done, as the present engine counts."""

    @property
    def busy_s(self) -> float: ...

    @property
    def hosts(self) -> Sequence[EngineClient]:
        """The engines it consists of; itself, if it is one."""

    def refusal(self, session: Hashable, ear: Ear, *, frees_others: bool = False) -> Busy | None:
        """Why this session cannot have another stream (`models.engine.Audience`), as far as this process knows."""

    def open(
        self,
        listener: Listener,
        *,
        session: Hashable,
        voice: str,
        params: SpeechParams,
        lead_samples: int | None,
        held: bool = False,
    ) -> Stream:
        """Raises EngineUnavailable."""

    async def reload_voices(self) -> None:
        """Have the model look for its voices again: `info` tells them when this returns.

        Raises EngineUnavailable, and ModelError where the model failed: it has the voices that it had.
        """

    async def close(self) -> None: ...
