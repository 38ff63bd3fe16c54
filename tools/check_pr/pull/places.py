"""Where pull requests are had from, and where their repositories are kept."""

from dataclasses import dataclass
from pathlib import Path

from ....server.github import GitHubAccess
from ..._app import App


@dataclass(frozen=True, slots=True)
class Places:
    """`roots` are the folders that local repositories may be in; below `cache` are the copies of those on
    GitHub, which may be deleted at any time.
    """

    roots: tuple[Path, ...]
    cache: Path
    github: GitHubAccess


def places_of(app: App) -> Places:
    """Those of this server."""
    return Places(app.roots, app.cache, app.github)
