"""Counting what each principal uses, and saying so when it is all they may.

A day is one of UTC. What is used a day is written down every few seconds and taken up again after a restart; who
shares the store shares the count.
"""

import logging
import math
import time
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Self

import anyio

from ..background import beside
from ..sandbox import SandboxBusy
from ..sessions import Clock, SystemClock
from .allowances import Allowances
from .usage import Key, Kind, UsageStore, key_of

logger = logging.getLogger(__name__)

DAY = 86_400
# What a crash may forget, and how late one process hears of another.
SAVE_SECONDS = 10.0


class OverLimit(SandboxBusy):
    """A principal has used what it may. The message names the limit and when to try again; `limit` is its
    name as an operator knows it.
    """

    def __init__(self, limit: str, message: str, *, retry_after: float) -> None:
        super().__init__(message, retry_after=retry_after)
        self.limit = limit


class Quotas(anyio.AsyncContextManagerMixin):
    """What everybody uses. Use it as an async context manager, once; it is a meter for sessions.

    `now` is the wall clock, which says what day it is. Without a store nothing outlives the process.
    `refused` counts by limit.
    """

    def __init__(
        self,
        allowances: Allowances | None = None,
        *,
        store: UsageStore | None = None,
        clock: Clock | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.allowances = allowances or Allowances()
        self._store = store
        self._clock = clock or SystemClock()
        self._now = now
        self._day = self._today()
        self._used: dict[Key, float] = {}
        self._unsaved: dict[Key, float] = {}
        self._running: Counter[str] = Counter()
        self._open: Counter[str] = Counter()
        self._since: dict[str, float] = {}
        self._aside: defaultdict[str, float] = defaultdict(float)
        self._totals: dict[Kind, float] = {"sandbox_seconds": 0.0, "usd": 0.0}
        self._is_failing = False
        self.refused: Counter[str] = Counter()

    @asynccontextmanager
    async def __asynccontextmanager__(self) -> AsyncGenerator[Self]:
        await self.save()
        try:
            async with beside(self._keep_saving):
                yield self
        finally:
            with anyio.CancelScope(shield=True):
                await self.save()

    @contextmanager
    def call(self, principal: str) -> Generator[None]:
        """Count a call for as long as the block runs.

        Raises:
            OverLimit: too many run already.
        """
        running, most = self._running[principal], self.allowances.calls
        if running >= most:
            self.refused["calls"] += 1
            raise OverLimit(
                "calls",
                f"{running} calls of yours are running, and no more may at a time (the limit on concurrent"
                " calls). Nothing was done. Try again when one of them has been answered, or in 5 seconds.",
                retry_after=5,
            )
        self._running[principal] += 1
        try:
            yield
        finally:
            self._running[principal] -= 1
            if not self._running[principal]:
                del self._running[principal]

    def check(self, principal: str) -> None:
        """See `Meter`.

        Raises:
            OverLimit: the sandbox-seconds of today are used up.
        """
        if self.used(principal, "sandbox_seconds") >= self.allowances.sandbox_seconds:
            most = self.allowances.sandbox_seconds
            self.refused["sandbox_seconds"] += 1
            raise OverLimit(
                "sandbox_seconds",
                f"Your sandboxes have been open for {most:,.0f} seconds today, which is all they may be"
                f" (the limit on sandbox-seconds a day). Nothing was run. {self.when()}",
                retry_after=self._left_of_day(),
            )

    def opened(self, principal: str) -> None:
        """See `Meter`."""
        self._accrue(principal)
        self._since.setdefault(principal, self._clock.monotonic())
        self._open[principal] += 1

    def closed(self, principal: str) -> None:
        """See `Meter`."""
        self._accrue(principal)
        self._open[principal] -= 1
        if not self._open[principal]:
            del self._open[principal], self._since[principal]

    def used(self, principal: str, kind: Kind) -> float:
        """What a principal has used today, up to now."""
        self._accrue(principal)
        return self._used.get(key_of(principal, kind), 0.0)

    def total(self, kind: Kind) -> float:
        """What everybody has used since the start of this process."""
        for principal in tuple(self._open):
            self._accrue(principal)
        return self._totals[kind]

    def running(self, principal: str) -> int:
        """How many calls of a principal run now."""
        return self._running[principal]

    def purse(self, principal: str) -> "Purse":
        """What a principal may spend on models today."""
        return Purse(self, principal)

    def set_aside(self, principal: str, usd: float) -> bool:
        """Whether there is so much left; then it is set aside, for `settle`."""
        taken = self.used(principal, "usd") + self._aside[principal]
        if taken + usd > self.allowances.usd:
            self.refused["usd"] += 1
            return False
        self._aside[principal] += usd
        return True

    def settle(self, principal: str, aside: float, spent: float) -> None:
        """Replace what was set aside by what was spent."""
        self._aside[principal] -= aside
        if self._aside[principal] < 1e-9:
            del self._aside[principal]  # but for rounding, it is nothing
        self._turn_over()
        self._add(principal, "usd", spent)

    def when(self) -> str:
        """When a new day brings what is used up, as a sentence."""
        minutes = math.ceil(self._left_of_day() / 60)
        return f"Try again after 00:00 UTC, in {minutes // 60} h {minutes % 60} min."

    def _accrue(self, principal: str) -> None:
        self._turn_over()
        since = self._since.get(principal)
        if since is not None:
            now = self._since[principal] = self._clock.monotonic()
            self._add(principal, "sandbox_seconds", (now - since) * self._open[principal])

    def _add(self, principal: str, kind: Kind, amount: float) -> None:
        key = key_of(principal, kind)
        if amount:
            self._totals[kind] += amount
            self._used[key] = self._used.get(key, 0.0) + amount
            self._unsaved[key] = self._unsaved.get(key, 0.0) + amount

    def _turn_over(self) -> None:
        today = self._today()
        if today != self._day:
            # What was not written down of yesterday is of no use to anybody.
            self._day = today
            self._used.clear()
            self._unsaved.clear()
            midnight = self._clock.monotonic() - self._now() % DAY
            for principal, since in self._since.items():
                self._since[principal] = max(since, midnight)

    def _today(self) -> int:
        return int(self._now() // DAY)

    def _left_of_day(self) -> float:
        return DAY - self._now() % DAY

    async def _keep_saving(self) -> None:
        while True:
            await self._clock.sleep(SAVE_SECONDS)
            await self.save()

    async def save(self) -> None:
        """Write down what has come to it, and read what others have written."""
        self._turn_over()
        for principal in tuple(self._open):
            self._accrue(principal)
        if self._store is None:
            return
        day, unsaved = self._day, self._unsaved
        self._unsaved = {}
        try:
            totals = await self._store.exchange(day, unsaved)
        except Exception as error:  # noqa: BLE001 - whatever the store is made of; nobody's call may fail for it
            self._not_saved(day, unsaved, error)
        else:
            self._is_failing = False
            self._merge(day, totals)

    def _merge(self, day: int, totals: Mapping[Key, float]) -> None:
        self._turn_over()
        if day == self._day:
            self._used = dict(totals)
            for key, amount in self._unsaved.items():
                self._used[key] = self._used.get(key, 0.0) + amount

    def _not_saved(self, day: int, unsaved: Mapping[Key, float], error: Exception) -> None:
        if not self._is_failing:
            logger.warning("What principals use cannot be written down now: %s", error)
        self._is_failing = True
        if day == self._day:
            for key, amount in unsaved.items():
                self._unsaved[key] = self._unsaved.get(key, 0.0) + amount


class Purse:
    """What one principal may spend on models, in USD: what is set aside before a question is asked, and
    what it came to.
    """

    def __init__(self, quotas: Quotas, principal: str) -> None:
        self._quotas = quotas
        self._principal = principal

    @property
    def is_limited(self) -> bool:
        """Whether there is a limit at all."""
        return math.isfinite(self._quotas.allowances.usd)

    def set_aside(self, usd: float) -> bool:
        """Whether there is so much left; then it is set aside."""
        return self._quotas.set_aside(self._principal, usd)

    def settle(self, aside: float, spent: float) -> None:
        """Replace what was set aside by what was spent."""
        self._quotas.settle(self._principal, aside, spent)

    def reason(self) -> str:
        """Why no more may be spent, and until when."""
        used, most = self._quotas.used(self._principal, "usd"), self._quotas.allowances.usd
        return (
            f"your limit on model cost, ${most:,.2f} a day, has no room for another answer (${used:,.4f} were"
            f" spent today). {self._quotas.when().rstrip('.')}"
        )
