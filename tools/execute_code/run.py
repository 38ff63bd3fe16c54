"""One run of code in a session."""

import logging
from dataclasses import dataclass

from ...server.sandbox import ProofboxError, Sandbox, SandboxUnavailable
from ...server.sessions import Lease
from .. import _request
from .._app import App
from .._artifacts import Snapshot
from .._progress import Feed
from .._request import CodeRequest
from .evidence import Evidence, gather, gather_lost
from .made import changed, snapshot
from .report import Report

logger = logging.getLogger(__name__)


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
