"""Both sides of a pull request made ready to run: resolved, built, and in sandboxes of their own."""

import re
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace

import anyio
import anyio.to_thread

from ....server.programs import Kept, OpenSandbox
from ....server.sandbox import InvalidInput, ProgramRunner, SandboxError
from ..._app import App
from ...run_generated_tests.manifest import Manifest, read_manifest
from ...run_generated_tests.suite import parse_ahead
from ..pull.pull import Pull, Tree
from ..request import PrRequest
from .environment import Environment, Environments
from .imports import import_conflicts
from .locks import read_lock
from .making import Made, Maker
from .needs import Both, Needs, Pinned, needs_of, with_built
from .pythons import Python, accepts, choose_python
from .resolving import Resolver
from .settling import Settling, differences
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
    notes: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()
    try:
        base, head, settling = await work.prepared(python)
        notes, conflicts = tuple(settling.notes), tuple(settling.conflicts)
    except (InvalidInput, SandboxError) as error:
        base = head = _Ready(Environment(python=python, problem=str(error), fault="ours"))
    async with Kept(work.opener(base)) as of_base, Kept(work.opener(head)) as of_head:
        tell("Opening sandboxes for both sides")
        before, after = await _opened(base, of_base), await _opened(head, of_head)
        environments = Environments(
            base=before,
            head=after,
            differences=differences(before, after),
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


async def _opened(ready: _Ready, kept: Kept) -> Environment:
    """The environment once its packages are installed, or what was wrong with that."""
    environment = ready.environment
    if environment.problem:
        return environment
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

    async def prepared(self, asked: str) -> tuple[_Ready, _Ready, Settling]:
        """Base, head, and what was found out on the way.

        Raises:
            InvalidInput: there is no such Python.
            SandboxError: there is no sandbox, or no uv.
        """
        self._tell("Reading what the project needs")
        base, head = self._pull.base, self._pull.head
        manifests = (read_manifest(base.files), read_manifest(head.files))
        required = [manifest.requires_python for manifest in manifests]
        python = await choose_python(self._app, self._who, asked, required)
        settling = Settling(self._pull, manifests, python)
        settling.note(python.note)
        maker = Maker(self._app, self._who, python, self._tell)
        needs = (
            self._needs(base, manifests[0], settling),
            self._needs(head, manifests[1], settling),
        )
        pins, made = await self._found(needs, manifests, maker, python)
        before, after = settling.settled(pins, made)
        wheels = maker.wheels
        return _Ready(before, _of(wheels, pins[0])), _Ready(after, _of(wheels, pins[1])), settling

    async def _found(
        self,
        needs: tuple[Needs, Needs],
        manifests: tuple[Manifest, Manifest],
        maker: Maker,
        python: Python,
    ) -> tuple[tuple[Pinned, Pinned], tuple[Made, Made]]:
        """Pins and builds, at the same time unless it takes a build to know what is needed."""
        trees = (self._pull.base, self._pull.head)
        errors: list[SandboxError] = []
        made: dict[int, Made] = {}
        pins: list[tuple[Pinned, Pinned]] = []

        async def pin(base: Needs, head: Needs) -> None:
            try:
                pins.append(await self._pinned(base, head, maker, python))
            except SandboxError as error:
                errors.append(error)

        async def make(index: int) -> None:
            try:
                made[index] = await maker.make(trees[index], manifests[index])
            except SandboxError as error:
                errors.append(error)

        waits = any(
            manifest.computed or (not manifest.tests and "setup.py" in tree.files)
            for tree, manifest in zip(trees, manifests, strict=True)
        )
        async with anyio.create_task_group() as group:
            group.start_soon(make, 0)
            group.start_soon(make, 1)
            if not waits:
                group.start_soon(pin, *needs)
            # What is asked of them needs the builds, but the processors have little to do until then.
            contents = [
                content
                for tree in trees
                for path, content in tree.files.items()
                if path.endswith(".py")
            ]
            group.start_soon(anyio.to_thread.run_sync, parse_ahead, contents)
        if waits and not errors:
            full = [with_built(needs[n], manifests[n], made[n].requires) for n in (0, 1)]
            await pin(full[0], full[1])
        if errors:
            raise errors[0]
        return pins[0], (made[0], made[1])

    async def _pinned(
        self, base: Needs, head: Needs, maker: Maker, python: Python
    ) -> tuple[Pinned, Pinned]:
        self._tell("Resolving the requirements of both sides")
        both = Both(Resolver(python.version, self._app.cache), maker.build_source)
        pins = await both.pin(base, head)
        different = {each.resolution.pins: each for each in pins if not each.resolution.problem}
        for packages, side in different.items():
            ready = _Ready(Environment(packages, python.asked), _of(maker.wheels, side))
            # Whoever opens it next is told what was wrong.
            with suppress(InvalidInput, SandboxError):
                async with self.opener(ready)():
                    self._tell(f"{len(packages)} packages are installed")
        return pins

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

    def _needs(self, tree: Tree, manifest: Manifest, settling: Settling) -> Needs:
        _, locked = read_lock(tree.files)
        needs, unreadable = needs_of(manifest, tree.when, locked, self._request.packages)
        if self._takes_setuptools(settling.python):
            needs = replace(needs, wanted=(*needs.wanted, "setuptools"))
            settling.note("setuptools is installed, which code here imports and names nowhere.")
        left = (*unreadable, *manifest.unreadable, *manifest.elsewhere)
        if left and not self._request.packages:
            shown = ", ".join(dict.fromkeys(text[:60] for text in left[:5]))
            settling.note(f"Not installed, since they come from no index: {shown}.")
        return needs


def _of(wheels: Mapping[str, tuple[str, bytes]], pinned: Pinned) -> dict[str, bytes]:
    wanted = [f"{source.name}=={source.version}" for source in pinned.sources]
    return dict(wheels[pin] for pin in wanted if pin in wheels)
