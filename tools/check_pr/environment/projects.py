"""Which projects of a repository a pull request changes."""

import posixpath
from collections.abc import Mapping

from ...run_generated_tests.declared import ini, table, toml
from ..pull.pull import Change, Pull

_ASIDE = frozenset(
    {
        *("tests", "test", "testing", "docs", "doc", "examples", "example", "fixtures", "data", "testdata"),
        *("vendor", "vendored", "_vendor", "third_party", "node_modules", "templates", "benchmarks"),
    }
)  # fmt: skip
"""Folders whose projects are no part of the work: tests use them, or they came from elsewhere."""
_SECTIONS = ("metadata", "options")


def project_folders(pull: Pull) -> tuple[str, ...]:
    """The folders with a project that changed paths are in, the nearest for each; "" is the repository's
    own, which has what no other has. Sorted; never empty.
    """
    trees = (pull.head.files, pull.base.files)
    found = {_nearest(path, trees) for change in pull.changes for path in _paths(change)}
    # A file at the top of a repository whose projects are all further down changes none of them.
    if len(found) > 1 and not any(_is_project("", tree) for tree in trees):
        found.discard("")
    return tuple(sorted(found)) or ("",)


def _paths(change: Change) -> set[str]:
    return {path for path in (change.path, change.old_path) if path}


def _nearest(path: str, trees: tuple[Mapping[str, bytes], ...]) -> str:
    loose = ""
    folder = posixpath.dirname(path)
    while folder:
        aside = _ASIDE & set(folder.split("/"))
        if not aside and any(_is_project(folder, tree) for tree in trees):
            return folder
        if not aside and not loose and any(f"{folder}/requirements.txt" in tree for tree in trees):
            loose = folder
        folder = posixpath.dirname(folder)
    # Scripts with a list of what they need, unless they are inside a project.
    return "" if any(_is_project("", tree) for tree in trees) else loose


def _is_project(folder: str, files: Mapping[str, bytes]) -> bool:
    start = f"{folder}/" if folder else ""
    if f"{start}setup.py" in files:
        return True
    pyproject = toml(files.get(f"{start}pyproject.toml", b""))
    of_tools = {"poetry", "flit"} & set(table(pyproject, "tool"))
    if "project" in pyproject or "build-system" in pyproject or of_tools:
        return True
    config = ini(files.get(f"{start}setup.cfg", b""))
    return any(config.has_section(name) for name in _SECTIONS)
