"""A pull request on E2B, against the stand-in."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from pr_constructed import BASE, WRONG
from pr_repos import Repo
from standin import API_KEY, StandIn

from proofbox.server.assembly import open_app
from proofbox.server.sandbox.e2b import E2BBackend
from proofbox.server.settings import Settings
from proofbox.tools._app import App
from proofbox.tools.check_pr.request import PrRequest
from proofbox.tools.check_pr.run import run

pytestmark = pytest.mark.slow


@pytest.fixture
async def app(standin: StandIn, tmp_path: Path) -> AsyncGenerator[App]:
    """An App over E2B that may read a folder."""
    backend = E2BBackend(api_key=API_KEY, create_rate=100)
    async with open_app(Settings(roots=(tmp_path,)), backend=backend) as app:
        yield app


async def test_a_regression_is_found_on_e2b_too(app: App, standin: StandIn, tmp_path: Path) -> None:
    """With the same counts as in a jail, and no sandbox is left."""
    repo = Repo(tmp_path / "shop")
    start = repo.commit(BASE)
    repo.commit({"shop.py": WRONG}, on="feature", start=start)

    request = PrRequest(repo="shop", base="main", head="feature", reruns=1, mutation=False)
    report = await run(app, "somebody", request)

    assert report.verdict == "failed", report.review
    (project,) = report.projects
    assert dict(project.counts) == {"pass_to_fail": 1, "pass_to_pass": 2}
    assert not standin.fleet.instances
