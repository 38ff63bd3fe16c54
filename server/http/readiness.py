"""Whether the service can do what it is for: let people in, and run code."""

from ..sandbox import ProofboxError
from ..sessions import Clock
from .access import Access
from .hosting import Running

# Nobody's principal: it holds no token.
PROBE = "readiness"
# How long a failure counts before it is tried again, and a success of the service's own.
_RETRY_SECONDS = 15.0


class Readiness:
    """Ready once a sandbox has been opened, and for as long as whoever holds a token comes in.

    A sandbox is opened once only: after that, what goes wrong is told to those who call.
    """

    def __init__(self, access: Access, clock: Clock) -> None:
        self._access = access
        self._clock = clock
        self._worked = False
        self._trouble = ""
        self._tried: float | None = None
        self._trying = False

    async def trouble(self, running: Running | None) -> str:
        """Why the service is not ready; empty if it is. Nothing in it is for the operator alone."""
        if running is None:
            return "it is starting or stopping"
        if trouble := await self._access.find_trouble():
            return trouble
        if not self._worked:
            await self._try(running)
        return "" if self._worked else self._trouble

    async def _try(self, running: Running) -> None:
        now = self._clock.monotonic()
        if self._trying or (self._tried is not None and now - self._tried < _RETRY_SECONDS):
            return
        self._trying = True
        self._trouble = self._trouble or "no sandbox has been opened yet"
        try:
            async with running.sessions.lease_once(PROBE, purpose="readiness"):
                self._worked = True
        except ProofboxError:
            # Its words may name paths or accounts; `proofbox doctor` says them to the operator.
            self._trouble = "no sandbox can be opened; proofbox doctor says why"
        finally:
            self._trying = False
            self._tried = self._clock.monotonic()
