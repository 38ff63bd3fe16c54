"""The report as text, which says all that the structured form says."""

from collections.abc import Iterator

from .. import _text
from .report import BenchReport, CostReport, ModelReport, SampleReport, Share, Times


def render(report: BenchReport) -> str:
    """The report for a reader of text."""
    return _text.clean("\n".join(_lines(report)))


def _lines(report: BenchReport) -> Iterator[str]:
    yield f"{report.verdict}: {report.reason}"
    if report.dataset:
        each = f"{report.samples_each} sample{'s' * (report.samples_each > 1)} each"
        yield f"{report.tasks} tasks of {report.dataset}, {each}"
    for one in report.estimates:
        yield _estimate(one)
    for rank, model in enumerate(report.models, 1):
        yield from _model(model, rank)
    if report.separations:
        yield ""
    for pair in report.separations:
        yield pair.sentence
    if report.samples:
        yield ""
    for sample in report.samples:
        yield _sample(sample)
    if report.session_id:
        yield (
            f"artifacts: {', '.join(report.artifacts)}; read_artifact with session_id {report.session_id}"
        )


def _estimate(one: CostReport) -> str:
    cost = "cost unknown" if one.usd is None else f"about ${one.usd:,.4f}"
    most = "" if one.at_most_usd is None else f", at most ${one.at_most_usd:,.4f}"
    return (
        f"{one.model}: {one.questions} questions, about {one.input_tokens:,} tokens in and"
        f" {one.output_tokens:,} out, {cost}{most} (price: {one.price})"
    )


def _model(one: ModelReport, rank: int) -> Iterator[str]:
    first = one.pass_at[0] if one.pass_at else None
    score = f"pass@1 {_share(first)}" if first else "no verdicts"
    yield ""
    yield f"{rank}. {one.model}: {score}, {one.passed} of {one.samples} answers pass"
    shown = [one.pass_at[index] for index in _some(len(one.pass_at))]
    if shown:
        yield "   " + ", ".join(f"pass@{share.k} {_share(share)}" for share in shown)
    if one.lenient:
        yield f"   with missing imports added: pass@1 {_share(one.lenient)}"
    failed = ", ".join(f"{n} {kind}" for kind, n in one.outcomes.items() if kind != "passed")
    yield f"   failed: {failed or 'nothing'}"
    if one.unanswered:
        yield f"   without a verdict, counted neither way: {one.unanswered}. {one.stopped}".rstrip()
    yield f"   {'; '.join(_figures(one))}"
    for failure in one.failures:
        yield f"   {failure.task_id} #{failure.sample} {failure.outcome}: {_line(failure.reason)}"


def _figures(one: ModelReport) -> Iterator[str]:
    for name, times in (
        ("latency", one.latency),
        ("first token", one.first_token),
        ("execution", one.execution),
    ):
        if times:
            yield f"{name} {_times(times)}"
    if one.relative_time is not None:
        yield f"{one.relative_time:.2f} times the reference's time"
    if one.retries:
        yield f"{one.retries} retries"
    if one.input_tokens is not None:
        yield f"{one.input_tokens:,} tokens in, {one.output_tokens:,} out"
    yield f"cost {one.cost}"
    if one.suspicious:
        yield f"{one.suspicious} answers look like cheating"
    if one.in_process:
        yield f"{one.in_process} answers ran beside their tests, where cheating cannot be ruled out"


def _some(count: int) -> list[int]:
    """A few indexes of the k beyond 1: not all hundred."""
    return [index for index in range(1, count) if index + 1 in {2, 5, 10, 20, 50, 100, count}]


def _share(share: Share) -> str:
    return f"{100 * share.value:.1f} % ({100 * share.low:.1f} to {100 * share.high:.1f})"


def _times(times: Times) -> str:
    return f"{times.p50:.3g} s (95 %: {times.p95:.3g} s)"


def _sample(one: SampleReport) -> str:
    time = "" if one.execution_time is None else f" {one.execution_time:.3g} s"
    valid = "" if one.syntax_valid else ", no valid program"
    reason = f": {_line(one.reason)}" if one.reason else ""
    return f"{one.outcome}{valid}{time} {one.model} {one.task_id} #{one.sample}{reason}"


def _line(text: str) -> str:
    return " ".join(text.split())
