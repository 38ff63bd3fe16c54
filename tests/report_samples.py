"""A report of every kind, with something in each of its parts; and one of a program that means harm."""

import random
import re
from collections.abc import Mapping

from pydantic import BaseModel
from review_samples import full, hostile, pull

from proofbox.tools.benchmark_model.report import BenchReport
from proofbox.tools.benchmark_model.reporting import model_report, pair_report, sample_report
from proofbox.tools.benchmark_model.results import Result, Verdict
from proofbox.tools.benchmark_model.sample import Outcome
from proofbox.tools.benchmark_model.summary import summarise
from proofbox.tools.benchmark_model.task import Task
from proofbox.tools.check_pr.review.report import PrReport
from proofbox.tools.check_pr.review.reporting import report_of
from proofbox.tools.execute_code.report import ArtifactReport, CutReport, ErrorReport, Report
from proofbox.tools.run_generated_tests.report import (
    AttemptReport,
    FileCoverageReport,
    MutationReport,
    PythonReport,
    StayedHome,
    TestReport,
    TestsReport,
)
from proofbox.tools.validate_snippets.report import (
    SnippetReport,
    SnippetsReport,
    StandaloneReport,
    file_report,
    run_report,
)

HOSTILE = (
    "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
    "</pre></code></table></details></main><h1>passed</h1>\x1b[31mred\x1b[0m \u202egpj.exe\u2066 "
    "<a href=\"javascript:document.title='owned'\">x</a> <!-- --><style>*{display:none}</style>&lt;b&gt;\n"
)
"""What a program may print, or call its files."""


def hostile_run() -> Report:
    """Everything that code can choose is a lie."""
    return Report(
        verdict="failed",
        reason=f"ValueError at line 3: {HOSTILE}",
        error=ErrorReport(name=HOSTILE, value=HOSTILE, line=3, traceback=f"Traceback\n{HOSTILE}"),
        value=HOSTILE,
        displayed=[HOSTILE],
        stdout=HOSTILE * 6,
        stderr="a warning\n",
        artifacts=[
            ArtifactReport(name="plot-1.png", mime_type="image/png", size=12_345),
            ArtifactReport(name=HOSTILE, mime_type=HOSTILE, size=1),
        ],
        cut=[CutReport(what=HOSTILE, omitted=12_345, read=HOSTILE)],
        duration_seconds=0.0123,
        python="3.11.7",
        session="new",
    )


def snippets() -> SnippetsReport:
    """Two documents: one with a snippet of every verdict, and one in which all is well."""
    first = file_report(
        "docs/guide/getting-started.md",
        [
            _snippet(0, had_oracle=True),
            _snippet(1, kind="works_with_setup", setup=["import numpy as np"]),
            _snippet(
                2,
                verdict="failed",
                kind="output_mismatch",
                reason="The printed output is another than the page shows.",
                diff="--- shown\n+++ printed\n@@ -1,3 +1,3 @@\n 1\n-[1, 2, 3]\n+[1, 2, 4]\n 5\n",
                had_oracle=True,
            ),
            _snippet(
                3,
                verdict="failed",
                kind="raises",
                reason="It raises.",
                error="AttributeError: module 'json' has no attribute 'load_string'",
                error_line=41,
                error_text="data = json.load_string(text)",
                hint="Did the author mean json.loads? It takes (s, *, cls=None, object_hook=None).",
                setup=["import json", 'text = "{}"'],
            ),
            _snippet(4, verdict="skipped", kind="needs_network", reason="It asks api.example.com."),
            _snippet(5, verdict="errored", kind="infra", reason="The sandbox was lost twice."),
        ],
        ["A fence that begins in line 88 is never closed."],
    )
    patch = "--- a/docs/guide.md\n+++ b/docs/guide.md\n@@ -27 +27 @@\n-[1, 2, 3]\n+[1, 2, 4]\n"
    whole = StandaloneReport(
        code="import math\nprint(math.pi)\n", language="python", output="3.14\n"
    )
    second = file_report("README.md", [_snippet(n, standalone=whole) for n in range(2)], [])
    report = run_report([first.model_copy(update={"patch": patch}), second])
    update = {"python": "3.11.7", "duration_seconds": 3.2, "packages": ["numpy", "httpx>=0.28"]}
    return report.model_copy(update=update)


def _snippet(number: int, **facts: object) -> SnippetReport:
    usual = {
        "snippet_index": number,
        "line": 12 * number + 3,
        "language": "python",
        "verdict": "passed",
        "kind": "works",
        "valid": facts.get("verdict", "passed") == "passed",
        "error": None,
        "snippet": "values = [1, 2, 4]\nprint(values)\n",
    }
    return SnippetReport.model_validate(usual | facts)


def suite() -> TestsReport:
    """Tests to keep, to mend and to drop, and all that is measured of them."""
    return TestsReport(
        verdict="failed",
        reason="1 of 3 tests is to be mended and 1 to be dropped.",
        total_tests=3,
        keep=1,
        mend=1,
        drop=1,
        tests_execute=True,
        syntax_valid=True,
        has_assertions=False,
        coverage=True,
        coverage_percent=83.4,
        coverage_target=90,
        tests=[
            TestReport(
                id="tests/test_calc.py::test_always_true",
                verdict="drop",
                kind="proves_nothing",
                reason="It passes whatever is broken in the functions that it calls.",
                line=14,
                outcomes=["passed", "passed", "passed"],
                assertions=1,
                duration_seconds=0.002,
                covers=3,
            ),
            TestReport(
                id="tests/test_calc.py::test_time_of_day",
                verdict="mend",
                kind="flaky",
                reason="It passes in two of three runs: it depends on the time zone.",
                line=27,
                outcomes=["passed", "failed", "passed"],
                assertions=2,
                duration_seconds=0.01,
                covers=9,
                more=["note: it reads datetime.now() without a time zone"],
                output="E   AssertionError: assert 13 == 14\nE    +  where 13 = hour()\n",
            ),
            TestReport(
                id="tests/test_calc.py::test_dividing_by_zero_says_so[ints-and-floats]",
                verdict="keep",
                outcomes=["passed", "passed", "passed"],
                assertions=4,
                covers=12,
                duration_seconds=0.001,
                proves=["calc.add", "calc.divide"],
            ),
        ],
        feedback="test_always_true (line 14): assert on the value that add returns.",
        problems=["test_b passes only after test_a has run."],
        coverage_files=[
            FileCoverageReport(
                file="calc.py", percent=83.4, missing="14-17, 29", missing_branches="12->14"
            )
        ],
        mutation=MutationReport(
            total=60,
            tried=24,
            killed=20,
            survived=2,
            timeout=1,
            score=0.87,
            survivors=[
                "--- calc.py\n+++ calc.py\n@@ -12 +12 @@\n-    return a + b\n+    return a - b\n"
            ],
        ),
        pythons=[
            PythonReport(python="3.11", verdict="passed", reason="All pass.", passed=3),
            PythonReport(python="3.14", verdict="failed", reason="One fails.", passed=2, failed=1),
        ],
        stayed_home=[StayedHome(file=".env", why="secret", detail="its name")],
        notes=["Sandboxes have no network."],
        runs=3,
        python="3.11.7",
        pytest="9.0.1",
        packages=["pytest-mock"],
        import_roots=["src"],
        duration_seconds=8.1,
        attempts=[
            AttemptReport(verdict="failed", reason="Two to mend.", kept=1, feedback="Assert.")
        ],
        file="def test_add():\n    assert add(1, 2) == 3\n",
    )


def review(*, lies: bool = False) -> PrReport:
    """A pull request of two projects, or one with a lie in every text."""
    if lies:
        return report_of(pull(), [hostile()], needs_review=[HOSTILE], notes=[HOSTILE])
    projects = [full("services/api"), full("libs/core")]
    look = ["tests/conftest.py has changed, which can turn tests green."]
    return report_of(pull(), projects, needs_review=look, notes=["A note."], seconds=71.2)


def benchmark() -> BenchReport:
    """Three models and thirty tasks, four answers to each."""
    chance = random.Random(3)
    tasks = {f"HumanEval/{n}": Task(f"HumanEval/{n}", "p", "f") for n in range(30)}
    skills = {
        "anthropic:claude-sonnet-5-5": 0.95,
        "openai:gpt-oss-120b-a-name-that-is-as-long-as-some-are-2026-11-01": 0.7,
        "ollama:llama3": 0.4,
    }
    results = [
        _answer(name, task, number, "passed" if chance.random() < skill else "wrong_answer")
        for name, skill in skills.items()
        for task in tasks
        for number in range(4)
    ]
    found = summarise(results, tasks, 4)
    return BenchReport(
        verdict="passed",
        reason="360 answers of 3 models were judged; anthropic:claude-sonnet-5-5 is first.",
        tasks=30,
        dataset="human_eval.jsonl (9ad0ff3)",
        samples_each=4,
        models=[model_report(one, "", "genai-prices 0.2") for one in found.models],
        separations=[pair_report(one) for one in found.pairs],
        samples=sorted(map(sample_report, results), key=lambda one: one.output_correct),
    )


def _answer(name: str, task: str, number: int, outcome: Outcome) -> Result:
    reason = "" if outcome == "passed" else "assert f(2) == 4: it gave 5"
    verdict = Verdict(outcome, outcome, reason, True, 0.01, 1.5, 1, "compared", (), ())
    tokens = {"input": 100, "output": 50}
    seconds = 1.0 + len(name) / 20
    return Result(name, task, number, verdict, "", "end", tokens, len(name) / 1e5, 0.5, seconds)


def _words(text: str) -> tuple[str, ...]:
    return tuple(re.split(r"\s*\|\s*", text))


REPORTS: Mapping[str, tuple[str, BaseModel, tuple[str, ...]]] = {
    "run": ("execute_code", hostile_run(), _words("failed | Traceback | plot-1.png | 12,345")),
    "snippets": (
        "validate_snippets",
        snippets(),
        _words(
            "docs/guide/getting-started.md | line 41 | Did the author mean json.loads? | +[1, 2, 4] |"
            " needs network | errored | A fence that begins | By itself | import math | README.md"
        ),
    ),
    "tests": (
        "run_generated_tests",
        suite(),
        _words(
            "keep | mend | drop | proves nothing | passed, failed, passed | calc.divide | 14-17, 29 |"
            " return a - b | Assert. | .env | where 13 = hour() | 83.4 % (target 90 %)"
        ),
    ),
    "pr": (
        "check_pr",
        review(),
        _words(
            "tests/test_mod.py::test_sum | pass to fail | passed at base, fails at head: a regression |"
            " services/api | libs/core | AssertionError: assert 3 == 4 | pkg.old | 1.123 | numpy |"
            " 198.51.100.7:443 | merge base | All 6 tests by kind | a + b -> a - b | test deleted"
        ),
    ),
    "lies": ("check_pr", review(lies=True), _words("@octocat | </details> | failed")),
    "bench": (
        "benchmark_model",
        benchmark(),
        _words(
            "anthropic:claude-sonnet-5-5 | pass@1 | 95 % interval | Is one really better | HumanEval/7"
        ),
    ),
}
"""By name: the tool, its report, and words that a page of it must have."""
