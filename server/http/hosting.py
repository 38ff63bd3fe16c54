"""What a service and the MCP server that it serves know of each other."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ..jobs import Jobs
from ..quotas.quotas import Quotas
from ..replicas.team import Team
from ..sessions import SessionManager
from .access import Access


class Running(Protocol):
    """What the server stands on, while it runs."""

    @property
    def sessions(self) -> SessionManager: ...

    @property
    def jobs(self) -> Jobs: ...

    @property
    def quotas(self) -> Quotas: ...


@dataclass(frozen=True, slots=True)
class Hosting:
    """What a service gives to its server: `access` says who calls, `make_quotas` what each may use (it is
    told the folder to keep things in), and `on_open` hears when it runs, and None when it no longer does. `team` are
    the replicas that it is one of.
    """

    access: Access
    make_quotas: Callable[[Path], Quotas]
    on_open: Callable[[Running | None], None]
    team: Team | None = None
