"""What is said to somebody whose voice is not taken."""

from __future__ import annotations


class VoiceRefused(Exception):
    """One sentence fit for a user, with a code for programs and the HTTP status that goes with it."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


def bad_audio(message: str) -> VoiceRefused:
    """The recording itself will not do."""
    return VoiceRefused(422, "bad_audio", f"'audio': {message}")


def bad_field(message: str) -> VoiceRefused:
    """A field is missing or unsound; the message names it."""
    return VoiceRefused(422, "bad_field", message)


def disk_full() -> VoiceRefused:
    return VoiceRefused(507, "disk_full", "Room for the voice was expected on the server's disk, but it is full.")
