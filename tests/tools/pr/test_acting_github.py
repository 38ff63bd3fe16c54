"""What is told to GitHub where it is asked for: one comment of our own, and checks that never pass for nothing."""

import ast
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path

import pytest
from github_stub import GitHubStub, StubPull
from pr_repos import Repo
from review_samples import HELD, PROOF, evidence, full, pull

from proofbox.server.github import GitHubAccess
from proofbox.server.sandbox import ProofboxError
from proofbox.tools.check_pr.acting.check_run import CONCLUSIONS, check_run
from proofbox.tools.check_pr.acting.comment import comment
from proofbox.tools.check_pr.acting.publish import Ways, publish
from proofbox.tools.check_pr.checked import Checked
from proofbox.tools.check_pr.evidence.evidence import TestEvidence
from proofbox.tools.check_pr.pull.github import GitHub, connected
from proofbox.tools.check_pr.review.markdown import MARKER
from proofbox.tools.check_pr.review.report import PrReport
from proofbox.tools.check_pr.review.reporting import report_of

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Repo:
    """A repository with a change."""
    made = Repo(tmp_path_factory.mktemp("acting") / "app", bare=True)
    base = made.commit({"a.py": "x = 1\n"})
    made.commit({"a.py": "x = 2\n"}, on="feature", start=base)
    return made


@pytest.fixture(scope="module")
def running() -> Iterator[GitHubStub]:
    """One server for all tests."""
    with GitHubStub() as stub:
        yield stub


@pytest.fixture
def stub(running: GitHubStub, repo: Repo) -> Iterator[GitHubStub]:
    """GitHub with nothing written to it yet."""
    running.add("octo/app", repo.path)
    yield running
    for made in (running.comments, running.check_runs, running.seen):
        made.clear()
    running.can_write = running.is_app = True
    running.login = "proofbox[bot]"


@pytest.fixture
async def github(stub: GitHubStub) -> AsyncGenerator[GitHub]:
    """A client with the token of proofbox."""
    async with connected(GitHubAccess(stub.url, stub.token)) as client:
        yield client


@pytest.fixture
def opened(stub: GitHubStub) -> StubPull:
    """An open pull request."""
    return stub.open_pull("octo/app", head="feature")


def passing() -> PrReport:
    """The report of a good change."""
    return report_of(pull(), [Checked("", pull(), evidence=evidence(*HELD, PROOF))])


def with_findings(count: int) -> PrReport:
    """The report of a change with so many flaky tests."""
    tests = [TestEvidence(f"t.py::test_{n}", "flaky", line=n + 1) for n in range(count)]
    return report_of(pull(), [Checked("", pull(), evidence=evidence(*HELD, *tests))])


def someone_says(stub: GitHubStub, number: int, body: str, login: str = "somebody") -> int:
    """Somebody else's comment."""
    there = max(stub.comments, default=0) + 1
    user = {"login": login, "type": "User"}
    at = ("octo/app", number)
    stub.comments[there] = {"id": there, "body": body, "user": user, "html_url": "x", "_at": at}
    return there


def writes(stub: GitHubStub) -> list[tuple[str, str]]:
    """The requests that write."""
    return [
        (one.method, one.path.removeprefix("/api/v3/repos/octo/app"))
        for one in stub.api
        if one.method != "GET"
    ]


async def test_there_is_one_comment_that_is_written_over(
    github: GitHub, stub: GitHubStub, opened: StubPull
) -> None:
    """The first check makes it, the next one changes it, and the same review again writes nothing."""
    first = await comment(github, "octo/app", opened.number, passing())
    again = await comment(github, "octo/app", opened.number, report_of(pull(), [full()]))
    same = await comment(github, "octo/app", opened.number, report_of(pull(), [full()]))

    [made] = stub.comments.values()
    assert first == again == same == made["html_url"]
    assert made["body"].startswith(MARKER)
    assert "## proofbox: failed" in made["body"]
    assert [method for method, _ in writes(stub)] == ["POST", "PATCH"]


async def test_only_our_own_comment_is_written_over(
    github: GitHub, stub: GitHubStub, opened: StubPull
) -> None:
    """Whoever writes our marker, or quotes our review, keeps what they wrote; ours is found on any page."""
    others = [someone_says(stub, opened.number, f"{MARKER}\nI am the review") for _ in range(130)]
    others.append(someone_says(stub, opened.number, f"> {MARKER}", "proofbox[bot]"))
    before = {number: dict(stub.comments[number]) for number in others}

    await comment(github, "octo/app", opened.number, passing())
    someone_says(stub, opened.number, f"{MARKER} later")
    await comment(github, "octo/app", opened.number, report_of(pull(), [full()]))

    assert {number: dict(stub.comments[number]) for number in others} == before
    ours = [one for one in stub.comments.values() if one["user"]["login"] == "proofbox[bot]"]
    assert [one["body"].startswith(MARKER) for one in ours] == [False, True]
    assert "failed" in ours[1]["body"]


@pytest.mark.parametrize(
    ("verdict", "conclusion"),
    [("passed", "success"), ("failed", "failure"), ("errored", "action_required"),
     ("skipped", "action_required")],
)  # fmt: skip
async def test_only_what_passed_is_a_success(
    github: GitHub, stub: GitHubStub, opened: StubPull, verdict: str, conclusion: str
) -> None:
    """Nor is anything else `neutral`, which opens a gate as well."""
    report = passing().model_copy(update={"verdict": verdict, "reason": "Because."})

    await check_run(github, "octo/app", opened.head_sha, report)

    [run] = stub.check_runs.values()
    assert (run["status"], run["conclusion"]) == ("completed", conclusion)
    assert run["head_sha"] == opened.head_sha
    assert run["output"]["title"] == f"{verdict}: Because."
    assert [one for one, said in CONCLUSIONS.items() if said == "success"] == ["passed"]


@pytest.mark.parametrize(("count", "requests"), [(0, 1), (1, 1), (50, 1), (51, 2), (120, 3)])
async def test_annotations_come_fifty_at_a_time(
    github: GitHub, stub: GitHubStub, opened: StubPull, count: int, requests: int
) -> None:
    """All of them arrive, each once, with the levels that GitHub knows."""
    report = with_findings(count)

    await check_run(github, "octo/app", opened.head_sha, report)

    [run] = stub.check_runs.values()
    shown = [one["start_line"] for one in run["output"]["annotations"]]
    assert sorted(shown) == list(range(1, count + 1))
    assert len(writes(stub)) == requests
    assert run["conclusion"] == "success"


async def test_lines_of_base_are_no_annotations_of_head(
    github: GitHub, stub: GitHubStub, opened: StubPull
) -> None:
    """What is gone is in the summary; its line would be another one at head."""
    report = report_of(pull(), [full()])

    await check_run(github, "octo/app", opened.head_sha, report)

    [run] = stub.check_runs.values()
    assert any(one.side == "LEFT" for one in report.annotations)
    assert {one["path"] for one in run["output"]["annotations"]} == {"pkg/mod.py"}
    assert "test_gone" in run["output"]["summary"]


async def test_long_texts_fit_what_github_takes(stub: GitHubStub, opened: StubPull) -> None:
    """A summary, a title and messages of any length are cut, and the comment too."""
    tests = [TestEvidence(f"t.py::test_{n}_{'ü' * 90}", "flaky", why="w" * 400) for n in range(900)]
    report = report_of(pull(), [Checked("", pull(), evidence=evidence(*HELD, *tests))])
    report = report.model_copy(update={"reason": "r" * 5000})

    refs = report.refs.model_copy(update={"head": ""})
    report = report.model_copy(update={"refs": refs})

    told = await publish(GitHubAccess(stub.url, stub.token), "octo/app", opened.number, report,
                         Ways(comment=True, check=True), head=opened.head_sha)  # fmt: skip

    assert len(told) == 2
    assert len(stub.comments) == len(stub.check_runs) == 1


async def test_what_github_refuses_is_said(
    github: GitHub, stub: GitHubStub, opened: StubPull
) -> None:
    """A token that may not write, and one that is no App's: whoever runs it is told what is missing."""
    stub.is_app = False
    with pytest.raises(ProofboxError, match="App"):
        await check_run(github, "octo/app", opened.head_sha, passing())
    stub.can_write = False
    with pytest.raises(ProofboxError, match="not accessible"):
        await comment(github, "octo/app", opened.number, passing())

    assert not stub.comments
    assert not stub.check_runs


async def test_a_rate_limit_is_waited_for(
    github: GitHub, stub: GitHubStub, opened: StubPull
) -> None:
    """What GitHub asks to be sent later is sent later, once."""
    stub.behave("429:0", "answer", "answer", "429:0")

    await comment(github, "octo/app", opened.number, passing())

    assert len(stub.comments) == 1


def test_no_tool_can_write_to_github() -> None:
    """Nothing that the server offers to a model imports what acts; only the command line does."""
    sources = [
        path for top in ("server", "tools", "prompts") for path in (ROOT / top).rglob("*.py")
    ]
    importing = {
        path.relative_to(ROOT).as_posix()
        for path in sources
        if "acting" in (text := path.read_text())
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.ImportFrom) and "acting" in (node.module or "").split(".")
    }

    assert importing
    assert {path for path in importing if not path.startswith("server/cli/")} == set[str]()
