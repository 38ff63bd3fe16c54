"""Real outputs in the place of wrong ones, file by file: what is to change, and the change itself."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from .. import _text
from . import oracles, rewrite
from .choices import Format
from .extract import extract, format_of
from .judged import Wrong
from .oracles import Raised
from .rewrite import CannotRewrite, Edit
from .snippet import Expected, Page
from .source import decode

ReadText = Callable[[str], str]
"""Gives the text of a file as it is now, bytes that are not UTF-8 as lone surrogates; raises OSError."""

# Nobody shows more than that on purpose.
_LONGEST = 20_000
# These tell that the example was not set up, so the output that they are is not the example's.
_NOT_SET_UP = frozenset({"NameError", "ImportError", "ModuleNotFoundError", "UnboundLocalError"})


@dataclass(frozen=True, slots=True)
class Update:
    """What is to change in a file, or has been `written` to it.

    `outputs` counts the edits; `refused` are lines that stay as they are, and why.
    """

    file: str
    before: str
    after: str
    outputs: int = 0
    refused: tuple[tuple[int, str], ...] = ()
    written: bool = False


def updates(
    wrong: Sequence[Wrong], read: ReadText, formats: Callable[[str], Format | None] = format_of
) -> list[Update]:
    """Return the changes that put the real outputs into the files that show wrong ones.

    Only those lines change. A file is left alone where it is not what was validated any more, or would
    not read as the same examples with the real outputs.
    """
    by_file: dict[str, list[Wrong]] = {}
    for one in wrong:
        found = by_file.setdefault(one.shown.file, [])
        # A file that several pages include comes several times.
        if one not in found:
            found.append(one)
    return [_update(file, found, read, formats(file)) for file, found in by_file.items()]


def read_file(file: str) -> str:
    """A `ReadText` of the file system."""
    return decode(Path(file).read_bytes())[0]


def write(update: Update) -> Update:
    """Write a change into its file, which keeps its owner, mode and links."""
    if update.before == update.after:
        return update
    try:
        if read_file(update.file) != update.before:
            return _unwritten(update, "The file has changed meanwhile.")
        Path(update.file).write_bytes(update.after.encode("utf-8", "surrogateescape"))
    except OSError as error:
        return _unwritten(update, f"The file cannot be written: {error.strerror}.")
    return replace(update, written=True)


def _unwritten(update: Update, why: str) -> Update:
    return replace(update, refused=((1, why), *update.refused))


def _update(file: str, wrong: Sequence[Wrong], read: ReadText, format: Format | None) -> Update:
    try:
        before = read(file)
    except OSError as error:
        why = f"The file cannot be read: {error.strerror}."
        return Update(file, "", "", refused=tuple((one.shown.line, why) for one in wrong))
    refused: list[tuple[int, str]] = []
    edits: list[tuple[Edit, Wrong]] = []
    shows = {(one.shown.line, one.shown.end_line): 0 for one in wrong}
    for one in wrong:
        shows[one.shown.line, one.shown.end_line] += 1
    rows = before.split("\n")
    for one in wrong:
        try:
            if shows[one.shown.line, one.shown.end_line] > 1:
                raise CannotRewrite("It prints different things in the pages that include it.")
            if not _stands(one.shown, rows):
                raise CannotRewrite(
                    "Its lines hold more than the output, or have changed meanwhile."
                )
            edits.append((_edit(one), one))
        except CannotRewrite as error:
            refused.append((one.shown.line, str(error)))
    good, bad = _that_read_the_same(file, format, before, edits)
    refused += [(one.shown.line, "The page would not read as the same examples.") for one in bad]
    return Update(file, before, rewrite.apply(before, good), len(good), tuple(sorted(refused)))


def _edit(wrong: Wrong) -> Edit:
    if isinstance(wrong.real, Raised):
        name = wrong.real.name.rpartition(".")[2]
        if name in _NOT_SET_UP and name not in (wrong.shown.exception or ""):
            raise CannotRewrite(f"It raises {name}, so what the example needs is not there.")
        message = _text.clean(wrong.real.message)
        if "\n" in message:
            raise CannotRewrite("The exception has a message of several lines.")
        return rewrite.edit_exception(wrong.shown, Raised(wrong.real.name, message))
    if len(wrong.real) > _LONGEST:
        raise CannotRewrite(f"It prints {len(wrong.real):,} characters.")
    return rewrite.edit(wrong.shown, _text.clean(wrong.real))


def _stands(shown: Expected, rows: Sequence[str]) -> bool:
    """Whether the lines of the file are still those that were compared."""
    if shown.end_line > len(rows):
        return False
    there = [row.rstrip("\r") for row in rows[shown.line - 1 : shown.end_line]]
    texts = shown.text.removesuffix("\n").split("\n") if shown.text else []
    if len(texts) != len(there):
        return False
    # Text of a comment stands behind a blank, which is not part of the output.
    return all(
        row[shown.column :].strip() == text.strip() for row, text in zip(there, texts, strict=True)
    )


def _that_read_the_same(
    file: str, format: Format | None, before: str, edits: Sequence[tuple[Edit, Wrong]]
) -> tuple[list[Edit], list[Wrong]]:
    """The edits after which the page has the same examples and the outputs that were put in."""
    if format is None or not edits:
        return [edit for edit, _ in edits], []
    old = _shown(extract(before, file, format))
    if _holds(file, format, before, old, edits):
        return [edit for edit, _ in edits], []
    good = [pair for pair in edits if _holds(file, format, before, old, [pair])]
    if not _holds(file, format, before, old, good):
        good = []
    return [edit for edit, _ in good], [
        one for pair in edits if pair not in good for one in pair[1:]
    ]


def _holds(
    file: str,
    format: Format,
    before: str,
    old: Sequence[Expected],
    edits: Sequence[tuple[Edit, Wrong]],
) -> bool:
    after = rewrite.apply(before, [edit for edit, _ in edits])
    new = _shown(extract(after, file, format))
    if len(new) != len(old):
        return False
    for edit, wrong in edits:
        if wrong.shown not in old:
            continue  # it stands in a file that pages include, and is no page itself
        place = old.index(wrong.shown)
        if isinstance(wrong.real, Raised):
            want = f"{wrong.real.name}: {wrong.real.message}" if wrong.real.message else ""
            if want and new[place].exception != want:
                return False
        elif not oracles.compare(new[place], "\n".join(edit.texts) + "\n").matches and (
            not oracles.compare(new[place], wrong.real).matches
        ):
            return False
    return True


def _shown(page: Page) -> list[Expected]:
    """Everything that a page shows, in the order of the page."""
    found: list[Expected] = []
    for snippet in page.snippets:
        found += [example.want for example in snippet.examples if example.want]
        found += [command.output for command in snippet.commands if command.output]
        found += snippet.expected
    return found
