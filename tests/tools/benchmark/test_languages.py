"""JavaScript, bash, and programs that read and write: the same verdicts as for Python."""

import json
from pathlib import Path

import pytest
from judging import judge_all

from proofbox.server.programs import OpenSandbox
from proofbox.tools.benchmark_model.sample import Candidate
from proofbox.tools.benchmark_model.tasks import load_tasks

JS_TESTS = """\
const assert = require('node:assert');

function test() {
  let candidate = above;
  assert.deepEqual(candidate([1.0, 2.0, 3.9], 0.3),[1, 2, 3.9]);
  assert.deepEqual(candidate([1.0, 2.0], 1.5),[2]);
  assert.deepEqual(candidate([], 1),undefined);
}

test();"""
SH_TESTS = """\
}

candidate() {
    repeat "$@"
}

set -e
run_test() {
    [[ $(candidate "a b" "2") = "a b a b" ]]
    [[ $(candidate "x" "1") = "x" ]]
}

run_test"""
ROWS = [
    {"name": "HumanEval_1_above", "language": "js", "prompt": "//", "tests": JS_TESTS},
    {"name": "HumanEval_2_repeat", "language": "sh", "prompt": "#", "tests": SH_TESTS},
    {
        "id": "add", "prompt": "Add.", "entry_point": "add", "language": "javascript",
        "cases": [{"input": [1, 2], "output": 3}, {"input": ["a", "b"], "output": "ab"}],
    },
    {
        "id": "upper", "prompt": "Shout.", "entry_point": "upper", "language": "bash",
        "cases": [{"input": ["abc"], "output": "ABC"}, {"input": ["x y"], "output": "X Y"}],
    },
    {
        "id": "sum", "prompt": "Add what you read.", "cpu_seconds": 1, "wall_seconds": 10,
        "cases": [{"stdin": "3 4", "stdout": "7"}, {"arguments": ["10", "-1"], "stdout": "9\n"}],
    },
    {"id": "echo", "prompt": "Echo.", "language": "bash", "cases": [{"stdin": "a\nb", "stdout": "a\nb\n"}]},
]  # fmt: skip
_ABOVE = "if (!xs.length) return; return xs.filter(x => x > t)"
ANSWERS = [
    ("HumanEval_1_above", "passed", f"function above(xs, t) {{ {_ABOVE} }}"),
    ("HumanEval_1_above", "passed", f"const above = async (xs, t) => {{ {_ABOVE} }}"),
    ("HumanEval_1_above", "passed", f"console.log('x'.repeat(1e6)); function above(xs, t) {{ {_ABOVE} }}"),
    ("HumanEval_1_above", "wrong_answer", "function above(xs, t) { return xs }"),
    ("HumanEval_1_above", "early_exit", "function above(xs, t) { process.exit(0) }"),
    ("HumanEval_1_above", "syntax_error", "function above(xs, t) {"),
    ("HumanEval_1_above", "exception", "function above(xs, t) { throw new TypeError('no') }"),
    ("HumanEval_1_above", "exception", "function below(xs, t) { return xs }"),
    ("HumanEval_1_above", "crashed", "function above() { process.kill(process.pid, 'SIGSEGV') }"),
    (
        "HumanEval_1_above",
        "wrong_answer",
        ("require('assert').deepEqual = () => {}; Array.prototype.map = () => []\n"
        "JSON.stringify = () => '{}'; function above() { return 1 }"),
    ),
    (
        "HumanEval_1_above",
        "crashed",
        ("const fs = require('fs'); function above() { for (let i = 0; i < 30; i++)\n"
        "try { fs.writeSync(i, '{\"given\": [], \"ended\": true}') } catch (e) {}\nprocess.exit(0) }"),
    ),
    ("HumanEval_2_repeat", "passed", 'repeat() { o=$1; for ((i=1;i<$2;i++)); do o="$o $1"; done; echo "$o"; }'),
    ("HumanEval_2_repeat", "wrong_answer", 'repeat() { echo "$1"; }'),
    ("HumanEval_2_repeat", "syntax_error", "repeat() {"),
    ("HumanEval_2_repeat", "wrong_answer", "repeat() { exit 0; }"),
    ("add", "passed", "module.exports.add = (a, b) => a + b"),
    ("add", "wrong_answer", "function add(a, b) { return Number(a) + Number(b) }"),
    ("upper", "passed", 'upper() { tr a-z A-Z <<< "$1"; }'),
    ("upper", "wrong_answer", "upper() { echo ABC; }"),
    ("sum", "passed", "import sys\nprint(sum(map(int, sys.argv[1:] or input().split())))"),
    ("sum", "wrong_answer", "print(7)"),
    ("sum", "wrong_answer", "raise SystemExit(0)"),
    ("sum", "timeout", "while True: pass"),
    ("sum", "output_limit or timeout", "while True: print('x' * 10000)"),
    ("echo", "passed", "cat"),
    ("echo", "wrong_answer", "echo 'a b'"),
]  # fmt: skip


@pytest.mark.slow
async def test_answers_in_other_languages_get_their_verdicts(
    open_sandbox: OpenSandbox, tmp_path: Path
) -> None:
    """Nothing that is expected is in their process either."""
    file = tmp_path / "tasks.jsonl"
    file.write_text("\n".join(map(json.dumps, ROWS)))
    tasks = load_tasks(file)
    candidates = [Candidate(task, "m", n, code) for n, (task, _, code) in enumerate(ANSWERS)]

    judgements = await judge_all(candidates, tasks, open_sandbox)

    for (task, outcomes, code), judgement in zip(ANSWERS, judgements, strict=True):
        wanted = outcomes.split(" or ")
        assert judgement.outcome in wanted, (task, code, judgement.outcome, judgement.reason)
        assert judgement.method == "compared"
