"""Text as it is written, to text as it is spoken: pure, streaming, with every position kept in the original text."""

from .normalizer import Normalizer
from .schedule import MODES, Mode
from .segment import Segment
from .spoken import Spoken
from .stream import TextStream

__all__ = ["MODES", "Mode", "Normalizer", "Segment", "Spoken", "TextStream"]
