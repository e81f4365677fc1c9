"""Text to token ids: the checkpoint's tokenizer.json, with Chinese words split into characters."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import tokenizers

from .config import AUDIO_START
from .fields import Fields

SPACE = "\u2581"
"""How SentencePiece writes a space inside a token."""

CONTROL_IDS = range(AUDIO_START, AUDIO_START + 4)
"""Starts and ends of speech and of a reference: the numbers are fixed in training, whatever the tokens are called."""


class Tokenizer:
    """Reads tokenizer.json and nothing else; `encode` adds no token of its own.

    Two things are done to the ids that the file's rules give, both by one table from an id to those it stands for:

    A token that is a word of Chinese characters becomes its characters. The rule is the original's: a token's text
    without U+2581 must be an entry of the vocabulary, of two characters or more, all in U+4E00..U+9FFF; the space
    before it is dropped then. A word that is known only with a space before it stays whole.

    A control token never comes out of a text. What is written like one, `</s>` say, is read as the characters it is
    written with: the tokenizer does not look for control strings, and one that its merges happen to build is taken
    apart. The original makes control ids of them.
    """

    def __init__(self, checkpoint: Path, *, vocab_size: int) -> None:
        """`vocab_size`: the rows of the embedding table, above every id. Raises ModelError, naming the file."""
        fields = Fields.read(checkpoint / "tokenizer.json")
        values = fields.values
        unknown = fields.object("model").values.get("unk_token") or "<unk>"
        added = values.get("added_tokens") or []
        if not isinstance(added, list) or not all(_is_token(each) for each in added):
            raise fields.error("'added_tokens' was expected to be a list of objects with 'id' and 'content'")
        spelled = [token for token in added if _is_control(token)]
        for token in spelled:
            token["special"] = True
        try:
            self._tokenizer = tokenizers.Tokenizer.from_str(json.dumps(values))
        except Exception as error:  # the library raises nothing narrower
            raise fields.error(f"a tokenizer was expected, but it cannot be read: {error}") from None
        self._tokenizer.encode_special_tokens = True  # as the characters they are written with
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        # Nothing splits a text before the merges, so the library would keep whole texts, of which none comes again.
        forget = getattr(self._tokenizer.model, "_resize_cache", None)
        if forget is not None:
            forget(0)
        vocabulary = self._tokenizer.get_vocab(with_added_tokens=True)
        if unknown not in vocabulary:
            raise fields.error(f"the token {unknown!r} was expected in the vocabulary, but it is missing")
        unknown_id = vocabulary[unknown]
        texts = {token["content"] for token in spelled}
        controls = {number: text for text, number in vocabulary.items() if text in texts or number in CONTROL_IDS}
        controls.pop(unknown_id, None)  # the right answer to a character that nobody knows
        for text, number in vocabulary.items():
            if number >= vocab_size and number not in controls:
                raise fields.error(
                    f"ids below lm_config.vocab_size, {vocab_size}, were expected, but that of {text!r} is {number}"
                )
        self._instead = dict(_split_words(vocabulary, unknown_id))
        self._instead |= {number: self._spelled(text, controls) for number, text in controls.items()}

    def encode(self, text: str) -> list[int]:
        """Token ids of the text, each below the vocabulary's size; none for an empty text."""
        ids: list[int] = []
        for number in self._tokenizer.encode(text, add_special_tokens=False).ids:
            characters = self._instead.get(number)
            if characters is None:
                ids.append(number)
            else:
                ids.extend(characters)
        return ids

    def _spelled(self, text: str, controls: Mapping[int, str]) -> tuple[int, ...]:
        """Character by character, so that nothing merges; what even so is a control token is left out."""
        model = self._tokenizer.model
        ids = (token.id for character in text.replace(" ", SPACE) for token in model.tokenize(character))
        return tuple(number for number in ids if number not in controls)


def _is_token(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("content"), str) and isinstance(value.get("id"), int)


def _is_control(token: Mapping[str, Any]) -> bool:
    """Marked as special, or written as a tag is: some files mark theirs as plain text."""
    text = token["content"]
    return bool(token.get("special")) or token["id"] in CONTROL_IDS or (text.startswith("<") and text.endswith(">"))


def _split_words(vocabulary: Mapping[str, int], unknown_id: int) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Each token that is split, and the ids of its characters."""
    words = {text for text in vocabulary if len(text) >= 2 and all("\u4e00" <= each <= "\u9fff" for each in text)}
    for token, number in vocabulary.items():
        word = token.replace(SPACE, "")
        if word in words:
            yield number, tuple(vocabulary.get(character, unknown_id) for character in word)
