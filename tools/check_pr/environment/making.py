"""Makes of a tree what a build adds to it, each in a sandbox of its own; and wheels of what has none."""

import hashlib
import json
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

from ....server.programs import OpenSandbox
from ....server.sandbox import ProgramRunner
from ..._app import App
from ...run_generated_tests.manifest import Manifest, read_manifest
from ..pull.pull import Tree
from .archives import NoArchive, fetch_source
from .build_system import BuildSystem, pretended, read_build_system, unreadable, version_of
from .building import Built, build
from .environment import Behaviour
from .overlay import BadWheel, Wheel, lay_over, read_wheel
from .pythons import Python
from .resolving import Resolution, Resolver, cutoff, readable
from .store import BuildStore


@dataclass(frozen=True, slots=True)
class Made:
    """What building a side came to.

    Attributes:
        built: files to lay over the tree.
        how: in words, what was done; `note` is a remark for the report.
        requires: `Requires-Dist` of the metadata.
        behaviours: what the build tried.
        problem: why there is no wheel; `fault` whose it is; `lacking`: for want of something that a
            sandbox has not.
    """

    built: Mapping[str, bytes] = field(default_factory=dict[str, bytes])
    how: str = ""
    note: str = ""
    requires: tuple[str, ...] = ()
    behaviours: tuple[Behaviour, ...] = ()
    problem: str = ""
    fault: Literal["", "project", "ours"] = ""
    lacking: bool = False


class Maker:
    """Builds for one Python. `wheels` has those that were built of source archives, by `name==version`: each
    with its file's name.
    """

    def __init__(self, app: App, who: str, python: Python, tell: Callable[[str], None]) -> None:
        self.wheels: dict[str, tuple[str, bytes]] = {}
        self._app = app
        self._who = who
        self._python = python
        self._tell = tell
        self._resolver = Resolver(python.version, app.cache)
        self._store = BuildStore(app.cache / "builds")

    async def make(self, tree: Tree, manifest: Manifest) -> Made:
        """Build the project of a tree, or find what an earlier build of the very same made."""
        if problem := unreadable(tree.files):
            return Made(how="nothing that can be built", problem=problem, fault="project")
        system = read_build_system(tree.files)
        if system is None:
            return Made(how="nothing to build")
        version = version_of(manifest, tree.files)
        self._tell(f"Building the project in a sandbox ({tree.commit[:10] or 'head'})")
        built = await self._build(tree.files, system, version, tree.when)
        note = ""
        if system.asks_git:
            note = f"The build takes the version from git, which it has not; it was told {version}."
        wheel = Wheel()
        if built.wheel:
            try:
                wheel = read_wheel(built.wheel)
            except BadWheel as error:
                problem = f"The build made a wheel that nobody could install: {error}."
                built = replace(built, wheel=b"", problem=problem, fault="project")
        if not built.wheel:
            return Made(
                built=_stub(manifest, version, tree.files),
                how=f"{system.said}, which failed",
                note=note,
                behaviours=built.behaviours,
                problem=built.problem,
                fault=built.fault or "project",
                lacking=built.lacking,
            )
        return Made(
            built=lay_over(wheel, tree.files),
            how=f"{system.said} in a sandbox",
            note=note,
            requires=wheel.requires,
            behaviours=built.behaviours,
        )

    async def build_source(self, name: str, version: str) -> tuple[str, ...] | str:
        """Make a wheel of a package of the index that has none: what it requires, or why there is none."""
        pin = f"{name}=={version}"
        if pin in self.wheels:
            return read_wheel(self.wheels[pin][1]).requires
        self._tell(f"Building {name} {version} in a sandbox, since it has no wheel")
        found = await self._resolver.locate([pin])
        if isinstance(found, Resolution):
            return found.problem
        if name not in found:
            return "the index names no archive of it."
        try:
            files = await fetch_source(found[name])
            built = await self._built_source(files)
            wheel = read_wheel(built.wheel) if built.wheel else Wheel()
        except NoArchive as error:
            return f"{error}."
        except BadWheel as error:
            return f"its wheel cannot be installed: {error}."
        if not built.wheel:
            return built.problem
        self.wheels[pin] = (built.name, built.wheel)
        return wheel.requires

    async def _built_source(self, files: Mapping[str, bytes]) -> Built:
        system = read_build_system(files)
        if system is None:
            return Built(problem="it does not say how it is built.", fault="project")
        version = version_of(read_manifest(files), files)
        return await self._build(files, system, version, None)

    async def _build(
        self,
        files: Mapping[str, bytes],
        system: BuildSystem,
        version: str,
        when: datetime | None,
    ) -> Built:
        """By backends as old as the commit, or by the newest if that fails."""
        oldest = cutoff(when, self._python.version) if when is not None else None
        epoch = str(int(when.timestamp())) if when is not None else "1577836800"
        env = {**pretended(version), "SOURCE_DATE_EPOCH": epoch}
        first = Built()
        tried: list[tuple[str, ...]] = []
        for newest in dict.fromkeys((oldest, None)):
            built = await self._build_by(files, system, env, newest, tried)
            first = first if first.problem else built
            if not built.problem or built.fault == "ours":
                return built
        return first

    async def _build_by(
        self,
        files: Mapping[str, bytes],
        system: BuildSystem,
        env: Mapping[str, str],
        newest: datetime | None,
        tried: list[tuple[str, ...]],
    ) -> Built:
        """With what the backend wants on top of what is written down. Nothing that was `tried` is tried again."""
        built = Built()
        wanted = system.requires
        for last in (False, True):
            pinned = await self._requirements(wanted, newest)
            if pinned.problem:
                problem = f"What the build needs cannot be installed: {pinned.problem}"
                lacking = bool(pinned.without_wheel)
                return Built(problem=problem, fault=pinned.fault or "project", lacking=lacking)
            if pinned.pins in tried:
                return Built(problem="The build failed.", fault="project")
            tried.append(pinned.pins)
            key = _key(files, pinned.pins, self._python.version, system, env)
            built = self._store.find(key) or await build(
                files, system, self._opener(pinned.pins), env=env, last=last
            )
            if built.wheel:
                self._store.keep(key, built)
            if not built.needs:
                break
            wanted = (*wanted, *built.needs)
        return built

    async def _requirements(self, wanted: tuple[str, ...], newest: datetime | None) -> Resolution:
        good, bad = readable(wanted)
        if bad:
            problem = f"{bad[0][:100]!r} is no requirement of an index"
            return Resolution(problem=problem, fault="project")
        return await self._resolver.resolve(good, newest=newest, for_tests=False)

    def _opener(self, pins: tuple[str, ...]) -> OpenSandbox:
        @asynccontextmanager
        async def opened() -> AsyncGenerator[ProgramRunner]:
            lease = self._app.sessions.lease_once(
                self._who,
                purpose="pr",
                packages=pins,
                shared=False,
                python=self._python.asked,
                bare=True,
            )
            async with lease as held:
                yield held.programs

        return opened


def _key(
    files: Mapping[str, bytes],
    pins: tuple[str, ...],
    python: str,
    system: BuildSystem,
    env: Mapping[str, str],
) -> str:
    """The same for the same build only."""
    digest = hashlib.sha256()
    head = [pins, python, system.backend, system.path, sorted(env.items())]
    digest.update(json.dumps(head).encode())
    for path in sorted(files):
        content = hashlib.sha256(files[path]).digest()
        digest.update(path.encode("utf-8", "surrogateescape") + b"\0" + content)
    return digest.hexdigest()


def _stub(manifest: Manifest, version: str, files: Mapping[str, bytes]) -> dict[str, bytes]:
    """As much metadata as can be told without a build, so that the project finds its own version."""
    if not manifest.name:
        return {}
    root = "src/" if any(path.startswith("src/") and path.endswith(".py") for path in files) else ""
    folder = f"{root}{manifest.name.replace('-', '_')}-{version}.dist-info"
    text = f"Metadata-Version: 2.1\nName: {manifest.name}\nVersion: {version}\n"
    return {f"{folder}/METADATA": text.encode()}
