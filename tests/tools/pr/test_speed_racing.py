"""Pairs of runs until every benchmark is decided: what is said of each, whatever becomes of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

import pytest

from proofbox.tools.check_pr.performance.deciding import LOOKS
from proofbox.tools.check_pr.performance.measuring import Round, SideName, Timed, quotient, read
from proofbox.tools.check_pr.performance.racing import BUDGET_SECONDS, MOST_BENCHMARKS, Pair, race
from proofbox.tools.run_generated_tests.events import Phase, Raised, TestResult, TestRun


@dataclass(slots=True)
class Machine:
    """Runs pairs as scripted: how many times the work of base each benchmark is at head."""

    work: Mapping[str, float]
    noise: float = 0.02
    failing: Mapping[SideName, Mapping[str, str]] = field(
        default_factory=dict[SideName, Mapping[str, str]]
    )
    lost_after: int = 1_000
    pairs: list[tuple[Sequence[str] | None, Mapping[str, int]]] = field(
        default_factory=list[tuple[Sequence[str] | None, Mapping[str, int]]]
    )
    chance: Random = field(default_factory=lambda: Random(5))

    async def run(self, number: int, names: Sequence[str] | None, loops: Mapping[str, int]) -> Pair:
        assert number == len(self.pairs)
        self.pairs.append((names, dict(loops)))
        if number > self.lost_after:
            return Round(problem="The sandbox was lost."), Round(problem="The sandbox was lost.")
        wanted = list(self.work) if names is None else names
        return self._side("base", wanted), self._side("head", wanted)

    def _side(self, side: SideName, names: Sequence[str]) -> Round:
        failed = {name: why for name, why in self.failing.get(side, {}).items() if name in names}
        timed = {name: self._timed(side, name) for name in names if name not in failed}
        return Round(timed, failed)

    def _timed(self, side: SideName, name: str) -> Timed:
        work = self.work[name] if side == "head" else 1.0
        seconds = work * (1.0 + self.chance.gauss(0.0, self.noise))
        batches = tuple((float(n), seconds) for n in range(10))
        return Timed(batches, 40 if side == "base" else 30, 0.0, round(1000 * work))


async def test_each_benchmark_gets_its_verdict_and_those_decided_run_no_more() -> None:
    """The first pair finds how often to call them, which is the same on both sides from then on."""
    machine = Machine({"t::same": 1.0, "t::slow": 1.2, "t::fast": 0.8})

    found = await race(machine.run)

    assert {one.name: one.verdict for one in found} == {
        "t::same": "same",
        "t::slow": "slower",
        "t::fast": "faster",
    }
    assert [one.events for one in found] == [1.0, 1.2, 0.8]
    assert all(one.pairs == LOOKS[0] for one in found)
    assert len(machine.pairs) == LOOKS[0]
    assert machine.pairs[0] == (None, {})
    assert machine.pairs[1][1] == {"t::same": 30, "t::slow": 30, "t::fast": 30}


async def test_what_is_not_clear_is_measured_longer_and_then_undecided() -> None:
    """On a machine that sways by half no tenth can be seen."""
    machine = Machine({"t::a": 1.0, "t::b": 1.0}, noise=0.5)

    found = await race(machine.run)

    assert [one.verdict for one in found] == ["undecided", "undecided"]
    assert [one.pairs for one in found] == [LOOKS[-1]] * 2
    assert "open" in found[0].why


async def test_a_benchmark_that_cannot_run_is_said_with_its_side() -> None:
    """On base, on head, on both; nothing is dropped."""
    failing: dict[SideName, Mapping[str, str]] = {
        "base": {"t::new": "failed: AttributeError: no f", "t::broken": "failed: ValueError: 1"},
        "head": {"t::gone": "failed: ImportError: no g", "t::broken": "failed: ValueError: 2"},
    }
    machine = Machine(dict.fromkeys(("t::a", "t::new", "t::gone", "t::broken"), 1.0), 0.02, failing)

    found = {one.name: one for one in await race(machine.run)}

    assert found["t::a"].verdict == "same"
    assert found["t::new"].why == "It does not run at base: failed: AttributeError: no f."
    assert found["t::gone"].why == "It does not run at head: failed: ImportError: no g."
    assert found["t::broken"].why == "It runs on neither side; at head: failed: ValueError: 2."
    assert {one.verdict for name, one in found.items() if name != "t::a"} == {"undecided"}
    assert found["t::new"].pairs == 0


async def test_a_file_that_cannot_be_imported_at_base_explains_its_benchmarks() -> None:
    """They are told by their own names, and the file is not told beside them."""
    there = Machine({"test_x.py::a": 1.0})

    async def run(number: int, names: Sequence[str] | None, loops: Mapping[str, int]) -> Pair:
        _, head = await there.run(number, names, loops)
        return Round(failed={"test_x.py": "it cannot be imported: ImportError: no y"}), head

    [one] = await race(run)

    assert one.name == "test_x.py::a"
    assert one.why == "It does not run at base: it cannot be imported: ImportError: no y."


async def test_where_nothing_could_be_timed_one_answer_says_so() -> None:
    """An empty answer would look like nothing to worry about."""
    [one] = await race(Machine({"t::a": 1.0}, lost_after=-1).run)

    assert (one.verdict, one.pairs) == ("undecided", 0)
    assert "At base nothing could be timed: The sandbox was lost." in one.why


async def test_a_sandbox_that_stays_lost_ends_the_race() -> None:
    """After a few more tries; too few pairs decide nothing."""
    machine = Machine({"t::a": 3.0}, lost_after=3)

    [one] = await race(machine.run)

    assert (one.verdict, one.pairs) == ("undecided", 4)
    assert "decides nothing. Then it failed: The sandbox was lost." in one.why
    assert len(machine.pairs) < LOOKS[0]


async def test_no_pair_begins_when_time_is_up() -> None:
    """And the answer says that more would have been needed."""
    ticks = iter(range(0, 100_000, int(BUDGET_SECONDS) // 4))
    machine = Machine({"t::a": 1.0})

    [one] = await race(machine.run, clock=lambda: float(next(ticks)))

    assert (one.verdict, one.pairs) == ("undecided", 6)
    assert "More did not fit into 600 seconds." in one.why


async def test_more_benchmarks_than_there_is_time_for_are_named() -> None:
    """The others are measured."""
    machine = Machine({f"t::b{n}": 1.0 for n in range(MOST_BENCHMARKS + 2)})

    found = await race(machine.run)

    assert [one.verdict for one in found].count("same") == MOST_BENCHMARKS
    assert [one.name for one in found if one.pairs == 0] == ["t::b60", "t::b61"]
    assert "more than 60 benchmarks" in found[-1].why


async def test_events_that_are_not_the_same_in_every_process_are_no_witness() -> None:
    """What depends on hash seeds or on time is not counted on."""
    machine = Machine({"t::a": 1.0})

    async def run(number: int, names: Sequence[str] | None, loops: Mapping[str, int]) -> Pair:
        base, head = await machine.run(number, names, loops)
        one = head.timed["t::a"]
        return base, Round({"t::a": Timed(one.batches, 1, 0.0, 1000 + 10 * number)})

    [found] = await race(run)

    assert (found.verdict, found.events) == ("same", None)


def test_batches_are_compared_with_those_that_were_at_the_same_time() -> None:
    """A machine that is half as fast for a while is so for both."""
    base = Timed(tuple((t / 10, 1.0 if t < 30 else 2.0) for t in range(60)), 1, 0.0, None)
    head = Timed(tuple((t / 10, 1.1 if t < 30 else 2.2) for t in range(20, 60)), 1, 0.0, None)
    elsewhere = Timed(tuple((t + 9e5, seconds) for t, seconds in head.batches[:10]), 1, 0.0, None)

    assert quotient(base, head) == pytest.approx(1.1)
    assert quotient(base, elsewhere) == pytest.approx(1.1)


def test_only_a_benchmark_that_passes_has_a_time() -> None:
    """Each other one has a reason."""
    record = {"batches": [[1.0, 0.5]], "loops": 3, "waited": 0.0, "events": 7}
    told = [{"id": f"t::{name}", **record} for name in ("good", "wrong")]
    error = Raised("AssertionError", "assert 1 == 2\nmore")
    failed = Phase("call", "failed", 0.1, "AssertionError", error=error)
    skipped = Phase("setup", "skipped", 0.1, reason="no numpy")
    tests = {
        "t::good": TestResult("t::good", "passed"),
        "t::wrong": TestResult("t::wrong", "failed", (failed,)),
        "t::skip": TestResult("t::skip", "skipped", (skipped,)),
        "t::lazy": TestResult("t::lazy", "passed"),
    }
    unread = {"u.py": Raised("ImportError", "no v")}

    found = read(TestRun(True, tests=tests, guests={"timing": told}, not_collected=unread))

    assert found.timed == {"t::good": Timed(((1.0, 0.5),), 3, 0.0, 7)}
    assert found.failed == {
        "u.py": "it cannot be imported: ImportError: no v",
        "t::wrong": "failed: AssertionError: assert 1 == 2",
        "t::skip": "skipped: no numpy",
        "t::lazy": "it never called `benchmark`",
    }


def test_a_process_without_an_answer_is_a_problem_and_no_result() -> None:
    """It says what the run says."""
    lost = TestRun(False, problems=("The sandbox was lost.",), lost=True)

    assert read(lost) == Round(problem="The sandbox was lost.")
    assert read(TestRun(True)).problem == "No benchmark was collected."
