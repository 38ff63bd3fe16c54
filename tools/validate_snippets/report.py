"""The report of a validation: its models, and its text for people and for hosts that forward only text."""

from collections import Counter
from typing import Literal

from pydantic import BaseModel, Field

from .._verdict import Verdict
from .._workflow_report import WorkflowReport

Kind = Literal[
    "works",
    "works_with_setup",
    "expected_error",
    "output_mismatch",
    "raises",
    "syntax",
    "timeout",
    "unsafe",
    "not_code",
    "needs_network",
    "needs_credentials",
    "needs_file",
    "needs_dependency",
    "interactive",
    "skipped_by_author",
    "language",
    "infra",
]

VERDICTS: dict[Kind, Verdict] = {
    "works": "passed",
    "works_with_setup": "passed",
    "expected_error": "passed",
    "output_mismatch": "failed",
    "raises": "failed",
    "syntax": "failed",
    "timeout": "failed",
    "unsafe": "failed",
    "not_code": "skipped",
    "needs_network": "skipped",
    "needs_credentials": "skipped",
    "needs_file": "skipped",
    "needs_dependency": "skipped",
    "interactive": "skipped",
    "skipped_by_author": "skipped",
    "language": "skipped",
    "infra": "errored",
}
ORDER: tuple[Verdict, ...] = ("failed", "errored", "skipped", "passed")


class StandaloneReport(BaseModel):
    """An example with all that it needs, which prints `output` wherever it is run."""

    code: str
    language: str
    output: str = ""
    error: str = Field(
        default="", description="What it raises at its end, because it is to show that."
    )
    env: list[str] = Field(default=[], description="Variables that have to be set.")


class SnippetReport(BaseModel):
    """One snippet. Lines and columns are the document's, from 1."""

    snippet_index: int = Field(description="From 0 in its file.")
    id: str | None = Field(default=None, description="Of a raw item.")
    line: int
    column: int = 1
    language: str = ""
    verdict: Verdict
    kind: Kind
    valid: bool = Field(description="Whether it passed.")
    reason: str = Field(default="", description="One sentence, unless it simply works.")
    error: str | None = Field(description="The exception, or what else is wrong with it.")
    error_line: int | None = Field(
        default=None, description="The line of the document that failed."
    )
    error_text: str = Field(default="", description="That line's text.")
    hint: str = Field(default="", description="What the author probably meant.")
    diff: str = Field(default="", description="Shown against printed output.")
    had_oracle: bool = Field(
        default=False, description="Something was compared; else only that it ran is known."
    )
    setup: list[str] = Field(default=[], description="What was run first, because it needs it.")
    patch: str = Field(default="", description="Of a raw item: as that of a file.")
    content_hash: str = Field(default="", description="Of a raw item: SHA-256 of its code.")
    packages: dict[str, str] = Field(
        default={}, description="Of a raw item: the versions of what it imports."
    )
    standalone: StandaloneReport | None = Field(
        default=None, description="Of a raw item that works; it has been run twice to prove it."
    )
    no_standalone: str = Field(default="", description="Why there is no such form.")
    snippet: str = ""


class FileReport(BaseModel):
    """One document, failures first."""

    file: str
    verdict: Verdict
    reason: str = ""
    total_snippets: int
    valid_snippets: int
    results: list[SnippetReport] = []
    left_out: int = Field(default=0, description="Results that did not fit here.")
    problems: list[str] = Field(default=[], description="What could not be read as it was meant.")
    patch: str = Field(
        default="",
        description="Unified diff that puts the real outputs in the place of wrong ones.",
    )
    written: bool = Field(default=False, description="The patch has been applied to the file.")
    not_updated: list[str] = Field(default=[], description="Wrong outputs that were left, and why.")


class SnippetsReport(WorkflowReport):
    """All documents of a run, failures first."""

    verdict: Verdict = Field(
        description="passed: nothing failed or errored and something passed. skipped: nothing to judge."
    )
    total_snippets: int
    valid_snippets: int
    counts: dict[Kind, int] = Field(default={})
    not_listed: int = Field(
        default=0, description="Results that are not listed: they did not pass."
    )
    without_oracle: int = Field(
        default=0, description="Passed snippets of which only is known that they ran."
    )
    files: list[FileReport] = Field(default=[])
    files_left_out: int = 0
    python: str = ""
    packages: list[str] = Field(default=[], description="Added to those of every sandbox.")
    lost_sandboxes: int = 0
    duration_seconds: float = 0.0


def verdict_of(verdicts: list[Verdict]) -> Verdict:
    """The verdict on several: good only if nothing is bad and something is good."""
    for verdict in ("failed", "errored", "passed"):
        if verdict in verdicts:
            return verdict
    return "skipped"


def file_report(file: str, results: list[SnippetReport], problems: list[str]) -> FileReport:
    """The report of one document."""
    verdict = verdict_of([result.verdict for result in results])
    reason = ""
    if not results:
        reason = "No snippet was found in this file: nothing was checked."
    elif verdict == "skipped":
        reason = "Every snippet was skipped: nothing was checked."
    return FileReport(
        file=file,
        verdict=verdict,
        reason=reason,
        total_snippets=len(results),
        valid_snippets=sum(result.valid for result in results),
        results=sorted(results, key=_rank),
        problems=problems,
    )


def _rank(result: SnippetReport) -> tuple[int, int]:
    return ORDER.index(result.verdict), result.snippet_index


def run_report(files: list[FileReport]) -> SnippetsReport:
    """The report of a run."""
    results = [result for file in files for result in file.results]
    counts: Counter[Kind] = Counter(result.kind for result in results)
    # A file that could not be read has a verdict without a result.
    verdict = verdict_of([file.verdict for file in files])
    return SnippetsReport(
        verdict=verdict,
        reason=_sentence(files, results),
        total_snippets=len(results),
        valid_snippets=sum(result.valid for result in results),
        counts=dict(counts.most_common()),
        without_oracle=sum(result.valid and not result.had_oracle for result in results),
        files=sorted(files, key=lambda file: ORDER.index(file.verdict)),
    )


def _sentence(files: list[FileReport], results: list[SnippetReport]) -> str:
    where = f"{len(files)} file{'s' if len(files) != 1 else ''}"
    if not results:
        return f"NO SNIPPETS were found in {where}: nothing was checked."
    counts = Counter(result.verdict for result in results)
    said = ", ".join(f"{counts[verdict]} {verdict}" for verdict in ORDER if counts[verdict])
    unread = sum(file.verdict == "errored" and not file.results for file in files)
    said += f"; {unread} of the files could not be read" if unread else ""
    if not counts["passed"] and not counts["failed"] and not counts["errored"]:
        said += "; NOTHING was checked"
    return f"{len(results)} snippet{'s' if len(results) != 1 else ''} in {where}: {said}."


def render(report: SnippetsReport, *, passed: bool = True) -> str:
    """The report as text: what failed with its place and cause, then the rest, without what `passed`
    where that is not wanted.
    """
    python = f" (Python {report.python}, {report.duration_seconds:.3g} s)" if report.python else ""
    lines = [f"{report.verdict}: {report.reason}{python}"]
    for file in report.files:
        lines += [f"{file.file}: {file.reason}"] if file.reason and not _is_empty(file) else []
        lines += [f"{problem}" for problem in file.problems]
        for result in file.results:
            lines += _lines(file.file, result) if result.verdict != "passed" else []
            # An exception that is wanted is no reservation.
            if result.verdict == "passed" and result.kind != "expected_error" and result.reason:
                lines.append(f"{file.file}:{result.line}: passed, but: {result.reason}")
        lines += _passed(file) if passed else []
        lines += _update(file)
    if empty := [file.file for file in report.files if _is_empty(file)]:
        names = ", ".join(empty[:10]) + (", ..." if len(empty) > 10 else "")
        lines.append(f"no snippet was found in {len(empty)} of the files: {names}")
    if report.counts:
        counts = ", ".join(f"{kind} {count}" for kind, count in report.counts.items())
        lines.append(f"kinds: {counts}")
    if report.not_listed:
        lines.append(f"{report.not_listed} that did not pass are not listed")
    if report.without_oracle:
        lines.append(f"{report.without_oracle} of those that passed show no output to compare with")
    if report.lost_sandboxes:
        lines.append(f"sandboxes lost on the way: {report.lost_sandboxes}")
    return "\n".join(lines)


def _is_empty(file: FileReport) -> bool:
    return file.verdict == "skipped" and not file.total_snippets


def _update(file: FileReport) -> list[str]:
    lines = [f"left as it is: {line}" for line in file.not_updated]
    if file.patch:
        said = "has been updated" if file.written else "can be updated"
        lines += [f"{file.file} {said}:", *file.patch.rstrip("\n").split("\n")]
    return lines


def _passed(file: FileReport) -> list[str]:
    passed = [result for result in file.results if result.verdict == "passed"]
    places = [result.id or f"{result.line}" for result in passed]
    named = "" if any(result.id for result in passed) else "line " if len(passed) == 1 else "lines "
    lines = [f"{file.file}: passed: {named}{', '.join(places)}"] if places else []
    for place, result in zip(places, passed, strict=True):
        lines += [f"    {place} ran after: {'; '.join(result.setup)}"] if result.setup else []
        lines += _standalone(place, result)
    return lines


def _standalone(place: str, result: SnippetReport) -> list[str]:
    form = result.standalone
    if form is None:
        return (
            [f"    {place} has no form of its own: {result.no_standalone}"]
            if result.no_standalone
            else []
        )
    versions = "".join(f", {name} {version}" for name, version in result.packages.items())
    env = f", needs {', '.join(form.env)}" if form.env else ""
    lines = [f"{place} by itself ({form.language}{versions}{env}; sha256 {result.content_hash}):"]
    lines += [f"    {row}" for row in form.code.rstrip("\n").split("\n")]
    for name, text in (("prints", form.output), ("raises", form.error)):
        rows = text.rstrip("\n").split("\n") if text else []
        lines += [f"  {name}:", *(f"    {row}" for row in rows)] if rows else []
    return lines


def _lines(file: str, result: SnippetReport) -> list[str]:
    line = result.error_line or result.line
    said = result.error or ""
    reason = result.reason if said in result.reason else f"{result.reason} {said}"
    name = f" [{result.id}]" if result.id else ""
    lines = [f"{file}:{line}:{name} {result.verdict}, {result.kind}: {reason.strip()}"]
    lines += [f"    {result.error_text.strip()}"] if result.error_text.strip() else []
    lines += [f"    {result.hint}"] if result.hint else []
    lines += [f"    {row}" for row in result.diff.splitlines()]
    lines += [f"    run first: {'; '.join(result.setup)}"] if result.setup else []
    lines += [f"    {row}" for row in result.patch.rstrip("\n").split("\n") if result.patch]
    return lines
