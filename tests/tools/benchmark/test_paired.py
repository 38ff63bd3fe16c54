"""Two models on the same tasks."""

import numpy as np
import pytest

from proofbox.tools.benchmark_model.paired import (
    Difference,
    adjusted,
    difference,
    mcnemar,
    sentence,
)


def of_answers(both: int, only_first: int, only_second: int, neither: int) -> Difference:
    """The difference of two models with one answer a task."""
    first = [True] * (both + only_first) + [False] * (only_second + neither)
    second = [True] * both + [False] * only_first + [True] * only_second + [False] * neither
    return difference(list(map(float, first)), list(map(float, second)), first, second, single=True)


@pytest.mark.parametrize(
    ("only_first", "only_second", "p"),
    [(0, 0, 1.0), (16, 16, 1.0), (10, 2, 0.03857), (38, 9, 2.4904e-05), (1, 5, 0.21875)],
)
def test_mcnemars_exact_test_has_its_textbook_values(
    only_first: int, only_second: int, p: float
) -> None:
    """Twice the tail of a binomial with chance 1/2, and never more than 1."""
    assert mcnemar(only_first, only_second) == pytest.approx(p, rel=1e-3)
    assert mcnemar(only_second, only_first) == mcnemar(only_first, only_second)


def test_the_paired_error_is_that_of_recorded_models() -> None:
    """Two recorded models on HumanEval differ on 38 and 9 of 164 tasks: an error of .040, unpaired .054."""
    found = of_answers(both=70, only_first=38, only_second=9, neither=47)

    assert found.value == pytest.approx(29 / 164)
    assert found.error == pytest.approx(0.040, abs=5e-4)
    assert (found.only_first, found.only_second, found.tasks) == (38, 9, 164)
    assert found.p == found.mcnemar < 1e-4
    assert found.low > 0


def test_models_that_never_differ_are_not_separated_but_neither_proven_equal() -> None:
    """The interval keeps a width."""
    found = of_answers(both=100, only_first=0, only_second=0, neither=64)

    assert found.value == 0
    assert -0.03 < found.low < -0.01
    assert 0.01 < found.high < 0.03
    assert found.p == 1.0


def test_models_that_always_differ_keep_an_interval_with_a_width() -> None:
    """One solves all, the other nothing."""
    found = of_answers(both=0, only_first=10, only_second=0, neither=0)

    assert (found.value, found.high) == (1.0, 1.0)
    assert 0.2 < found.low < 0.9
    assert found.p == pytest.approx(2 / 1024)


@pytest.mark.parametrize(("tasks", "samples"), [(40, 1), (40, 5), (164, 1), (164, 10)])
def test_intervals_of_differences_cover_the_truth_as_often_as_they_say(
    tasks: int, samples: int
) -> None:
    """Of 1,500 simulated comparisons, 93 to 97 %; the seed is fixed."""
    random = np.random.default_rng(7)
    covered = 0
    for _ in range(1500):
        easy = random.beta(2, 1, tasks)
        first = (random.binomial(samples, easy) / samples).tolist()
        second = (random.binomial(samples, 0.9 * easy) / samples).tolist()
        hits = [value > 0.5 for value in first], [value > 0.5 for value in second]
        found = difference(first, second, *hits, single=samples == 1)
        covered += found.low <= 0.1 * 2 / 3 <= found.high

    assert 0.93 <= covered / 1500 <= 0.97


def test_several_comparisons_are_judged_more_strictly() -> None:
    """Holm (1979): the smallest p times the number of tests, and so on, in order."""
    assert adjusted([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert adjusted([0.9]) == [0.9]
    assert adjusted([]) == []


def test_a_sentence_says_which_is_better_or_that_nobody_knows() -> None:
    """With the evidence in it."""
    apart = of_answers(both=70, only_first=9, only_second=38, neither=47)
    alike = of_answers(both=118, only_first=16, only_second=16, neither=14)

    assert sentence("a", "b", apart, apart.p) == (
        "The data separate them: b is better than a: a has -17.7 points (95 % interval -25.5 to -9.9); "
        "9 of 164 tasks only the first solves, 38 only the second; p = 2.5e-05."
    )
    assert sentence("a", "b", alike, alike.p).startswith(
        "The data do not separate a from b: +0.0 points"
    )
