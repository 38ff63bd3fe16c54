"""Check a pull request: get it, prepare both sides, compare their tests, look beyond, and report."""

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

import anyio.to_thread

from ...server.sandbox import InvalidInput, SandboxError
from .. import _request
from .._app import App
from .beyond.api import api_changes
from .beyond.behaviour import fresh
from .beyond.beyond import Beyond, OnPython, Speed
from .beyond.coverage import Measuring
from .checked import Checked
from .environment.environment import Behaviour, Environments, SideName
from .environment.prepare import prepare_sides
from .environment.projects import project_folders
from .environment.resolving import readable
from .environment.side import Side
from .evidence.compare import compare
from .evidence.evidence import Evidence
from .evidence.suspects import of_files
from .pull.fetch import fetch_pull
from .pull.places import places_of
from .pull.pull import Pull
from .request import PrRequest
from .review.report import PrReport
from .review.reporting import report_of
from .verdict import decide, sentence_of

Tell = Callable[[str], None]
"""Called with a sentence on how far it is."""


def check(request: PrRequest) -> None:
    """Whether the request can be meant, before anything is started.

    Raises:
        InvalidInput: it cannot; the text says what to give.
    """
    _request.check_env(request.env)
    given = [name for name in ("pr", "head", "diff", "patch") if getattr(request, name)]
    if len(given) != 1:
        what = f"{' and '.join(given)} were given" if given else "none was given"
        raise InvalidInput(
            f"Give one of pr (a number on GitHub), head (a ref of a local repository), diff or patch; {what}."
        )
    if request.pr and request.base:
        raise InvalidInput("The base of a pull request is what GitHub says; leave base out.")
    if request.snippets and not request.performance:
        raise InvalidInput("snippets are what performance measures: set performance as well.")
    _, unreadable = readable(request.packages)
    if unreadable:
        raise InvalidInput(
            f"{unreadable[0][:80]!r} is not a package requirement. Give names with optional versions and"
            ' extras, like "pandas>=2,<3"; options, paths and addresses are not taken.'
        )


async def run(app: App, who: str, request: PrRequest, tell: Tell = lambda said: None) -> PrReport:
    """Check a pull request in sandboxes of `who` that nothing else uses and that are closed at the end.

    What the pull request does, or the machinery fails to do, is in the report.

    Raises:
        InvalidInput: the request cannot be honoured, or names nothing that is there; nothing ran.
        ProofboxError: the pull request could not be had.
    """
    began = time.monotonic()
    check(request)
    tell("Getting the pull request")
    pull = await fetch_pull(request, places_of(app), tell)
    folders = project_folders(pull) if pull.changes else ()
    projects = [
        await _Project(app, who, folder, pull.below(folder), request, tell).checked()
        for folder in folders
    ]
    return report_of(
        pull,
        projects or [Checked("", pull)],
        needs_review=_around(pull, folders),
        seconds=time.monotonic() - began,
    )


def _around(pull: Pull, folders: Sequence[str]) -> list[str]:
    """Of a monorepo, what is changed outside of its projects and decides how their tests are run."""
    inside = tuple(f"{folder}/" if folder else "" for folder in folders)
    return [sentence_of(one) for one in of_files(pull) if not one.path.startswith(inside)]


@dataclass(frozen=True, slots=True)
class _Project:
    """One project of the repository that is to be checked."""

    app: App
    who: str
    folder: str
    pull: Pull
    request: PrRequest
    tell: Tell

    async def checked(self) -> Checked:
        first, *others = self.request.python_versions or ("",)
        found = await self._on(first, self._beyond)
        pythons = [_summary(python, await self._on(python)) for python in others]
        return replace(found, beyond=replace(found.beyond, pythons=tuple(pythons)))

    async def _on(self, python: str, look_beyond: "_Look | None" = None) -> Checked:
        """All about it on one version of Python; without `look_beyond` what the tests say and no more."""
        found = Checked(self.folder, self.pull)
        try:
            async with prepare_sides(
                self.app, self.who, self.pull, self.request, python, self.tell
            ) as (environments, base, head):
                failures, problems = _judged(environments)
                found = replace(
                    found, environments=environments, failures=failures, problems=problems
                )
                if not any(side.problem for side in (environments.base, environments.head)):
                    measuring = Measuring(self.pull, head, self.request, self.tell)
                    beside = measuring if look_beyond is not None else None
                    evidence = await compare(self.pull, base, head, self.request, self.tell, beside)
                    found = replace(found, evidence=evidence)
                    if look_beyond is not None:
                        beyond = await look_beyond(evidence, measuring, base, head)
                        found = replace(found, beyond=beyond)
        except SandboxError as error:
            # What was found before stays found.
            found = replace(found, problems=(*found.problems, str(error)))
        return found

    async def _beyond(
        self, evidence: Evidence, measuring: Measuring, base: Side, head: Side
    ) -> Beyond:
        self.tell("Looking at what tests do not tell")
        speeds: tuple[Speed, ...] = ()
        if self.request.performance:
            from .performance.compare import compare_speed

            speeds = await compare_speed(self.pull, base, head, self.request, self.tell)
        return Beyond(
            coverage=await measuring.result(evidence),
            api=await anyio.to_thread.run_sync(api_changes, self.pull),
            speeds=speeds,
            behaviours=fresh(_tried(base, evidence, "base"), _tried(head, evidence, "head")),
        )


_Look = Callable[[Evidence, Measuring, Side, Side], Awaitable[Beyond]]


def _judged(both: Environments) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What the pull request did to the environments, and what is nobody's fault but ours or base's."""
    failures = list(both.conflicts)
    problems: list[str] = []
    for name, side in (("base", both.base), ("head", both.head)):
        if not side.problem:
            continue
        said = f"The environment of {name}: {side.problem}"
        at_head_alone = name == "head" and side.fault == "project" and not both.base.problem
        (failures if at_head_alone else problems).append(said)
    return tuple(failures), tuple(problems)


def _tried(side: Side, evidence: Evidence, name: SideName) -> tuple[Behaviour, ...]:
    """While it was built, and in its tests."""
    return *side.environment.behaviours, *evidence.behaviours.get(name, ())


def _summary(python: str, found: Checked) -> OnPython:
    decision = decide([replace(found, folder="")])
    broken = found.evidence.of("pass_to_fail", "new_and_fails") if found.evidence else ()
    missing = found.environments is None or found.environments.head.fault == "ours"
    verdict = "skipped" if decision.verdict == "errored" and missing else decision.verdict
    return OnPython(python, verdict, decision.reason, tuple(test.id for test in broken))
