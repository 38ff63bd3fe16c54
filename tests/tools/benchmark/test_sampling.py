"""The client's own model, asked in both eras of the protocol, and the tool around it."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import pytest
from fakes import FakeBackend
from mcp import Client
from mcp.client import ClientRequestContext
from mcp.types import (
    CallToolResult,
    CreateMessageRequestParams,
    CreateMessageResult,
    TextContent,
)

from proofbox.server.app import create_server
from proofbox.server.settings import Settings
from proofbox.tools.benchmark_model.providers.sampling import ROUNDS, next_round

Era = Literal["auto", "legacy"]


class Human:
    """What answers for the client's model. `asked` has the prompts."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.wishes: list[Any] = []

    async def answer(
        self, context: ClientRequestContext, params: CreateMessageRequestParams
    ) -> CreateMessageResult:
        content: Any = params.messages[0].content
        self.asked.append(content.text)
        self.wishes.append(params.model_preferences)
        said = TextContent(text="I would rather not.")
        return CreateMessageResult(
            role="assistant", content=said, model="human-1", stop_reason="endTurn"
        )


@asynccontextmanager
async def connected(
    backend: FakeBackend, folder: Path, era: Era, human: Human | None
) -> AsyncGenerator[Client]:
    """A client of a server over a backend that cannot judge: who is asked what is the point here."""
    settings = Settings(data_dir=folder / "data")
    server = create_server(settings, backend=backend, roots=(folder,))
    answer = human.answer if human else None
    async with Client(server, mode=era, sampling_callback=answer) as client:
        yield client


def facts(result: Any) -> dict[str, Any]:
    """The structured content of a result that is one."""
    assert isinstance(result, CallToolResult)
    assert result.structured_content is not None, result.content
    return result.structured_content


@pytest.mark.parametrize("era", ["auto", "legacy"])
async def test_the_clients_own_model_is_asked_each_question_once(
    era: Era, backend: FakeBackend, tmp_path: Path
) -> None:
    """In as many rounds as it takes; the same call again asks nothing."""
    human = Human()
    async with connected(backend, tmp_path, era, human) as client:
        arguments: dict[str, Any] = {"models": ["sampling:default"], "first": 12}
        first = facts(await client.call_tool("benchmark_model", arguments))
        asked = list(human.asked)
        second = facts(await client.call_tool("benchmark_model", arguments))

    assert len(set(asked)) == len(asked) == 12
    assert human.asked == asked
    # What nobody could judge is no pass, and counts neither way.
    assert first["verdict"] == "errored"
    (model,) = first["models"]
    assert (model["samples"], model["unanswered"]) == (0, 12)
    assert model["outcomes"] == {"infra_error": 12}
    assert model["cost"] == "unknown (price: unknown: MCP clients do not tell)"
    assert "input_tokens" not in model
    assert second["models"] == first["models"]


@pytest.mark.parametrize("era", ["auto", "legacy"])
async def test_a_client_without_sampling_is_told_so(
    era: Era, backend: FakeBackend, tmp_path: Path
) -> None:
    """Nothing is asked of anybody."""
    async with connected(backend, tmp_path, era, None) as client:
        result = await client.call_tool("benchmark_model", {"models": ["sampling:default"]})

    assert result.is_error
    assert "does not let servers use its model" in str(result.content)


async def test_a_wish_for_a_model_and_parameters_reach_the_client(
    backend: FakeBackend, tmp_path: Path
) -> None:
    """It decides what to make of them."""
    human = Human()
    async with connected(backend, tmp_path, "auto", human) as client:
        arguments = {"models": ["sampling:swift"], "first": 1, "parameters": {"temperature": 0.5}}
        facts(await client.call_tool("benchmark_model", arguments))
        refused = await client.call_tool(
            "benchmark_model", {"models": ["sampling:swift"], "parameters": {"effort": "low"}}
        )

    assert [wish.hints[0].name for wish in human.wishes] == ["swift"]
    assert "takes no parameter 'effort'" in str(refused.content)


def test_all_questions_fit_into_the_rounds_that_a_client_allows() -> None:
    """Whatever their number, and though one answer never comes."""
    from proofbox.server.sessions import SystemClock
    from proofbox.tools.benchmark_model.providers.base import Question
    from proofbox.tools.benchmark_model.providers.sampling import Sampling

    model = Sampling("default", {"max_tokens": 5}, SystemClock(), None)
    for count in (1, 7, 8, 9, 48, 164, 1000):
        missing = {str(n): model.request(Question("t", n, "p")) for n in range(count)}
        state, rounds = None, 0
        while (given := next_round(missing, state)) is not None:
            rounds += 1
            state = given.request_state
            for key in given.input_requests or {}:
                if key != "0":
                    del missing[key]
        assert list(missing) == ["0"]
        assert rounds < ROUNDS


async def test_a_benchmark_that_takes_long_is_a_job(backend: FakeBackend, tmp_path: Path) -> None:
    """And get_job has the same report."""
    (tmp_path / "answers.jsonl").write_text(
        '{"task_id": "acronym", "text": "No.", "kind": "reply"}'
    )
    arguments: dict[str, Any] = {"models": ["file:answers.jsonl"], "first": 1}
    async with connected(backend, tmp_path, "auto", None) as client:
        now = facts(await client.call_tool("benchmark_model", arguments))
        later = facts(await client.call_tool("benchmark_model", {**arguments, "wait_seconds": 0}))
        job = later["job"]["job_id"]
        report = facts(await client.call_tool("get_job", {"job_id": job}))["report"]

    assert "verdict" not in later
    assert report["models"] == now["models"]
    assert report["samples"] == now["samples"]
    assert [one["task_id"] for one in report["samples"]] == ["acronym"]


async def test_a_dry_run_asks_nothing_and_passes_nothing(
    backend: FakeBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It estimates, and says where its prices are from."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", "k")
    async with connected(backend, tmp_path, "auto", None) as client:
        arguments: dict[str, Any] = {"models": ["anthropic:claude-haiku-5-5"], "dry_run": True}
        report = facts(await client.call_tool("benchmark_model", arguments))

    (estimate,) = report["estimates"]
    assert report["verdict"] == "skipped"
    assert estimate["questions"] == 48
    assert 0 < estimate["usd"] < estimate["at_most_usd"]
    assert estimate["price"].startswith("genai-prices ")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"models": ["claude"]}, "is no model"),
        ({"models": ["anthropic:m"]}, "set ANTHROPIC_API_KEY"),
        ({"models": ["file:/etc/passwd"]}, "outside the folders"),
        ({"models": ["file:answers.jsonl"]}, "has answers to tasks like 'other'"),
        ({"models": ["ollama:m"], "tasks": "nothing.jsonl"}, "no file"),
        ({"models": ["ollama:m"], "parameters": {"max_tokens": 0}}, "max_tokens must be"),
        ({"models": ["ollama:m"], "batch": True}, "batch is for models of Anthropic"),
    ],
)
async def test_what_cannot_be_honoured_is_said_at_once(
    arguments: dict[str, Any],
    complaint: str,
    backend: FakeBackend,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Before anything is asked or run."""
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    (tmp_path / "answers.jsonl").write_text('{"task_id": "other", "text": "x"}')
    async with connected(backend, tmp_path, "auto", None) as client:
        result = await client.call_tool("benchmark_model", arguments)

    assert result.is_error
    assert complaint in str(result.content)
    assert backend.created == []
