"""What each side of a pull request needs, and to which versions that comes."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from ...run_generated_tests.manifest import Manifest
from .resolving import Resolution, Resolver, Source, cutoff, readable

_MOST_ROUNDS = 6

BuildSource = Callable[[str, str], Awaitable[tuple[str, ...] | str]]
"""Given a package without wheels and its version, build one: what it requires, or why there is none."""


@dataclass(frozen=True, slots=True)
class Needs:
    """One side. `wanted` to run its tests; those of `optional` names are for tests alone, and what cannot be
    had of them is left out. `locked` are the versions of its lock file; `when`, the commit's date.
    """

    wanted: tuple[str, ...]
    when: datetime
    optional: frozenset[str] = frozenset()
    locked: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Pinned:
    """A resolution; `newest` is the date up to which packages count; `sources` were built from source; `left`
    could not be had and are for tests only. `unbuilt`: there is no solution, since a source could not be built.
    """

    resolution: Resolution
    newest: datetime | None = None
    sources: tuple[Source, ...] = ()
    left: tuple[str, ...] = ()
    unbuilt: bool = False


def needs_of(
    manifest: Manifest, when: datetime, locked: Mapping[str, str], packages: Sequence[str]
) -> tuple[Needs, tuple[str, ...]]:
    """What a manifest asks for, or the `packages` in place of it; and what cannot be read."""
    wanted, unreadable = readable(packages or manifest.packages)
    runtime = {canonicalize_name(Requirement(text).name) for text in readable(manifest.runtime)[0]}
    names = {canonicalize_name(Requirement(text).name) for text in wanted}
    for_tests = set[str]() if packages else set(map(str, names - runtime))
    return Needs(tuple(wanted), when, frozenset(for_tests), locked), tuple(unreadable)


class Both:
    """Resolves both sides: head as near to base as its own requirements allow."""

    def __init__(self, resolver: Resolver, build_source: BuildSource) -> None:
        self._resolver = resolver
        self._build_source = build_source

    async def pin(self, base: Needs, head: Needs) -> tuple[Pinned, Pinned]:
        """Base as of its date, and head with base's versions wherever it accepts them. Either is given newer
        packages, and in the end the newest, only if there is no other way.
        """
        python = self._resolver.python
        before = await self._first(base, [cutoff(base.when, python), None], base.locked)
        if (base.wanted, base.optional) == (head.wanted, head.optional):
            return before, before
        preferred = {**head.locked, **before.resolution.versions}
        dates = [before.newest, cutoff(max(base.when, head.when), python), None]
        return before, await self._first(head, dates, preferred)

    async def _first(
        self, needs: Needs, dates: Sequence[datetime | None], preferred: Mapping[str, str]
    ) -> Pinned:
        """By the first of the dates for which there is a solution; else why there is none by the last."""
        found = Pinned(Resolution())
        for date in dict.fromkeys(dates):
            found = await self._as_of(needs, date, preferred)
            if found.resolution.fault != "project" and not found.unbuilt:
                break
        return found

    async def _as_of(
        self, needs: Needs, date: datetime | None, preferred: Mapping[str, str]
    ) -> Pinned:
        sources: dict[str, Source] = {}
        left: list[str] = []
        wanted = list(needs.wanted)
        resolution = Resolution()
        for _ in range(_MOST_ROUNDS):
            resolution = await self._resolver.resolve(
                wanted, newest=date, preferred=preferred, sources=tuple(sources.values())
            )
            fresh = [name for name in resolution.without_wheel if name not in sources]
            if fresh:
                sources |= {name: Source(name) for name in fresh}
                continue
            missing = [] if resolution.problem else _unbuilt(resolution, sources)
            if not missing:
                break
            for name, version in missing:
                requires = await self._build_source(name, version)
                if not isinstance(requires, str):
                    sources[name] = Source(name, version, requires)
                elif name in needs.optional:
                    wanted = [text for text in wanted if _named(text) != name]
                    left.append(f"{name} ({requires})")
                    del sources[name]
                else:
                    return Pinned(_not_built(name, version, requires), date, unbuilt=True)
        used = resolution.versions
        built = tuple(source for source in sources.values() if source.name in used)
        return Pinned(resolution, date, built, tuple(left))


def _unbuilt(resolution: Resolution, sources: Mapping[str, Source]) -> list[tuple[str, str]]:
    """Packages without wheels whose requirements are not known for the version that was chosen."""
    versions = resolution.versions
    return [
        (name, versions[name])
        for name, source in sources.items()
        if name in versions and source.version != versions[name]
    ]


def _not_built(name: str, version: str, why: str) -> Resolution:
    return Resolution(
        problem=f"{name} {version} has no wheel, and none could be built of its source: {why}",
        fault="ours",
    )


def _named(requirement: str) -> str:
    return str(canonicalize_name(Requirement(requirement).name))


def with_built(needs: Needs, manifest: Manifest, requires: Sequence[str]) -> Needs:
    """The needs, completed by what the metadata of the built project says."""
    known, _ = readable(requires)
    extras = [text for text in known if "extra ==" in text]
    runtime = [text for text in known if text not in extras] if manifest.computed else []
    tests: list[str] = []
    if not manifest.tests:
        tests = [_without_extra(text) for text in extras if _is_for_tests(text)]
    names = {_named(text) for text in runtime}
    optional = needs.optional | frozenset(_named(text) for text in tests)
    wanted = dict.fromkeys([*needs.wanted, *runtime, *tests])
    return replace(needs, wanted=tuple(wanted), optional=optional - names)


def _is_for_tests(text: str) -> bool:
    marker = Requirement(text).marker
    return marker is not None and any(
        marker.evaluate({"extra": extra}) for extra in ("test", "tests", "testing")
    )


def _without_extra(text: str) -> str:
    requirement = Requirement(text)
    requirement.marker = None
    return str(requirement)
