"""Tests that are the same on both sides although their file is not: what one side's code makes of them is known."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from ..pull.pull import Pull
from .pieces import Sheets
from .trees import View

_MOST_FILES = 200


def same_tests(
    pull: Pull,
    base: View,
    head: View,
    affected: tuple[Callable[[list[str]], set[str]], Callable[[list[str]], set[str]]],
    sheets: Sheets,
) -> frozenset[str]:
    """As `file::function`, parameters left out. `affected` says of each side which test files changed paths
    concern; files that others concern too, or that were moved, are left out. Conftest files and configuration
    are base's wherever this is asked.
    """
    changed = [
        change
        for change in pull.changes
        if base.is_test_side(change.old_path) or head.is_test_side(change.path)
    ]
    if len(changed) > _MOST_FILES:
        return frozenset()
    concerned: Counter[str] = Counter()
    for change in changed:
        concerned.update(affected[0]([change.old_path]) | affected[1]([change.path]))
    alone = [
        change.path
        for change in changed
        if change.kind == "modified" and concerned[change.path] == 1
    ]
    return frozenset(_in(alone, base, head, sheets))


def _in(paths: Iterable[str], base: View, head: View, sheets: Sheets) -> Iterator[str]:
    for path in paths:
        if path in base.tests and path in head.tests and path.endswith(".py"):
            before, after = (sheets.of(view.files[path]) for view in (base, head))
            there = set(before.tests())
            for name in after.tests():
                if name in there and before.of(name) == after.of(name):
                    yield f"{path}::{name}"
