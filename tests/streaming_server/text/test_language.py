"""Which language a text is in."""

from __future__ import annotations

import pytest

from streaming_server.text import TextStream
from streaming_server.text.language import language_of


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Hello there", "en"),
        ("你好世界", "zh"),
        ("我用Python写了一个web server", "zh"),
        ("The word 你好 means hello", "en"),
        ("The character 的 is very common", "en"),
        ("iPhone 15 Pro Max很好", "zh"),
        ("OpenAI发布了GPT-4o mini", "zh"),
        ("こんにちは、田中です", "ja"),
        ("東京タワーに行きました", "ja"),
        ("Pythonを使います", "ja"),
        ("안녕하세요", "ko"),
        ("Привет, мир", "ru"),
        ("Привіт, як справи", "uk"),
        ("Γειά σου", "el"),
        ("مرحبا بك", "ar"),
        ("سلام، چطوری؟", "fa"),
        ("שלום עולם", "he"),
        ("नमस्ते दुनिया", "hi"),
        ("สวัสดีครับ", "th"),
        ("வணக்கம்", "ta"),
        ("გამარჯობა", "ka"),
        ("Xin chào các bạn, tôi là người Việt Nam", "vi"),
        ("Meet Nguyễn at the main station at noon", "en"),
        ("Ça va très bien", "en"),
        ("ⲁⲃⲅ", "en"),
        ("3.14 + 2", "en"),
    ],
)
def test_language_is_told_by_the_script(text: str, language: str) -> None:
    assert language_of(text) == language


@pytest.mark.parametrize(
    ("text", "previous", "language"),
    [
        ("3.14", "zh", "zh"),
        ("東京大学", "ja", "ja"),
        ("这是中文的", "ja", "zh"),
        ("Hello", "zh", "en"),
        ("你好", "en", "zh"),
    ],
)
def test_language_before_decides_what_the_script_does_not(text: str, previous: str, language: str) -> None:
    assert language_of(text, previous) == language


def test_each_segment_has_its_language() -> None:
    stream = TextStream("sentence")
    segments = stream.feed("你好，世界。Hello world. 3.14! 好的。") + stream.end()
    assert [segment.language for segment in segments] == ["zh", "en", "en", "zh"]


def test_language_of_the_client_holds_for_all() -> None:
    stream = TextStream("sentence", "de")
    segments = stream.feed("Guten Tag. 你好。") + stream.end()
    assert [segment.language for segment in segments] == ["de", "de"]
