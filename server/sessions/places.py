"""Who may have a sandbox: the cap, the cap for each principal, and the queue before both."""

from collections import Counter
from collections.abc import Callable

import anyio

from ..sandbox import SandboxBusy, SandboxUnavailable
from .clock import Clock, finishes_within
from .settings import SessionSettings


class _Waiter:
    """A call that waits for a place. `promised`: somebody is leaving, and the place goes to it."""

    __slots__ = ("granted", "principal", "promised", "woken")

    def __init__(self, principal: str) -> None:
        self.principal = principal
        self.granted = False
        self.promised = False
        self.woken = anyio.Event()


class Places:
    """Counts places and hands them out in the order of arrival.

    A principal at its own cap does not hold up those behind it. `evict` is asked to end the oldest
    idle session (of one principal, or of anybody if None) and says whether it found one; its place
    comes back by `give_back` once its sandbox is gone.
    """

    def __init__(
        self, settings: SessionSettings, clock: Clock, evict: Callable[[str | None], bool]
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._evict = evict
        self._held: Counter[str] = Counter()
        self._leaving: Counter[str] = Counter()
        self._waiters: list[_Waiter] = []
        self._shut = False

    @property
    def waiting(self) -> int:
        """Calls that wait for a place."""
        return len(self._waiters)

    async def take(self, principal: str) -> None:
        """Take a place, waiting for one if need be.

        Raises:
            SandboxBusy: too many wait already, or the wait was too long.
            SandboxUnavailable: the server stops.
        """
        waiter = _Waiter(principal)
        self._waiters.append(waiter)
        self.settle()
        try:
            if not waiter.granted:
                await self._wait(waiter)
        except BaseException:
            if waiter.granted:
                self.give_back(principal)
            raise
        finally:
            if waiter in self._waiters:
                self._waiters.remove(waiter)

    def take_spare(self, principal: str) -> bool:
        """Take a place only if one is free; whether it was. Who waits then could not have had it."""
        if self._own_full(principal) or self._full():
            return False
        self._held[principal] += 1
        return True

    def admit(self, principal: str) -> None:
        """Count a place that is needed whether or not there is one."""
        self._held[principal] += 1

    def leaving(self, principal: str) -> None:
        """A place of this principal is about to come back."""
        self._leaving[principal] += 1

    def give_back(self, principal: str) -> None:
        """A place is free again; if it was announced by `leaving`, it no longer is."""
        self._held[principal] -= 1
        self.settle()

    def left(self, principal: str) -> None:
        """A place that was announced by `leaving` is free."""
        self._leaving[principal] -= 1
        self.give_back(principal)

    def settle(self) -> None:
        """Give free places to those who wait, and make room for the rest."""
        coming = self._leaving.copy()
        for waiter in tuple(self._waiters):
            own_full = self._own_full(waiter.principal)
            if own_full or self._full():
                waiter.promised = self._promise(coming, waiter.principal if own_full else None)
                continue
            self._held[waiter.principal] += 1
            self._waiters.remove(waiter)
            waiter.granted = True
            waiter.woken.set()

    def shut(self) -> None:
        """Send away everybody who waits."""
        self._shut = True
        for waiter in self._waiters:
            waiter.woken.set()

    async def _wait(self, waiter: _Waiter) -> None:
        queue = self._queue_of(waiter)
        if len(queue) > self._settings.queue_length:
            raise self._busy(waiter.principal, f"{len(queue) - 1} calls are waiting already")
        seconds = self._settings.queue_wait_seconds
        await finishes_within(self._clock, seconds, waiter.woken.wait)
        if self._shut:
            raise SandboxUnavailable("proofbox is shutting down; nothing was run.")
        if not waiter.granted:
            raise self._busy(waiter.principal, f"none came free in {seconds:.0f} seconds")

    def _queue_of(self, waiter: _Waiter) -> list[_Waiter]:
        """Those that wait for the same thing and have no promise."""
        waiting = [other for other in self._waiters if not other.promised]
        # Else one principal at its own cap could fill the queue for everybody.
        if self._own_full(waiter.principal):
            return [other for other in waiting if other.principal == waiter.principal]
        return [other for other in waiting if not self._own_full(other.principal)]

    def _busy(self, principal: str, detail: str) -> SandboxBusy:
        settings = self._settings
        who = f"All {settings.max_sessions} sandboxes are running code"
        if self._own_full(principal):
            who = f"All {settings.max_sessions_per_principal} sessions that you may have are in use"
        return SandboxBusy(
            f"{who}, and {detail}. Nothing was run. Try again in"
            f" {settings.queue_wait_seconds:.0f} seconds, or when one of your running calls is done.",
            retry_after=settings.queue_wait_seconds,
        )

    def _promise(self, coming: Counter[str], principal: str | None) -> bool:
        for leaver, count in coming.items():
            if count > 0 and principal in {None, leaver}:
                coming[leaver] -= 1
                return True
        return self._evict(principal)

    def _full(self) -> bool:
        return self._held.total() >= self._settings.max_sessions

    def _own_full(self, principal: str) -> bool:
        most = self._settings.max_sessions_per_principal
        return most is not None and self._held[principal] >= most
