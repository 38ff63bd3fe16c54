"""Look at work that goes on after the call that started it: wait for it, read its report, cancel it."""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Protocol

from mcp.server.mcpserver import Context
from mcp.types import CallToolResult, InputRequiredResult, TextContent
from pydantic import BaseModel, Field, ValidationError

from ..server.jobs import Jobs, JobState, OnProgress, State
from ..server.sandbox import ProofboxError
from . import _text
from ._client_model import attend
from ._context import advice, principal, teller
from ._progress import Feed, reporting
from ._workflow import WAIT_SECONDS, Workflow, progress_line, progress_of, rest_line, told_to
from ._workflow_report import ProgressReport
from .benchmark_model.tool import BENCHMARK
from .check_pr.tool import PULL_REQUEST
from .run_generated_tests.tool import TESTS
from .validate_snippets.tool import SNIPPETS

logger = logging.getLogger(__name__)

WORKFLOWS: Mapping[str, Workflow[Any]] = {
    workflow.kind: workflow for workflow in (SNIPPETS, TESTS, PULL_REQUEST, BENCHMARK)
}
"""The tools whose reports are shown as they show them themselves."""


class JobReport(BaseModel):
    """A job as it is now. Fields that would be empty are left out."""

    job_id: str
    kind: str = Field(description="The tool that started it.")
    state: State = Field(
        description="running: ask again. finished: see `report`. cancelled: somebody ended it. failed: "
        "proofbox or a sandbox did. interrupted: the proofbox that ran it has ended. All but finished "
        "say nothing about the code."
    )
    reason: str | None = Field(default=None, description="Why it is not finished.")
    elapsed_seconds: float
    progress: ProgressReport | None = None
    report: dict[str, Any] | None = Field(default=None, description="What that tool reports.")
    warning: str | None = None


class HasJobs(Protocol):
    """The lifespan context, as far as this tool needs it."""

    @property
    def jobs(self) -> Jobs: ...


@dataclass(frozen=True, slots=True)
class JobRequest:
    """What is asked of a job. `offset` and `full` say which part of a finished report to show."""

    job_id: str
    wait_seconds: float = WAIT_SECONDS
    cancel: bool = False
    offset: int = 0
    full: bool = False


async def run(
    ctx: Context[HasJobs], who: str, request: JobRequest, *, on_progress: OnProgress | None = None
) -> JobState | InputRequiredResult:
    """The job of `who` when it has ended, been cancelled, or the time is over; or a question that it has
    for the client's model.

    Raises:
        JobNotFound: `who` has no such job.
    """
    jobs = ctx.request_context.lifespan_context.jobs
    if request.cancel:
        return await jobs.cancel(who, request.job_id)
    return await attend(
        ctx, jobs, who, request.job_id, request.wait_seconds, on_progress=on_progress
    )


def to_report(state: JobState) -> JobReport:
    """A job's state on the wire, its report whole."""
    return JobReport(
        job_id=state.job_id,
        kind=state.kind,
        state=state.state,
        reason=_text.clean(state.reason) or None,
        elapsed_seconds=round(state.elapsed_seconds, 3),
        progress=None if state.state == "finished" else progress_of(state),
        report=state.report,
        warning=state.warning or None,
    )


def to_result(state: JobState, *, offset: int = 0, full: bool = False) -> CallToolResult:
    """The state as the protocol has it: text and structured content that each stand alone.

    A finished report reads as its tool would give it, from result `offset` on.
    """
    report = to_report(state)
    text, errored = render(report), report.state in {"failed", "interrupted"}
    workflow = WORKFLOWS.get(state.kind)
    if workflow is not None and state.report is not None:
        try:
            said, report.report = workflow.shown(state.report, offset, full=full)
        except ValidationError as error:
            logger.warning(
                "A %s report of another version is shown as it is: %s", state.kind, error
            )
        else:
            text = _rendered(report, said)
            errored = report.report["verdict"] == "errored"
    return CallToolResult(
        content=[TextContent(text=text)],
        structured_content=report.model_dump(mode="json", exclude_defaults=True),
        is_error=errored,
    )


def _rendered(report: JobReport, said: str) -> str:
    facts = report.report or {}
    lines = [said, rest_line(facts, report.job_id)] if "rest" in facts else [said]
    lines += [f"warning: {report.warning}"] if report.warning else []
    took = f"{report.elapsed_seconds:,.1f} s"
    return "\n".join([*lines, f"job_id: {report.job_id} (finished, {report.kind}, {took})"])


def render(report: JobReport) -> str:
    """The report as text, which says all that the structured form says."""
    so_far = " so far" if report.state == "running" else ""
    parts = [f"{report.state}: {report.kind} ({report.elapsed_seconds:,.1f} s{so_far})"]
    if report.reason:
        parts.append(report.reason)
    if report.progress:
        parts.append(f"progress: {progress_line(report.progress)}")
    if report.report is not None:
        parts.append(f"report: {_text.clean(json.dumps(report.report, ensure_ascii=False))}")
    if report.warning:
        parts.append(f"warning: {report.warning}")
    more = "; call get_job again to wait for its report" if report.state == "running" else ""
    parts.append(f"job_id: {report.job_id}{more}")
    return "\n".join(parts)


async def get_job(
    job_id: Annotated[
        str, Field(max_length=200, description="From the tool that started the job.")
    ],
    ctx: Context[HasJobs],
    wait_seconds: Annotated[
        float,
        Field(
            ge=0,
            le=600,
            description="How long to wait for its end. Many hosts give up on a call after 60 s.",
        ),
    ] = 45.0,
    cancel: Annotated[
        bool, Field(description="Stop the job instead; what it had found is lost.")
    ] = False,
    offset: Annotated[
        int, Field(ge=0, description="Show the report from this result on: its `rest` says which.")
    ] = 0,
    full: Annotated[
        bool, Field(description="Show texts whole that are cut otherwise, and so fewer results.")
    ] = False,
) -> Annotated[CallToolResult, JobReport] | InputRequiredResult:
    """Get the report of a job: work that was not done when the call that started it returned a job_id,
    or a report of which that call could only show a part.

    Waits until the job has ended, or wait_seconds are over; then call it again. `finished` comes with
    the report of the tool that started it, and only that report says how the code did. Reports are kept for weeks,
    also when proofbox is restarted, and can be read again. cancel=true stops a job you no longer need.
    """
    feed = Feed()
    request = JobRequest(job_id, wait_seconds, cancel, offset, full)

    try:
        async with reporting(feed, teller(ctx), lambda: ""):
            state = await run(ctx, principal(), request, on_progress=told_to(feed))
    except ProofboxError as error:
        raise advice(error) from error
    if isinstance(state, InputRequiredResult):
        return state
    return to_result(state, offset=offset, full=full)
