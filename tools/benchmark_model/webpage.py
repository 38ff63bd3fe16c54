"""The report as a page, with its plots."""

from collections.abc import Callable, Mapping, Sequence

from .._html.document import alone
from .._html.markup import Html, joined
from .._html.parts import (
    Column,
    badge,
    code,
    facts,
    folded,
    line,
    listing,
    scrolling,
    seconds,
    section,
    sentence,
    table,
    titled,
)
from . import charts
from .charts import Point
from .report import BenchReport, CostReport, Failure, ModelReport, SampleReport, Share

TITLE = "Which model writes code that works"

Solved = Mapping[str, Mapping[str, float]]
"""The share of answers that pass, by task and model; those without a verdict count neither way."""


def page(report: BenchReport) -> str:
    """The page. It has no date of its own, so that the same samples give the same page."""
    return alone(TITLE, report.verdict, report.reason, body(report, report))


def body(shown: BenchReport, whole: BenchReport) -> Html:
    """The page's content. `shown` has the answers that are listed."""
    models = whole.models
    colour = charts.colours([one.model for one in models])
    return joined(
        facts(
            {
                "tasks": f"{whole.tasks:,}",
                "of": code(whole.dataset),
                "answers to each": f"{whole.samples_each:,}",
            }
        ),
        section("What it would cost", _estimates(whole.estimates)),
        section("How often a first answer is right", _ranking(models, colour)),
        section(
            "Is one really better than the other?",
            listing([pair.sentence for pair in whole.separations]),
        ),
        section("If you may try several times", _curves(models)),
        section("Which tasks each model solves", _matrix(models, solved(whole.samples))),
        [
            section(
                title,
                sentence(f"{said} Better is further up and further left."),
                _trade_off(models, colour, title, unit, figure),
            )
            for title, said, unit, figure in _TRADE_OFFS
        ]
        if models
        else None,
        section("Failures that tell most", [_failures(one) for one in models]),
        section("What became of the answers", _outcomes(models)),
        section("Answers", _samples(shown)),
    )


def solved(samples: Sequence[SampleReport]) -> Solved:
    """What each model solves, from its answers."""
    counts: dict[str, dict[str, list[bool]]] = {}
    for one in samples:
        by_model = counts.setdefault(one.task_id, {})
        if one.outcome != "infra_error":
            by_model.setdefault(one.model, []).append(one.output_correct)
    return {
        task: {model: sum(right) / len(right) for model, right in by_model.items()}
        for task, by_model in sorted(counts.items())
    }


def _ranking(models: Sequence[ModelReport], colour: Mapping[str, str]) -> Html | None:
    if not models:
        return None
    rows = list(enumerate(models, 1))
    return joined(
        sentence(
            "The mark is the share of tasks solved (pass@1), from 0 % on the left to 100 % on the right. The band is"
            " where the true share lies with 95 % confidence, if these tasks stand for all such tasks. Where bands"
            " overlap much, the order may be luck."
        ),
        table(
            "Models, the best first",
            rows,
            (
                Column[tuple[int, ModelReport]](
                    "model",
                    lambda row: titled(code(row[1].model), _bar(row[1], colour)),
                    prose=True,
                ),
                Column("pass@1", lambda row: _percent(_first(row[1])), number=True),
                Column("95 % interval", lambda row: _interval(_first(row[1])), number=True),
                Column("answers that pass", lambda row: _answers(row[1]), number=True),
                Column("with imports added", lambda row: _percent(row[1].lenient), number=True),
                Column("latency", lambda row: _median(row[1]), number=True),
                Column("tokens out", lambda row: _count(row[1].output_tokens), number=True),
                Column("cost", lambda row: line(row[1].cost)),
                Column("stopped", lambda row: line(row[1].stopped)),
                Column("looks like cheating", lambda row: _some(row[1].suspicious), number=True),
                Column("beside their tests", lambda row: _some(row[1].in_process), number=True),
            ),
        ),
    )


def _first(one: ModelReport) -> Share | None:
    return one.pass_at[0] if one.pass_at else None


def _bar(one: ModelReport, colour: Mapping[str, str]) -> Html | None:
    first = _first(one)
    return charts.bar(first, colour[one.model]) if first else None


def _percent(share: Share | None) -> str | None:
    return f"{100 * share.value:.1f} %" if share else None


def _interval(share: Share | None) -> str:
    return f"{100 * share.low:.1f} to {100 * share.high:.1f} %" if share else "unknown"


def _answers(one: ModelReport) -> str:
    unanswered = f", {one.unanswered:,} without a verdict" if one.unanswered else ""
    return f"{one.passed:,} of {one.samples:,}{unanswered}"


def _median(one: ModelReport) -> str:
    return seconds(one.latency.p50) if one.latency else "unknown"


def _count(number: int | None) -> str:
    return f"{number:,}" if number is not None else "unknown"


def _some(number: int) -> str | None:
    return f"{number:,}" if number else None


def _curves(models: Sequence[ModelReport]) -> Html | None:
    drawn = charts.curves(models)
    if drawn is None:
        return None
    said = sentence("pass@k is the chance that at least one of k answers is right.")
    return joined(said, scrolling("pass@k over k", drawn), charts.legend(models))


def _matrix(models: Sequence[ModelReport], by_task: Solved) -> Html | None:
    drawn = charts.matrix([one.model for one in models], by_task)
    if drawn is None or not models:
        return None
    return joined(
        sentence(
            "One column a task, those that few solve first. Dark blue: all answers pass. Dark orange: none does."
            " Dashed: no verdict. Point at a cell for its name."
        ),
        scrolling("Which model solves which task", drawn),
    )


def _latency(one: ModelReport) -> float | None:
    return one.latency.p50 if one.latency else None


def _speed(one: ModelReport) -> float | None:
    return one.relative_time


def _cost_of_a_thousand(one: ModelReport) -> float | None:
    return None if one.usd_an_answer is None else 1000 * one.usd_an_answer


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


def _trade_off(
    models: Sequence[ModelReport],
    colour: Mapping[str, str],
    title: str,
    unit: str,
    figure: Callable[[ModelReport], float | None],
) -> Html | None:
    points = [
        Point(one.model, figure(one), first, colour[one.model])
        for one in models
        if (first := _first(one))
    ]
    drawn = charts.scatter(points, title, unit)
    return scrolling(title, drawn) if drawn else sentence("Unknown for all models.", "note")


def _failures(one: ModelReport) -> Html | None:
    if not one.failures:
        return None
    rows = table(
        f"Failures of {one.model}",
        one.failures,
        (
            Column[Failure]("task", lambda bad: code(bad.task_id)),
            Column("what happened", lambda bad: badge(bad.outcome, "bad")),
            Column("how it showed", lambda bad: line(bad.reason), prose=True),
        ),
    )
    return folded(code(one.model), rows, is_open=True)


def _outcomes(models: Sequence[ModelReport]) -> Html | None:
    kinds = sorted({kind for one in models for kind in one.outcomes})

    def counted(kind: str) -> Column[ModelReport]:
        return Column(
            kind.replace("_", " "), lambda one: f"{one.outcomes.get(kind, 0):,}", number=True
        )

    rows = table(
        "Answers by what became of them",
        models,
        (
            Column[ModelReport]("model", lambda one: code(one.model)),
            *(counted(kind) for kind in kinds),
        ),
    )
    said = "An infra error is a fault of proofbox or of a provider and counts neither for nor against a model."
    return joined(rows, sentence(said, "note")) if rows else None


def _samples(shown: BenchReport) -> Html | None:
    rows = table(
        "Answers, those that failed first",
        shown.samples,
        (
            Column[SampleReport]("task", lambda one: code(f"{one.task_id} #{one.sample}")),
            Column("model", lambda one: code(one.model)),
            Column(
                "outcome", lambda one: badge(one.outcome, "good" if one.output_correct else "bad")
            ),
            Column("ran", _ran, number=True),
            Column("why", lambda one: line(one.reason), prose=True),
        ),
    )
    return folded(f"{len(shown.samples):,} answers, one by one", rows) if rows else None


def _ran(one: SampleReport) -> str | None:
    return seconds(one.execution_time) if one.execution_time is not None else None


def _estimates(estimates: Sequence[CostReport]) -> Html | None:
    return table(
        "Rough estimates: nothing was asked",
        estimates,
        (
            Column[CostReport]("model", lambda one: code(one.model)),
            Column("questions", lambda one: f"{one.questions:,}", number=True),
            Column("tokens in", lambda one: f"{one.input_tokens:,}", number=True),
            Column("tokens out", lambda one: f"{one.output_tokens:,}", number=True),
            Column("about", lambda one: _usd(one.usd), number=True),
            Column("at most", lambda one: _usd(one.at_most_usd), number=True),
            Column("price", lambda one: line(one.price)),
        ),
    )


def _usd(amount: float | None) -> str:
    return "unknown" if amount is None else f"${amount:,.4f}"
