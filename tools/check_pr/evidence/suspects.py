"""What in a pull request can turn it green without making it right."""

import re
from collections.abc import Iterable, Iterator, Mapping

from ..pull.pull import Change, Pull
from ..words import Suspicion
from .evidence import Suspect, TestEvidence, function_of
from .ground import Ground
from .kinds import BAD, GOOD
from .strength import Strength, strengths
from .trees import View, changed_conftests, configuration_differs, text

_CI = re.compile(
    r"^(\.github/(workflows|actions)/|\.circleci/|\.buildkite/|\.gitlab-ci|\.woodpecker|\.travis\.yml|\.cirrus\.|"
    r"\.drone\.yml|azure-pipelines|bitbucket-pipelines|appveyor|\.appveyor|Jenkinsfile)"
)
_LOCKS = re.compile(
    r"(^|/)([^/]+\.lock|pylock[^/]*\.toml|Pipfile\.lock|conda-lock[^/]*|package-lock\.json)$"
)
_COMMANDS = re.compile(
    r"(^|/)(tox\.(ini|toml)|noxfile\.py|Makefile|[Jj]ustfile|tasks\.py|dodo\.py)$"
)
_TESTING = re.compile(r"\b(py\.?test|unittest|tests?)\b|testenv|-k\b|--deselect|--ignore")
_OWN_PACKAGES = "with base's versions wherever head's requirements accept them"
_OWN_COMMAND = "by our own call of pytest, not by this one"


def of_files(pull: Pull) -> Iterator[Suspect]:
    """Changes of what decides how tests are run elsewhere: continuous integration, lock files, commands.

    They need no sandbox and no project, so a pull request of a monorepo can be asked as a whole.
    """
    for change in pull.changes:
        if _CI.search(change.path) or _CI.search(change.old_path):
            yield _file("continuous_integration", change, _OWN_COMMAND)
        elif _LOCKS.search(change.path) or _LOCKS.search(change.old_path):
            yield _file("lock_file", change, _OWN_PACKAGES)
        elif _COMMANDS.search(change.path) and _touches_tests(pull, change):
            yield _file("test_command", change, _OWN_COMMAND)


def _file(what: Suspicion, change: Change, judged: str, detail: str = "") -> Suspect:
    said = detail or f"It is {change.kind}"
    return Suspect(what, change.path, next(iter(change.added), 0), said, judged)


def _touches_tests(pull: Pull, change: Change) -> bool:
    sides = (
        (pull.head.files.get(change.path, b""), change.added),
        (pull.base.files.get(change.old_path, b""), change.removed),
    )
    for content, numbers in sides:
        lines = text(content).splitlines()
        if any(_TESTING.search(lines[one - 1]) for one in numbers if one <= len(lines)):
            return True
    return False


def of_harness(ground: Ground, with_own: Iterable[str]) -> Iterator[Suspect]:
    """Changes of conftest files and of the configuration; `with_own` are tests that count with head's."""
    needing = list(with_own)
    count = f"{len(needing)} test" if len(needing) == 1 else f"{len(needing)} tests"
    except_for = f", except for {count} that cannot do without head's" if needing else ""
    for change in changed_conftests(ground.pull):
        name = change.path.rpartition("/")[2]
        judged = f"with base's {name}{except_for}"
        if not change.old_path:
            judged = f"without it, as base has none{except_for}"
        yield _file("conftest", change, judged)
    if configuration_differs(ground.base, ground.head):
        yield _configuration(ground, f"with base's configuration of pytest{except_for}")


def _configuration(ground: Ground, judged: str) -> Suspect:
    mine, other = ground.base.manifest, ground.head.manifest
    names = sorted({*mine.options, *other.options} - {"ini_options"})
    changed = [name for name in names if mine.options.get(name) != other.options.get(name)]
    path = other.config or mine.config
    change = next((one for one in ground.pull.changes if one.path == path), None)
    line = _line_of(ground.head, path, changed) or (
        change.added[0] if change and change.added else 0
    )
    return Suspect("configuration", path, line, f"It changes {', '.join(changed) or 'it'}", judged)


def _line_of(view: View, path: str, words: Iterable[str]) -> int:
    lines = text(view.files.get(path, b"")).splitlines()
    for word in words:
        for number, line in enumerate(lines, 1):
            if line.strip().startswith(word):
                return number
    return 0


def of_tests(ground: Ground, tests: Iterable[TestEvidence]) -> Iterator[Suspect]:
    """Tests that were deleted, skipped, weakened, or that end their process."""
    written = _Written(ground)
    told: set[tuple[str, str, int]] = set()
    everything = list(tests)
    there = {function_of(test.id) for test in everything if test.head is not None}
    for test in everything:
        for suspect in _of_test(ground, test, written, there):
            key = (suspect.what, suspect.path, suspect.line)
            if key not in told:
                told.add(key)
                yield suspect


def _of_test(ground: Ground, test: TestEvidence, written: "_Written", there: set[str]) -> Iterator[Suspect]:  # fmt: skip
    fails = "; base's version of it fails at head" if test.head_with_base in BAD else ""
    if test.kind == "removed" and (
        function_of(test.id) not in there or (fails and not test.instead)
    ):
        again = written.elsewhere(test)
        if not again or fails:
            detail = f"{test.id} is deleted, and {_before(test)}{fails}"
            yield Suspect("test_deleted", test.file, 0, detail, "by base's version of it, on head")
    if test.kind == "newly_skipped" or (test.kind == "skipped" and test.base in BAD):
        yield Suspect("test_skipped", test.file, test.line, f"{test.id}: {_before(test)}{fails}")
    if test.head == "ended":
        detail = f"{test.id} ends the process of the tests"
        yield Suspect("exits_early", test.file, test.line, detail, "as a failure")
    if less := _less(ground, test, written):
        detail = f"{test.id}: {less}{fails}"
        yield Suspect("assertion_weakened", test.file, test.line, detail, "by base's version too")


def _before(test: TestEvidence) -> str:
    return "it passed at base" if test.base in GOOD else f"it was {test.base} at base"


def _less(ground: Ground, test: TestEvidence, written: "_Written") -> str:
    """In what a test checks less than at base. One that fails at base as it is now checks something else."""
    if test.base not in GOOD or test.head not in GOOD or test.base_with_head == "failed":
        return ""
    if function_of(test.id) in ground.selection.same:
        return ""
    before, after = written.both(test)
    if before is None or after is None:
        return ""
    if weaker := after.weaker_than(before):
        return weaker
    if before.text == after.text and test.base_with_head is None:
        return ""
    if (
        test.base == "passed"
        and test.head_with_base == "failed"
        and test.base_with_head == "passed"
    ):
        return "It passes with and without the change"
    return ""


class _Written:
    """Tests as they stand in the files of both sides."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._known: dict[tuple[int, str], Mapping[str, Strength]] = {}

    def both(self, test: TestEvidence) -> tuple[Strength | None, Strength | None]:
        """A test at base and at head."""
        old = self._ground.at_base(test.id)
        return self._one(0, old), self._one(1, test.id)

    def elsewhere(self, test: TestEvidence) -> bool:
        """Whether head has a test, new or changed, that does the same under another name."""
        mine = self._one(0, self._ground.at_base(test.id))
        if mine is None:
            return False
        plain = _nameless(mine)
        changed = [change.path for change in self._ground.pull.changes]
        files = (path for path in changed if path in self._ground.head.tests)
        same = self._ground.selection.same
        return any(
            _nameless(tests[name]) == plain
            for path in files
            for tests in [self._of(1, path)]
            for name in tests
            if f"{path}::{name}" not in same
        )

    def _one(self, side: int, name: str) -> Strength | None:
        file, _, rest = name.partition("::")
        return self._of(side, file).get(rest.partition("[")[0])

    def _of(self, side: int, file: str) -> Mapping[str, Strength]:
        if (side, file) not in self._known:
            view = self._ground.head if side else self._ground.base
            content = view.files.get(file)
            self._known[side, file] = strengths(file, text(content)) if content is not None else {}
        return self._known[side, file]


def _nameless(one: Strength) -> str:
    return re.sub(r"\bdef \w+", "def", one.text, count=1)
