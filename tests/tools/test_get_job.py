"""get_job as a client sees it, on a server that has jobs, and a tool that starts them."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import anyio
import pytest
from fakes import settle
from mcp import Client
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.tools import Tool
from mcp.types import CallToolResult, TextContent
from session_calls import together

from proofbox.server.jobs import Jobs, JobState, Progress, Report, run_or_job
from proofbox.server.sandbox import SandboxRejected
from proofbox.server.strict import StrictArguments
from proofbox.tools.get_job import get_job, render, to_report, to_result

HANG_SECONDS = 30


@dataclass
class Bench:
    """The lifespan context: the jobs, and the work that `bench` does.

    `go` lets it finish, `cleaned` is set when it was cancelled.
    """

    jobs: Jobs
    report: Report
    error: Exception | None = None

    def __post_init__(self) -> None:
        self.progress = Progress()
        self.started = anyio.Event()
        self.go = anyio.Event()
        self.cleaned = anyio.Event()

    async def work(self, progress: Progress) -> Report:
        self.progress = progress
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


async def bench(ctx: Context[Bench], wait_seconds: float = 0.0) -> CallToolResult:
    """Start a job, as a workflow does."""
    app = ctx.request_context.lifespan_context
    return to_result(await run_or_job(app.jobs, "local", "bench", app.work, wait_seconds))


Era = Literal["auto", "legacy"]


@pytest.fixture(params=["auto", "legacy"])
def era(request: pytest.FixtureRequest) -> Era:
    """The protocol of today, and that of the handshake."""
    return request.param


@pytest.fixture
async def app(tmp_path: Path) -> AsyncGenerator[Bench]:
    """A bench over jobs that are kept in a file."""
    with anyio.fail_after(HANG_SECONDS):
        async with Jobs(tmp_path / "jobs.sqlite3") as jobs:
            yield Bench(jobs, {"verdict": "passed", "rows": [1, 2]})


@pytest.fixture
async def client(era: Era, app: Bench) -> AsyncGenerator[Client]:
    """A client of a server with these two tools."""

    @asynccontextmanager
    async def lifespan(_: MCPServer[Bench]) -> AsyncGenerator[Bench]:
        yield app

    tools = [Tool.from_function(get_job), Tool.from_function(bench)]
    server = MCPServer[Bench](
        "jobs",
        tools=tools,
        extensions=[StrictArguments({tool.name: tool for tool in tools})],
        lifespan=lifespan,
    )
    async with Client(server, mode=era) as client:
        yield client


def text_of(result: CallToolResult) -> str:
    """The text blocks of a result."""
    return "\n".join(block.text for block in result.content if isinstance(block, TextContent))


def facts_of(result: CallToolResult) -> dict[str, Any]:
    """The structured content of a result, which must be there."""
    assert result.structured_content is not None
    return result.structured_content


async def started(client: Client) -> str:
    """The id of a job that runs."""
    facts = facts_of(await client.call_tool("bench", {}))
    assert facts["state"] == "running"
    return facts["job_id"]


async def test_a_running_job_says_how_far_it_is_in_both_forms(client: Client, app: Bench) -> None:
    """Each form stands alone, because hosts forward one of them."""
    job_id = await started(client)
    await app.started.wait()

    result = await client.call_tool("get_job", {"job_id": job_id, "wait_seconds": 0})

    facts = facts_of(result)
    assert not result.is_error
    assert facts.pop("elapsed_seconds") >= 0
    assert facts == {
        "job_id": job_id,
        "kind": "bench",
        "state": "running",
        "progress": {"done": 1, "total": 3, "message": "first.md"},
    }
    text = text_of(result)
    assert text.startswith("running: bench (")
    assert "progress: 1 of 3, first.md" in text
    assert f"job_id: {job_id}; call get_job again" in text


async def test_a_wait_ends_with_the_report_in_both_forms(client: Client, app: Bench) -> None:
    """And the report can be read again."""
    job_id = await started(client)
    results: list[CallToolResult] = []

    async def wait() -> None:
        results.append(await client.call_tool("get_job", {"job_id": job_id}))

    async with together() as waiting:
        waiting.start_soon(wait)
        await settle()
        assert results == []
        app.go.set()
    results.append(await client.call_tool("get_job", {"job_id": job_id}))

    for result in results:
        facts = facts_of(result)
        assert not result.is_error
        assert (facts["state"], facts["report"]) == ("finished", app.report)
        assert "progress" not in facts
        text = text_of(result)
        assert text.startswith("finished: bench (")
        assert json.loads(text.split("report: ")[1].split("\n")[0]) == app.report


async def test_a_report_that_cannot_be_sent_as_it_is_is_sent_nearly_so(
    client: Client, app: Bench
) -> None:
    """Odd file names hold lone surrogates, and means of nothing are no numbers."""
    app.report = {"name\udcff": "\ud800 é", "mean": float("nan")}
    job_id = await started(client)
    app.go.set()

    result = await client.call_tool("get_job", {"job_id": job_id})

    assert facts_of(result)["report"] == {"name?": "? é", "mean": None}


async def test_progress_is_told_while_a_call_waits(client: Client, app: Bench) -> None:
    """The newest line first; hosts keep a call that speaks."""
    job_id = await started(client)
    await app.started.wait()
    told: list[str | None] = []
    heard = anyio.Event()

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        assert progress >= 0
        assert total is None
        told.append(message)
        if message == "1 of 3, first.md":
            app.progress.report(2, 3, "\x1b[31msecond.md\x1b[0m")
        else:
            heard.set()

    async def wait() -> None:
        await client.call_tool("get_job", {"job_id": job_id}, progress_callback=on_progress)

    async with together() as waiting:
        waiting.start_soon(wait)
        await heard.wait()
        app.go.set()

    assert told == ["1 of 3, first.md", "2 of 3, second.md"]


async def test_a_job_can_be_cancelled_in_the_middle(client: Client, app: Bench) -> None:
    """Which is no error: somebody wanted it."""
    job_id = await started(client)
    await app.started.wait()

    result = await client.call_tool("get_job", {"job_id": job_id, "cancel": True})

    assert app.cleaned.is_set()
    assert not result.is_error
    assert facts_of(result)["state"] == "cancelled"
    assert "It was cancelled." in text_of(result)
    assert "report" not in facts_of(result)


async def test_a_client_that_gives_up_waiting_leaves_the_job_alone(
    client: Client, app: Bench
) -> None:
    """It can come back for the report."""
    job_id = await started(client)

    async with together() as waiting:
        waiting.start_soon(client.call_tool, "get_job", {"job_id": job_id})
        await settle()
        waiting.cancel_scope.cancel()
    app.go.set()
    result = await client.call_tool("get_job", {"job_id": job_id})

    assert facts_of(result)["state"] == "finished"
    assert not app.cleaned.is_set()


async def test_a_client_that_gives_up_before_it_has_an_id_ends_the_work(
    client: Client, app: Bench
) -> None:
    """Nobody could ever ask for it."""
    async with together() as calling:
        calling.start_soon(client.call_tool, "bench", {"wait_seconds": 1000})
        await app.started.wait()
        calling.cancel_scope.cancel()
    await app.cleaned.wait()

    assert app.cleaned.is_set()


async def test_a_job_that_failed_is_an_error_that_says_why(client: Client, app: Bench) -> None:
    """Of an error, hosts show the text alone."""
    app.error = SandboxRejected("The key is wrong; set another.")
    job_id = await started(client)
    app.go.set()

    result = await client.call_tool("get_job", {"job_id": job_id})

    assert result.is_error
    assert text_of(result).startswith("failed: bench (")
    assert "The key is wrong; set another." in text_of(result)
    assert facts_of(result)["state"] == "failed"


async def test_the_job_of_another_start_of_proofbox_is_found(
    client: Client, app: Bench, tmp_path: Path
) -> None:
    """One that was interrupted is an error: nothing is known about the code."""
    async with Jobs(tmp_path / "jobs.sqlite3") as earlier:
        job_id = await earlier.start("local", "bench", app.work)

    result = await client.call_tool("get_job", {"job_id": job_id})

    assert result.is_error
    assert text_of(result).startswith("interrupted: bench (")
    assert "start the work again" in text_of(result)


async def test_a_foreign_job_reads_like_an_unknown_one(client: Client, app: Bench) -> None:
    """This client is `local`; jobs of others are not there."""
    foreign = await app.jobs.start("somebody else", "bench", app.work)
    results = [
        await client.call_tool("get_job", {"job_id": job_id, "cancel": cancel})
        for job_id in (foreign, "unknown", "")
        for cancel in (False, True)
    ]

    assert all(result.is_error for result in results)
    assert len({text_of(result) for result in results}) == 1
    assert "There is no such job" in text_of(results[0])
    assert (await app.jobs.wait("somebody else", foreign)).state == "running"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({}, "job_id: field required"),
        ({"job_id": "x" * 201}, "job_id: string should have at most"),
        ({"job_id": "x", "wait_seconds": -1}, "wait_seconds: input should be greater"),
        ({"job_id": "x", "wait_seconds": 601}, "wait_seconds: input should be less"),
        ({"job_id": "x", "wait": 1}, "Unknown argument: wait."),
    ],
)
async def test_arguments_that_do_not_fit_are_refused(
    client: Client, arguments: dict[str, Any], says: str
) -> None:
    """With the name of the argument."""
    result = await client.call_tool("get_job", arguments)

    assert result.is_error
    assert says in text_of(result)


async def test_the_description_fits_into_what_hosts_show(client: Client) -> None:
    """And the schema says that results have a form."""
    (tool, _) = sorted((await client.list_tools()).tools, key=lambda tool: tool.name != "get_job")

    assert len((tool.description or "").encode()) < 2048
    assert set(tool.input_schema["properties"]) == {
        "job_id",
        "wait_seconds",
        "cancel",
        "offset",
        "full",
    }
    assert tool.output_schema is not None


@pytest.mark.parametrize(
    ("state", "says"),
    [
        (JobState("id", "bench", "running"), "running: bench (0.0 s so far)\njob_id: id; call"),
        (JobState("id", "bench", "running", 12_345), "progress: 12,345\n"),
        (JobState("id", "bench", "running", 0, 7), "progress: 0 of 7\n"),
        (JobState("id", "bench", "running", warning="Not kept."), "warning: Not kept.\n"),
        (JobState("id", "bench", "failed", 1, 2, reason="\x1b[1mOh."), "Oh.\nprogress: 1 of 2\n"),
        (JobState("id", "bench", "finished", report={}), "finished: bench (0.0 s)\nreport: {}\n"),
        (JobState("id", "bench", "finished", report={"é": "\ud800"}), 'report: {"é": "?"}\n'),
    ],
)
def test_the_text_says_all_that_there_is(state: JobState, says: str) -> None:
    """In few lines, and fit to be sent."""
    text = render(to_report(state))

    assert says in text
    assert text.replace("\n", "").isprintable()
