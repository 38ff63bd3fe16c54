"""Tests that fail where they do not look: in a thread, a task or a process, or in what nobody awaits.

They pass all the same. Pytest warns of some of it, and the rest is in what the tests write.
"""

import ast
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from .. import _beside, _text
from .events import Record, TestRun
from .findings import Finding
from .project import ROOT, Project
from .suite import Sheet, asserts, parsed

_WHO = {
    "thread": "A thread of it fails",
    "task": "A task of it fails",
    "process": "A process of it fails",
}
_THREAD = re.compile(r"\A(?P<head>Exception in thread [^\n]*)\n\n(?=Traceback )")
_COROUTINE = re.compile(r"coroutine '(?P<name>[^'\n]+)' was never awaited")


def unseen(
    sheets: Iterable[Sheet], project: Project, runs: Iterable[TestRun]
) -> Mapping[str, Sequence[Finding]]:
    """Return what is to be said of tests, by `file::name`. A failure that came late is told of the test whose
    lines it went through, not of the one that ran then.
    """
    looking = _Looking(list(sheets), project)
    found: dict[str, dict[Finding, None]] = {}
    for run in runs:
        for warning in run.warnings:
            for test, finding in looking.at(warning):
                found.setdefault(test, {})[finding] = None
    return {test: tuple(findings) for test, findings in found.items()}


class _Looking:
    """At warnings, with the tests at hand."""

    def __init__(self, sheets: Sequence[Sheet], project: Project) -> None:
        self._sheets = {sheet.path: sheet for sheet in sheets}
        self._project = project

    def at(self, warning: Record) -> Iterator[tuple[str, Finding]]:
        if coroutine := _COROUTINE.search(warning["text"]):
            yield from self._forgotten(warning, coroutine["name"].rpartition(".")[2])
        said = _THREAD.sub(r"\g<head>:\n", warning["text"])
        for raised in _beside.raised(said):
            yield from self._raised(warning, raised)

    def _raised(self, warning: Record, raised: _beside.Raised) -> Iterator[tuple[str, Finding]]:
        own = [(_own(file), line) for file, line in raised.frames]
        own = [(file, line) for file, line in own if file in self._sheets]
        if not own:
            return  # the source's own doing, which may be what is tested
        tests = (self._test_at(file, line) for file, line in own)
        test = next(filter(None, tests), "") or warning["id"].partition("[")[0]
        said = f"{_WHO[raised.who]}, and it passes all the same: {_text.clean(raised.error)}"
        message = f"{said}. Wait for its end and raise in the test what it raised."
        meant = self._is_raise(*own[-1]) and not raised.error.startswith("AssertionError")
        yield test, Finding("unseen", message, own[-1][1], severity="note" if meant else "mend")

    def _forgotten(self, warning: Record, name: str) -> Iterator[tuple[str, Finding]]:
        file, line = _own(warning["file"]), int(warning["line"])
        test = self._test_at(file, line)
        if test and self._checks(file, name):
            message = f"Nothing awaits {name}(), so that what it checks is never checked."
            yield test, Finding("unseen", message, line)

    def _test_at(self, file: str, line: int) -> str:
        sheet = self._sheets.get(file)
        tests = sheet.tests if sheet else ()
        names = (test.name for test in tests if test.line <= line <= test.end_line)
        name = next(names, "")
        return f"{file}::{name}" if name else ""

    def _is_raise(self, file: str, line: int) -> bool:
        lines = self._project.text(file).splitlines()
        return line <= len(lines) and lines[line - 1].strip().startswith("raise")

    def _checks(self, file: str, name: str) -> bool:
        """Whether a coroutine function of this file and name has a check in it."""
        tree = parsed(self._project.text(file))
        nodes = ast.walk(tree) if tree else ()
        return any(
            isinstance(node, ast.AsyncFunctionDef) and node.name == name and asserts(node)
            for node in nodes
        )


def _own(path: str) -> str:
    return path.removeprefix(f"{ROOT}/")
