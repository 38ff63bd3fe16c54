"""Claude writes a function, and is done when tests have proved it, not when it says so.

    pip install 'proofbox[anthropic]'
    ANTHROPIC_API_KEY=... python claude_loop.py "slug(title): lower-case words joined by hyphens"

Claude tries things out by proofbox's `execute_code`, which the SDK's MCP helpers hand to it, and turns in a
module with tests by `submit`. That has proofbox judge them: the tests must pass, in any order, and
must fail when the function is broken on purpose. What does not hold goes back to Claude.

The exit code is 0 with the proved code on stdout, else 1 with the reason on stderr. The command `proofbox`
has to be on PATH.
"""

import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import anyio
from anthropic import AnthropicError, AsyncAnthropic, beta_async_tool
from anthropic.lib.tools import ToolError
from anthropic.lib.tools.mcp import async_mcp_tool
from mcp import Client, StdioServerParameters
from mcp.types import CallToolResult, TextContent

MODEL = os.environ.get("ANTHROPIC_MODEL", "claude-opus-5-5")
TURNS = 30
SYSTEM = (
    "Write the module solution.py and its pytest tests, which import from solution. Try things out with "
    "execute_code. You are done when submit says that it is proved, and not before."
)


@dataclass(frozen=True)
class Proved:
    """A module, its tests, and what proofbox says of the two."""

    code: str
    tests: str
    evidence: str


async def write(claude: AsyncAnthropic, proofbox: Client, task: str) -> Proved | None:
    """What Claude writes for the task once it is proved; None if it stops before that."""
    proved: list[Proved] = []

    @beta_async_tool
    async def submit(code: str, tests: str) -> str:
        """Hand in the finished work: it is tested, and so are its tests.

        Args:
            code: The text of solution.py.
            tests: The text of test_solution.py.
        """
        given = {"source": {"solution.py": code}, "tests": {"test_solution.py": tests}}
        result = await proofbox.call_tool("run_generated_tests", {**given, "wait_seconds": 300})
        if verdict_of(result) != "passed":
            raise ToolError(f"Not proved; mend it and submit again.\n{text_of(result)}")
        proved.append(Proved(code, tests, text_of(result)))
        return "Proved."

    offered = (await proofbox.list_tools()).tools
    runner = claude.beta.messages.tool_runner(
        model=MODEL,
        max_tokens=8192,
        max_iterations=TURNS,
        system=SYSTEM,
        messages=[{"role": "user", "content": task}],
        tools=[
            submit,
            *(
                async_mcp_tool(one, proofbox.session)
                for one in offered
                if one.name == "execute_code"
            ),
        ],
        # Whoever has to use a tool cannot just claim to be done.
        tool_choice={"type": "any"},
    )
    async for _ in runner:
        await runner.generate_tool_call_response()
        if proved:
            await runner.close()
    return proved[-1] if proved else None


def verdict_of(result: CallToolResult) -> str | None:
    """The one word that counts. A refusal has none, and neither has work that is not done."""
    facts: Mapping[str, Any] = result.structured_content or {}
    return facts.get("verdict")


def text_of(result: CallToolResult) -> str:
    """What the tool says, for a model or a person."""
    return "\n".join(block.text for block in result.content if isinstance(block, TextContent))


async def main(task: str) -> int:
    """Have it written and proved; the exit code."""
    server = StdioServerParameters(command="proofbox", env=dict(os.environ))
    async with AsyncAnthropic() as claude, Client(server) as proofbox:
        try:
            work = await write(claude, proofbox, task)
        except AnthropicError as error:
            print(f"Claude could not be asked: {error}", file=sys.stderr)
            return 1
    if work is None:
        print("Claude stopped before anything was proved.", file=sys.stderr)
        return 1
    print(f"{work.code}\n# The tests that prove it:\n\n{work.tests}")
    print(work.evidence, file=sys.stderr)
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 2 or "ANTHROPIC_API_KEY" not in os.environ or not shutil.which("proofbox"):
        sys.exit(__doc__)
    sys.exit(anyio.run(main, sys.argv[1]))
