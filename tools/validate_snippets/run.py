"""Validate snippets: find them, run each with as little before it as it needs, and report."""

import time

import anyio

from .. import _request
from .._context import App
from . import filters, probe, unrun
from .judge import Judged
from .project import with_project
from .report import SnippetsReport, run_report
from .reporting import Row, file_of
from .request import SnippetsRequest, documents
from .validation import Case, OnDone, Validation


async def run(
    app: App, who: str, request: SnippetsRequest, on_done: OnDone = lambda done, total: None
) -> SnippetsReport:
    """Validate what the request names, in a sandbox of `who` that is closed at the end.

    Raises:
        InvalidInput: the arguments cannot be honoured; nothing ran.
        SandboxError: there was no sandbox to run anything in.
    """
    began = time.monotonic()
    _request.check_env(request.env)
    request = await anyio.to_thread.run_sync(with_project, request, app.roots)
    filters.check(request.normalise)
    found = await anyio.to_thread.run_sync(lambda: list(documents(request, app.roots)))
    cases = [
        Case(document, snippet, document.ids.get(snippet.index))
        for document in found
        for snippet in document.page.snippets
        if unrun.is_judged(snippet)
    ]
    validation = Validation(app, who, request, cases, on_done)
    facts = await validation.finish() if cases else probe.Facts()
    rows: dict[int, list[Row]] = {id(document): [] for document in found}
    for case in cases:
        rows[id(case.document)].append(_row(case))
    report = run_report([file_of(document, rows[id(document)], app.roots) for document in found])
    return report.model_copy(
        update={
            "python": facts.python,
            "packages": list(request.packages),
            "lost_sandboxes": validation.losses,
            "duration_seconds": round(time.monotonic() - began, 3),
        }
    )


def _row(case: Case) -> Row:
    judged = case.done or Judged("infra", "It was not judged.")
    return Row(case.snippet, judged, case.setup, case.id)
