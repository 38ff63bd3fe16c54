"""The whole tool over a jail: instability with its cause, secrets at home, versions of Python in one table."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from proofbox.server.assembly import open_app
from proofbox.server.sandbox.local.backend import LocalBackend
from proofbox.server.settings import Settings
from proofbox.tools._app import App
from proofbox.tools.run_generated_tests.junit import to_junit
from proofbox.tools.run_generated_tests.report import TestReport, TestsReport, render
from proofbox.tools.run_generated_tests.request import TestsRequest
from proofbox.tools.run_generated_tests.run import run

pytestmark = pytest.mark.slow

CALC = "BIAS = {}\n\n\ndef add(a, b):\n    return a + b + BIAS.get('bias', 0)\n"
UNSTABLE = """
import random

import calc
from calc import add

seen = {}


def test_flaky():
    assert random.random() >= 0.5
    assert add(1, 1) == 2


def test_first():
    seen["first"] = add(1, 0)
    assert seen["first"] == 1


def test_second():
    assert add(0, 1) == seen["first"]


def test_victim():
    assert add(2, 2) == 4


def test_polluter():
    calc.BIAS["bias"] = 1
    assert add(1, 1) == 3
"""
ATTACKS = """
import ctypes, os, signal, subprocess
import pytest
from calc import add

PARENT = os.getppid()


@pytest.mark.parametrize("name", ["mem", "fd", "environ", "maps", "cwd"])
def test_the_driver_is_closed(name):
    with pytest.raises(PermissionError):
        path = f"/proc/{PARENT}/{name}"
        os.readlink(path) if name == "cwd" else os.listdir(path) if name == "fd" else open(path, "rb")
    assert add(1, 1) == 2


def test_it_cannot_be_traced_or_left_by_a_signal():
    assert ctypes.CDLL(None).ptrace(16, PARENT, 0, 0) == -1
    os.kill(PARENT, signal.SIGTERM)
    os.kill(PARENT, signal.SIGINT)
    assert add(1, 1) == 2


def test_no_file_of_ours_is_in_sight():
    assert sorted(os.listdir("/home/user")) == ["project"]
    found = subprocess.run(["grep", "-rl", "blake2b", "/home/user", "/tmp"], capture_output=True, text=True)
    assert found.stdout.split() == ["/home/user/project/test_calc.py"]
    assert add(1, 1) == 2
"""


async def report_on(app: App, tests: Mapping[str, str], **more: Any) -> TestsReport:
    """The report on tests of `calc`."""
    wanted: dict[str, Any] = {"mutation": "off", "timeout_seconds": 10.0, **more}
    return await run(app, "local", TestsRequest({"calc.py": CALC}, tests, **wanted))


def by_name(report: TestsReport) -> dict[str, TestReport]:
    """The tests by what stands after the file."""
    return {test.id.partition("::")[2] or test.id: test for test in report.tests}


async def test_a_flake_a_pair_and_a_polluter_are_named(jailed: App) -> None:
    """With the test that does it to the other, and with nothing said of those that are well."""
    report = await report_on(jailed, {"test_calc.py": UNSTABLE})

    tests = by_name(report)
    assert report.verdict == "failed"
    assert {name: test.kind for name, test in tests.items() if name != "test_first"} == {
        "test_flaky": "flaky",
        "test_second": "needs",
        "test_victim": "broken_by",
        "test_polluter": "breaks",
    }
    assert "only after test_calc.py::test_first" in tests["test_second"].reason
    assert "after test_calc.py::test_polluter" in tests["test_victim"].reason
    assert "test_calc.py::test_victim" in tests["test_polluter"].reason


async def test_the_process_that_keeps_the_records_cannot_be_reached(jailed: App) -> None:
    """Its memory and descriptors are closed to the tests, and signals that can be ignored are."""
    report = await report_on(jailed, {"test_calc.py": ATTACKS}, repeat=1)

    assert report.tests_execute
    bad = [(test.id, test.reason) for test in report.tests if test.kind in {"fails", "errors"}]
    assert not bad
    assert len(report.tests) == 7


async def test_secrets_of_a_project_are_not_in_the_sandbox(
    local_cache: Path, tmp_path: Path
) -> None:
    """They are searched for there, by a test of the project itself."""
    key, token = (
        "-----BEGIN RSA " + "PRIVATE KEY-----",
        "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8",
    )
    halves = [f"{text[:9]}' + '{text[9:]}" for text in (key, token, "hunter2-hunter2")]
    files = {
        ".env": "PASSWORD=hunter2-hunter2\n",
        "deploy.key": f"{key}\nMIIE\n",
        "calc/settings.py": f"TOKEN = '{token}'\n",
        "calc/__init__.py": CALC,
        "tests/test_calc.py": "import subprocess\nimport pytest\nfrom calc import add\n\n\n"
        f"@pytest.mark.parametrize('text', ['{halves[0]}', '{halves[1]}', '{halves[2]}'])\n"
        "def test_search(text):\n"
        "    found = subprocess.run(['grep', '-rlF', '-e', text, '/home', '/tmp', '/dev/shm'], "
        "capture_output=True, text=True)\n"
        "    assert found.stdout == ''\n    assert add(1, 1) == 2\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    backend = LocalBackend(cache_dir=local_cache)
    async with open_app(Settings(), backend=backend, roots=(tmp_path,), warm=False) as app:
        request = TestsRequest(project=".", repeat=1, mutation="off")
        report = await run(app, "local", request)

    assert report.verdict == "passed", render(report)
    assert len(report.tests) == 3
    home = {one.file: (one.why, one.detail) for one in report.stayed_home}
    assert home["calc/settings.py"] == ("secret", "It holds a GitHub token in line 1.")
    assert home[".env"][0] == home["deploy.key"][0] == "secret"
    assert "calc/settings.py (secret)" in render(report)


async def test_every_version_of_python_is_in_one_table(jailed: App) -> None:
    """One that is missing is named, and the whole is no pass then."""
    here = f"3.{sys.version_info.minor}"
    good = {
        "test_calc.py": "from calc import add\n\n\ndef test_add():\n    assert add(1, 2) == 3\n"
    }

    report = await report_on(jailed, good, repeat=1, python_versions=(here, "3.19"))

    assert [(one.verdict, one.passed) for one in report.pythons] == [("passed", 1), ("skipped", 0)]
    assert "There is no Python 3.19" in report.pythons[1].reason
    assert report.verdict == "skipped"
    assert [test.verdict for test in report.tests] == ["keep"]


async def test_files_that_cannot_be_imported_say_what_to_do(jailed: App) -> None:
    """A test is not told of a mistake of syntax that is in the source, and a package is asked for by name."""
    good = "from calc import add\n\ndef test_add(): assert add(1, 1) == 2\n"
    tests = {
        "test_own.py": "def test_a(:\n",
        "test_source.py": "import broken\n" + good,
        "test_package.py": "import nowhere_to_be_found\n" + good,
        "test_calc.py": good,
        "sub/test_calc.py": good,
    }
    source = {"calc.py": CALC, "broken.py": "def f(:\n"}

    report = await run(jailed, "local", TestsRequest(source, tests, mutation="off", repeat=1))

    reasons = {test.id: (test.kind, test.reason) for test in report.tests if test.kind}
    assert {name: kind for name, (kind, _) in reasons.items()} == {
        "test_own.py": "syntax",
        "test_source.py": "import",
        "test_package.py": "import",
        "sub/test_calc.py": "import",
    }
    assert reasons["test_source.py"][1].endswith("That is no file of tests: mend it first.")
    assert reasons["test_package.py"][1].endswith("If a package has it, name that in packages.")
    assert "Two test files have this name" in reasons["sub/test_calc.py"][1]
    assert "sub/test_calc.py: import: " in report.feedback
    assert ":0" not in report.feedback


UNMET = """
import sys
import pytest
from calc import add

def test_add(): assert add(1, 1) == 2

if sys.version_info < (3,):
    def test_absent(): assert add(1, 1) == 3

@pytest.mark.asyncio
async def test_async(): assert add(1, 1) == 3

def test_fixture(nowhere): assert add(1, 1) == 3
"""


async def test_what_a_test_needs_and_has_not_is_said_in_a_sentence(jailed: App) -> None:
    """A test that is not there on this machine is skipped, as one with a mark is, and not forgotten."""
    report = await report_on(jailed, {"test_calc.py": UNMET}, repeat=1)

    assert report.reason == "4 tests: 1 to keep, 2 to mend, 1 skipped or expected to fail."
    reasons = {name: test.reason for name, test in by_name(report).items()}
    assert reasons["test_absent"].startswith("It was skipped: Line 8 decides")
    assert "name it in packages" in reasons["test_async"]
    assert reasons["test_fixture"] == "Its setup fails: There is no fixture 'nowhere'."


async def test_an_invented_prefix_a_wrong_call_and_a_hang_are_explained(jailed: App) -> None:
    """One line a cause, with what was meant; one broken fixture is one line."""
    tests = {
        "tests/test_prefix.py": "from src.calc import add\n\n\ndef test_a():\n    assert add(1, 1) == 2\n",
        "tests/test_calls.py": "import pytest\nfrom calc import add\n\n\ndef test_call():\n    add(1, c=2)\n\n\n"
        "def test_wrong():\n    assert add(2, 2) == 5\n\n\n"
        "def test_hangs():\n    while True:\n        pass\n\n\n"
        "@pytest.fixture\ndef broken():\n    raise OSError('no such thing')\n\n\n"
        "def test_x(broken):\n    assert add(1, 1) == 2\n\n\ndef test_y(broken):\n    assert add(1, 1) == 2\n",
    }

    report = await report_on(jailed, tests, repeat=1, timeout_seconds=3.0)

    said = report.feedback.splitlines()
    assert report.verdict == "failed"
    assert report.syntax_valid
    assert not report.tests_execute
    assert any("Write 'calc' instead of 'src.calc'" in line for line in said)
    assert any("test_call" in line and "add(a, b)" in line for line in said)
    assert any(
        "assert 4 == 5" in line and "check the expected value first" in line for line in said
    )
    assert any("it hangs in line 14" in line or "it hangs in line 15" in line for line in said)
    assert len([line for line in said if "no such thing" in line]) == 1
    assert 'failures="6"' in to_junit(report)
