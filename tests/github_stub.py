"""A server on loopback that speaks GitHub's REST API, for as much of it as a pull request needs, and git.

    with GitHubStub() as stub:
        stub.add("octo/app", repo.path)                  # a repository on disk (see pr_repos)
        pull = stub.open_pull("octo/app", head="feature")
        stub.behave("502", "429:7")                      # what the next requests to the API meet
        read_settings({"PROOFBOX_GITHUB_URL": stub.url})

It is laid out as GitHub Enterprise: the API under `/api/v3`, repositories under `/owner/name.git`, served by
`git http-backend`. What it says of a pull request is what git says of `refs/pull/N/head`. `seen` has
every request that came in; comments, check runs and reviews that were made are in lists of these names.
"""

import asyncio
import base64
import hashlib
import json
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from github_stub_git import Row, git, rows_of, serve_git
from loopback import Loopback
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

MOST_FILES = 3000
MOST_DIFF_FILES = 300
MOST_DIFF_LINES = 20_000
MOST_ANNOTATIONS = 50
MOST_COMMENT = 65_536
MOST_SUMMARY = 65_535
DOCUMENTATION = "https://docs.github.com/rest"


@dataclass(frozen=True, slots=True)
class Seen:
    """A request as it came in; header names are in lower case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(slots=True)
class StubPull:
    """A pull request; tests change it as they like.

    Attributes:
        base_sha: the tip of base, as the API tells it.
        head_sha: what the API tells; the ref `refs/pull/N/head` has its own mind.
        head_repo: the fork it comes from; None where that was deleted.
        mergeable: in turn, one an answer; the last one stays.
    """

    repository: str
    number: int
    base: str
    base_sha: str
    head: str
    head_sha: str
    head_repo: str | None
    title: str = "A change"
    body: str | None = None
    state: str = "open"
    draft: bool = False
    author: str = "contributor"
    mergeable: deque[bool | None] = field(default_factory=lambda: deque[bool | None]([True]))


@dataclass(slots=True)
class StubRepository:
    """A repository and what has been made in it. `private` asks for a token; `renamed_to` redirects."""

    path: Path
    number: int
    private: bool = False
    renamed_to: str = ""
    pulls: dict[int, StubPull] = field(default_factory=dict[int, StubPull])


Handler = Callable[[Request], Awaitable[Response]]


class GitHubStub(Loopback):
    """The running stub; `url` is what PROOFBOX_GITHUB_URL is set to.

    Attributes:
        token: the one that is accepted, in `Authorization: Bearer` for the API and as password for git.
        login: whose token it is.
        can_write: whether the token may write; otherwise 403, as for a read-only one.
        is_app: whether the token is that of a GitHub App (or of Actions), which alone may make check runs.
        comments, check_runs, reviews: what was made, as the API gives it back, by id.
        redirects: API paths to addresses that are answered with 302.
        patches: whether `/files` has patches; without, and with 0 additions, as past 20,000 lines.
    """

    token = "ghp_" + "S7uB" * 9

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.repositories: dict[str, StubRepository] = {}
        self.comments: dict[int, dict[str, Any]] = {}
        self.check_runs: dict[int, dict[str, Any]] = {}
        self.reviews: dict[int, dict[str, Any]] = {}
        self.redirects: dict[str, str] = {}
        self.login = "proofbox[bot]"
        self.can_write = True
        self.is_app = True
        self.patches = True
        self.remaining = 5000
        self.on_request: Callable[[Seen], None] = lambda seen: None
        self._next: deque[str] = deque()
        self._ids = 1000
        super().__init__()

    @property
    def api(self) -> list[Seen]:
        """The requests to the API."""
        return [one for one in self.seen if one.path.startswith("/api/v3/")]

    def add(self, name: str, path: Path, *, private: bool = False) -> StubRepository:
        """Serve a repository on disk."""
        self._ids += 1
        self.repositories[name] = StubRepository(path, self._ids, private)
        return self.repositories[name]

    def open_pull(
        self,
        name: str,
        *,
        head: str,
        base: str = "main",
        head_repo: str | None = "contributor/fork",
        title: str = "A change",
    ) -> StubPull:
        """Open a pull request with a branch or commit of the repository on disk as its head."""
        repository = self.repositories[name]
        number = len(repository.pulls) + 1
        head_sha, base_sha = (
            git(repository.path, "rev-parse", f"{each}^{{commit}}") for each in (head, base)
        )
        git(repository.path, "update-ref", f"refs/pull/{number}/head", head_sha)
        pull = StubPull(name, number, base, base_sha, head, head_sha, head_repo, title)
        repository.pulls[number] = pull
        return pull

    def behave(self, *behaviours: str) -> None:
        """What the next requests to the API meet: a status (`502`); `429:7` or `403:7`, the secondary rate
        limit with `retry-after: 7`; `limit:30`, the primary one, which ends 30 s from now; `broken`,
        no JSON; `answer`."""
        self._next.extend(behaviours)

    def routes(self) -> list[Route]:
        repository = "/api/v3/repos/{owner}/{name}"
        table: dict[str, dict[str, Handler]] = {
            "/pulls/{number:int}": {"GET": self._pull},
            "/pulls/{number:int}/files": {"GET": self._files},
            "/pulls/{number:int}/reviews": {"GET": self._list_reviews, "POST": self._review},
            "/issues/{number:int}/comments": {"GET": self._list_comments, "POST": self._comment},
            "/issues/comments/{id:int}": {"PATCH": self._edit_comment, "DELETE": self._drop},
            "/check-runs": {"POST": self._check_run},
            "/check-runs/{id:int}": {"GET": self._get_check_run, "PATCH": self._edit_check_run},
            "/commits/{ref}/check-runs": {"GET": self._list_check_runs},
        }
        routes = [
            Route(repository + path, self._guarded(handlers), methods=list(handlers))
            for path, handlers in table.items()
        ]
        by_id = self._guarded({"GET": self._pull_by_id})
        return [
            *routes,
            Route("/api/v3/repositories/{id:int}/pulls/{number:int}", by_id),
            Route("/api/graphql", self._guarded({"POST": self._graphql}), methods=["POST"]),
            Route("/api/v3/{rest:path}", self._guarded({}), methods=["GET", "POST", "PATCH"]),
            Route("/{owner}/{name}/{rest:path}", self._git, methods=["GET", "POST"]),
        ]

    def _guarded(self, handlers: Mapping[str, Handler]) -> Handler:
        """What is the same for every request to the API."""

        async def answer(request: Request) -> Response:
            seen = await self._note(request)
            refused = self._misbehaviour() or self._refusal(request)
            if refused is None:
                handler = handlers.get("GET" if request.method == "HEAD" else request.method)
                refused = await handler(request) if handler else _error(404, "Not Found")
            return self._finished(refused, seen)

        return answer

    async def _note(self, request: Request) -> Seen:
        seen = Seen(
            request.method,
            request.url.path,
            request.url.query,
            dict(request.headers),
            await request.body(),
        )
        self.seen.append(seen)
        self.on_request(seen)
        return seen

    def _finished(self, response: Response, seen: Seen) -> Response:
        self.remaining -= 1
        facts = {
            "x-ratelimit-limit": "5000",
            "x-ratelimit-remaining": str(self.remaining),
            "x-ratelimit-reset": str(math.ceil(time.time()) + 3600),
            "x-ratelimit-resource": "core",
            "x-github-request-id": f"STUB:{len(self.seen)}",
        }
        for name, value in facts.items():
            response.headers.setdefault(name, value)
        if seen.method == "GET" and response.status_code == 200:
            tag = f'W/"{hashlib.sha256(bytes(response.body)).hexdigest()}"'
            response.headers["etag"] = tag
            if seen.headers.get("if-none-match") == tag:
                kept = {key: value for key, value in response.headers.items() if key[:2] == "x-"}
                return Response(None, 304, {**kept, "etag": tag})
        return response

    def _misbehaviour(self) -> Response | None:
        behaviour, _, seconds = (self._next.popleft() if self._next else "answer").partition(":")
        if behaviour == "answer":
            return None
        if behaviour == "broken":
            return PlainTextResponse("<html>not JSON", 200)
        if behaviour == "limit":
            headers = {
                "x-ratelimit-remaining": "0",
                "x-ratelimit-reset": str(math.ceil(time.time() + float(seconds))),
            }
            return _error(403, "API rate limit exceeded for 127.0.0.1.", headers=headers)
        if seconds:
            text = "You have exceeded a secondary rate limit. Please wait a few minutes."
            return _error(int(behaviour), text, headers={"retry-after": seconds})
        return _error(int(behaviour), f"stub says {behaviour}")

    def _refusal(self, request: Request) -> Response | None:
        """Of whoever may not, and where something has moved."""
        if target := self.redirects.get(request.url.path):
            return RedirectResponse(target, 302)
        given = request.headers.get("authorization")
        if given is not None and given not in (f"Bearer {self.token}", f"token {self.token}"):
            return _error(401, "Bad credentials")
        if "owner" not in request.path_params:
            return None
        repository = self.repositories.get(_name(request))
        if repository is None or (repository.private and given is None):
            return _error(404, "Not Found")
        if repository.renamed_to:
            moved = self.repositories[repository.renamed_to].number
            start = f"/api/v3/repos/{_name(request)}"
            target = request.url.path.replace(start, f"/api/v3/repositories/{moved}")
            return RedirectResponse(f"{self.url}{target}", 301)
        if request.method != "GET" and given is None:
            return _error(401, "Requires authentication")
        if request.method != "GET" and not self.can_write:
            return _error(403, "Resource not accessible by personal access token")
        return None

    def _pull_of(self, request: Request) -> StubPull | None:
        repository = self.repositories[_name(request)]
        return repository.pulls.get(request.path_params["number"])

    async def _pull(self, request: Request) -> Response:
        pull = self._pull_of(request)
        return await self._answer_pull(request, pull) if pull else _error(404, "Not Found")

    async def _pull_by_id(self, request: Request) -> Response:
        wanted = request.path_params["id"]
        found = next(one for one in self.repositories.values() if one.number == wanted)
        return await self._answer_pull(request, found.pulls[request.path_params["number"]])

    async def _answer_pull(self, request: Request, pull: StubPull) -> Response:
        if "diff" in request.headers.get("accept", ""):
            return await asyncio.to_thread(self._diff, pull)
        return JSONResponse(self._facts(pull))

    def _diff(self, pull: StubPull) -> Response:
        rows = self._rows(pull)
        if len(rows) > MOST_DIFF_FILES:
            return _too_large(f"files ({MOST_DIFF_FILES})")
        if sum(row.additions + row.deletions for row in rows) > MOST_DIFF_LINES:
            return _too_large(f"lines ({MOST_DIFF_LINES})")
        return PlainTextResponse("".join(row.text for row in rows))

    def _rows(self, pull: StubPull) -> list[Row]:
        path = self.repositories[pull.repository].path
        return rows_of(path, pull.base_sha, f"refs/pull/{pull.number}/head")

    def _facts(self, pull: StubPull) -> dict[str, Any]:
        mergeable = pull.mergeable[0]
        if len(pull.mergeable) > 1:
            pull.mergeable.popleft()
        fork = _repository(self.url, pull.head_repo, 1, fork=True) if pull.head_repo else None
        owner = pull.repository.split("/")[0]
        base = _repository(
            self.url, pull.repository, self.repositories[pull.repository].number, fork=False
        )
        head_owner = pull.head_repo.split("/")[0] if pull.head_repo else "ghost"
        return {
            "url": f"{self.url}/api/v3/repos/{pull.repository}/pulls/{pull.number}",
            "html_url": f"{self.url}/{pull.repository}/pull/{pull.number}",
            "number": pull.number,
            "state": pull.state,
            "title": pull.title,
            "body": pull.body,
            "draft": pull.draft,
            "user": {"login": pull.author, "type": "User"},
            "merged": False,
            "mergeable": mergeable,
            "mergeable_state": {None: "unknown", True: "clean", False: "dirty"}[mergeable],
            "merge_commit_sha": None,
            "base": _side(owner, pull.base, pull.base_sha, base),
            "head": _side(head_owner, pull.head, pull.head_sha, fork),
            "commits": 1,
        }

    async def _files(self, request: Request) -> Response:
        pull = self._pull_of(request)
        if pull is None:
            return _error(404, "Not Found")
        rows = await asyncio.to_thread(self._rows, pull)
        start = f"{self.url}/api/v3/repos/{pull.repository}/contents/"
        facts = [row.facts(start, patch=self.patches) for row in rows[:MOST_FILES]]
        return self._page(request, facts)

    def _page(self, request: Request, every: list[dict[str, Any]]) -> Response:
        """One page, with the addresses of the others in the Link header."""
        query = dict(request.query_params)
        size = max(1, min(100, int(query.get("per_page", "30"))))
        number = max(1, int(query.get("page", "1")))
        last = max(1, math.ceil(len(every) / size))

        def link(page: int, relation: str) -> str:
            where = f"{self.url}{request.url.path}?{urlencode({**query, 'page': str(page)})}"
            return f'<{where}>; rel="{relation}"'

        links = [link(number - 1, "prev"), link(1, "first")] if number > 1 else []
        links += [link(number + 1, "next"), link(last, "last")] if number < last else []
        headers = {"link": ", ".join(links)} if links else {}
        return JSONResponse(every[(number - 1) * size : number * size], headers=headers)

    async def _graphql(self, request: Request) -> Response:
        """Whose token it is: the one question that GitHub answers to every kind of token."""
        if request.headers.get("authorization") is None:
            return _error(401, "This endpoint requires you to be authenticated.")
        assert (await _body(request))["query"] == "query { viewer { login } }"
        return JSONResponse({"data": {"viewer": {"login": self.login}}})

    async def _list_comments(self, request: Request) -> Response:
        number = request.path_params["number"]
        found = [
            {key: value for key, value in one.items() if key != "_at"}
            for one in self.comments.values()
            if one["_at"] == (_name(request), number)
        ]
        return self._page(request, found)

    async def _comment(self, request: Request) -> Response:
        if self._pull_of(request) is None:
            return _error(404, "Not Found")
        body = await _body(request)
        if problem := _comment_problem(body):
            return problem
        made = self._made("issues/comments", request, body=body["body"])
        made["user"] = {"login": self.login, "type": "Bot"}
        self.comments[made["id"]] = {**made, "_at": (_name(request), request.path_params["number"])}
        return JSONResponse(made, 201)

    async def _edit_comment(self, request: Request) -> Response:
        found = self.comments.get(request.path_params["id"])
        body = await _body(request)
        if found is None:
            return _error(404, "Not Found")
        if problem := _comment_problem(body):
            return problem
        found["body"] = body["body"]
        return JSONResponse({key: value for key, value in found.items() if key != "_at"})

    async def _drop(self, request: Request) -> Response:
        there = self.comments.pop(request.path_params["id"], None)
        return Response(status_code=204) if there else _error(404, "Not Found")

    async def _check_run(self, request: Request) -> Response:
        body = await _body(request)
        if not self.is_app:
            return _error(403, "You must authenticate via a GitHub App.")
        if problem := self._check_run_problem(request, body, new=True):
            return problem
        made = self._made("check-runs", request, **_merged({"status": "queued"}, body))
        self.check_runs[made["id"]] = made
        return JSONResponse(_shown(made), 201)

    async def _edit_check_run(self, request: Request) -> Response:
        body = await _body(request)
        found = self.check_runs.get(request.path_params["id"])
        if found is None:
            return _error(404, "Not Found")
        if problem := self._check_run_problem(request, body, new=False):
            return problem
        found |= _merged(found, body)
        return JSONResponse(_shown(found))

    async def _get_check_run(self, request: Request) -> Response:
        found = self.check_runs.get(request.path_params["id"])
        return JSONResponse(_shown(found)) if found else _error(404, "Not Found")

    async def _list_check_runs(self, request: Request) -> Response:
        runs = [
            _shown(run)
            for run in self.check_runs.values()
            if run["head_sha"] == request.path_params["ref"]
        ]
        wanted = request.query_params.get("check_name")
        runs = [run for run in runs if wanted in (None, run["name"])]
        return JSONResponse({"total_count": len(runs), "check_runs": runs})

    def _check_run_problem(
        self, request: Request, body: dict[str, Any], *, new: bool
    ) -> Response | None:
        missing = [key for key in ("name", "head_sha") if new and not body.get(key)]
        if missing:
            return _invalid("CheckRun", missing[0], f'"{missing[0]}" wasn\'t supplied.')
        path = self.repositories[_name(request)].path
        if new and not git(path, "rev-parse", "-q", "--verify", f"{body['head_sha']}^{{commit}}"):
            return _invalid("CheckRun", "head_sha", f"No commit found for SHA: {body['head_sha']}")
        if body.get("status") == "completed" and not body.get("conclusion"):
            return _invalid("CheckRun", "conclusion", "conclusion is missing")
        return _output_problem(body.get("output"))

    async def _list_reviews(self, request: Request) -> Response:
        at = (_name(request), request.path_params["number"])
        shown = [
            {key: value for key, value in one.items() if key not in {"_at", "comments"}}
            for one in self.reviews.values()
            if one["_at"] == at
        ]
        return self._page(request, shown)

    async def _review(self, request: Request) -> Response:
        pull = self._pull_of(request)
        body = await _body(request)
        if pull is None:
            return _error(404, "Not Found")
        if body.get("event") not in {None, "APPROVE", "REQUEST_CHANGES", "COMMENT"}:
            return _invalid("PullRequestReview", "event", "event is invalid")
        if body.get("event") in {"REQUEST_CHANGES", "COMMENT"} and not body.get("body"):
            return _invalid("PullRequestReview", "body", "body can't be blank")
        if len(body.get("body") or "") > MOST_COMMENT:
            return _too_long("PullRequestReview", "body")
        rows = {row.path: row for row in await asyncio.to_thread(self._rows, pull)}
        for comment in body.get("comments", []):
            if problem := _place_problem(comment, rows):
                return problem
        at = (_name(request), pull.number)
        made = self._made("reviews", request, body=body.get("body", ""), state="COMMENTED")
        self.reviews[made["id"]] = {**made, "_at": at, "comments": body.get("comments", [])}
        return JSONResponse(made)

    def _made(self, kind: str, request: Request, **facts: Any) -> dict[str, Any]:
        self._ids += 1
        where = f"repos/{_name(request)}/{kind}/{self._ids}"
        html = f"{self.url}/{_name(request)}/{kind}/{self._ids}"
        return {
            "id": self._ids,
            "url": f"{self.url}/api/v3/{where}",
            "html_url": html,
            "created_at": "2026-11-23T00:00:00Z",
            **facts,
        }

    async def _git(self, request: Request) -> Response:
        seen = await self._note(request)
        repository = self.repositories.get(_name(request))
        given = request.headers.get("authorization", "")
        if given and given != f"Basic {basic(self.token)}":
            return _ask_for_password("Invalid username or token.")
        if repository is None or (repository.private and not given):
            return _ask_for_password("Repository not found.")
        if repository.renamed_to:
            where = f"{self.url}/{repository.renamed_to}.git/{request.path_params['rest']}"
            return RedirectResponse(f"{where}?{request.url.query}", 301)
        if target := self.redirects.get(request.url.path):
            return RedirectResponse(f"{target}?{request.url.query}", 302)
        rest = request.path_params["rest"]
        call = partial(serve_git, repository.path, rest, seen.method, seen.query, seen.headers)
        status, headers, content = await asyncio.to_thread(call, seen.body)
        return Response(content, status, headers)


def basic(token: str) -> str:
    """The token as git's credentials are sent."""
    return base64.b64encode(f"x-access-token:{token}".encode()).decode()


def _name(request: Request) -> str:
    name = f"{request.path_params['owner']}/{request.path_params['name']}"
    return name.removesuffix(".git")


async def _body(request: Request) -> dict[str, Any]:
    return json.loads(await request.body() or b"{}")


def _error(status: int, message: str, *, headers: dict[str, str] | None = None) -> Response:
    facts = {"message": message, "documentation_url": DOCUMENTATION, "status": str(status)}
    return JSONResponse(facts, status, headers)


def _invalid(resource: str, where: str, message: str) -> Response:
    error = {"resource": resource, "field": where, "code": "custom", "message": message}
    facts = {
        "message": "Validation Failed",
        "errors": [error],
        "documentation_url": DOCUMENTATION,
        "status": "422",
    }
    return JSONResponse(facts, 422)


def _too_long(resource: str, where: str) -> Response:
    return _invalid(resource, where, f"{where} is too long (maximum is {MOST_COMMENT} characters)")


def _too_large(what: str) -> Response:
    text = (
        f"Sorry, the diff exceeded the maximum number of {what}. Consider using 'List pull requests files' "
        "API or locally cloning the repository instead."
    )
    error = {"resource": "PullRequest", "field": "diff", "code": "too_large"}
    facts = {"message": text, "errors": [error], "documentation_url": DOCUMENTATION}
    return JSONResponse({**facts, "status": "406"}, 406)


def _ask_for_password(text: str) -> Response:
    return PlainTextResponse(text, 401, {"www-authenticate": 'Basic realm="GitHub"'})


def _side(owner: str, ref: str, sha: str, repository: dict[str, Any] | None) -> dict[str, Any]:
    label = f"{owner}:{ref}"
    return {"label": label, "ref": ref, "sha": sha, "user": {"login": owner}, "repo": repository}


def _repository(url: str, name: str, number: int, *, fork: bool) -> dict[str, Any]:
    return {
        "id": number,
        "name": name.split("/")[1],
        "full_name": name,
        "owner": {"login": name.split("/")[0]},
        "fork": fork,
        "private": False,
        "default_branch": "main",
        "clone_url": f"{url}/{name}.git",
        "html_url": f"{url}/{name}",
    }


def _comment_problem(body: Mapping[str, Any]) -> Response | None:
    if not str(body.get("body") or "").strip():
        return _invalid("IssueComment", "body", "body can't be blank")
    if len(body["body"]) > MOST_COMMENT:
        return _too_long("IssueComment", "body")
    return None


def _output_problem(output: Mapping[str, Any] | None) -> Response | None:
    if output is None:
        return None
    if not output.get("title") or "summary" not in output:
        return _invalid("CheckRun", "output", "title and summary are required")
    for key in ("summary", "text"):
        if len(output.get(key) or "") > MOST_SUMMARY:
            text = f"Only {MOST_SUMMARY} characters are allowed; {len(output[key])} were supplied."
            return _invalid("CheckRun", key, text)
    annotations = output.get("annotations", [])
    if len(annotations) > MOST_ANNOTATIONS:
        return _invalid("CheckRun", "annotations", "Only 50 annotations may be sent per request.")
    levels = {"notice", "warning", "failure"}
    for one in annotations:
        needed = ("path", "start_line", "end_line", "message")
        lines = (one.get("start_line") or 0, one.get("end_line") or 0)
        if one.get("annotation_level") not in levels or not all(one.get(key) for key in needed):
            return _invalid("CheckRun", "annotations", "annotations are invalid")
        if not 1 <= lines[0] <= lines[1] or ("start_column" in one and lines[0] != lines[1]):
            return _invalid("CheckRun", "annotations", "lines or columns are invalid")
        if len(one["message"]) > MOST_SUMMARY or len(one.get("title") or "") > 255:
            return _invalid("CheckRun", "annotations", "annotations are too long")
    return None


def _merged(before: Mapping[str, Any], body: Mapping[str, Any]) -> dict[str, Any]:
    """A check run after a request: annotations are added to those that are there."""
    after = {**before, **body}
    there = before.get("output", {}).get("annotations", [])
    if "output" in body:
        more = body["output"].get("annotations", [])
        after["output"] = {**body["output"], "annotations": [*there, *more]}
    return after


def _shown(run: Mapping[str, Any]) -> dict[str, Any]:
    """Annotations are counted in the answer; the list of them has an address of its own."""
    output = dict(run.get("output", {}))
    output["annotations_count"] = len(output.pop("annotations", []))
    return {**run, "output": output}


def _place_problem(comment: Mapping[str, Any], rows: Mapping[str, Row]) -> Response | None:
    """Why a review's comment cannot be where it says: only lines of the diff's hunks can have one."""
    row = rows.get(comment.get("path", ""))
    if row is None:
        return _invalid("PullRequestReviewComment", "path", "Path could not be resolved")
    if not str(comment.get("body") or "").strip():
        return _invalid("PullRequestReviewComment", "body", "body can't be blank")
    side = comment.get("side", "RIGHT")
    wanted = [(side, comment.get("line"))]
    if "start_line" in comment:
        wanted.append((comment.get("start_side", side), comment["start_line"]))
    if not all(line in row.lines(which) for which, line in wanted):
        text = "Pull request review thread line must be part of the diff"
        return _invalid("PullRequestReviewComment", "line", text)
    return None
