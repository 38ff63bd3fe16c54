"""Tell GitHub what came out, in the ways that were asked for."""

from dataclasses import dataclass

from ....server.github import GitHubAccess
from ..pull.github import connected
from ..review.report import PrReport
from .check_run import check_run
from .comment import comment


@dataclass(frozen=True, slots=True)
class Ways:
    """How a report is told: by a comment, by a check run, by both."""

    comment: bool = False
    check: bool = False

    @property
    def any(self) -> bool:
        """Whether anything is to be told."""
        return self.comment or self.check


async def publish(
    access: GitHubAccess,
    repository: str,
    number: int,
    report: PrReport,
    ways: Ways,
    *,
    head: str = "",
) -> tuple[str, ...]:
    """Tell of a report; where it can be seen. `head` is the commit of the check run where the report, as one
    of what could not be had, names none.

    Raises:
        ProofboxError: GitHub did not take it; what was told before stays.
    """
    told: list[str] = []
    async with connected(access) as github:
        # The check first: a gate must not stay open because a comment was refused.
        if ways.check:
            commit = report.refs.head or head
            told.append(await check_run(github, repository, commit, report))
        if ways.comment:
            told.append(await comment(github, repository, number, report))
    return tuple(told)
