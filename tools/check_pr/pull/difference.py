"""What two trees differ in: files, lines, and the text of the difference."""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from .git import Git
from .objects import SUBMODULE
from .pull import Change, ChangeKind

MOST_TEXT = 4 * 1024**2
"""Characters of the difference that are kept."""

_KINDS: dict[str, ChangeKind] = {"A": "added", "D": "deleted", "R": "renamed"}
_SAFE = ("diff-tree", "-r", "-M", "--no-ext-diff", "--no-textconv", "--no-color", "--full-index")
_PREFIXES = ("--src-prefix=a/", "--dst-prefix=b/")
_HUNK = re.compile(rb"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")


@dataclass(frozen=True, slots=True)
class Difference:
    """`changes` are sorted by path. `text` is a unified diff, cut at MOST_TEXT; then `is_cut`."""

    changes: tuple[Change, ...]
    text: str
    is_cut: bool


@dataclass(frozen=True, slots=True)
class _Row:
    """A changed path as git lists it; `modes` are those at base and at head."""

    kind: str
    old_path: str
    path: str
    modes: tuple[str, str]


async def _rows(git: Git, base: str, head: str) -> list[_Row]:
    listed = await git.run(*_SAFE, "--raw", "-z", base, head)
    words = iter(listed.split(b"\0")[:-1])
    found: list[_Row] = []
    for facts in words:
        before, after, _, _, status = facts.decode("ascii").removeprefix(":").split(" ")
        first = _text(next(words))
        second = _text(next(words)) if status[0] == "R" else first
        found.append(_Row(status[0], first, second, (before, after)))
    return found


async def difference(git: Git, base: str, head: str, secret: Collection[str]) -> Difference:
    """How the tree of head differs from that of base. Both have their changed blobs here; the text leaves
    out `secret` paths.
    """
    listed = await _rows(git, base, head)
    patch = await git.run(*_SAFE, *_PREFIXES, "-p", "-U0", base, head)
    sections = _sections(patch)
    changes = [_change(row, _taken(row, sections)) for row in listed]
    whole = _sections(await git.run(*_SAFE, *_PREFIXES, "-p", base, head))
    parts = [(row, _taken(row, whole)) for row in listed]
    shown = [part for row, part in parts if not {row.path, row.old_path} & set(secret)]
    text = b"".join(section for part in shown for section in part).decode("utf-8", "replace")
    ordered = tuple(sorted(changes, key=lambda change: (change.path, change.old_path)))
    return Difference(ordered, text[:MOST_TEXT], len(text) > MOST_TEXT)


def _sections(patch: bytes) -> Iterator[bytes]:
    """The parts of a patch, one a file. A line of a file never begins with `diff`: it has a sign before it."""
    starts = [found.start() for found in re.finditer(rb"(?m)^diff --git ", patch)]
    for start, end in zip(starts, [*starts[1:], len(patch)], strict=True):
        yield patch[start:end]


def _taken(row: _Row, sections: Iterator[bytes]) -> Sequence[bytes]:
    """The parts of the patch that are about a row: two where a file became a link or the like."""
    return [next(sections) for _ in range(2 if row.kind == "T" else 1)]


def _change(row: _Row, sections: Sequence[bytes]) -> Change:
    kind = _KINDS.get(row.kind, "modified")
    old_path = "" if kind == "added" else row.old_path
    if SUBMODULE in row.modes:
        return Change(row.path, old_path, kind)
    bodies = [_body(section) for section in sections]
    pairs = [_lines(body) for body in bodies]
    return Change(
        row.path,
        old_path,
        kind,
        added=tuple(line for added, _ in pairs for line in added),
        removed=tuple(line for _, removed in pairs for line in removed),
        binary=any(body.startswith(b"Binary files ") for body in bodies),
    )


def _body(section: bytes) -> bytes:
    """The section without its header."""
    found = re.search(rb"(?m)^(?:@@ -|Binary files )", section)
    return section[found.start() :] if found else b""


def _lines(body: bytes) -> tuple[list[int], list[int]]:
    """Numbers of the lines that were added and removed, from hunks without context."""
    added: list[int] = []
    removed: list[int] = []
    for line in body.split(b"\n"):
        found = _HUNK.match(line)
        if found:
            old, old_count, new, new_count = (
                None if one is None else int(one) for one in found.groups()
            )
            removed += _range(old, old_count)
            added += _range(new, new_count)
    return added, removed


def _range(start: int | None, count: int | None) -> range:
    first = start or 0
    return range(first, first + (1 if count is None else count))


def _text(path: bytes) -> str:
    return path.decode("utf-8", "replace")
