"""What the user gave of an utterance, given again."""

from __future__ import annotations

import pytest

from protocol.manuscript import Manuscript
from protocol.messages import ClientMessage, End, Flush, Start, Started, Text
from tests.protocol.pair import PCM, make_started
from tests.protocol.tiny_server import OPUS


def again(
    manuscript: Manuscript,
    position: int = 0,
    piece_chars: int = 100,
    *,
    started: Started | None = None,
    after: str | None = None,
) -> list[ClientMessage]:
    return list(manuscript.from_there(position, "v", started, after, piece_chars))


def test_the_rest_is_given_in_pieces_with_its_flushes_and_its_end() -> None:
    manuscript = Manuscript(Start(utterance="u", text="ab"))
    manuscript.flush()
    manuscript.write("cdef")
    manuscript.flush()
    assert manuscript.is_flushed
    manuscript.write("g")
    assert not manuscript.is_flushed
    manuscript.end()
    assert (manuscript.text, manuscript.num_chars) == ("abcdefg", 7)
    assert again(manuscript, 1, 2) == [
        Start(utterance="v"),
        Text(utterance="v", text="b"),
        Flush(utterance="v"),
        Text(utterance="v", text="cd"),
        Text(utterance="v", text="ef"),
        Flush(utterance="v"),
        Text(utterance="v", text="g"),
        End(utterance="v"),
    ]
    assert again(manuscript, 2)[1:3] == [Text(utterance="v", text="cdef"), Flush(utterance="v")]


def test_a_text_that_is_open_stays_open() -> None:
    assert again(Manuscript(Start(utterance="u"))) == [Start(utterance="v")]
    assert Manuscript(Start(utterance="u", end=True)).is_ended


def test_it_is_to_sound_as_it_did() -> None:
    manuscript = Manuscript(Start(utterance="u", speed=1.5, audio=PCM, after="t", preempt=True, words=False))
    manuscript.change_format(OPUS)
    assert again(manuscript, started=make_started(), after="s")[0] == Start(
        utterance="v", voice="plain", seed=1, speed=1.5, audio=OPUS, after="s", words=False
    )
    assert again(manuscript)[0] == Start(utterance="v", speed=1.5, audio=OPUS, preempt=True, words=False)


@pytest.mark.parametrize(
    ("text", "position", "found"),
    [("One. Two", 3, 5), ("One two", 3, 4), ("One", 3, 3), ('say "so." Yes', 7, 10), ("pay $5", 3, 4), ("a .5", 1, 2)],
)
def test_a_word_begins_after_the_end_of_another(text: str, position: int, found: int) -> None:
    assert Manuscript(Start(utterance="u", text=text)).next_word(position) == found
