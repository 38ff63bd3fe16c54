"""Judge each test by all that was found out."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from .diagnose import Instability
from .events import Item, Raised, TestResult, TestRun
from .findings import Finding
from .measured import Worth
from .prepare import Prepared
from .repeats import Repeats

TestVerdict = Literal["keep", "mend", "drop"]
Severity = Literal["drop", "mend", "note"]


@dataclass(frozen=True, slots=True)
class Reason:
    """Something that was found about a test. `kind` is one of `findings.Kind` or one of ours:

    fails, errors, hangs, ends_process, tampers, not_collected, shadowed, import, syntax, skipped, xfailed,
    xpassed, flaky, needs, broken_by, breaks, hash_seed, timezone, unexplained, not_run, untrusted.
    """

    kind: str
    message: str
    severity: Severity = "mend"
    line: int | None = None
    near: str = ""


@dataclass(frozen=True, slots=True)
class Judged:
    """A test, or what was meant as one, with its verdict. `id` is a file where nothing in it could run.

    `proofs` names functions whose breaking it notices.
    """

    id: str
    file: str
    line: int
    verdict: TestVerdict
    reasons: tuple[Reason, ...] = ()
    results: tuple[TestResult, ...] = ()
    error: Raised | None = None
    proofs: tuple[str, ...] = ()

    @property
    def unjudged(self) -> bool:
        """Whether it did not run by somebody's intention, so that nothing is known about it."""
        return self.verdict == "drop" and self.reasons[0].kind in {"skipped", "xfailed"}


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that was found out about a suite on one Python."""

    prepared: Prepared
    repeats: Repeats
    causes: Mapping[str, Instability] = field(default_factory=dict[str, Instability])
    worth: Worth | None = None
    smells: Mapping[str, Sequence[Finding]] = field(default_factory=dict[str, Sequence[Finding]])
    unseen: Mapping[str, Sequence[Finding]] = field(default_factory=dict[str, Sequence[Finding]])


_NO_PLUGIN = "The plugin that would run this `async def` test is not installed"
_FIXTURE = re.compile(r"\(('[^']+'),")
_MISSING_MODULE = re.compile(r"No module named '(?P<name>[^']+)'")
# They say why a test fails, better than its exception.
_TELLING = {"hallucinated", "async"}
_RANK: Mapping[Severity, int] = {"drop": 0, "mend": 1, "note": 2}


def judge(evidence: Evidence) -> list[Judged]:
    """Every test with its verdict, the files that could not run, and what was never collected."""
    run = evidence.repeats.first
    items = {item.id: item for item in run.items}
    judged = [_of_test(evidence, name, items.get(name)) for name in run.tests]
    judged += _of_culprits(evidence, items)
    judged += [_of_file(evidence, file, error) for file, error in run.not_collected.items()]
    judged += _never_collected(evidence)
    return judged


def _of_test(evidence: Evidence, name: str, item: Item | None) -> Judged:
    results = evidence.repeats.results(name)
    reasons = [
        *(Reason("untrusted", said, "drop") for said in evidence.repeats.untrusted[:1]),
        *_outcome_reasons(evidence, name, results),
        *_causes(evidence.causes, name),
        *_tampering(evidence, results),
        *_findings(evidence, name, item),
    ]
    reasons.sort(key=lambda reason: (_RANK[reason.severity], reason.kind not in _TELLING))
    worst = reasons[0].severity if reasons else "note"
    return Judged(
        id=name,
        file=item.file if item else name.partition("::")[0],
        line=item.line if item else 0,
        verdict="keep" if worst == "note" else worst,
        reasons=tuple(reasons),
        results=tuple(results),
        error=next((result.error for result in results if result.error), None),
        proofs=evidence.worth.proofs.get(name, ()) if evidence.worth else (),
    )


def _outcome_reasons(
    evidence: Evidence, name: str, results: Sequence[TestResult]
) -> Iterator[Reason]:
    outcomes = {result.outcome for result in results}
    if outcomes == {"passed"}:
        return
    if name in evidence.repeats.culprits:
        yield _culprit_reason(evidence.repeats.culprits[name], name)
        return
    first = next(result for result in results if result.outcome != "passed")
    stable = len(outcomes) == 1
    error = first.error
    line = _own_line(error, name)
    if outcomes == {"skipped"}:
        yield Reason(
            "skipped", f"It was skipped: {first.reason}. Nothing is known about it.", "drop"
        )
    elif outcomes == {"xfailed"}:
        said = f"It fails and is marked as expected to: {first.reason or 'without a reason'}."
        yield Reason("xfailed", said, "drop")
    elif outcomes == {"xpassed"}:
        yield Reason("xpassed", "It is marked as expected to fail, and passes: take the mark off.")
    elif first.outcome == "timed_out":
        yield Reason("hangs", "It does not end.")
    elif first.outcome in {"ended", "not_run"}:
        yield Reason("not_run", "It was not run to its end.")
    elif stable:
        kind = "errors" if first.outcome == "error" else "fails"
        yield Reason(kind, _what_failed(first), line=line)
    elif name not in evidence.causes:
        bad = sum(result.outcome != "passed" for result in results)
        yield Reason("flaky", f"It failed in {bad} of {len(results)} runs.", line=line)


def _what_failed(result: TestResult) -> str:
    phase = next((p for p in result.phases if p.outcome == "failed"), None)
    error = result.error
    said = _said(error) if error else "It failed."
    where = f"Its {phase.when} fails: " if phase is not None and phase.when != "call" else ""
    return f"{where}{said}"


def _said(error: Raised) -> str:
    """The exception, with what to do about it where pytest says that at length, or not at all."""
    if error.message.startswith("async def functions are not natively supported"):
        return f"{_NO_PLUGIN}: name it in packages (pytest-asyncio for pytest.mark.asyncio)."
    if error.type == "FixtureLookupError" and (name := _FIXTURE.match(error.message)):
        return f"There is no fixture {name[1]}."
    return f"{error.type}: {error.message.strip()}"


def _own_line(error: Raised | None, name: str) -> int | None:
    own = name.partition("::")[0]
    lines = [frame.line for frame in error.frames if frame.file == own] if error else []
    return lines[-1] if lines else None


def _causes(causes: Mapping[str, Instability], name: str) -> Iterator[Reason]:
    cause = causes.get(name)
    if cause is not None:
        yield Reason(cause.cause, cause.message, near=cause.other)
    broken = [
        victim for victim, one in causes.items() if one.other == name and one.cause == "broken_by"
    ]
    if broken:
        yield Reason(
            "breaks",
            f"It leaves something changed that makes {', '.join(broken[:3])} fail when they run after it.",
            near=broken[0],
        )


def _tampering(evidence: Evidence, results: Sequence[TestResult]) -> Iterator[Reason]:
    project = evidence.prepared.project
    guarded = {*project.tests, *(module.path for module in project.sources)}
    changed = sorted(guarded & {path for run in evidence.repeats.runs for path in run.changed})
    if not changed:
        return
    if any(_has_changed_files(result) for result in results):
        yield Reason("tampers", f"It changes files of the project: {', '.join(changed)}.", "drop")
    elif not any(
        _has_changed_files(one) for run in evidence.repeats.runs for one in run.tests.values()
    ):
        said = f"Something around the tests changes files of the project: {', '.join(changed)}."
        yield Reason("tampers", said, "drop")


def _has_changed_files(result: TestResult) -> bool:
    return "a file of the project" in result.left


def _findings(evidence: Evidence, name: str, item: Item | None) -> Iterator[Reason]:
    found = list(evidence.worth.findings.get(name, ())) if evidence.worth else []
    if item is not None:
        found += evidence.unseen.get(_written(item), ())
        found += evidence.smells.get(_written(item), ())
    for one in dict.fromkeys(found):
        yield Reason(one.kind, one.message, one.severity, one.line, one.near)


def _of_culprits(evidence: Evidence, items: Mapping[str, Item]) -> Iterator[Judged]:
    for name, run in evidence.repeats.culprits.items():
        if name in evidence.repeats.first.tests:
            continue
        item = items.get(name)
        result = run.tests.get(name)
        yield Judged(
            id=name,
            file=item.file if item else name.partition("::")[0],
            line=item.line if item else 0,
            verdict="mend" if run.hung_at else "drop",
            reasons=(_culprit_reason(run, name),),
            results=(result,) if result else (),
        )


def _culprit_reason(run: TestRun, name: str) -> Reason:
    problem = run.problems[0]
    if run.hung_at:
        where = _hung_line(run.hung_at, name.partition("::")[0])
        said = f"It does not end: it hangs in line {where}." if where else "It does not end."
        return Reason("hangs", said, line=where)
    kind = "tampers" if "tampered" in problem else "ends_process"
    return Reason(kind, f"While it ran: {problem}", "drop")


def _hung_line(trace: str, file: str) -> int | None:
    for line in trace.splitlines():
        if f'/{file}"' in line and ", line " in line:
            number = line.partition(", line ")[2].split()[0]
            return int(number) if number.isdigit() else None
    return None


def _of_file(evidence: Evidence, file: str, error: Raised) -> Judged:
    wrong = next((w for w in evidence.prepared.wrong_imports if w.file == file), None)
    line = _own_line(error, file)
    if wrong is not None and error.type in {"ModuleNotFoundError", "ImportError"}:
        prefix = wrong.written.partition(".")[0]
        said = (
            f"There is no package {prefix!r} here: imports begin below it. "
            f"Write {wrong.meant!r} instead of {wrong.written!r}."
        )
        reason = Reason("import", said, line=wrong.line, near=wrong.meant)
    else:
        own = any(sheet.error for sheet in evidence.prepared.sheets if sheet.path == file)
        said = f"It cannot be imported: {error.type}: {error.message.strip()}"
        advice = _import_advice(evidence, error, own=own)
        reason = Reason("syntax" if own else "import", said + advice, line=line)
    return Judged(file, file, line or 0, "mend", (reason,), error=error)


def _import_advice(evidence: Evidence, error: Raised, *, own: bool) -> str:
    """What to do, where the exception does not say it: a sentence, or nothing."""
    if error.type in {"SyntaxError", "IndentationError", "TabError"} and not own:
        return ". That is no file of tests: mend it first."
    if error.type == "ImportPathMismatchError":
        return ". Two test files have this name: give one of them another."
    missing = _MISSING_MODULE.fullmatch(error.message.strip())
    top = missing["name"].partition(".")[0] if missing else ""
    modules = (module.name.partition(".")[0] for module in evidence.prepared.project.sources)
    if top and top not in modules:
        return ". If a package has it, name that in packages."
    return ""


def _never_collected(evidence: Evidence) -> Iterator[Judged]:
    """What is written as a test and did not become one; where nothing ran, nobody knows."""
    if evidence.repeats.lost:
        return
    run = evidence.repeats.first
    collected = {_written(item) for item in run.items}
    unreadable = {*run.not_collected, *run.left_out, *evidence.repeats.culprits}
    taken_out = {name.partition("[")[0] for name in run.deselected}
    for sheet in evidence.prepared.sheets:
        if sheet.error:
            continue
        for one in sheet.uncollected:
            kind = "shadowed" if "takes its place" in one.why else "not_collected"
            reason = Reason(kind, one.why, line=one.line)
            yield Judged(f"{sheet.path}::{one.name}", sheet.path, one.line, "mend", (reason,))
        if sheet.path in unreadable:
            continue
        for test in sheet.tests:
            name = f"{sheet.path}::{test.name}"
            if name not in collected and name not in taken_out:
                reason = Reason("not_collected", "Pytest did not collect it.", line=test.line)
                yield Judged(name, sheet.path, test.line, "mend", (reason,))
        for one in sheet.conditional:
            name = f"{sheet.path}::{one.name}"
            if name not in collected and name not in taken_out:
                said = f"It was skipped: {one.why}. Nothing is known about it."
                reason = Reason("skipped", said, "drop", one.line)
                yield Judged(name, sheet.path, one.line, "drop", (reason,))


def _written(item: Item) -> str:
    scope = item.cls.replace(".", "::")
    return f"{item.file}::{scope}::{item.name}" if scope else f"{item.file}::{item.name}"
