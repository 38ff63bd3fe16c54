"""What a session says of its own tests when it is forked instead of run: in a process of its own, without a jail."""

import json
import subprocess
import sys
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from proofbox.tools.run_generated_tests.events import TestRun
from proofbox.tools.run_generated_tests.feedback import untaken
from proofbox.tools.run_generated_tests.findings import Finding
from proofbox.tools.run_generated_tests.measured import Worth, WorthOptions
from proofbox.tools.run_generated_tests.worth import read

RUNNER = """
import json, sys
import pytest
from proofbox.tools.run_generated_tests.guest import worth

options = json.loads(sys.argv[1])
records = open(sys.argv[2], "w", buffering=1)

def say(kind, **fields):
    records.write(json.dumps({"t": kind, **fields}) + "\\n")

sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", "-p", "no:anyio"], plugins=[worth.plugin(options, say)]))
"""

Weigh = Callable[..., Worth]


@pytest.fixture
def weigh(tmp_path: Path) -> Weigh:
    """Weighs tests of a module `source`, all mutants of it."""

    def run(
        source: str, tests: str, *, mutation: Mapping[str, Any] | None = None, **more: Any
    ) -> Worth:
        (tmp_path / "source.py").write_text(textwrap.dedent(source))
        (tmp_path / "test_source.py").write_text(textwrap.dedent(tests))
        options = {
            "sources": [str(tmp_path / "source.py")],
            "modules": ["source"],
            "tests": None,
            "vacuity": 60.0,
            "mutation": mutation,
            "test_seconds": 5.0,
            **more,
        }
        records = tmp_path / "records.jsonl"
        subprocess.run(
            [sys.executable, "-c", RUNNER, json.dumps(options), str(records)],
            cwd=tmp_path,
            env={"PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1", "PATH": ""},
            capture_output=True,
            timeout=120,
            check=False,
        )
        said = [json.loads(line) for line in records.read_text().splitlines()]
        run = TestRun(complete=False, guests={"worth": said}, problems=("nothing was run",))
        judged = {one["test"] for one in said if one["what"] in {"worth", "unrepeatable"}}
        return read(run, sorted(judged), WorthOptions(mutation="thorough"))

    return run


def kinds(worth: Worth) -> dict[str, str]:
    """The kind of what was found about each test, by its name."""
    found: Mapping[str, list[Finding]] = {name: [*some] for name, some in worth.findings.items()}
    return {name.rpartition("::")[2]: some[0].kind for name, some in found.items()}


ALL = {"cpu_seconds": 60.0, "seed": 0, "only": None}


def test_tests_are_graded_by_what_they_notice(weigh: Weigh) -> None:
    """Those that prove something, and three ways not to."""
    worth = weigh(
        """
        def double(number):
            return number * 2

        def describe(number):
            return str(double(number))

        class Counter:
            def __init__(self):
                self.count = 0

            def add(self):
                self.count += 1
        """,
        """
        import pytest
        import source

        def test_proves(): assert source.double(2) == 4
        def test_procedure():
            counter = source.Counter()
            counter.add()
            assert counter.count == 1
        def test_pure_raises():
            with pytest.raises(TypeError):
                source.double(None)
        def test_weak(): assert isinstance(source.describe(2), str)
        def test_crash_only():
            source.Counter().add()
            assert True
        def test_vacuous():
            source.double(2)
        def test_unreached(): assert 1 + 1 == 2
        @pytest.mark.parametrize("number", [1, 2])
        def test_many(number): assert source.describe(number) == str(2 * number)
        """,
    )

    assert worth.complete, worth.problems
    assert kinds(worth) == {
        "test_weak": "weak",
        "test_crash_only": "weak",
        "test_vacuous": "vacuous",
        "test_unreached": "unreached",
    }
    assert worth.proofs["test_source.py::test_many[1]"] == ("describe",)
    proved = {function.name: function.proved_by for function in worth.functions}
    assert proved["Counter.add"] == "test_source.py::test_procedure"
    assert proved["double"]
    assert not any(function.unproved for function in worth.functions)


def test_a_function_that_may_do_what_it_likes_is_named(weigh: Weigh) -> None:
    """Though the tests that reach it are worth keeping for something else."""
    worth = weigh(
        """
        def log(text):
            return len(text)

        def double(number):
            log("doubling")
            return number * 2
        """,
        "import source\ndef test_double(): assert source.double(2) == 4\n",
    )

    assert worth.complete
    assert {one.name: one.unproved for one in worth.functions} == {"log": True, "double": False}


def test_coverage_is_that_of_each_test(weigh: Weigh) -> None:
    """Lines and branches, what a shared fixture runs included."""
    worth = weigh(
        """
        def sign(number):
            if number < 0:
                return "-"
            return "+"

        def load():
            return 5
        """,
        """
        import pytest
        import source

        @pytest.fixture(scope="module")
        def loaded(): return source.load()
        def test_plus(): assert source.sign(1) == "+"
        def test_first(loaded): assert loaded == 5
        def test_second(loaded): assert loaded + 1 == 6
        """,
    )

    assert worth.coverage is not None
    [(path, file)] = worth.coverage.files.items()
    assert path.endswith("source.py")
    assert file.missing == (4,)
    assert file.missing_branches == ((3, 4),)
    assert untaken(file) == "3->4"
    assert worth.coverage.percent == 75.0  # 5 of 6 statements, 1 of 2 branches
    lines = {name.rpartition("::")[2]: [*some.values()] for name, some in worth.coverage.per_test.items()}  # fmt: skip
    assert lines["test_plus"] == [((3, 3), (5, 5))]
    assert lines["test_first"] == lines["test_second"] == [((8, 8),)]
    assert not worth.findings


def test_what_there_was_no_time_to_break_is_neither_proved_nor_vacuous(weigh: Weigh) -> None:
    """One test at least is tried; of the others nothing is known, and that is said."""
    source = "".join(f"def f{n}(a):\n    return sum(range(a)) + {n}\n" for n in range(6))
    tests = "import source\n" + "".join(f"def test_{n}(): assert source.f{n}(30000) > {n}\n" for n in range(6))  # fmt: skip

    worth = weigh(source, tests, vacuity=0.001)

    assert not worth.complete
    found = kinds(worth)
    assert set(found.values()) == {"untried"}
    assert not worth.proofs.get("test_source.py::test_5")
    assert f"{len(found)} of 6 tests have not met every function" in worth.problems[0]
    assert not any(function.unproved for function in worth.functions)


@pytest.mark.slow
def test_every_mutant_has_one_of_four_ends(weigh: Weigh) -> None:
    """Killed, survived, never ending, or ending its process without a word."""
    worth = weigh(
        """
        import os

        def count(limit):
            number = 0
            while number < limit:
                number += 1
            return number

        def at_least(number):
            return number >= 3

        def leave(number):
            if number > 5:
                os._exit(0)
            return 1
        """,
        """
        from source import at_least, count, leave

        def test_count(): assert count(3) == 3
        def test_at_least(): assert at_least(5) and not at_least(1)
        def test_leave(): assert leave(5) == 1
        """,
        mutation=ALL,
    )

    mutation = worth.mutation
    assert mutation is not None
    ends = {(one.function, one.after): one.status for one in mutation.mutants}
    assert len(mutation.mutants) == mutation.total
    assert ends["count", "return None"] == "killed"
    assert ends["at_least", "return number > 3"] == "survived"
    assert ends["count", "number -= 1"] == "timeout"
    assert ends["leave", "if number >= 5:"] == "killed"
    assert mutation.survivors[0].after == "return number > 3"
    left = next(one for one in mutation.mutants if one.after == "if number >= 5:")
    assert "ended its own process" in left.reason


@pytest.mark.slow
def test_a_small_budget_gives_a_sample_of_a_stated_size(weigh: Weigh) -> None:
    """The score is that of the sample."""
    source = "".join(f"def f{n}(a):\n    return a * {n} + 1 if a else 2\n" for n in range(12))
    tests = "import source\n" + "".join(f"def test_{n}(): assert source.f{n}(1) == {n} + 1\n" for n in range(12))  # fmt: skip

    worth = weigh(source, tests, mutation={"cpu_seconds": 0.05, "seed": 3, "only": None})

    assert worth.mutation is not None
    assert 0 < len(worth.mutation.mutants) < worth.mutation.total
    assert len({one.function for one in worth.mutation.mutants}) > 1


def test_only_the_mutants_that_are_asked_for_are_tried_again(weigh: Weigh, tmp_path: Path) -> None:
    """As is done with those that had no clear answer."""
    wanted = f"{tmp_path / 'source.py'}:f:1"

    worth = weigh(
        "def f(a):\n    return a + 1\n",
        "import source\ndef test_f(): assert source.f(1) == 2\n",
        mutation={"cpu_seconds": 60.0, "seed": 0, "only": [wanted]},
        vacuity=None,
    )

    assert worth.mutation is not None
    assert [one.id for one in worth.mutation.mutants] == [wanted]


def test_a_test_that_cannot_be_run_again_is_named(weigh: Weigh) -> None:
    """What it leaves on the disk makes it fail, so it could kill no mutant by itself."""
    worth = weigh(
        "def f():\n    return 1\n",
        """
        import pathlib
        import source

        def test_once():
            pathlib.Path("made").mkdir()
            assert source.f() == 1
        def test_f(): assert source.f() == 1
        """,
    )

    assert kinds(worth) == {"test_once": "unrepeatable"}


def test_a_child_that_a_test_leaves_behind_does_not_answer_for_the_others(weigh: Weigh) -> None:
    """It would go on with the tests that follow, and say that it is done."""
    worth = weigh(
        "def f(): return 1",
        """
        import os
        import source
        def test_f(): assert source.f() == 1
        def test_fork():
            if not (child := os.fork()):
                assert source.f() == 2
                os._exit(0)
            os.waitpid(child, 0)
        def test_last(): assert source.f() == 1
        """,
    )

    assert worth.complete, worth.problems
    assert kinds(worth) == {"test_fork": "unreached"}


def test_a_session_that_ends_early_proves_nothing() -> None:
    """Without its last record nothing may be called proved."""
    said = [{"what": "worth", "test": "t", "grade": "proves", "proofs": ["f"], "reached": ["f"]}]
    run = TestRun(complete=False, guests={"worth": said}, problems=("It was killed.",))

    worth = read(run, ["t"], WorthOptions())

    assert not worth.complete
    assert worth.problems == ("It was killed.",)


def test_a_test_without_a_grade_proves_nothing() -> None:
    """Every test that was asked about must have an answer."""
    run = TestRun(complete=False, guests={"worth": [{"what": "end", "cpu": 0.0}]})

    assert not read(run, ["t"], WorthOptions()).complete
