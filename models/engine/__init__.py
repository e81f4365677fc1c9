"""The engine: slots, playback clocks, deadlines, steps. Synchronous; knows of no process, socket or wire."""

from .audience import CROWDED, FULL, MAX_FIRST_AUDIO_S, SLOW, Audience, Busy, Ear
from .commands import (
    Cancel,
    Closed,
    Command,
    Event,
    Expect,
    Extend,
    Failed,
    Finish,
    Open,
    Pace,
    Reloaded,
    ReloadVoices,
    Seal,
    Spoke,
    Step,
    StreamKey,
    Suspend,
    Trial,
)
from .continuity import Continuity
from .engine import Engine
from .outlook import Prospects
from .playback import PlaybackClock, Reading
from .tempo import Tempo
from .warming import warm_up
from .witness import Fault, NoWitness, Phase, Witness

__all__ = [
    "CROWDED",
    "FULL",
    "MAX_FIRST_AUDIO_S",
    "SLOW",
    "Audience",
    "Busy",
    "Cancel",
    "Closed",
    "Command",
    "Continuity",
    "Ear",
    "Engine",
    "Event",
    "Expect",
    "Extend",
    "Failed",
    "Fault",
    "Finish",
    "NoWitness",
    "Open",
    "Pace",
    "Phase",
    "PlaybackClock",
    "Prospects",
    "Reading",
    "ReloadVoices",
    "Reloaded",
    "Seal",
    "Spoke",
    "Step",
    "StreamKey",
    "Suspend",
    "Tempo",
    "Trial",
    "Witness",
    "warm_up",
]
