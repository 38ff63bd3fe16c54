"""Progress while code runs: the newest line of output, and a sign of life when there is none."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio

from ..server.sandbox import OnOutput, Stream
from . import _text

# Hosts give up on a call that is silent for 60 s or less; a notification costs them a redraw.
HEARTBEAT_SECONDS = 10.0
INTERVAL_SECONDS = 0.5
# Most calls are over before anybody could read of their progress, and a task costs a tenth of such a call.
_LAG_SECONDS = 0.02
# What a report can still show of a run whose sandbox was lost.
HEARD_CHARACTERS = 8000

Tell = Callable[[float, str], Awaitable[None]]
"""Called with the seconds so far and a message."""


class Feed:
    """Takes output as it arrives, without blocking, and remembers the end of each stream.

    `listener` hears everything too. `started`: a sandbox was found and the code is on its way.
    """

    def __init__(self, listener: OnOutput | None = None) -> None:
        self.started = False
        self.heard: dict[Stream, str] = {"stdout": "", "stderr": ""}
        self._listener = listener
        self._newest: Stream = "stdout"
        self._arrived = anyio.Event()

    def on_output(self, stream: Stream, text: str) -> None:
        """An `OnOutput` for the sandbox port."""
        self.heard[stream] = (self.heard[stream] + text[-HEARD_CHARACTERS:])[-HEARD_CHARACTERS:]
        self._newest = stream
        self._arrived.set()
        if self._listener is not None:
            self._listener(stream, text)

    def line(self) -> str:
        """The newest line, empty if nothing was printed."""
        return _text.last_line(self.heard[self._newest])

    async def wait(self, seconds: float) -> None:
        """Until there is more output than at the last wait, at most so many seconds."""
        with anyio.move_on_after(seconds):
            await self._arrived.wait()
        self._arrived = anyio.Event()


@asynccontextmanager
async def reporting(
    feed: Feed,
    tell: Tell,
    waiting_for: Callable[[], str],
    *,
    heartbeat: float = HEARTBEAT_SECONDS,
    interval: float = INTERVAL_SECONDS,
) -> AsyncGenerator[None]:
    """Tell of progress for as long as the block runs: a new line of output, or of `waiting_for`
    until the code starts, at most every `interval` seconds, and something every `heartbeat` seconds.
    """
    start = time.monotonic()

    async def pump() -> None:
        told, when = "", start
        while True:
            await feed.wait(interval)
            now = time.monotonic()
            line = feed.line() or ("" if feed.started else waiting_for())
            if (line and line != told) or now - when >= heartbeat:
                told, when = line, now
                await tell(now - start, line or f"running for {now - start:.0f} s")
                await anyio.sleep(interval)

    async def begin() -> None:
        tasks.start_soon(pump)

    tasks = anyio.create_task_group()
    await tasks.__aenter__()
    loop, beginning = asyncio.get_running_loop(), list[asyncio.Task[None]]()
    # By a task: where anyio did not start the loop, as under `asyncio.run`, it knows none outside of tasks.
    late = loop.call_later(_LAG_SECONDS, lambda: beginning.append(loop.create_task(begin())))
    try:
        yield
    finally:
        late.cancel()
        for task in beginning:
            task.cancel()
        tasks.cancel_scope.cancel()
        # Not given the exception: a task group would wrap it.
        await tasks.__aexit__(None, None, None)
