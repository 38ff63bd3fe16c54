"""What installing and uninstalling change in a configuration file, worked out before anything is written."""

import difflib
import os
import re
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ....tools._text import clean
from ...sandbox import InvalidInput, ProofboxError
from .files import ConfigFile, as_text
from .formats import NAME, Entry, Format
from .jsonc import Unreadable

_WIDEST = 300
_AROUND = 3


@dataclass(frozen=True, slots=True)
class Change:
    """A file and what is to be in it: nothing at all if `after` is None. `restored` is the copy that holds that."""

    file: ConfigFile
    after: bytes | None
    diff: str
    restored: Path | None = None

    @property
    def needed(self) -> bool:
        return self.after != self.file.content

    def write(self, *, private: bool) -> Path | None:
        """Make it so; the copy of what was there, if one is left.

        Raises:
            InvalidInput: it cannot be written.
        """
        # What an installation has added, and nothing else, is lost by going back.
        back = self.restored is not None or self.after is None
        copy = self.file.write(self.after, private=private, backup=not back)
        if self.restored is not None:
            self.restored.unlink(missing_ok=True)
        return copy


def installing(file: ConfigFile, form: Format, entry: Entry) -> Change:
    """Proofbox's entry put into a file, or brought up to date there.

    Raises:
        InvalidInput: the file has not its form, or has something else where the entry belongs.
    """
    with _left_alone(file):
        text = file.text
        after = form.with_entry(text, entry)
        known = form.others(text) if text.strip() else {}
        made = form.entry(after)
        if form.others(after) != known or made is None or form.with_entry(after, entry) != after:
            raise ProofboxError(
                f"More than its own entry of {file.path} would be changed; nothing was."
            )
        content = (
            file.content if after == text and file.content is not None else file.encoded(after)
        )
        return Change(file, content, _diff(file, form, after))


def uninstalling(file: ConfigFile, form: Format) -> Change:
    """A file without proofbox's entry: to the byte what it was, where it has not been changed since.

    Raises:
        InvalidInput: the file has not its form.
    """
    with _left_alone(file):
        text = file.text
        entry = form.entry(text) if text.strip() else None
        if entry is None:
            return Change(file, file.content, "")
        for copy, content in _copies(file):
            if _becomes(file, form, content, entry):
                return Change(file, content, _diff(file, form, as_text(copy, content)), copy)
        if file.content == form.with_entry("", entry).encode():
            return Change(file, None, _diff(file, form, ""))
        after = form.without_entry(text)
        if form.others(after) != form.others(text) or form.entry(after) is not None:
            raise ProofboxError(
                f"More than its own entry of {file.path} would be changed; nothing was."
            )
        return Change(file, file.encoded(after), _diff(file, form, after))


def _copies(file: ConfigFile) -> Iterator[tuple[Path, bytes]]:
    for copy in file.backups():
        try:
            yield copy, copy.read_bytes()
        except OSError:
            continue


def _becomes(file: ConfigFile, form: Format, content: bytes, entry: Entry) -> bool:
    """Whether an installation made the file of this content, and nothing has happened since."""
    before = ConfigFile(file.path, content)
    try:
        text = before.text
        if text.strip() and form.entry(text) is not None:
            return False
        return before.encoded(form.with_entry(text, entry)) == file.content
    except (Unreadable, InvalidInput):
        return False


@contextmanager
def _left_alone(file: ConfigFile) -> Generator[None]:
    """Says of which file it is that it has not its form."""
    try:
        yield
    except Unreadable as error:
        raise InvalidInput(
            f"{file.path} was left as it is, since it cannot be edited: {error}."
        ) from error


def _diff(file: ConfigFile, form: Format, after: str) -> str:
    before, then = _lines(form.shown(file.text)), _lines(form.shown(after))
    # Of megabytes, only what differs is compared.
    same = len(os.path.commonprefix([before, then]))
    rest = len(os.path.commonprefix([before[same:][::-1], then[same:][::-1]]))
    first, behind = max(same - _AROUND, 0), max(rest - _AROUND, 0)
    there = str(file.path)
    lines = difflib.unified_diff(
        before[first : len(before) - behind],
        then[first : len(then) - behind],
        there if file.content is not None else "/dev/null",
        there if after else "/dev/null",
        n=_AROUND,
        lineterm="",
    )
    lines = [_moved(line, first) if line.startswith("@@ ") else line for line in lines]
    shown = "\n".join(lines)
    if not shown and after != file.text:
        return f"A value of {NAME} that is not shown here changes."
    return clean(shown)


def _moved(header: str, lines: int) -> str:
    """The head of a hunk that begins so many lines further on."""
    return re.sub(r"(?<=[-+])\d+", lambda found: str(int(found[0]) + lines), header)


def _lines(text: str) -> list[str]:
    """The lines to compare; what some hosts write into one line is parted."""
    lines = text.splitlines()
    if any(len(line) > _WIDEST for line in lines):
        lines = re.sub(r"(?<=[,{\[])", "\n", text).splitlines()
    return lines
