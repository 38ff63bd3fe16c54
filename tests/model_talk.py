"""A conversation with a model that uses tools, in the two forms in which the stub of models hears it.

A script says what the model does next, by what it has heard:

    def careful(heard: Heard) -> Turn:
        if heard.results and heard.results[-1].startswith("passed"):
            return "It works."
        return Call("execute_code", {"code": "1 + 1"})

The texts are those of the request itself, so a loop that drops what a tool gave gets another turn. As the
vendors' own servers do, `problem_of` turns a conversation away in which a tool's result is missing.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

Facts = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Call:
    """A tool that the model wants. `arguments` as a string are what it wrote itself, JSON or not."""

    tool: str
    arguments: Facts | str


@dataclass(frozen=True, slots=True)
class Heard:
    """What the model has been told: by people, and by tools. `tools` are those that it is offered."""

    said: list[str] = field(default_factory=list[str])
    results: list[str] = field(default_factory=list[str])
    tools: frozenset[str] = frozenset()


Turn = str | Call | list[Call]
Script = Callable[[Heard], Turn]


class Threads:
    """Conversations that Anthropic's server holds (`message-threads-2026-08-12`): of one that goes on, a
    request has only what is new.
    """

    def __init__(self) -> None:
        self._held: dict[str, Facts] = {}

    def whole(self, body: Facts) -> Facts:
        """The request with all that came before it. A thread that is not there is not made up."""
        thread: Facts = body.get("thread") or {}
        if thread.get("type") != "continue":
            return body
        assert not {"system", "tools"} & body.keys()
        held = self._held[thread["previous_message_id"]]
        return {**held, **body, "messages": [*held["messages"], *body["messages"]]}

    def keep(self, body: Facts, reply: Facts) -> None:
        """Hold the conversation under its reply's id."""
        if body.get("thread"):
            said = {"role": "assistant", "content": reply["content"]}
            self._held[reply["id"]] = {**body, "messages": [*body["messages"], said]}


def heard(body: Facts) -> Heard:
    """What a request says, of either vendor."""
    tools = (tool.get("function", tool)["name"] for tool in body.get("tools", ()))
    told = Heard(tools=frozenset(tools))
    for message in body["messages"]:
        if message["role"] == "tool":
            told.results.append(_text(message["content"]))
        elif message["role"] == "user":
            told.results.extend(_text(one["content"]) for one in _blocks(message, "tool_result"))
            told.said.extend([_text(message["content"])] if not _is_results(message) else [])
    return told


def problem_of(body: Facts) -> str:
    """What the vendor would refuse: a tool was called, and the next messages have not its result."""
    messages = body["messages"]
    for number, message in enumerate(messages):
        wanted = {call["id"] for call in message.get("tool_calls") or ()}
        wanted |= {block["id"] for block in _blocks(message, "tool_use")}
        given = set(_answered(messages[number + 1 :])) if wanted else set[str]()
        if wanted - given:
            return f"messages.{number}: tool calls without results: {sorted(wanted - given)}"
    return ""


def _answered(following: list[Facts]) -> Iterator[str]:
    """The calls that the messages right behind them answer."""
    for message in following:
        if message["role"] == "tool":
            yield message["tool_call_id"]
            continue
        yield from (block["tool_use_id"] for block in _blocks(message, "tool_result"))
        return


def blocks_of(turn: Turn, number: int) -> list[Facts]:
    """A turn as the content of Anthropic's messages; `number` makes its ids unlike those of other turns."""
    if isinstance(turn, str):
        return [{"type": "text", "text": turn}]
    calls = [turn] if isinstance(turn, Call) else turn
    return [
        {
            "type": "tool_use",
            "id": f"toolu_{number}_{index}",
            "name": call.tool,
            "input": call.arguments,
        }
        for index, call in enumerate(calls)
    ]


def reply_of(turn: Turn, number: int) -> Facts:
    """A turn as the message of OpenAI's chat."""
    if isinstance(turn, str):
        return {"role": "assistant", "content": turn}
    calls = [turn] if isinstance(turn, Call) else turn
    return {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {
                "id": f"call_{number}_{index}",
                "type": "function",
                "function": {"name": call.tool, "arguments": _written(call.arguments)},
            }
            for index, call in enumerate(calls)
        ],
    }


def _written(arguments: Facts | str) -> str:
    return arguments if isinstance(arguments, str) else json.dumps(arguments)


def _blocks(message: Facts, kind: str) -> list[Facts]:
    return [block for block in _content(message) if block["type"] == kind]


def _is_results(message: Facts) -> bool:
    content = _content(message)
    return bool(content) and all(block["type"] == "tool_result" for block in content)


def _content(message: Facts) -> list[Facts]:
    """The blocks of a message; none where it is plain text."""
    content: list[Facts] | str | None = message.get("content")
    return content if isinstance(content, list) else []


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(block["text"] for block in content if block["type"] == "text")
