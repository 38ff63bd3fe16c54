"""E2B's control plane: making, finding, keeping and killing sandboxes."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, unquote

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from .faults import Faults
from .fleet import Fleet, Instance

PAGE = 100


class ControlPlane:
    """An ASGI application.

    Attributes:
        most: the team's limit on sandboxes at one time.
        page: the most sandboxes in one answer.
    """

    def __init__(self, fleet: Fleet, faults: Faults, api_key: str) -> None:
        self.most = 20
        self.page = PAGE
        self._fleet = fleet
        self._faults = faults
        self._api_key = api_key
        self._made: dict[str, asyncio.Task[Instance]] = {}
        self._starlette = Starlette(
            routes=[
                Route("/v2/sandboxes", self._create, methods=["POST"]),
                Route("/v2/sandboxes", self._list, methods=["GET"]),
                Route("/v2/sandboxes/{id}/connect", self._connect, methods=["POST"]),
                Route("/sandboxes/{id}", self._info, methods=["GET"]),
                Route("/sandboxes/{id}", self._kill, methods=["DELETE"]),
                Route("/sandboxes/{id}/timeout", self._timeout, methods=["POST"]),
                Route("/sandboxes/{id}/pause", self._pause, methods=["POST"]),
                Route("/sandboxes/{id}/network", self._network, methods=["PUT"]),
            ]
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if Request(scope).headers.get("x-api-key") != self._api_key:
            await _error(401, "invalid API key")(scope, receive, send)
            return
        await self._starlette(scope, receive, send)

    async def _create(self, request: Request) -> Response:
        if (refusal := self._refusal()) is not None:
            return refusal
        if len(self._fleet.instances) >= self.most:
            text = f"you have reached the maximum number of concurrent E2B sandboxes ({self.most})"
            return _error(429, text)
        body = await request.json()
        if body.get("timeout", 300) <= 0:
            return _error(400, "Timeout must be greater than 0")
        key = request.headers.get("idempotency-key")
        making = self._made.get(key) if key else None
        if making is None:
            # As with the real one, a client that leaves does not stop it.
            making = asyncio.create_task(self._fleet.create(body))
            if key:
                self._made[key] = making
        instance = await asyncio.shield(making)
        for name, status in (("create_503_but_created", 503), ("create_504_but_created", 504)):
            if self._faults.take(name):
                return _error(status, "try again")
        if (slow := self._faults.take("create_slow")) is not None:
            await asyncio.sleep(slow["seconds"])
        return JSONResponse(_created(instance), status_code=201)

    def _refusal(self) -> Response | None:
        if (full := self._faults.take("create_429")) is not None:
            text = "you have reached the maximum number of concurrent E2B sandboxes (20)"
            after = full.get("retry_after")
            return _error(429, text, {} if after is None else {"Retry-After": str(after)})
        for status in (400, 401, 500):
            if self._faults.take(f"create_{status}"):
                return _error(status, "a fault")
        return None

    async def _list(self, request: Request) -> Response:
        if self._faults.take("list_500"):
            return _error(500, "a fault")
        query = request.query_params
        wanted = {
            unquote(name): unquote(value)
            for name, value in parse_qsl(query.get("metadata", ""), keep_blank_values=True)
        }
        states = ",".join(query.getlist("state")) or "running,paused"
        found = [
            instance
            for instance in self._fleet.instances.values()
            if wanted.items() <= instance.request.get("metadata", {}).items()
            and instance.state in states.split(",")
        ]
        start = int(query.get("nextToken", "0"))
        end = start + min(int(query.get("limit", PAGE)), self.page)
        headers = {"x-next-token": str(end)} if end < len(found) else {}
        return JSONResponse([_listed(one) for one in found[start:end]], headers=headers)

    async def _connect(self, request: Request) -> Response:
        instance = self._find(request)
        if instance is None:
            return _not_found()
        was, instance.state = instance.state, "running"
        seconds = (await request.json()).get("timeout", 300)
        self._fleet.set_timeout(instance, seconds)
        return JSONResponse(_created(instance), status_code=200 if was == "running" else 201)

    async def _info(self, request: Request) -> Response:
        instance = self._find(request)
        return _not_found() if instance is None else JSONResponse(_listed(instance))

    async def _kill(self, request: Request) -> Response:
        if self._faults.take("kill_500"):
            return _error(500, "a fault")
        killed = await self._fleet.kill(request.path_params["id"])
        return Response(status_code=204) if killed else _not_found()

    async def _timeout(self, request: Request) -> Response:
        instance = self._find(request)
        if instance is None or self._faults.take("timeout_404"):
            return _not_found()
        if self._faults.take("timeout_400"):
            return _error(400, "Max instance length exceeded")
        self._fleet.set_timeout(instance, (await request.json())["timeout"])
        return Response(status_code=204)

    async def _pause(self, request: Request) -> Response:
        instance = self._find(request)
        if instance is None:
            return _not_found()
        if instance.state == "paused":
            return _error(409, "already paused")
        instance.state = "paused"
        return Response(status_code=204)

    async def _network(self, request: Request) -> Response:
        instance = self._find(request)
        if instance is None:
            return _not_found()
        self._fleet.set_network(instance, await request.json())
        return Response(status_code=204)

    def _find(self, request: Request) -> Instance | None:
        return self._fleet.instances.get(request.path_params["id"])


def _error(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"code": status, "message": message}, status_code=status, headers=headers)


def _not_found() -> Response:
    return _error(404, "sandbox not found")


def _created(instance: Instance) -> dict[str, Any]:
    return {
        "templateID": instance.request.get("templateID", ""),
        "sandboxID": instance.id,
        "clientID": "standin",
        "envdVersion": "0.6.13",
        "envdAccessToken": instance.access_token,
        "trafficAccessToken": instance.traffic_token,
        "domain": None,
    }


def _listed(instance: Instance) -> dict[str, Any]:
    ends = datetime.now(UTC) + timedelta(seconds=300)
    return {
        "templateID": instance.request.get("templateID", ""),
        "sandboxID": instance.id,
        "clientID": "standin",
        "startedAt": instance.started.isoformat(),
        "endAt": ends.isoformat(),
        "cpuCount": 2,
        "memoryMB": 2048,
        "diskSizeMB": 1024,
        "state": instance.state,
        "envdVersion": "0.6.13",
        "metadata": instance.request.get("metadata", {}),
    }
