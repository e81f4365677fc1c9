"""When each word sounds, for a voice that does not tell: its letters are followed in the audio as it comes."""

from .word_times import WordTimes

__all__ = ["WordTimes"]
