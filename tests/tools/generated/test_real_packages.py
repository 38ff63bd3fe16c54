"""Suites that people wrote for real packages are kept, test for test."""

from dataclasses import replace
from pathlib import Path

import pytest
from released import unpacked

from proofbox.tools._app import App
from proofbox.tools.run_generated_tests.request import TestsRequest
from proofbox.tools.run_generated_tests.run import run

HUMANIZE = ("src/humanize/filesize.py", "src/humanize/lists.py", "tests/test_filesize.py", "tests/test_lists.py")  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "version", "only", "tests", "killed"),
    [("humanize", "4.17.0", HUMANIZE, 90, 94), ("inflection", "0.5.1", (), 455, 0)],
)
async def test_every_test_of_a_real_package_is_kept(
    jailed: App,
    tmp_path: Path,
    name: str,
    version: str,
    only: tuple[str, ...],
    tests: int,
    killed: int,
) -> None:
    """And the mutants of humanize's two modules are killed as mutmut kills them (benchmarks/mutation.py)."""
    app = replace(jailed, roots=(tmp_path,))
    project = await unpacked(f"{name}=={version}", tmp_path / name, tmp_path / "cache")
    # It was written for a checkout: what it names was generated, and belongs to the distribution.
    (project / ".gitignore").unlink(missing_ok=True)
    mutation = "quick" if killed else "off"

    report = await run(
        app, "local", TestsRequest(project=str(project), only=only, repeat=2, mutation=mutation)
    )

    assert [(one.id, one.reason) for one in report.tests if one.verdict != "keep"] == []
    assert (report.verdict, report.keep, report.mend, report.drop) == ("passed", tests, 0, 0)
    if killed:
        assert report.mutation is not None
        found = report.mutation
        assert (found.tried, found.survived, found.timeout, found.infra_error) == (
            found.total,
            2,
            0,
            0,
        )
        assert found.killed >= killed
