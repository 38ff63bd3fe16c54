"""The model of the connected client, which each of the two eras of the protocol lets a server ask in its own way.

In the handshake era a server sends its question while a call goes on. A client of 2026-07-28 gets questions as
the result of a call, answers them, and calls again. Work that goes on as a job puts each of its questions
down (`server.jobs.Questions`); whatever call of the client looks at the job next takes the question up, the
one that started it or get_job.
"""

import json
import time
import warnings
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import anyio
from mcp import MCPError
from mcp.server.mcpserver import Context
from mcp.types import (
    CreateMessageRequest,
    CreateMessageResult,
    CreateMessageResultWithTools,
    InputRequiredResult,
    ModelPreferences,
    SamplingMessage,
)

from ..server.jobs import Jobs, JobState, OnProgress, Questions
from ..server.jobs.questions import ANSWER_SECONDS
from ..server.sandbox import InvalidInput

# From here on there are no requests from server to client.
_MODERN = "2026-07-28"

Message = CreateMessageResult | CreateMessageResultWithTools
Send = Callable[[CreateMessageRequest], Awaitable[Message]]
"""Asks the client's model. Raises MCPError where the client does not answer."""


class _Session(Protocol):
    """What a client of the handshake era is asked by."""

    async def create_message(
        self,
        messages: list[SamplingMessage],
        *,
        max_tokens: int,
        temperature: float | None = None,
        model_preferences: ModelPreferences | None = None,
    ) -> Message: ...


def is_modern(ctx: Context[Any]) -> bool:
    """Whether the client takes questions as the result of a call."""
    return (ctx.protocol_version or "") >= _MODERN


def is_offered(ctx: Context[Any]) -> bool:
    """Whether the client lets servers use its model."""
    capabilities = ctx.client_capabilities
    return capabilities is not None and capabilities.sampling is not None


def check_offered(ctx: Context[Any], name: str) -> None:
    """Raises InvalidInput where the client lets nobody use its model."""
    if not is_offered(ctx):
        raise InvalidInput(
            f"{name}: this client does not let servers use its model (it declares no sampling). Name a"
            " model of a provider instead."
        )


def during_call(ctx: Context[Any]) -> Send:
    """Asks a client of the handshake era, while its call goes on."""

    return lambda request: _create(ctx.session, request)


async def _create(session: _Session, request: CreateMessageRequest) -> Message:
    asked = request.params
    with warnings.catch_warnings():
        # Deprecated, and there is no other way to ask a client of that era.
        warnings.simplefilter("ignore")
        asking = session.create_message(
            asked.messages,
            max_tokens=asked.max_tokens,
            temperature=asked.temperature,
            model_preferences=asked.model_preferences,
        )
    return await asking


def by_job(questions: Questions) -> Send:
    """Asks whichever client looks at the job that has these questions. Raises Unanswered too."""

    async def send(request: CreateMessageRequest) -> Message:
        answer = await questions.ask(request)
        if isinstance(answer, MCPError):
            raise answer
        return answer

    return send


def job_of(ctx: Context[Any]) -> str | None:
    """The job whose question the client answers by this call; None for a call of its own."""
    return json.loads(ctx.request_state)["job"] if ctx.request_state else None


async def attend(
    ctx: Context[Any],
    jobs: Jobs,
    who: str,
    job_id: str,
    wait_seconds: float,
    *,
    on_progress: OnProgress | None = None,
) -> JobState | InputRequiredResult:
    """As `Jobs.wait`, and see to what the job asks of the client's model meanwhile; a result is a question
    that the client is to call again with the answer to.

    Raises:
        JobNotFound: `who` has no such job.
    """
    questions = jobs.questions(who, job_id) if is_offered(ctx) else None
    deadline = time.monotonic() + wait_seconds
    if questions is not None:
        _take_answers(ctx, questions)
    while True:
        state = await jobs.wait(
            who,
            job_id,
            max(0.0, deadline - time.monotonic()),
            on_progress=on_progress,
            until_asked=questions is not None,
        )
        if questions is None or questions.open is None or state.state != "running":
            return state
        if is_modern(ctx):
            return _as_result(questions, job_id)
        if not questions.take():
            return state  # another call sees to it
        await _put(questions, during_call(ctx))


def _take_answers(ctx: Context[Any], questions: Questions) -> None:
    for key, answer in (ctx.input_responses or {}).items():
        if key.isdecimal() and isinstance(answer, Message):
            questions.answer(int(key), answer)


def _as_result(questions: Questions, job_id: str) -> InputRequiredResult:
    """The state comes back with the answer, sealed by the SDK."""
    return InputRequiredResult(
        input_requests={str(questions.number): questions.open},
        request_state=json.dumps({"job": job_id}),
    )


async def _put(questions: Questions, send: Send) -> None:
    """Put the open question to the client, for as long as it is one: somebody may be asked for leave, or may have
    gone without a word.
    """
    number = questions.number
    try:
        with anyio.move_on_after(ANSWER_SECONDS):
            questions.answer(number, await send(questions.open))
    except MCPError as error:
        questions.answer(number, error)
    except anyio.get_cancelled_exc_class():
        questions.give_back()
        raise
