"""What can be timed: tests that use the fixture `benchmark`, and snippets. Both sides get the same of them."""

import ast
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ...run_generated_tests.project import Project
from ..environment.side import Side
from ..evidence.trees import View, trees_of, view_of
from ..pull.pull import Pull
from ..request import PrRequest

SNIPPETS = "proofbox_snippets.py"
FIXTURE = "benchmark"

_FOLDER = re.compile(r"(?i)(bench|perf|speed|asv)")
_MARK = re.compile(r"^# ?%%.*$", re.MULTILINE)
_ONCE = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)

_SNIPPET_TESTS = """
import pytest

SNIPPETS = {snippets!r}


@pytest.mark.parametrize("name", list(SNIPPETS))
def test_snippet(benchmark, name):
    once, timed = SNIPPETS[name]
    space = {{"__name__": "__main__"}}
    exec(compile(once, f"<{{name}}>", "exec"), space)
    benchmark(exec, compile(timed, f"<{{name}}>", "exec"), space)
"""


@dataclass(frozen=True, slots=True)
class Track:
    """The code of both sides with the same benchmarks in it; `files` are those that hold some."""

    base: Project
    head: Project
    files: tuple[str, ...]


def track_of(pull: Pull, base: Side, head: Side, request: PrRequest) -> Track:
    """Head's benchmarks, and those of base that head has no more, on the code of both. Runs nothing."""
    at_base, at_head = view_of(base), view_of(head)
    trees = trees_of(pull, at_base, at_head)
    mine = trees.own_base_with_head or trees.base_with_head
    theirs = trees.own_head or trees.head
    shared: dict[str, bytes] = {}
    for side in (at_base, at_head):
        found = list(_files(side))
        folders = {folder for path in found if (folder := _own_folder(path))}
        shared |= {
            path: content
            for path, content in side.files.items()
            if path in found or any(path.startswith(f"{folder}/") for folder in folders)
        }
    moved = {change.old_path for change in pull.changes if change.kind == "renamed"}
    old = [path for path in _files(at_base) if path not in moved]
    files = _meant(list(dict.fromkeys([*_files(at_head), *old])), request.only)
    if request.snippets:
        shared[SNIPPETS] = snippet_file(request.snippets)
        files.append(SNIPPETS)
    return Track(_with(mine, shared, files), _with(theirs, shared, files), tuple(files))


def _with(project: Project, shared: Mapping[str, bytes], files: Sequence[str]) -> Project:
    return replace(project, files={**project.files, **shared}, tests=tuple(files))


def _meant(files: Sequence[str], only: Sequence[str]) -> list[str]:
    """Those that were asked for, where any were."""
    wanted = [one.partition("::")[0].rstrip("/") for one in only]
    named = [
        path for path in files if any(path == one or path.startswith(f"{one}/") for one in wanted)
    ]
    return named or list(files)


def _own_folder(path: str) -> str:
    """The folder of benchmarks that a file is in; what lies beside it belongs to it."""
    folders = path.split("/")[:-1]
    marked = [at for at, name in enumerate(folders) if _FOLDER.search(name)]
    return "/".join(folders[: marked[0] + 1]) if marked else ""


def _files(view: View) -> Iterator[str]:
    """Files with benchmarks, directly or over fixtures."""
    trees = {
        path: tree
        for path, content in view.files.items()
        if path.endswith(".py") and FIXTURE.encode() in content and (tree := _parsed(content))
    }
    names = {FIXTURE}
    for tree in trees.values():
        names |= {f.name for f in _functions(tree) if _is_fixture(f) and _asks(f, {FIXTURE})}
    words = [name.encode() for name in names]
    for path, content in view.files.items():
        if _may_hold_tests(path, view) and any(word in content for word in words):
            tree = trees.get(path) or _parsed(content)
            if tree and any(_asks(f, names) and not _is_fixture(f) for f in _functions(tree)):
                yield path


def _may_hold_tests(path: str, view: View) -> bool:
    if not path.endswith(".py") or path.endswith("conftest.py"):
        return False
    return path in view.tests or _FOLDER.search(path) is not None


def _parsed(content: bytes) -> ast.Module | None:
    try:
        return ast.parse(content)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _functions(tree: ast.Module) -> Iterator[ast.FunctionDef]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            yield node
        elif isinstance(node, ast.ClassDef):
            yield from (item for item in node.body if isinstance(item, ast.FunctionDef))


def _asks(function: ast.FunctionDef, names: Iterable[str]) -> bool:
    given = function.args
    return any(one.arg in names for one in (*given.posonlyargs, *given.args, *given.kwonlyargs))


def _is_fixture(function: ast.FunctionDef) -> bool:
    return any("fixture" in ast.unparse(each) for each in function.decorator_list)


def snippet_file(snippets: Mapping[str, str]) -> bytes:
    """A test file with a benchmark for each snippet, by name."""
    split = {name: split_snippet(text) for name, text in snippets.items()}
    return _SNIPPET_TESTS.format(snippets=split).encode()


def split_snippet(text: str) -> tuple[str, str]:
    """What is done once and what is timed. A line `# %%` divides them; without one, imports and definitions
    at the beginning are done once.
    """
    mark = _MARK.search(text)
    lines = text.splitlines()
    if mark is not None:
        at = text[: mark.start()].count("\n")
    else:
        tree = _parsed(text.encode("utf-8", "replace"))
        body = tree.body if tree is not None else []
        first = next((node for node in body if not isinstance(node, _ONCE)), None)
        at = first.lineno - 1 if first is not None else 0
    # Lines keep their numbers.
    return "\n".join(lines[:at]), "\n" * at + "\n".join(lines[at:])
