"""Plugins that are kept out of a run are missed by nobody."""

import subprocess
import sys
from pathlib import Path

from proofbox.tools.run_generated_tests.project import ROOT, Project
from proofbox.tools.run_generated_tests.running import Plan, arguments

TESTS = """
import pytest

@pytest.mark.timeout(5)
@pytest.mark.flaky(reruns=3)
@pytest.mark.xdist_group("one")
def test_it(worker_id, testrun_uid):
    assert worker_id == "master"
"""
CONFIGURED = """
[pytest]
required_plugins = pytest-xdist pytest-timeout
timeout = 20
filterwarnings = error
"""
SESSION = """
import sys
import pytest
from proofbox.tools.run_generated_tests.guest import absent
sys.exit(pytest.main(sys.argv[1:], plugins=[absent]))
"""


def test_what_is_said_to_plugins_that_are_kept_out_is_no_mistake(tmp_path: Path) -> None:
    """Their marks, settings and fixtures are known, however strict the project is."""
    (tmp_path / "pytest.ini").write_text(CONFIGURED)
    (tmp_path / "test_it.py").write_text(TESTS)
    strict = ("--strict-markers", "--strict-config", "-W", "error")
    project = Project({}, (), ("test_it.py",), config="pytest.ini", arguments=strict)
    given = [word.replace(ROOT, str(tmp_path)) for word in arguments(project, Plan())]

    ran = subprocess.run(
        [sys.executable, "-c", SESSION, *given],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "1 passed" in ran.stdout
