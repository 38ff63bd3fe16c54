"""Which tests a change can concern, found without running anything."""

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ..pull.pull import Change, Pull
from ..request import PrRequest
from .imports import Importers, Parsed, mentions
from .pieces import Sheets
from .same import same_tests
from .trees import View, changed_conftests, configuration_differs

_FEW_FILES = 12
_MOST_OF_THEM = 0.8
# What decides what is installed, or how it is built.
_FOR_ALL = re.compile(
    r"^(requirements/)?(pyproject\.toml|setup\.(py|cfg)|[^/]*requirements[^/]*\.txt|[^/]*\.lock|Pipfile|environment\.ya?ml"
    r"|MANIFEST\.in|meson\.build|CMakeLists\.txt)$"
)
_PROSE = (".md", ".rst", ".txt", ".png", ".svg", ".jpg", ".gif")
_READ_BY_NOBODY = re.compile(
    r"^(\.github|\.circleci|\.gitlab|\.vscode|docs?|examples?)/|(^|/)\.[^/]+$"
)

_REACHING_OUT = re.compile(
    rb"\b(subprocess|Popen|os\.(system|popen|exec\w+|spawn\w+)|pexpect|script_runner|pytester|testdir|runpy"
    rb"|resolve_name|entry_points)\b"
)


@dataclass(frozen=True, slots=True)
class Selection:
    """The test files of each side to run.

    `changed_base` and `changed_head` are those of them whose tests are not the same on both sides: the
    file itself was changed, or what only tests need. `same` are the tests in these that are the same all the
    same, as `file::function`. `said`: which they are and why; `partial`: a change was thought to concern no more.
    """

    base: tuple[str, ...]
    head: tuple[str, ...]
    changed_base: tuple[str, ...]
    changed_head: tuple[str, ...]
    said: str
    same: frozenset[str] = frozenset()
    partial: bool = False


def choose(pull: Pull, base: View, head: View, request: PrRequest, sheets: Sheets) -> Selection:
    """The tests that a pull request concerns, or all."""
    parsed = Parsed()
    sides = (_Side(base, parsed), _Side(head, parsed))
    chosen = _chosen(pull, base, head, request, sides)
    same = same_tests(pull, base, head, (sides[0].affected, sides[1].affected), sheets)
    return replace(chosen, same=same)


def _chosen(
    pull: Pull, base: View, head: View, request: PrRequest, sides: tuple["_Side", "_Side"]
) -> Selection:
    other = [change for change in pull.changes if not _only_moved(change, base, head)]
    changed = (sides[0].affected(_of_side(other, 0)), sides[1].affected(_of_side(other, 1)))
    changed[0].update(_out_of_sight(pull, base, head))
    _on_one_side(pull, other, sides, changed)
    if request.only:
        chosen = [_named(view.tests, request.only) for view in (base, head)]
        return _selection(chosen, changed, f"Only what was asked for: {', '.join(request.only)}.")
    everything = (base.tests, head.tests)
    if why := _all(pull, base, head, request):
        return _selection(everything, changed, f"All {len(head.tests)} test files, {why}.")
    reasons = [side.concerned(_of_side(pull.changes, number)) for number, side in enumerate(sides)]
    chosen = [tuple(path for path in side.view.tests if path in why)
              for side, why in zip(sides, reasons, strict=True)]  # fmt: skip
    chosen = _both_sides(pull, chosen, everything)
    return _or_all(chosen, everything, changed, reasons[1])


def _or_all(
    chosen: Sequence[Sequence[str]],
    everything: tuple[Sequence[str], Sequence[str]],
    changed: tuple[set[str], set[str]],
    reasons: Mapping[str, str],
) -> Selection:
    total, count = len(everything[1]), len(chosen[1])
    if not any(chosen):
        return _selection(everything, changed, f"All {total} test files: none concerns the change.")
    if total <= _FEW_FILES or count >= _MOST_OF_THEM * total:
        why = "as there are few" if total <= _FEW_FILES else f"as the change concerns {count}"
        return _selection(everything, changed, f"All {total} test files, {why}.")
    kinds = [reasons.get(path, "moved") for path in chosen[1]]
    shown = ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds))
    said = f"{count} of {total} test files: {shown}. The other {total - count} were not run."
    return replace(_selection(chosen, changed, said), partial=True)


def _selection(
    chosen: Sequence[Sequence[str]], changed: tuple[set[str], set[str]], said: str
) -> Selection:
    base, head = chosen
    return Selection(
        tuple(base),
        tuple(head),
        tuple(path for path in base if path in changed[0]),
        tuple(path for path in head if path in changed[1]),
        said,
    )


def _all(pull: Pull, base: View, head: View, request: PrRequest) -> str:
    """Why all tests are to be run; empty if they are not."""
    if request.all_tests:
        return "as asked for"
    if configuration_differs(base, head):
        return "as the configuration of pytest was changed"
    for change in pull.changes:
        if _FOR_ALL.search(change.path) or _FOR_ALL.search(change.old_path):
            return f"as {change.path} decides what is installed"
    for change in changed_conftests(pull):
        if not change.path.endswith("conftest.py"):
            return f"as Python runs {change.path} as it starts"
    return ""


def _named(tests: Iterable[str], only: Iterable[str]) -> tuple[str, ...]:
    plain = [posixpath.normpath(each.partition("::")[0]) for each in only]
    return tuple(
        path
        for path in tests
        if any(each == "." or path == each or path.startswith(f"{each}/") for each in plain)
    )


def _only_moved(change: Change, base: View, head: View) -> bool:
    return change.kind == "renamed" and base.files.get(change.old_path) == head.files.get(
        change.path
    )


def _out_of_sight(pull: Pull, base: View, head: View) -> set[str]:
    """Test files of base that pytest would not look at any more, though head may have every line of them:
    under another name, or with another configuration. What they say of head's code is asked all the same.
    """
    to_head, there = renamed(pull), set(head.tests)
    return {path for path in base.tests if to_head.get(path, path) not in there}


def _on_one_side(
    pull: Pull,
    changes: Iterable[Change],
    sides: tuple["_Side", "_Side"],
    changed: tuple[set[str], set[str]],
) -> None:
    """Tests that are as they were, but for a module that one side alone has: a package around them, a helper."""
    modules = [change for change in changes if change.path.endswith(".py")]
    added = [change.path for change in modules if change.kind == "added"]
    deleted = [change.old_path for change in modules if change.kind == "deleted"]
    to_head = renamed(pull)
    to_base = {new: old for old, new in to_head.items()}
    for number, paths, to_other in ((1, added, to_base), (0, deleted, to_head)):
        concerned = {to_other.get(path, path) for path in sides[number].affected(paths)}
        changed[1 - number].update(concerned & set(sides[1 - number].view.tests))


def _of_side(changes: Iterable[Change], number: int) -> list[str]:
    if number == 0:
        return [change.old_path for change in changes if change.old_path]
    return [change.path for change in changes if change.kind != "deleted"]


def _both_sides(
    pull: Pull, chosen: Sequence[Sequence[str]], everything: Sequence[Sequence[str]]
) -> list[tuple[str, ...]]:
    """What is chosen on one side is run on the other too, where it is there."""
    to_head = renamed(pull)
    to_base = {new: old for old, new in to_head.items()}
    wanted_head = {*chosen[1], *(to_head.get(path, path) for path in chosen[0])}
    wanted_base = {to_base.get(path, path) for path in wanted_head} | set(chosen[0])
    return [
        tuple(path for path in everything[0] if path in wanted_base),
        tuple(path for path in everything[1] if path in wanted_head),
    ]


def renamed(pull: Pull) -> dict[str, str]:
    """Files that were moved: where they are at head, by where they are at base."""
    moved = (change for change in pull.changes if change.kind == "renamed")
    return {change.old_path: change.path for change in moved}


class _Side:
    """The changes as one side has them."""

    def __init__(self, view: View, parsed: Parsed) -> None:
        self.view = view
        self._importers = Importers(view, parsed)

    def affected(self, paths: Iterable[str]) -> set[str]:
        """Test files whose tests are changed by changes on the tests' side. Conftest files do not count:
        those of base are used on both sides.
        """
        own = [
            path
            for path in paths
            if self.view.is_test_side(path) and path.rpartition("/")[2] != "conftest.py"
        ]
        found = self._importers.of(path for path in own if path.endswith(".py"))
        for path in own:
            if not path.endswith(".py"):
                found |= self._readers_among_tests(path)
        return found & set(self.view.tests)

    def concerned(self, paths: Sequence[str]) -> dict[str, str]:
        """The test files that changes concern, each with the reason in a word or two."""
        tests = set(self.view.tests)
        found: dict[str, str] = {path: "changed" for path in paths if path in tests}
        seeds: set[str] = set()
        for path in paths:
            if path.endswith(".py"):
                seeds.add(path)
                for test in self._mirrors(path):
                    found.setdefault(test, "named after a changed module")
                if path.endswith("conftest.py"):
                    for test in self._below(path.rpartition("/")[0]):
                        found.setdefault(test, "below a changed conftest.py")
            elif self.view.is_test_side(path):
                for test in self._readers_among_tests(path):
                    found.setdefault(test, "reading changed data")
            elif not _READ_BY_NOBODY.search(path):
                seeds |= self._readers(path)
        for test in sorted(self._importers.of(seeds) & tests):
            found.setdefault(test, "importing what was changed")
        if any(path.endswith(".py") and not self.view.is_test_side(path) for path in seeds):
            for test in sorted(self._importers.of(self._reaching_out()) & tests):
                found.setdefault(test, "starting programs or importing by name")
        return found

    def _reaching_out(self) -> Iterator[str]:
        """Files on the tests' side that run code which no import of theirs says."""
        for path, content in self.view.files.items():
            python = path.endswith(".py") and _REACHING_OUT.search(content)
            if python and self.view.is_test_side(path):
                yield path

    def _mirrors(self, path: str) -> Iterable[str]:
        name = path.rpartition("/")[2].removesuffix(".py").strip("_")
        if name == "init":
            name = path.split("/")[-2] if "/" in path else name
        wanted = {f"test_{name}.py", f"{name}_test.py"}
        return [test for test in self.view.tests if test.rpartition("/")[2] in wanted]

    def _below(self, folder: str) -> list[str]:
        return [test for test in self.view.tests if not folder or test.startswith(f"{folder}/")]

    def _readers_among_tests(self, path: str) -> set[str]:
        """Tests near a file that mention it or its folder; all of the tests around it if none does."""
        folder, _, name = path.rpartition("/")
        words = [name, name.partition(".")[0]]
        around: list[str] = []
        while folder and not (around := self._below(folder)):
            words.append(folder.rpartition("/")[2])
            folder = folder.rpartition("/")[0]
        around = around or list(self.view.tests)
        reading = {test for test in around if mentions(self.view.files[test], words)}
        return reading or set(around)

    def _readers(self, path: str) -> set[str]:
        """Modules beside a file that is no Python: those that mention it, or all if it is no prose."""
        folder, _, name = path.rpartition("/")
        beside: list[str] = []
        while folder and not beside:
            beside = [
                module.path
                for module in self.view.sources
                if module.path.rpartition("/")[0] == folder
            ]
            folder = folder.rpartition("/")[0]
        reading = {module for module in beside if mentions(self.view.files[module], [name])}
        return reading or (set() if path.endswith(_PROSE) else set(beside))
