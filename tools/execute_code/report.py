"""The report of one run of code: its model, and its text for hosts that forward only text."""

from typing import Literal

from pydantic import BaseModel, Field

from .. import _text
from .._verdict import Verdict


class ErrorReport(BaseModel):
    """The exception that ended the code."""

    name: str
    value: str
    line: int | None = Field(default=None, description="In the code that was passed, from 1.")
    traceback: str | None = None


class ArtifactReport(BaseModel):
    """A plot or a file that this call made. `read_artifact` gives its content."""

    name: str
    mime_type: str
    size: int = Field(description="Bytes.")


class CutReport(BaseModel):
    """Something that was too long to send whole."""

    what: str
    omitted: int = Field(description="Characters left out here.")
    lost: int = Field(default=0, description="Bytes that were not kept at all.")
    read: str | None = Field(default=None, description="The artifact that has the rest.")


class Report(BaseModel):
    """What happened when the code ran. Fields that would be empty are left out."""

    verdict: Verdict = Field(
        description="passed; failed: the code did it; errored: the sandbox did; skipped: nothing ran."
    )
    reason: str | None = Field(default=None, description="Why, unless it passed at its end.")
    error: ErrorReport | None = None
    value: str | None = Field(default=None, description="Text of the last expression.")
    displayed: list[str] = Field(default=[], description="Text of what else was displayed.")
    stdout: str = ""
    stderr: str = ""
    artifacts: list[ArtifactReport] = []
    more_files: int = Field(default=0, description="Files made beyond those in `artifacts`.")
    cut: list[CutReport] = []
    state_lost: bool = Field(
        default=False, description="The interpreter was replaced: variables are gone."
    )
    duration_seconds: float | None = None
    python: str | None = Field(default=None, description="The version that ran the code.")
    session_id: str | None = Field(default=None, description="Pass it to continue.")
    session: Literal["new", "continued", "reset"] | None = None
    session_reason: str | None = Field(
        default=None, description="Why the session was reset, or what else of it was lost."
    )
    expires_in_seconds: int | None = Field(
        default=None, description="If it is not used until then."
    )


def render(report: Report) -> str:
    """The report as text, which says all that the structured form says."""
    parts = [_headline(report)]
    if report.error:
        parts.append(_error(report.error))
    if report.value is not None:
        parts.append(_block("value", report.value))
    parts.extend(_block("displayed", text) for text in report.displayed)
    parts.extend(
        _block(name, text)
        for name, text in (("stdout", report.stdout), ("stderr", report.stderr))
        if text
    )
    if report.artifacts:
        parts.append(_artifacts(report))
    parts.extend(_cut(cut) for cut in report.cut)
    if report.session_id:
        parts.append(_session(report))
    return "\n".join(parts)


def _headline(report: Report) -> str:
    line = report.verdict + (f": {report.reason}" if report.reason else "")
    ran = f"Python {report.python}" if report.python else ""
    took = f"{report.duration_seconds:.3g} s" if report.duration_seconds is not None else ""
    facts = ", ".join(fact for fact in (took, ran) if fact)
    lost = "\nThe interpreter was replaced: variables are gone, files are not."
    return line + (f" ({facts})" if facts else "") + (lost if report.state_lost else "")


def _error(error: ErrorReport) -> str:
    where = f"line {error.line} raised" if error.line is not None else "raised"
    # A traceback ends with the name and the value.
    what = f"\n{error.traceback.rstrip()}" if error.traceback else f" {error.name}: {error.value}"
    return f"{where}:{what}"


def _block(name: str, text: str) -> str:
    text = text.rstrip()
    return f"{name}:\n{text}" if "\n" in text else f"{name}: {text}"


def _artifacts(report: Report) -> str:
    listed = "; ".join(
        f"{item.name} ({item.mime_type}, {_text.size(item.size)})" for item in report.artifacts
    )
    more = f"; and {report.more_files:,} more files" if report.more_files else ""
    return f"artifacts, for read_artifact: {listed}{more}"


def _cut(cut: CutReport) -> str:
    line = f"{cut.what} was cut: {cut.omitted:,} characters left out"
    if cut.lost:
        line += f" and {cut.lost:,} bytes not kept"
    return line + (f"; read_artifact has the rest as {cut.read}" if cut.read else "")


def _session(report: Report) -> str:
    state = report.session or ""
    if report.session_reason:
        state += f", {report.session_reason.rstrip('.')}"
    expiry = (
        f"; expires after {report.expires_in_seconds} s without use"
        if report.expires_in_seconds is not None
        else ""
    )
    return f"session_id: {report.session_id} ({state}{expiry})"
