"""What counts the time of sandboxes, for whoever pays for it."""

from typing import Protocol


class Meter(Protocol):
    """Told by the manager. It must not raise, but in `check`."""

    def check(self, principal: str) -> None:
        """Asked before a sandbox is created, and before code runs in one.

        Raises:
            SandboxBusy: the principal may not use any more now.
        """
        ...

    def opened(self, principal: str) -> None:
        """A sandbox of the principal's is open from now on."""
        ...

    def closed(self, principal: str) -> None:
        """It no longer is."""
        ...


class NoMeter:
    """Everything is free."""

    def check(self, principal: str) -> None:
        pass

    def opened(self, principal: str) -> None:
        pass

    def closed(self, principal: str) -> None:
        pass
