"""Pull requests that were made for a reason come to the table that they must come to."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from break_outs import break_outs
from pr_constructed import BASE, CASES, Case
from pr_repos import Repo

from proofbox.server.assembly import open_app
from proofbox.server.sandbox.local.backend import LocalBackend
from proofbox.server.settings import Settings
from proofbox.tools._app import App
from proofbox.tools.check_pr.request import PrRequest
from proofbox.tools.check_pr.run import run

pytestmark = pytest.mark.slow

FRUGAL: dict[str, Any] = {"reruns": 0, "mutation": False}
"""Where a case is not about what chance does or what tests notice."""


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """One event loop for all cases, so that they share their environments and jails' start."""
    return "asyncio"


@pytest.fixture(scope="module")
async def app(
    local_cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[tuple[App, Path]]:
    """An App whose sandboxes are jails on this machine, and the folder that it may read."""
    folder = tmp_path_factory.mktemp("repositories")
    settings = Settings(roots=(folder,))
    async with open_app(settings, backend=LocalBackend(cache_dir=local_cache), warm=False) as app:
        yield app, folder


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
async def test_a_constructed_pull_request_comes_to_its_table(
    app: tuple[App, Path], case: Case
) -> None:
    """Verdict, counts that add up, what a person is told, and what stays out of the sandbox."""
    opened, folder = app
    path = folder / case.name.replace("/", " ")
    trap = folder / f"{path.name}.trap"
    repo = _repository(path, case, trap)

    options = {**FRUGAL, **case.options}
    request = PrRequest(repo=str(path), base="main", head="feature", **options)
    report = await run(opened, "local", request)

    assert report.verdict == case.verdict, report.review
    assert case.reason in report.reason
    counts = [project.counts for project in report.projects]
    assert [dict(case.kinds)] == counts or not case.kinds
    assert all(sum(one.counts.values()) == one.total_tests for one in report.projects)
    assert all(part in " ".join(report.needs_review) for part in case.review), report.needs_review
    assert set(case.stayed_home) <= {one.file for one in report.stayed_home}
    assert not trap.exists()
    assert repo.path == path


ATTEMPTS = """\
import contextlib, io, json
import pytest

SOURCES = {sources!r}


@pytest.mark.parametrize("name", SOURCES)
def test_nothing_is_got(name):
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(SOURCES[name], {{}})
    answer = json.loads(said.getvalue())
    assert answer["ran"] == {ran!r}
    assert answer["got"] is None, answer
"""


async def test_nothing_of_the_host_can_be_reached_by_tests(
    app: tuple[App, Path], tmp_path: Path
) -> None:
    """The attempts of `doctor`, made by tests of a pull request: each is refused, and each did run."""
    opened, folder = app
    with break_outs(tmp_path) as attempts:
        attack = ATTEMPTS.format(sources=attempts.sources, ran=attempts.proof)
        repo = Repo(folder / "attack")
        start = repo.commit(BASE)
        repo.commit({"tests/test_attack.py": attack}, on="feature", start=start)
        request = PrRequest(repo=str(repo.path), base="main", head="feature", **FRUGAL)
        report = await run(opened, "local", request)

    assert report.verdict == "passed", report.review
    (project,) = report.projects
    assert dict(project.counts) == {
        "new_but_pass_at_base": len(attempts.sources),
        "pass_to_pass": 3,
    }


def _repository(path: Path, case: Case, trap: Path) -> Repo:
    """The case as a repository: `feature` on top of `main`, which may have moved on, and traps for git."""
    repo = Repo(path)
    start = repo.commit({**BASE, **case.base})
    repo.commit(case.head, on="feature", start=start)
    if case.tip:
        repo.commit(case.tip)
    _set_traps(path, trap)
    return repo


def _set_traps(path: Path, trap: Path) -> None:
    """Everything in a repository that could make git run a program."""
    touch = f"touch '{trap}'"
    with (path / ".git" / "config").open("a") as config:
        config.write(
            f'[filter "evil"]\n\tsmudge = "{touch}"\n\tclean = "{touch}"\n\tprocess = "{touch}"\n\trequired = true\n'
            f'[diff "evil"]\n\ttextconv = "{touch}"\n\tcommand = "{touch}"\n[merge "evil"]\n\tdriver = "{touch}"\n'
            f'[core]\n\tfsmonitor = "{touch}"\n\tpager = "{touch}"\n\tsshCommand = "{touch}"\n'
            f'[alias]\n\tdiff = "!{touch}"\n[diff]\n\texternal = "{touch}"\n'
        )
    for name in ("post-checkout", "post-index-change", "reference-transaction", "pre-commit"):
        hook = path / ".git" / "hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\n{touch}\n")
        hook.chmod(0o755)
