"""The trees that tests run in: code of one side with the tests of one side, and who says how they are run.

Conftest files and the configuration of pytest can make any test pass, so head is judged with base's. Where the
pull request changes them there are two more trees, with head's own.
"""

import ast
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatch

from ...run_generated_tests import layout
from ...run_generated_tests.manifest import Manifest, read_manifest
from ...run_generated_tests.project import Module, Project
from ...run_generated_tests.suite import is_test_file, parsed
from ..environment.side import Side
from ..pull.pull import Change, Pull

Files = Mapping[str, bytes]

_TEST_FOLDERS = {"tests", "test"}
_NEVER_SEARCHED = {"build", "dist", "node_modules", "venv", "CVS", "_darcs", "{arch}"}
_DOCTESTS = "--doctest-modules"
_TEXTS = "--doctest-glob="
_SRC_IS_A_PACKAGE = re.compile(r"^\s*(from|import)\s+src\b", re.MULTILINE)
_OF_UNITTEST = (
    re.compile(rb"^\s*(import|from) unittest\b", re.MULTILINE),
    re.compile(rb"^\s*class \w+\(.*TestCase\b", re.MULTILINE),
    re.compile(rb"^\s+(async )?def test", re.MULTILINE),
)
_COPY = "base-of-the-pull-request-"
# Python runs these as it starts, wherever it finds one on its path.
_AT_START = {"sitecustomize.py", "usercustomize.py"}


@dataclass(frozen=True, slots=True)
class View:
    """One side's files as they are, and what they say of its tests.

    Attributes:
        files: the tree with what building it made.
        tests: the files that pytest would look for tests in. `examples`: those of them that are code whose
            docstrings have some.
        folders: those that hold tests and what only tests need.
        sources: modules that are no tests. `roots`: folders that imports begin in.
    """

    files: Files
    manifest: Manifest
    tests: tuple[str, ...]
    folders: tuple[str, ...]
    sources: tuple[Module, ...]
    roots: tuple[str, ...]
    examples: frozenset[str] = frozenset()

    def is_test_side(self, path: str) -> bool:
        """Whether a file is a test, or there for tests alone."""
        if path.rpartition("/")[2] == "conftest.py":
            return True
        if path in self.tests and path not in self.examples:
            return True
        return any(path.startswith(f"{folder}/") for folder in self.folders)


def view_of(side: Side) -> View:
    """What one side says of its tests."""
    files = {**side.tree.files, **side.environment.built}
    manifest = read_manifest(files)
    ignored = (*manifest.ignored, *_ignored_folders(manifest), *_ignored_by_conftests(files))
    tests = tuple(
        sorted(
            path
            for path in files
            if _is_test(path, files, manifest) and not any(_below(path, each) for each in ignored)
        )
    )
    texts = {path: text(files[path]) for path in files if path.endswith(".py")}
    examples = frozenset(
        path for path in tests if path.endswith(".py") and not _has_tests(path, files, manifest)
    )
    modules = layout.source_files(texts, set(tests) - examples)
    accept = any(_SRC_IS_A_PACKAGE.search(texts[path]) for path in modules)
    roots = layout.import_roots(
        texts, modules, tests, accept_src=accept or "src/__init__.py" in texts
    )
    return View(
        files,
        manifest,
        tests,
        tuple(_test_folders(tests)),
        tuple(layout.module_of(path, roots) for path in modules),
        roots,
        examples,
    )


def _is_test(path: str, files: Files, manifest: Manifest) -> bool:
    if any(part.startswith(".") or part in _NEVER_SEARCHED for part in path.split("/")[:-1]):
        return False
    if manifest.testpaths and not any(_below(path, each) for each in manifest.testpaths):
        return False
    if path.endswith(".py") and _has_tests(path, files, manifest):
        return True
    return _has_examples(path, manifest) and b">>> " in files[path]


def _has_tests(path: str, files: Files, manifest: Manifest) -> bool:
    return is_test_file(path, manifest.patterns) or _is_of_unittest(path, files, manifest)


def _is_of_unittest(path: str, files: Files, manifest: Manifest) -> bool:
    """Whether `python -m unittest` would find tests in a file that pytest finds only where it is named. A project
    that configures pytest means what that finds; Django's tests want Django's own runner.
    """
    if manifest.config or not fnmatch(path.rpartition("/")[2], "test*.py"):
        return False
    content = files[path]
    return b"django" not in content and all(one.search(content) for one in _OF_UNITTEST)


def _has_examples(path: str, manifest: Manifest) -> bool:
    """Whether pytest would look for examples in a file that is no test file."""
    if path.endswith(".py"):
        return _DOCTESTS in manifest.arguments and not path.endswith("setup.py")
    given = [one.partition("=")[2] for one in manifest.arguments if one.startswith(_TEXTS)]
    name = path.rpartition("/")[2]
    return any(fnmatch(path if "/" in each else name, each) for each in given or ["test*.txt"])


def _ignored_folders(manifest: Manifest) -> Iterator[str]:
    """Folders that the configuration says no tests are to be looked for in, as patterns of paths."""
    said = manifest.options.get("norecursedirs", ())
    for each in said.split() if isinstance(said, str) else map(str, said):
        yield from (each,) if "/" in each else (each, f"*/{each}")


def _ignored_by_conftests(files: Files) -> Iterator[str]:
    """What conftest files say that is not to be collected, where they say it in so many words."""
    for path, content in files.items():
        if not _is_conftest(path) or b"collect_ignore" not in content:
            continue
        tree = parsed(text(content))
        for node in tree.body if tree is not None else ():
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.List):
                names = {one.id for one in node.targets if isinstance(one, ast.Name)}
                if names & {"collect_ignore", "collect_ignore_glob"}:
                    for one in node.value.elts:
                        if isinstance(one, ast.Constant) and isinstance(one.value, str):
                            yield posixpath.join(posixpath.dirname(path), one.value)


def _below(path: str, place: str) -> bool:
    place = place.removeprefix("./").rstrip("/")
    if place in {"", "."}:
        return True
    beginning = path == place or path.startswith(f"{place}/")
    return beginning or fnmatch(path, place) or fnmatch(path, f"{place}/*")


def _test_folders(tests: Iterable[str]) -> Iterable[str]:
    """The topmost folder called `tests` above each test."""
    found: dict[str, None] = {}
    for path in tests:
        folders = path.split("/")[:-1]
        marked = [at for at, name in enumerate(folders) if name in _TEST_FOLDERS]
        if marked:
            found["/".join(folders[: marked[0] + 1])] = None
    return found


@dataclass(frozen=True, slots=True)
class Trees:
    """The projects to run. `own_*` are the same with head's conftest files and configuration, None where
    the pull request does not change those. Each project's `tests` are all that it has.
    """

    base: Project
    base_with_head: Project
    head: Project
    head_with_base: Project
    own_head: Project | None = None
    own_base_with_head: Project | None = None


def trees_of(pull: Pull, base: View, head: View) -> Trees:
    """The trees of a pull request."""
    conftests = changed_conftests(pull)
    differs = configuration_differs(base, head)
    moved_in = _with_tests_of_head(pull, base, head)
    judged = _with_conftests(head.files, base.files, conftests)
    how = base if differs else head
    trees = Trees(
        base=_project(base.files, base, base, base.tests),
        base_with_head=_project(moved_in, base, base, head.tests),
        head=_project(judged, head, how, head.tests),
        head_with_base=_project(_with_tests_of_base(pull, base, head), head, how, base.tests),
    )
    if not conftests and not differs:
        return trees
    mine = {change.path for change in conftests}
    own = {
        path: content
        for path, content in moved_in.items()
        if not _is_conftest(path) and path not in mine
    }
    own |= {
        path: content for path, content in head.files.items() if _is_conftest(path) or path in mine
    }
    return replace(
        trees,
        own_head=_project(head.files, head, head, head.tests),
        own_base_with_head=_project(own, base, head, head.tests),
    )


def as_it_is(view: View) -> Project:
    """One side as it would be tested at home."""
    return _project(view.files, view, view, view.tests)


def changed_conftests(pull: Pull) -> tuple[Change, ...]:
    """Those that the pull request adds, changes, moves or deletes; and what else runs before tests, asked by nobody."""
    return tuple(
        change
        for change in pull.changes
        if any(
            _is_conftest(path) or _runs_at_start(pull, path)
            for path in (change.path, change.old_path)
        )
    )


def _runs_at_start(pull: Pull, path: str) -> bool:
    """Whether Python may run a file as it starts: one that is no part of a package, on one side at least."""
    folder, _, name = path.rpartition("/")
    init = f"{folder}/__init__.py"
    is_part = folder and init in pull.base.files and init in pull.head.files
    return name in _AT_START and not is_part


def configuration_differs(base: View, head: View) -> bool:
    """Whether pytest is configured otherwise at head."""
    mine, other = base.manifest, head.manifest
    return (mine.options, bool(mine.config)) != (other.options, bool(other.config))


def _is_conftest(path: str) -> bool:
    return path.rpartition("/")[2] == "conftest.py"


def _with_tests_of_head(pull: Pull, base: View, head: View) -> dict[str, bytes]:
    """Base's code with head's tests and what they need, but base's conftest files."""
    files = dict(base.files)
    for change in pull.changes:
        if base.is_test_side(change.old_path):
            files.pop(change.old_path, None)
        if (
            change.path in head.files
            and change.kind != "deleted"
            and head.is_test_side(change.path)
        ):
            files[change.path] = head.files[change.path]
    return _with_conftests(files, base.files, changed_conftests(pull))


def _with_tests_of_base(pull: Pull, base: View, head: View) -> dict[str, bytes]:
    """Head's code with base's tests and what they need, conftest files too."""
    files, first = dict(head.files), changed_conftests(pull)
    for change in pull.changes:
        if change.kind != "deleted" and (change in first or head.is_test_side(change.path)):
            files.pop(change.path, None)
    for change in pull.changes:
        mine = change in first or base.is_test_side(change.old_path)
        if change.old_path in base.files and mine:
            files[change.old_path] = base.files[change.old_path]
    return files


def _with_conftests(files: Files, base: Files, changed: Iterable[Change]) -> dict[str, bytes]:
    """The files with base's conftest files in the place of those that were changed."""
    found = dict(files)
    for change in changed:
        found.pop(change.path, None)
        if change.old_path in base:
            there = change.path if change.kind == "renamed" else change.old_path
            found[there] = base[change.old_path]
    return found


def _project(files: Files, code: View, how: View, tests: Iterable[str]) -> Project:
    """A project with the code of one side, whose pytest is configured as the view `how` says."""
    files = dict(files)
    config = how.manifest.config
    if config and files.get(config) != how.files[config]:
        folder, _, name = config.rpartition("/")
        config = f"{folder}/{_COPY}{name}".lstrip("/")
        files[config] = how.files[how.manifest.config]
    return Project(
        files=files,
        sources=tuple(module for module in code.sources if module.path in files),
        tests=tuple(path for path in tests if path in files),
        roots=tuple(dict.fromkeys((*code.roots, *how.roots))),
        arguments=(*how.manifest.arguments, *how.manifest.choosing),
        config=config,
    )


def text(content: bytes) -> str:
    """The text of a file, undecodable bytes replaced."""
    return content.decode("utf-8", "replace")
