"""Where GitHub is and what opens it."""

from dataclasses import dataclass, field

GITHUB = "https://github.com"


@dataclass(frozen=True, slots=True)
class GitHubAccess:
    """`url` is of github.com or of a GitHub Enterprise server; `token` is empty where there is none. It is
    sent in the Authorization header to that server alone, and is shown nowhere.
    """

    url: str = GITHUB
    token: str = field(default="", repr=False)

    @property
    def api(self) -> str:
        """Where its REST API begins."""
        return "https://api.github.com" if self.url == GITHUB else f"{self.url}/api/v3"

    def repository(self, name: str) -> str:
        """Where git finds a repository, given as `owner/name`."""
        return f"{self.url}/{name}.git"
