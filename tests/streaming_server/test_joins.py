"""A text that the segmenter has cut sounds like the whole text to espeak: the same pauses, no clicks."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from models.espeak import EspeakModel
from streaming_server.text.normalizer import Normalizer
from streaming_server.text.stream import TextStream
from tests.models.speaking import pauses_ms, speak

TEXTS = {
    "clauses": ("en-US-male", "Hello there, this is a test. It has three sentences, and clauses; they are short."),
    "paragraphs": (
        "en-GB-female",
        "The first paragraph ends here.\n\nThe second one goes on.\n\nThe third is the last.",
    ),
    "no punctuation": (
        "en-US-female",
        "one word after the other without any punctuation so that this text must be cut somewhere and then "
        "goes on for quite a while as some people do when they write without ever stopping to think about it",
    ),
    "Chinese": ("cmn-female", "你好，世界。今天天气很好，我们去公园吧！你觉得怎么样？"),
}


@pytest.fixture(scope="module")
def espeak() -> Iterator[EspeakModel]:
    model = EspeakModel()
    yield model
    model.shutdown()


@pytest.mark.parametrize("kind", TEXTS)
def test_the_pauses_are_those_of_the_whole_text(espeak: EspeakModel, kind: str) -> None:
    voice, text = TEXTS[kind]
    stream, normalizer = TextStream(), Normalizer()
    segments = [*stream.feed(text), *stream.end()]
    assert len(segments) > 1
    shown = [segment.opening + normalizer.normalize(segment).text + segment.ending for segment in segments]
    cut = speak(espeak, shown, voice=voice)
    whole = speak(espeak, [text], voice=voice)
    np.testing.assert_allclose(pauses_ms(cut.pcm), pauses_ms(whole.pcm), atol=20)
    for number in range(len(segments) - 1):
        _, join = cut.range(number)
        step = abs(int(cut.pcm[join]) - int(cut.pcm[join - 1]))
        around = np.abs(np.diff(cut.pcm[join - 400 : join + 400].astype(int))).max()
        assert step <= max(33, around), "a click: more than -60 dB, and than the speech around it"
