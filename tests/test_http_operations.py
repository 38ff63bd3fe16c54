"""What an operator sees of the HTTP service: health, readiness, figures, spans, the audit log. Never a secret."""

import json
import logging
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from fakes import FakeBackend, VirtualClock
from http_service import ERAS, Era, Served, facts, post, serving, token_file
from mcp import MCPError
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from proofbox.server.http.audit import Audit, Call, fingerprint
from proofbox.server.http.service import HttpService
from proofbox.server.http.settings import HttpSettings
from proofbox.server.http.tokens import line_of, new_token
from proofbox.server.sandbox import SandboxRejected
from proofbox.server.settings import Settings
from proofbox.server.values import SettingsError

EXPORTER = InMemorySpanExporter()


@pytest.fixture(scope="module", autouse=True)
def provider() -> None:
    """Where spans go; there can be one for a process only."""
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(EXPORTER))
    trace.set_tracer_provider(provider)


Spans = Callable[[], list[ReadableSpan]]


@pytest.fixture
def spans() -> Iterator[Spans]:
    """The spans of servers in this test: the clients in this process have some of their own."""
    EXPORTER.clear()
    yield lambda: [
        span for span in EXPORTER.get_finished_spans() if span.kind == trace.SpanKind.SERVER
    ]
    EXPORTER.clear()


async def get(served: Served, path: str, token: str = "") -> httpx2.Response:
    """An answer to GET."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with httpx2.AsyncClient(headers=headers) as http:
        return await http.get(f"{served.base}{path}")


def audited(path: Path) -> list[dict[str, Any]]:
    """The lines of an audit log."""
    return [json.loads(line) for line in path.read_text().splitlines()]


async def test_it_is_ready_once_a_sandbox_was_opened(
    backend: FakeBackend, clock: VirtualClock
) -> None:
    """Alive it is before; a failure is tried again after a while, and not for everybody who asks."""
    backend.create_errors = [SandboxRejected("the key /etc/secret is wrong")] * 2
    service = HttpService(HttpSettings(port=0), clock=clock)
    async with serving(backend, service=service) as served:
        alive = await get(served, "/healthz")
        failed = [await get(served, "/readyz") for _ in range(3)]
        left = len(backend.create_errors)
        await clock.advance(16)
        again = await get(served, "/readyz")
        await clock.advance(16)
        ready = [await get(served, "/readyz") for _ in range(3)]

    assert (alive.status_code, alive.json()) == (200, {"status": "alive"})
    assert [answer.status_code for answer in (*failed, again)] == [503] * 4
    assert failed[0].json()["reason"] == "no sandbox can be opened; proofbox doctor says why"
    assert left == 1
    assert [answer.status_code for answer in ready] == [200] * 3
    assert len(backend.created) == 1


async def test_it_is_not_ready_while_nobody_can_come_in(
    backend: FakeBackend, tmp_path: Path
) -> None:
    """The reason names no file: anybody may ask. Probes know no host name and hold no token."""
    path, _ = token_file(tmp_path, "alice")
    async with serving(backend, HttpSettings(port=0, token_file=path)) as served:
        async with httpx2.AsyncClient() as http:
            ready = await http.get(f"{served.base}/readyz", headers={"Host": "10.0.0.7:8000"})
        path.unlink()
        not_ready = await get(served, "/readyz")

    assert ready.status_code == 200
    assert not_ready.status_code == 503
    assert not_ready.json()["reason"] == "the token file cannot be used"


async def test_figures_are_for_whoever_holds_a_token_for_them(
    backend: FakeBackend, tmp_path: Path
) -> None:
    """Neither for nobody nor for principals; where nobody is asked who they are, for all."""
    path, (alice,) = token_file(tmp_path, "alice")
    metrics = new_token()
    with path.open("a") as file:
        file.write(line_of(metrics, "prometheus", metrics=True))
    async with serving(backend, HttpSettings(port=0, token_file=path)) as served:
        statuses = [(await get(served, "/metrics", token)).status_code for token in ("", alice)]
        allowed = await get(served, "/metrics", metrics)
    async with serving(FakeBackend()) as served:
        open_to_all = await get(served, "/metrics")

    assert statuses == [401, 401]
    assert (allowed.status_code, open_to_all.status_code) == (200, 200)
    assert allowed.headers["content-type"].startswith("text/plain; version=0.0.4")


@pytest.mark.parametrize("era", ERAS)
async def test_a_call_is_counted_and_written_down(
    backend: FakeBackend, tmp_path: Path, spans: Spans, era: Era
) -> None:
    """By tool and verdict, with one span and one line each; a word that the caller made up is in none."""
    path, (token,) = token_file(tmp_path, "alice")
    log = tmp_path / "audit.jsonl"
    http = HttpSettings(port=0, token_file=path, audit_file=log)
    async with serving(backend, http) as served:
        async with served.client(token, era) as client:
            made = await client.call_tool("execute_code", {"code": "1 + 1"})
            handle = facts(made)["session_id"]
            await client.call_tool("execute_code", {"code": "1 / 0", "session_id": handle})
            await client.call_tool("execute_code", {"code": ""})
            await client.call_tool("execute_code", {"cod": ""})
            await client.call_tool("made_up", {})
            await client.call_tool("close_session", {"session_id": handle})
            with pytest.raises(MCPError):
                await client.read_resource("sandbox://none/files/a")
        service = served.service
        page = service.metrics.text({}, {})

    seen = [(line["tool"], line["verdict"]) for line in audited(log)]
    assert seen == [
        ("execute_code", "passed"),
        ("execute_code", "failed"),
        ("execute_code", "skipped"),
        ("execute_code", "error"),
        ("unknown", "error"),
        ("close_session", "ok"),
        ("resources/read", "error"),
    ]
    assert {line["who"] for line in audited(log)} == {"alice:"}
    own = [line["session"] for line in audited(log) if line.get("session")]
    assert own == [fingerprint(handle)] * 3
    for tool, verdict in set(seen):
        count = f'proofbox_calls_total{{tool="{tool}",verdict="{verdict}"}} 1'
        assert count in page
    assert 'proofbox_call_seconds_count{tool="execute_code"} 4' in page
    assert "proofbox_calls_in_flight 0" in page
    assert re.fullmatch(r"((# TYPE \w+ \w+|\w+(\{[^{}]*\})? \S+)\n)+", page)
    calls = [span for span in spans() if span.name.startswith("tools/call")]
    assert [span.name for span in calls] == [f"tools/call {tool}" for tool, _ in seen[:6]]
    assert [attributes(span)["proofbox.verdict"] for span in calls] == [v for _, v in seen[:6]]
    assert attributes(calls[0])["proofbox.session"] == fingerprint(handle)


def attributes(span: ReadableSpan) -> dict[str, Any]:
    """What a span says."""
    return dict(span.attributes or {})


async def test_a_span_belongs_to_the_trace_of_the_caller(
    backend: FakeBackend, spans: Spans
) -> None:
    """As its client says in the request's metadata."""
    async with serving(backend) as served, served.client() as client:
        await client.call_tool("execute_code", {"code": "1"})

    (span,) = [span for span in spans() if "execute_code" in span.name]
    callers = [one for one in EXPORTER.get_finished_spans() if one.kind == trace.SpanKind.CLIENT]
    assert span.parent is not None
    assert span.parent.span_id in {caller.context.span_id for caller in callers if caller.context}


@pytest.mark.parametrize("era", ERAS)
async def test_a_secret_is_in_nothing_that_the_service_writes(
    backend: FakeBackend,
    tmp_path: Path,
    spans: Spans,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    era: Era,
) -> None:
    """Wherever a caller puts one: code, output, names, ids, headers, errors. At the most talkative level."""
    canary = "CANARY0f91e2"
    path, (token,) = token_file(tmp_path, "alice")
    http = HttpSettings(port=0, token_file=path, audit_file=tmp_path / "audit.jsonl")
    caplog.set_level(logging.DEBUG, logger="proofbox")
    caplog.set_level(logging.INFO)
    caplog.set_level(logging.WARNING, logger="httpx2")  # the client of this test
    attempts: list[tuple[str, dict[str, Any]]] = [
        ("execute_code", {"code": f"print('{canary}')\n'{canary}'", "env": {"K": canary}}),
        ("execute_code", {"code": f"raise ValueError('{canary}')"}),
        ("execute_code", {"code": "1", "session_id": canary}),
        ("execute_code", {"code": "1", "language": canary}),
        ("execute_code", {"code": "1", "packages": [f"{canary} nonsense"]}),
        ("execute_code", {"code": "1", "files": {f"../{canary}": canary}}),
        ("execute_code", {"code": "1", canary: canary}),
        ("execute_code", {"code": [canary]}),
        ("read_artifact", {"session_id": canary, "name": canary}),
        ("close_session", {"session_id": canary}),
        ("get_job", {"job_id": canary}),
        ("validate_snippets", {"paths": [canary]}),
        ("run_generated_tests", {"project": canary}),
        ("benchmark_model", {"models": [canary], "tasks": canary}),
        (canary, {canary: canary}),
    ]
    async with serving(backend, http) as served:
        async with served.client(token, era) as client:
            for name, arguments in attempts:
                await client.call_tool(name, arguments)
            for uri in (f"sandbox://{canary}/files/{canary}", f"{canary}://x"):
                with pytest.raises(MCPError):
                    await client.read_resource(uri)
            with pytest.raises(MCPError):
                await client.get_prompt(canary, {canary: canary})
        for body in (canary, json.dumps({canary: canary}), json.dumps([canary])):
            for headers in ({}, {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": canary}):
                await post(served, body, token=token, headers=headers)
        asked = json.dumps(
            {"jsonrpc": "2.0", "id": canary, "method": canary, "params": {canary: 1}}
        )
        await post(served, asked, token=token, headers={"Mcp-Session-Id": canary})
        await post(served, asked, token=f"{token}{canary}")
        await post(served, asked, token=token, headers={"Host": canary, "Origin": canary})
        await get(served, f"/{canary}?{canary}")
        page = served.service.metrics.text({}, {})
    shown = capfd.readouterr()
    written = {
        "spans": "\n".join(span.to_json() for span in spans()),
        "metrics": page,
        "audit": (tmp_path / "audit.jsonl").read_text(),
        "log": caplog.text,
        "stdout": shown.out,
        "stderr": shown.err,
    }

    for name in ("spans", "metrics", "audit"):
        assert "execute_code" in written[name]
    for name, text in written.items():
        for secret in (canary, canary.lower(), token):
            assert secret not in text, f"{name}: {text[max(0, text.find(secret) - 300) :][:700]}"


def test_the_audit_log_goes_on_in_a_new_file_when_it_was_renamed(tmp_path: Path) -> None:
    """As tools that rotate logs do it; it is its owner's alone."""
    path = tmp_path / "audit.jsonl"
    audit = Audit(path)
    audit.write(Call("alice:", "execute_code", "passed", 0.5), 0.0)
    mode = path.stat().st_mode & 0o777
    path.rename(tmp_path / "audit.jsonl.1")
    audit.write(Call("bob:", "get_job", "running", 1.0, job="1234"), 0.5)
    audit.close()

    assert audited(tmp_path / "audit.jsonl.1") == [
        {
            "time": "1970-01-01T00:00:00.000+00:00",
            "who": "alice:",
            "tool": "execute_code",
            "verdict": "passed",
            "seconds": 0.5,
        }
    ]
    assert [line["job"] for line in audited(path)] == ["1234"]
    assert mode == 0o600


def test_an_audit_log_that_cannot_be_written_is_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Calls go on, and the log says it once; at the start it is an error."""
    audit = Audit(Path("/dev/full"))
    for _ in range(3):
        audit.write(Call("alice:", "execute_code", "passed", 0.5), 0.0)
    audit.close()

    assert audit.lost == 3
    assert len(caplog.records) == 1
    with pytest.raises(SettingsError, match="audit file .* cannot be written: Is a directory"):
        Audit(tmp_path)


async def test_without_a_file_the_audit_log_goes_to_stderr(
    backend: FakeBackend, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where other logs go, and never to stdout."""
    with anyio.fail_after(30):
        async with serving(backend, settings=Settings()) as served, served.client() as client:
            await client.call_tool("execute_code", {"code": "1"})
    shown = capsys.readouterr()

    (line,) = [line for line in shown.err.splitlines() if line.startswith("{")]
    assert json.loads(line)["who"] == "local"
    assert shown.out == ""
    assert sys.stderr is not None
