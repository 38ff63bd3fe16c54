"""Look at work that goes on after the call that started it: wait for it, read its report, cancel it."""

import json
from typing import Annotated, Any, Protocol

from mcp.server.mcpserver import Context
from mcp.types import CallToolResult, TextContent
from pydantic import BaseModel, Field

from ..server.jobs import Jobs, JobState, OnProgress, State
from ..server.sandbox import ProofboxError
from . import _text
from ._context import advice, principal
from ._progress import Feed, reporting


class ProgressReport(BaseModel):
    """How far it is. What is counted, and whether a total is known, depends on the tool."""

    done: int
    total: int | None = None
    message: str = Field(default="", description="What it is at.")


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


async def run(
    jobs: Jobs,
    who: str,
    job_id: str,
    *,
    wait_seconds: float,
    cancel: bool = False,
    on_progress: OnProgress | None = None,
) -> JobReport:
    """The job of `who` when it has ended, been cancelled, or the time is over.

    Raises:
        JobNotFound: `who` has no such job.
    """
    if cancel:
        return to_report(await jobs.cancel(who, job_id))
    return to_report(await jobs.wait(who, job_id, wait_seconds, on_progress=on_progress))


def to_report(state: JobState) -> JobReport:
    """A job's state on the wire."""
    progress = None
    if state.done or state.total or state.message:
        message = _text.last_line(state.message)
        progress = ProgressReport(done=state.done, total=state.total, message=message)
    return JobReport(
        job_id=state.job_id,
        kind=state.kind,
        state=state.state,
        reason=_text.clean(state.reason) or None,
        elapsed_seconds=round(state.elapsed_seconds, 3),
        progress=None if state.state == "finished" else progress,
        report=state.report,
        warning=state.warning or None,
    )


def to_result(report: JobReport) -> CallToolResult:
    """The report as the protocol has it: text and structured content that each stand alone."""
    return CallToolResult(
        content=[TextContent(text=render(report))],
        structured_content=report.model_dump(mode="json", exclude_defaults=True),
        is_error=report.state in {"failed", "interrupted"},
    )


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


def progress_line(progress: ProgressReport) -> str:
    """The progress in a line: `120 of 500, page.md`."""
    count = f"{progress.done:,}"
    if progress.total is not None:
        count += f" of {progress.total:,}"
    return f"{count}, {progress.message}" if progress.message else count


def told_to(feed: Feed) -> OnProgress:
    """Hands the progress of a job to a feed, as the newest line of its output."""

    def tell(state: JobState) -> None:
        progress = to_report(state).progress
        if progress is not None:
            feed.on_output("stdout", f"{progress_line(progress)}\n")

    return tell


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
) -> Annotated[CallToolResult, JobReport]:
    """Get the report of a job: work that was not done when the call that started it returned a job_id.

    Waits until the job has ended, or wait_seconds are over; then call it again. `finished` comes with
    the report of the tool that started it, and only that report says how the code did. Reports are kept for weeks,
    also when proofbox is restarted, and can be read again. cancel=true stops a job you no longer need.
    """
    feed = Feed()

    async def tell(elapsed: float, line: str) -> None:
        await ctx.report_progress(round(elapsed, 3), message=line)

    try:
        async with reporting(feed, tell, lambda: ""):
            report = await run(
                ctx.request_context.lifespan_context.jobs,
                principal(),
                job_id,
                wait_seconds=wait_seconds,
                cancel=cancel,
                on_progress=told_to(feed),
            )
    except ProofboxError as error:
        raise advice(error) from error
    return to_result(report)
