"""The report as a check run of the commit that it is about, with annotations."""

from collections.abc import Sequence
from typing import Any

from ..._verdict import Verdict
from ..pull.github import GitHub
from ..review.markdown import LIMIT, markdown
from ..review.plain import one_line
from ..review.report import AnnotationReport, PrReport, Severity

NAME = "proofbox"
BATCH = 50
"""Annotations that GitHub takes in one request."""

CONCLUSIONS: dict[Verdict, str] = {
    "passed": "success",
    "failed": "failure",
    # `neutral` and `skipped` would let a required check pass, though nothing was decided.
    "errored": "action_required",
    "skipped": "action_required",
}
_LEVELS: dict[Severity, str] = {"error": "failure", "warning": "warning", "notice": "notice"}
_TITLE = 255
_MESSAGE = 16_000


async def check_run(github: GitHub, repository: str, head: str, report: PrReport) -> str:
    """Make a check run on commit `head` with all annotations of lines that it has; its address.

    Raises:
        ProofboxError: GitHub did not take it, or not all of its annotations.
    """
    annotations = [_annotation(one) for one in report.annotations if one.side == "RIGHT"]
    title = one_line(f"{report.verdict}: {report.reason}", _TITLE)
    output: dict[str, Any] = {"title": title, "summary": markdown(report, LIMIT)}
    first, *more = _batches(annotations)
    made = await github.call(
        "POST",
        f"/repos/{repository}/check-runs",
        {
            "name": NAME,
            "head_sha": head,
            "status": "completed",
            "conclusion": CONCLUSIONS[report.verdict],
            "output": {**output, "annotations": first},
        },
    )
    for batch in more:
        # They are added to those that are there; the rest of the output has to be said again.
        path = f"/repos/{repository}/check-runs/{made['id']}"
        await github.call("PATCH", path, {"output": {**output, "annotations": batch}})
    return str(made.get("html_url", ""))


def _batches(annotations: Sequence[dict[str, Any]]) -> list[Sequence[dict[str, Any]]]:
    starts = range(0, max(1, len(annotations)), BATCH)
    return [annotations[start : start + BATCH] for start in starts]


def _annotation(one: AnnotationReport) -> dict[str, Any]:
    return {
        "path": one.path,
        "start_line": one.line,
        "end_line": max(one.line, one.end_line),
        "annotation_level": _LEVELS[one.severity],
        "title": one_line(one.title, _TITLE),
        "message": one.message[:_MESSAGE] or one.title,
    }
