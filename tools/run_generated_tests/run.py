"""Run a suite as often as it takes to believe it, weigh it, and report."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import anyio

from ...server.programs import OpenSandbox
from ...server.sandbox import InvalidInput
from .. import _request
from .._app import App
from .diagnose import diagnose
from .events import TestRun
from .findings import Finding
from .measured import Worth, WorthOptions
from .overall import suite_verdict
from .prepare import Prepared, prepare
from .project import Project
from .repeats import repeat
from .report import PythonReport, TestsReport
from .reporting import Outcome, report_of, version_of
from .request import TestsRequest
from .running import Plan
from .sandboxes import sandboxes
from .smells import smells
from .unseen import unseen
from .verdicts import Evidence, judge
from .worth import weigh

Tell = Callable[[str], None]
"""Called with a sentence on how far it is."""

MOST_REPEATS = 10
_RUN_SECONDS = 900.0


@dataclass(frozen=True, slots=True)
class _On:
    """Where a suite runs: how sandboxes are opened and how many at most, and with what each run begins."""

    open_sandbox: OpenSandbox
    sandboxes: int
    base: Plan
    tell: Tell


async def run(
    app: App, who: str, request: TestsRequest, tell: Tell = lambda said: None
) -> TestsReport:
    """Run the tests of a request in sandboxes of `who` that are closed at the end.

    Raises:
        InvalidInput: the arguments cannot be honoured; nothing ran.
        SandboxError: there was no sandbox to run anything in.
    """
    began = time.monotonic()
    _request.check_env(request.env)
    if not 1 <= request.repeat <= MOST_REPEATS:
        raise InvalidInput(f"repeat is {request.repeat}; it can be 1 to {MOST_REPEATS}.")
    prepared = await anyio.to_thread.run_sync(prepare, request, app.roots)
    outcomes = await _on_each_python(app, who, request, prepared, tell)
    return report_of(request, outcomes, seconds=time.monotonic() - began)


async def _on_each_python(
    app: App, who: str, request: TestsRequest, prepared: Prepared, tell: Tell
) -> list[Outcome]:
    """The first version that is there is told in full; on the others only the outcomes count."""
    versions = tuple(dict.fromkeys(request.python_versions)) or ("",)
    outcomes: list[Outcome] = []
    for version in versions:
        if version:
            tell(f"Python {version}")
        try:
            async with sandboxes(app, who, prepared.project.packages, version) as opened:
                base = Plan(
                    env=request.env, test_seconds=request.timeout_seconds, seconds=_RUN_SECONDS
                )
                full = not any(outcome.evidence for outcome in outcomes)
                on = _On(opened, app.sessions.spread, base, tell)
                evidence = await _examine(request, prepared, on, full=full)
        except InvalidInput as error:
            if len(versions) == 1:
                raise
            said = PythonReport(python=version, verdict="skipped", reason=str(error))
            outcomes.append(Outcome(said))
            continue
        judged = judge(evidence)
        verdict = suite_verdict(evidence, judged, weighed=full)
        outcomes.append(Outcome(version_of(version, verdict, evidence), evidence, tuple(judged)))
    if not any(outcome.evidence for outcome in outcomes):
        raise InvalidInput(" ".join(outcome.python.reason for outcome in outcomes))
    return outcomes


async def _examine(request: TestsRequest, prepared: Prepared, on: _On, *, full: bool) -> Evidence:
    project = prepared.project
    repeats = await repeat(
        project, on.base, request.repeat, on.open_sandbox, on.tell, sandboxes=on.sandboxes
    )
    project = repeats.project or project
    seen = unseen(prepared.sheets, project, (*repeats.runs, *repeats.extra))
    evidence = Evidence(prepared, repeats, unseen=seen)
    if repeats.untrusted or repeats.lost or not repeats.first.tests:
        return replace(evidence, smells=_smells(prepared.project))
    causes = await diagnose(project, repeats, on.base, on.open_sandbox, on.tell)
    evidence = replace(evidence, causes=causes)
    if not full:
        return evidence
    on.tell("Measuring what the tests are worth")
    worth = await _weigh(request, project, evidence, on)
    return replace(evidence, worth=worth, smells=_smells(prepared.project))


async def _weigh(request: TestsRequest, project: Project, evidence: Evidence, on: _On) -> Worth:
    """Only tests that pass whatever the order can show what they notice."""
    stable = _stable(evidence.repeats.first, evidence)
    options = WorthOptions(
        mutation=request.mutation,
        cpu_seconds=request.cpu_seconds,
        coverage_target=request.coverage_target,
        env=request.env,
        test_seconds=request.timeout_seconds,
    )
    return await weigh(project, stable, on.open_sandbox, options, on.tell)


def _stable(first: TestRun, evidence: Evidence) -> TestRun:
    tests = {
        name: result
        for name, result in first.tests.items()
        if set(evidence.repeats.outcomes(name)) == {"passed"}
    }
    return replace(first, tests=tests)


def _smells(project: Project) -> dict[str, Sequence[Finding]]:
    """What can be seen without running, by test; of a whole file by the file."""
    found: dict[str, Sequence[Finding]] = {}
    for path in project.tests:
        if path.endswith(".py"):
            for name, findings in smells(project, path).items():
                found[f"{path}::{name}" if name else path] = findings
    return found
