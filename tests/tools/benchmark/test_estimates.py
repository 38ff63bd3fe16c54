"""pass@k and its intervals."""

import math
from itertools import combinations

import numpy as np
import pytest

from proofbox.tools.benchmark_model import student
from proofbox.tools.benchmark_model.estimates import (
    Counts,
    estimate,
    interval,
    pass_at_k,
    percentile,
)


@pytest.mark.parametrize(
    ("degrees", "expected"),
    [(1, 12.7062047), (2, 4.3026527), (5, 2.5705818), (30, 2.0422725), (163, 1.9746246)],
)
def test_quantiles_of_students_t_are_those_of_the_tables(degrees: int, expected: float) -> None:
    """Abramowitz and Stegun, table 26.10, with more digits."""
    assert student.quantile(0.975, degrees) == pytest.approx(expected, abs=1e-6)
    assert student.cdf(expected, degrees) == pytest.approx(0.975, abs=1e-8)
    assert student.cdf(-expected, degrees) == pytest.approx(0.025, abs=1e-8)
    assert student.cdf(0.0, degrees) == 0.5


def test_pass_at_k_is_the_share_of_draws_with_a_pass() -> None:
    """Counted over all draws of k out of n, for every n up to 6."""
    for samples in range(1, 7):
        for passed in range(samples + 1):
            for k in range(1, samples + 1):
                draws = list(combinations([True] * passed + [False] * (samples - passed), k))
                share = sum(map(any, draws)) / len(draws)
                assert pass_at_k(samples, passed, k) == pytest.approx(share)


def test_tasks_with_too_few_answers_are_left_out() -> None:
    """pass@5 cannot be known of 4 answers."""
    counts = [Counts(10, 5), Counts(4, 4)]
    known = estimate(counts, 5)

    assert known is not None
    assert (known.tasks, known.value) == (1, pass_at_k(10, 5, 5))
    assert estimate(counts, 11) is None


def test_an_interval_of_zeros_and_ones_is_wilsons() -> None:
    """With Student's quantile in place of the normal one: 81 of 263, from Newcombe (1998), table I."""
    found = interval([1.0] * 81 + [0.0] * 182)

    assert found.value == pytest.approx(0.3080, abs=5e-5)
    assert found.low == pytest.approx(0.2553, abs=5e-4)
    assert found.high == pytest.approx(0.3662, abs=5e-4)


def test_an_interval_stays_inside_and_has_a_width_where_all_tasks_went_alike() -> None:
    """Forty passes of forty do not prove perfection."""
    all_passed, none_passed = interval([1.0] * 40), interval([0.0] * 40)

    assert (all_passed.high, none_passed.low) == (1.0, 0.0)
    assert 0.88 < all_passed.low < 0.93
    assert 0.07 < none_passed.high < 0.12
    assert interval([1.0]).low < 0.05


# (tasks, samples, k, a, b): a task is solved with a chance drawn from Beta(a, b).
POPULATIONS = [
    (164, 1, 1, 2.0, 0.5),
    (164, 1, 1, 0.5, 2.0),
    (164, 10, 1, 0.3, 0.3),
    (164, 10, 5, 0.3, 0.3),
    (40, 5, 1, 1.0, 1.0),
    (40, 10, 1, 2.0, 0.5),
    (40, 20, 10, 0.5, 2.0),
    (400, 100, 10, 0.5, 2.0),
]


@pytest.mark.parametrize(("tasks", "samples", "k", "a", "b"), POPULATIONS)
def test_intervals_cover_the_truth_as_often_as_they_say(
    tasks: int, samples: int, k: int, a: float, b: float
) -> None:
    """Of 1,500 simulated benchmarks, 93 to 97 % have the truth in their interval; the seed is fixed."""
    random = np.random.default_rng(20261123)
    # The mean of 1 - (1 - p)^k over Beta(a, b).
    truth = 1 - math.exp(_log_beta(a, b + k) - _log_beta(a, b))
    table = [pass_at_k(samples, passed, k) for passed in range(samples + 1)]
    covered = 0
    for _ in range(1500):
        passed: list[int] = random.binomial(samples, random.beta(a, b, tasks)).tolist()
        found = interval([table[count] for count in passed])
        covered += found.low <= truth <= found.high

    assert 0.93 <= covered / 1500 <= 0.97


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def test_intervals_count_tasks_not_samples() -> None:
    """A hundred samples a task that all go alike say no more than one."""
    once = estimate([Counts(1, 1)] * 82 + [Counts(1, 0)] * 82, 1)
    often = estimate([Counts(100, 100)] * 82 + [Counts(100, 0)] * 82, 1)

    assert once is not None
    assert once == often
    assert once.high - once.low == pytest.approx(0.152, abs=2e-3)


def test_percentiles_are_interpolated() -> None:
    """And there is none of nothing."""
    assert percentile([], 50) is None
    assert percentile([3.0], 95) == 3.0
    assert percentile([1.0, 2.0, 3.0, 4.0], 50) == 2.5
    assert percentile([float(n) for n in range(101)], 95) == pytest.approx(95.0)
