"""The report of one run of code as part of a page."""

from .. import _text
from ..execute_code.report import ArtifactReport, CutReport, Report
from .markup import Html, joined
from .parts import Column, block, code, facts, line, seconds, sentence, table


def body(shown: Report, whole: Report) -> Html:
    """The page's content."""
    error = whole.error
    return joined(
        facts(
            {
                "took": seconds(whole.duration_seconds)
                if whole.duration_seconds is not None
                else None,
                "Python": whole.python,
                "session": line(f"{whole.session or ''} {whole.session_reason or ''}"),
                "raised": code(error.name) if error else None,
                "in line": f"{error.line}" if error and error.line else None,
            }
        ),
        sentence("The interpreter was replaced: variables are gone.") if whole.state_lost else None,
        block((error.traceback or error.value) if error else "", "What it raised", folded=False),
        block(whole.value or "", "Value of the last expression", folded=False),
        [block(text, "Displayed") for text in whole.displayed[:50]],
        block(whole.stdout, "stdout", folded=False),
        block(whole.stderr, "stderr"),
        table(
            "What it made",
            shown.artifacts,
            (
                Column[ArtifactReport]("name", lambda one: code(one.name)),
                Column("type", lambda one: line(one.mime_type)),
                Column("size", lambda one: _text.size(one.size), number=True),
            ),
        ),
        table(
            "What was too long to be kept here",
            whole.cut,
            (
                Column[CutReport]("what", lambda one: line(one.what)),
                Column("characters left out", lambda one: f"{one.omitted:,}", number=True),
                Column(
                    "bytes lost", lambda one: f"{one.lost:,}" if one.lost else None, number=True
                ),
                Column("is in", lambda one: code(one.read or "")),
            ),
        ),
    )
