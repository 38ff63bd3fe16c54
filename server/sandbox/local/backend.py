"""The local backend: which session goes into which jail.

A jail serves one owner and one environment. It is started for the first session that needs it and kept for the
next ones (`jails`).
"""

import logging
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import anyio
import anyio.to_thread

from ..base import SandboxRequest
from ..driving import programs
from ..driving.connection import Connection
from ..errors import ProofboxError, SandboxUnavailable
from . import DEFAULT_PACKAGES, cgroups, environments, host, interpreters, limits
from .environments import Environment
from .jail import Jail
from .jails import Jails, Key
from .programs import Place, ProgramsOnly
from .sandbox import LocalSandbox

logger = logging.getLogger(__name__)

# What makes plots readable as data; there is none for Python 3.9.
_NEEDS_NEWER = {"e2b-charts"}
_SESSION_PRELOAD = (
    "numpy",
    "pandas",
    "matplotlib.pyplot",
    "matplotlib_inline.backend_inline",
    "e2b_charts",
)


class LocalBackend:
    """Sandboxes on this machine. See the port.

    `packages` is the environment of every sandbox; `cache_dir` keeps environments between runs;
    `on_progress` gets lines of text while one is built.
    """

    name: Literal["local"] = "local"
    max_age = None
    spread = 1

    def __init__(
        self,
        *,
        cache_dir: Path,
        packages: tuple[str, ...] = DEFAULT_PACKAGES,
        on_progress: Callable[[str], None] | None = None,
    ) -> None:
        self._packages = packages
        self._cache_dir = cache_dir
        self._on_progress = on_progress
        self._node = host.find_node()
        self._jails: Jails[Jail] = Jails()
        self._open: dict[str, LocalSandbox | ProgramsOnly] = {}
        self._tidied = False
        self._count = 0

    @property
    def languages(self) -> frozenset[str]:
        return frozenset({"python", "bash"} | ({"javascript"} if self._node else set()))

    async def warm_up(self, request: SandboxRequest) -> None:
        try:
            environment = await self._environment(request)
            if request.shared:
                self._jails.leave(await self._jail(environment, request, None))
        except ProofboxError as error:
            # Whoever needs the sandbox is told.
            logger.info("Could not warm up the local sandbox: %s", error)

    async def create(self, request: SandboxRequest) -> LocalSandbox | ProgramsOnly:
        environment = await self._environment(request)
        alone = None if request.shared else object()
        if request.bare or request.programs_only:
            return self._for_programs(environment, request, alone)
        for last in (False, True):
            jail = await self._jail(environment, request, alone)
            try:
                return await self._open_in(jail, environment, request, alone)
            except SandboxUnavailable:
                # It may have died of old age or of its sessions between two uses.
                await self._jails.discard(jail)
                if last or not jail.worked:
                    raise
        raise AssertionError

    def limits_held(self) -> Mapping[str, str]:
        jails = [jail for jail in self._jails if jail.alive]
        return limits.held_by([jail.cgroup for jail in jails])

    async def sweep(self) -> int:
        self._jails.close_unused()
        await anyio.to_thread.run_sync(self._tidy)
        return 0

    def _tidy(self) -> None:
        cgroups.sweep()
        # Not at the start, when somebody may be waiting for the first session.
        first, self._tidied = not self._tidied, True
        if first:
            return
        for name in environments.prune(self._cache_dir):
            shutil.rmtree(self._cache_dir / "supervisor" / name, ignore_errors=True)

    async def close(self) -> None:
        self._jails.shut()
        for sandbox in list(self._open.values()):
            await sandbox.close()
        await self._jails.close()

    async def _environment(self, request: SandboxRequest) -> Environment:
        host.find_bwrap()  # without it, building an environment would be a waste
        interpreter, packages = None, () if request.bare else self._packages
        if request.python:
            interpreter = await anyio.to_thread.run_sync(interpreters.with_version, request.python)
        if request.python == "3.9":
            packages = tuple(name for name in packages if name not in _NEEDS_NEWER)
        return await environments.ensure(
            (*packages, *request.packages),
            cache_dir=self._cache_dir,
            interpreter=interpreter,
            on_progress=self._on_progress,
            bare=request.bare,
            wheels=request.wheels,
        )

    async def _jail(
        self,
        environment: Environment,
        request: SandboxRequest,
        alone: object | None,
        *,
        programs: bool = False,
    ) -> Jail:
        """The jail for a request, started if there is none; whoever gets it must leave it.

        `alone` stands for the one sandbox that may use it, None where the owner's others may too.
        Programs have one of their own: a process without IPython, numpy and pandas in it forks five
        times as fast.
        """
        preload = request.preload if programs else _SESSION_PRELOAD
        key: Key = (request.owner, environment.path, request.limits, programs, preload, alone)
        return await self._jails.take(
            key, lambda: self._start(environment, request, preload, shell=not programs)
        )

    async def _start(
        self,
        environment: Environment,
        request: SandboxRequest,
        preload: Sequence[str],
        *,
        shell: bool,
    ) -> Jail:
        self._count += 1
        return await Jail.start(
            environment,
            request.limits,
            bwrap=host.find_bwrap(),
            node=self._node,
            cache_dir=self._cache_dir,
            name=f"proofbox-{os.getpid()}-{self._count}",
            shell=shell,
            site=not request.bare,
            preload=preload,
        )

    async def _open_in(
        self, jail: Jail, environment: Environment, request: SandboxRequest, alone: object | None
    ) -> LocalSandbox:
        try:
            connection, first = await jail.open()
            if first["t"] != "ready":
                connection.abort()
                raise await self._failure(jail, first)
        except BaseException:
            self._jails.leave(jail)
            raise
        jail.worked = True
        place = self._place(environment, request, alone, [jail])
        sandbox = LocalSandbox(
            connection,
            place,
            languages=self.languages,
            session_ran_out_of_memory=jail.take_oom_kill,
        )
        self._open[place.name] = sandbox
        return sandbox

    def _for_programs(
        self, environment: Environment, request: SandboxRequest, alone: object | None
    ) -> ProgramsOnly:
        place = self._place(environment, request, alone, [])
        sandbox = self._open[place.name] = ProgramsOnly(place)
        return sandbox

    def _place(
        self,
        environment: Environment,
        request: SandboxRequest,
        alone: object | None,
        used: list[Jail],
    ) -> Place:
        """A new sandbox's, which has `used` the jail of its session if it has one."""
        self._count += 1
        name = f"local-{os.getpid()}-{self._count}"
        of_session = len(used)

        async def closed() -> None:
            self._open.pop(name, None)
            await self._leave(used, alone)

        return Place(
            name=name,
            python=environment.python,
            open_program=self._opener(name, environment, request, alone, used),
            on_close=closed,
            ran_out_of_memory=lambda: any(jail.take_oom_kill() for jail in used[of_session:]),
        )

    def _opener(
        self,
        name: str,
        environment: Environment,
        request: SandboxRequest,
        alone: object | None,
        used: list[Jail],
    ) -> programs.Open:
        """What opens a program in the jail for them, which is added to `used`."""

        async def open_program() -> tuple[Connection, dict[str, Any]]:
            jail = await self._jail(environment, request, alone, programs=True)
            if jail in used or name not in self._open:
                self._jails.leave(jail)
            else:
                used.append(jail)
            if name not in self._open:
                raise SandboxUnavailable("The sandbox was closed.")
            connection, first = await jail.open_program()
            if first["t"] != "ready" and not jail.worked:
                connection.abort()
                raise await self._failure(jail, first)
            jail.worked = True
            return connection, first

        return open_program

    async def _leave(self, used: Sequence[Jail], alone: object | None) -> None:
        for each in used:
            if alone is not None:
                await self._jails.discard(each)
            self._jails.leave(each)

    async def _failure(self, jail: Jail, first: dict[str, object]) -> ProofboxError:
        if first["t"] == "failed":
            logger.error("A session could not be opened: %s", first.get("detail"))
            return host.explain(str(first["error"]))
        words = await jail.last_words()
        logger.error("A jail ended at its start: %s", words)
        return host.explain(words)
