"""The part of a report that fits into one answer: regressions first, long lists cut, the rest counted."""

from typing import Any, TypeVar, cast

from pydantic import BaseModel

from ... import _text
from ..._workflow_report import Rest
from .markdown import markdown
from .report import ProjectReport, PrReport, PrTestReport

RESULTS = 60
CHARACTERS = 24_000
FULL_CHARACTERS = 50_000
_ERROR = 500
_ROWS, _FULL_ROWS = 12, 200
_REVIEW, _FULL_REVIEW = 4_000, 30_000

M = TypeVar("M", bound=BaseModel)


def page(report: PrReport, offset: int = 0, full: bool = False) -> PrReport:
    """The report from its listed test `offset` on, as a `Workflow` wants it.

    What is not said test by test is on the first page.
    """
    shown, cut = _first(report, full) if offset == 0 else (_bare(report), 0)
    room = (FULL_CHARACTERS if full else CHARACTERS) - len(_json(shown))
    every = [(number, one) for number, each in enumerate(report.projects) for one in each.tests]
    taken: list[list[PrTestReport]] = [[] for _ in report.projects]
    count = 0
    for number, test in every[offset : offset + RESULTS * (4 if full else 1)]:
        told, omitted = (test, 0) if full else _cut(test)
        room -= len(_json(told))
        if room < 0 and count:
            break
        taken[number].append(told)
        cut, count = cut + omitted, count + 1
    projects = [
        each.model_copy(update={"tests": tests})
        for each, tests in zip(shown.projects, taken, strict=True)
        if offset == 0 or tests
    ]
    left = max(0, len(every) - offset - count)
    rest = Rest(results=left, offset=offset + count if left else None, characters=cut)
    return shown.model_copy(update={"projects": projects, "rest": rest if left or cut else None})


def _cut(test: PrTestReport) -> tuple[PrTestReport, int]:
    error = _text.cut(test.error, _ERROR)
    return test.model_copy(update={"error": error.text}), error.omitted


def _bare(report: PrReport) -> PrReport:
    """What a later page says of the whole: the verdicts."""
    projects = [
        ProjectReport(folder=one.folder, verdict=one.verdict, reason=one.reason)
        for one in report.projects
    ]
    return PrReport(
        verdict=report.verdict, reason=report.reason, refs=report.refs, projects=projects
    )


def _first(report: PrReport, full: bool) -> tuple[PrReport, int]:
    """Everything but the tests, with the ends of long lists left out, and how many characters those have."""
    rows = _FULL_ROWS if full else _ROWS
    projects = [one.model_copy(update={"tests": []}) for one in report.projects]
    review = report.review and markdown(report, _FULL_REVIEW if full else _REVIEW)
    bare = report.model_copy(update={"projects": projects, "review": review})
    shorter, omitted = _shortened(bare, rows)
    return shorter, omitted + max(0, len(report.review) - len(review))


def _shortened(model: M, rows: int) -> tuple[M, int]:
    """The model with every list in it cut after `rows`, and the characters of what was cut."""
    change: dict[str, Any] = {}
    omitted = 0
    for name in type(model).model_fields:
        value: Any = getattr(model, name)
        if isinstance(value, BaseModel):
            change[name], cut = _shortened(value, rows)
        elif isinstance(value, list):
            change[name], cut = _shorter_list(cast(list[Any], value), rows)
        else:
            continue
        omitted += cut
    return model.model_copy(update=change), omitted


def _shorter_list(items: list[Any], rows: int) -> tuple[list[Any], int]:
    kept: list[Any] = []
    omitted = 0
    for item in items[:rows]:
        shown, cut = _shortened(item, rows) if isinstance(item, BaseModel) else (item, 0)
        kept.append(shown)
        omitted += cut
    return kept, omitted + sum(len(_json(item)) for item in items[rows:])


def _json(item: Any) -> str:
    return item.model_dump_json(exclude_defaults=True) if isinstance(item, BaseModel) else item
