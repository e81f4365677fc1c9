"""Voices: which there are, and how one of one's own is taken in, made ready and let go."""
