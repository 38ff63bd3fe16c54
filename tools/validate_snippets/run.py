"""Validate snippets: find them, run each with as little before it as it needs, and report."""

import secrets
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import anyio

from .. import _request
from .._app import App
from . import filters, probe, unrun, update
from .build import Surroundings
from .extract import format_of
from .judged import Judged
from .plan import Attempt
from .project import with_project
from .report import FileReport, SnippetsReport, run_report
from .reporting import Row, file_of, only_passed, with_forms, with_updates
from .request import Document, SnippetsRequest, documents
from .sandboxes import Sandboxes
from .standalone import Standalone, Wanted, standalone
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
    request = await anyio.to_thread.run_sync(with_project, request, app.roots)
    _request.check_env(request.env)
    filters.check(request.normalise)
    found = await anyio.to_thread.run_sync(lambda: list(documents(request, app.roots)))
    cases = [
        Case(document, snippet, document.ids.get(snippet.index))
        for document in found
        for snippet in document.page.snippets
        # Of raw items every one is asked for by its id.
        if document.ids or unrun.is_judged(snippet)
    ]
    validation = Validation(app, who, request, cases, on_done)
    facts = await validation.finish() if cases else probe.Facts()
    rows: dict[int, list[Row]] = {id(document): [] for document in found}
    for case in cases:
        rows[id(case.document)].append(_row(case))
    files = [file_of(document, rows[id(document)], app.roots) for document in found]
    if request.update != "no":
        files = await anyio.to_thread.run_sync(
            lambda: list(_updated(request, found, files, cases, app.roots))
        )
    losses = validation.losses
    if request.snippets:
        forms, lost = await _forms(app, who, request, cases, validation.packages)
        files = [with_forms(files[0], request.snippets, forms)]
        losses += lost
    report = run_report(files)
    report = report.model_copy(
        update={
            "python": facts.python,
            "packages": list(validation.packages),
            "lost_sandboxes": losses,
            "duration_seconds": round(time.monotonic() - began, 3),
        }
    )
    return only_passed(report) if request.only_working else report


async def _forms(
    app: App, who: str, request: SnippetsRequest, cases: Sequence[Case], packages: tuple[str, ...]
) -> tuple[dict[int, Standalone], int]:
    """The forms of the items that work, by index, and how many sandboxes were lost for them."""
    working = [case for case in cases if case.done is not None and case.done.passed]
    wanted = [Wanted(case.snippet, case.setup or Attempt("alone")) for case in working]
    around = Surroundings(
        secrets.token_hex(16), request.env, request.setup, request.timeout_seconds
    )
    if not wanted:
        return {}, 0
    async with Sandboxes(app, who, packages) as sandboxes:
        forms = await standalone(wanted, around, sandboxes)
    indexes = [case.snippet.index for case in working]
    return dict(zip(indexes, forms, strict=True)), sandboxes.losses


def _updated(
    request: SnippetsRequest,
    found: Sequence[Document],
    files: Sequence[FileReport],
    cases: Sequence[Case],
    roots: Sequence[Path],
) -> Iterator[FileReport]:
    """The reports of the files, with what puts the real outputs into them; it is written if asked for."""
    given = {"<text>": request.text or "", **{f"<{i.id}>": i.code for i in request.snippets}}

    def read(file: str) -> str:
        return given[file] if file in given else update.read_file(file)

    wrong = [one for case in cases if case.done is not None for one in case.done.wrong]
    changes = update.updates(
        wrong, read, lambda file: request.format if file == "<text>" else format_of(file)
    )
    if request.update == "write":
        changes = [update.write(one) if one.file not in given else one for one in changes]
    owners: dict[str, int] = {}
    for case in cases:
        for one in case.done.wrong if case.done is not None else ():
            # A file that several pages include is reported with the first of them.
            owners.setdefault(one.shown.file, id(case.document))
    for document, file in zip(found, files, strict=True):
        own = [change for change in changes if owners[change.file] == id(document)]
        yield with_updates(file, document, own, roots) if own else file


def _row(case: Case) -> Row:
    judged = case.done or Judged("infra", "It was not judged.")
    return Row(case.snippet, judged, case.setup, case.id)
