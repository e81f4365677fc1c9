"""Texts whose tokens are compared: Chinese, English, both mixed, and what else users write."""

from __future__ import annotations

import random

_CHINESE = (
    "你好 世界 我们 今天 天气 谢谢 看看 大家 你的 我们的 北京 中国 人工 时间 没有 因为 所以 一个 龘 㐀 𠀀 说 的 了"
)
_ENGLISH = "hello the world and singing Speech one Two you there nation they're e-mail naïve Ωmega 3D"
_OTHER = (
    "2024 3.14 100% 3月 www.example.com 😀 é e\u0301 ｆｕｌｌ １２ ① ™ 한국 日本の \u200b \u3000 \t [laugh] {x} <b>"
)
_MARKS = ", . ! ? ; : ' \" - — … ， 。 ！ ？ ； ： 、 “ ” （ ） ！” 《 》 ( ) / \u2581"
_GAPS = ("", "", " ", " ", "  ", "\u3000")
_CHOSEN = (
    "", " ", "  ", "你好", " 你好", "你 好", "你好 你好", "谢谢", " 谢谢", "看看 谢谢", "一 个", "一个 一 个",
    "\u2581", "\u2581你好", "hello", " hello", "Hello,world!", "今天天气很好，我们去北京。",
    "我们的世界 and the world 你好", "a\nb", "　全角　空格　",
)  # fmt: skip


def mixed_texts(count: int) -> tuple[str, ...]:
    """That many texts, always the same; none has a control string in it, which are spoken here and obeyed there."""
    rng = random.Random(20)
    texts = list(_CHOSEN)
    chinese, english, other = (words.split(" ") for words in (_CHINESE, _ENGLISH, _OTHER))
    kinds = (chinese, english, chinese + english, chinese + english + other)
    marks = _MARKS.split(" ")
    while len(texts) < count:
        words = kinds[len(texts) % len(kinds)] + marks
        text = "".join(rng.choice(_GAPS) + rng.choice(words) for _ in range(rng.randint(1, 16)))
        texts.append(text)
    return tuple(texts)
