"""What a service and the MCP server that it serves know of each other."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from ..jobs import Jobs
from ..sessions import SessionManager
from .access import Access


class Running(Protocol):
    """What the server stands on, while it runs."""

    @property
    def sessions(self) -> SessionManager: ...

    @property
    def jobs(self) -> Jobs: ...


@dataclass(frozen=True, slots=True)
class Hosting:
    """What a service gives to its server: `access` says who calls, `on_open` hears when it runs, and None
    when it no longer does.
    """

    access: Access
    on_open: Callable[[Running | None], None]
