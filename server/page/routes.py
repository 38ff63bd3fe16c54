"""The routes of the page, for the HTTP service."""

import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qs

import anyio
import anyio.to_thread
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from ...tools._app import App
from ...tools._artifacts import Artifact
from ...tools._html import kinds
from ...tools._pictures import picture_type
from ..http.audit import Call, fingerprint
from ..http.service import HttpService
from ..jobs import JobNotFound, JobState
from ..sandbox import ProofboxError
from ..sessions import SessionSummary
from . import answers, details, views
from .views import Page
from .visitors import VISIT_SECONDS, Guesses, Visitor, Visitors
from .visits import OwnVisits, SharedVisits

_JOBS = 20
_FORM_BYTES = 20_000
_FORM_SECONDS = 10.0
_MOST_OFFSET = 10_000_000
# Where somebody who has signed in may be sent on to.
_PLACE = re.compile(r"(jobs|sessions)/[A-Za-z0-9_-]{1,64}")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,200}(\.[A-Za-z0-9]{1,10})?")

Show = Callable[[Request, App, Visitor], Awaitable[Response]]


def routes(service: HttpService) -> list[Route]:
    """All of them."""
    return _Pages(service).routes()


@dataclass(frozen=True, slots=True)
class _Asked:
    """A job that somebody asked for."""

    state: JobState
    report: Mapping[str, Any] | None


class _Pages:
    def __init__(self, service: HttpService) -> None:
        self._service = service
        access, clock = service.hosting.access, service.clock
        team = service.hosting.team
        visits = OwnVisits(clock) if team is None else SharedVisits(team.store)
        self._visitors = Visitors(access, visits)
        self._guesses = Guesses(clock)

    def routes(self) -> list[Route]:
        """For the application."""
        return [
            Route("/", self._to_visitors(self._overview, "")),
            Route("/jobs/{job_id}", self._to_visitors(self._job, "../")),
            Route("/jobs/{job_id}/report.json", self._to_visitors(self._json, "../../")),
            Route("/jobs/{job_id}/report.html", self._to_visitors(self._file, "../../")),
            Route("/sessions/{mark}", self._to_visitors(self._session, "../")),
            Route("/sessions/{mark}/{name}", self._to_visitors(self._artifact, "../../")),
            Route("/page/{name}", self._own_file),
            Route("/sign-in", self._sign_in),
            Route("/sign-in", _guarded(self._signed_in, ""), methods=["POST"]),
            Route("/sign-out", _guarded(self._sign_out, ""), methods=["POST"]),
        ]

    def _to_visitors(self, show: Show, root: str) -> Callable[[Request], Awaitable[Response]]:
        """Show it to those we know; the others are asked who they are."""

        async def shown(request: Request) -> Response:
            kind, _, bearer = request.headers.get("authorization", "").partition(" ")
            visitor = await self._visitors.find(
                answers.cookie_of(request), bearer.strip() if kind.lower() == "bearer" else ""
            )
            if visitor is None:
                place = request.url.path.strip("/")
                query = f"?next={place}" if _PLACE.fullmatch(place) else ""
                return answers.moved(f"{root or './'}sign-in{query}")
            running = self._service.running
            if not isinstance(running, App):
                said = "The service is starting or stopping. Try again in a moment."
                return _trouble("Not now", said, root, 503)
            try:
                return await show(request, running, visitor)
            except JobNotFound as error:
                return _trouble("There is no such job", str(error), root, 404, visitor)

        return _guarded(shown, root)

    async def _overview(self, request: Request, app: App, visitor: Visitor) -> Response:
        who, offset = visitor.principal, _number(request, "jobs")
        jobs = await app.jobs.recent(who, offset, _JOBS + 1)
        # Those on top that run and have no id yet are beyond the limit.
        fresh = max(0, len(jobs) - _JOBS - 1)
        page = Page(offset, _JOBS, more=len(jobs) - fresh > _JOBS)
        jobs = jobs[: _JOBS + fresh]
        sessions = app.sessions.overview(who)
        limits = views.limits(app.quotas, who, len(sessions.sessions))
        main = views.overview(jobs, page, sessions, limits, time.time())
        live = any(one.job.state == "running" for one in jobs)
        return answers.page("Overview", main, root="", top=views.top(visitor, ""), live=live)

    async def _job(self, request: Request, app: App, visitor: Visitor) -> Response:
        asked = await self._asked(request, app, visitor)
        state, offset = asked.state, _number(request, "offset")
        shown = None
        if asked.report is not None:
            # A large report takes a while, in which others are served.
            shown = await anyio.to_thread.run_sync(kinds.shown, asked.report, state.kind, offset)
        limit = (shown.next_offset or offset) - offset if shown else 0
        page = Page(offset, limit or _JOBS, more=bool(shown and shown.next_offset))
        main = details.job(replace(state, report=None), shown, page)
        title = shown.title if shown else state.kind
        live = state.state == "running"
        return answers.page(title, main, root="../", top=views.top(visitor, "../"), live=live)

    async def _json(self, request: Request, app: App, visitor: Visitor) -> Response:
        asked = await self._asked(request, app, visitor)
        if asked.report is None:
            raise JobNotFound("It has no report.")
        return await anyio.to_thread.run_sync(
            answers.as_json, asked.report, f"proofbox-{asked.state.kind}.json"
        )

    async def _file(self, request: Request, app: App, visitor: Visitor) -> Response:
        asked = await self._asked(request, app, visitor)
        if asked.report is None:
            raise JobNotFound("It has no report.")
        text = await anyio.to_thread.run_sync(kinds.file_of, asked.report, asked.state.kind)
        name = f"proofbox-{asked.state.kind}.html"
        return answers.download(text.encode(), name, "text/html; charset=utf-8")

    async def _asked(self, request: Request, app: App, visitor: Visitor) -> _Asked:
        job_id: str = request.path_params["job_id"]
        state = await app.jobs.wait(visitor.principal, job_id)
        return _Asked(state, state.report)

    async def _session(self, request: Request, app: App, visitor: Visitor) -> Response:
        found = _session_of(request, app, visitor)
        if found is None:
            return _trouble("There is no such session", _GONE, "../", 404, visitor)
        main = details.session(found, _artifacts(app, found))
        top = views.top(visitor, "../")
        return answers.page("Session", main, root="../", top=top)

    async def _artifact(self, request: Request, app: App, visitor: Visitor) -> Response:
        found, name = _session_of(request, app, visitor), request.path_params["name"]
        kept = _artifacts(app, found) if found is not None else ()
        item = next((one for one in kept if one.name == name), None)
        if item is None or not _NAME.fullmatch(name):
            return _trouble("There is no such file", _GONE, "../../", 404, visitor)
        shown = picture_type(item.content)
        if shown:
            return answers.picture(item.content, shown)
        return answers.download(item.content, name, "application/octet-stream")

    async def _own_file(self, request: Request) -> Response:
        name: str = request.path_params["name"]
        if name not in {"style.css", "icon.svg", "live.js"}:
            return answers.plain("There is no such file.", 404)
        return answers.own_file(name)

    async def _sign_in(self, request: Request) -> Response:
        if self._service.hosting.access.is_open:
            return answers.moved("./")
        return self._form("", request.query_params.get("next", ""))

    def _form(
        self, wrong: str, following: str, status: int = 200, headers: dict[str, str] | None = None
    ) -> Response:
        place = following if _PLACE.fullmatch(following) else ""
        oauth = self._service.settings.oauth_issuer is not None
        main = details.sign_in(wrong, place, oauth=oauth)
        top = views.top(None, "")
        return answers.page("Sign in", main, root="", top=top, status=status, headers=headers)

    async def _signed_in(self, request: Request) -> Response:
        if not answers.is_from_our_page(request):
            return answers.plain("This form can only be sent from the page itself.", 403)
        address = request.client.host if request.client else ""
        form = await _form_of(request)
        if form is None:
            return answers.plain("That is no form of this page.", 400)
        token, following = form.get("token", "").strip(), form.get("next", "")
        wait = self._guesses.wait_seconds(address)
        if wait > 0:
            after = {"Retry-After": f"{wait:.0f}"}
            said = f"Too many tokens from there were none. Try again in {wait:.0f} seconds."
            return self._form(said, following, 429, after)
        visitor = await self._visitors.verify(token)
        self._note(visitor)
        if visitor is None:
            self._guesses.note_wrong(address)
            said = (
                "That token lets nobody in: it is not known, has expired, or is for something else."
            )
            return self._form(said, following, 401)
        await self._visitors.end(answers.cookie_of(request))
        response = answers.moved(following if _PLACE.fullmatch(following) else "./")
        answers.set_cookie(
            response,
            await self._visitors.begin(token),
            safe=answers.is_by_tls(request),
            seconds=VISIT_SECONDS,
        )
        return response

    async def _sign_out(self, request: Request) -> Response:
        if not answers.is_from_our_page(request):
            return answers.plain("This form can only be sent from the page itself.", 403)
        await self._visitors.end(answers.cookie_of(request))
        response = answers.moved("./")
        for safe in (True, False):
            answers.set_cookie(response, "", safe=safe, seconds=0)
        return response

    def _note(self, visitor: Visitor | None) -> None:
        who = visitor.principal if visitor is not None else ""
        verdict = "ok" if visitor is not None else "refused"
        self._service.audit.write(Call(who, "sign-in", verdict, 0.0), self._service.now())


_GONE = "It is unknown, has ended, or is somebody else's."


def _guarded(
    show: Callable[[Request], Awaitable[Response]], root: str
) -> Callable[[Request], Awaitable[Response]]:
    """What cannot be had now, such as the store of the replicas, is said on a page."""

    async def shown(request: Request) -> Response:
        try:
            return await show(request)
        except ProofboxError as error:
            return _trouble("Not now", str(error), root, 503)

    return shown


def _trouble(
    title: str, said: str, root: str, status: int, visitor: Visitor | None = None
) -> Response:
    main = details.trouble(title, said, root)
    return answers.page(title, main, root=root, top=views.top(visitor, root), status=status)


def _number(request: Request, name: str) -> int:
    text = request.query_params.get(name, "")
    # Digits of all scripts are decimal.
    return (
        min(int(text), _MOST_OFFSET) if text.isascii() and text.isdecimal() and len(text) < 9 else 0
    )


def _session_of(request: Request, app: App, visitor: Visitor) -> SessionSummary | None:
    """The visitor's session with this mark: handles are not for addresses, which are kept in many places."""
    mark: str = request.path_params["mark"]
    own = app.sessions.overview(visitor.principal).sessions
    return next((one for one in own if fingerprint(one.session_id) == mark), None)


def _artifacts(app: App, session: SessionSummary) -> tuple[Artifact, ...]:
    return app.artifacts.kept(session.session_id)


async def _form_of(request: Request) -> dict[str, str] | None:
    """The fields of a form; None if it is none, or too large, or does not come."""
    if (
        request.headers.get("content-type", "").partition(";")[0]
        != "application/x-www-form-urlencoded"
    ):
        return None
    body = bytearray()
    try:
        with anyio.fail_after(_FORM_SECONDS):
            async for part in request.stream():
                body += part
                if len(body) > _FORM_BYTES:
                    return None
        fields = parse_qs(body.decode("utf-8"), max_num_fields=10)
    except (TimeoutError, ValueError, ClientDisconnect):
        return None
    return {name: values[0] for name, values in fields.items()}
