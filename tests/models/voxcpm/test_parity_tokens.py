"""Texts become the ids that the official implementation makes of them."""

from __future__ import annotations

import pytest

from models.voxcpm.tokenizer import Tokenizer

from .conftest import Oracle
from .oracle.cases import NUM_TEXTS, TINIES
from .oracle.questions import Tokens


@pytest.mark.parametrize(
    "oracle", [each for each in TINIES if each.asked_for_tokens], ids=lambda each: each.name, indirect=True
)
def test_300_texts_have_the_official_ids(oracle: Oracle) -> None:
    question = oracle.questions[f"{oracle.tiny.name}.tokens"]
    assert isinstance(question, Tokens)
    assert len(set(question.texts)) > 0.95 * NUM_TEXTS
    tokenizer = Tokenizer(oracle.checkpoint, vocab_size=oracle.tiny.shape.vocab_size)
    ids, first = oracle.answer("tokens", "ids").tolist(), 0
    for text, end in zip(question.texts, oracle.answer("tokens", "ends").tolist(), strict=True):
        assert tokenizer.encode(text) == ids[first:end], text
        first = end


def test_a_request_has_the_official_ids(oracle: Oracle) -> None:
    tokenizer = Tokenizer(oracle.checkpoint, vocab_size=oracle.tiny.shape.vocab_size)
    for name, num_patches in (("plain", 0), ("prompted", 4)):
        question = oracle.speech(name)
        ids = [*tokenizer.encode(question.prompt_text + question.text), 101, *[0] * num_patches]
        assert ids == oracle.answer(name, "ids").tolist()
