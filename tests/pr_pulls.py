"""Pull requests made of two dictionaries of files, without git, and what is known of them before anything runs."""

import difflib
from collections.abc import Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from typing import Any

from proofbox.server.sandbox import ProgramRunner
from proofbox.tools.check_pr.environment.environment import Environment
from proofbox.tools.check_pr.environment.side import Side
from proofbox.tools.check_pr.evidence.ground import Ground, ground_of
from proofbox.tools.check_pr.pull.pull import Change, Pull, Tree
from proofbox.tools.check_pr.request import PrRequest

WHEN = datetime(2026, 11, 1, tzinfo=UTC)

Files = Mapping[str, str | bytes | None]


def laid_over(files: Mapping[str, bytes], more: Files) -> dict[str, bytes]:
    """Files with others in their place; None takes one away."""
    found = dict(files)
    for path, content in more.items():
        if content is None:
            found.pop(path, None)
        else:
            found[path] = content if isinstance(content, bytes) else content.encode()
    return found


def pull_of(base: Files, head: Files, name: str = "main...feature") -> Pull:
    """The change from `base` to `base` with `head` laid over it; what is moved unchanged was renamed."""
    before = laid_over({}, base)
    after = laid_over(before, head)
    changes = tuple(_changes(before, after))
    return Pull(name, Tree("b" * 40, WHEN, before), Tree("c" * 40, WHEN, after), changes=changes)


def opened() -> AbstractAsyncContextManager[ProgramRunner]:
    """Nothing is run here."""
    raise AssertionError


def ground(base: Files, head: Files, **wanted: Any) -> Ground:
    """What is known before anything runs."""
    pull = pull_of(base, head)
    sides = [Side(tree, Environment(), opened) for tree in (pull.base, pull.head)]
    return ground_of(pull, sides[0], sides[1], PrRequest("r", **wanted))


def _changes(before: Mapping[str, bytes], after: Mapping[str, bytes]) -> Iterator[Change]:
    gone = {path for path in before if path not in after}
    moved: dict[str, str] = {}
    for path in sorted(after.keys() - before.keys()):
        old = next((one for one in sorted(gone) if before[one] == after[path]), "")
        if old:
            moved[path] = old
            gone.discard(old)
    for path in sorted({*after, *gone}):
        if path in moved:
            yield Change(path, moved[path], "renamed")
        elif path in gone:
            yield Change(path, path, "deleted", removed=_lines(before[path]))
        elif path not in before:
            yield Change(path, "", "added", added=_lines(after[path]))
        elif before[path] != after[path]:
            yield _modified(path, before[path], after[path])


def _lines(content: bytes) -> tuple[int, ...]:
    return tuple(range(1, content.count(b"\n") + 1))


def _modified(path: str, before: bytes, after: bytes) -> Change:
    old, new = before.splitlines(), after.splitlines()
    added: list[int] = []
    removed: list[int] = []
    blocks = difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    for tag, first_old, last_old, first_new, last_new in blocks:
        if tag != "equal":
            removed += range(first_old + 1, last_old + 1)
            added += range(first_new + 1, last_new + 1)
    binary = b"\0" in before or b"\0" in after
    return Change(path, path, "modified", tuple(added), tuple(removed), binary)
