"""Both sides of a pull request made ready to run: resolved, built, and in sandboxes of their own."""

import re
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import anyio

from ....server.programs import Kept, OpenSandbox
from ....server.sandbox import InvalidInput, ProgramRunner, SandboxError
from ..._context import App
from ...run_generated_tests.manifest import Manifest, read_manifest
from ..pull.pull import Pull, Tree
from ..request import PrRequest
from .environment import Environment, Environments, PackageChange
from .imports import import_conflicts
from .locks import read_lock
from .making import Made, Maker
from .needs import Both, Needs, Pinned, needs_of, with_built
from .pythons import Python, accepts, choose_python
from .resolving import Resolver
from .side import Side

Tell = Callable[[str], None]

_IMPORTS_SETUPTOOLS = re.compile(rb"^\s*(import|from) (pkg_resources|setuptools)\b", re.MULTILINE)


@asynccontextmanager
async def prepare_sides(
    app: App, who: str, pull: Pull, request: PrRequest, python: str, tell: Tell
) -> AsyncGenerator[tuple[Environments, Side, Side]]:
    """The environments of both sides of a project (`pull` is that of its folder) and the sides themselves, whose
    sandboxes live until the end of the block.

    What is wrong with an environment is its `problem`, with whose fault it is; such a side cannot be run.
    """
    work = _Preparation(app, who, pull, request, tell)
    try:
        base, head, notes, conflicts = await work.prepared(python)
    except (InvalidInput, SandboxError) as error:
        base = head = _Ready(Environment(python=python, problem=str(error), fault="ours"))
        notes, conflicts = (), ()
    async with Kept(work.opener(base)) as of_base, Kept(work.opener(head)) as of_head:
        before, after = await _installed(base, of_base, head, of_head, tell)
        environments = Environments(
            base=before,
            head=after,
            differences=_differences(before, after),
            conflicts=conflicts,
            notes=notes,
        )
        if environments.differences and not (before.problem or after.problem):
            tell("Importing the packages that changed beside the others")
            found = await import_conflicts(environments, of_base.open, of_head.open)
            environments = replace(environments, conflicts=(*conflicts, *found))
        yield (
            environments,
            Side(pull.base, environments.base, of_base.open),
            Side(pull.head, environments.head, of_head.open),
        )


@dataclass(frozen=True, slots=True)
class _Ready:
    """An environment, and the wheels in it that were built from source."""

    environment: Environment
    wheels: Mapping[str, bytes] = field(default_factory=dict[str, bytes])


async def _installed(
    base: _Ready, of_base: Kept, head: _Ready, of_head: Kept, tell: Tell
) -> tuple[Environment, Environment]:
    """Both environments once their packages are installed; the same packages once."""
    found: dict[str, Environment] = {}

    async def install(name: str, ready: _Ready, kept: Kept) -> None:
        found[name] = await _opened(ready, kept, tell)

    async with anyio.create_task_group() as group:
        group.start_soon(install, "base", base, of_base)
        group.start_soon(install, "head", head, of_head)
    return found["base"], found["head"]


async def _opened(ready: _Ready, kept: Kept, tell: Tell) -> Environment:
    """The environment once its packages are installed, or what was wrong with that."""
    environment = ready.environment
    if environment.problem:
        return environment
    tell(f"Installing {len(environment.packages)} packages")
    try:
        async with kept.open():
            return environment
    except (InvalidInput, SandboxError) as error:
        # They were resolved, so that they cannot be installed is no matter of the project's requirements.
        return replace(environment, problem=str(error), fault="ours")


class _Preparation:
    """The steps, in order."""

    def __init__(self, app: App, who: str, pull: Pull, request: PrRequest, tell: Tell) -> None:
        self._app = app
        self._who = who
        self._pull = pull
        self._request = request
        self._tell = tell
        self._notes: list[str] = []

    def opener(self, ready: _Ready) -> OpenSandbox:
        """What opens a sandbox of a side, in a jail of its own."""
        environment = ready.environment
        built = {name.partition("-")[0].replace("_", "-").lower() for name in ready.wheels}

        @asynccontextmanager
        async def opened() -> AsyncGenerator[ProgramRunner]:
            packages = [pin for pin in environment.packages if pin.split("==")[0] not in built]
            lease = self._app.sessions.lease_once(
                self._who,
                purpose="pr",
                packages=tuple(packages),
                shared=False,
                python=environment.python,
                bare=True,
                wheels=ready.wheels,
            )
            async with lease as held:
                yield held.programs

        return opened

    async def prepared(self, asked: str) -> tuple[_Ready, _Ready, tuple[str, ...], tuple[str, ...]]:
        """Base, head, notes and conflicts.

        Raises:
            InvalidInput: there is no such Python.
            SandboxError: there is no sandbox, or no uv.
        """
        self._tell("Reading what the project needs")
        trees = (self._pull.base, self._pull.head)
        manifests = (read_manifest(trees[0].files), read_manifest(trees[1].files))
        required = [manifest.requires_python for manifest in manifests]
        python = await choose_python(self._app, self._who, asked, required)
        if python.note:
            self._notes.append(f"{python.note}.")
        maker = Maker(self._app, self._who, python, self._tell)
        needs = [
            self._needs(tree, manifest, python)
            for tree, manifest in zip(trees, manifests, strict=True)
        ]
        pins: list[tuple[Pinned, Pinned]] = []
        made: list[Made | None] = [None, None]

        async def pin() -> None:
            self._tell("Resolving the requirements of both sides")
            both = Both(Resolver(python.version, self._app.cache), maker.build_source)
            pins.append(await both.pin(needs[0], needs[1]))

        async def make(index: int) -> None:
            made[index] = await maker.make(trees[index], manifests[index])

        computed = any(
            manifest.computed or (not manifest.tests and "setup.py" in tree.files)
            for tree, manifest in zip(trees, manifests, strict=True)
        )
        async with anyio.create_task_group() as group:
            if not computed:
                group.start_soon(pin)
            group.start_soon(make, 0)
            group.start_soon(make, 1)
        base, head = made
        assert base is not None
        assert head is not None
        if computed:
            needs = [
                with_built(each, manifest, done.requires)
                for each, manifest, done in zip(needs, manifests, (base, head), strict=True)
            ]
            await pin()
        return self._settled(pins[0], (base, head), manifests, needs, python, maker)

    def _takes_setuptools(self, python: Python) -> bool:
        """Whether the code relies on what every environment had until Python 3.12."""
        if self._request.packages or not accepts(["<3.12"], python.version):
            return False
        return any(
            _IMPORTS_SETUPTOOLS.search(content) is not None
            for tree in (self._pull.base, self._pull.head)
            for path, content in tree.files.items()
            if path.endswith(".py") and path != "setup.py" and not path.startswith("doc")
        )

    def _needs(self, tree: Tree, manifest: Manifest, python: Python) -> Needs:
        _, locked = read_lock(tree.files)
        needs, unreadable = needs_of(manifest, tree.when, locked, self._request.packages)
        if self._takes_setuptools(python):
            needs = replace(needs, wanted=(*needs.wanted, "setuptools"))
            self._note("setuptools is installed, which code here imports and names nowhere.")
        left = (*unreadable, *manifest.unreadable, *manifest.elsewhere)
        if left and not self._request.packages:
            shown = ", ".join(dict.fromkeys(text[:60] for text in left[:5]))
            self._note(f"Not installed, since they come from no index: {shown}.")
        return needs

    def _note(self, text: str) -> None:
        if text and text not in self._notes:
            self._notes.append(text)

    def _settled(
        self,
        pins: tuple[Pinned, Pinned],
        made: tuple[Made, Made],
        manifests: tuple[Manifest, Manifest],
        needs: list[Needs],
        python: Python,
        maker: Maker,
    ) -> tuple[_Ready, _Ready, tuple[str, ...], tuple[str, ...]]:
        """Everything together, with whose fault it is that something is not there."""
        for done in made:
            self._note(done.note)
        base = _environment(pins[0], made[0], manifests[0], python)
        head = _environment(pins[1], made[1], manifests[1], python)
        self._remark(pins)
        if made[0].problem and made[1].problem and "ours" not in (made[0].fault, made[1].fault):
            # The pull request is not to blame, and much can be told without.
            self._note(f"Neither side can be built; both are tested as they lie. {made[1].problem}")
        elif made[1].problem:
            head = _spoilt(head, made[1].problem, _blame(made[1]))
        if made[0].problem and made[0].fault == "ours":
            base = _spoilt(base, made[0].problem, "ours")
        elif made[0].problem and not made[1].problem:
            self._note(f"Base cannot be built and is tested as it lies. {made[0].problem}")
        if not accepts([manifests[1].requires_python], python.version):
            wanted = f"requires Python {manifests[1].requires_python}"
            if accepts([manifests[0].requires_python], python.version):
                head = _spoilt(
                    head, f"Head {wanted}, base still runs on {python.version}.", "project"
                )
            else:
                head = _spoilt(head, f"Head {wanted}; here is Python {python.version}.", "ours")
        conflicts: list[str] = []
        if pins[1].resolution.fault == "project" and not pins[0].resolution.problem:
            conflicts.append(f"Head's requirements cannot be met: {pins[1].resolution.problem}")
        wheels = maker.wheels
        return (
            _Ready(base, _of(wheels, pins[0])),
            _Ready(head, _of(wheels, pins[1])),
            tuple(self._notes),
            tuple(conflicts),
        )

    def _remark(self, pins: tuple[Pinned, Pinned]) -> None:
        before, after = pins
        for name, pinned in (("base", before), ("head", after)):
            if pinned.left:
                self._note(
                    f"Left out of {name}'s tests, as it cannot be had: {', '.join(pinned.left)}."
                )
            if pinned.resolution.too_old:
                self._note(
                    f"{name.capitalize()} asks for pytest {pinned.resolution.too_old}, which cannot be driven; its tests "
                    f"are run by pytest {pinned.resolution.versions.get('pytest', '')}."
                )
        if before.newest is not None:
            self._note(f"Packages as of {before.newest:%Y-%m-%d}, as base knew them.")
        if not after.resolution.problem and after.newest != before.newest:
            until = f"those of {after.newest:%Y-%m-%d}" if after.newest else "newer ones"
            self._note(
                f"Head's requirements cannot be met by packages of that time, but by {until}."
            )
        locks = [read_lock(tree.files)[0] for tree in (self._pull.base, self._pull.head)]
        changed = [c.path for c in self._pull.changes if c.path in locks]
        if changed:
            self._note(
                f"{changed[0]} changes: both sides have base's versions wherever head's requirements accept them."
            )


def _of(wheels: Mapping[str, tuple[str, bytes]], pinned: Pinned) -> dict[str, bytes]:
    wanted = [f"{source.name}=={source.version}" for source in pinned.sources]
    return dict(wheels[pin] for pin in wanted if pin in wheels)


def _blame(made: Made) -> str:
    return "ours" if made.fault == "ours" or made.lacking else "project"


def _spoilt(environment: Environment, problem: str, fault: str) -> Environment:
    if environment.problem:
        return environment
    return replace(environment, problem=problem, fault="ours" if fault == "ours" else "project")


def _environment(pinned: Pinned, made: Made, manifest: Manifest, python: Python) -> Environment:
    resolution = pinned.resolution
    how = [*manifest.how, *([made.how] if made.how else [])]
    count = f"{len(resolution.pins)} packages" if resolution.pins else "nothing could be resolved"
    return Environment(
        packages=resolution.pins,
        python=python.asked,
        built=made.built,
        how=f"{'; '.join(how) or 'No requirements are written down'}; {count}; Python {python.version}.",
        behaviours=made.behaviours,
        problem=resolution.problem,
        fault=resolution.fault,
    )


def _differences(base: Environment, head: Environment) -> tuple[PackageChange, ...]:
    before = dict(pin.split("==", 1) for pin in base.packages)
    after = dict(pin.split("==", 1) for pin in head.packages)
    if not before or not after:
        return ()
    return tuple(
        PackageChange(name, before.get(name, ""), after.get(name, ""))
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    )
