"""GitHub's REST API: requests that are tried again where that helps, and errors that say whose turn it is.

The token is in the Authorization header of requests to the configured server and nowhere else. Redirects are
followed on that server alone.
"""

import json
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, cast
from urllib.parse import urljoin

import httpx2

from ....server.github import GitHubAccess
from ....server.sandbox import (
    InvalidInput,
    ProofboxError,
    SandboxBusy,
    SandboxRejected,
    SandboxUnavailable,
)
from ....server.sessions import Clock, SystemClock
from ..review.plain import one_line

MOST_WAITING = 90.0
"""Seconds that one request may wait for limits and outages; longer ones are told to the caller."""


_HEADERS = {
    "Accept": "application/vnd.github+json",
    "X-GitHub-Api-Version": "2022-11-28",
    "User-Agent": "proofbox",
}
_SECONDS = 30.0
_MOST_BYTES = 64 * 1024**2
_MOST_PAGES = 100
_ATTEMPTS = 4
_REDIRECTS = 3
_NEXT = re.compile(r'<([^>]*)>\s*;[^,]*\brel="next"')
_SAFE = {"GET", "PATCH", "DELETE"}  # to be sent twice


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: httpx2.Headers
    content: bytes


class GitHub:
    """One server, for one token or none, made by `connected`. `clock` is what waits are measured by."""

    def __init__(self, access: GitHubAccess, client: httpx2.AsyncClient, clock: Clock) -> None:
        self._access = access
        self._client = client
        self.clock = clock
        self._known: dict[str, tuple[str, _Answer]] = {}

    async def call(self, method: str, path: str, body: Any = None) -> Any:
        """What GitHub answers, None where it says nothing. `path` begins with `/`, or is `/graphql`.

        Raises:
            InvalidInput: there is no such thing, or GitHub does not take what was sent.
            SandboxRejected: the token is not accepted, or may not do that.
            SandboxBusy: a rate limit is used up; the message says until when.
            SandboxUnavailable: GitHub cannot be reached, or fails.
        """
        return self._read(await self._answer(method, self._url(path), body))

    async def every(self, path: str) -> AsyncGenerator[Any]:
        """The items of a list, page by page. Raises as `call` does."""
        url = f"{self._url(path)}{'&' if '?' in path else '?'}per_page=100"
        for _ in range(_MOST_PAGES):
            answer = await self._answer("GET", url, None)
            for item in self._read(answer) or ():
                yield item
            found = _NEXT.search(answer.headers.get("link", ""))
            if found is None:
                return
            url = self._own(urljoin(url, found[1]))

    def _url(self, path: str) -> str:
        if path == "/graphql":
            return f"{self._access.api.removesuffix('/v3')}/graphql"
        return self._access.api + path

    async def _answer(self, method: str, url: str, body: Any) -> _Answer:
        waited = 0.0
        for attempt in range(1, _ATTEMPTS + 1):
            answer, problem = await self._tried(method, url, body)
            if answer is not None and answer.status < 400:
                return answer
            wait = 2.0 ** (attempt - 1)
            if answer is not None:
                limit = _limit(answer)
                problem = self._error(answer, url, limit)
                if limit is None and (answer.status < 500 or method not in _SAFE):
                    raise problem
                wait = wait if limit is None else limit
            assert problem is not None
            if attempt == _ATTEMPTS or waited + wait > MOST_WAITING:
                raise problem
            await self.clock.sleep(wait)
            waited += wait
        raise AssertionError  # the last attempt returns or raises

    async def _tried(
        self, method: str, url: str, body: Any
    ) -> tuple[_Answer | None, ProofboxError | None]:
        """One try with the redirects that it meets: an answer, or why there is none that is worth another.

        Raises:
            SandboxUnavailable: it must not be sent again.
        """
        try:
            for _ in range(_REDIRECTS + 1):
                answer = await self._sent(method, url, body)
                if answer.status not in {301, 302, 307, 308}:
                    return answer, None
                url = self._own(urljoin(url, answer.headers.get("location", "")))
        except httpx2.HTTPError as error:
            said = one_line(self._without_token(str(error))) or type(error).__name__
            problem = SandboxUnavailable(
                f"{self._access.url} cannot be reached: {said}. Check the network and PROOFBOX_GITHUB_URL."
            )
            if method in _SAFE or isinstance(error, httpx2.ConnectError):
                return None, problem
            raise problem from None
        raise SandboxUnavailable(f"{self._access.url} redirects without end.")

    async def _sent(self, method: str, url: str, body: Any) -> _Answer:
        known = self._known.get(url) if method == "GET" else None
        headers = {**_HEADERS}
        if self._access.token:
            headers["Authorization"] = f"Bearer {self._access.token}"
        if known is not None:
            headers["If-None-Match"] = known[0]
        content = None if body is None else json.dumps(body).encode()
        if content is not None:
            headers["Content-Type"] = "application/json"
        async with self._client.stream(method, url, headers=headers, content=content) as response:
            received = bytearray()
            async for piece in response.aiter_bytes():
                received += piece
                if len(received) > _MOST_BYTES:
                    raise SandboxUnavailable(
                        f"An answer of GitHub has more than {_MOST_BYTES:,} bytes."
                    )
        if response.status_code == 304 and known is not None:
            # With its own headers: the answer "not modified" has no address of the next page.
            return known[1]
        tag = response.headers.get("etag")
        answer = _Answer(response.status_code, response.headers, bytes(received))
        if tag and method == "GET" and response.status_code == 200:
            self._known[url] = (tag, answer)
        return answer

    def _own(self, url: str) -> str:
        """The address, if it is of the same server."""
        here, there = httpx2.URL(self._access.api), httpx2.URL(url)
        if (here.scheme, here.host, here.port) != (there.scheme, there.host, there.port):
            raise SandboxRejected(
                f"{self._access.url} redirects to another server, {one_line(there.host, 100)}, which is not "
                "followed. Set PROOFBOX_GITHUB_URL to the address that is meant."
            )
        return url

    def _read(self, answer: _Answer) -> Any:
        if not answer.content:
            return None
        try:
            return json.loads(answer.content)
        except ValueError:
            raise SandboxUnavailable(
                f"{self._access.url} answers something else than GitHub does. Check PROOFBOX_GITHUB_URL."
            ) from None

    def _error(self, answer: _Answer, url: str, limit: float | None) -> ProofboxError:
        said = self._without_token(_message(answer))
        if limit is not None:
            until = (_now(answer) + timedelta(seconds=limit)).strftime("%H:%M:%S UTC on %d %B")
            more = (
                ""
                if self._access.token
                else " With a GITHUB_TOKEN there are more requests an hour."
            )
            return SandboxBusy(
                f"GitHub takes no more requests before {until}, in {limit:,.0f} s: {said}{more}",
                retry_after=limit,
            )
        if answer.status == 401:
            return SandboxRejected(
                f"GitHub does not accept the token: {said}. Set GITHUB_TOKEN to one that is valid, or none."
            )
        if answer.status == 403:
            return SandboxRejected(
                f"GitHub does not allow that: {said}. The token needs more permissions."
            )
        if answer.status == 404:
            return InvalidInput(
                f"{httpx2.URL(url).path} is not on {self._access.url}{self._seen()}"
            )
        if answer.status >= 500:
            return SandboxUnavailable(f"GitHub fails ({answer.status}): {said}. Try again later.")
        return InvalidInput(f"GitHub refuses the request ({answer.status}): {said}")

    def _seen(self) -> str:
        if self._access.token:
            return ", or it is private and the token may not read it."
        return ", or it is private: set GITHUB_TOKEN to a token that may read it."

    def _without_token(self, text: str) -> str:
        return text.replace(self._access.token, "[the token]") if self._access.token else text


@asynccontextmanager
async def connected(access: GitHubAccess, clock: Clock | None = None) -> AsyncGenerator[GitHub]:
    """GitHub for as long as the block runs."""
    async with httpx2.AsyncClient(timeout=_SECONDS, follow_redirects=False) as client:
        yield GitHub(access, client, clock or SystemClock())


def _limit(answer: _Answer) -> float | None:
    """Seconds until a rate limit ends; None where it is none that was met."""
    if answer.status not in {403, 429}:
        return None
    after = answer.headers.get("retry-after", "")
    if after.isdigit():
        return float(after)
    reset = answer.headers.get("x-ratelimit-reset", "")
    if answer.headers.get("x-ratelimit-remaining") == "0" and reset.isdigit():
        return max(1.0, int(reset) - _now(answer).timestamp())
    # The advice of its documentation where no header says more.
    is_limit = answer.status == 429 or "rate limit" in _message(answer).lower()
    return 60.0 if is_limit else None


def _now(answer: _Answer) -> datetime:
    """GitHub's time, by which its limits end."""
    try:
        return parsedate_to_datetime(answer.headers.get("date", "")).astimezone(UTC)
    except ValueError:
        return datetime.now(UTC)


def _message(answer: _Answer) -> str:
    """What an error of GitHub says: its sentence, and those of the fields that it is about."""
    try:
        facts: Any = json.loads(answer.content)
    except ValueError:
        return f"status {answer.status}"
    if not isinstance(facts, dict):
        return f"status {answer.status}"
    told = cast(dict[str, Any], facts)
    errors = told.get("errors")
    parts = [str(told.get("message", ""))]
    for one in cast(list[Any], errors) if isinstance(errors, list) else ():
        fields = cast(dict[str, Any], one) if isinstance(one, dict) else {"message": one}
        parts.append(str(fields.get("message") or fields.get("code") or ""))
    return (
        one_line("; ".join(part.rstrip(".") for part in parts if part), 300)
        or f"status {answer.status}"
    )
