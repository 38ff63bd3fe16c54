"""How workflow tools answer, as a client sees it: at once, later by get_job, page by page."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import anyio
import pytest
from fakes import FakeBackend, settle
from mcp import Client
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.tools import Tool
from mcp.types import CallToolResult, TextContent
from session_calls import together

from proofbox.server.assembly import open_app
from proofbox.server.jobs import Progress
from proofbox.server.sandbox import SandboxRejected
from proofbox.server.settings import Settings
from proofbox.tools import get_job as jobs_tool
from proofbox.tools._app import App
from proofbox.tools._workflow import WaitSeconds, Workflow
from proofbox.tools._workflow_report import Rest, WorkflowReport

HANG_SECONDS = 30
SHOWN, CUT = 2, 5


class RowsReport(WorkflowReport):
    """What the tool of these tests reports."""

    rows: list[str]


def page(report: RowsReport, offset: int, full: bool) -> RowsReport:
    """Two rows, each of five characters at most."""
    rows = report.rows[offset : offset + SHOWN]
    left = max(0, len(report.rows) - offset - SHOWN)
    cut = 0 if full else sum(max(0, len(row) - CUT) for row in rows)
    rest = Rest(results=left, offset=offset + SHOWN if left else None, characters=cut)
    return report.model_copy(
        update={
            "rows": rows if full else [row[:CUT] for row in rows],
            "rest": rest if left or cut else None,
        }
    )


ROWS = Workflow(
    "rows", RowsReport, render=lambda report: f"{report.verdict}: {report.rows}", page=page
)


@dataclass
class Work:
    """What the tool does: `go` lets it finish, `cleaned` is set when it was cancelled."""

    report: RowsReport
    error: Exception | None = None
    started: anyio.Event = field(default_factory=anyio.Event)
    go: anyio.Event = field(default_factory=anyio.Event)
    cleaned: anyio.Event = field(default_factory=anyio.Event)

    async def __call__(self, progress: Progress) -> RowsReport:
        progress.report(1, 3, "first.md")
        self.started.set()
        try:
            await self.go.wait()
        except anyio.get_cancelled_exc_class():
            self.cleaned.set()
            raise
        if self.error is not None:
            raise self.error
        return self.report


@pytest.fixture
def work() -> Work:
    """Work that is held, and will pass with one row."""
    return Work(RowsReport(verdict="passed", reason="All good.", rows=["a"]))


@pytest.fixture(params=["auto", "legacy"])
async def client(
    request: pytest.FixtureRequest,
    backend: FakeBackend,
    work: Work,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncGenerator[Client]:
    """A client, of either era, of a server with get_job and a workflow tool."""
    monkeypatch.setattr(jobs_tool, "WORKFLOWS", {"rows": ROWS})
    era: Literal["auto", "legacy"] = request.param

    async def rows(
        ctx: Context[App], wait_seconds: WaitSeconds = 45.0
    ) -> Annotated[CallToolResult, ROWS.answer]:
        return await ROWS.run(ctx, work, wait_seconds)

    @asynccontextmanager
    async def lifespan(_: MCPServer[App]) -> AsyncGenerator[App]:
        async with open_app(Settings(), backend=backend) as app:
            yield app

    tools = [Tool.from_function(rows), Tool.from_function(jobs_tool.get_job)]
    with anyio.fail_after(HANG_SECONDS):
        async with Client(
            MCPServer[App]("rows", tools=tools, lifespan=lifespan), mode=era
        ) as client:
            yield client


def text_of(result: CallToolResult) -> str:
    """The text blocks of a result."""
    return "\n".join(block.text for block in result.content if isinstance(block, TextContent))


def facts_of(result: CallToolResult) -> dict[str, Any]:
    """The structured content of a result, which must be there."""
    assert result.structured_content is not None
    return result.structured_content


async def later(client: Client, work: Work, **arguments: Any) -> CallToolResult:
    """What get_job says of work that had not ended when its call returned."""
    running = facts_of(await client.call_tool("rows", {"wait_seconds": 0}))
    work.go.set()
    return await client.call_tool("get_job", {"job_id": running["job"]["job_id"], **arguments})


async def test_what_is_done_in_time_is_answered_with_the_report(client: Client, work: Work) -> None:
    """Without a job, as nothing is left to ask for."""
    work.go.set()

    result = await client.call_tool("rows", {})

    assert facts_of(result) == {"verdict": "passed", "reason": "All good.", "rows": ["a"]}
    assert text_of(result) == "passed: ['a']"
    assert not result.is_error


async def test_what_takes_longer_is_answered_without_a_verdict(client: Client, work: Work) -> None:
    """With the job and its progress, in both forms; the client has checked the schema."""
    results: list[CallToolResult] = []

    async def call() -> None:
        results.append(await client.call_tool("rows", {"wait_seconds": 0.01}))

    async with together() as calls:
        calls.start_soon(call)
        await work.started.wait()

    (result,) = results
    facts = facts_of(result)
    job = facts.pop("job")
    assert facts == {"reason": "It is still running: call get_job."}
    assert job.pop("elapsed_seconds") >= 0
    assert job == {
        "job_id": job["job_id"],
        "state": "running",
        "progress": {"done": 1, "total": 3, "message": "first.md"},
    }
    assert not result.is_error
    assert text_of(result).startswith("running: rows is not done")
    assert "progress: 1 of 3, first.md" in text_of(result)
    assert f"job_id: {job['job_id']}; call get_job" in text_of(result)


@pytest.mark.parametrize("verdict", ["passed", "failed", "errored", "skipped"])
async def test_get_job_reads_as_the_tool_would_have_answered(
    client: Client, work: Work, verdict: Literal["passed", "failed", "errored", "skipped"]
) -> None:
    """The same text, the same data, and an error exactly where the tool gives one."""
    work.report = RowsReport(verdict=verdict, reason="So.", rows=["a", "b"])

    after = await later(client, work)
    direct = await client.call_tool("rows", {})

    facts = facts_of(after)
    assert (facts["kind"], facts["state"]) == ("rows", "finished")
    assert facts["report"] == facts_of(direct)
    assert text_of(after).startswith(f"{text_of(direct)}\njob_id: {facts['job_id']} (finished, ")
    assert after.is_error == direct.is_error == (verdict == "errored")


async def test_nothing_that_an_answer_leaves_out_is_lost(client: Client, work: Work) -> None:
    """It says how much, the report is kept, and get_job gives the rest, the last part without more."""
    work.report = RowsReport(verdict="failed", reason="Bad.", rows=["aaaaaaa", "b", "c", "d", "e"])
    work.go.set()

    result = await client.call_tool("rows", {})

    facts = facts_of(result)
    named = {"job_id": facts["job"]["job_id"]}
    assert facts["rest"] == {"results": 3, "offset": 2, "characters": 2}
    assert facts["job"]["state"] == "finished"
    assert f"3 more results: get_job(job_id='{named['job_id']}', offset=2)" in text_of(result)
    assert "2 characters cut out of texts: get_job(" in text_of(result)
    second = facts_of(await client.call_tool("get_job", {**named, "offset": 2}))["report"]
    third = facts_of(await client.call_tool("get_job", {**named, "offset": 4}))["report"]
    whole = facts_of(await client.call_tool("get_job", {**named, "full": True}))["report"]
    assert (second["rows"], second["rest"]) == (["c", "d"], {"results": 1, "offset": 4})
    assert (third["rows"], "rest" in third) == (["e"], False)
    assert whole["rows"] == ["aaaaaaa", "b"]
    assert second["verdict"] == third["verdict"] == "failed"


async def test_a_call_that_is_cancelled_before_it_has_an_id_ends_the_work(
    client: Client, work: Work
) -> None:
    """Nobody could ever ask for it."""
    async with together() as calls:
        calls.start_soon(client.call_tool, "rows")
        await work.started.wait()
        calls.cancel_scope.cancel()

    await work.cleaned.wait()


async def test_a_call_that_has_told_the_id_leaves_the_work_to_get_job(
    client: Client, work: Work
) -> None:
    """Which can stop it."""
    running = facts_of(await client.call_tool("rows", {"wait_seconds": 0}))
    await work.started.wait()
    await settle()
    assert not work.cleaned.is_set()

    named = {"job_id": running["job"]["job_id"]}
    stopped = await client.call_tool("get_job", {**named, "cancel": True})

    assert work.cleaned.is_set()
    assert facts_of(stopped)["state"] == "cancelled"


async def test_work_that_cannot_be_tried_is_an_error_with_advice(
    client: Client, work: Work
) -> None:
    """At once, or by get_job."""
    work.error = SandboxRejected("The key is wrong; set another.")

    after = await later(client, work)
    direct = await client.call_tool("rows", {})

    for result in (after, direct):
        assert result.is_error
        assert "The key is wrong; set another." in text_of(result)


async def test_the_report_of_another_version_is_shown_as_it_is(
    client: Client, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Data in an old form is better than none."""

    class NewReport(WorkflowReport):
        needed: int

    def never(report: NewReport, offset: int, full: bool) -> NewReport:
        raise AssertionError(report, offset, full)

    newer = Workflow("rows", NewReport, render=str, page=never)
    monkeypatch.setattr(jobs_tool, "WORKFLOWS", {"rows": newer})

    result = await later(client, work)

    assert facts_of(result)["report"]["rows"] == ["a"]
    assert '"rows": ["a"]' in text_of(result)
    assert not result.is_error


async def test_the_schema_asks_of_a_running_job_for_a_reason_only(client: Client) -> None:
    """It is an object, as every version of the protocol wants, and names no null."""
    schemas = {tool.name: tool.output_schema for tool in (await client.list_tools()).tools}
    schema = schemas["rows"] or {}

    assert schema["type"] == "object"
    assert schema["required"] == ["reason"]
    assert {"verdict", "reason", "rows", "rest", "job"} == set(schema["properties"])
    assert "Left out while the job runs." in schema["properties"]["verdict"]["description"]
    assert "default" not in schema["properties"]["verdict"]


async def test_progress_is_told_while_a_call_waits(client: Client, work: Work) -> None:
    """Hosts keep a call that speaks."""
    heard = anyio.Event()
    told: list[str | None] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        del progress, total
        told.append(message)
        heard.set()

    async def call() -> None:
        await client.call_tool("rows", {}, progress_callback=hear)

    async with together() as calls:
        calls.start_soon(call)
        await heard.wait()
        work.go.set()

    assert told == ["1 of 3, first.md"]
