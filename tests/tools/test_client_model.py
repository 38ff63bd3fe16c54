"""Work that asks the client's own model while it goes on, as clients of both eras see it."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import anyio
import pytest
from fakes import FakeBackend, VirtualClock, settle
from mcp import Client, MCPError
from mcp.client import ClientRequestContext
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.tools import Tool
from mcp.types import (
    CallToolResult,
    CreateMessageRequest,
    CreateMessageRequestParams,
    CreateMessageResult,
    ErrorData,
    InputRequiredResult,
    SamplingMessage,
    TextContent,
)

from proofbox.server.assembly import open_app
from proofbox.server.jobs import Progress, Questions, Unanswered
from proofbox.server.jobs.questions import ANSWER_SECONDS
from proofbox.server.settings import Settings
from proofbox.tools import get_job as jobs_tool
from proofbox.tools._app import App
from proofbox.tools._client_model import by_job
from proofbox.tools._workflow import WaitSeconds, Workflow
from proofbox.tools._workflow_report import WorkflowReport

HANG_SECONDS = 30
Era = Literal["auto", "legacy"]


class TalkReport(WorkflowReport):
    """What the tool of these tests reports."""

    said: list[str]


TALK = Workflow(
    "talk",
    TalkReport,
    render=lambda report: f"{report.verdict}: {report.said}",
    page=lambda report, offset, full: report,
)


@dataclass
class Talk:
    """What the tool does: it asks each of `asks`, one after the other. `cleaned`: it was cancelled."""

    asks: tuple[str, ...] = ("one", "two")
    clock: VirtualClock = field(default_factory=VirtualClock)
    cleaned: anyio.Event = field(default_factory=anyio.Event)
    started: int = 0

    async def __call__(self, questions: Questions) -> TalkReport:
        self.started += 1
        send = by_job(questions)
        said: list[str] = []
        try:
            for ask in self.asks:
                said.append(await answered(send, ask))
        except anyio.get_cancelled_exc_class():
            self.cleaned.set()
            raise
        return TalkReport(verdict="passed", reason="It was said.", said=said)


async def answered(send: Callable[[CreateMessageRequest], Awaitable[Any]], ask: str) -> str:
    """What the client's model says; how it did not, where it did not."""
    message = SamplingMessage(role="user", content=TextContent(text=ask))
    request = CreateMessageRequest(
        params=CreateMessageRequestParams(messages=[message], max_tokens=5)
    )
    try:
        return (await send(request)).content.text
    except MCPError as error:
        return f"refused: {error}"
    except Unanswered:
        return "unanswered"


@dataclass
class Human:
    """Who answers for the client's model, once `go` is set."""

    go: anyio.Event = field(default_factory=anyio.Event)
    asked: list[str] = field(default_factory=list[str])
    here: anyio.Event = field(default_factory=anyio.Event)
    refuses: bool = False

    async def answer(
        self, context: ClientRequestContext, params: CreateMessageRequestParams
    ) -> CreateMessageResult | ErrorData:
        del context
        content: Any = params.messages[0].content
        self.asked.append(content.text)
        self.here.set()
        await self.go.wait()
        if self.refuses:
            return ErrorData(code=-1, message="User rejected sampling request")
        said = TextContent(text=content.text.upper())
        return CreateMessageResult(role="assistant", content=said, model="human-1")


@pytest.fixture
def human() -> Human:
    """One who answers at once."""
    human = Human()
    human.go.set()
    return human


@pytest.fixture
def talk() -> Talk:
    """Work with two questions."""
    return Talk()


@asynccontextmanager
async def connected(
    backend: FakeBackend, talk: Talk, human: Human | None, era: Era
) -> AsyncGenerator[Client]:
    """A client of a server with the tool, and with get_job."""

    async def talk_tool(
        ctx: Context[App], wait_seconds: WaitSeconds = 20.0
    ) -> Annotated[CallToolResult, TALK.answer] | InputRequiredResult:
        questions = Questions(talk.clock)

        async def work(progress: Progress) -> TalkReport:
            del progress
            return await talk(questions)

        return await TALK.converse(ctx, work, questions, wait_seconds)

    @asynccontextmanager
    async def lifespan(_: MCPServer[App]) -> AsyncGenerator[App]:
        async with open_app(Settings(), backend=backend) as app:
            yield app

    tools = [Tool.from_function(talk_tool), Tool.from_function(jobs_tool.get_job)]
    server = MCPServer[App]("talk", tools=tools, lifespan=lifespan)
    with anyio.fail_after(HANG_SECONDS):
        async with Client(
            server, mode=era, sampling_callback=human.answer if human else None
        ) as client:
            yield client


def facts(result: Any) -> dict[str, Any]:
    """The structured content of a result that is one."""
    assert isinstance(result, CallToolResult)
    assert result.structured_content is not None, result.content
    return result.structured_content


@pytest.mark.parametrize("era", ["auto", "legacy"])
async def test_one_call_asks_as_often_as_the_work_does(
    era: Era, backend: FakeBackend, talk: Talk, human: Human
) -> None:
    """And the work is begun once, though a client of today calls again for each question."""
    async with connected(backend, talk, human, era) as client:
        report = facts(await client.call_tool("talk_tool"))

    assert report["said"] == ["ONE", "TWO"]
    assert human.asked == ["one", "two"]
    assert talk.started == 1


@pytest.mark.parametrize("era", ["auto", "legacy"])
async def test_a_job_asks_whoever_waits_for_it(
    era: Era, backend: FakeBackend, talk: Talk, human: Human
) -> None:
    """The call that started it has returned with its id before anything was asked."""
    async with connected(backend, talk, human, era) as client:
        running = facts(await client.call_tool("talk_tool", {"wait_seconds": 0}))
        ended = facts(await client.call_tool("get_job", {"job_id": running["job"]["job_id"]}))

    assert "verdict" not in running
    assert ended["report"]["said"] == ["ONE", "TWO"]
    assert human.asked == ["one", "two"]


@pytest.mark.parametrize("era", ["auto", "legacy"])
async def test_an_answer_may_take_longer_than_the_call_would_wait(
    era: Era, backend: FakeBackend, talk: Talk, human: Human
) -> None:
    """Somebody may have to allow it, and is not asked a second time."""
    human.go = anyio.Event()
    async with connected(backend, talk, human, era) as client:
        running = facts(await client.call_tool("talk_tool", {"wait_seconds": 0}))
        arguments = {"job_id": running["job"]["job_id"], "wait_seconds": 0}
        await settle()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.call_tool, "get_job", arguments)
            await human.here.wait()
            await settle()
            human.go.set()
        ended = facts(await client.call_tool("get_job", {"job_id": running["job"]["job_id"]}))

    assert ended["report"]["said"] == ["ONE", "TWO"]
    assert human.asked == ["one", "two"]


async def test_a_client_that_says_no_is_no_answer(
    backend: FakeBackend, talk: Talk, human: Human
) -> None:
    """The work hears of it, and goes on without."""
    human.refuses = True
    async with connected(backend, talk, human, "legacy") as client:
        report = facts(await client.call_tool("talk_tool"))

    assert report["said"] == ["refused: User rejected sampling request"] * 2


@pytest.mark.parametrize("era", ["auto", "legacy"])
async def test_a_call_that_is_cancelled_while_it_asks_cancels_the_work(
    era: Era, backend: FakeBackend, talk: Talk, human: Human
) -> None:
    """In the handshake era; a client of today makes no call while its model thinks."""
    human.go = anyio.Event()
    async with connected(backend, talk, human, era) as client:
        async with anyio.create_task_group() as calls:
            calls.start_soon(client.call_tool, "talk_tool")
            await human.here.wait()
            calls.cancel_scope.cancel()
        if era == "auto":
            # Nobody tells that it has gone, so the question ends the wait for it.
            await talk.clock.advance(2 * ANSWER_SECONDS)
        else:
            await talk.cleaned.wait()

    assert talk.started == 1


async def test_a_question_that_nobody_takes_up_does_not_wait_for_ever(
    backend: FakeBackend, talk: Talk
) -> None:
    """The job comes to its end without the client."""
    async with connected(backend, talk, None, "auto") as client:
        running = facts(await client.call_tool("talk_tool", {"wait_seconds": 0}))
        await settle()
        for _ in talk.asks:
            await talk.clock.advance(ANSWER_SECONDS)
        ended = facts(await client.call_tool("get_job", {"job_id": running["job"]["job_id"]}))

    assert ended["report"]["said"] == ["unanswered", "unanswered"]


async def test_only_the_open_question_can_be_answered() -> None:
    """Once, and by its number."""
    questions = Questions(VirtualClock())
    heard: list[str] = []

    async def work() -> None:
        heard.append(await questions.ask("first?"))
        heard.append(await questions.ask("second?"))

    async with anyio.create_task_group() as tasks:
        questions.answer(0, "none was asked")
        tasks.start_soon(work)
        await questions.wait()
        questions.answer(2, "too early")
        questions.answer(1, "first")
        questions.answer(1, "again")
        await questions.wait()
        questions.answer(1, "late")
        questions.answer(2, "second")

    assert heard == ["first", "second"]
    assert questions.open is None


async def test_one_call_at_a_time_sees_to_a_question() -> None:
    """Until it gives it back."""
    questions = Questions(VirtualClock())
    turns: list[bool] = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(questions.ask, "?")
        await questions.wait()
        turns += [questions.take(), questions.take()]
        questions.give_back()
        turns.append(questions.take())
        questions.answer(questions.number, "!")

    assert turns == [True, False, True]
