"""From finished samples to the report and the full record."""

from collections.abc import Mapping, Sequence
from typing import Any

from .. import _text
from .._verdict import Verdict
from .estimates import Estimate
from .plan import Estimate as CostEstimate
from .report import (
    BenchReport,
    CostReport,
    Failure,
    ModelReport,
    PairReport,
    SampleReport,
    Share,
    Times,
)
from .results import Result
from .run import Finished
from .summary import Model, Pair, Spread, Summary, summarise

REASON_CHARACTERS = 300


def report_of(finished: Finished, results: Sequence[Result]) -> tuple[BenchReport, Summary]:
    """The report of a run, and the figures that it is made of."""
    plan = finished.plan
    summary = summarise(results, plan.tasks, plan.samples)
    stopped = {name: asked.stopped for name, asked in finished.asked.items()}
    prices = {one.name: one.price.source for one in plan.contenders}
    models = [model_report(one, stopped[one.name], prices[one.name]) for one in summary.models]
    verdict, reason = _verdict(summary.models, stopped)
    return BenchReport(
        verdict=verdict,
        reason=reason,
        tasks=len(plan.tasks),
        dataset=f"{plan.request.tasks} ({plan.dataset})",
        samples_each=plan.samples,
        models=models,
        separations=[pair_report(one) for one in summary.pairs],
        samples=sorted((sample_report(one) for one in results), key=_failed_first),
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
    facts: dict[str, Any] = sample_report(result).model_dump(mode="json")
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


def model_report(one: Model, stopped: str, price: str) -> ModelReport:
    """One model: why it was `stopped`, if it was, and the source of its `price`."""
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
        usd_an_answer=_rounded(one.usd / one.priced) if one.usd is not None else None,
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


def pair_report(one: Pair) -> PairReport:
    """Two models, compared."""
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


def sample_report(result: Result) -> SampleReport:
    """One answer."""
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
