"""What our pages are made of: signs of verdicts, facts, tables, blocks of text. Nothing is endless."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from .. import _text
from .markup import Html, Part, joined, tag

ROWS = 500
CHARACTERS = 20_000
LINE = 600
# What is longer is folded.
_OPEN_LINES, _OPEN_CHARACTERS = 14, 1_500

# A word and a sign beside the colour, which not everybody sees.
_SIGNS = {
    "good": "✓",
    "bad": "✗",
    "ours": "!",
    "none": "–",
    "busy": "…",
}
_LOOKS = {
    "passed": "good",
    "keep": "good",
    "yes": "good",
    "failed": "bad",
    "drop": "bad",
    "no": "bad",
    "error": "bad",
    "slower": "bad",
    "errored": "ours",
    "mend": "ours",
    "interrupted": "ours",
    "warning": "ours",
    "undecided": "ours",
    "running": "busy",
    "faster": "good",
}

T = TypeVar("T")


@dataclass(frozen=True)
class Column(Generic[T]):
    """A column of a table: what it shows of a row. `number`: it is one, and stands to the right; `prose`: it has
    sentences, which want room.
    """

    title: str
    cell: Callable[[T], Part]
    number: bool = False
    prose: bool = False


def badge(word: str, look: str = "") -> Html:
    """A word that stands for a verdict, with its sign."""
    look = look or _LOOKS.get(word, "none")
    sign = tag("span", _SIGNS[look], class_="sign", aria_hidden="true")
    return tag("span", sign, word.replace("_", " "), class_=f"badge {look}")


def line(text: str, limit: int = LINE) -> str:
    """Text on one line, and not a long one."""
    shown = " ".join(_text.clean(text[: 8 * limit]).split())
    return shown if len(shown) <= limit else f"{shown[: limit - 1]}…"


def code(text: str, limit: int = LINE) -> Html | None:
    """A name, a place or a command; nothing at all where there is none."""
    shown = line(text, limit)
    return tag("code", shown) if shown else None


def sentence(text: str, class_: str | None = None) -> Html | None:
    """A paragraph, if there is anything to say."""
    shown = line(text, 4 * LINE)
    return tag("p", shown, class_=class_) if shown else None


def facts(pairs: Mapping[str, Part]) -> Html | None:
    """What is known, by name; names without a value are left out."""
    known = [(name, shown) for name, part in pairs.items() if (shown := joined(part))]
    if not known:
        return None
    return tag(
        "dl",
        (tag("div", tag("dt", name), tag("dd", part)) for name, part in known),
        class_="facts",
    )


def listing(sentences: Sequence[str], class_: str | None = None) -> Html | None:
    """A list of sentences."""
    if not sentences:
        return None
    shown = [tag("li", line(one, 4 * LINE)) for one in sentences[:ROWS]]
    return joined(tag("ul", shown, class_=class_), left_out(len(sentences) - ROWS, "more"))


def names(every: Sequence[str]) -> list[Html]:
    """Names, one after another."""
    shown = [tag("code", line(one)) for one in every[:ROWS]]
    parts = [joined(one, " ") for one in shown]
    return [*parts, joined(f"and {len(every) - ROWS:,} more")] if len(every) > ROWS else parts


def table(
    caption: str, rows: Sequence[T], columns: Sequence[Column[T]], most: int = ROWS
) -> Html | None:
    """A table of rows, in a box of its own that scrolls; columns in which there is nothing are left out. The
    first one names the row.
    """
    if not rows:
        return None
    cells = [[joined(column.cell(row)) for column in columns] for row in rows[:most]]
    used = [index for index in range(len(columns)) if any(row[index] for row in cells)]
    heads = [
        tag("th", columns[index].title, scope="col", class_=_class(columns[index]))
        for index in used
    ]
    body = [
        tag("tr", (_cell(columns[index], row[index], index == used[0]) for index in used))
        for row in cells
    ]
    inner = tag(
        "table", tag("caption", caption), tag("thead", tag("tr", heads)), tag("tbody", body)
    )
    return joined(scrolling(caption, inner), left_out(len(rows) - most, "more rows"))


def scrolling(label: str, *parts: Part) -> Html:
    """A box that is scrolled, also by keyboard, where what is in it is too wide."""
    return tag("div", *parts, class_="scroll", role="region", aria_label=label, tabindex=0)


def block(
    text: str, title: str, *, folded: bool | None = None, limit: int = CHARACTERS
) -> Html | None:
    """Lines as they were printed, cut in the middle where there are too many; folded if they are long."""
    if not text.strip():
        return None
    # The end of a colour may lie behind where it is cut, which is worth little.
    cut = _text.cut(text.rstrip("\n"), limit)
    shown = tag("pre", tag("code", cut.text), tabindex=0)
    return _folded(shown, title, cut.text, folded)


def diff(text: str, title: str, *, folded: bool | None = None) -> Html | None:
    """A patch, whose lines keep their signs."""
    if not text.strip():
        return None
    cut = _text.cut(text.rstrip("\n"), CHARACTERS)
    kinds = {"+": "added", "-": "removed", "@": "place"}
    rows = [
        tag("span", f"{row}\n", class_=kinds.get(row[:1]))
        for row in _text.clean(cut.text).split("\n")
    ]
    return _folded(
        tag("pre", tag("code", rows), class_="diff", tabindex=0), title, cut.text, folded
    )


def folded(title: Part, *parts: Part, is_open: bool = False) -> Html:
    """What is there for whoever wants to see it."""
    return tag("details", tag("summary", title), *parts, open=is_open)


def titled(name: Part, *more: Part) -> Html:
    """What names a row, and below it what one wants to know of it first."""
    return joined(name, (tag("span", part, class_="more") for part in more if joined(part)))


def counted(words: Sequence[str]) -> str:
    """Words in their order, and only once where all are the same."""
    alike = len(words) > 1 and len(set(words)) == 1
    return f"{len(words)}\u00a0×\u00a0{words[0]}" if alike else ", ".join(words)


def section(title: str, *parts: Part, level: int = 2) -> Html | None:
    """A part of a page under a heading; nothing where there is nothing in it."""
    body = joined(*parts)
    return tag("section", tag(f"h{level}", title), body) if body else None


def item(head: Part, *parts: Part) -> Html:
    """One finding: what it is in a line, then what there is to say of it."""
    return tag("article", tag("p", head, class_="head"), *parts)


def left_out(count: int, what: str) -> Html | None:
    """How many there are that are not shown."""
    return tag("p", f"{count:,} {what} are not shown here.", class_="note") if count > 0 else None


def seconds(value: float) -> str:
    """A time for people: `3.4 ms`, `0.034 s`, `12.3 s`, `4 min 5 s`, `2 h 3 min`."""
    if value < 0.01:
        return f"{1000 * value:.2g} ms"
    if value < 60:
        return f"{value:.3g} s"
    minutes, rest = divmod(round(value), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def yes_or_no(value: bool) -> Html:
    """A fact that is good if it is so."""
    return badge("yes" if value else "no")


def _class(column: Column[T]) -> str | None:
    return "number" if column.number else "prose" if column.prose else None


def _cell(column: Column[T], content: Html, first: bool) -> Html:
    if first:
        return tag("th", content, scope="row", class_=_class(column))
    return tag("td", content, class_=_class(column))


def _folded(shown: Html, title: str, text: str, choice: bool | None) -> Html:
    lines = text.count("\n") + 1
    fold = lines > _OPEN_LINES or len(text) > _OPEN_CHARACTERS if choice is None else choice
    if not fold:
        return joined(tag("p", title, class_="label") if title else None, shown)
    size = f" ({lines:,} lines)" if lines > 1 else ""
    return folded(f"{title or 'Text'}{size}", shown)
