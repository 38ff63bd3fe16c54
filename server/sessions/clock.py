"""Time, as the session manager sees it: injected, so that tests turn the clock by hand."""

import time
from collections.abc import Awaitable, Callable
from typing import Protocol

import anyio


class Clock(Protocol):
    """Seconds that only grow, and a way to wait for them."""

    def monotonic(self) -> float:
        """Seconds since some fixed moment."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait; a cancellation ends it."""
        ...


class SystemClock:
    """The machine's clock."""

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await anyio.sleep(seconds)


async def finishes_within(
    clock: Clock, seconds: float, work: Callable[[], Awaitable[object]]
) -> bool:
    """Do `work`, cancelled after `seconds`; whether it came to its end. It must not raise."""
    finished = False

    async def give_up() -> None:
        await clock.sleep(seconds)
        tasks.cancel_scope.cancel()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(give_up)
        await work()
        finished = True
        tasks.cancel_scope.cancel()
    return finished
