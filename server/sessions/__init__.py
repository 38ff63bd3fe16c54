"""Sessions: a sandbox leased to one principal under an opaque handle.

`SessionManager` is the door (`manager`). Behind it: `store` begins and ends sessions, `places` holds
the cap and the queue, `supply` creates and closes sandboxes, `upkeep` is what runs in the background,
`session` has what a call holds, and `meter` is told who uses how much.
"""

from .clock import Clock, SystemClock
from .manager import Overview, SessionManager, SessionSummary
from .meter import Meter, NoMeter
from .session import Lease, SessionNotFound, State
from .settings import SessionSettings

__all__ = [
    "Clock",
    "Lease",
    "Meter",
    "NoMeter",
    "Overview",
    "SessionManager",
    "SessionNotFound",
    "SessionSettings",
    "SessionSummary",
    "State",
    "SystemClock",
]
