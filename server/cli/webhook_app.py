"""The web application of `proofbox webhook`: what it lets in, and the job that each delivery becomes."""

import hashlib
import hmac
import re
import sqlite3
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import Annotated

import anyio.to_thread
from pydantic import BaseModel, Field, ValidationError
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from ..http.bodies import BodyLimits
from ..sandbox import SandboxBusy, SandboxUnavailable
from .webhook_deliveries import Deliveries, Delivery

MAX_BYTES = 25 * 1024**2
"""GitHub sends no more."""

_ACTIONS = {"opened", "synchronize", "reopened"}
_ID = re.compile(r"[A-Za-z0-9-]{8,100}")
_RETRY_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Wish:
    """A pull request to check: `owner/name`, its number, and the commit that its head was."""

    repository: str
    number: int
    head: str

    @property
    def name(self) -> str:
        return f"{self.repository}#{self.number}"


Start = Callable[[Wish, Delivery], Awaitable[str]]
"""Starts the job and gives its id; raises SandboxBusy or SandboxUnavailable where there is no room."""


class _Repository(BaseModel):
    full_name: Annotated[
        str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]*/[A-Za-z0-9._-]+$", max_length=200)
    ]


class _Head(BaseModel):
    sha: Annotated[str, Field(pattern=r"^[0-9a-f]{40}([0-9a-f]{24})?$")]


class _PullRequest(BaseModel):
    number: Annotated[int, Field(ge=1)]
    head: _Head


class _Event(BaseModel):
    action: str
    repository: _Repository
    pull_request: _PullRequest


class Receiver:
    """What is behind the one address. Nothing of a body is looked at before its signature holds."""

    def __init__(
        self, secret: bytes, repositories: Collection[str], deliveries: Deliveries, start: Start
    ) -> None:
        self._secret = secret
        # GitHub's names are the same in capitals.
        self._repositories = {name.lower() for name in repositories}
        self._deliveries = deliveries
        self._start = start

    async def receive(self, request: Request) -> Response:
        """Refuse, or take the delivery and answer at once."""
        body = await request.body()
        if not signed(self._secret, body, request.headers.get("x-hub-signature-256", "")):
            return _said(401, "The signature is missing or not that of the body.")
        if request.headers.get("x-github-event") != "pull_request":
            return Response(status_code=204)
        try:
            event = _Event.model_validate_json(body)
        except ValidationError:
            return _said(400, "That is no event of a pull request. Its content type must be JSON.")
        if event.action not in _ACTIONS:
            return Response(status_code=204)
        if event.repository.full_name.lower() not in self._repositories:
            return _said(403, "This repository is none of those that are checked here.")
        wish = Wish(
            event.repository.full_name, event.pull_request.number, event.pull_request.head.sha
        )
        return await self._take(wish, request.headers.get("x-github-delivery", ""))

    async def _take(self, wish: Wish, given: str) -> Response:
        if not _ID.fullmatch(given):
            return _said(400, "X-GitHub-Delivery is missing.")
        delivery = Delivery(given, wish.name.lower(), wish.head)
        try:
            claim = await anyio.to_thread.run_sync(self._deliveries.take, delivery)
        except sqlite3.Error:
            return _said(503, "Deliveries cannot be remembered now.", retry=True)
        if claim == "replay":
            return _said(409, "This delivery came before.")
        if claim == "known":
            return _said(200, "This commit is being checked, or was.")
        try:
            job_id = await self._start(wish, delivery)
        except (SandboxBusy, SandboxUnavailable) as error:
            await anyio.to_thread.run_sync(self._deliveries.give_back, delivery)
            return _said(503, str(error), retry=True)
        return JSONResponse({"job_id": job_id}, 202)


def application(receiver: Receiver) -> ASGIApp:
    """The address `/webhook` for GitHub, and `/healthz` for whoever keeps it running."""
    routes = [
        Route("/webhook", receiver.receive, methods=["POST"]),
        Route("/healthz", _healthy, methods=["GET"]),
    ]
    bounded = BodyLimits(Starlette(routes=routes), max_bytes=MAX_BYTES)

    async def signed_first(scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        # Whoever does not even pretend gets no memory of ours for a body.
        if scope["method"] == "POST" and not headers.get("x-hub-signature-256"):
            await _said(401, "There is no X-Hub-Signature-256.")(scope, receive, send)
        else:
            await bounded(scope, receive, send)

    return signed_first


def signed(secret: bytes, body: bytes, signature: str) -> bool:
    """Whether the signature, as the header has it, is that of the body with this secret."""
    expected = f"sha256={hmac.new(secret, body, hashlib.sha256).hexdigest()}"
    # Bytes: of text it takes ASCII only.
    return hmac.compare_digest(expected.encode(), signature.encode())


async def _healthy(_: Request) -> Response:
    return JSONResponse({"status": "ok"})


def _said(status: int, reason: str, *, retry: bool = False) -> Response:
    headers = {"retry-after": str(_RETRY_SECONDS)} if retry else {}
    return JSONResponse({"reason": reason}, status, headers)
