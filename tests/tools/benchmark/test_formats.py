"""Files of tasks: the published formats, our own, and what is said of files that are wrong."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from judging import judge_all

from proofbox.server.programs import OpenSandbox
from proofbox.server.sandbox import InvalidInput
from proofbox.tools.benchmark_model.sample import Candidate
from proofbox.tools.benchmark_model.task import Check
from proofbox.tools.benchmark_model.tasks import load_tasks

HUMAN_EVAL = {
    "task_id": "HumanEval/1000",
    "prompt": "def twice(x):\n",
    "entry_point": "twice",
    "canonical_solution": "    return x * 2\n",
    "test": "METADATA = {}\n\ndef check(candidate):\n    assert candidate(2) == 4, 'no'\n"
    "    assert abs(candidate(0.5) - 2.0 / 2) < 1e-6\n    assert True\n",
}
PLUS = {
    "task_id": "HumanEval/1001",
    "prompt": "def half(x):\n",
    "entry_point": "half",
    "canonical_solution": "    return x / 2\n",
    "base_input": [[4]],
    "plus_input": [[1], ["not a number"], [1e300]],
    "contract": "",
    "atol": 0,
}
PLUS_WIDE = {
    **PLUS,
    "task_id": "HumanEval/1002",
    "prompt": '\nFIX = """\nMore tests.\n"""\n\ndef wide(n):\n',
    "entry_point": "wide",
    "canonical_solution": "    return 'x' * n\n",
    "base_input": [[3]],
    "plus_input": [[5_000_000], [2]],
}
PLUS_ZERO = {
    "task_id": "HumanEval/32",
    "prompt": "def poly(xs, x):\n    return sum(c * x ** i for i, c in enumerate(xs))\n\ndef find_zero(xs):\n",
    "entry_point": "find_zero",
    "canonical_solution": "    return -xs[0] / xs[1]\n",
    "base_input": [[[1, 2]]],
    "plus_input": [[[-4, 0.5]]],
    "atol": 1e-6,
}
MBPP = {
    "task_id": 2,
    "text": "Write a function to find the shared elements.",
    "code": "def shared(a, b):\n    return tuple(set(a) & set(b))\n",
    "test_setup_code": "",
    "test_list": [
        "assert set(shared((3, 4, 5), (5, 7, 4))) == set((4, 5))",
        "assert set(shared((1, 2), (3,))) == set(())",
    ],
    "challenge_test_list": [],
}
MBPP_OBJECTS = {
    "task_id": 3,
    "text": "A counter.",
    "code": "class Counter:\n    def __init__(self):\n        self.n = 0\n    def add(self):\n        self.n += 1\n        return self\n",
    "test_list": ["c = Counter()\nfor _ in range(3):\n    c.add()\nassert c.n == 3"],
}
OWN = {
    "id": "own",
    "prompt": "Return the sign.",
    "entry_point": "sign",
    "strict": True,
    "reference": "def sign(x):\n    return (x > 0) - (x < 0)",
    "tests": "assert sign(5) == 1\nassert sign(-2) == -1\nwith raises(TypeError):\n    sign(None)",
}


def write(folder: Path, *rows: Any, name: str = "tasks.jsonl") -> Path:
    """A file with these rows; texts are lines as they are."""
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path = folder / name
    content = "\n".join(lines).encode()
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return path


def test_human_eval_is_taken_apart(tmp_path: Path) -> None:
    """Gzipped as it is published; what the tests expect is data on our side."""
    (task,) = load_tasks(write(tmp_path, HUMAN_EVAL, name="t.jsonl.gz")).values()

    (case,) = task.cases
    assert case.code == "__check__(candidate(2))\n__check__(candidate(0.5))"
    assert case.checks == (
        Check("candidate(2) == 4", 4),
        Check("abs(candidate(0.5) - 2.0 / 2) < 1e-06", 1.0, relation="close", tolerance=1e-6),
    )
    assert task.reference == "def twice(x):\n    return x * 2\n"
    assert task.kind == "completion"


def test_mbpp_comes_as_lines_and_as_an_array(tmp_path: Path) -> None:
    """The entry point is what the tests call; the first tests are part of what is asked."""
    sanitized = {**MBPP, "prompt": MBPP["text"], "test_imports": ["import math"]}
    del sanitized["text"]

    (task,) = load_tasks(write(tmp_path, MBPP)).values()
    (other,) = load_tasks(write(tmp_path, json.dumps([sanitized]), name="m.json")).values()

    assert (task.id, task.entry_point, task.kind) == ("MBPP/2", "shared", "instruction")
    assert "assert set(shared(" in task.prompt
    assert task.cases[0].checks[0].expected == {4, 5}
    assert other.entry_point == "shared"
    assert other.prelude == "import math"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([json.dumps(OWN), "{broken"], r"tasks\.jsonl:2: this is no JSON"),
        ([json.dumps(OWN), "[1]"], r"tasks\.jsonl:2: this row is no JSON object"),
        ([json.dumps(OWN), "", json.dumps(OWN)], r'tasks\.jsonl:3: the task "own" is there twice'),
        ([json.dumps({"a": 1})], r"tasks\.jsonl:1: this is no row of HumanEval"),
        ([""], r"There is no task in tasks\.jsonl"),
        ([json.dumps({**OWN, "typo": 1})], r"tasks\.jsonl:1: unknown fields: typo"),
        ([json.dumps({**OWN, "tests": "x = 1"})], r'tasks\.jsonl:1: "tests" check nothing'),
        ([json.dumps({**OWN, "tests": "assert ("})], r'tasks\.jsonl:1: "tests" are no Python'),
        ([json.dumps({**OWN, "language": "cobol"})], r'the language "cobol" cannot be judged'),
        ([json.dumps({**OWN, "language": "bash"})], r'"tests" are for Python; give "cases"'),
        ([json.dumps({**OWN, "cases": [{"input": 1, "output": 1}]})], r'either "tests" or "cases"'),
        ([json.dumps({**OWN, "tolerance": 0.1})], r'either "strict" or has a "tolerance"'),
        ([json.dumps({**OWN, "cpu_seconds": 0})], r'"cpu_seconds" must be a number over 0'),
        ([json.dumps({**HUMAN_EVAL, "test": 5})], r'tasks\.jsonl:1: "test" must be text'),
        ([json.dumps({**HUMAN_EVAL, "test": "def check("})], r'tasks\.jsonl:1: "test" is no Python'),
        ([json.dumps({**MBPP, "test_list": ["assert 1 == 1"]})], r"no test calls what the code defines"),
        ([json.dumps({**PLUS, "plus_input": [1]})], r'"plus_input" must be a list of lists'),
        ([json.dumps({"name": "n", "language": "rs", "tests": "", "prompt": ""})], r'"rs" cannot be judged here'),
    ],
)  # fmt: skip
def test_a_wrong_file_is_refused_with_its_line(
    tmp_path: Path, lines: list[str], message: str
) -> None:
    """Before anything starts."""
    with pytest.raises(InvalidInput, match=message):
        load_tasks(write(tmp_path, *lines))


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    """Missing, no gzip, no UTF-8."""
    broken = tmp_path / "broken.jsonl.gz"
    broken.write_bytes(b"no gzip")
    latin = tmp_path / "latin.jsonl"
    latin.write_bytes(b'{"id": 1}\n"\xe9"')

    for path, message in (
        (tmp_path / "none.jsonl", "cannot be read"),
        (broken, "cannot be read"),
        (latin, r"latin\.jsonl:2: this is not UTF-8"),
    ):
        with pytest.raises(InvalidInput, match=message):
            load_tasks(path)


def test_the_digest_depends_on_what_decides(tmp_path: Path) -> None:
    """The same task in another file or with another note has the same, with another test not."""
    changes: dict[str, dict[str, str]] = {
        "a.jsonl": {},
        "b.jsonl": {"note": "another"},
        "c.jsonl": {"tests": "assert sign(0) == 0"},
        "d.jsonl": {"prompt": "Another."},
    }

    digests = {
        name: next(iter(load_tasks(write(tmp_path, {**OWN, **change}, name=name)).values())).digest
        for name, change in changes.items()
    }

    assert digests["a.jsonl"] == digests["b.jsonl"]
    assert len({digests["a.jsonl"], digests["c.jsonl"], digests["d.jsonl"]}) == 3


ANSWERS = [
    ("HumanEval/1000", "passed", "def twice(x):\n    return x + x"),
    ("HumanEval/1000", "wrong_answer", "def twice(x):\n    return 4"),
    ("HumanEval/1001", "passed", "def half(x):\n    return x * 0.5"),
    ("HumanEval/1001", "wrong_answer", "def half(x):\n    return x // 2"),
    ("HumanEval/1001", "wrong_answer", "class A:\n    __eq__ = lambda *a: True\ndef half(x):\n    return A()"),
    ("HumanEval/1002", "passed", "def wide(n):\n    return n * 'x'"),
    ("HumanEval/1002", "wrong_answer", "def wide(n):\n    return 'xxx'"),
    ("HumanEval/32", "passed", "def find_zero(xs):\n    return -xs[0] / xs[1] + 1e-9"),
    ("HumanEval/32", "wrong_answer", "def poly(xs, x):\n    return 0\ndef find_zero(xs):\n    return 5"),
    ("MBPP/2", "passed", "def shared(a, b):\n    return [x for x in a if x in b]"),
    ("MBPP/2", "wrong_answer", "def shared(a, b):\n    return a"),
    ("MBPP/3", "passed", "class Counter:\n    n = 0\n    def add(self):\n        self.n += 1"),
    ("MBPP/3", "wrong_answer", "class Counter:\n    n = 0\n    def add(self):\n        pass"),
    ("MBPP/3", "early_exit", "class Counter:\n    n = 0\n    def add(self):\n        raise SystemExit(0)"),
    ("own", "passed", OWN["reference"]),
    ("own", "wrong_answer", "def sign(x):\n    return float((x > 0) - (x < 0))"),
    ("own", "wrong_answer", "def sign(x):\n    return 1 if (x or 0) > 0 else -1"),
]  # fmt: skip


@pytest.mark.slow
async def test_answers_to_tasks_of_every_format_are_judged(
    open_sandbox: OpenSandbox, tmp_path: Path
) -> None:
    """Compared, replayed, or, where neither can be, in their own process."""
    tasks = load_tasks(
        write(tmp_path, HUMAN_EVAL, PLUS, PLUS_WIDE, PLUS_ZERO, MBPP, MBPP_OBJECTS, OWN)
    )
    candidates = [Candidate(task, "m", n, str(code)) for n, (task, _, code) in enumerate(ANSWERS)]

    judgements = await judge_all(candidates, tasks, open_sandbox)

    for (task, outcome, code), judgement in zip(ANSWERS, judgements, strict=True):
        assert (task, judgement.outcome) == (task, outcome), (code, judgement.reason)
    assert {j.candidate.task_id: j.method for j in judgements} == {
        "HumanEval/1000": "compared",
        "HumanEval/1001": "compared",
        "HumanEval/1002": "compared",
        "HumanEval/32": "replayed",
        "MBPP/2": "compared",
        "MBPP/3": "in_process",
        "own": "compared",
    }
