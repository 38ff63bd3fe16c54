"""A pull request on GitHub: its API says what is to be compared, git fetches it and has the last word."""

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ....server.github import GitHubAccess
from ....server.sandbox import InvalidInput, SandboxError, SandboxRejected, SandboxUnavailable
from ....server.sessions import Clock, SystemClock
from ..request import PrRequest
from ..review.plain import one_line
from .comparing import Compared, pull_of
from .git import Git, GitFailed, Remote
from .github import GitHub, connected
from .local import merge_base
from .places import Places
from .pull import Pull
from .stored import anew, stored

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,38}/[A-Za-z0-9._-]{1,100}")
_SHA = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_BRANCH = re.compile(r"(?!-)[^\s~^:?*\[\\\x00-\x20\x7f]+")
_MERGEABLE_WAITS = (1.0, 2.0, 4.0)
_FETCH_SECONDS = 1800.0


@dataclass(frozen=True, slots=True)
class Facts:
    """What the API says of a pull request. `repository` is its name now; `fork` empty where it is deleted."""

    repository: str
    number: int
    title: str
    is_open: bool
    base: str
    base_sha: str
    head_sha: str
    fork: str
    mergeable: bool | None


async def from_github(
    request: PrRequest,
    places: Places,
    version: tuple[int, int],
    tell: Callable[[str], None],
    clock: Clock | None = None,
) -> Pull:
    """The pull request. Raises as `fetch_pull` does."""
    if not _NAME.fullmatch(request.repo) or request.repo.endswith((".git", "/.", "/..")):
        raise InvalidInput(f"repo must be owner/name with pr, not {request.repo[:200]!r}.")
    async with connected(places.github, clock or SystemClock()) as github:
        tell("Asking GitHub for the pull request")
        facts = await _facts(github, request.repo, request.pr)
        remote = Remote(places.github.repository(facts.repository), _header(places.github))
        async with stored(places.cache, remote) as git:
            tell(f"Fetching {facts.repository}#{facts.number}")
            facts, head, tip = await _agreed(git, github, facts)
            tell("Reading both sides")
            compared = await _compared(git, facts, tip, head)
            pull = await pull_of(compared, request, version)
        if pull.merge == "unknown":
            pull = await _asked_for_merge(github, facts, pull)
    return replace(
        pull,
        name=f"{facts.repository}#{facts.number}",
        repository=facts.repository,
        number=facts.number,
        title=facts.title,
    )


def _header(access: GitHubAccess) -> str:
    if not access.token:
        return ""
    pair = base64.b64encode(f"x-access-token:{access.token}".encode()).decode("ascii")
    return f"Authorization: Basic {pair}"


async def _facts(github: GitHub, repository: str, number: int) -> Facts:
    try:
        found = await github.call("GET", f"/repos/{repository}/pulls/{number}")
    except InvalidInput as error:
        raise InvalidInput(f"There is no pull request {repository}#{number}: {error}") from error
    try:
        return _read(found)
    except (KeyError, TypeError, ValueError) as error:
        raise SandboxUnavailable(
            f"What GitHub says of {repository}#{number} cannot be understood: {error}."
        ) from error


def _read(found: Mapping[str, Any]) -> Facts:
    base, head = found["base"], found["head"]
    repository, branch = str(base["repo"]["full_name"]), str(base["ref"])
    shas = (str(base["sha"]), str(head["sha"]))
    if not _NAME.fullmatch(repository) or not _BRANCH.fullmatch(branch):
        raise ValueError("the names of base are none")
    if not all(map(_SHA.fullmatch, shas)):
        raise ValueError("the commits are none")
    mergeable = found.get("mergeable")
    fork: Mapping[str, Any] = head.get("repo") or {}
    return Facts(
        repository=repository,
        number=int(found["number"]),
        title=one_line(str(found.get("title") or ""), 300),
        is_open=found.get("state") == "open",
        base=branch,
        base_sha=shas[0],
        head_sha=shas[1],
        fork=str(fork.get("full_name") or ""),
        mergeable=mergeable if isinstance(mergeable, bool) else None,
    )


async def _agreed(git: Git, github: GitHub, facts: Facts) -> tuple[Facts, str, str]:
    """What was fetched: the facts, the head that the ref has and the tip of base. Somebody may push between
    the API's answer and git's, so both are asked again where they differ.
    """
    head, tip = await _fetched_or_anew(git, facts)
    if head != facts.head_sha:
        facts = await _facts(github, facts.repository, facts.number)
    if head != facts.head_sha:
        head, tip = await _fetched_or_anew(git, facts)
    return facts, head, tip


async def _fetched_or_anew(git: Git, facts: Facts) -> tuple[str, str]:
    try:
        return await _fetched(git, facts)
    except GitFailed as failed:
        error = _explained(failed, facts)
        if error is not None:
            raise error from failed
    # What is left is a damaged copy.
    await anew(git)
    try:
        return await _fetched(git, facts)
    except GitFailed as failed:
        raise _explained(failed, facts) or SandboxUnavailable(
            f"{facts.repository} cannot be fetched: git says: {failed.words}."
        ) from failed


async def _fetched(git: Git, facts: Facts) -> tuple[str, str]:
    head = f"refs/pull/{facts.number}/head"
    tip = f"refs/heads/{facts.base}"
    try:
        # Of one that is closed, the branch has moved on, perhaps with the change in it.
        await _fetch(git, head, tip if facts.is_open else "")
        found = await git.commit(tip) if facts.is_open else ""
    except GitFailed as failed:
        if "couldn't find remote ref refs/heads/" not in failed.words:
            raise
        await _fetch(git, head, "")
        found = ""
    if not found:
        kept = f"refs/bases/{facts.number}"
        await _fetch(git, f"{facts.base_sha}:{kept}", "")
        found = await git.commit(kept)
    return await git.commit(head), found


async def _fetch(git: Git, *references: str) -> None:
    specs = [f"+{one}" if ":" in one else f"+{one}:{one}" for one in references if one]
    await git.run(
        *(
            "fetch",
            "-q",
            "--no-tags",
            "--no-write-fetch-head",
            "--no-auto-maintenance",
            "--refmap=",
        ),
        *("--filter=blob:none", "origin", *specs),
        seconds=_FETCH_SECONDS,
    )


def _explained(failed: GitFailed, facts: Facts) -> InvalidInput | SandboxError | None:
    """The failure, if it is the other side's; None if the copy here may be damaged."""
    said = f"{facts.repository} cannot be fetched: git says: {failed.words}"
    words = failed.words.lower()
    if "couldn't find remote ref" in words or "not our ref" in words:
        return InvalidInput(f"{said}. GitHub has no such commit any more.")
    if re.search(r"redirect|error: 30\d", words):
        return SandboxRejected(f"{said}. Redirects are not followed; check PROOFBOX_GITHUB_URL.")
    if re.search(r"authentication failed|could not read (username|password)|error: 40[13]", words):
        return SandboxRejected(f"{said}. Set GITHUB_TOKEN to a token that may read the repository.")
    if re.search(
        r"unable to access|error: [45]\d\d|could not resolve|timed out|hung up|early eof", words
    ):
        return SandboxUnavailable(f"{said}. Try again later.")
    return None


async def _compared(git: Git, facts: Facts, tip: str, head: str) -> Compared:
    notes: list[str] = []
    if head != facts.head_sha:
        notes.append(
            f"GitHub's API says that head is {facts.head_sha[:12]}, but refs/pull/{facts.number}/head has "
            f"{head[:12]}, which was checked."
        )
    if not facts.is_open:
        notes.append(f"It is closed: compared with {tip[:12]}, which base was then.")
    if not facts.fork:
        notes.append("The repository that it comes from was deleted; its commits are with base.")
    return Compared(git, tip, await merge_base(git, tip, head), head, head, tuple(notes))


async def _asked_for_merge(github: GitHub, facts: Facts, pull: Pull) -> Pull:
    """GitHub's own answer, where git here is too old; it makes up its mind after the first question."""
    mergeable = facts.mergeable
    for wait in _MERGEABLE_WAITS:
        if mergeable is not None:
            break
        await github.clock.sleep(wait)
        mergeable = (await _facts(github, facts.repository, facts.number)).mergeable
    if mergeable is None:
        return replace(pull, notes=(*pull.notes, "GitHub does not say whether it merges."))
    return replace(pull, merge="clean" if mergeable else "conflicts")
