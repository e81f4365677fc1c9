from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.checkpoint_tokenizer import CONTROL, write_tokenizer
from models.base import ModelError
from models.voxcpm.tokenizer import CONTROL_IDS, Tokenizer

VOCAB_SIZE = 1024


@pytest.fixture(scope="module", params=[True, False], ids=["bytes", "unk"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokenizer for which unknown characters are bytes, and one for which they are <unk>."""
    folder = tmp_path_factory.mktemp("tokenizer")
    write_tokenizer(folder, vocab_size=VOCAB_SIZE, byte_fallback=request.param)
    return folder


@pytest.fixture(scope="module")
def tokenizer(folder: Path) -> Tokenizer:
    return Tokenizer(folder, vocab_size=VOCAB_SIZE)


@pytest.fixture(scope="module")
def texts(folder: Path) -> dict[int, str]:
    """Id -> token."""
    vocabulary = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
    return {number: token for token, number in vocabulary.items()}


def changed(folder: Path, tmp_path: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    values = json.loads((folder / "tokenizer.json").read_text())
    change(values)
    (tmp_path / "tokenizer.json").write_text(json.dumps(values))
    return tmp_path


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", []),
        ("hello", ["▁hello"]),
        ("你好", ["你", "好"]),  # an entry with the space mark before it too: split, and the mark is dropped
        ("人工作", ["▁", "人", "工", "作"]),
        ("谢谢", ["▁谢谢"]),  # an entry only with the mark: it stays whole, as in the original
        ("hello 你好 世界", ["▁hello", "你", "好", "▁", "世", "界"]),
        ("好！”", ["▁", "好", "！”"]),  # not all of it Chinese characters
        ("3月", ["▁", "3月"]),
    ],
)
def test_chinese_words_are_split_by_the_original_rule(
    text: str, tokens: list[str], tokenizer: Tokenizer, texts: dict[int, str]
) -> None:
    assert [texts[number] for number in tokenizer.encode(text)] == tokens


@pytest.mark.parametrize("written", ["</s>", "<s>", *CONTROL.values(), "a</s>b", "<|audio_start|><|audio_end|>"])
def test_what_is_written_like_a_control_token_is_read_as_characters(
    written: str, tokenizer: Tokenizer, texts: dict[int, str]
) -> None:
    ids = tokenizer.encode(written)
    assert "".join(texts[number] for number in ids).removeprefix("▁") == written
    assert min(ids) > max(CONTROL_IDS)


def test_a_control_token_that_merges_build_is_taken_apart(folder: Path, tmp_path: Path, texts: dict[int, str]) -> None:
    """As in vocabularies whose merges were made from all entries, control tokens included."""

    def merge(values: dict[str, Any]) -> None:
        values["model"]["vocab"] |= {"</": 900, "</s": 901}
        values["model"]["merges"] = [["<", "/"], ["</", "s"], ["</s", ">"], *values["model"]["merges"]]

    tokenizer = Tokenizer(changed(folder, tmp_path, merge), vocab_size=VOCAB_SIZE)
    assert [texts[number] for number in tokenizer.encode("a</s>b")] == ["▁a", "<", "/", "s", ">", "b"]


def test_a_control_token_that_is_not_marked_as_special_is_none_of_the_text(
    folder: Path, tmp_path: Path, texts: dict[int, str]
) -> None:
    def unmark(values: dict[str, Any]) -> None:
        for token in values["added_tokens"]:
            token["special"] = False

    tokenizer = Tokenizer(changed(folder, tmp_path, unmark), vocab_size=VOCAB_SIZE)
    assert min(tokenizer.encode("</s><|audio_start|>")) > max(CONTROL_IDS)


def test_added_words_of_the_text_are_found_under_their_ids(folder: Path, tmp_path: Path, texts: dict[int, str]) -> None:
    def add(values: dict[str, Any]) -> None:
        plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
        num_entries = len(values["model"]["vocab"])
        for number, (content, is_special) in enumerate([("<|end|>", True), ("voxwire", False)], start=num_entries):
            values["added_tokens"].append({**plain, "id": number, "content": content, "special": is_special})

    tokenizer = Tokenizer(changed(folder, tmp_path, add), vocab_size=VOCAB_SIZE)
    assert max(texts) + 2 in tokenizer.encode("a voxwire b")
    assert max(tokenizer.encode("a <|end|> b")) <= max(texts)


def test_a_file_that_cuts_or_pads_is_kept_from_it(folder: Path, tmp_path: Path, tokenizer: Tokenizer) -> None:
    def cut(values: dict[str, Any]) -> None:
        values["truncation"] = {"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0}

    assert len(Tokenizer(changed(folder, tmp_path, cut), vocab_size=VOCAB_SIZE).encode("one two one two")) > 2


@settings(max_examples=200, deadline=None)
@given(
    text=st.text(
        st.sampled_from("你好世界谢 \t\n▁<|>/s_audiostrefn😀\x00é") | st.characters(codec="utf-8"), max_size=40
    )
)
def test_any_text_becomes_ids_of_the_vocabulary_and_no_control(text: str, tokenizer: Tokenizer) -> None:
    ids = tokenizer.encode(text)
    assert all(number == 0 or max(CONTROL_IDS) < number < VOCAB_SIZE for number in ids)  # 0: <unk>
    assert bool(ids) == bool(text)
    assert tokenizer.encode(text) == ids


def test_a_missing_tokenizer_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError) as caught:
        Tokenizer(tmp_path, vocab_size=VOCAB_SIZE)
    assert str(caught.value) == (
        f"A readable {tmp_path}/tokenizer.json was expected, but it is not: No such file or directory."
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "JSON was expected"),
        ("[]", "an object was expected"),
        ("{}", "the key 'model' was expected, but it is missing"),
        ('{"model": {"type": "BPE", "vocab": 5}}', "a tokenizer was expected, but it cannot be read"),
        ('{"model": {}, "added_tokens": [5]}', "'added_tokens' was expected to be a list of objects"),
    ],
)
def test_a_file_that_is_no_tokenizer_is_refused_in_one_sentence(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text(text)
    with pytest.raises(ModelError) as caught:
        Tokenizer(tmp_path, vocab_size=VOCAB_SIZE)
    assert str(caught.value).startswith(f"{tmp_path}/tokenizer.json: {said}")
    assert "\n" not in str(caught.value)


def test_a_tokenizer_of_another_checkpoint_is_refused(folder: Path) -> None:
    with pytest.raises(
        ModelError, match=r"ids below lm_config.vocab_size, 300, were expected, but that of '.+' is \d+"
    ):
        Tokenizer(folder, vocab_size=300)


def test_a_vocabulary_without_unk_is_refused(folder: Path, tmp_path: Path) -> None:
    def rename(values: dict[str, Any]) -> None:
        values["model"]["vocab"]["<none>"] = values["model"]["vocab"].pop("<unk>")
        values["model"]["unk_token"] = None
        values["added_tokens"] = []

    with pytest.raises(ModelError, match="the token '<unk>' was expected in the vocabulary, but it is missing"):
        Tokenizer(changed(folder, tmp_path, rename), vocab_size=VOCAB_SIZE)
