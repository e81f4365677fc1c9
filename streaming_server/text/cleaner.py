"""Takes markup out of a text that arrives in pieces, and remembers where each character came from.

One character is looked at at a time, and a decision rests only on characters already seen; so the text may be cut into
deltas anywhere, and the result is the same. What cannot be decided yet is held back: most often one character,
never more than `MAX_LINK_CHARS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from .characters import (
    LINE_ENDS,
    NEWLINE,
    PARAGRAPH,
    is_ascii_alnum,
    is_invisible,
    is_picture,
    is_space,
    is_speakable,
    is_unspaced,
)
from .runs import RUN_CHARS, Run, RunMeaning, meaning_of_run
from .scanners import Bracketed, Entity, FenceInfo, LabelEnd, Pair, Prefix, Scanner, Tag, Verdict
from .urls import Url

Glyph = tuple[str, int, int]
"""A cleaned character and the range of original code points it stands for. The character `""` is markup that was
taken out: it has a place but no sound."""

_BULLETS = frozenset("•◦‣▪▫●○■□·⁃∙")
_ESCAPABLE = frozenset("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~\n")
_ADDRESS_STARTS = ("http://", "https://", "www.", "mailto:")
_MAX_COMMENT_CHARS = 4096
_SHORT = 16  # a rejected construct up to this length is read again in full


class Cleaner:
    """State of one utterance's markup. `feed` and `flush` return cleaned glyphs in the order of the text.

    Spoken: labels of links, alternative texts of images, inline code, table cells (a comma between them), the host of
    a URL. Not spoken: code blocks, emphasis marks, bullets, rules, tags, footnote marks, emoji, box drawing, controls.
    Left alone: `snake_case`, `2*3`, `#1`, `C#`, `$3.50`, `a<b`.
    """

    def __init__(self) -> None:
        self._position = 0
        self._out: list[Glyph] = []
        self._previous = PARAGRAPH  # the last character that was put out
        self._mode: Callable[[str, int], None] = self._at_line_start
        # A construct that is not decided yet.
        self._scanner: Scanner | None = None
        self._accepted: Callable[[int, int], None] = self._drop
        self._held: list[tuple[str, int]] = []
        self._plain_until = 0  # what lies before was judged ordinary text and is not judged again
        self._run: Run | None = None
        self._url: Url | None = None
        # Where in the document we are.
        self._bullet_just_now = False
        self._heading = False
        self._in_row = False
        self._cell_is_empty = False
        self._code_ticks = 0
        self._bracket_depth = 0
        self._angle_open = False
        self._after_return = False
        self._fence_mark = ""
        self._fence_ticks = 0
        self._fence_seen = 0  # marks of a closing fence on this line; -1: the line is code
        self._comment_end = ""
        self._comment_chars = 0
        # Spaces that come only if something visible follows.
        self._gap_at = -1  # something dropped, which may have parted two words
        self._space_at = -1  # a space in a table cell
        self._cell_at = -1  # a cell's bar

    @property
    def num_chars(self) -> int:
        """Code points taken so far."""
        return self._position

    @property
    def holds_speech(self) -> bool:
        """True while text that may have to be spoken is held back."""
        if isinstance(self._scanner, FenceInfo):
            return False
        return self._url is not None or any(is_speakable(char) for char, _ in self._held)

    def feed(self, delta: str) -> list[Glyph]:
        """Take the next piece of the text, cut anywhere."""
        for char in delta:
            self._step(char, self._position)
            self._position += 1
        return self._drain()

    def flush(self) -> list[Glyph]:
        """Decide now about what is held back, as if the text ended here. Code blocks and comments stay open."""
        while True:
            if self._run is not None:
                self._end_run(NEWLINE)
            elif self._url is not None:
                self._end_url()
            elif isinstance(self._scanner, FenceInfo):
                self._accept()
            elif self._scanner is not None:
                self._reject()
            else:
                return self._drain()

    def _drain(self) -> list[Glyph]:
        out, self._out = self._out, []
        return out

    # What goes out

    def _emit(self, char: str, start: int, end: int) -> None:
        if self._cell_at >= 0:
            self._out.append((",", self._cell_at, self._cell_at + 1))
            self._out.append((" ", self._cell_at, self._cell_at + 1))
        elif self._space_at >= 0:
            self._out.append((" ", self._space_at, self._space_at + 1))
        elif self._gap_at >= 0 and _joins(self._previous) and _joins(char):
            self._out.append((" ", self._gap_at, self._gap_at + 1))
        self._cell_at = self._space_at = self._gap_at = -1
        self._cell_is_empty = False
        self._out.append((char, start, end))
        self._previous = char

    def _drop(self, start: int, end: int) -> None:
        self._out.append(("", start, end))

    def _drop_between_words(self, start: int, end: int) -> None:
        self._drop(start, end)
        if self._gap_at < 0:
            self._gap_at = start

    def _break(self, kind: str, at: int) -> None:
        self._cell_at = self._space_at = self._gap_at = -1
        if self._previous == PARAGRAPH:
            self._drop(at, at + 1)
        else:
            self._out.append((kind, at, at + 1))
            self._previous = kind

    def _space(self, at: int) -> None:
        if self._in_row and not self._cell_is_empty:
            self._space_at = at
        elif self._in_row or self._previous in " \n\u2029":
            self._drop(at, at + 1)
        else:
            self._emit(" ", at, at + 1)

    def _literal(self, char: str, start: int, end: int) -> None:
        """Put out a character that is not markup."""
        if is_space(char) or char in LINE_ENDS:
            self._space(start)
        elif is_picture(char):
            self._drop_between_words(start, end)
        elif is_invisible(char, self._previous):
            self._drop(start, end)
        else:
            self._emit(char, start, end)

    # What is held back

    def _hold(self, scanner: Scanner, char: str, at: int, accepted: Callable[[int, int], None]) -> None:
        """Let a scanner read from `char` on; `accepted(start, end)` takes the construct if it is one."""
        self._scanner, self._accepted, self._held = scanner, accepted, []
        self._step(char, at)

    def _step(self, char: str, at: int) -> None:
        if self._scanner is None:
            self._mode(char, at)
            return
        self._held.append((char, at))
        match self._scanner.take(char):
            case Verdict.ACCEPT:
                self._accept()
            case Verdict.REJECT:
                self._reject()
            case Verdict.MORE:
                pass

    def _accept(self) -> None:
        held, self._held = self._held, []
        self._scanner = None
        self._accepted(held[0][1], held[-1][1] + 1)

    def _reject(self) -> None:
        held, self._held = self._held, []
        scanner, self._scanner = self._scanner, None
        self._plain_until = held[0][1] + 1 if len(held) <= _SHORT else held[-1][1]
        if isinstance(scanner, Tag) and scanner.is_address:
            self._angle_open = True
            self._drop(held[0][1], held[0][1] + 1)
            held = held[1:]
        for char, at in held:
            self._step(char, at)

    # Modes: what the next character is, by where it stands

    def _at_line_start(self, char: str, at: int) -> None:
        after_bullet, self._bullet_just_now = self._bullet_just_now, False
        if char in LINE_ENDS:
            self._end_line(char, at, PARAGRAPH)
        elif is_space(char) or char == ">":
            self._bullet_just_now = after_bullet
            self._drop(at, at + 1)
        elif char in RUN_CHARS:
            self._start_run(char, at, opens_line=True)
        elif char in _BULLETS:
            self._bullet(at, at + 1)
        elif char == "|":
            self._break(PARAGRAPH, at)
            self._in_row = self._cell_is_empty = True
            self._mode = self._in_text
        elif char == "[" and after_bullet and at >= self._plain_until:
            self._hold(Prefix("[ ]", "[x]"), char, at, self._drop)
        else:
            self._mode = self._in_text
            self._in_text(char, at)

    def _in_text(self, char: str, at: int) -> None:
        if char in LINE_ENDS:
            self._end_line(char, at, PARAGRAPH if self._heading or self._in_row else NEWLINE)
        elif self._code_ticks and char != "`":
            self._literal(char, at, at + 1)
        elif char in RUN_CHARS:
            self._start_run(char, at, opens_line=False)
        elif at < self._plain_until or not self._opens_construct(char, at):
            self._plain(char, at)

    def _opens_construct(self, char: str, at: int) -> bool:
        """Begin to hold text back if `char` may open a construct of several characters."""
        match char:
            case "h" | "H" | "w" | "W" | "m" | "M" if not is_ascii_alnum(self._previous):
                self._hold(Prefix(*_ADDRESS_STARTS), char, at, self._start_url)
            case ":" if is_ascii_alnum(self._previous):
                self._hold(Prefix("://"), char, at, self._start_url)
            case "[":
                self._hold(Bracketed("^"), char, at, self._drop)
            case "]" if self._bracket_depth:
                self._hold(LabelEnd(), char, at, self._close_label)
            case "!" if not is_speakable(self._previous):
                self._hold(Prefix("!["), char, at, self._open_bracket)
            case "<":
                tag = Tag()
                self._hold(tag, char, at, lambda start, end: self._tag(tag, start, end))
            case "&":
                entity = Entity()
                self._hold(entity, char, at, lambda start, end: self._literal(entity.value, start, end))
            case "\\":
                pair = Pair(_ESCAPABLE)
                self._hold(pair, char, at, lambda start, end: self._escaped(pair.second, start, end))
            case "|" if self._previous == " " and not self._in_row:
                self._hold(Pair(" "), char, at, self._bar)
            case _:
                return False
        return True

    def _plain(self, char: str, at: int) -> None:
        match char:
            case "[":
                self._open_bracket(at, at + 1)
            case "]":
                self._bracket_depth = max(0, self._bracket_depth - 1)
                self._drop_between_words(at, at + 1)
            case "|" if self._in_row:
                if not self._cell_is_empty:
                    self._cell_at = at
                self._cell_is_empty = True
                self._space_at = -1
                self._drop(at, at + 1)
            case ":" if self._cell_is_empty and self._in_row:
                self._drop(at, at + 1)
            case ">" if self._angle_open:
                self._angle_open = False
                self._drop(at, at + 1)
            case _:
                self._literal(char, at, at + 1)

    def _in_run(self, char: str, at: int) -> None:
        run = self._run
        assert run is not None
        if char == run.char:
            self._run = replace(run, num_chars=run.num_chars + 1)
        elif char == ">" and run.char in "-=" and run.num_chars <= 2:
            self._run, self._mode = None, self._in_text
            self._emit("→", run.start, at + 1)
        else:
            self._end_run(char)
            self._step(char, at)

    def _in_url(self, char: str, at: int) -> None:
        assert self._url is not None
        if not self._url.take(char, at):
            self._end_url()
            self._step(char, at)

    def _in_code_block(self, char: str, at: int) -> None:
        self._drop(at, at + 1)
        if char in LINE_ENDS:
            closed = self._fence_seen >= self._fence_ticks
            self._fence_seen = 0
            if closed:
                self._mode = self._at_line_start
        elif char == self._fence_mark and self._fence_seen >= 0:
            self._fence_seen += 1
        elif not is_space(char):
            self._fence_seen = -1

    def _in_comment(self, char: str, at: int) -> None:
        self._drop(at, at + 1)
        self._comment_end = (self._comment_end + char)[-3:]
        self._comment_chars += 1
        if self._comment_end == "-->" or self._comment_chars == _MAX_COMMENT_CHARS:
            self._mode = self._in_text

    # What was recognised

    def _end_line(self, char: str, at: int, kind: str) -> None:
        second_half = self._after_return and char == "\n"
        self._after_return = char == "\r"
        self._heading = self._in_row = self._angle_open = False
        self._code_ticks = self._bracket_depth = 0
        self._mode = self._at_line_start
        if second_half:
            self._drop(at, at + 1)
        else:
            self._break(kind, at)

    def _start_run(self, char: str, at: int, *, opens_line: bool) -> None:
        self._run = Run(char, at, 1, self._previous, opens_line)
        self._mode = self._in_run

    def _end_run(self, following: str) -> None:
        run, self._run = self._run, None
        assert run is not None
        self._mode = self._in_text
        meaning = meaning_of_run(run, following)
        if self._code_ticks not in (0, run.num_chars):
            meaning = RunMeaning.TEXT
        if self._in_row and self._cell_is_empty and run.char == "-" and (run.num_chars > 1 or following in ":|"):
            meaning = RunMeaning.MARKUP
        match meaning:
            case RunMeaning.TEXT:
                for at in range(run.start, run.end):
                    self._emit(run.char, at, at + 1)
            case RunMeaning.DASH:
                self._emit("—", run.start, run.end)
            case RunMeaning.MARKUP:
                self._drop(run.start, run.end)
            case RunMeaning.RULE:
                self._drop(run.start, run.end)
                self._heading = True
            case RunMeaning.GAP:
                self._drop_between_words(run.start, run.end)
            case RunMeaning.BULLET:
                self._bullet(run.start, run.end)
            case RunMeaning.HEADING:
                self._break(PARAGRAPH, run.start)
                self._heading = True
            case RunMeaning.CODE:
                self._drop(run.start, run.end)
                self._code_ticks ^= run.num_chars
            case RunMeaning.FENCE:
                self._break(PARAGRAPH, run.start)
                self._fence_mark, self._fence_ticks = run.char, run.num_chars
                self._mode = self._at_fence_info

    def _bullet(self, start: int, end: int) -> None:
        self._break(PARAGRAPH, start)
        self._bullet_just_now = True
        self._mode = self._at_line_start

    def _at_fence_info(self, char: str, at: int) -> None:
        info = FenceInfo(self._fence_mark)
        self._mode, self._code_ticks = self._in_text, self._fence_ticks
        self._hold(info, char, at, lambda start, end: self._open_code_block(info, start, end))

    def _open_code_block(self, info: FenceInfo, start: int, end: int) -> None:
        self._drop(start, end)
        self._fence_seen = 0 if info.at_line_end else -1
        self._mode, self._code_ticks = self._in_code_block, 0

    def _open_bracket(self, start: int, end: int) -> None:
        self._bracket_depth += 1
        self._drop_between_words(start, end)

    def _close_label(self, start: int, end: int) -> None:
        self._bracket_depth -= 1
        self._drop(start, end)

    def _tag(self, tag: Tag, start: int, end: int) -> None:
        if tag.opens_comment:
            self._comment_end, self._comment_chars = "", 0
            self._mode = self._in_comment
        if tag.is_block:
            self._break(PARAGRAPH, start)
        else:
            self._drop(start, end)

    def _bar(self, start: int, end: int) -> None:
        self._emit(",", start, end - 1)
        self._emit(" ", end - 1, end)

    def _escaped(self, char: str, start: int, end: int) -> None:
        if char in LINE_ENDS:
            self._drop(start, end - 1)
            self._end_line(char, end - 1, NEWLINE)
        else:
            self._literal(char, end - 1, end)

    def _start_url(self, start: int, end: int) -> None:
        self._drop_between_words(start, end)
        self._url = Url(end)
        self._mode = self._in_url

    def _end_url(self) -> None:
        url, self._url = self._url, None
        assert url is not None
        self._mode = self._in_text
        for index, (char, at) in enumerate(url.host):
            last = index == len(url.host) - 1
            self._emit(char, at, url.end if last else at + 1)
        for char, at in url.tail:
            self._step(char, at)


def _joins(char: str) -> bool:
    """True for letters and digits that would run together with their like."""
    return is_speakable(char) and not is_unspaced(char)
