"""The test files of both sides, compiled once for all of their runs."""

from collections.abc import Mapping
from dataclasses import replace

import anyio

from ....server.programs import OpenSandbox
from ...run_generated_tests.compiling import Compiled, compile_tests
from ..environment.side import Side
from .ground import Ground


async def with_compiled(
    ground: Ground, base: Side, head: Side, at_base: OpenSandbox, at_head: OpenSandbox
) -> Ground:
    """The same with what compiling them came to. Not where packages differ: those of head would have a hand in what
    base's tests are.
    """
    mine, other = base.environment, head.environment
    if (mine.packages, mine.python) != (other.packages, other.python):
        return ground
    before = {path: ground.base.files[path] for path in ground.selection.base}
    after = {path: ground.head.files[path] for path in ground.selection.head}
    fresh = {path: text for path, text in after.items() if before.get(path) != text}
    found: list[Compiled] = []

    async def add(texts: Mapping[str, bytes], opened: OpenSandbox) -> None:
        found.append(await compile_tests(texts, opened))

    async with anyio.create_task_group() as group:
        group.start_soon(add, before, at_base)
        group.start_soon(add, fresh, at_head)
    return replace(ground, compiled=found[0] | found[1])
