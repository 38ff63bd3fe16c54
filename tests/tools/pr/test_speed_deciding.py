"""The rule that says slower, faster, the same or undecided, on samples that were made or recorded."""

from collections import Counter
from math import exp
from random import Random

import pytest

from proofbox.tools.check_pr.performance.deciding import LOOKS, Decision, decide


def noise(chance: Random, centre: float, spread: float) -> float:
    """A quotient as busy machines give it: now and then something else got in the way of one side."""
    if chance.random() < 0.1:
        spread *= 5
    return centre * exp(chance.gauss(0.0, spread))


def sequential(chance: Random, centre: float, spread: float, events: float | None) -> Decision:
    """Pairs until something is decided, as in a race."""
    quotients: list[float] = []
    found = decide([1.0], events)
    for look in LOOKS:
        quotients += [noise(chance, centre, spread) for _ in range(look - len(quotients))]
        found = decide(quotients, events)
        if found.verdict != "undecided":
            break
    return found


def verdicts(centre: float, spread: float, events: float | None) -> Counter[str]:
    """What 200 comparisons say."""
    chance = Random(2026)
    return Counter(sequential(chance, centre, spread, events).verdict for _ in range(200))


@pytest.mark.parametrize("spread", [0.01, 0.03, 0.06, 0.12])
@pytest.mark.parametrize("events", [1.0, None])
def test_the_same_code_is_not_called_slower_or_faster(spread: float, events: float | None) -> None:
    """However the machine sways; what cannot be told is undecided."""
    found = verdicts(1.0, spread, events)

    assert found["slower"] + found["faster"] == 0
    assert spread > 0.03 or found["same"] > 180


@pytest.mark.parametrize(("spread", "events"), [(0.01, 1.1), (0.04, 1.1), (0.07, 1.1), (0.04, 1.0)])
def test_a_slowdown_of_a_tenth_is_found(spread: float, events: float) -> None:
    """With events that confirm it, and in C, where they see nothing."""
    assert verdicts(1.1, spread, events)["slower"] >= 190
    assert verdicts(1 / 1.1, spread, 2 - events)["faster"] >= 190


# Of benchmarks/pr_performance.py on two cores, with some twenty other processes busy on them: a function that fills a
# dictionary twice, then with a tenth more work.
SAME = [
    0.933,
    0.981,
    0.99,
    1.009,
    0.986,
    0.989,
    1.009,
    0.999,
    0.541,
    1.0,
    0.95,
    0.985,
    1.021,
    1.007,
]
SLOWER = [1.058, 1.105, 1.091, 1.092, 1.059, 1.102, 1.152, 1.089, 1.054, 1.077]


def test_what_was_measured_under_load_is_judged_right() -> None:
    """Both as recorded."""
    assert decide(SAME, 1.0).verdict == "same"
    assert decide(SLOWER, 1.1).verdict == "slower"
    assert decide([1 / one for one in SLOWER], 1 / 1.1).verdict == "faster"


def test_a_difference_that_nobody_confirms_needs_more_pairs() -> None:
    """Ten pairs that events do not confirm decide nothing, thirty do."""
    few = decide(SLOWER, 1.0)
    many = decide(SLOWER * 3, 1.0)

    assert (few.verdict, many.verdict) == ("undecided", "slower")
    assert "as many lines and branches" in few.why
    assert decide(SLOWER, None).verdict == "undecided"
    assert decide(SLOWER, 0.8).verdict == "undecided"


def test_less_than_five_percent_is_no_difference() -> None:
    """Even if it is sure."""
    found = decide([1.03, 1.031, 1.029, 1.032, 1.028] * 4, 1.03)

    assert (found.verdict, found.p < 0.01) == ("same", True)


def test_the_figures_are_those_of_the_pairs() -> None:
    """The median, bounds around it, and who dominates."""
    found = decide(SLOWER, 1.1)

    assert found.ratio == pytest.approx(1.09, abs=0.001)
    assert found.low < found.ratio < found.high
    assert (found.effect, found.p) == (1.0, pytest.approx(2 / 252))


def test_a_benchmark_that_waits_is_not_judged_by_what_it_computes() -> None:
    """CPU time says nothing of sleeping."""
    found = decide(SLOWER * 3, 1.1, waited=0.9)

    assert (found.verdict, "waiting" in found.why) == ("undecided", True)
