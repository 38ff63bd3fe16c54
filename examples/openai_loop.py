"""Any model behind an OpenAI-compatible endpoint answers a question by running code, or not at all.

    pip install 'proofbox[openai]'
    export OPENAI_BASE_URL=http://127.0.0.1:11434/v1 OPENAI_API_KEY=none OPENAI_MODEL=qwen3-coder
    python openai_loop.py "On which weekday did the year 2000 begin?"

The loop is written out: the model is offered proofbox's `execute_code`, each call is run, and what came of
it goes back. An answer counts only if the model's last run has passed and printed something; one
from memory is sent back.

The exit code is 0 with the answer and the run that it rests on, else 1. The command `proofbox` has to be
on PATH.
"""

import json
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import anyio
from mcp import Client, StdioServerParameters
from mcp.types import CallToolResult, TextContent, Tool
from openai import AsyncOpenAI, OpenAIError
from openai.types.chat.chat_completion_message_function_tool_call import Function

NEEDED = {"OPENAI_API_KEY", "OPENAI_MODEL"}
TOOL = "execute_code"
TURNS = 12
SYSTEM = (
    "Answer by computing: run code with execute_code and have it print what you need. Then answer in a "
    "sentence, from what was printed and from nothing else."
)
NO_PROOF = "That rests on no run that passed and printed something. Run code that computes it."


@dataclass(frozen=True)
class Answer:
    """What the model says, and the run that it rests on."""

    text: str
    code: str
    evidence: str


async def answer(model: AsyncOpenAI, proofbox: Client, question: str) -> Answer | None:
    """The answer with its proof; None if the model has not come to one."""
    tools: Any = [
        as_function(tool) for tool in (await proofbox.list_tools()).tools if tool.name == TOOL
    ]
    messages: list[Any] = [
        {"role": "system", "content": SYSTEM},
        {"role": "user", "content": question},
    ]
    name = os.environ["OPENAI_MODEL"]
    proof: tuple[Function, CallToolResult] | None = None
    for _ in range(TURNS):
        reply = await model.chat.completions.create(model=name, messages=messages, tools=tools)
        choice = reply.choices[0]
        messages.append(choice.message.to_dict())
        for call in choice.message.tool_calls or ():
            if call.type != "function":
                continue
            result = await run(proofbox, call.function)
            proof = (call.function, result) if proves(result) else None
            told = {"role": "tool", "tool_call_id": call.id, "content": text_of(result)}
            messages.append(told)
        if choice.message.tool_calls:
            continue
        if choice.finish_reason != "stop":
            return None
        if proof and choice.message.content:
            ran, result = proof
            code = json.loads(ran.arguments)["code"]
            return Answer(choice.message.content, code, text_of(result))
        messages.append({"role": "user", "content": NO_PROOF})
    return None


async def run(proofbox: Client, wanted: Function) -> CallToolResult:
    """What came of a call. What cannot be meant is said to the model, which may mend it."""
    if wanted.name != TOOL:
        return refusal(f"There is no tool {wanted.name}: use {TOOL}.")
    try:
        return await proofbox.call_tool(TOOL, json.loads(wanted.arguments))
    except ValueError as error:
        return refusal(f"These arguments are no JSON object: {error}")


def refusal(text: str) -> CallToolResult:
    """A result of a call that was not made."""
    return CallToolResult(content=[TextContent(text=f"Nothing was run. {text}")], is_error=True)


def as_function(tool: Tool) -> dict[str, Any]:
    """A tool as chat completions have it."""
    about = {"name": tool.name, "description": tool.description, "parameters": tool.input_schema}
    return {"type": "function", "function": about}


def proves(result: CallToolResult) -> bool:
    """Whether it ran to its end and gave something to answer from. No error alone is no proof."""
    facts: Mapping[str, Any] = result.structured_content or {}
    return facts.get("verdict") == "passed" and bool(facts.get("stdout") or facts.get("value"))


def text_of(result: CallToolResult) -> str:
    """What the tool says, for a model or a person."""
    return "\n".join(block.text for block in result.content if isinstance(block, TextContent))


async def main(question: str) -> int:
    """Ask, and print the answer with its proof; the exit code."""
    server = StdioServerParameters(command="proofbox", env=dict(os.environ))
    async with AsyncOpenAI() as model, Client(server) as proofbox:
        try:
            found = await answer(model, proofbox, question)
        except OpenAIError as error:
            print(f"The model could not be asked: {error}", file=sys.stderr)
            return 1
    if found is None:
        print("The model has not come to an answer that a run proves.", file=sys.stderr)
        return 1
    print(f"{found.text}\n\nIt ran:\n{found.code}\n\n{found.evidence}")
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 2 or NEEDED - os.environ.keys() or not shutil.which("proofbox"):
        sys.exit(__doc__)
    sys.exit(anyio.run(main, sys.argv[1]))
