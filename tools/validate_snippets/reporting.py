"""Put judgements into the report."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import _text
from .._verdict import Verdict
from .judged import Judged
from .plan import Attempt
from .report import (
    VERDICTS,
    FileReport,
    SnippetReport,
    SnippetsReport,
    StandaloneReport,
    file_report,
)
from .request import Document, Item, display
from .rewrite import patch
from .snippet import Page, Problem, Snippet
from .standalone import Standalone
from .update import Update


def with_forms(
    file: FileReport, items: Sequence[Item], forms: Mapping[int, Standalone]
) -> FileReport:
    """Return the report of raw items with what a store wants to know of each; `forms` are by index."""
    results: list[SnippetReport] = []
    for result in file.results:
        code = items[result.snippet_index].code
        change: dict[str, Any] = {
            "content_hash": hashlib.sha256(code.encode("utf-8", "surrogatepass")).hexdigest()
        }
        form = forms.get(result.snippet_index)
        if form is not None:
            change["packages"] = dict(form.packages)
            change["no_standalone"] = form.reason
        if form is not None and not form.reason:
            change["standalone"] = StandaloneReport(
                code=form.code,
                language=form.language,
                output=form.output,
                error=_text.clean(form.error),
                env=list(form.env),
            )
        results.append(result.model_copy(update=change))
    return file.model_copy(update={"results": results})


def only_passed(report: SnippetsReport) -> SnippetsReport:
    """Return the report without the results that did not pass; its verdict and its counts stay."""
    files = [
        file.model_copy(update={"results": [one for one in file.results if one.valid]})
        for file in report.files
    ]
    left = report.total_snippets - report.valid_snippets
    return report.model_copy(update={"files": files, "not_listed": left})


@dataclass(frozen=True, slots=True)
class Row:
    """A snippet, its judgement, and the attempt that it was judged by; `id` is a raw item's."""

    snippet: Snippet
    judged: Judged
    attempt: Attempt | None = None
    id: str | None = None


def with_updates(
    file: FileReport, document: Document, found: Sequence[Update], roots: Sequence[Path]
) -> FileReport:
    """Return the report with what would put, or has put, the real outputs into its files.

    `found` are those of this document and of files that it includes.
    """
    left = [
        f"{display(update.file, roots)}:{line}: {why}"
        for update in found
        for line, why in update.refused
    ]
    patches = {u.file: patch(display(u.file, roots), u.before, u.after) for u in found}
    if document.ids:
        names = {one.file: n for n, one in enumerate(document.page.snippets)}
        by_index = {names[name]: text for name, text in patches.items()}
        results = [
            one.model_copy(update={"patch": by_index.get(one.snippet_index, "")})
            for one in file.results
        ]
        return file.model_copy(update={"results": results, "not_updated": left})
    written = any(update.written for update in found)
    change = {"patch": "".join(patches.values()), "not_updated": left, "written": written}
    return file.model_copy(update=change)


def file_of(document: Document, rows: Sequence[Row], roots: Sequence[Path]) -> FileReport:
    """Return the report of a document."""
    if document.unreadable:
        return FileReport(
            file=document.name,
            verdict="errored",
            reason=document.unreadable,
            total_snippets=0,
            valid_snippets=0,
        )
    problems = [_problem(problem, roots) for problem in document.page.problems]
    results = [_result(document.page, row, roots) for row in rows]
    return file_report(document.name, results, problems)


def _problem(problem: Problem, roots: Sequence[Path]) -> str:
    at = problem.position
    return f"{display(at.file, roots)}:{at.line}: {problem.kind}: {problem.message}"


def _result(page: Page, row: Row, roots: Sequence[Path]) -> SnippetReport:
    snippet, judged = row.snippet, row.judged
    verdict = VERDICTS[judged.kind]
    return SnippetReport(
        snippet_index=snippet.index,
        id=row.id,
        line=snippet.line,
        column=snippet.column,
        language=snippet.language,
        verdict=verdict,
        kind=judged.kind,
        valid=verdict == "passed",
        reason=_text.clean(judged.reason + _included(judged, roots)),
        error=_error(judged, verdict),
        error_line=judged.line,
        error_text=text_of(snippet, judged),
        hint=_text.clean(judged.hint),
        diff=_text.clean(judged.diff),
        had_oracle=judged.oracle,
        setup=_setup(page, row.attempt),
        snippet=_text.clean(snippet.code),
    )


def _error(judged: Judged, verdict: Verdict) -> str | None:
    bad = verdict in {"failed", "errored"}
    return _text.clean(judged.error or (judged.reason if bad else "")) or None


def _included(judged: Judged, roots: Sequence[Path]) -> str:
    at = judged.included
    return f" It includes {display(at.file, roots)}, where line {at.line} failed." if at else ""


def text_of(snippet: Snippet, judged: Judged) -> str:
    """Return the text of the line that failed, "" if the snippet does not have it."""
    if judged.line is None:
        return ""
    failed = (snippet.file, judged.line)
    if judged.included is not None:
        failed = (judged.included.file, judged.included.line)
    for number, text in enumerate(snippet.code.split("\n"), 1):
        at = snippet.position(number)
        if (at.file, at.line) == failed:
            return _text.clean(text)[:300]
    return ""


def _setup(page: Page, attempt: Attempt | None) -> list[str]:
    if attempt is None:
        return []
    said = ["doctest_global_setup of conf.py"] if attempt.given else []
    said += attempt.imports
    for index in attempt.before:
        earlier = page.snippets[index]
        said.append(f"snippet {index} (lines {earlier.line}-{earlier.end_line})")
    return said
