"""Samples compared without an assumption on how they are distributed."""

import math
from collections.abc import Sequence
from functools import cache
from statistics import NormalDist

_MOST_EXACT = 40


def mann_whitney(first: Sequence[float], second: Sequence[float]) -> float:
    """The p value, two-sided, of the hypothesis that neither sample tends to be larger.

    Exact where no value comes twice and both samples have at most 40; else the normal approximation with the
    correction for ties and for continuity. H. B. Mann, D. R. Whitney, "On a test of whether one of two random
    variables is stochastically larger than the other", Annals of Mathematical Statistics 18 (1947), 50-60; the
    correction for ties as in E. L. Lehmann, "Nonparametrics" (1975), p. 20.
    """
    n, m = len(first), len(second)
    if not n or not m:
        return 1.0
    u = sum((a > b) + 0.5 * (a == b) for a in first for b in second)
    together = [*first, *second]
    if len(set(together)) == n + m and max(n, m) <= _MOST_EXACT:
        smaller = int(min(u, n * m - u))
        return min(1.0, 2.0 * sum(_ways(n, m)[: smaller + 1]) / math.comb(n + m, n))
    ties = sum(count**3 - count for count in _counts(together))
    total = n + m
    variance = n * m / 12.0 * (total + 1 - ties / (total * (total - 1)))
    if variance <= 0:
        return 1.0
    distance = max(0.0, abs(u - n * m / 2.0) - 0.5)
    return 2.0 * (1.0 - NormalDist().cdf(distance / math.sqrt(variance)))


@cache
def _ways(n: int, m: int) -> tuple[int, ...]:
    """For each U how many of the orders of n and m values give it: a Gaussian binomial coefficient's own."""
    counts = [1] + [0] * (n * m)
    for step in range(1, n + 1):
        # Times (1 - q^(m + step)), over (1 - q^step).
        for at in range(n * m, m + step - 1, -1):
            counts[at] -= counts[at - m - step]
        for at in range(step, n * m + 1):
            counts[at] += counts[at - step]
    return tuple(counts)


def _counts(values: Sequence[float]) -> list[int]:
    seen: dict[float, int] = {}
    for value in values:
        seen[value] = seen.get(value, 0) + 1
    return list(seen.values())


def cliffs_delta(first: Sequence[float], second: Sequence[float]) -> float:
    """P(second larger) - P(second smaller), from -1 to 1.

    N. Cliff, "Dominance statistics: ordinal analyses to answer ordinal questions", Psychological Bulletin 114
    (1993), 494-509.
    """
    if not first or not second:
        return 0.0
    signs = sum((b > a) - (b < a) for a in first for b in second)
    return signs / (len(first) * len(second))


def centre_interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float]:
    """Bounds of the centre that values lie around evenly, by J. W. Tukey: the interval that belongs to
    Wilcoxon's signed-rank test.

    The means of all pairs of values, each with itself too, bound it in their order; which of them do follows from
    the distribution of the test's statistic, here by its normal approximation (M. Hollander, D. A. Wolfe,
    "Nonparametric Statistical Methods" (1973), section 3.4).
    """
    n = len(values)
    means = sorted(
        (values[i] + values[j]) / 2.0 for i in range(n) for j in range(i, n)
    )  # Walsh's averages
    z = NormalDist().inv_cdf(0.5 + confidence / 2.0)
    cut = math.floor(n * (n + 1) / 4.0 - z * math.sqrt(n * (n + 1) * (2 * n + 1) / 24.0))
    cut = max(0, min(cut, len(means) // 2))
    return means[cut], means[-1 - cut]
