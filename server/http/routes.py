"""What an operator's machines ask: is it alive, is it ready, how much does it do."""

from collections.abc import Callable, Sized
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from .access import Access
from .audit import Audit
from .hosting import Running
from .metrics import CONTENT_TYPE, Metrics
from .readiness import Readiness

_LIMITS = ("calls", "sandbox_seconds", "usd")


@dataclass(frozen=True, slots=True)
class Operations:
    """The routes, and what they look at."""

    access: Access
    metrics: Metrics
    audit: Audit
    readiness: Readiness
    connections: Sized
    running: Callable[[], Running | None]

    def routes(self) -> list[Route]:
        """For the application."""
        return [
            Route("/healthz", self._healthz),
            Route("/readyz", self._readyz),
            Route("/metrics", self._metrics),
        ]

    async def _healthz(self, request: Request) -> Response:
        del request
        return JSONResponse({"status": "alive"})

    async def _readyz(self, request: Request) -> Response:
        del request
        trouble = await self.readiness.trouble(self.running())
        if trouble:
            return JSONResponse({"status": "not ready", "reason": trouble}, 503)
        return JSONResponse({"status": "ready"})

    async def _metrics(self, request: Request) -> Response:
        if not self.access.may_read_metrics(request):
            return PlainTextResponse(
                "This needs a token made with `proofbox token NAME --metrics`.\n",
                401,
                {"WWW-Authenticate": "Bearer"},
            )
        gauges, counters = self._figures()
        text = self.metrics.text(gauges, counters | {"audit_lines_lost_total": self.audit.lost})
        return Response(text, headers={"Content-Type": CONTENT_TYPE})

    def _figures(self) -> tuple[dict[str, float], dict[str, float]]:
        running = self.running()
        if running is None:
            return {}, {}
        now = running.sessions.overview("")
        gauges: dict[str, float] = {
            "sessions": now.total - now.ready,
            "sessions_in_use": now.in_use,
            "sessions_most": now.max_sessions,
            "calls_waiting_for_a_session": now.waiting,
            "jobs_running": running.jobs.running,
            "connections": len(self.connections),
        }
        quotas = running.quotas
        counters = {
            "sandbox_seconds_total": quotas.total("sandbox_seconds"),
            "model_cost_usd_total": quotas.total("usd"),
            **{f"refused_by_limit_{limit}_total": quotas.refused[limit] for limit in _LIMITS},
        }
        return gauges, counters
