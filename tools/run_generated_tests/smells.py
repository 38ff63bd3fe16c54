"""What the text of a test gives away, with the line: no test is run for it, and files that do not import are read too."""

import ast
from collections.abc import Iterator, Mapping, Sequence

from . import smells_checks, smells_outside
from .findings import Finding
from .names import Function, Imported, Source, imported, sources, used
from .project import Project

WHOLE_FILE = ""


def smells(project: Project, path: str) -> Mapping[str, Sequence[Finding]]:
    """The findings of a test file by test, as `name` or `Class::name`; those of the whole file under "".

    A file that does not parse has none: that it does not is said when it is collected.
    """
    try:
        return _smells(project, path)
    except (SyntaxError, ValueError, RecursionError):
        return {}


def _smells(project: Project, path: str) -> Mapping[str, Sequence[Finding]]:
    tree = ast.parse(project.text(path))
    known = sources(project)
    names, missing = imported(tree, known)
    found: dict[str, Sequence[Finding]] = {}
    tests = list(tests_of(tree))
    whole = [one for one in missing if not any(_inside(one, test) for _, test, _ in tests)]
    whole += smells_checks.own_copies(tree, known)
    if whole:
        found[WHOLE_FILE] = tuple(whole)
    for name, test, owner in tests:
        findings = [one for one in missing if _inside(one, test)]
        findings += _of_test(test, owner, tree, names, known, project)
        if findings:
            found[name] = tuple(sorted(findings, key=lambda one: one.line or 0))
    return found


def tests_of(tree: ast.Module) -> Iterator[tuple[str, Function, ast.ClassDef | None]]:
    """Functions that pytest takes for tests by their names, with their class."""
    for node in tree.body:
        if isinstance(node, Function) and node.name.startswith("test"):
            yield node.name, node, None
        elif isinstance(node, ast.ClassDef):
            for inner in node.body:
                if isinstance(inner, Function) and inner.name.startswith("test"):
                    yield f"{node.name}::{inner.name}", inner, node


def _inside(finding: Finding, test: Function) -> bool:
    line = finding.line or 0
    return test.lineno <= line <= (test.end_lineno or test.lineno)


def _of_test(
    test: Function,
    owner: ast.ClassDef | None,
    tree: ast.Module,
    names: Imported,
    known: Mapping[str, Source],
    project: Project,
) -> list[Finding]:
    return [
        *used(test, names),
        *smells_checks.tautologies(test),
        *smells_checks.swallowed(test),
        *smells_checks.broad_raises(test, known),
        *smells_checks.after_raise(test),
        *smells_checks.returned(test),
        *smells_checks.not_called(test, tree),
        *smells_checks.copies(test, known),
        *smells_checks.without_check(test, tree),
        *smells_outside.mocked(test, names),
        *smells_outside.sleeps(test),
        *smells_outside.network(test),
        *smells_outside.clock(test),
        *smells_outside.unawaited(test, owner, tree, names, project),
    ]
