"""`proofbox demo`: a real client, a real server in a process of its own, and what they say.

Every step states what must come back; the demo fails if it does not.
"""

import json
import logging
import os
import sys
import textwrap
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import anyio
import click
from mcp import Client, MCPError, StdioServerParameters
from mcp.types import CallToolResult, ImageContent, TextContent

from ..sandbox import SandboxUnavailable

logger = logging.getLogger(__name__)

# A first start may have to download and build the environment.
FIRST_CALL_SECONDS = 600.0
CALL_SECONDS = 60.0

Facts = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Step:
    """One call of a tool. `good` judges the structured content and the whole result."""

    title: str
    code: str
    good: Callable[[Facts, CallToolResult], bool]
    timeout_seconds: float = 30.0


@dataclass(frozen=True, slots=True)
class Done:
    """What a step gave."""

    title: str
    tool: str
    arguments: Facts
    ok: bool
    result: Facts
    text: str = field(repr=False)


def _has_picture(result: CallToolResult) -> bool:
    return any(isinstance(block, ImageContent) for block in result.content)


STEPS = (
    Step(
        "Run a function before believing in it",
        "def median(xs):\n    xs = sorted(xs)\n    return xs[len(xs) // 2]\n\n"
        "print('odd: ', median([3, 1, 2]))\nprint('even:', median([4, 1, 3, 2]), '(should be 2.5)')",
        lambda facts, _: facts["verdict"] == "passed" and "even: 3" in facts["stdout"],
    ),
    Step(
        "Variables stay, so the next call can mend it",
        "def median(xs):\n    xs, n = sorted(xs), len(xs)\n"
        "    return (xs[(n - 1) // 2] + xs[n // 2]) / 2\n\nmedian([4, 1, 3, 2])",
        lambda facts, _: facts.get("value") == "2.5" and facts["session"] == "continued",
    ),
    Step(
        "A plot comes back as a picture",
        "import numpy as np, matplotlib.pyplot as plt\n"
        "sizes = np.arange(1, 200)\n"
        "plt.plot(sizes, [median(np.random.rand(n)) for n in sizes])\n"
        "plt.title('The median of n random numbers')\nplt.show()",
        lambda facts, result: (
            facts["verdict"] == "passed"
            and _has_picture(result)
            and facts["artifacts"][0]["mime_type"] == "image/png"
        ),
    ),
    Step(
        "An error names its line",
        "scores = {'ada': [1, 2], 'bob': []}\nfor name, given in scores.items():\n"
        "    print(name, median(given))",
        lambda facts, _: (
            facts["verdict"] == "failed"
            and facts["error"]["name"] == "IndexError"
            and facts["error"]["line"] == 3
            and "ada" in facts["stdout"]
        ),
    ),
    Step(
        "An endless loop ends, and the session goes on",
        "print('working ...')\nwhile True:\n    pass",
        lambda facts, _: facts["verdict"] == "failed" and "working" in facts["stdout"],
        timeout_seconds=1.0,
    ),
    Step(
        "Nothing from outside can be reached",
        "import socket\nsocket.create_connection(('1.1.1.1', 443), timeout=3)",
        lambda facts, _: (
            facts["verdict"] == "failed"
            and facts["error"]["name"] in {"OSError", "TimeoutError"}
            and facts["error"]["line"] == 2
        ),
    ),
)


async def show(flags: list[str], *, as_json: bool) -> int:
    """Start the server with these flags, go through the steps, and print them; the exit code.

    Raises:
        SandboxUnavailable: the server stopped answering.
    """
    server = StdioServerParameters(
        command=sys.executable,
        args=["-P", "-m", "proofbox.server.cli", *flags],
        env=dict(os.environ),
    )
    say = _silent if as_json else _aloud
    done: list[Done] = []
    try:
        with anyio.fail_after(FIRST_CALL_SECONDS):
            async with Client(server) as client:
                say(await _introduction(client))
                await _go_through(client, say, done)
    except (ExceptionGroup, MCPError, TimeoutError) as error:
        logger.info("The exchange broke off", exc_info=error)
        raise SandboxUnavailable(
            f"The server that the demo had started stopped answering after {len(done)} steps; "
            "it may have said above why. `proofbox doctor` can tell more."
        ) from error
    ok = len(done) == len(STEPS) + 1 and all(step.ok for step in done)
    if as_json:
        steps = [
            {key: value for key, value in asdict(one).items() if key != "text"} for one in done
        ]
        click.echo(json.dumps({"ok": ok, "steps": steps}, indent=2))
    else:
        good = sum(step.ok for step in done)
        say(f"{good} of {len(STEPS) + 1} steps gave what they should.")
    return 0 if ok else 1


def _aloud(text: str) -> None:
    click.echo(text)


def _silent(text: str) -> None:
    del text


async def _introduction(client: Client) -> str:
    tools = ", ".join(tool.name for tool in (await client.list_tools()).tools)
    info = client.server_info
    name = f"{info.name} {info.version}" if info else "the server"
    return f"{name}, MCP {client.protocol_version}, over stdio\ntools: {tools}\n"


async def _go_through(client: Client, say: Callable[[str], None], done: list[Done]) -> None:
    session_id: str | None = None
    for number, step in enumerate(STEPS, start=1):
        arguments: Facts = {"code": step.code, "timeout_seconds": step.timeout_seconds}
        if session_id is not None:
            arguments["session_id"] = session_id
        say(_question(number, step))
        limit = CALL_SECONDS if done else FIRST_CALL_SECONDS
        result = await client.call_tool(
            "execute_code", arguments, read_timeout_seconds=limit, progress_callback=_progress
        )
        done.append(_judged(step, arguments, result))
        say(_answer(done[-1]))
        if not result.structured_content:
            break
        session_id = result.structured_content["session_id"]
    if session_id is not None:
        done.append(await _close(client, session_id))
        title = click.style(f"{len(done)}. {done[-1].title}", bold=True)
        say(f"{title}\n{_answer(done[-1])}")


def _judged(step: Step, arguments: Facts, result: CallToolResult) -> Done:
    facts: Facts = result.structured_content or {}
    ok = bool(facts) and _holds(step, facts, result)
    return Done(step.title, "execute_code", arguments, ok, facts, _text_of(result))


def _holds(step: Step, facts: Facts, result: CallToolResult) -> bool:
    try:
        return step.good(facts, result)
    except (KeyError, IndexError, TypeError):
        return False


async def _close(client: Client, session_id: str) -> Done:
    arguments = {"session_id": session_id}
    result = await client.call_tool("close_session", arguments, read_timeout_seconds=CALL_SECONDS)
    again = await client.call_tool("execute_code", {"code": "1", **arguments})
    ok = not result.is_error and bool(again.is_error)
    return Done(
        "The session is closed", "close_session", arguments, ok,
        result.structured_content or {}, _text_of(result),
    )  # fmt: skip


def _text_of(result: CallToolResult) -> str:
    return "\n".join(block.text for block in result.content if isinstance(block, TextContent))


async def _progress(progress: float, total: float | None, message: str | None) -> None:
    del progress, total
    if message:
        click.echo(f"   ... {message}", err=True)


def _question(number: int, step: Step) -> str:
    code = textwrap.indent(step.code, click.style("   > ", fg="cyan"), lambda _: True)
    return f"{click.style(f'{number}. {step.title}', bold=True)}\n{code}"


def _answer(done: Done) -> str:
    text = textwrap.indent(_dimmed(done.text), "   ", lambda _: True)
    judged = "" if done.ok else click.style("\n   THIS IS NOT WHAT IT SHOULD BE", fg="red")
    return f"{text}{judged}\n"


def _dimmed(text: str) -> str:
    """The line about the session, which is the same every time, steps back."""
    before, line, after = text.partition("session_id: ")
    return before + (click.style(line + after, dim=True) if line else "")
