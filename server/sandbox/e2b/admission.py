"""Room for sandboxes: how many at one time, and how fast they may be made."""

from collections.abc import Awaitable, Callable

import anyio

from ..errors import SandboxBusy
from .team import Places


class Admission:
    """Places, given out at most `rate` a second with a burst of one second's worth.

    Waiting for either takes at most `patience_seconds`, then `SandboxBusy`: a queue that nobody sees
    ends in a client's timeout. `most` is how many places there are.
    """

    def __init__(
        self,
        places: Places,
        *,
        most: int,
        rate: float,
        patience_seconds: float,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self.places = places
        self._most = most
        self._interval = 1 / rate
        self._burst = max(rate, 1) * self._interval
        self._patience = patience_seconds
        self._clock = clock
        self._sleep = sleep
        self._next = 0.0

    async def enter(self, key: str, seconds: float) -> None:
        """Take a place for a sandbox that lives for so long. Its end gives it back to `places`.

        Raises:
            SandboxBusy: no place became free, or too many wait.
        """
        with anyio.move_on_after(self._patience) as scope:
            await self.places.take(key, seconds)
        if scope.cancelled_caught:
            raise SandboxBusy(
                f"All {self._most} sandboxes that proofbox may use are in use. Close sessions that are not "
                "needed, or try again later.",
                retry_after=self._patience,
            )
        try:
            await self._take_turn()
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self.places.give_back(key, gone=True)
            raise

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
