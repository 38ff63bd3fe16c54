"""The prompts as the server offers them: those whose tools it has, with proposals for their arguments."""

import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.prompts import Prompt
from mcp.server.mcpserver.prompts.base import Message, PromptArgument, UserMessage
from mcp.shared.exceptions import MCPError
from mcp.types import (
    INVALID_PARAMS,
    Completion,
    CompletionArgument,
    CompletionContext,
    InputRequiredResult,
    PromptReference,
    ResourceTemplateReference,
)
from pydantic import Field

from ..prompts import Prompt as Workflow
from ..prompts import all_prompts

_MOST_VALUES = 100  # the protocol's own limit
_MOST_ENTRIES = 10_000


def offer(server: MCPServer[Any], tools: Collection[str], roots: tuple[Path, ...]) -> None:
    """Add the prompts that need no other `tools`; paths are completed inside `roots` only."""
    offered = {prompt.name: prompt for prompt in all_prompts() if set(prompt.tools) <= set(tools)}
    for prompt in offered.values():
        server.add_prompt(_prompt(prompt))

    async def complete(
        reference: PromptReference | ResourceTemplateReference,
        argument: CompletionArgument,
        context: CompletionContext | None,
    ) -> Completion | None:
        del context
        if not isinstance(reference, PromptReference) or reference.name not in offered:
            return None
        return _completion(offered[reference.name], argument, roots)

    server.completion()(complete)


class _Offered(Prompt):
    """One of our prompts; the SDK's own would answer a missing argument with an internal error."""

    source: Workflow = Field(exclude=True)

    async def render(
        self, arguments: dict[str, Any] | None, context: Context[Any, Any]
    ) -> list[Message] | InputRequiredResult:
        """The prompt as one message of the user's."""
        del context
        try:
            return [UserMessage(self.source.filled_in(arguments or {}))]
        except ValueError as error:
            raise MCPError(code=INVALID_PARAMS, message=str(error)) from error


def _prompt(prompt: Workflow) -> Prompt:
    return _Offered(
        name=prompt.name,
        title=prompt.title,
        description=prompt.description,
        arguments=[
            PromptArgument(name=each.name, description=each.description, required=each.required)
            for each in prompt.arguments
        ],
        fn=prompt.filled_in,
        context_kwarg=None,
        source=prompt,
    )


def _completion(
    prompt: Workflow, asked: CompletionArgument, roots: tuple[Path, ...]
) -> Completion | None:
    argument = next((each for each in prompt.arguments if each.name == asked.name), None)
    if argument is None:
        return None
    # Where an argument takes several values, the last one is being written.
    before, space, started = asked.value.rpartition(" ")
    proposed = (
        sorted(_paths(asked.value, roots))
        if argument.is_path
        else [f"{before}{space}{value}" for value in argument.values if value.startswith(started)]
    )
    shown = proposed[:_MOST_VALUES]
    return Completion(values=shown, total=len(proposed), has_more=len(proposed) > len(shown))


def _paths(started: str, roots: tuple[Path, ...]) -> Iterator[str]:
    """What is in the folder that `started` names so far, relative to a root; hidden names only if asked."""
    folder, _, name = started.rpartition("/")
    for root in roots:
        place = (root / folder).resolve()
        if started.startswith("/") or not place.is_relative_to(root.resolve()):
            continue
        for entry in _entries(place):
            if entry.name.startswith(name or "") and (name or not entry.name.startswith(".")):
                path = f"{folder}/{entry.name}" if folder else entry.name
                yield f"{path}/" if entry.is_dir(follow_symlinks=False) else path


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            for number, entry in enumerate(entries):
                if number == _MOST_ENTRIES:
                    return
                yield entry
    except OSError:
        return  # there is nothing to propose
