"""A small tokenizer in the files of a checkpoint: BPE as SentencePiece does it, synthetic, for random checkpoints.

It has what the rules of VoxCPM's tokenizer turn on: words of several Chinese characters with and without the space
mark U+2581, whose plain form is or is not in the vocabulary, and characters that only bytes or <unk> can stand for.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, normalizers, processors
from tokenizers.models import BPE

SPACE = "\u2581"
CONTROL = {101: "<|audio_start|>", 102: "<|audio_end|>", 103: "<|ref_start|>", 104: "<|ref_end|>"}

_CHINESE = (
    "的一是不了人我在有他这中大来上国个到说们为子和你地出道也时年得就那要下以生会自着去之过家学对可她里后小么心多天而能好"
    "都然没日于起还发成事只作当想看文无开手十用主行方又如前所本见经头面公同三已老从动两长知民样现分将外但身些与高意进把法"
    "此实回二理美点月明其种声全工己话儿者向情部正名定女问力机给等几很业最间新什打便位因重被走电四第门相次东政海口使教西再"
    "平真听世气信北少关并内加化由却代军产入先山五太水万市眼体别处总才场师书比住员九笑性通目华报立马命张活难神数件安表原车"
    "白应路期叫死常提感金何更反合放做系计或司利受光王果亲界及今京务制解各任至清物台象记边共风战干接它许八特觉望直服毛林题"
    "建南度统色字请爱让认算论百吃义科怎元社术结六功指思非流每青管夫连远资队跟带花快条院变联言权往展该领传近留红治决周保达"
    "谢，。！？；：、“”《》（）"
)
_LATIN = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,!?;:'\"()-_/%&@#$*+=<>|[]{}~^\\`"
_WORDS = "the and ing ion er in on at he re an th of to you is it that world hello one two voice speech for with this"
_CHINESE_WORDS = "你好 世界 我们 今天 天气 中国 北京 什么 知道 时间 人工 工作 一个 没有 因为 所以 可以 我们的"
_WORDS_AFTER_SPACE = "你好 我们 今天 知道 一个"  # with the space mark and without it
_ONLY_AFTER_SPACE = "谢谢 看看 大家 你的"  # their plain form is no entry, so they are not split


def write_tokenizer(out: Path, *, vocab_size: int, byte_fallback: bool) -> None:
    """tokenizer.json, tokenizer_config.json and special_tokens_map.json; not all of the model's ids need be in use.

    Raises ValueError when `vocab_size` does not hold it.
    """
    vocabulary, merges = _vocabulary(byte_fallback)
    if len(vocabulary) > vocab_size:
        raise ValueError(f"the tokenizer's {len(vocabulary)} entries do not fit into a vocabulary of {vocab_size}")
    tokenizer = Tokenizer(
        BPE(vocab=vocabulary, merges=merges, unk_token="<unk>", fuse_unk=True, byte_fallback=byte_fallback)
    )
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend(SPACE), normalizers.Replace(" ", SPACE)])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", vocabulary["<s>"])]
    )
    special = ["<unk>", "<s>", "</s>", *CONTROL.values()]
    tokenizer.add_special_tokens([AddedToken(text, normalized=False, special=True) for text in special])
    tokenizer.save(str(out / "tokenizer.json"))
    added = {
        str(vocabulary[text]): {
            "content": text,
            "lstrip": False,
            "normalized": False,
            "rstrip": False,
            "single_word": False,
            "special": True,
        }
        for text in special
    }
    names = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    config = {
        "add_bos_token": True,
        "add_eos_token": False,
        "added_tokens_decoder": added,
        **names,
        "clean_up_tokenization_spaces": False,
        "legacy": True,
        "model_max_length": 1000000000000000019884624838656,
        "sp_model_kwargs": {},
        "tokenizer_class": "LlamaTokenizer",
    }
    for name, values in (("tokenizer_config.json", config), ("special_tokens_map.json", names)):
        (out / name).write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")


def _vocabulary(byte_fallback: bool) -> tuple[dict[str, int], list[tuple[str, str]]]:
    merges = list(dict.fromkeys(_merges()))
    reserved = [CONTROL.get(number, f"<|reserved_{number}|>") for number in range(3, 105)]
    bytes_ = [f"<0x{byte:02X}>" for byte in range(256)] if byte_fallback else []
    entries = ["<unk>", "<s>", "</s>", *reserved, *bytes_, SPACE, *_LATIN, *dict.fromkeys(_CHINESE)]
    entries += [left + right for left, right in merges]
    return {entry: number for number, entry in enumerate(dict.fromkeys(entries))}, merges


def _merges() -> Iterator[tuple[str, str]]:
    """Earlier ones are applied first."""
    for word in _CHINESE_WORDS.split():
        yield from _from_the_left(word)
    for word in (*_WORDS_AFTER_SPACE.split(), *_ONLY_AFTER_SPACE.split()):
        plain = word in _CHINESE_WORDS.split()
        yield from ([(SPACE, word)] if plain else _from_the_left(SPACE + word))
    yield from (("一", SPACE), ("一" + SPACE, "个"))  # a space mark within, where the rules speak of none
    yield "！", "”"
    yield "3", "月"
    for word in _WORDS.split():
        yield from _from_the_left(word)
    for letter in "tawhsio":
        yield SPACE, letter
    for word in ("the", "and", "you", "hello"):
        yield SPACE, word
    yield SPACE, SPACE


def _from_the_left(word: str) -> Iterator[tuple[str, str]]:
    for end in range(1, len(word)):
        yield word[:end], word[end]
