"""Changed code and data that tests stand on, outside of their folders: head's is used, and no test shows what it does."""

import re
from collections.abc import Iterator

from ..pull.pull import Change
from .evidence import Suspect
from .ground import Ground
from .imports import mentions
from .strength import functions
from .trees import View, text

_OWN = "with head's, as it is no part of the tests"
_CHECKING = re.compile(r"^_*(assert|check|verif|expect|ensure|compare|validate)", re.IGNORECASE)
_FOR_TESTS = re.compile(rb"^\s*(import|from) (pytest|unittest|numpy\.testing)\b", re.MULTILINE)
_ASKS = re.compile(
    r"\bPYTEST_[A-Z]+|[\"']_?(pytest|unittest)[\"'] (not )?in sys\.modules|sys\.modules.*\bpytest\b"
)
_PLUGIN = re.compile(rb"^\s*(def pytest_\w+\(|@(pytest\.)?(fixture|hookimpl)\b)", re.MULTILINE)
_NAMING = re.compile(r"pytest11|pytest_plugins|-p\s")
_SETTINGS = ("pyproject.toml", "setup.cfg", "setup.py", "pytest.ini", "tox.ini")
_DATA = (".json", ".yaml", ".yml", ".csv", ".tsv", ".txt", ".xml", ".html", ".snap", ".out", ".expected", ".golden")  # fmt: skip
_NO_DATA = re.compile(
    r"(^|/)(requirements[^/]*|README[^/]*|LICEN[CS]E[^/]*|CHANGE[^/]*)$", re.IGNORECASE
)
_MOST_DATA = 40


def of_support(ground: Ground) -> Iterator[Suspect]:
    """What of the changes tests are judged by all the same: helpers that check less, plugins of pytest, code that
    asks whether it is tested, and data that tests alone read.
    """
    data = 0
    for change in ground.pull.changes:
        if ground.base.is_test_side(change.old_path) or ground.head.is_test_side(change.path):
            continue
        if change.path.endswith(".py"):
            yield from _of_code(ground, change)
        elif change.kind != "added" and data < _MOST_DATA and _is_data(change.old_path):
            data += 1
            yield from _of_data(ground, change)


def _of_code(ground: Ground, change: Change) -> Iterator[Suspect]:
    before = ground.base.files.get(change.old_path, b"")
    after = ground.head.files.get(change.path, b"")
    lines = text(after).splitlines()
    old = set(text(before).splitlines())
    for number, line in enumerate(lines, 1):
        if line not in old and _ASKS.search(line):
            detail = "It asks whether it is being tested: what tests show may hold for tests alone"
            yield Suspect("test_support", change.path, number, detail)
    if _is_plugin(ground, change, before, after):
        line = next(iter(change.added), 0)
        detail = "It is a plugin of pytest or has fixtures, which decide what tests come to"
        yield Suspect("test_support", change.path, line, detail, _OWN)
    if before != after:
        yield from _weaker(ground, change, before, after)


def _is_plugin(ground: Ground, change: Change, before: bytes, after: bytes) -> bool:
    if before == after:
        return False
    if _PLUGIN.search(before) or _PLUGIN.search(after):
        return True
    names = [
        module.name
        for view in (ground.base, ground.head)
        for module in view.sources
        if module.path in {change.path, change.old_path}
    ]
    return any(_is_named(view, name) for view in (ground.base, ground.head) for name in set(names))


def _is_named(view: View, name: str) -> bool:
    """Whether the settings of a project or a conftest file have pytest load a module."""
    word = re.compile(rf"(?<![\w.]){re.escape(name)}(?![\w.])")
    for path, content in view.files.items():
        if (
            path in _SETTINGS
            or path.endswith(("/conftest.py", "/entry_points.txt"))
            or path == "conftest.py"
        ):
            said = text(content)
            if _NAMING.search(said) and any(word.search(line) for line in _after_naming(said)):
                return True
    return False


def _after_naming(said: str) -> list[str]:
    """The lines that can name plugins."""
    found: list[str] = []
    left = 0
    for line in said.splitlines():
        left = 10 if _NAMING.search(line) else left - 1
        if left > 0:
            found.append(line)
    return found


def _weaker(ground: Ground, change: Change, before: bytes, after: bytes) -> Iterator[Suspect]:
    """Functions to check with that check less than at base, if tests name them."""
    old, new = functions(text(before)), functions(text(after))
    for_tests = _FOR_TESTS.search(before)
    for name in (name for name in old if name in new):
        plain = name.rpartition("::")[2]
        if not (for_tests or _CHECKING.match(plain)):
            continue
        less = new[name].weaker_than(old[name])
        if less and any(mentions(ground.head.files[path], [plain]) for path in ground.head.tests):
            yield Suspect("test_support", change.path, new[name].line, f"{plain}: {less}", _OWN)


def _is_data(path: str) -> bool:
    return path.endswith(_DATA) and not _NO_DATA.search(path)


def _of_data(ground: Ground, change: Change) -> Iterator[Suspect]:
    names = [change.old_path.rpartition("/")[2]]
    head, base = ground.head, ground.base
    if any(mentions(head.files[module.path], names) for module in head.sources):
        return
    if any(mentions(base.files[path], names) for path in base.tests):
        detail = f"It is {change.kind}, and tests alone read it: they may expect something else"
        yield Suspect("test_support", change.path, next(iter(change.added), 0), detail, _OWN)
