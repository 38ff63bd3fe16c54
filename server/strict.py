"""Arguments held to the schema, with refusals that a model can act on.

The SDK drops unknown arguments silently, so a misspelt `sesion_id` would quietly run in a fresh
sandbox; and its validation errors repeat the caller's data.
"""

from collections.abc import Mapping
from typing import Any

from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.extension import Extension
from mcp.server.mcpserver.tools import Tool
from mcp.types import CallToolRequestParams, CallToolResult, TextContent
from pydantic import ValidationError


class StrictArguments(Extension):
    """Refuses calls whose arguments are unknown or do not fit, before the tool is entered."""

    identifier = "io.proofbox/strict-arguments"

    def __init__(self, tools: Mapping[str, Tool]) -> None:
        self._tools = tools

    async def intercept_tool_call(
        self,
        params: CallToolRequestParams,
        ctx: ServerRequestContext[Any, Any],
        call_next: CallNext,
    ) -> HandlerResult:
        tool = self._tools.get(params.name)
        problem = (
            _problem(tool, params.arguments or {})
            if tool is not None
            else f"There is no tool {params.name!r}. Tools: {', '.join(sorted(self._tools))}."
        )
        if problem is None:
            return await call_next(ctx)
        return CallToolResult(is_error=True, content=[TextContent(text=problem)])


def _problem(tool: Tool, arguments: Mapping[str, Any]) -> str | None:
    known = tool.parameters.get("properties", {})
    unknown = sorted(set(arguments) - set(known))
    if unknown:
        return (
            f"Unknown argument{'s' if len(unknown) > 1 else ''}: {', '.join(unknown)}. Nothing was "
            f"done. {tool.name} takes: {', '.join(known)}."
        )
    try:
        tool.fn_metadata.validate_arguments(dict(arguments))
    except ValidationError as error:
        faults = "; ".join(_fault(item) for item in error.errors(include_url=False))
        return f"The arguments of {tool.name} do not fit, so nothing was done. {faults}."
    return None


def _fault(item: Any) -> str:
    where = ".".join(str(part) for part in item["loc"])
    return f"{where}: {item['msg'][0].lower()}{item['msg'][1:]}"
