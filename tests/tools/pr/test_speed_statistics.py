"""Tests of two samples, against published values and against counting all orders."""

from itertools import combinations
from random import Random

import pytest

from proofbox.tools.check_pr.performance.statistics import (
    centre_interval,
    cliffs_delta,
    mann_whitney,
)

# Permeability constants of the human chorioamnion, at term and between 12 and 26 weeks: M. Hollander, D. A. Wolfe,
# "Nonparametric Statistical Methods" (1973), p. 69; R's manual gives the p value of them, exact.
AT_TERM = [0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46]
EARLY = [1.15, 0.88, 0.90, 0.74, 1.21]

# Depression scale before and after tranquilizer, differences: the same book, p. 29.
DIFFERENCES = [-0.952, 0.147, -1.022, -0.430, -0.620, -0.590, -0.490, 0.080, -0.010]


def test_the_exact_p_value_is_the_published_one() -> None:
    """U is 35 of 50; one-sided it is 0.1272."""
    assert mann_whitney(AT_TERM, EARLY) == pytest.approx(0.254412, abs=1e-6)
    assert mann_whitney(EARLY, AT_TERM) == pytest.approx(0.254412, abs=1e-6)


def test_with_ties_the_normal_approximation_is_corrected_for_them() -> None:
    """SciPy's `mannwhitneyu`, asymptotic with continuity, gives this."""
    found = mann_whitney([1, 2, 2, 3, 5, 6], [2, 4, 6, 7, 8, 9, 9])

    assert found == pytest.approx(0.043727859914373765, rel=1e-9)


@pytest.mark.parametrize(("n", "m"), [(1, 1), (2, 5), (4, 4), (5, 6)])
def test_the_exact_p_value_is_what_counting_all_orders_gives(n: int, m: int) -> None:
    """Of small samples all can be counted."""
    chance = Random(n * 100 + m)
    first = [chance.random() for _ in range(n)]
    second = [chance.random() + 0.3 for _ in range(m)]
    values = sorted(first + second)

    def extreme(one: list[float], other: list[float]) -> int:
        u = sum(a > b for a in one for b in other)
        return min(u, n * m - u)

    every = [
        ([values[i] for i in chosen], [values[i] for i in range(n + m) if i not in chosen])
        for chosen in combinations(range(n + m), n)
    ]
    at_least = sum(extreme(*each) <= extreme(first, second) for each in every)

    assert mann_whitney(first, second) == pytest.approx(at_least / len(every))


def test_five_against_five_apart_are_the_least_that_one_percent_needs() -> None:
    """2 of 252 orders; four against four are not enough."""
    assert mann_whitney(range(5), range(5, 10)) == pytest.approx(2 / 252)
    assert mann_whitney(range(4), range(4, 8)) > 0.01


def test_nothing_to_compare_shows_nothing() -> None:
    """Neither do values that are all the same."""
    assert mann_whitney([], [1.0]) == 1.0
    assert mann_whitney([2.0] * 9, [2.0] * 9) == 1.0
    assert cliffs_delta([], []) == 0.0


def test_dominance_counts_who_is_larger_in_all_pairs() -> None:
    """From never to always."""
    assert cliffs_delta([1, 2], [3, 4]) == 1.0
    assert cliffs_delta([3, 4], [1, 2]) == -1.0
    assert cliffs_delta([1, 3], [2, 3]) == 0.25
    assert cliffs_delta([1, 2], [1, 2]) == 0.0


def test_the_interval_of_the_centre_is_the_published_one() -> None:
    """Hollander and Wolfe give -0.786 to -0.010 with 96.1 %; ours has 95 %, by the normal approximation."""
    low, high = centre_interval(DIFFERENCES)

    assert (low, high) == pytest.approx((-0.786, -0.010), abs=0.0005)


def test_the_interval_holds_what_it_promises() -> None:
    """In 95 of 100 samples it has the centre in it, whatever the sample is like."""
    chance = Random(7)
    inside = 0
    for _ in range(1000):
        low, high = centre_interval([chance.gauss(0.3, chance.choice([0.1, 1])) for _ in range(12)])
        inside += low <= 0.3 <= high

    assert 930 <= inside <= 975


def test_few_values_bound_nothing_beyond_themselves() -> None:
    """The bounds are the smallest and the largest."""
    assert centre_interval([1.0]) == (1.0, 1.0)
    assert centre_interval([1.0, 3.0, 2.0]) == (1.0, 3.0)
