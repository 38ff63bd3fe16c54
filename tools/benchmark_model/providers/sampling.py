"""The model of the connected MCP client, in both eras of the protocol.

A client of the handshake era is asked while the call goes on. A client of 2026-07-28 gets many questions at
once as the result of the call, answers them, and calls again; it does so ten times at most. Neither tells how
many tokens an answer took, so its cost is unknown.
"""

import json
import math
from collections.abc import Mapping
from typing import Any

from mcp import MCPError
from mcp.types import (
    METHOD_NOT_FOUND,
    CreateMessageRequest,
    CreateMessageRequestParams,
    InputRequiredResult,
    InputResponses,
    ModelHint,
    ModelPreferences,
    SamplingMessage,
    TextContent,
)

from ....server.jobs import Unanswered
from ....server.sandbox import InvalidInput
from ....server.sessions import Clock
from ..._client_model import Message, Send
from .base import Parameters, Question, Refused, Reply, Stop, Trouble

ROUNDS = 10
MOST_QUESTIONS = 2000
_PARAMETERS = ("max_tokens", "temperature")
# Its user said no; it does not do it after all. Whoever asks again is a nuisance.
_NEVER = (-1, METHOD_NOT_FOUND)


class Sampling:
    """A model of the client. `send` is None where it cannot be asked while a call goes on."""

    most_at_once = 4
    priced_as = None
    fingerprint = ""

    def __init__(self, model: str, parameters: Parameters, clock: Clock, send: Send | None) -> None:
        """Raises InvalidInput where it takes no such parameter."""
        self.name = f"sampling:{model}"
        for given in parameters:
            if given not in _PARAMETERS:
                raise InvalidInput(
                    f"{self.name} takes no parameter {given!r}. It takes {', '.join(_PARAMETERS)}."
                    " Nothing was asked."
                )
        self._parameters = parameters
        # The client chooses; a name is no more than a wish.
        wish = ModelPreferences(hints=[ModelHint(name=model)])
        self._wish = None if model == "default" else wish
        self._clock = clock
        self._send = send

    async def check(self) -> None:
        """A client that declares sampling can be asked."""

    async def ask(self, question: Question) -> Reply:
        """As `Provider.ask`, by a request to the client."""
        if self._send is None:
            raise Refused("The client gave no answer to it.", for_good=False)
        began = self._clock.monotonic()
        try:
            answer = await self._send(self.request(question))
        except MCPError as error:
            if error.code in _NEVER:
                raise Refused(f"the client says: {error}", for_good=True) from error
            raise Trouble(f"the client says: {error}") from error
        except Unanswered as error:
            raise Refused("The client was not there to be asked.", for_good=True) from error
        return reply_of(answer, self._clock.monotonic() - began)

    async def close(self) -> None:
        """The connection is not ours."""

    def request(self, question: Question) -> CreateMessageRequest:
        """A question as a client of 2026-07-28 gets it."""
        return CreateMessageRequest(
            params=CreateMessageRequestParams(
                messages=[_message(question)],
                max_tokens=self._parameters["max_tokens"],
                temperature=self._parameters.get("temperature"),
                model_preferences=self._wish,
            )
        )


def reply_of(answer: Message, seconds: float | None) -> Reply:
    """What the client sent as a reply."""
    blocks: Any = answer.content if isinstance(answer.content, list) else [answer.content]
    stops: Mapping[str, Stop] = {"maxTokens": "max_tokens", "refusal": "refusal"}
    return Reply(
        text="".join(block.text for block in blocks if isinstance(block, TextContent)),
        stop=stops.get(str(answer.stop_reason), "end"),
        seconds=seconds,
        served_by=answer.model,
    )


def answers(responses: InputResponses | None) -> dict[str, Reply]:
    """The replies that came with a call, by the keys of their questions. Times are not known."""
    return {
        key: reply_of(answer, None)
        for key, answer in (responses or {}).items()
        if isinstance(answer, Message)
    }


def next_round(
    missing: Mapping[str, CreateMessageRequest], state: str | None
) -> InputRequiredResult | None:
    """The questions to give to the client now; None where it has answered all, or is not to be asked again.

    `state` is what the round before gave along (sealed by the SDK); rounds are as large as they must be for
    all to fit into ten.

    Raises:
        InvalidInput: there are too many.
    """
    asked = json.loads(state)["round"] if state else 0
    if not missing or asked >= ROUNDS - 1:
        return None
    if len(missing) > MOST_QUESTIONS:
        raise InvalidInput(
            f"{len(missing):,} questions are too many for the client's own model; at most {MOST_QUESTIONS:,} fit"
            " in a call. Use fewer tasks (`first`) or samples."
        )
    # One round is kept for answers that did not come.
    left = max(1, ROUNDS - 2 - asked)
    count = math.ceil(len(missing) / left)
    part = dict(list(missing.items())[:count])
    return InputRequiredResult(
        input_requests={**part}, request_state=json.dumps({"round": asked + 1})
    )


def _message(question: Question) -> SamplingMessage:
    return SamplingMessage(role="user", content=TextContent(text=question.prompt))
