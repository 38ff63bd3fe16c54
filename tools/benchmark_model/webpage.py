"""The report as one HTML page: nothing is loaded, nothing runs, all foreign text is escaped."""

from collections.abc import Iterable, Iterator
from html import escape

from .. import _text
from . import charts
from .charts import Point
from .report import BenchReport, ModelReport
from .summary import Model, Summary

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_STYLE = """
:root { color-scheme: light dark; --soft: #8884; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2.5rem; }
svg { width: 100%; height: auto; } svg text { font: 12px system-ui, sans-serif; fill: currentColor; }
svg .grid { stroke: #8886; stroke-width: 1; }
table { border-collapse: collapse; width: 100%; display: block; overflow-x: auto; }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid var(--soft); vertical-align: top; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
.note { color: #888; } code { overflow-wrap: anywhere; } details { margin: .5rem 0; }
"""


def page(report: BenchReport, summary: Summary) -> str:
    """The page. It has no date of its own, so that the same samples give the same page."""
    return "\n".join(_page(report, summary)) + "\n"


def _page(report: BenchReport, summary: Summary) -> Iterator[str]:
    yield '<!doctype html><html lang="en"><head><meta charset="utf-8">'
    yield f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
    yield '<meta name="viewport" content="width=device-width"><title>proofbox: benchmark</title>'
    yield f"<style>{_STYLE}</style></head><body><h1>Which model writes code that works</h1>"
    yield (
        f"<p>{report.tasks} tasks of <code>{_safe(report.dataset)}</code>, {report.samples_each} answers of"
        f" each model to each. Every answer ran in isolation. {_safe(report.reason)}</p>"
    )
    yield "<h2>How often a first answer is right</h2>"
    yield (
        "<p>The dot is the share of tasks solved (pass@1). The bar is where the true share lies with 95 %"
        " confidence, if these tasks stand for all such tasks. Where bars overlap much, the order may be luck."
        "</p>"
    )
    yield charts.intervals(summary.models, 1)
    yield from _separations(report)
    if curve := charts.curves(summary.models):
        yield "<h2>If you may try several times</h2><p>pass@k is the chance that at least one of k answers is"
        yield f"right.</p>{curve}"
    yield from _ranking(report)
    yield "<h2>Which tasks each model solves</h2>"
    yield (
        "<p>One column a task, those that few solve first. Dark blue: all answers pass. Dark orange: none"
        " does. Dashed: no verdict. Point at a cell for its name.</p>"
    )
    yield charts.matrix(summary)
    yield from _trade_offs(summary)
    yield from _failures(report)
    yield from _outcomes(report)
    yield "</body></html>"


def _separations(report: BenchReport) -> Iterator[str]:
    if report.separations:
        yield "<h2>Is one really better than the other?</h2><ul>"
        for pair in report.separations:
            yield f"<li>{_safe(pair.sentence)}</li>"
        yield "</ul>"


def _ranking(report: BenchReport) -> Iterator[str]:
    yield "<h2>The figures</h2>"
    heads = (
        "",
        "model",
        "pass@1",
        "95 % interval",
        "answers",
        "latency, median",
        "tokens out",
        "cost",
    )
    yield from _table(heads, (_row(rank, one) for rank, one in enumerate(report.models, 1)))


def _row(rank: int, one: ModelReport) -> list[str]:
    first = one.pass_at[0] if one.pass_at else None
    unanswered = f", {one.unanswered} without a verdict" if one.unanswered else ""
    return [
        str(rank),
        f"<code>{_safe(one.model)}</code>",
        f"{100 * first.value:.1f} %" if first else "unknown",
        f"{100 * first.low:.1f} to {100 * first.high:.1f} %" if first else "",
        f"{one.passed} of {one.samples} pass{unanswered}",
        f"{one.latency.p50:.2f} s" if one.latency else "unknown",
        f"{one.output_tokens:,}" if one.output_tokens is not None else "unknown",
        _safe(one.cost),
    ]


def _latency(one: Model) -> float | None:
    return one.latency.p50


def _speed(one: Model) -> float | None:
    return one.relative_time


def _cost_of_a_thousand(one: Model) -> float | None:
    return 1000 * one.usd / one.priced if one.usd is not None else None


_TRADE_OFFS = (
    (
        "Time against quality",
        "Seconds until an answer was complete, the median, without waiting and retries.",
        "s",
        _latency,
    ),
    (
        "Speed of the code against quality",
        "How long passing code ran, as a multiple of the reference's time; the median.",
        "×",
        _speed,
    ),
    (
        "Cost against quality",
        "USD for a thousand answers. Models of unknown cost are left out.",
        "USD",
        _cost_of_a_thousand,
    ),
)


def _trade_offs(summary: Summary) -> Iterator[str]:
    colour = charts.colours(summary.models)
    for title, said, unit, figure in _TRADE_OFFS:
        points = [
            Point(one.name, figure(one), one.pass_at[1], colour[one.name])
            for one in summary.models
            if 1 in one.pass_at
        ]
        yield f"<h2>{title}</h2><p>{said} Better is further up and further left.</p>"
        yield charts.scatter(points, title, unit) or '<p class="note">Unknown for all models.</p>'


def _failures(report: BenchReport) -> Iterator[str]:
    yield "<h2>Failures that tell most</h2>"
    for one in report.models:
        if one.failures:
            yield f"<details open><summary><code>{_safe(one.model)}</code></summary>"
            rows = ([_safe(bad.task_id), bad.outcome, _safe(bad.reason)] for bad in one.failures)
            yield from _table(("task", "what happened", "how it showed"), rows)
            yield "</details>"


def _outcomes(report: BenchReport) -> Iterator[str]:
    yield "<h2>What became of the answers</h2>"
    kinds = sorted({kind for one in report.models for kind in one.outcomes})
    rows = (
        [f"<code>{_safe(one.model)}</code>", *(str(one.outcomes.get(kind, 0)) for kind in kinds)]
        for one in report.models
    )
    yield from _table(("model", *(kind.replace("_", " ") for kind in kinds)), rows)
    yield (
        '<p class="note">An infra error is a fault of proofbox or of a provider and counts neither for nor'
        " against a model.</p>"
    )


def _table(heads: Iterable[str], rows: Iterable[list[str]]) -> Iterator[str]:
    """A table of cells that are escaped already."""
    yield f"<table><thead><tr>{''.join(f'<th>{head}</th>' for head in heads)}</tr></thead><tbody>"
    for row in rows:
        yield f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>"
    yield "</tbody></table>"


def _safe(text: str) -> str:
    return escape(_text.clean(text))
