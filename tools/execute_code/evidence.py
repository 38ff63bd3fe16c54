"""From what a sandbox says about a run to the report of it, with what must be kept kept."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ...server.sandbox import Captured, CodeError, Execution, Result, Stream
from .. import _text
from .._artifacts import Shelf
from .._verdict import Verdict
from .beside import failure
from .leaving import has_left, is_at_its_end, sentence
from .made import LISTED
from .report import ArtifactReport, CutReport, ErrorReport, Report

# A result of about 8,000 characters of output is what agents' hosts forward without cutting.
OUTPUT_CHARACTERS = 8000
VALUE_CHARACTERS = 4000
TRACEBACK_CHARACTERS = 4000
REASON_CHARACTERS = 300
DISPLAYED = 10

_PIP = re.compile(r"^\s*[!%]?\s*(?:\S*python\S* -m )?pip3? install\b", re.MULTILINE)
_PACKAGES = " Packages are not installed from within: pass `packages`, without a session_id."
_IMAGES = ("image/png", "image/jpeg")
_SUFFIX = {
    "image/png": "png",
    "image/jpeg": "jpg",
    "image/svg+xml": "svg",
    "application/pdf": "pdf",
    "text/html": "html",
}


@dataclass(frozen=True, slots=True)
class Evidence:
    """A report that does not know its session yet, and the pictures that go beside it."""

    report: Report
    images: tuple[bytes, ...] = ()


class _Gathering:
    """One report in the making: cuts what is long, and keeps on the shelf what was cut."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self.cut: list[CutReport] = []
        self.artifacts: list[ArtifactReport] = []
        self.images: list[bytes] = []

    def text(self, what: str, text: str, limit: int, *, lost: int = 0) -> str:
        """The text, cut if need be; what was cut is noted and kept."""
        whole = _text.clean(text)
        cut = _text.cut(whole, limit)
        if cut.omitted or lost:
            kept = self._keep(what, "txt", "text/plain", whole.encode()) if cut.omitted else None
            self.cut.append(CutReport(what=what, omitted=cut.omitted, lost=lost, read=kept))
        return cut.text

    def captured(self, what: str, stream: Captured) -> str:
        return self.text(what, stream.text, OUTPUT_CHARACTERS, lost=stream.omitted)

    def pictures(self, result: Result) -> bool:
        """Keep what a person would look at; whether there was any."""
        shown = [kind for kind in _SUFFIX if kind in result.data]
        if result.table is not None:
            shown = [kind for kind in shown if kind != "text/html"]
        # One picture in several formats is one picture.
        for kind in shown[:1]:
            content = result.data[kind]
            data = (
                content if isinstance(content, bytes) else str(content).encode("utf-8", "replace")
            )
            what = "page" if kind == "text/html" else "plot"
            self._artifact(what, _SUFFIX[kind], kind, data)
            if kind in _IMAGES:
                self.images.append(data)
        for what, extra in (("chart", result.chart), ("table", result.table)):
            if extra is not None:
                self._artifact(what, "json", "application/json", _json(extra))
        return bool(shown) and shown[0] != "text/html"

    def _artifact(self, what: str, suffix: str, mime_type: str, content: bytes) -> None:
        if name := self._keep(what, suffix, mime_type, content):
            self.artifacts.append(ArtifactReport(name=name, mime_type=mime_type, size=len(content)))

    def _keep(self, what: str, suffix: str, mime_type: str, content: bytes) -> str | None:
        name = f"{what}-{self._shelf.number(what)}.{suffix}"
        return name if self._shelf.put(name, mime_type, content) else None


def gather(
    execution: Execution, shelf: Shelf, files: list[ArtifactReport], python: str, code: str
) -> Evidence:
    """The report of a run of `code` that came to an end, whatever the end was."""
    gathering = _Gathering(shelf)
    value, displayed = _texts(gathering, execution.results)
    verdict, reason = _verdict(execution, code)
    if verdict == "passed" and python and (failed := failure(execution)):
        verdict, reason = "failed", failed
    report = Report(
        verdict=verdict,
        reason=_text.cut(_text.clean(reason), REASON_CHARACTERS).text or None,
        error=None if verdict == "passed" else _error(gathering, execution.error),
        value=value,
        displayed=displayed,
        stdout=gathering.captured("stdout", execution.stdout),
        stderr=gathering.captured("stderr", execution.stderr),
        artifacts=gathering.artifacts + files[:LISTED],
        more_files=max(0, len(files) - LISTED),
        cut=gathering.cut,
        state_lost=execution.state_lost,
        duration_seconds=float(f"{execution.duration_seconds:.4g}"),
        python=python or None,
    )
    return Evidence(report, tuple(gathering.images))


def gather_lost(heard: Mapping[Stream, str], reason: str) -> Evidence:
    """The report of a run whose sandbox was lost: the end of what had been heard of it by then."""
    return Evidence(
        Report(
            verdict="errored",
            reason=reason,
            stdout=_text.clean(heard["stdout"]),
            stderr=_text.clean(heard["stderr"]),
        )
    )


def _verdict(execution: Execution, code: str) -> tuple[Verdict, str]:
    if execution.outcome == "completed":
        return "passed", ""
    error = execution.error
    if error is not None and has_left(error):
        at_end = is_at_its_end(error, code)
        return "passed" if at_end else "failed", sentence(error, at_end=at_end)
    reason = execution.reason or execution.outcome.replace("_", " ")
    return "failed", reason + _advice(error, code)


def _advice(error: CodeError | None, code: str) -> str:
    """What to do instead, where the error does not say it."""
    if error is not None and error.name == "ExitStatus" and _PIP.search(code):
        return f".{_PACKAGES}"
    if error is not None and error.value == "Cannot use import statement outside a module":
        return ". Use `await import('...')` or require('...') instead."
    return ""


def _texts(gathering: _Gathering, results: tuple[Result, ...]) -> tuple[str | None, list[str]]:
    value: str | None = None
    displayed: list[str] = []
    for result in results:
        pictured = gathering.pictures(result)
        text = None if pictured else next(_readable(result), None)
        if text is None:
            continue
        if result.is_main:
            value = gathering.text("value", text, VALUE_CHARACTERS)
        elif len(displayed) < DISPLAYED:
            displayed.append(gathering.text("displayed", text, VALUE_CHARACTERS))
        elif len(displayed) == DISPLAYED:
            displayed.append("[... and more was displayed ...]")
    return value, displayed


def _readable(result: Result) -> Iterator[str]:
    """The forms of a result that can be read as text, the plainest first."""
    for kind in ("text/plain", "text/markdown", "application/json", "text/latex"):
        if kind in result.data:
            content = result.data[kind]
            yield content if isinstance(content, str) else _json(content).decode()
    yield from (content for content in result.data.values() if isinstance(content, str))


def _json(content: Any) -> bytes:
    return json.dumps(content, ensure_ascii=False, default=str).encode("utf-8", "replace")


def _error(gathering: _Gathering, error: CodeError | None) -> ErrorReport | None:
    if error is None:
        return None
    return ErrorReport(
        name=_text.clean(error.name),
        value=_text.cut(_text.clean(error.value), VALUE_CHARACTERS).text,
        line=error.line,
        traceback=gathering.text("traceback", error.traceback, TRACEBACK_CHARACTERS) or None,
    )
