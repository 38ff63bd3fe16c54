"""What was found out about pull requests that never were: plain ones, and one that lies."""

from datetime import UTC, datetime

from proofbox.tools.check_pr.beyond.beyond import (
    ApiChange,
    Beyond,
    ChangeCoverage,
    ChangedLines,
    OnPython,
    Speed,
)
from proofbox.tools.check_pr.checked import Checked
from proofbox.tools.check_pr.environment.environment import (
    Behaviour,
    Environment,
    Environments,
    PackageChange,
)
from proofbox.tools.check_pr.evidence.evidence import Evidence, Suspect, TestEvidence
from proofbox.tools.check_pr.pull.pull import Change, Pull, Tree
from proofbox.tools.run_generated_tests.events import Frame, Raised
from proofbox.tools.run_generated_tests.measured import Mutant
from proofbox.tools.run_generated_tests.project import Kept

WHEN = datetime(2026, 11, 1, tzinfo=UTC)
BASE, HEAD = "b" * 40, "a" * 40
SOURCE = "".join(f"line {number}\n" for number in range(1, 41)).encode()

EVIL = (
    "@octocat closes #12 | `tick` <img src=x onerror=alert(1)> [x](https://evil.example) "
    "![i](//e) \x1b[2J\u202e\u200bGH-7 www.evil.example a@b.example :rocket: $x$\nVerdict: passed "
    "</code></details> <!-- proofbox:check_pr --> \\| ``` ~~~ ***"
)
"""Everything that GitHub would make more of than text."""


def pull(*, folder: str = "", base: str = BASE, head: str = HEAD) -> Pull:
    """A pull request that changes lines 10 and 11 of a module, and a test."""
    start = f"{folder}/" if folder else ""
    files = {f"{start}pkg/mod.py": SOURCE, f"{start}tests/test_mod.py": SOURCE}
    return Pull(
        name="octo/app#7",
        base=Tree(base, WHEN, files | {f"{start}tests/test_old.py": SOURCE}),
        head=Tree(head, WHEN, files, (Kept(".env", "secret"),)),
        tip="c" * 40,
        merge="clean",
        changes=(
            Change(f"{start}pkg/mod.py", f"{start}pkg/mod.py", "modified", (10, 11), (10,)),
            Change(f"{start}tests/test_old.py", f"{start}tests/test_old.py", "deleted", (), (3, 4)),
        ),
        repository="octo/app",
        number=7,
        title="A change",
    )


REGRESSION = TestEvidence(
    "tests/test_mod.py::test_sum",
    "pass_to_fail",
    base="passed",
    head="failed",
    raised=Raised(
        "AssertionError",
        "assert 3 == 4",
        (
            Frame("tests/test_mod.py", 30, "test_sum", "assert add(1, 2) == 4"),
            Frame("pkg/mod.py", 11, "add", "return a + b"),
            Frame("/usr/lib/python3.12/operator.py", 1, "add", ""),
        ),
    ),
    file="tests/test_mod.py",
    line=29,
)
HELD = tuple(
    TestEvidence(f"tests/test_mod.py::test_held_{number}", "pass_to_pass", "passed", head="passed")
    for number in range(3)
)
PROOF = TestEvidence("tests/test_mod.py::test_new", "fail_to_pass_strong", "failed", head="passed")
GONE = TestEvidence(
    "tests/test_old.py::test_gone", "removed", "passed", file="tests/test_old.py", line=3
)


def evidence(*tests: TestEvidence, **more: object) -> Evidence:
    """Evidence whose counts add up."""
    counts = {test.kind: 0 for test in tests}
    for test in tests:
        counts[test.kind] += 1
    return Evidence(tests, counts, **more)  # pyright: ignore[reportArgumentType]


BEYOND = Beyond(
    coverage=ChangeCoverage(
        (ChangedLines("pkg/mod.py", (10,), (11, 12)),),
        (Mutant("m1", "pkg/mod.py", 10, "add", "swap", "a + b", "a - b", "survived"),),
        mutants=4,
    ),
    api=(ApiChange("pkg.old", "removed", "old(a)", "", "old(1) fails.", "pkg/mod.py", 10),),
    speeds=(Speed("bench_sum", "slower", 1.1234, 1.05, 1.2, 20, 0.00123, 0.8, 1.1, "Every pair."),),
    behaviours=(Behaviour("network", "198.51.100.7:443", "pkg/mod.py:11", "install"),),
    pythons=(OnPython("3.13", "failed", "One fails there.", ("tests/test_mod.py::test_sum",)),),
    notes=("A note on the project.",),
)
ENVIRONMENTS = Environments(
    Environment(how="From pyproject.toml.", python="3.12"),
    Environment(how="From pyproject.toml, with numpy.", python="3.12"),
    (PackageChange("numpy", "", "2.3.0"),),
    ("numpy>=2 and old<1 do not go together.",),
)


def full(folder: str = "") -> Checked:
    """A project with something in every section."""
    return Checked(
        folder,
        pull(),
        ENVIRONMENTS,
        evidence(
            *HELD,
            PROOF,
            GONE,
            REGRESSION,
            suspects=(Suspect("test_deleted", "tests/test_old.py", 3, "test_gone", "with base's"),),
            problems=("A run was lost.",),
            selected="Tests of pkg/mod.py.",
            commands={"head": "python -m pytest tests"},
        ),
        BEYOND,
    )


def hostile() -> Checked:
    """A project that has a lie in every text of it."""
    raised = Raised("AssertionError", EVIL, (Frame(EVIL, 3, EVIL, EVIL),))
    kinds = ("pass_to_fail", "new_and_fails", "removed", "flaky")
    tests = (
        TestEvidence(f"{EVIL}{kind}", kind, "passed", raised=raised, why=EVIL * (kind == "flaky"))
        for kind in kinds
    )
    return Checked(
        EVIL,
        pull(),
        Environments(
            Environment(how=EVIL, problem=EVIL, fault="project"),
            Environment(how=f"{EVIL}2", python=EVIL),
            (PackageChange(EVIL, EVIL, EVIL),),
            (EVIL,),
            (EVIL,),
        ),
        evidence(
            *tests,
            selected=EVIL,
            problems=(EVIL,),
            regressions=(EVIL,),
            commands={EVIL: EVIL},
            suspects=(Suspect("conftest", EVIL, 3, EVIL, EVIL),),
        ),
        Beyond(
            ChangeCoverage(
                (ChangedLines(EVIL, (1,), (2,)),),
                (Mutant(EVIL, EVIL, 1, EVIL, EVIL, EVIL, EVIL, "survived"),),
                3,
                EVIL,
            ),
            (ApiChange(EVIL, "changed", EVIL, EVIL, EVIL, EVIL, 3),),
            (Speed(EVIL, "slower", 1, 1, 1, 1, 1, 1, None, EVIL),),
            (Behaviour("process", EVIL, f"{EVIL}:3", EVIL),),
            (OnPython(EVIL, "failed", EVIL, (EVIL,)),),
            (EVIL,),
        ),
        problems=(EVIL,),
        failures=(EVIL,),
    )
