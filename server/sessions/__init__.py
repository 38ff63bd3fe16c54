"""Sessions: a sandbox leased to one principal under an opaque handle.

`SessionManager` is the door (`manager`). Behind it: `store` begins and ends sessions, `places` holds
the cap and the queue, `supply` creates and closes sandboxes, `upkeep` is what runs in the background,
and `session` has what a call holds.
"""

from .clock import Clock, SystemClock
from .manager import Overview, SessionManager, SessionSummary
from .session import Lease, SessionNotFound, State
from .settings import SessionSettings

__all__ = [
    "Clock",
    "Lease",
    "Overview",
    "SessionManager",
    "SessionNotFound",
    "SessionSettings",
    "SessionSummary",
    "State",
    "SystemClock",
]
