"""The process that watches the tests, where no Python can be started for them."""

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from proofbox.server.sandbox import Captured, CellResult, ProgramResult
from proofbox.tools.run_generated_tests import running
from proofbox.tools.run_generated_tests.events import TestRun
from proofbox.tools.run_generated_tests.project import Module, Project
from proofbox.tools.run_generated_tests.running import Plan

PROJECT = Project(
    files={"calc.py": b"", "test_calc.py": b""},
    sources=(Module("calc.py", "calc"),),
    tests=("test_calc.py",),
)


def driven(folder: Path, executable: str, **config: Any) -> TestRun:
    """What a driver says that takes this for its Python, as a process of its own and without a sandbox."""
    prepared = running._Prepared(PROJECT, Plan(), "p")  # pyright: ignore[reportPrivateUsage]
    code = prepared.program.cells[0].code
    source, _, call = code.rpartition("main(json.loads(")
    given: dict[str, Any] = json.loads(ast.literal_eval(call.removesuffix("))\n")))
    given |= {"cwd": str(folder), "watched": [], **config}
    script = folder / "driver.py"
    script.write_text(
        f"{source}\nsys.executable = {executable!r}\nmain(json.loads({json.dumps(given)!r}))\n"
    )
    ran = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 0, ran.stderr
    cell = CellResult("completed", stdout=Captured(ran.stdout))
    return prepared.read(ProgramResult("p", "completed", cells=(cell,)), "")


@pytest.mark.parametrize("executable", ["/no/such/python", "/", "/bin/false", "hangs"])
def test_a_python_that_cannot_be_started_is_our_fault_and_said_soon(
    executable: str, tmp_path: Path
) -> None:
    """It is not there, may not be executed, ends at once, or never does anything: nothing is known of the tests."""
    if executable == "hangs":
        executable = str(tmp_path / "hangs")
        Path(executable).write_text("#!/bin/sh\nexec sleep 1000\n")
        Path(executable).chmod(0o755)

    run = driven(tmp_path, executable, start_seconds=0.5)

    assert run.lost
    assert not run.complete
    assert not run.tests
    assert "Python could not be started" in run.problems[0]


def test_a_python_that_starts_is_told_what_to_run(tmp_path: Path) -> None:
    """However long that is; here there is no such project, and pytest says so."""
    run = driven(tmp_path, sys.executable)

    assert not run.lost
    assert run.pytest
    assert not run.tests
