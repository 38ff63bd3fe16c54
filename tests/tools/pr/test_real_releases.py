"""A release of a real package, checked as a pull request on the one before with the tests that were released."""

from pathlib import Path

import pytest
from pr_repos import Repo
from released import released

from proofbox.server.assembly import open_app
from proofbox.server.sandbox.local.backend import LocalBackend
from proofbox.server.settings import Settings
from proofbox.tools.check_pr.request import PrRequest
from proofbox.tools.check_pr.review.report import PrReport
from proofbox.tools.check_pr.run import run

pytestmark = pytest.mark.slow

RELEASES = ("cachetools==5.5.0", "cachetools==5.5.1")


def told(report: PrReport) -> object:
    """What must be the same in every run."""
    (project,) = report.projects
    kinds = [(test.id, test.kind) for test in project.tests]
    return report.verdict, project.counts, project.problems, project.regressions, kinds


async def test_a_release_is_no_regression_of_the_one_before_whenever_it_is_checked(
    local_cache: Path, tmp_path: Path
) -> None:
    """Everything that was released is run, counts add up, and a second check says the same of every test."""
    repo = Repo(tmp_path / "cachetools")
    for pin in RELEASES:
        repo.commit(await released(pin, tmp_path / "cache"))
    request = PrRequest(repo=str(repo.path), base="HEAD~1", head="HEAD", mutation=False)

    backend = LocalBackend(cache_dir=local_cache)
    async with open_app(Settings(roots=(tmp_path,)), backend=backend, warm=False) as app:
        reports = [await run(app, "local", request) for _ in range(2)]

    (project,) = reports[0].projects
    assert reports[0].verdict == "passed", reports[0].review
    assert project.counts == {"pass_to_pass": 215}
    assert project.total_tests == 215
    assert not project.problems
    assert told(reports[0]) == told(reports[1])
