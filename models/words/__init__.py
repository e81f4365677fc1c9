"""When each word sounds, for a voice that does not tell: its letters are followed in the audio as it comes."""

from .pace import expected_seconds, measured_pace
from .word_times import WordTimes

__all__ = ["WordTimes", "expected_seconds", "measured_pace"]
