"""What a tool can reach."""

from dataclasses import dataclass, field
from pathlib import Path

from ..server.github import GitHubAccess
from ..server.jobs import Jobs
from ..server.quotas.quotas import Quotas
from ..server.sessions import SessionManager
from ._artifacts import Artifacts


@dataclass(slots=True)
class News:
    """The newest line about work that calls wait for, such as building an environment. Where principals
    are `several`, it names nothing: what one of them asked for is not for the others.
    """

    line: str = ""
    several: bool = False

    def post(self, line: str) -> None:
        self.line = "A Python environment is being made" if self.several else line


@dataclass(frozen=True, slots=True)
class App:
    """The lifespan context: one for the life of the server. `roots` are the folders that paths may name,
    `data` the one that things are kept in, `cache` the one that may be deleted, `quotas` what each
    principal may use, `github` where pull requests are had from. `keeps_reports`: there is somebody to look at every report later.
    """

    sessions: SessionManager
    jobs: Jobs
    data: Path
    artifacts: Artifacts = field(default_factory=Artifacts)
    news: News = field(default_factory=News)
    roots: tuple[Path, ...] = ()
    quotas: Quotas = field(default_factory=Quotas)
    cache: Path = field(kw_only=True)
    github: GitHubAccess = field(kw_only=True)
    keeps_reports: bool = field(default=False, kw_only=True)
