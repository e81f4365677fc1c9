"""What the engine is told, and what it tells. Values only: they cross a thread or a process unchanged."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from ..base import History, ModelInfo, SpeechParams, Word
from .playback import Reading

StreamKey = Hashable
"""Names a stream for as long as the engine lives; chosen by who opens it, never used twice."""


@dataclass(frozen=True, slots=True)
class Trial:
    """How a stream is spoken that may be deadly."""

    num_patches: int  # made in steps with none but those on trial
    is_alone: bool = False  # with no other at all


@dataclass(frozen=True, slots=True)
class Open:
    """A new stream takes a slot. `lead_samples` None: background, served by what live streams leave over.

    With a `history`, of nothing perhaps, an utterance goes on whose former stream is lost: it was let in, and is while
    there is a slot. Segments, indices and positions count from the
    utterance's beginning, those of the listener's clock too: until a `Pace` says otherwise, all of it is heard.
    """

    stream: StreamKey
    session: Hashable  # capacity is shared by session first
    voice: str
    params: SpeechParams
    lead_samples: int | None
    held: bool = False  # the listener's clock does not start with the first audio
    history: History | None = None
    trial: Trial | None = None


@dataclass(frozen=True, slots=True)
class Extend:
    """Text for the segment that is being written; what is never sealed is never spoken."""

    stream: StreamKey
    text: str


@dataclass(frozen=True, slots=True)
class Expect:
    """The next segment will probably begin with this text: a hint, for a stream that has nothing to speak."""

    stream: StreamKey
    text: str


@dataclass(frozen=True, slots=True)
class Seal:
    """That segment is complete and may be spoken."""

    stream: StreamKey


@dataclass(frozen=True, slots=True)
class Finish:
    """No more text, and none is taken; the stream closes after its last patch."""

    stream: StreamKey


@dataclass(frozen=True, slots=True)
class Pace:
    """What the web process knows of the listener's clock."""

    stream: StreamKey
    reading: Reading


@dataclass(frozen=True, slots=True)
class Suspend:
    """No patch of this stream is made until it is told otherwise: what it has is not being taken."""

    stream: StreamKey
    suspended: bool


@dataclass(frozen=True, slots=True)
class Cancel:
    """Nothing of this stream leaves the engine any more."""

    stream: StreamKey


@dataclass(frozen=True, slots=True)
class ReloadVoices:
    """Look for the model's voices again. Answered by `Reloaded` or `Failed`, under a name as a stream has."""

    stream: StreamKey


Command = Open | Extend | Expect | Seal | Finish | Pace | Suspend | Cancel | ReloadVoices


@dataclass(frozen=True, slots=True)
class Spoke:
    """One patch of one stream. `pcm` is little-endian int16 at the model's rate."""

    stream: StreamKey
    segment: int
    index: int
    pcm: bytes
    words: tuple[Word, ...]
    latents: bytes
    last: bool  # the segment ends here
    seconds: float = 0.0  # of work: its share of the step


@dataclass(frozen=True, slots=True)
class Closed:
    """The stream is finished and its slot free."""

    stream: StreamKey


@dataclass(frozen=True, slots=True)
class Failed:
    """The stream is over. `busy`: there was no room for it; otherwise the model failed. `message` is fit for a user.

    `num_suspects`: the model raised in a step of so many streams, and nobody knows for which; whoever keeps what is
    needed to go on may open it again. `on_trial`: that step was for streams on trial.
    """

    stream: StreamKey
    message: str
    busy: bool = False
    retry_after_ms: int = 0  # of a busy engine: when another try makes sense
    num_suspects: int = 0
    on_trial: bool = False


@dataclass(frozen=True, slots=True)
class Reloaded:
    """The model has looked for its voices; `info` tells those it has now."""

    stream: StreamKey
    info: ModelInfo


Event = Spoke | Closed | Failed | Reloaded


@dataclass(frozen=True, slots=True)
class Step:
    """What one turn of the engine brought."""

    events: tuple[Event, ...]
    num_rows: int
    started_at: float  # monotonic seconds
    seconds: float
