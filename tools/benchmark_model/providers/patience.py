"""Asking with bounded concurrency, which halves when the provider is busy, and retries with an end."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

import anyio

from ....server.sessions import Clock
from .base import Busy, Refused, Trouble

FIRST_AT_ONCE = 4

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to go on with one question. `wait_seconds` bounds the waiting for retries, all together."""

    wait_seconds: float = 180.0
    attempts: int = 8
    first_pause_seconds: float = 0.5
    longest_pause_seconds: float = 30.0


class Pace:
    """How many questions may be under way: starts low, grows with success, halves when told to slow down."""

    def __init__(self, most: int, clock: Clock) -> None:
        self.limit = min(FIRST_AT_ONCE, most)
        self._most = most
        self._clock = clock
        self._active = 0
        self._good = 0
        self._pause_until = 0.0
        self._changed = anyio.Condition()

    @asynccontextmanager
    async def turn(self) -> AsyncGenerator[None]:
        """Wait for a free place, and until the provider wants to be asked again."""
        async with self._changed:
            while self._active >= self.limit:
                await self._changed.wait()
            self._active += 1
        try:
            while (left := self._pause_until - self._clock.monotonic()) > 0:
                await self._clock.sleep(left)
            yield
        finally:
            with anyio.CancelScope(shield=True):
                async with self._changed:
                    self._active -= 1
                    self._changed.notify_all()

    def slow_down(self, seconds: float) -> None:
        """Halve the number, and pause everything for so long."""
        self.limit = max(1, self.limit // 2)
        self._good = 0
        self._pause_until = max(self._pause_until, self._clock.monotonic() + seconds)

    def went_well(self) -> None:
        """One more at a time after as many successes as there are at a time."""
        self._good += 1
        if self._good >= self.limit and self.limit < self._most:
            self._good = 0
            self.limit += 1


async def persist(
    name: str, attempt: Callable[[], Awaitable[T]], pace: Pace, clock: Clock, patience: Patience
) -> tuple[T, int]:
    """Try until it works; what came of it, and how often it had not worked before.

    Raises:
        Refused: it will not work; or the provider wants more patience than there is, which is `for_good`.
    """
    waited, last = 0.0, Exception()
    for number in range(patience.attempts):
        pause = min(patience.first_pause_seconds * 2**number, patience.longest_pause_seconds)
        try:
            async with pace.turn():
                result = await attempt()
        except Busy as busy:
            last = busy
            pause = pause if busy.retry_after is None else busy.retry_after
            if waited + pause > patience.wait_seconds:
                raise Refused(_too_long(name, busy, pause), for_good=True) from busy
            pace.slow_down(pause)
        except Trouble as trouble:
            last = trouble
            await clock.sleep(pause)
        else:
            pace.went_well()
            return result, number
        waited += pause
        if waited > patience.wait_seconds:
            break
    raise Refused(f"{name} did not answer in several attempts: {last}", for_good=False)


def _too_long(name: str, busy: Busy, pause: float) -> str:
    return (
        f"{name} is busy ({busy}) and asks to wait for {pause:,.0f} s, which is too long. What it has"
        " answered is kept: run the same benchmark again later, and it goes on from there."
    )
