"""Run code in a sandbox and report what it printed, showed, made or raised."""

import base64
import logging
from dataclasses import dataclass
from typing import Annotated

from mcp.server.mcpserver import Context
from mcp.types import CallToolResult, ContentBlock, ImageContent, TextContent
from pydantic import Field

from ..server.sandbox import ProofboxError, Sandbox, SandboxUnavailable
from ..server.sessions import Lease
from . import _report, _request
from ._artifacts import Snapshot
from ._context import App, advice, app_of, principal
from ._evidence import Evidence, gather, gather_lost
from ._made import changed, snapshot
from ._pictures import picture_type
from ._progress import Feed, reporting, teller
from ._report import Report
from ._request import CodeRequest

logger = logging.getLogger(__name__)

# More and larger ones are listed only: hosts cap a result at about a megabyte.
SHOWN_IMAGES = 4
SHOWN_IMAGES_BYTES = 700_000


@dataclass(frozen=True, slots=True)
class Answer:
    """The report, and the pictures that go beside it."""

    report: Report
    images: tuple[bytes, ...] = ()


async def run(app: App, who: str, request: CodeRequest, feed: Feed) -> Answer:
    """Run the code in a session of `who`; `feed` hears its output.

    Raises:
        InvalidInput: the arguments cannot be honoured; nothing ran.
        SandboxError: there was no sandbox to run it in, or it was lost before the code started.
    """
    files = _request.checked_files(request.files)
    _request.check_env(request.env)
    if request.is_empty and not files:
        return Answer(Report(verdict="skipped", reason="There is no code: nothing ran."))
    async with app.sessions.lease(who, request.session_id, packages=request.packages) as lease:
        try:
            evidence = await lease.run(
                lambda sandbox: _work(app, lease, sandbox, request, files, feed)
            )
        except SandboxUnavailable as lost:
            if not lost.may_have_started:
                raise
            logger.warning("A sandbox was lost while code ran: %s", lost)
            evidence = gather_lost(feed.heard, str(lost))
        return Answer(_with_session(evidence.report, lease), evidence.images)


async def _work(
    app: App,
    lease: Lease,
    sandbox: Sandbox,
    request: CodeRequest,
    files: dict[str, bytes],
    feed: Feed,
) -> Evidence:
    shelf = app.artifacts.shelf(lease.session_id)
    known, shelf.files = shelf.files, None
    if files:
        await sandbox.write_files(files)
    if request.is_empty:
        reason = f"There is no code: nothing ran. Files written: {len(files)}."
        return Evidence(Report(verdict="skipped", reason=reason))
    # Between two calls of a session nothing but what the first left running changes files.
    if known is None or files or lease.state != "continued":
        known = await snapshot(sandbox)
    feed.started = True
    execution = await sandbox.run_code(
        request.code,
        language=request.language,
        env=request.env,
        timeout=request.timeout_seconds,
        on_output=feed.on_output,
    )
    shelf.files = await _files_after(sandbox)
    python = sandbox.python if request.language == "python" else ""
    return gather(execution, shelf, changed(known, shelf.files or {}), python, request.code)


async def _files_after(sandbox: Sandbox) -> Snapshot | None:
    """What is there after the run. A failure to list it must not hide what the code did."""
    try:
        return await snapshot(sandbox)
    except ProofboxError:
        logger.exception("Could not list the files of sandbox %s", sandbox.id)
        return None


def _with_session(report: Report, lease: Lease) -> Report:
    return report.model_copy(
        update={
            "session_id": lease.session_id,
            "session": lease.state,
            "session_reason": " ".join(filter(None, (lease.reset_reason, lease.note))) or None,
            "expires_in_seconds": round(lease.expires_in_seconds),
        }
    )


def to_result(answer: Answer) -> CallToolResult:
    """The answer as the protocol has it: text and structured content that each stand alone."""
    content: list[ContentBlock] = [TextContent(text=_report.render(answer.report))]
    room = SHOWN_IMAGES_BYTES
    for data in answer.images[:SHOWN_IMAGES]:
        room -= len(data)
        mime_type = picture_type(data)
        if room >= 0 and mime_type is not None:
            encoded = base64.b64encode(data).decode("ascii")
            content.append(ImageContent(data=encoded, mime_type=mime_type))
    return CallToolResult(
        content=content,
        structured_content=answer.report.model_dump(mode="json", exclude_defaults=True),
        is_error=answer.report.verdict == "errored",
    )


async def execute_code(
    code: Annotated[
        str,
        Field(max_length=_request.CODE_CHARACTERS, description="What to run."),
    ],
    ctx: Context[App],
    language: Annotated[
        str,
        Field(
            max_length=40,
            description="python (IPython: magics, !commands and top-level await work), bash, or "
            "javascript; on E2B also typescript, r and java.",
        ),
    ] = "python",
    session_id: Annotated[
        str | None,
        Field(
            max_length=200,
            description="From an earlier result, to go on with its variables and files. "
            "Leave out for a fresh sandbox.",
        ),
    ] = None,
    files: Annotated[
        dict[str, str] | None,
        Field(
            description="Text files to write first: path (relative to /home/user, where code starts, "
            "or below /tmp) to content."
        ),
    ] = None,
    packages: Annotated[
        list[Annotated[str, Field(max_length=200)]] | None,
        Field(
            max_length=50,
            description="Python requirements to add to a fresh sandbox, like ['scipy>=1.11'].",
        ),
    ] = None,
    env: Annotated[
        dict[str, str] | None,
        Field(description="Environment variables for this call. The code can read them all."),
    ] = None,
    timeout_seconds: Annotated[
        float,
        Field(gt=0, le=_request.TIMEOUT_SECONDS, description="After it the code is stopped."),
    ] = 30.0,
) -> Annotated[CallToolResult, Report]:
    """Run code in an isolated sandbox and get a verdict with its evidence: what it printed, the value
    of its last expression, plots, files it made, or the error and the line that raised it.

    Use it to check code before you rely on it, to compute, and to look at data. State persists: pass
    the returned session_id to go on with the same variables and files; leave it out to start clean.
    numpy, pandas, matplotlib and pytest are there unless the operator chose otherwise. There is no network and no access to the user's
    machine: give input by `files`. verdict `failed` means the code did it, `errored` that the
    sandbox did and nothing is known about the code, `skipped` that nothing ran. Long output is cut;
    `cut` names the artifact that has the rest. read_artifact gives plots, files and cut output;
    close_session frees a session you no longer need, and idle ones expire.
    """
    app = app_of(ctx)
    request = CodeRequest(
        code=code,
        language=language.strip().lower(),
        session_id=session_id,
        files=files or {},
        packages=tuple(packages or ()),
        env=env or {},
        timeout_seconds=timeout_seconds,
    )
    feed = Feed()

    try:
        async with reporting(feed, teller(ctx), lambda: app.news.line):
            return to_result(await run(app, principal(), request, feed))
    except ProofboxError as error:
        instead = "Omit session_id to start in a fresh sandbox."
        raise advice(error, without_session=instead) from error
