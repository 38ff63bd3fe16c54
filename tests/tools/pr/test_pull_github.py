"""Pull requests of GitHub, against a server that speaks its API and git over HTTP."""

import logging
import os
import shutil
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import anyio
import anyio.lowlevel
import httpx2
import pytest
from github_stub import GitHubStub, basic
from pr_repos import Repo

from proofbox.server.github import GitHubAccess
from proofbox.server.sandbox import (
    InvalidInput,
    ProofboxError,
    SandboxBusy,
    SandboxRejected,
    SandboxUnavailable,
)
from proofbox.server.sessions import SystemClock
from proofbox.tools.check_pr.pull.fetch import fetch_pull
from proofbox.tools.check_pr.pull.github import GitHub, connected
from proofbox.tools.check_pr.pull.places import Places
from proofbox.tools.check_pr.pull.pull import Pull
from proofbox.tools.check_pr.pull.remote import from_github
from proofbox.tools.check_pr.request import PrRequest

VERSION = (2, 39)


class Skipping(SystemClock):
    """A clock that does not wait, and keeps for how long it should have."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)


@pytest.fixture
def stub() -> Iterator[GitHubStub]:
    """A server with nothing on it."""
    with GitHubStub() as running:
        yield running


@pytest.fixture
def repo(tmp_path: Path, stub: GitHubStub) -> Repo:
    """The repository `octo/app` with pull request 1, whose base has moved on."""
    made = Repo(tmp_path / "app")
    start = made.commit({"a.py": "x = 1\n", **{f"f{n}.txt": f"{n}\n" for n in range(30)}})
    made.commit({"a.py": "x = 2\n"}, on="feature", start=start)
    made.commit({"b.py": "y = 1\n"})
    stub.add("octo/app", made.path)
    stub.open_pull("octo/app", head="feature", title="Two\x1b[31m\nlines")
    return made


@pytest.fixture
def places(tmp_path: Path, stub: GitHubStub) -> Places:
    """No folders; the stub's token."""
    return Places((), tmp_path / "cache", GitHubAccess(stub.url, stub.token))


@pytest.fixture
def clock() -> Skipping:
    """Waits are kept."""
    return Skipping()


@pytest.fixture
async def github(stub: GitHubStub, clock: Skipping) -> AsyncIterator[GitHub]:
    """The API, with the token."""
    async with connected(GitHubAccess(stub.url, stub.token), clock) as found:
        yield found


async def fetched(places: Places, number: int = 1, repo: str = "octo/app") -> Pull:
    """The pull request as the tool gets it."""
    return await fetch_pull(PrRequest(repo, pr=number), places, lambda said: None)


def uploads(stub: GitHubStub) -> int:
    """How often git asked for objects."""
    return sum(one.method == "POST" for one in stub.seen if one.path.endswith("git-upload-pack"))


async def test_a_pull_request_of_a_fork_is_fetched(
    repo: Repo, stub: GitHubStub, places: Places
) -> None:
    """By `refs/pull/N/head` of the repository that it is for; one question to the API is enough."""
    pull = await fetched(places)

    assert (pull.name, pull.repository, pull.number) == ("octo/app#1", "octo/app", 1)
    assert pull.title == "Two lines"
    assert pull.head.commit == repo.name_of("feature")
    assert (pull.tip, pull.merge) == (repo.name_of("main"), "clean")
    assert [(change.path, change.added) for change in pull.changes] == [("a.py", (1,))]
    assert len(pull.head.files) == 31
    assert pull.notes == ()
    assert [one.path for one in stub.api] == ["/api/v3/repos/octo/app/pulls/1"]


async def test_files_are_fetched_in_one_request_and_once(
    repo: Repo, stub: GitHubStub, places: Places
) -> None:
    """Not one by one, as git does by itself; the second check fetches what is new alone."""
    await fetched(places)
    first = uploads(stub)
    stub.seen.clear()
    await fetched(places)
    second = uploads(stub)
    repo.commit({"a.py": "x = 3\n"}, on="feature")
    stub.repositories["octo/app"].pulls[1].head_sha = repo.name_of("feature")
    repo.branch("refs/pull/1/head", repo.name_of("feature"))
    pull = await fetched(places)

    assert first <= 4  # what there is, commits, files; and no more for more files
    assert second <= 1
    assert pull.head.files["a.py"] == b"x = 3\n"


async def test_a_deleted_fork_is_no_hindrance(repo: Repo, stub: GitHubStub, places: Places) -> None:
    """Its commits are with base, and that it is gone is noted."""
    stub.repositories["octo/app"].pulls[1].head_repo = None

    pull = await fetched(places)

    assert [change.path for change in pull.changes] == ["a.py"]
    assert any("was deleted" in note for note in pull.notes)


async def test_what_was_merged_is_compared_with_base_as_it_was(
    repo: Repo, stub: GitHubStub, places: Places
) -> None:
    """Against base as it is now there would be no change left."""
    opened = stub.repositories["octo/app"].pulls[1]
    head = repo.name_of("feature")
    repo.commit({"a.py": "x = 2\n"}, start=repo.name_of("main"), also=head)
    opened.state = "closed"

    pull = await fetched(places)

    assert pull.tip == opened.base_sha
    assert [change.path for change in pull.changes] == ["a.py"]
    assert any("closed" in note for note in pull.notes)


async def test_a_base_branch_that_is_gone_is_had_by_its_commit(
    repo: Repo, stub: GitHubStub, places: Places
) -> None:
    """As the API names it."""
    repo.branch("other", repo.name_of("main"))
    stub.repositories["octo/app"].pulls[1].base = "no-longer"

    pull = await fetched(places)

    assert pull.tip == repo.name_of("main")


async def test_a_push_in_between_is_asked_for_again(
    repo: Repo, stub: GitHubStub, places: Places
) -> None:
    """The API may lag behind git; where it stays behind, that is said."""
    opened = stub.repositories["octo/app"].pulls[1]
    new = repo.commit({"a.py": "x = 3\n"}, on="feature")
    repo.branch("refs/pull/1/head", new)

    pull = await fetched(places)
    noted = [note for note in pull.notes if opened.head_sha[:12] in note]
    stub.seen.clear()
    stub.on_request = lambda seen: setattr(
        opened, "head_sha", new if len(stub.api) > 1 else opened.head_sha
    )
    again = await fetched(places)

    assert pull.head.commit == again.head.commit == new
    assert len(noted) == 1
    assert again.notes == ()


async def test_limits_of_the_api_on_diffs_do_not_matter(
    repo: Repo, stub: GitHubStub, places: Places
) -> None:
    """406 above 300 files, missing patches, 0 additions: nobody asks for them, as git knows."""
    repo.commit({f"m/f{n}.py": f"x = {n}\n" for n in range(320)}, on="large")
    stub.open_pull("octo/app", head="large")
    stub.patches = False

    pull = await fetched(places, 2)

    assert len(pull.changes) == 320
    assert {change.added for change in pull.changes} == {(1,)}
    assert [one.path for one in stub.api] == ["/api/v3/repos/octo/app/pulls/2"]
    with pytest.raises(AssertionError):
        assert httpx2.get(
            f"{stub.url}/api/v3/repos/octo/app/pulls/2",
            headers={"Accept": "application/vnd.github.diff"},
        ).is_success


async def test_a_renamed_repository_is_found(repo: Repo, stub: GitHubStub, places: Places) -> None:
    """By the API's redirect on the same server; git is given the new name."""
    stub.repositories["octo/new"] = stub.repositories["octo/app"]
    stub.add("octo/old", repo.path).renamed_to = "octo/new"
    stub.repositories["octo/new"].pulls[1].repository = "octo/new"

    pull = await fetched(places, repo="octo/old")

    assert pull.repository == "octo/new"
    assert {one.path.split("/")[2] for one in stub.seen if ".git" in one.path} == {"new.git"}


@pytest.mark.parametrize(
    ("behaviours", "waits"),
    [
        (["429:7"], [7]),
        (["403:5", "429:6"], [5, 6]),
        (["502", "503", "500"], [1, 2, 4]),
        (["answer"], []),
    ],
)
async def test_what_passes_is_waited_for(
    repo: Repo,
    stub: GitHubStub,
    github: GitHub,
    clock: Skipping,
    behaviours: list[str],
    waits: list[float],
) -> None:
    """As long as GitHub says, or a little longer each time."""
    stub.behave(*behaviours)

    found = await github.call("GET", "/repos/octo/app/pulls/1")

    assert found["number"] == 1
    assert clock.waits == waits


async def test_a_limit_without_retry_after_ends_when_github_says(
    repo: Repo, stub: GitHubStub, github: GitHub, clock: Skipping
) -> None:
    """By GitHub's own clock."""
    stub.behave("limit:30")

    await github.call("GET", "/repos/octo/app/pulls/1")

    (waited,) = clock.waits
    assert 25 <= waited <= 35


@pytest.mark.parametrize("behaviour", ["limit:3000", "429:3000"])
async def test_a_limit_that_lasts_is_told_with_its_end(
    repo: Repo, stub: GitHubStub, github: GitHub, clock: Skipping, behaviour: str
) -> None:
    """Instead of waiting for most of an hour."""
    stub.behave(behaviour)

    with pytest.raises(
        SandboxBusy, match=r"before \d\d:\d\d:\d\d UTC on .*, in [23],\d{3} s"
    ) as told:
        await github.call("GET", "/repos/octo/app/pulls/1")

    assert clock.waits == []
    assert told.value.retry_after == pytest.approx(3000, abs=5)


@pytest.mark.parametrize(
    ("behaviours", "kind", "told"),
    [
        (["500"] * 4, SandboxUnavailable, "GitHub fails"),
        (["broken"], SandboxUnavailable, "something else than GitHub"),
        (["401"], SandboxRejected, "does not accept the token"),
        (["403"], SandboxRejected, "more permissions"),
        (["404"], InvalidInput, "no pull request octo/app#1"),
        (["422"], InvalidInput, "stub says 422"),
    ],
)
async def test_each_failure_says_whose_turn_it_is(
    repo: Repo,
    stub: GitHubStub,
    places: Places,
    clock: Skipping,
    behaviours: list[str],
    kind: type[ProofboxError],
    told: str,
) -> None:
    """And nothing is fetched."""
    stub.behave(*behaviours)

    with pytest.raises(kind, match=told):
        await from_github(PrRequest("octo/app", pr=1), places, VERSION, print, clock)

    assert stub.seen == stub.api


async def test_what_may_not_be_seen_says_what_is_missing(
    repo: Repo, stub: GitHubStub, places: Places
) -> None:
    """A token, or one that may; whether it is there is not said, as GitHub does not."""
    stub.repositories["octo/app"].private = True
    anonymous = Places((), places.cache, GitHubAccess(stub.url))

    with pytest.raises(InvalidInput, match="or it is private: set GITHUB_TOKEN"):
        await fetched(anonymous)
    with pytest.raises(InvalidInput, match="#9.*private and the token may not"):
        await fetched(places, 9)
    assert (await fetched(places)).number == 1


async def test_a_server_that_is_not_there_is_named(places: Places, clock: Skipping) -> None:
    """After some tries."""
    nowhere = Places((), places.cache, GitHubAccess("http://127.0.0.1:1", "ghp_secret"))

    with pytest.raises(SandboxUnavailable, match=r"http://127\.0\.0\.1:1 cannot be reached"):
        await from_github(PrRequest("octo/app", pr=1), nowhere, VERSION, print, clock)

    assert clock.waits == [1, 2, 4]


async def test_what_writes_is_not_sent_twice(repo: Repo, stub: GitHubStub, github: GitHub) -> None:
    """An answer 502 may come after the comment was made; a limit comes before."""
    path = "/repos/octo/app/issues/1/comments"
    stub.behave("502")
    with pytest.raises(SandboxUnavailable):
        await github.call("POST", path, {"body": "one"})
    tried = len(stub.seen)
    stub.behave("429:1")
    await github.call("POST", path, {"body": "two"})

    assert tried == 1
    assert [one["body"] for one in stub.comments.values()] == ["two"]


async def test_lists_are_read_page_by_page(repo: Repo, stub: GitHubStub, github: GitHub) -> None:
    """To the end, 100 at a time."""
    path = "/repos/octo/app/issues/1/comments"
    await github.call("POST", path, {"body": "0"})
    (first,) = stub.comments.values()
    for number in range(1, 250):
        stub.comments[5000 + number] = {**first, "body": str(number)}
    stub.seen.clear()

    found = [one["body"] async for one in github.every(path)]

    assert found == [str(number) for number in range(250)]
    assert len(stub.seen) == 3


async def test_what_is_known_is_not_sent_again(
    repo: Repo, stub: GitHubStub, github: GitHub
) -> None:
    """By its ETag, so that asking again costs nothing of the limit."""
    first = await github.call("GET", "/repos/octo/app/pulls/1")
    second = await github.call("GET", "/repos/octo/app/pulls/1")

    assert first == second
    assert "if-none-match" in stub.seen[-1].headers


async def test_github_is_asked_whether_it_merges_where_git_cannot_tell(
    repo: Repo, stub: GitHubStub, places: Places, clock: Skipping
) -> None:
    """It answers null until it knows, and is not asked for ever."""
    opened = stub.repositories["octo/app"].pulls[1]
    old = (2, 34)

    opened.mergeable = deque([None, None, False])
    knows = await from_github(PrRequest("octo/app", pr=1), places, old, print, clock)
    waits = clock.waits.copy()
    opened.mergeable = deque([None])
    never = await from_github(PrRequest("octo/app", pr=1), places, old, print, clock)

    assert (knows.merge, waits) == ("conflicts", [1, 2])
    assert (never.merge, len(clock.waits)) == ("unknown", 5)
    assert any("does not say" in note for note in never.notes)


@pytest.mark.parametrize(
    "name", ["octo", "a/b/c", "../x", "https://github.com/o/a", "o/a.git", "-o/a", "o/.."]
)
async def test_a_name_that_is_none_is_refused(places: Places, stub: GitHubStub, name: str) -> None:
    """Before anybody is asked."""
    with pytest.raises(InvalidInput, match="owner/name"):
        await fetched(places, repo=name)

    assert stub.seen == []


@pytest.mark.parametrize("branch", ["--upload-pack=touch x", "a:b", "a..b c", "*"])
async def test_names_that_git_would_take_for_something_else_are_refused(
    repo: Repo, stub: GitHubStub, places: Places, branch: str
) -> None:
    """Whoever answers in GitHub's place must not steer git."""
    stub.repositories["octo/app"].pulls[1].base = branch

    with pytest.raises(SandboxUnavailable, match="cannot be understood"):
        await fetched(places)


async def test_no_other_server_is_followed_to(repo: Repo, stub: GitHubStub, places: Places) -> None:
    """Neither by the API nor by git, so that it sees no token."""
    with GitHubStub() as other:
        other.add("octo/app", repo.path)
        other.open_pull("octo/app", head="feature")
        path = "/api/v3/repos/octo/app/pulls/1"
        stub.redirects = {path: other.url + path}
        with pytest.raises(SandboxRejected, match="redirects to another server"):
            await fetched(places)
        refs = "/octo/app.git/info/refs"
        stub.redirects = {refs: other.url + refs}
        with pytest.raises(SandboxRejected, match="Redirects are not followed"):
            await fetched(places)

        assert other.seen == []


async def test_pages_of_another_server_are_not_followed(clock: Skipping) -> None:
    """A Link header is an address as well."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        assert request.url.host == "git.example"
        link = {"link": '<https://evil.example/?page=2>; rel="next"'}
        return httpx2.Response(200, json=[1], headers=link)

    async with httpx2.AsyncClient(transport=httpx2.MockTransport(answer)) as client:
        github = GitHub(GitHubAccess("https://git.example", "ghp_x"), client, clock)
        with pytest.raises(SandboxRejected, match=r"evil\.example"):
            [one async for one in github.every("/x")]


async def test_an_error_that_repeats_the_token_is_shown_without_it(clock: Skipping) -> None:
    """Whatever stands between us and GitHub may echo headers."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(422, json={"message": f"I saw {request.headers['authorization']}"})

    async with httpx2.AsyncClient(transport=httpx2.MockTransport(answer)) as client:
        github = GitHub(GitHubAccess("https://git.example", "ghp_x"), client, clock)
        with pytest.raises(InvalidInput, match=r"I saw Bearer \[the token\]"):
            await github.call("GET", "/x")


def _watched(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every command of git from now on, with what it starts itself, in a file that comes back."""
    real, log = shutil.which("git"), folder / "log"
    folder.mkdir()
    wrapper = folder / "git"
    wrapper.write_text(f'#!/bin/sh\necho "argv: $*" >> {log}\nGIT_TRACE={log} exec {real} "$@"\n')
    wrapper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return log


async def test_the_token_is_in_the_authorization_header_and_nowhere_else(
    repo: Repo,
    stub: GitHubStub,
    places: Places,
    clock: Skipping,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Not in arguments of programs, the copy, progress, logs, errors, the report's facts or the environment."""
    caplog.set_level(logging.DEBUG)
    log = _watched(tmp_path / "bin", monkeypatch)
    stub.repositories["octo/app"].private = True
    told: list[str] = []

    pull = await fetch_pull(PrRequest("octo/app", pr=1), places, told.append)
    told.append(repr(pull))
    told.append(repr(places))
    kept = [path.read_bytes() for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    wrong = Places((), tmp_path / "cache", GitHubAccess(stub.url, stub.token + "x"))
    (repo.path / ".git" / "objects").rename(repo.path / ".git" / "away")
    for behaviour in ("answer", "401", "broken"):
        stub.behave(behaviour)
        for where in (places, wrong):
            with pytest.raises(ProofboxError) as failed:
                await from_github(PrRequest("octo/app", pr=1), where, VERSION, told.append, clock)
            told += [str(failed.value), repr(failed.value), repr(failed.value.__cause__)]

    in_headers = [one.headers.get("authorization", "") for one in stub.seen]
    around = [
        repr((one.path, one.query, one.body, {**one.headers, "authorization": ""}))
        for one in stub.seen
    ]
    places_to_look = [*told, *around, log.read_text(), caplog.text, repr(dict(os.environ))]
    assert f"Bearer {stub.token}" in in_headers
    assert f"Basic {basic(stub.token)}" in in_headers
    assert "remote-http" in log.read_text()
    assert len(kept) > 10
    for secret in (stub.token, basic(stub.token), basic(stub.token).rstrip("=")[:-2]):
        assert not [text for text in places_to_look if secret in text]
        assert not [content for content in kept if secret.encode() in content]


async def test_a_copy_that_is_damaged_or_gone_is_made_anew(
    repo: Repo, stub: GitHubStub, places: Places
) -> None:
    """It may be deleted at any time."""
    await fetched(places)
    (copy,) = (places.cache / "repositories").glob("*.git")
    for path in (copy / "objects" / "pack").iterdir():
        path.chmod(0o600)  # git makes them read-only
        path.write_bytes(b"garbage")
    damaged = await fetched(places)
    shutil.rmtree(places.cache)
    gone = await fetched(places)

    assert damaged.head.files == gone.head.files != {}


async def test_two_checks_of_one_repository_wait_for_each_other(
    repo: Repo, stub: GitHubStub, places: Places
) -> None:
    """And both get the same."""
    found: list[Pull] = []

    async def check() -> None:
        found.append(await fetched(places))

    with anyio.fail_after(60):
        async with anyio.create_task_group() as both:
            both.start_soon(check)
            both.start_soon(check)

    assert found[0] == found[1]


async def test_a_check_that_is_given_up_leaves_nothing_running_and_no_lock(
    repo: Repo, places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next one of the same repository does not wait for it."""
    real, begun = shutil.which("git"), tmp_path / "begun"
    folder = tmp_path / "bin"
    folder.mkdir()
    with monkeypatch.context() as patched:
        wrapper = folder / "git"
        waits = f'*" fetch "*) echo $$ > {begun}; exec sleep 1000;;'
        wrapper.write_text(f'#!/bin/sh\ncase "$*" in {waits} esac\nexec {real} "$@"\n')
        wrapper.chmod(0o755)
        patched.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
        with anyio.fail_after(60):
            async with anyio.create_task_group() as given_up:
                given_up.start_soon(fetched, places)
                while not (begun.is_file() and begun.read_text().strip()):
                    await anyio.lowlevel.checkpoint()
                given_up.cancel_scope.cancel()

    assert not Path("/proc", begun.read_text().strip()).exists()
    with anyio.fail_after(60):
        assert (await fetched(places)).number == 1


async def test_copies_that_nobody_uses_are_deleted(
    repo: Repo, stub: GitHubStub, places: Places
) -> None:
    """After a month; where somebody has one open, it stays."""
    home = places.cache / "repositories"
    home.mkdir(parents=True)
    old = time.time() - 40 * 86_400
    for name, when in (("old", old), ("new", time.time())):
        (home / f"{name}.git").mkdir()
        (home / f"{name}.lock").touch()
        os.utime(home / f"{name}.lock", (when, when))

    await fetched(places)

    assert not (home / "old.git").exists()
    assert (home / "new.git").exists()
    assert home.stat().st_mode & 0o077 == 0
