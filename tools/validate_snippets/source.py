"""Text as numbered lines that remember where in a file they stand."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import repeat

from .snippet import Position

BYTE_ORDER_MARK = "\ufeff"


@dataclass(frozen=True, slots=True)
class Lines:
    """Lines without their ends. `numbers` are line numbers in `file`; `offsets` count the characters
    that stand before each text on its line of the file.
    """

    file: str
    texts: Sequence[str]
    numbers: Sequence[int]
    offsets: Sequence[int]

    def __len__(self) -> int:
        return len(self.texts)

    def position(self, index: int) -> Position:
        """Return where the line at `index` (from 0) begins."""
        return Position(self.file, self.numbers[index], self.offsets[index] + 1)

    def part(self, start: int, stop: int) -> "Lines":
        """Return the lines from index `start` up to `stop`."""
        return Lines(
            self.file, self.texts[start:stop], self.numbers[start:stop], self.offsets[start:stop]
        )

    @property
    def text(self) -> str:
        """The lines joined, each with a line end."""
        return "\n".join([*self.texts, ""])


def split(text: str) -> list[str]:
    r"""Split at \n and \r\n only, as editors number lines; `str.splitlines` knows nine more breaks."""
    texts = text.split("\n")
    if texts[-1] == "":
        texts.pop()
    if "\r" in text:
        texts = [line.removesuffix("\r") for line in texts]
    return texts


def read(text: str, file: str) -> Lines:
    """Return the lines of a file; a byte order mark counts as a character before the first line."""
    offset = 1 if text.startswith(BYTE_ORDER_MARK) else 0
    texts = split(text[offset:])
    offsets = [offset, *repeat(0, max(0, len(texts) - 1))] if offset else [0] * len(texts)
    return Lines(file, texts, range(1, len(texts) + 1), offsets)


def decode(data: bytes) -> tuple[str, bool]:
    """Return the text of a file and whether it was valid UTF-8.

    Bytes that are not UTF-8 become lone surrogates, so that encoding the text again with
    `surrogateescape` gives the same file.
    """
    try:
        return data.decode("utf-8"), True
    except UnicodeDecodeError:
        return data.decode("utf-8", "surrogateescape"), False


def width(text: str) -> int:
    """Return how many columns leading text takes; a tab goes to the next multiple of four."""
    if "\t" not in text:
        return len(text)
    columns = 0
    for character in text:
        columns += 4 - columns % 4 if character == "\t" else 1
    return columns


def outdent(text: str, columns: int) -> tuple[str, int]:
    """Remove up to `columns` columns of leading blanks; return the rest and the characters removed."""
    taken = characters = 0
    for character in text:
        if taken >= columns or character not in " \t":
            break
        taken += 4 - taken % 4 if character == "\t" else 1
        characters += 1
    return text[characters:], characters


def dedent(lines: Lines) -> Lines:
    """Remove the indentation that all lines with text share."""
    margin: int | None = None
    for text in lines.texts:
        stripped = text.lstrip(" \t")
        if stripped:
            indent = len(text) - len(stripped)
            margin = indent if margin is None else min(margin, indent)
            if not margin:
                return lines
    if not margin:
        return lines
    cut = [min(margin, len(t) - len(t.lstrip(" \t"))) for t in lines.texts]
    texts = [text[n:] for text, n in zip(lines.texts, cut, strict=True)]
    offsets = [offset + n for offset, n in zip(lines.offsets, cut, strict=True)]
    return Lines(lines.file, texts, lines.numbers, offsets)
