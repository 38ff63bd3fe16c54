"""The fixture `benchmark` as tests find it: what it calls, what it tells, and that it counts the same every time."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from guest_plugin import records_of

from proofbox.tools.check_pr.performance import measuring
from proofbox.tools.check_pr.performance.guest.counting import count

OPTIONS: dict[str, Any] = {
    "loops": {},
    "batch_seconds": 0.001,
    "seconds": 0.01,
    "count": True,
    "core": 1,
}
# It has a fixture of the same name, as pytest-benchmark has.
OTHER = """
import pytest

@pytest.fixture
def benchmark():
    raise RuntimeError("not this one")
"""


def timed(
    folder: Path,
    tests: str,
    options: Mapping[str, Any] = OPTIONS,
    arguments: Sequence[str] = (),
    **more: str,
) -> dict[str, dict[str, Any]]:
    """What is told of each benchmark, by the name of the test."""
    files = {"test_a.py": tests, **{f"{path}.py": text for path, text in more.items()}}
    told = records_of(folder, "timing", measuring.modules(), files, options, arguments)
    return {record["id"].rpartition("::")[2]: record for record in told}


def test_a_benchmark_is_called_as_its_test_says(tmp_path: Path) -> None:
    """With arguments, as a decorator, with a setup for each call; its result comes back, and the mark is known."""
    found = timed(
        tmp_path,
        "import pytest\n"
        "def add(a, b=0):\n    return a + b\n"
        "@pytest.mark.benchmark(group='x')\n"
        "def test_call(benchmark):\n"
        "    assert benchmark(add, 1, b=2) == 3\n"
        "    assert benchmark.stats['mean'] == benchmark.stats.stats.mean\n"
        "def test_decorator(benchmark):\n    @benchmark\n    def result():\n        return 5\n    assert result == 5\n"
        "def test_pedantic(benchmark):\n"
        "    def setup():\n        return ([3, 1, 2],), {}\n"
        "    def ordered(values):\n        assert values == [3, 1, 2]\n        values.sort()\n        return values\n"
        "    assert benchmark.pedantic(ordered, setup=setup, rounds=9) == [1, 2, 3]\n"
        "def test_given(benchmark):\n    assert benchmark.pedantic(add, args=(1,), kwargs={'b': 4}) == 5\n"
        "@pytest.mark.parametrize('n', [1, 2])\n"
        "def test_each(benchmark, n):\n    benchmark.extra_info['n'] = n\n    assert benchmark(add, n) == n\n"
        "def test_no_benchmark():\n    raise AssertionError('it need not run')\n",
        arguments=("--strict-markers",),
    )

    assert set(found) == {
        "test_call", "test_decorator", "test_pedantic", "test_given", "test_each[1]", "test_each[2]"
    }  # fmt: skip
    assert all(record["loops"] >= 1 for record in found.values())
    assert all(len(record["batches"]) >= 5 for record in found.values())
    assert all(record["events"] >= 1 for record in found.values())


def test_the_fixture_of_a_plugin_gives_way(tmp_path: Path) -> None:
    """It would measure by the clock on the wall; a project's own fixture stays what it is."""
    used = "def test_used(benchmark):\n    assert benchmark(len, 'ab') == 2\n"

    found = timed(
        tmp_path / "one", used, arguments=("-p", "pytest_benchmark"), pytest_benchmark=OTHER
    )

    own = OTHER.replace('raise RuntimeError("not this one")', "return len")
    left = timed(
        tmp_path / "two",
        "def test_own(benchmark):\n    assert benchmark('ab') == 2\n",
        conftest=own,
    )

    assert (set(found), left) == ({"test_used"}, {})


def test_calls_are_as_many_as_the_other_side_makes(tmp_path: Path) -> None:
    """Batches of so many, after the calls that are not timed; nothing is counted where that is not asked for."""
    options = {**OPTIONS, "loops": {"test_a.py::test_n": 7}, "count": False}
    tests = (
        "calls = []\n"
        "def test_n(benchmark):\n    benchmark(calls.append, 1)\n    assert (len(calls) - 2) % 7 == 0\n"
    )

    found = timed(tmp_path, tests, options)["test_n"]

    assert (found["loops"], found["events"]) == (7, None)


def test_a_benchmark_that_sleeps_is_seen_to_wait(tmp_path: Path) -> None:
    """One that computes is not."""
    tests = (
        "import time\n"
        "def test_sleeps(benchmark):\n    benchmark(time.sleep, 0.002)\n"
        "def test_computes(benchmark):\n    benchmark(sum, range(20_000))\n"
    )

    found = timed(tmp_path, tests)

    assert found["test_sleeps"]["waited"] > 0.5
    assert found["test_computes"]["waited"] < 0.5


def work(times: int) -> int:
    """Lines and branches in proportion to `times`."""
    total = 0
    for number in range(times):
        if number % 2:
            total += number
    return total


def test_events_are_the_same_in_every_count() -> None:
    """And a tenth more for a tenth more work."""
    few = [count(lambda: work(1_000)) for _ in range(3)]

    assert len(set(few)) == 1
    assert few[0] > 2_000
    assert count(lambda: work(1_100)) / few[0] == pytest.approx(1.1, abs=0.002)


def test_what_raises_while_it_is_counted_leaves_no_counter_behind() -> None:
    """The next count is right."""
    before = count(lambda: work(50))
    with pytest.raises(ZeroDivisionError):
        count(lambda: 1 // 0)

    assert count(lambda: work(50)) == before
