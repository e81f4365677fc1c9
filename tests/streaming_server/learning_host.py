"""An engine host whose model learns voices from the folder that its options name."""

from __future__ import annotations

from models.base import ModelOptions, SpeechModel
from streaming_server import engine_host
from tests.streaming_server.learning_tone import LearningTone


def load(name: str, options: ModelOptions) -> SpeechModel:
    assert options.voices is not None
    return LearningTone(options.voices)


if __name__ == "__main__":
    engine_host.main(load)
