"""Tables and lists of Markdown, no longer than they may be. Their cells are escaped already."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Size:
    """How much may be written: rows of a table, blocks with whole messages, characters of a message."""

    rows: int
    details: int
    words: int


def bullets(sentences: Iterable[str], size: Size) -> str:
    """A list; what does not fit is counted at its end."""
    every = [f"- {sentence}" for sentence in sentences]
    more = len(every) - size.rows
    return "\n".join([*every[: size.rows], *([f"- and {more:,} more"] if more > 0 else [])])


def table(
    heads: Sequence[str],
    items: Sequence[T],
    row: Callable[[T], Sequence[str]],
    size: Size,
    *,
    more: int = 0,
) -> str:
    """A table with a row an item; those that do not fit, and `more`, are counted in a last one."""
    left = max(0, len(items) - size.rows) + more
    last = [[f"and {left:,} more", *[""] * (len(heads) - 1)]] if left else []
    return lines([heads, ["---"] * len(heads), *map(row, items[: size.rows]), *last])


def lines(rows: Iterable[Sequence[str]]) -> str:
    """Rows as they are; the second one has the dashes."""
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
