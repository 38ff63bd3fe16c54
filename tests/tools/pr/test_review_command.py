"""`proofbox pr`: what it takes, what it prints and writes, and which exit code tells the verdict."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from fakes import FakeBackend
from github_stub import GitHubStub
from pr_repos import Repo
from review_samples import HELD, PROOF, evidence, full, pull

from proofbox.server.assembly import open_app
from proofbox.server.cli import pr
from proofbox.server.cli.commands import cli
from proofbox.server.cli.ending import exit_code
from proofbox.tools._app import App
from proofbox.tools.check_pr.checked import Checked
from proofbox.tools.check_pr.request import PrRequest
from proofbox.tools.check_pr.review.report import PrReport
from proofbox.tools.check_pr.review.reporting import report_of

Run = Callable[..., int]


class Checks:
    """Stands in for the check itself: keeps what was asked, and gives a report."""

    def __init__(self) -> None:
        self.asked: list[tuple[PrRequest, tuple[Path, ...]]] = []
        self.report = report_of(pull(), [Checked("", pull(), evidence=evidence(*HELD, PROOF))])

    async def run(
        self, app: App, who: str, request: PrRequest, tell: Callable[[str], None]
    ) -> PrReport:
        tell("Running\x1b[2J")
        self.asked.append((request, app.roots))
        return self.report


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch, backend: FakeBackend) -> Checks:
    """The check that the command runs."""
    made = Checks()
    monkeypatch.setattr(pr, "run", made.run)
    monkeypatch.setattr(pr, "open_app", partial(open_app, backend=backend))
    for name in ("GITHUB_TOKEN", "PROOFBOX_GITHUB_TOKEN", "PROOFBOX_GITHUB_URL"):
        monkeypatch.delenv(name, raising=False)
    return made


def proofbox(*arguments: str) -> int:
    """Run `proofbox pr` in this process; its exit code."""
    words = ["pr", *arguments]
    work = partial(cli.main, words, prog_name="proofbox", standalone_mode=False)
    return exit_code(work, as_json="--json" in words)


def found(verdict: str, **counts: int) -> PrReport:
    """A report with this verdict over these tests."""
    report = report_of(pull(), [Checked("", pull(), evidence=evidence(*HELD))])
    [project] = report.projects
    change: dict[str, Any] = {
        "verdict": verdict,
        "projects": [project.model_copy(update={"counts": counts})],
    }
    return report.model_copy(update=change)


@pytest.mark.parametrize(
    ("verdict", "counts", "flags", "code"),
    [
        ("passed", {"pass_to_pass": 1}, [], 0),
        ("failed", {"pass_to_pass": 1}, [], 1),
        ("failed", {"pass_to_pass": 1}, ["--on-errored=pass"], 1),
        ("errored", {"pass_to_pass": 1}, [], 3),
        ("errored", {"pass_to_pass": 1}, ["--on-errored=pass"], 0),
        ("errored", {"unknown": 4}, ["--on-errored=pass"], 3),
        ("errored", {}, ["--on-errored=pass"], 3),
        ("skipped", {}, [], 4),
        ("skipped", {}, ["--on-errored=pass"], 4),
    ],
)
def test_the_exit_code_is_the_verdict(
    checks: Checks, verdict: str, counts: dict[str, int], flags: list[str], code: int
) -> None:
    """What could not be decided passes only where that is wanted and tests passed all the same."""
    checks.report = found(verdict, **counts)

    assert proofbox("octo/app#12", *flags) == code


def test_a_pull_request_on_github_is_named_by_its_number(checks: Checks) -> None:
    """Nothing on this machine may be read for it."""
    assert proofbox("octo/app.py#12", "--all-tests", "--python", "3.12", "-e", "A=b=c") == 0

    [(request, roots)] = checks.asked
    assert (request.repo, request.pr, roots) == ("octo/app.py", 12, ())
    assert (request.all_tests, request.python_versions, request.env) == (
        True,
        ("3.12",),
        {"A": "b=c"},
    )


def test_a_folder_inside_a_repository_names_it_too(checks: Checks, tmp_path: Path) -> None:
    """Its root may be read then, and nothing above it."""
    inside = tmp_path / "repo" / "packages" / "shop"
    inside.mkdir(parents=True)
    (tmp_path / "repo" / ".git").mkdir()

    assert proofbox(str(inside), "--head", "feature") == 0

    [(request, roots)] = checks.asked
    assert (request.repo, roots) == (str(inside), (tmp_path / "repo",))


def test_a_repository_on_this_machine_is_named_by_its_folder(
    checks: Checks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With two commits, or with a patch; one that is empty is a patch, too."""
    (tmp_path / "change.diff").write_text("--- a/x\n+++ b/x\n")
    (tmp_path / "empty.diff").write_text("")
    monkeypatch.chdir(tmp_path)

    codes = [
        proofbox(".", "--base", "main", "--head", "feature", "--merged"),
        proofbox(str(tmp_path), "--diff", "change.diff"),
        proofbox(str(tmp_path), "--diff", "empty.diff"),
    ]

    assert codes == [0, 0, 0]
    (refs, roots), (diff, _), (empty, _) = checks.asked
    assert (refs.repo, refs.base, refs.head, refs.merged) == (
        str(tmp_path),
        "main",
        "feature",
        True,
    )
    assert roots == (tmp_path,)
    assert diff.diff == "--- a/x\n+++ b/x\n"
    assert empty.diff.strip() == ""
    assert empty.diff


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["octo/app#12", "--head", "x"], "--head goes with PATH"),
        (["octo/app#0"], "neither a folder nor"),
        (["octo/app"], "neither a folder nor"),
        (["../app#12"], "neither a folder nor"),
        (["https://evil.example/octo/app#12"], "neither a folder nor"),
        (["."], "either --head or --diff"),
        ([".", "--head", "x", "--diff", "FILE"], "either --head or --diff"),
        ([".", "--head", "x", "--comment"], "need a pull request on GitHub"),
        (["octo/app#1", "--sarif", "no/such/folder.sarif"], "there is no folder"),
        (["octo/app#1", "--html", "no/such/folder.html"], "there is no folder"),
        (["octo/app#1", "--env", "A"], "NAME=VALUE"),
    ],
)
def test_what_cannot_be_meant_is_said(
    checks: Checks,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    said: str,
) -> None:
    """Before anything is started."""
    (tmp_path / "FILE").write_text("x")
    monkeypatch.chdir(tmp_path)

    assert proofbox(*arguments) == 2

    assert said in capsys.readouterr().err
    assert checks.asked == []


def test_the_report_is_printed_and_written(
    checks: Checks, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As text without the review, as JSON with all of it, as Markdown, as SARIF and as a page."""
    checks.report = report_of(pull(), [full()])
    review, findings = tmp_path / "review.md", tmp_path / "findings.sarif"
    page = tmp_path / "page.html"
    files = ("--markdown", str(review), "--sarif", str(findings), "--html", str(page))

    assert proofbox("octo/app#12", *files) == 1
    text = capsys.readouterr()
    assert proofbox("octo/app#12", "--json") == 1
    facts = json.loads(capsys.readouterr().out)

    assert text.out.startswith("failed: ")
    assert "pass_to_fail: tests/test_mod.py::test_sum" in text.out
    assert "## proofbox" not in text.out
    assert review.read_text() == checks.report.review
    assert json.loads(findings.read_text())["version"] == "2.1.0"
    assert "<h1>Pull request</h1>" in page.read_text()
    assert PrReport.model_validate(facts) == checks.report


def test_github_is_told_only_where_that_is_asked_for(
    checks: Checks,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """By a comment and a check run of the commit that was checked; what it refuses is an error."""
    repo = Repo(tmp_path / "app", bare=True)
    base = repo.commit({"a.py": "x = 1\n"})
    repo.commit({"a.py": "x = 2\n"}, on="feature", start=base)
    with GitHubStub() as stub:
        stub.add("octo/app", repo.path)
        opened = stub.open_pull("octo/app", head="feature")
        monkeypatch.setenv("PROOFBOX_GITHUB_URL", stub.url)
        monkeypatch.setenv("GITHUB_TOKEN", stub.token)
        refs = checks.report.refs.model_copy(update={"head": opened.head_sha})
        checks.report = checks.report.model_copy(update={"refs": refs})

        quiet = proofbox("octo/app#1")
        assert not stub.seen
        told = proofbox("octo/app#1", "--comment", "--check")
        printed = capsys.readouterr()
        stub.can_write = False
        checks.report = report_of(pull(), [full()])
        refused = proofbox("octo/app#1", "--comment")

    assert (quiet, told, refused) == (0, 0, 3)
    assert len(stub.comments) == len(stub.check_runs) == 1
    assert next(iter(stub.check_runs.values()))["conclusion"] == "success"
    assert printed.err.count("told: http") == 2
    assert stub.token not in printed.out + printed.err + capsys.readouterr().err
    for one in stub.seen:
        elsewhere = {**one.headers, "authorization": ""}
        assert stub.token not in f"{one.path} {one.query} {elsewhere} {one.body!r}"
