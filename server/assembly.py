"""Everything that tools stand on: settings, then a backend, then sessions, then jobs.

The command line and the server both begin here. Only what every start needs is imported; a backend comes in
when it is chosen, and `mcp` not at all.
"""

import logging
import math
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

from ..tools._app import App, News
from ..tools._artifacts import Artifacts
from .jobs import Jobs
from .parsing import make_safe
from .quotas.quotas import Quotas
from .replicas.team import Team
from .sandbox import Backend
from .sandbox.local import DEFAULT_PACKAGES
from .sessions import SessionManager, SessionSettings
from .settings import BackendName, Settings, SettingsError

logger = logging.getLogger(__name__)

OnProgress = Callable[[str], None]


def _local(settings: Settings, on_progress: OnProgress, team: Team | None) -> Backend:
    if sys.platform == "win32":
        raise SettingsError(
            "The local sandbox needs Linux. Set E2B_API_KEY to run code in E2B's cloud, or start "
            "proofbox inside WSL 2."
        )
    from .sandbox.local.backend import LocalBackend

    del team  # nobody else can reach the sandboxes of this machine
    return LocalBackend(
        packages=DEFAULT_PACKAGES if settings.packages is None else settings.packages,
        cache_dir=cache_folder(settings),
        on_progress=on_progress,
    )


def _e2b(settings: Settings, on_progress: OnProgress, team: Team | None) -> Backend:
    from .sandbox.e2b import E2BBackend

    del on_progress
    return E2BBackend(
        api_key=settings.e2b_api_key,
        packages=settings.packages or (),
        template=settings.e2b_template,
        create_rate=settings.e2b_create_rate,
        max_sandboxes=settings.e2b_sandboxes,
        max_age_seconds=settings.e2b_max_age_seconds,
        team=team,
    )


BACKENDS: dict[BackendName, Callable[[Settings, OnProgress, Team | None], Backend]] = {
    "local": _local,
    "e2b": _e2b,
}


def cache_folder(settings: Settings) -> Path:
    """Where built environments are kept."""
    import platformdirs

    return settings.cache_dir or platformdirs.user_cache_path("proofbox")


def data_folder(settings: Settings) -> Path:
    """Where reports of jobs are kept."""
    import platformdirs

    return settings.data_dir or platformdirs.user_data_path("proofbox")


def session_settings(
    settings: Settings, own: float = math.inf, *, warm: bool = True
) -> SessionSettings:
    """What the session manager needs of the settings. `own`: sessions that one principal may have."""
    most = settings.max_sessions
    if settings.chosen_backend == "e2b":
        # Above the plan's own limit, an idle session would never make room for a new one.
        most = min(most, settings.e2b_sandboxes)
    return SessionSettings(
        idle_seconds=settings.idle_seconds,
        max_age_seconds=settings.max_age_seconds,
        max_sessions=most,
        max_sessions_per_principal=int(own) if math.isfinite(own) else None,
        queue_length=settings.queue,
        queue_wait_seconds=settings.queue_seconds,
        warm_principal="local" if warm else None,
        limits=settings.limits,
    )


@asynccontextmanager
async def open_app(
    settings: Settings,
    *,
    backend: Backend | None = None,
    on_progress: OnProgress | None = None,
    roots: tuple[Path, ...] = (),
    quotas: Quotas | None = None,
    several: bool = False,
    team: Team | None = None,
    warm: bool = True,
    keeps_reports: bool = False,
) -> AsyncGenerator[App]:
    """Everything that tools stand on, for as long as the block runs. The command line uses it too.

    `backend` stands in for the one that the settings choose. `on_progress` hears of long work. `roots`
    are the folders that paths may name where the settings name none. `quotas` counts what principals use;
    there are `several` if they are told apart. `team` are the replicas that this is one of. Without `warm` nothing is made ready before it is asked for.
    With `keeps_reports` those of work that was done in time are kept as well.
    """
    make_safe()
    news = News(several=several)

    def tell(line: str) -> None:
        news.post(line)
        logger.info("%s", line)
        if on_progress is not None:
            on_progress(line)

    chosen = backend or BACKENDS[settings.chosen_backend](settings, tell, team)
    artifacts = Artifacts()
    counted = quotas or Quotas()
    most = session_settings(settings, counted.allowances.sessions, warm=warm)
    if team is not None:
        # A replica is called dead in half that time, so that two sweeps are enough.
        most = replace(most, sweep_seconds=2 * team.seconds)
    manager = SessionManager(
        chosen,
        most,
        on_end=artifacts.drop,
        meter=counted,
        team=team,
        keeps=lambda handle: bool(artifacts.kept(handle)),
    )
    allowed = roots if settings.roots is None else settings.roots
    # Jobs end before the sandboxes that they use.
    data = data_folder(settings)
    kept_jobs = Jobs(data / "jobs.sqlite3", team=team)
    async with team or nullcontext(), counted, manager as sessions, kept_jobs as jobs:
        yield App(
            sessions,
            jobs,
            data,
            artifacts,
            news,
            allowed,
            counted,
            cache=cache_folder(settings),
            github=settings.github,
            keeps_reports=keeps_reports,
        )
