"""How often answers are right, and how sure one can be of it.

Everything is over tasks: samples of one task are alike, so counting them as if they were independent makes
intervals several times too narrow.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from . import student

LEVEL = 0.95

# With fewer tasks that go the rarer way than this, their spread says too little about the spread.
_FEW = 4


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of one task: `passed` of `samples` answers that count."""

    samples: int
    passed: int


@dataclass(frozen=True, slots=True)
class Estimate:
    """A share of 1 and its interval at the 95 % level, over so many tasks."""

    value: float
    low: float
    high: float
    tasks: int


def pass_at_k(samples: int, passed: int, k: int) -> float:
    """The chance that at least one of `k` answers passes, given `passed` of `samples` (at least k).

    Unbiased: 1 - C(n-c, k) / C(n, k), from Chen et al., Evaluating Large Language Models Trained on Code
    (2021), equation 1.
    """
    if samples - passed < k:
        return 1.0
    return 1.0 - math.comb(samples - passed, k) / math.comb(samples, k)


def estimate(counts: Sequence[Counts], k: int) -> Estimate | None:
    """pass@k over the tasks that have at least `k` answers, with its interval; None where there is none."""
    values = [pass_at_k(one.samples, one.passed, k) for one in counts if one.samples >= k]
    return interval(values) if values else None


def interval(values: Sequence[float]) -> Estimate:
    """The mean of one value a task, each from 0 to 1, and its interval: Wilson's score interval (1927; Brown,
    Cai and DasGupta, Interval Estimation for a Binomial Proportion, 2001, equation 4).

    The number of trials is the effective one, as Korn and Graubard (1998) have it for surveys: so many that a
    proportion would vary as these values do, and Student's quantile replaces the normal one. With values of
    0 and 1 that is the number of tasks. It is also taken where fewer than four tasks go the rarer way, for
    then the values vary less than what they are drawn from: such intervals are too wide rather than wrong.
    """
    tasks = len(values)
    mean = statistics.fmean(values)
    spread = statistics.fmean((value - mean) ** 2 for value in values)
    trials = float(tasks)
    if spread > 0 and tasks * min(mean, 1 - mean) >= _FEW:
        trials = mean * (1 - mean) * tasks / spread
    q = student.quantile((1 + LEVEL) / 2, max(1, tasks - 1))
    scale = 1 + q * q / trials
    centre = (mean + q * q / (2 * trials)) / scale
    half = q / scale * math.sqrt(mean * (1 - mean) / trials + (q / (2 * trials)) ** 2)
    return Estimate(
        mean, min(mean, max(0.0, centre - half)), max(mean, min(1.0, centre + half)), tasks
    )


def percentile(values: Sequence[float], percent: int) -> float | None:
    """The value below which so many percent lie, interpolated between neighbours; None without values."""
    if len(values) < 2:
        return values[0] if values else None
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]
