"""What the samples of a benchmark say about each model, and about each two of them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from . import paired
from .estimates import Counts, Estimate, estimate, percentile
from .paired import Difference
from .results import Result
from .task import Task

TELLING = 3


@dataclass(frozen=True, slots=True)
class Spread:
    """The middle of some times and what 95 % of them stay below, in seconds; None without any."""

    p50: float | None
    p95: float | None


@dataclass(frozen=True, slots=True)
class Model:
    """One model, over samples that count.

    Attributes:
        passed, samples: answers. unanswered: those without a verdict, which count neither way.
        pass_at: by k, from 1 to the number of samples. lenient: pass@1 with imports added.
        relative_time: the middle of the times of passing answers, each divided by its reference's.
        input_tokens, output_tokens, usd: of all answers, None where not even one is known; priced: of how many
            the cost is known.
        telling: failures that say most: of tasks that others solve, each of another kind if it can be.
    """

    name: str
    passed: int
    samples: int
    unanswered: int
    pass_at: Mapping[int, Estimate]
    lenient: Estimate | None
    outcomes: Mapping[str, int]
    latency: Spread
    first_token: Spread
    execution: Spread
    relative_time: float | None
    retries: int
    input_tokens: int | None
    output_tokens: int | None
    usd: float | None
    priced: int
    suspicious: int
    in_process: int
    telling: Sequence[Result]


@dataclass(frozen=True, slots=True)
class Pair:
    """Two models compared on the tasks that both have answers to."""

    first: str
    second: str
    apart: Difference
    p: float
    separated: bool
    sentence: str


@dataclass(frozen=True, slots=True)
class Summary:
    """Models, the best first, and every two of them. `solved` is the share of passes by task and model."""

    models: Sequence[Model]
    pairs: Sequence[Pair]
    solved: Mapping[str, Mapping[str, float]]


def summarise(results: Sequence[Result], tasks: Mapping[str, Task], samples: int) -> Summary:
    """The summary of all samples."""
    by_model: dict[str, list[Result]] = {}
    for result in results:
        by_model.setdefault(result.model, []).append(result)
    solved = {name: _solved(mine) for name, mine in by_model.items()}
    models = [_model(name, mine, samples, solved) for name, mine in by_model.items()]
    models.sort(key=lambda one: one.pass_at[1].value if 1 in one.pass_at else -1.0, reverse=True)
    by_task = {
        task: {name: shares[task] for name, shares in solved.items() if task in shares}
        for task in tasks
    }
    return Summary(models, _pairs(models, by_model, solved), by_task)


def _solved(results: Sequence[Result]) -> dict[str, float]:
    counts = _counts(results)
    return {task: one.passed / one.samples for task, one in counts.items()}


def _counts(results: Sequence[Result], *, lenient: bool = False) -> dict[str, Counts]:
    samples: Counter[str] = Counter()
    passed: Counter[str] = Counter()
    for result in results:
        if result.counts:
            verdict = result.verdict
            outcome = verdict.lenient if verdict and lenient else result.outcome
            samples[result.task_id] += 1
            passed[result.task_id] += outcome == "passed"
    return {task: Counts(number, passed[task]) for task, number in samples.items()}


def _model(
    name: str,
    results: Sequence[Result],
    samples: int,
    solved: Mapping[str, Mapping[str, float]],
) -> Model:
    counting = [one for one in results if one.counts]
    counts = list(_counts(results).values())
    known = [one.tokens for one in results if one.tokens]
    costs = [one.cost for one in results if one.cost is not None]
    verdicts = [one.verdict for one in counting if one.verdict]
    relative = [
        one.relative_time for one in verdicts if one.relative_time and one.outcome == "passed"
    ]
    pass_at = {k: found for k in range(1, samples + 1) if (found := estimate(counts, k))}
    return Model(
        name=name,
        passed=sum(one.passed for one in counting),
        samples=len(counting),
        unanswered=len(results) - len(counting),
        pass_at=pass_at,
        lenient=estimate(list(_counts(results, lenient=True).values()), 1),
        outcomes=dict(Counter(one.outcome for one in results).most_common()),
        latency=_spread([one.seconds for one in results]),
        first_token=_spread([one.first_seconds for one in results]),
        execution=_spread([one.execution_time for one in verdicts if one.outcome == "passed"]),
        relative_time=percentile(relative, 50),
        retries=sum(one.retries for one in results),
        input_tokens=sum(one["input"] for one in known) if known else None,
        output_tokens=sum(one["output"] for one in known) if known else None,
        usd=sum(costs) if costs else None,
        priced=len(costs),
        suspicious=sum(bool(set(one.flags) - {"flaky"}) for one in verdicts),
        in_process=sum(one.method == "in_process" for one in verdicts),
        telling=_telling(counting, [other for key, other in solved.items() if key != name]),
    )


def _spread(values: Sequence[float | None]) -> Spread:
    known = [value for value in values if value is not None]
    return Spread(percentile(known, 50), percentile(known, 95))


def _telling(results: Sequence[Result], others: Sequence[Mapping[str, float]]) -> list[Result]:
    """Failures, first of tasks that other models solve, with as many kinds of failure as there are."""

    def solved_by_others(result: Result) -> float:
        return sum(other.get(result.task_id, 0.0) for other in others)

    failures = sorted(
        (one for one in results if not one.passed), key=lambda one: -solved_by_others(one)
    )
    chosen: list[Result] = []
    for fresh in (True, False):
        for one in failures:
            outcomes = {other.outcome for other in chosen}
            tasks = {other.task_id for other in chosen}
            is_new = one.outcome not in outcomes or not fresh
            if len(chosen) < TELLING and one.task_id not in tasks and is_new:
                chosen.append(one)
    return chosen


def _pairs(
    models: Sequence[Model],
    by_model: Mapping[str, Sequence[Result]],
    solved: Mapping[str, Mapping[str, float]],
) -> list[Pair]:
    apart: list[tuple[str, str, Difference]] = []
    for first, second in combinations([one.name for one in models], 2):
        shared = [task for task in solved[first] if task in solved[second]]
        if shared:
            answers = [_first_answers(by_model[name]) for name in (first, second)]
            single = all(len(by_model[name]) <= len(solved[name]) for name in (first, second))
            found = paired.difference(
                [solved[first][task] for task in shared],
                [solved[second][task] for task in shared],
                [answers[0][task] for task in shared],
                [answers[1][task] for task in shared],
                single=single,
            )
            apart.append((first, second, found))
    ps = paired.adjusted([one.p for _, _, one in apart])
    return [
        Pair(first, second, one, p, p < paired.SIGNIFICANT, paired.sentence(first, second, one, p))
        for (first, second, one), p in zip(apart, ps, strict=True)
    ]


def _first_answers(results: Sequence[Result]) -> dict[str, bool]:
    """Whether the first answer that counts was right, by task."""
    first: dict[str, bool] = {}
    for result in results:
        if result.counts:
            first.setdefault(result.task_id, result.passed)
    return first
