"""Takes markup out of a text that arrives in pieces, and remembers where each character came from.

One character is looked at at a time, and a decision rests only on characters already seen; so the text may be cut into
deltas anywhere, and the result is the same. What cannot be decided yet is held back: most often one character,
never more than `MAX_LINK_CHARS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from .characters import LINE_ENDS, NEWLINE, PARAGRAPH, is_space, is_speakable
from .glyphs import Glyph, GlyphWriter
from .openings import Address, Bar, Escape, Image, TaskBox, opening
from .runs import RUN_CHARS, Run, RunMeaning, meaning_of_run
from .scanners import Entity, FenceInfo, LabelEnd, Scanner, Tag, Verdict
from .skipped import CodeBlock, Comment, Skipped
from .urls import Url

_BULLETS = frozenset("•◦‣▪▫●○■□·⁃∙")
_SHORT = 16  # a rejected construct up to this length is read again in full


class Cleaner:
    """State of one utterance's markup. `feed` and `flush` return cleaned glyphs in the order of the text.

    Spoken: labels of links, alternative texts of images, inline code, table cells (a comma between them), the host of
    a URL. Not spoken: code blocks, emphasis marks, bullets, rules, tags, footnote marks, emoji, box drawing, controls.
    Left alone: `snake_case`, `2*3`, `#1`, `C#`, `$3.50`, `a<b`.
    """

    def __init__(self) -> None:
        self._position = 0
        self._out = GlyphWriter()
        # Not bound: an object that holds its own method is found only by the garbage collector.
        self._mode: Callable[[Cleaner, str, int], None] = Cleaner._at_line_start
        # A construct that is not decided yet.
        self._scanner: Scanner | None = None
        self._held: list[tuple[str, int]] = []
        self._plain_until = 0  # what lies before was judged ordinary text and is not judged again
        self._run: Run | None = None
        self._url: Url | None = None
        # Where in the document we are.
        self._skipped: Skipped = Comment()
        self._bullet_just_now = False
        self._ends_paragraph = False  # with this line
        self._code_ticks = 0
        self._bracket_depth = 0
        self._angle_open = False
        self._after_return = False

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
        return self._out.drain()

    def flush(self) -> list[Glyph]:
        """Decide now about what is held back, as if the text ended here. Code blocks and comments stay open."""
        while True:
            if self._run is not None:
                self._end_run(self._run, NEWLINE)
            elif self._url is not None:
                self._end_url(self._url)
            elif isinstance(self._scanner, FenceInfo):
                self._accept()
            elif isinstance(self._scanner, Bar):
                self._step(" ", self._held[0][1])
            elif self._scanner is not None:
                self._reject()
            else:
                return self._out.drain()

    # What is held back

    def _hold(self, scanner: Scanner, char: str, at: int) -> None:
        """Let a scanner read from `char` on."""
        self._scanner, self._held = scanner, []
        self._step(char, at)

    def _step(self, char: str, at: int) -> None:
        if self._scanner is None:
            self._mode(self, char, at)
            return
        self._held.append((char, at))
        verdict = self._scanner.take(char)
        if verdict is Verdict.ACCEPT:
            self._accept()
        elif verdict is Verdict.REJECT:
            self._reject()

    def _accept(self) -> None:
        start, end = self._held[0][1], self._held[-1][1] + 1
        scanner, self._scanner, self._held = self._scanner, None, []
        match scanner:
            case Address():
                self._start_url(start, end)
            case Image():
                self._open_bracket(start, end)
            case Entity():
                self._out.put_plain(scanner.value, start, end)
            case Escape() | Bar() if scanner.second in LINE_ENDS:
                self._out.drop(start, end - 1)
                self._end_line(scanner.second, end - 1, PARAGRAPH if isinstance(scanner, Bar) else NEWLINE)
            case Escape():
                self._out.put_plain(scanner.second, end - 1, end)
            case Bar():
                self._out.put(",", start, start + 1)
                self._out.put(" ", end - 1, end)
            case FenceInfo():
                self._out.drop(start, end)
                self._skipped = CodeBlock(scanner.mark, scanner.num_marks, in_line=not scanner.at_line_end)
                self._mode, self._code_ticks = Cleaner._in_skipped, 0
            case Tag():
                self._tag(scanner, start, end)
            case _:
                self._bracket_depth -= isinstance(scanner, LabelEnd)
                self._out.drop(start, end)

    def _reject(self) -> None:
        held, self._held = self._held, []
        scanner, self._scanner = self._scanner, None
        self._plain_until = held[0][1] + 1 if len(held) <= _SHORT else held[-1][1]
        if isinstance(scanner, Tag) and scanner.is_address:
            self._angle_open = True
            self._out.drop(held[0][1], held[0][1] + 1)
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
            self._out.drop(at, at + 1)
        elif char in RUN_CHARS:
            self._start_run(char, at, opens_line=True)
        elif char in _BULLETS:
            self._bullet(at)
        elif char == "|":
            self._out.put_break(PARAGRAPH, at)
            self._out.open_row()
            self._mode = Cleaner._in_text
        elif char == "[" and after_bullet and at >= self._plain_until:
            self._hold(TaskBox(), char, at)
        else:
            self._mode = Cleaner._in_text
            self._in_text(char, at)

    def _in_text(self, char: str, at: int) -> None:
        if char in LINE_ENDS:
            self._end_line(char, at, PARAGRAPH if self._ends_paragraph or self._out.in_row else NEWLINE)
        elif self._code_ticks and char != "`":
            self._out.put_plain(char, at, at + 1)
        elif char in RUN_CHARS:
            self._start_run(char, at, opens_line=False)
        elif at < self._plain_until or (scanner := opening(char, self._out, self._bracket_depth)) is None:
            self._plain(char, at)
        else:
            self._hold(scanner, char, at)

    def _plain(self, char: str, at: int) -> None:
        """A character that opens nothing."""
        match char:
            case "[":
                self._open_bracket(at, at + 1)
            case "]":
                self._bracket_depth = max(0, self._bracket_depth - 1)
                self._out.drop_between_words(at, at + 1)
            case "|" if self._out.in_row:
                self._out.put_bar(at)
            case ":" if self._out.at_cell_start:
                self._out.drop(at, at + 1)
            case ">" if self._angle_open:
                self._angle_open = False
                self._out.drop(at, at + 1)
            case _:
                self._out.put_plain(char, at, at + 1)

    def _in_run(self, run: Run, char: str, at: int) -> None:
        if char == run.char:
            self._follow_run(replace(run, num_chars=run.num_chars + 1))
        elif char == ">" and run.char in "-=" and run.num_chars <= 2:
            self._run, self._mode = None, Cleaner._in_text
            self._out.put("→", run.start, at + 1)
        else:
            self._end_run(run, char)
            self._step(char, at)

    def _in_url(self, url: Url, char: str, at: int) -> None:
        if not url.take(char, at):
            self._end_url(url)
            self._step(char, at)

    def _in_skipped(self, char: str, at: int) -> None:
        self._out.drop(at, at + 1)
        if self._skipped.take(char):
            self._mode = Cleaner._at_line_start if isinstance(self._skipped, CodeBlock) else Cleaner._in_text

    # What was recognised

    def _end_line(self, char: str, at: int, kind: str) -> None:
        second_half = self._after_return and char == "\n"
        self._after_return = char == "\r"
        self._ends_paragraph = self._angle_open = False
        self._code_ticks = self._bracket_depth = 0
        self._out.close_row()
        self._mode = Cleaner._at_line_start
        if second_half:
            self._out.drop(at, at + 1)
        else:
            self._out.put_break(kind, at)

    def _start_run(self, char: str, at: int, *, opens_line: bool) -> None:
        self._follow_run(Run(char, at, 1, self._out.previous, opens_line))

    def _follow_run(self, run: Run) -> None:
        self._run = run
        self._mode = lambda self, char, at: self._in_run(run, char, at)

    def _end_run(self, run: Run, following: str) -> None:
        self._run, self._mode = None, Cleaner._in_text
        meaning = meaning_of_run(run, following)
        if self._code_ticks not in (0, run.num_chars):
            meaning = RunMeaning.TEXT
        elif self._out.at_cell_start and run.char == "-" and (run.num_chars > 1 or following in ":|"):
            meaning = RunMeaning.MARKUP
        match meaning:
            case RunMeaning.TEXT:
                for at in range(run.start, run.end):
                    self._out.put(run.char, at, at + 1)
            case RunMeaning.DASH:
                self._out.put("—", run.start, run.end)
            case RunMeaning.GAP:
                self._out.drop_between_words(run.start, run.end)
            case RunMeaning.BULLET:
                self._bullet(run.start)
            case RunMeaning.FENCE:
                self._out.put_break(PARAGRAPH, run.start)
                self._mode = lambda self, char, at: self._at_fence_info(run, char, at)
            case RunMeaning.HEADING:
                self._out.put_break(PARAGRAPH, run.start)
                self._ends_paragraph = True
            case _:
                self._out.drop(run.start, run.end)
                self._ends_paragraph = self._ends_paragraph or meaning is RunMeaning.RULE
                if meaning is RunMeaning.CODE:
                    self._code_ticks ^= run.num_chars

    def _bullet(self, at: int) -> None:
        self._out.put_break(PARAGRAPH, at)
        self._bullet_just_now = True
        self._mode = Cleaner._at_line_start

    def _at_fence_info(self, run: Run, char: str, at: int) -> None:
        self._mode, self._code_ticks = Cleaner._in_text, run.num_chars  # unless the line proves to open a block
        self._hold(FenceInfo(run.char, run.num_chars), char, at)

    def _open_bracket(self, start: int, end: int) -> None:
        self._bracket_depth += 1
        self._out.drop_between_words(start, end)

    def _tag(self, tag: Tag, start: int, end: int) -> None:
        if tag.opens_comment:
            self._skipped, self._mode = Comment(), Cleaner._in_skipped
        if tag.is_block:
            self._out.put_break(PARAGRAPH, start)
        else:
            self._out.drop(start, end)

    def _start_url(self, start: int, end: int) -> None:
        self._out.drop_between_words(start, end)
        url = self._url = Url(end)
        self._mode = lambda self, char, at: self._in_url(url, char, at)

    def _end_url(self, url: Url) -> None:
        self._url, self._mode = None, Cleaner._in_text
        for index, (char, at) in enumerate(url.host):
            last = index == len(url.host) - 1
            self._out.put(char, at, url.end if last else at + 1)
        for char, at in url.tail:
            self._step(char, at)
