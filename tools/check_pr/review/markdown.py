"""The review as Markdown that GitHub renders, never longer than GitHub takes."""

from collections.abc import Iterator, Sequence

from .escape import text
from .report import ProjectReport, PrReport
from .sections import SECTIONS, commits, left_at_home
from .tables import Size, bullets

MARKER = "<!-- proofbox:check_pr -->"
"""Hidden in what is rendered; a comment is found again by it."""

LIMIT = 65_000
"""Bytes. GitHub takes 65,535 in a check and 65,536 in a comment, and counts characters in one of them."""

_SIZES = tuple(
    Size(rows, details, words)
    for rows, details, words in (
        (200, 20, 300),
        (80, 10, 300),
        (30, 5, 200),
        (12, 2, 150),
        (5, 0, 100),
        (2, 0, 60),
    )
)


def markdown(report: PrReport, limit: int = LIMIT) -> str:
    """The whole review, in tables that are as long as `limit` bytes allow; what is left out is counted."""
    for size in _SIZES:
        review = _written(report, size)
        if len(review.encode()) <= limit:
            return review
    return _first_paragraphs(_written(report, _SIZES[-1]), limit)


def _written(report: PrReport, size: Size) -> str:
    parts = [MARKER, f"## proofbox: {report.verdict}", text(report.reason)]
    parts += _listed("For a person to look at", report.needs_review, size)
    parts += list(commits(report, size))
    several = len(report.projects) > 1
    for project in report.projects:
        parts += _project(project, size, several=several)
    parts += list(left_at_home(report, size))
    parts += _listed("Notes", report.notes, size)
    parts.append(_ending(report))
    return "\n\n".join(parts) + "\n"


def _project(project: ProjectReport, size: Size, *, several: bool) -> Iterator[str]:
    level = "###"
    if several:
        yield f"### {text(project.folder) or 'The top of the repository'}: {project.verdict}"
        yield text(project.reason)
        level = "####"
    for section in SECTIONS:
        body = list(section.write(project, size))
        if body:
            yield f"{level} {section.title}"
            yield from body


def _listed(title: str, sentences: Sequence[str], size: Size) -> list[str]:
    return [f"**{title}**", bullets(map(text, sentences), size)] if sentences else []


def _ending(report: PrReport) -> str:
    took = f" in {report.duration_seconds:,.0f} s" if report.duration_seconds else ""
    return f"<sub>Base and head were run in a sandbox by proofbox{took}.</sub>"


def _first_paragraphs(review: str, limit: int) -> str:
    """As many whole paragraphs as there is room for: half a table would not be rendered. There must be no
    blocks in it, in which there may be empty lines.
    """
    said = "\n\n**The rest did not fit here and was left out.**\n"
    room = limit - len(said.encode())
    kept: list[str] = []
    for part in review.split("\n\n"):
        room -= len(part.encode()) + 2
        if room < 0:
            break
        kept.append(part)
    return "\n\n".join(kept) + said
