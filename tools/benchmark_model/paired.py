"""Two models on the same tasks: how far they are apart, and whether that is more than luck."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from . import student
from .estimates import LEVEL

SIGNIFICANT = 1 - LEVEL


@dataclass(frozen=True, slots=True)
class Difference:
    """What the first model has more of than the second, as a share of 1, and its interval at the 95 % level.

    Attributes:
        error: the standard error of the value.
        tasks: those that both models have answers to. only_first, only_second: the tasks whose first answer
            passes for one of the models alone.
        mcnemar: p of McNemar's exact test on these. p: of the test that decides; with one answer a task
            that is McNemar's, else the paired t-test.
    """

    value: float
    low: float
    high: float
    error: float
    tasks: int
    only_first: int
    only_second: int
    mcnemar: float
    p: float


def mcnemar(only_first: int, only_second: int) -> float:
    """The exact p of McNemar's test, two-sided: where the models differ, each is right with chance 1/2.

    McNemar (1947); the exact form is the sign test, as in Agresti, Categorical Data Analysis, 10.1.
    """
    trials = only_first + only_second
    smaller = min(only_first, only_second)
    tail = sum(math.comb(trials, count) for count in range(smaller + 1))
    return min(1.0, 2 * tail / 2**trials)


def difference(
    first: Sequence[float],
    second: Sequence[float],
    first_answers: Sequence[bool],
    second_answers: Sequence[bool],
    *,
    single: bool,
) -> Difference:
    """The paired difference over at least one task: each model's share of right answers task by task, and
    whether the first answer to each was right. `single`: there is one answer a task.

    The interval is that of the paired t-test. Where all tasks differ alike, so that it would have no width, it
    is that of Bonett and Price, Adjusted Wald confidence interval for a difference of binomial proportions
    based on paired data (2012): as if one more task had gone to each of the models.
    """
    apart = [one - other for one, other in zip(first, second, strict=True)]
    pairs = list(zip(first_answers, second_answers, strict=True))
    only_first, only_second = pairs.count((True, False)), pairs.count((False, True))
    test = mcnemar(only_first, only_second)
    value, tasks = statistics.fmean(apart), len(apart)
    if len(set(apart)) > 1:
        centre, error = value, statistics.stdev(apart) / math.sqrt(tasks)
        p = 2 * student.cdf(-abs(value) / error, tasks - 1)
    else:
        more = [*apart, 1.0, -1.0]
        centre = statistics.fmean(more)
        error = statistics.pstdev(more, centre) / math.sqrt(len(more))
        p = test
    half = student.quantile((1 + LEVEL) / 2, max(1, tasks - 1)) * error
    return Difference(
        value=value,
        low=min(value, max(-1.0, centre - half)),
        high=max(value, min(1.0, centre + half)),
        error=error,
        tasks=tasks,
        only_first=only_first,
        only_second=only_second,
        mcnemar=test,
        p=test if single else p,
    )


def adjusted(values: Sequence[float]) -> list[float]:
    """The p of several tests, each made larger for there being several: Holm (1979)."""
    order = sorted(range(len(values)), key=lambda index: values[index])
    result = [0.0] * len(values)
    highest = 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(values) - rank) * values[index]))
        result[index] = highest
    return result


def sentence(first: str, second: str, apart: Difference, p: float) -> str:
    """Whether the data separate the two, for a person. `p` is adjusted for the number of comparisons."""
    points = f"{100 * apart.value:+.1f} points (95 % interval {100 * apart.low:+.1f} to {100 * apart.high:+.1f})"
    evidence = (
        f"{apart.only_first} of {apart.tasks} tasks only the first solves, {apart.only_second} only the"
        f" second; p = {p:.2g}"
    )
    if p >= SIGNIFICANT:
        return f"The data do not separate {first} from {second}: {points}; {evidence}."
    better, worse = (first, second) if apart.value > 0 else (second, first)
    return f"The data separate them: {better} is better than {worse}: {first} has {points}; {evidence}."
