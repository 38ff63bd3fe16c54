"""The report: what a model reads of a benchmark, and what the command line prints as JSON."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, Field

from .. import _text
from .._verdict import Verdict
from .._workflow import Rest, WorkflowReport
from .estimates import Estimate
from .plan import Estimate as CostEstimate
from .results import Result
from .run import Finished
from .sample import Outcome
from .summary import Model, Pair, Spread, Summary, summarise

REASON_CHARACTERS = 300
PAGE_SAMPLES = 40
PAGE_CHARACTERS = 24_000
FULL_CHARACTERS = 40_000


class Share(BaseModel):
    """A share of 1 with its 95 % interval, over tasks."""

    k: int = 1
    value: float
    low: float
    high: float
    tasks: int


class Times(BaseModel):
    """Seconds: the median, and what 95 % stay below."""

    p50: float
    p95: float


class Failure(BaseModel):
    """One answer that failed."""

    task_id: str
    sample: int = 0
    outcome: Outcome
    reason: str = ""


class ModelReport(BaseModel):
    """One model. Unanswered samples and those that proofbox could not judge count neither way."""

    model: str
    passed: int
    samples: int
    unanswered: int = 0
    stopped: str = Field(default="", description="Why not everything was asked.")
    pass_at: list[Share] = Field(default=[], description="Unbiased pass@k.")
    lenient: Share | None = Field(
        default=None, description="pass@1 with missing imports added, where that differs."
    )
    outcomes: dict[str, int]
    latency: Times | None = Field(default=None, description="To the last token, without retries.")
    first_token: Times | None = None
    execution: Times | None = Field(default=None, description="Of passing answers.")
    relative_time: float | None = Field(
        default=None, description="Median time of passing answers, the reference's being 1."
    )
    retries: int = 0
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost: str = Field(description="USD of all answers, or unknown; with the source of the price.")
    suspicious: int = Field(default=0, description="Answers whose code looks like cheating.")
    in_process: int = Field(
        default=0, description="Answers whose tests had to run beside them; cheating is possible."
    )
    failures: list[Failure] = Field(default=[], description="The most telling ones.")


class PairReport(BaseModel):
    """Two models on the same tasks: the first's share of passes less the second's."""

    first: str
    second: str
    difference: float
    low: float
    high: float
    mcnemar_p: float
    p: float = Field(description="Adjusted for the number of comparisons.")
    separated: bool
    sentence: str


class SampleReport(BaseModel):
    """One answer."""

    model: str
    task_id: str
    sample: int = 0
    syntax_valid: bool = False
    execution_time: float | None = Field(default=None, description="Seconds.")
    output_correct: bool = False
    outcome: Outcome
    reason: str = ""


class CostReport(BaseModel):
    """What a dry run expects, roughly."""

    model: str
    questions: int
    input_tokens: int
    output_tokens: int
    usd: float | None = None
    at_most_usd: float | None = None
    price: str


class BenchReport(WorkflowReport):
    """A benchmark: the models, the best first, and whether the data separate them."""

    tasks: int = 0
    dataset: str = Field(default="", description="The tasks, and the hash of their content.")
    samples_each: int = 1
    models: list[ModelReport] = Field(default=[])
    separations: list[PairReport] = Field(default=[])
    estimates: list[CostReport] = Field(default=[], description="Of a dry run.")
    samples: list[SampleReport] = Field(default=[], description="The failed ones first.")
    session_id: str | None = Field(
        default=None, description="For read_artifact; close_session when you are done."
    )
    artifacts: list[str] = Field(default=[])


def report_of(finished: Finished, results: Sequence[Result]) -> tuple[BenchReport, Summary]:
    """The report of a run, and the figures that it is made of."""
    plan = finished.plan
    summary = summarise(results, plan.tasks, plan.samples)
    stopped = {name: asked.stopped for name, asked in finished.asked.items()}
    prices = {one.name: one.price.source for one in plan.contenders}
    models = [_model(one, stopped[one.name], prices[one.name]) for one in summary.models]
    verdict, reason = _verdict(summary.models, stopped)
    return BenchReport(
        verdict=verdict,
        reason=reason,
        tasks=len(plan.tasks),
        dataset=f"{plan.request.tasks} ({plan.dataset})",
        samples_each=plan.samples,
        models=models,
        separations=[_pair(one) for one in summary.pairs],
        samples=sorted((_sample(one) for one in results), key=_failed_first),
    ), summary


def dry_report(estimates: Sequence[CostEstimate], tasks: int, dataset: str) -> BenchReport:
    """The report of a run that was only estimated."""
    return BenchReport(
        verdict="skipped",
        reason="A dry run: nothing was asked and nothing ran. Token numbers are rough estimates.",
        tasks=tasks,
        dataset=dataset,
        estimates=[
            CostReport(
                model=one.model,
                questions=one.questions,
                input_tokens=one.input_tokens,
                output_tokens=one.output_tokens,
                usd=_rounded(one.usd),
                at_most_usd=_rounded(one.most_usd),
                price=one.price,
            )
            for one in estimates
        ],
    )


def full_record(result: Result, answer: str, program: str) -> dict[str, Any]:
    """One sample with everything that is known of it, as a line of the full record has it."""
    verdict = result.verdict
    facts: dict[str, Any] = _sample(result).model_dump(mode="json")
    return facts | {
        "reason": verdict.reason if verdict else result.missing,
        "lenient": verdict.lenient if verdict else result.outcome,
        "relative_time": verdict.relative_time if verdict else None,
        "runs": verdict.runs if verdict else 0,
        "method": verdict.method if verdict else "",
        "flags": list(verdict.flags) if verdict else [],
        "extraction": list(verdict.trail) if verdict else [],
        "answer": answer,
        "code": program,
        "stop": result.stop,
        "tokens": result.tokens,
        "cost_usd": result.cost,
        "first_token_seconds": result.first_seconds,
        "latency_seconds": result.seconds,
        "retries": result.retries,
    }


def page(report: BenchReport, offset: int = 0, full: bool = False) -> BenchReport:
    """The report with its samples from `offset` on, as many as fit, as a `Workflow` wants it."""
    room = FULL_CHARACTERS if full else PAGE_CHARACTERS
    head = report if not offset else report.model_copy(update={"models": [], "separations": []})
    room -= len(head.model_copy(update={"samples": []}).model_dump_json(exclude_defaults=True))
    shown: list[SampleReport] = []
    for sample in report.samples[offset : offset + PAGE_SAMPLES]:
        room -= len(sample.model_dump_json(exclude_defaults=True))
        if room < 0 and shown:
            break
        shown.append(sample)
    left = max(0, len(report.samples) - offset - len(shown))
    rest = Rest(results=left, offset=offset + len(shown)) if left else None
    return head.model_copy(update={"samples": shown, "rest": rest})


def _verdict(models: Sequence[Model], stopped: Mapping[str, str]) -> tuple[Verdict, str]:
    """passed only where every sample of every model has a verdict."""
    judged = sum(one.samples for one in models)
    unanswered = sum(one.unanswered for one in models)
    whys = "; ".join(f"{name}: {why}" for name, why in stopped.items() if why)
    if not judged:
        return "errored", f"Not one answer could be judged. {whys}".strip()
    if unanswered:
        more = f" {whys}." if whys else ""
        return "errored", (
            f"{unanswered} of {judged + unanswered} samples have no verdict and count neither way.{more}"
            " Run it again: it goes on from here."
        )
    best = models[0]
    return "passed", f"{judged} answers of {len(models)} models were judged; {best.name} is first."


def _model(one: Model, stopped: str, price: str) -> ModelReport:
    strict = one.pass_at.get(1)
    differs = one.lenient is not None and strict is not None and one.lenient.value != strict.value
    cost = "unknown" if one.usd is None else f"${one.usd:.4f}"
    if one.usd is not None and one.priced < one.samples + one.unanswered:
        cost += f" for {one.priced} answers, the others unknown"
    return ModelReport(
        model=one.name,
        passed=one.passed,
        samples=one.samples,
        unanswered=one.unanswered,
        stopped=_short(stopped),
        pass_at=[_share(found, k) for k, found in one.pass_at.items()],
        lenient=_share(one.lenient, 1) if differs and one.lenient else None,
        outcomes=dict(one.outcomes),
        latency=_times(one.latency),
        first_token=_times(one.first_token),
        execution=_times(one.execution),
        relative_time=_rounded(one.relative_time),
        retries=one.retries,
        input_tokens=one.input_tokens,
        output_tokens=one.output_tokens,
        cost=f"{cost} (price: {price})",
        suspicious=one.suspicious,
        in_process=one.in_process,
        failures=[
            Failure(
                task_id=result.task_id,
                sample=result.sample,
                outcome=result.outcome,
                reason=_short(result.verdict.reason if result.verdict else result.missing),
            )
            for result in one.telling
        ],
    )


def _pair(one: Pair) -> PairReport:
    return PairReport(
        first=one.first,
        second=one.second,
        difference=round(one.apart.value, 4),
        low=round(one.apart.low, 4),
        high=round(one.apart.high, 4),
        mcnemar_p=float(f"{one.apart.mcnemar:.3g}"),
        p=float(f"{one.p:.3g}"),
        separated=one.separated,
        sentence=one.sentence,
    )


def _sample(result: Result) -> SampleReport:
    verdict = result.verdict
    return SampleReport(
        model=result.model,
        task_id=result.task_id,
        sample=result.sample,
        syntax_valid=verdict.syntax_valid if verdict else False,
        execution_time=_rounded(verdict.execution_time) if verdict else None,
        output_correct=result.passed,
        outcome=result.outcome,
        reason=_short(verdict.reason if verdict else result.missing),
    )


def _failed_first(sample: SampleReport) -> bool:
    return sample.output_correct


def _share(found: Estimate, k: int) -> Share:
    return Share(
        k=k,
        value=round(found.value, 4),
        low=round(found.low, 4),
        high=round(found.high, 4),
        tasks=found.tasks,
    )


def _times(spread: Spread) -> Times | None:
    if spread.p50 is None or spread.p95 is None:
        return None
    return Times(p50=round(spread.p50, 4), p95=round(spread.p95, 4))


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")


def _short(text: str) -> str:
    return _text.cut(_text.clean(text), REASON_CHARACTERS).text
