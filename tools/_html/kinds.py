"""Which report is shown how."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from pydantic import BaseModel, ValidationError

from .._verdict import Verdict
from ..benchmark_model import report as bench
from ..benchmark_model import webpage as bench_page
from ..check_pr.review import paging as pr_paging
from ..check_pr.review import report as pr
from ..check_pr.review import webpage as pr_page
from ..execute_code import report as code_report
from ..run_generated_tests import report as tests
from ..run_generated_tests import webpage as tests_page
from ..validate_snippets import paging as snippets_paging
from ..validate_snippets import report as snippets
from ..validate_snippets import webpage as snippets_page
from . import code_run
from .document import alone
from .markup import Html, joined
from .parts import left_out
from .unknown import tree

R = TypeVar("R", bound=BaseModel)

# A page beyond this freezes what shows it. The JSON has all.
_MOST = 3_000_000


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of report.

    Attributes:
        name: the tool's. title: what a page of it is called. sign: a field that only it has.
        body: its content, of the part that is shown and of the whole. page: as in `Workflow`, the part
            from a result on, as much as is read at a time.
    """

    name: str
    title: str
    model: type[BaseModel]
    sign: str
    body: Callable[[Any, Any], Html]
    page: Callable[[Any, int, bool], Any]


def _whole(report: R, offset: int, full: bool) -> R:
    return report


KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("check_pr", "Pull request", pr.PrReport, "refs", pr_page.body, pr_paging.page),
        Kind(
            "run_generated_tests",
            "Tests",
            tests.TestsReport,
            "tests_execute",
            tests_page.body,
            tests.page,
        ),
        Kind(
            "validate_snippets",
            "Snippets",
            snippets.SnippetsReport,
            "total_snippets",
            snippets_page.body,
            snippets_paging.page,
        ),
        Kind(
            "benchmark_model",
            bench_page.TITLE,
            bench.BenchReport,
            "dataset",
            bench_page.body,
            bench.page,
        ),
        Kind("execute_code", "Run of code", code_report.Report, "verdict", code_run.body, _whole),
    )
}
"""By the name of the tool, those with the most telling sign first."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A report as it is shown. `verdict` is None where the report has none that we know; `next_offset` is the
    result that the next page begins with, if there is one.
    """

    title: str
    verdict: Verdict | None
    reason: str
    body: Html
    next_offset: int | None = None


def shown(facts: Mapping[str, Any], name: str = "", offset: int | None = None) -> Shown:
    """A report as JSON has it, of the tool `name` (else of whichever it looks like), from a result on; without
    an offset the whole, if that is not too much to be shown.
    """
    kind = KINDS.get(name) if name else _looks_like(facts)
    if kind is None:
        return _unknown(facts, name)
    try:
        whole = kind.model.model_validate(facts)
    except ValidationError:
        return _unknown(facts, kind.name)
    if offset is None:
        found = _part(kind, whole, whole)
        if len(found.body) <= _MOST:
            return found
    return _part(kind, kind.page(whole, offset or 0, True), whole)


def file_of(facts: Mapping[str, Any], name: str = "") -> str:
    """A report as a page that stands alone."""
    found = shown(facts, name)
    return alone(found.title, found.verdict, found.reason, found.body)


def _part(kind: Kind, part: Any, whole: Any) -> Shown:
    rest = getattr(part, "rest", None)
    left = left_out(rest.results, "results") if rest and rest.results else None
    body = joined(kind.body(part, whole), left)
    return Shown(kind.title, whole.verdict, whole.reason or "", body, rest.offset if rest else None)


def _looks_like(facts: Mapping[str, Any]) -> Kind | None:
    return next((kind for kind in KINDS.values() if kind.sign in facts), None)


def _unknown(facts: Mapping[str, Any], name: str) -> Shown:
    verdict, reason = facts.get("verdict"), facts.get("reason")
    known = verdict in {"passed", "failed", "errored", "skipped"}
    return Shown(
        (name or "Report").replace("_", " "),
        cast(Verdict, verdict) if known else None,
        reason if isinstance(reason, str) else "",
        joined(tree(dict(facts))),
    )
