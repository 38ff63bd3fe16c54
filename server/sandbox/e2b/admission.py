"""Room for sandboxes: how many at one time, and how fast they may be made."""

from collections.abc import Awaitable, Callable

import anyio

from ..errors import SandboxBusy


class Admission:
    """At most `most` places, given out at most `rate` a second with a burst of one second's worth.

    Waiting for either takes at most `patience_seconds`, then `SandboxBusy`: a queue that nobody sees
    ends in a client's timeout.
    """

    def __init__(
        self,
        *,
        most: int,
        rate: float,
        patience_seconds: float,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._places = anyio.Semaphore(most)
        self._most = most
        self._interval = 1 / rate
        self._burst = max(rate, 1) * self._interval
        self._patience = patience_seconds
        self._clock = clock
        self._sleep = sleep
        self._next = 0.0

    async def enter(self) -> None:
        """Take a place. Give it back with `leave`.

        Raises:
            SandboxBusy: no place became free, or too many wait.
        """
        with anyio.move_on_after(self._patience) as scope:
            await self._places.acquire()
        if scope.cancelled_caught:
            raise SandboxBusy(
                f"All {self._most} sandboxes that proofbox may use are in use. Close sessions that are not "
                "needed, or try again later.",
                retry_after=self._patience,
            )
        try:
            await self._take_turn()
        except BaseException:
            self._places.release()
            raise

    def leave(self) -> None:
        self._places.release()

    async def _take_turn(self) -> None:
        now = self._clock()
        turn = max(self._next, now - self._burst + self._interval)
        wait = turn - now
        if wait > self._patience:
            raise SandboxBusy(
                "Too many sandboxes are being started; E2B limits how fast. Try again in a moment.",
                retry_after=wait,
            )
        self._next = turn + self._interval
        if wait > 0:
            await self._sleep(wait)
