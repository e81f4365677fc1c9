"""Text as it is written, to text as it is spoken: pure, streaming, with every position kept in the original text.

`TextStream` takes the deltas of one utterance. A `Cleaner` takes the markup out, a character at a time; a `Segmenter`
cuts what is left at clauses and sentences. `Normalizer` says each `Segment`: numbers, dates, money, units, addresses.
Nothing here waits, sleeps or reads a clock: who calls `TextStream.pause` decides how long a pause is.
"""

from .normalizer import Normalizer
from .schedule import MODES, Mode
from .segment import Segment
from .spoken import Spoken
from .stream import TextStream

__all__ = ["MODES", "Mode", "Normalizer", "Segment", "Spoken", "TextStream"]
