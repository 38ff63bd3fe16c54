"""Work that goes on beside a block and ends with it."""

from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import anyio


@asynccontextmanager
async def beside(work: Callable[[], Coroutine[Any, Any, object]]) -> AsyncGenerator[None]:
    """Do it for as long as the block runs; it is cancelled, and over, when the block is left.

    What the block raises comes out as it is: a task group around it would wrap it.
    """
    tasks = anyio.create_task_group()
    await tasks.__aenter__()
    tasks.start_soon(work)
    try:
        yield
    finally:
        tasks.cancel_scope.cancel()
        await tasks.__aexit__(None, None, None)
