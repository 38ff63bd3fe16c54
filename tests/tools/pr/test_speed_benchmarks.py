"""What is timed, found in the files of both sides without running them."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager

import pytest
from pr_pulls import Files, pull_of

from proofbox.server.sandbox import ProgramRunner, SandboxUnavailable
from proofbox.tools.check_pr.environment.environment import Environment
from proofbox.tools.check_pr.environment.side import Side
from proofbox.tools.check_pr.performance.benchmarks import (
    SNIPPETS,
    Track,
    snippet_file,
    split_snippet,
    track_of,
)
from proofbox.tools.check_pr.performance.compare import compare_speed
from proofbox.tools.check_pr.pull.pull import Pull, Tree
from proofbox.tools.check_pr.request import PrRequest

BENCHMARK = "def test_it(benchmark):\n    benchmark(len, 'a')\n"
BASE = {
    "pkg/__init__.py": "def report(benchmark):\n    return benchmark\n",
    "tests/test_plain.py": "def test_plain():\n    pass\n",
    "tests/test_fast.py": BENCHMARK,
    "tests/test_old.py": BENCHMARK,
    "benchmarks/bench_all.py": "from shared import N\n" + BENCHMARK,
    "benchmarks/shared.py": "N = 1\n",
    "tests/conftest.py": "import pytest\n@pytest.fixture\ndef timer(benchmark):\n    return benchmark\n",
    "tests/test_over.py": "def test_over(timer):\n    timer(len, 'a')\n",
}


@asynccontextmanager
async def nowhere() -> AsyncGenerator[ProgramRunner]:
    """There is no sandbox."""
    raise SandboxUnavailable("There is no sandbox today.")
    yield


def side(tree: Tree) -> Side:
    """With what every sandbox has."""
    return Side(tree, Environment(), nowhere)


def track(head: Files, request: PrRequest | None = None) -> Track:
    """What is timed of a change to `BASE`."""
    pull = pull_of(BASE, head)
    return track_of(pull, side(pull.base), side(pull.head), request or PrRequest("."))


def test_files_with_benchmarks_are_found_wherever_they_are() -> None:
    """In tests, in folders of benchmarks, over fixtures; not where a function has an argument of that name."""
    found = track({"pkg/__init__.py": "x = 1\n"})

    assert sorted(found.files) == [
        "benchmarks/bench_all.py",
        "tests/test_fast.py",
        "tests/test_old.py",
        "tests/test_over.py",
    ]
    assert found.base.tests == found.head.tests == found.files
    assert found.base.files["pkg/__init__.py"] != found.head.files["pkg/__init__.py"]


def test_both_sides_run_the_same_benchmarks() -> None:
    """Head's, with what lies beside them, and those of base that head has no more."""
    faster = BENCHMARK.replace("'a'", "''")
    found = track(
        {"tests/test_fast.py": faster, "tests/test_old.py": None, "benchmarks/shared.py": "N = 2\n"}
    )

    for path in ("tests/test_fast.py", "tests/test_old.py", "benchmarks/shared.py"):
        assert found.base.files[path] == found.head.files[path]
    assert found.base.files["tests/test_fast.py"] == faster.encode()
    assert found.base.files["benchmarks/shared.py"] == b"N = 2\n"
    assert "tests/test_old.py" in found.files


def test_a_file_that_moved_is_run_where_it_is_now() -> None:
    """Once."""
    found = track({"tests/test_old.py": None, "tests/test_renamed.py": BENCHMARK + "# moved\n"})
    moved = pull_of(
        {"tests/test_a.py": BENCHMARK}, {"tests/test_a.py": None, "tests/test_b.py": BENCHMARK}
    )
    renamed = track_of(moved, side(moved.base), side(moved.head), PrRequest("."))

    assert "tests/test_renamed.py" in found.files
    assert renamed.files == ("tests/test_b.py",)


def test_only_narrows_what_is_timed() -> None:
    """Where it names some benchmarks; else all are."""
    named = track({}, PrRequest(".", only=("benchmarks",)))
    others = track({}, PrRequest(".", only=("tests/test_plain.py",)))

    assert named.files == ("benchmarks/bench_all.py",)
    assert len(others.files) == 4


SNIPPETS_SPLIT = [
    (
        "import a\nfrom b import c\ndef d(): ...\nc(a)\nd()",
        "import a\nfrom b import c\ndef d(): ...",
    ),
    ("x = 1\nx += 1", ""),
    ("x = 1\n# %%\nx += 1", "x = 1"),
    ("# %% timed\ny()", ""),
    ("import a", ""),
    ("not python at all", ""),
]


@pytest.mark.parametrize(("text", "once"), SNIPPETS_SPLIT)
def test_what_a_snippet_does_first_is_done_once(text: str, once: str) -> None:
    """Imports and definitions, or what stands above a line that divides it; lines keep their numbers."""
    found, rest = split_snippet(text)

    assert found == once
    assert (
        rest.splitlines()[found.count("\n") + bool(found) :]
        == text.splitlines()[found.count("\n") + bool(found) :]
    )


def test_snippets_are_benchmarks_by_their_names() -> None:
    """Whatever is in the names."""
    given: Mapping[str, str] = {"sort 'it'": "sorted([2, 1])", 'say "hi"': "print\nlen('a')"}
    found = track({}, PrRequest(".", snippets=given))

    assert found.files[-1] == SNIPPETS
    assert found.base.files[SNIPPETS] == found.head.files[SNIPPETS] == snippet_file(given)
    compile(snippet_file(given), SNIPPETS, "exec")


async def test_where_there_is_nothing_to_time_the_answer_says_so() -> None:
    """An empty one would look like good news."""
    pull: Pull = pull_of({"a.py": "x = 1\n"}, {"a.py": "x = 2\n"})

    [one] = await compare_speed(pull, side(pull.base), side(pull.head), PrRequest("."))

    assert (one.verdict, one.pairs) == ("undecided", 0)
    assert "no test that uses the fixture `benchmark`" in one.why


async def test_without_a_sandbox_nothing_is_said_of_the_code() -> None:
    """It is undecided, and why."""
    pull = pull_of(BASE, {"pkg/__init__.py": "x = 1\n"})

    [one] = await compare_speed(pull, side(pull.base), side(pull.head), PrRequest("."))

    assert (one.verdict, one.pairs) == ("undecided", 0)
    assert "There is no sandbox today." in one.why
