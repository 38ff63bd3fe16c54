"""Around every message: its span, and for a call its limit, its figures and its line in the audit log."""

import logging
import time
from collections.abc import Callable, Container, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import anyio
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.subscriptions import SUBSCRIPTION_ID_META_KEY
from mcp.shared.exceptions import MCPError
from mcp.types import INTERNAL_ERROR, INVALID_PARAMS
from opentelemetry import propagate, trace
from opentelemetry.trace import Span, SpanKind, StatusCode
from pydantic import ValidationError

from ..principal import principal
from ..quotas.quotas import OverLimit, Quotas
from ..quotas.usage import key_of
from .audit import Audit, Call, fingerprint
from .connections import LISTEN
from .metrics import Metrics
from .stopping import CUT, Stop

logger = logging.getLogger(__name__)

# Words of the protocol; a caller may put anything in their place.
_METHODS = {
    "initialize",
    "ping",
    "server/discover",
    "tools/list",
    "tools/call",
    "resources/list",
    "resources/templates/list",
    "resources/read",
    "resources/subscribe",
    "resources/unsubscribe",
    "prompts/list",
    "prompts/get",
    "completion/complete",
    "logging/setLevel",
    LISTEN,
    "notifications/initialized",
    "notifications/cancelled",
    "notifications/progress",
    "notifications/roots/list_changed",
}
_CALLS = {"tools/call", "resources/read"}
_SERVER_BUSY = -32_000


@dataclass(frozen=True, slots=True)
class Ledger:
    """Where calls are written down."""

    audit: Audit
    metrics: Metrics
    now: Callable[[], float] = time.time


class Calls:
    """Middleware of the MCP server. In place of the SDK's own for spans, which records messages of errors:
    they can quote what a caller sent.
    """

    def __init__(
        self,
        tools: Container[str],
        quotas: Callable[[], Quotas | None],
        ledger: Ledger,
        stop: Stop,
    ) -> None:
        self._tools = tools
        self._quotas = quotas
        self._ledger = ledger
        self._stop = stop
        self._tracer = trace.get_tracer("proofbox")

    async def __call__(
        self, ctx: ServerRequestContext[Any, Any], call_next: CallNext
    ) -> HandlerResult:
        name = self._name(ctx)
        with self._span(ctx, name) as span:
            if ctx.method in _CALLS:
                return await self._call(ctx, call_next, name, span)
            if ctx.method == LISTEN:
                return await self._listen(ctx, call_next)
            return await _guarded(ctx, call_next)

    async def _listen(
        self, ctx: ServerRequestContext[Any, Any], call_next: CallNext
    ) -> HandlerResult:
        with self._stop.streams.until_cut():
            return await _guarded(ctx, call_next)
        return {"resultType": "complete", "_meta": {SUBSCRIPTION_ID_META_KEY: ctx.request_id}}

    def _name(self, ctx: ServerRequestContext[Any, Any]) -> str:
        """The tool, else the method: never a word that a caller made up."""
        if ctx.method != "tools/call":
            return ctx.method if ctx.method in _METHODS else "unknown"
        name = (ctx.params or {}).get("name")
        return name if isinstance(name, str) and name in self._tools else "unknown"

    @contextmanager
    def _span(self, ctx: ServerRequestContext[Any, Any], name: str) -> Generator[Span]:
        is_tool = ctx.method == "tools/call"
        attributes = {"mcp.method.name": ctx.method if is_tool else name}
        if is_tool:
            attributes |= {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": name}
        parent = propagate.extract(_carrier(ctx.meta))
        with self._tracer.start_as_current_span(
            f"{ctx.method} {name}" if is_tool else name,
            parent,
            kind=SpanKind.SERVER,
            attributes=attributes,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield span
            except BaseException as error:
                span.set_attribute("error.type", type(error).__name__)
                span.set_status(StatusCode.ERROR)
                raise

    async def _call(
        self, ctx: ServerRequestContext[Any, Any], call_next: CallNext, name: str, span: Span
    ) -> HandlerResult:
        who, started = principal(), time.perf_counter()
        ending = _Ending(_session_of(ctx.params))
        self._ledger.metrics.in_flight += 1
        try:
            quotas = self._quotas()
            if quotas is None:
                raise MCPError(_SERVER_BUSY, "proofbox is stopping; nothing was done.")
            result = None
            with quotas.call(who), self._stop.calls.until_cut() as scope:
                result = await _guarded(ctx, call_next)
            if scope.cancelled_caught:
                ending.verdict = "cut"
                result = _refusal(ctx.method, CUT)
            else:
                ending.take(result)
        except OverLimit as error:
            ending.verdict, ending.limit = "refused", error.limit
            result = _refusal(ctx.method, str(error))
        except anyio.get_cancelled_exc_class():
            ending.verdict = "cancelled"
            raise
        finally:
            self._ledger.metrics.in_flight -= 1
            self._write(ending.of(who, name, time.perf_counter() - started), span)
        return result

    def _write(self, call: Call, span: Span) -> None:
        who, _ = key_of(call.who, "usd")
        span.set_attributes({"proofbox.verdict": call.verdict, "proofbox.principal": who})
        if call.session:
            span.set_attribute("proofbox.session", call.session)
        if call.verdict in {"error", "errored", "refused"}:
            span.set_status(StatusCode.ERROR)
        self._ledger.metrics.count_call(call)
        self._ledger.audit.write(call, self._ledger.now())


@dataclass(slots=True)
class _Ending:
    """What became of a call. What raised before there was a result is an `error`."""

    session: str
    verdict: str = "error"
    job: str = ""
    limit: str = ""

    def take(self, result: HandlerResult) -> None:
        """See how it ended."""
        wire = _mapping(result)
        facts = _mapping(wire.get("structuredContent"))
        job = _mapping(facts.get("job"))
        report = _mapping(facts.get("report")) or facts
        self.session = _text(facts.get("session_id")) or self.session
        self.job = _text(job.get("job_id") or facts.get("job_id"))
        state = _text(facts.get("state") or job.get("state"))
        usual = "error" if wire.get("isError") else (state or "ok")
        self.verdict = _text(report.get("verdict")) or usual

    def of(self, who: str, tool: str, seconds: float) -> Call:
        """The call, for the log."""
        return Call(
            who=who,
            tool=tool,
            verdict=self.verdict,
            seconds=seconds,
            session=fingerprint(self.session),
            job=fingerprint(self.job),
            limit=self.limit,
        )


async def _guarded(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
    """Errors that are nobody's answer stay here: the SDK would log what they say, which may quote anything."""
    try:
        return await call_next(ctx)
    except (MCPError, ValidationError):
        raise  # both are worded for the client
    except Exception as error:  # noqa: BLE001 - whatever it is, only its kind may be told
        if ctx.method == "prompts/get":
            raise MCPError(INVALID_PARAMS, "There is no such prompt.") from None
        logger.error("A request of %s failed: %s", ctx.method, type(error).__name__)
        raise MCPError(INTERNAL_ERROR, "proofbox has a fault: its log says more.") from None


def _refusal(method: str, said: str) -> HandlerResult:
    if method != "tools/call":
        raise MCPError(_SERVER_BUSY, said) from None
    # What answers in the place of a handler must have the whole shape of the wire.
    return {
        "resultType": "complete",
        "isError": True,
        "content": [{"type": "text", "text": said}],
    }


def _session_of(params: Mapping[str, Any] | None) -> str:
    return _text(_mapping(_mapping(params).get("arguments")).get("session_id"))


def _mapping(value: object) -> Mapping[str, Any]:
    return cast(Mapping[str, Any], value) if isinstance(value, Mapping) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _carrier(meta: object) -> dict[str, str]:
    found, names = _mapping(meta), ("traceparent", "tracestate")
    return {name: found[name] for name in names if isinstance(found.get(name), str)}
