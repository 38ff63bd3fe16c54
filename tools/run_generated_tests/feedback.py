"""What a model is told about its tests: one line a cause, and what it needs to mend it."""

import ast
import difflib
import re
from collections.abc import Iterator, Mapping, Sequence

from .._text import clean
from .events import Raised
from .measured import Coverage, FileCoverage, Mutation, Reached
from .project import Project
from .verdicts import Evidence, Judged, Reason

_MOST_CAUSES = 25
_MOST_SURVIVORS = 3
_MOST_UNPROVED = 5
_MOST_BRANCHES = 20
_LONGEST = 600
_CALL = re.compile(r"(?:\w+\.)*(\w+)\(\) (?:got|takes|missing)")
_MISSING_NAME = re.compile(r"(?:has no attribute|cannot import name|name) '(\w+)'")


def feedback(evidence: Evidence, judged: Sequence[Judged]) -> str:
    """The lines; empty if there is nothing to mend."""
    project = evidence.prepared.project
    lines = [f"whole suite: {problem}" for problem in evidence.repeats.untrusted]
    lines += _causes(project, judged)
    if evidence.worth is not None:
        lines += _unproved(evidence.worth.functions)
        lines += _uncovered(evidence.worth.coverage)
        lines += _survivors(evidence.worth.mutation)
    return "\n".join(clean(line) for line in lines)


def _causes(project: Project, judged: Sequence[Judged]) -> Iterator[str]:
    """Each cause once, with the tests that it hits: one broken fixture is one line, not twenty."""
    groups: dict[tuple[str, str], list[Judged]] = {}
    for one in judged:
        if one.verdict != "keep" and not one.unjudged:
            reason = one.reasons[0]
            groups.setdefault((reason.kind, _key(one, reason)), []).append(one)
    for number, group in enumerate(groups.values()):
        if number == _MOST_CAUSES:
            yield f"... and {len(groups) - number} more causes"
            return
        yield _line(project, group)


def _key(one: Judged, reason: Reason) -> str:
    error = one.error
    if error is not None and reason.kind in {"fails", "errors", "import"} and error.frames:
        last = error.frames[-1]
        if last.file != one.file or reason.kind == "errors":
            return f"{error.type} {error.message[:200]} {last.file}:{last.line}"
    return f"{one.id} {reason.message}"


def _line(project: Project, group: Sequence[Judged]) -> str:
    one = group[0]
    reason = one.reasons[0]
    line = reason.line or one.line
    name = one.id.partition("::")[2] or one.id
    others = f" (and {len(group) - 1} more tests)" if len(group) > 1 else ""
    where = f"{one.file}:{line}" if line else one.file
    where = where if name == where else f"{where} {name}"
    parts = [f"{where}{others}: {reason.kind}: {_first_lines(reason.message)}"]
    parts += _code(one)
    parts += _meant(project, one.error)
    parts += (
        [f"Did you mean {reason.near!r}?"] if reason.kind == "hallucinated" and reason.near else []
    )
    parts += _side(one, reason)
    return " | ".join(parts)[: _LONGEST * 2]


def _first_lines(text: str) -> str:
    return " ".join(text.split())[:_LONGEST]


def _code(one: Judged) -> Iterator[str]:
    """The line of the test's own file, and that of the source where it was raised."""
    if one.error is None or one.reasons[0].kind not in {"fails", "errors", "import", "flaky"}:
        return
    frames = one.error.frames
    own = next((frame for frame in reversed(frames) if frame.file == one.file), None)
    if own is not None and own.text:
        yield f"line {own.line}: {own.text}"
    if frames and own is not None and frames[-1] != own:
        yield f"raised at {frames[-1].file}:{frames[-1].line}: {frames[-1].text}"


def _side(one: Judged, reason: Reason) -> Iterator[str]:
    """Which side is suspect where an expected value does not come."""
    if reason.kind == "fails" and one.error is not None and one.error.type == "AssertionError":
        yield "the source ran without error, so check the expected value first, then the source"


def _meant(project: Project, error: Raised | None) -> Iterator[str]:
    """The real signature of what was called wrongly; the name that was probably meant."""
    if error is None:
        return
    if called := _CALL.search(error.message):
        if signature := signatures(project).get(called.group(1)):
            yield f"its signature is {signature}"
    elif missing := _MISSING_NAME.search(error.message):
        names = list(signatures(project))
        near = difflib.get_close_matches(missing.group(1), names, 1, 0.6)
        known = ", ".join(names[:20])
        yield f"did you mean {near[0]!r}?" if near else f"the source has: {known}"


def signatures(project: Project) -> Mapping[str, str]:
    """The functions, methods and classes of the source as they are called, by name."""
    found: dict[str, str] = {}
    for module in project.sources:
        try:
            tree = ast.parse(project.text(module.path))
        except (SyntaxError, ValueError, RecursionError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
                text = f"{node.name}({ast.unparse(node.args)}){returns}"
                found.setdefault(node.name, text)
            elif isinstance(node, ast.ClassDef):
                found.setdefault(node.name, f"class {node.name}")
    return found


def _uncovered(coverage: Coverage | None) -> Iterator[str]:
    if coverage is None:
        return
    for path, file in coverage.files.items():
        if file.missing:
            yield f"not run by any test: {path} lines {ranges(file.missing)}"
        if branches := untaken(file):
            yield f"not taken by any test: {path} from line to line {branches}"


def untaken(file: FileCoverage) -> str:
    """Branches that no test takes though their line is run: `3->5, 8->exit`."""
    run = set(file.executed)
    found = sorted(pair for pair in file.missing_branches if pair[0] in run)
    shown = [f"{first}->{last if last > 0 else 'exit'}" for first, last in found[:_MOST_BRANCHES]]
    return ", ".join([*shown, "..."] if len(found) > len(shown) else shown)


def _unproved(functions: Sequence[Reached]) -> Iterator[str]:
    """Functions that may return what they like."""
    for one in [one for one in functions if one.unproved][:_MOST_UNPROVED]:
        yield f"no test notices when this function returns other values or does nothing: {one.file}:{one.line} {one.name}"


def _survivors(mutation: Mutation | None) -> Iterator[str]:
    if mutation is None:
        return
    for mutant in mutation.survivors[:_MOST_SURVIVORS]:
        yield f"no test notices this change: {mutant.diff}"


def ranges(numbers: Sequence[int]) -> str:
    """Line numbers as ranges: `3-5, 9`."""
    parts: list[str] = []
    start = last = 0
    for number in [*sorted(numbers), 0]:
        if start and number == last + 1:
            last = number
            continue
        if start:
            parts.append(f"{start}-{last}" if last > start else str(start))
        start = last = number
    return ", ".join(parts)
