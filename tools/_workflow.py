"""How a workflow tool answers: with its report, or, where that takes longer, with the id of a job.

A new workflow tool makes its report a `WorkflowReport`, and one `Workflow` of it:

    FINDINGS = Workflow("find_things", FindingsReport, render=render, page=page)

    async def find_things(
        ctx: Context[App], what: str, wait_seconds: WaitSeconds = WAIT_SECONDS
    ) -> Annotated[CallToolResult, FINDINGS.answer]:
        async def work(progress: Progress) -> FindingsReport:
            return await run(app_of(ctx), principal(), what, progress.report)

        return await FINDINGS.run(ctx, work, wait_seconds)

and names it in `WORKFLOWS` of `get_job`, which then reads the report as the tool itself gives it.
`principal()` is to be asked before the work begins, in the call. The whole report is kept whenever an
answer leaves something out: `page` says so by `rest`.
"""

from collections.abc import Awaitable, Callable
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Generic, TypeVar

import anyio
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import CallToolResult, InputRequiredResult, TextContent
from pydantic import BaseModel, Field, create_model

from ..server.jobs import JobState, OnProgress, Progress, Questions, Report, Work, run_or_job
from ..server.sandbox import ProofboxError
from . import _text
from ._app import App
from ._client_model import attend, job_of
from ._context import advice, app_of, principal, teller
from ._progress import Feed, reporting
from ._workflow_report import JobNote, ProgressReport, Rest, WorkflowReport

WAIT_SECONDS = 45.0
WaitSeconds = Annotated[
    float,
    Field(
        ge=0,
        le=600,
        description="How long to wait for the report; then the work goes on as a job, for get_job. Many "
        "hosts give up on a call after 60 s.",
    ),
]


R = TypeVar("R", bound=WorkflowReport)


@dataclass(frozen=True)
class Workflow(Generic[R]):
    """One kind of long work, and how its reports are shown.

    Attributes:
        kind: the tool's name. model: its report.
        render: a page as text that says all that the structured form says, but for `rest` and `job`.
        page: the report from a result (from 0) on, as much as fits into an answer, with `rest` where
            something is left out; long texts are cut unless the last argument is true.
    """

    kind: str
    model: type[R]
    render: Callable[[R], str]
    page: Callable[[R, int, bool], R]

    @cached_property
    def answer(self) -> type[BaseModel]:
        """The schema of the tool's results: the report, of which a running job has only a `reason`."""
        return create_model(self.model.__name__, __base__=self.model, **_optional(self.model))

    async def run(
        self,
        ctx: Context[App],
        work: Callable[[Progress], Awaitable[R]],
        wait_seconds: float = WAIT_SECONDS,
    ) -> CallToolResult:
        """Do the work for whoever asks; the report if it is there in time, else the job's id.

        Until the id is told, a call that is cancelled cancels the work.

        Raises:
            ToolError: what the work raised, as the model is to read it.
        """
        app, feed = app_of(ctx), Feed()
        try:
            async with reporting(feed, teller(ctx), lambda: app.news.line):
                state = await run_or_job(
                    app.jobs,
                    principal(),
                    self.kind,
                    _stored(work),
                    wait_seconds,
                    on_progress=told_to(feed),
                    keep=lambda report: app.keeps_reports or self._page(report).rest is not None,
                )
        except ProofboxError as error:
            raise advice(error) from error
        return self._told(state)

    async def converse(
        self,
        ctx: Context[App],
        work: Callable[[Progress], Awaitable[R]],
        questions: Questions,
        wait_seconds: float = WAIT_SECONDS,
    ) -> CallToolResult | InputRequiredResult:
        """As `run`, for work that asks the client's model (`_client_model`). A call with the answer to a
        question goes on with the work of the call before, and not with this.

        Raises:
            ToolError: as `run`; or nothing came of the work.
        """
        app, who, feed = app_of(ctx), principal(), Feed()
        try:
            answered = job_of(ctx)
            job_id = answered or await app.jobs.start(who, self.kind, _stored(work), questions)
            if not answered and not wait_seconds:
                return self._told(await app.jobs.wait(who, job_id))
            try:
                async with reporting(feed, teller(ctx), lambda: app.news.line):
                    state = await attend(
                        ctx, app.jobs, who, job_id, wait_seconds, on_progress=told_to(feed)
                    )
            except anyio.get_cancelled_exc_class():
                with anyio.CancelScope(shield=True):
                    await app.jobs.cancel(who, job_id)
                raise
        except ProofboxError as error:
            raise advice(error) from error
        if isinstance(state, InputRequiredResult):
            return state
        if state.state not in {"running", "finished"}:
            raise ToolError(state.reason)
        return self._told(state)

    def shown(self, report: Report, offset: int = 0, *, full: bool = False) -> tuple[str, Report]:
        """A stored report from a result on, as text and as data.

        Raises:
            ValidationError: another version of proofbox wrote it.
        """
        page = self._page(report, offset, full=full)
        return self.render(page), page.model_dump(mode="json", exclude_defaults=True)

    def _page(self, report: Report, offset: int = 0, *, full: bool = False) -> R:
        return self.page(self.model.model_validate(report), offset, full)

    def _told(self, state: JobState) -> CallToolResult:
        return self._running(state) if state.report is None else self._finished(state, state.report)

    def _finished(self, state: JobState, report: Report) -> CallToolResult:
        text, facts = self.shown(report)
        if "rest" in facts:
            text += f"\n{rest_line(facts, state.job_id)}"
            facts["job"] = _note(state)
        return CallToolResult(
            content=[TextContent(text=text)],
            structured_content=facts,
            is_error=facts["verdict"] == "errored",
        )

    def _running(self, state: JobState) -> CallToolResult:
        progress = progress_of(state)
        lines = [f"running: {self.kind} is not done ({state.elapsed_seconds:,.1f} s so far)"]
        lines += [f"progress: {progress_line(progress)}"] if progress else []
        lines += [f"warning: {state.warning}"] if state.warning else []
        lines.append(
            f"job_id: {state.job_id}; call get_job with it for the report, or to cancel the work"
        )
        reason = f"It is still running: call get_job. {state.warning}".rstrip()
        return CallToolResult(
            content=[TextContent(text="\n".join(lines))],
            structured_content={"reason": reason, "job": _note(state)},
        )


def _stored(work: Callable[[Progress], Awaitable[BaseModel]]) -> Work:
    """The work, with its report as jobs keep it."""

    async def whole(progress: Progress) -> Report:
        return (await work(progress)).model_dump(mode="json", exclude_defaults=True)

    return whole


def rest_line(facts: Report, job_id: str) -> str:
    """One line about what a page leaves out, and the call that gives it."""
    rest = Rest.model_validate(facts["rest"])
    lines: list[str] = []
    if rest.offset is not None:
        lines.append(
            f"{rest.results:,} more results: get_job(job_id={job_id!r}, offset={rest.offset})"
        )
    if rest.characters:
        lines.append(
            f"{rest.characters:,} characters cut out of texts: get_job(job_id={job_id!r}, full=true)"
        )
    return "\n".join(lines)


def progress_of(state: JobState) -> ProgressReport | None:
    """The progress of a job, if there is any."""
    if not (state.done or state.total or state.message):
        return None
    message = _text.last_line(state.message)
    return ProgressReport(done=state.done, total=state.total, message=message)


def progress_line(progress: ProgressReport) -> str:
    """The progress in a line: `120 of 500, page.md`."""
    count = f"{progress.done:,}"
    if progress.total is not None:
        count += f" of {progress.total:,}"
    return f"{count}, {progress.message}" if progress.message else count


def told_to(feed: Feed) -> OnProgress:
    """Hands the progress of a job to a feed, as the newest line of its output."""

    def tell(state: JobState) -> None:
        progress = progress_of(state)
        if progress is not None:
            feed.started = True
            feed.on_output("stdout", f"{progress_line(progress)}\n")

    return tell


def _note(state: JobState) -> dict[str, Any]:
    note = JobNote(
        job_id=state.job_id,
        state=state.state,
        elapsed_seconds=round(state.elapsed_seconds, 3),
        progress=progress_of(state) if state.state == "running" else None,
    )
    return note.model_dump(mode="json", exclude_defaults=True)


def _optional(model: type[BaseModel]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        if field.is_required() and name != "reason":
            # Not a default of None: the schema would show it as a value that the field may have.
            left_out = copy(field)
            left_out.default_factory = lambda: None
            said = (field.description or "").rstrip(".")
            left_out.description = f"{said}. Left out while the job runs.".removeprefix(". ")
            fields[name] = (field.annotation, left_out)
    return fields
