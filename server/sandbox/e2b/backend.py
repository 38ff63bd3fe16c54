"""Where E2B sandboxes come from."""

import asyncio
import logging
import math
import time
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import fields, replace
from typing import Any, Literal

import anyio
import e2b
from e2b.sandbox.sandbox_api import SandboxNetworkOpts, SandboxQuery
from e2b_code_interpreter import Context

from ..base import Limits, SandboxRequest
from ..errors import InvalidInput, SandboxError, SandboxRejected, SandboxUnavailable
from . import packages
from .admission import Admission
from .bounded import AsyncSandbox
from .cells import settle_in
from .failures import creation_failure, translated
from .replica import APP, KEY, Replica
from .sandbox import LANGUAGES, E2BSandbox

logger = logging.getLogger(__name__)

# From the request to an interpreter that answers; E2B promises much less.
_CREATE_SECONDS = 60.0
_BOOT_SECONDS = 20.0
_CLOSE_SECONDS = 30.0
_REQUEST_SECONDS = 20.0
# A fifth of the smallest plan's sandboxes: others have work too.
_SPREAD = 4


class E2BBackend:
    """Implements `Backend`.

    Args:
        api_key: E2B's key. The domain comes from the environment, as the SDK reads it.
        packages: requirement specifiers that every sandbox gets on top of what the template holds.
        template: the E2B template; None is E2B's code interpreter.
        ttl_seconds: how long a sandbox lives after the last `keep_alive`, so that those of a crashed
            process end by themselves.
        create_rate: sandboxes a second that the E2B plan allows.
        max_sandboxes: most sandboxes at one time.
        max_age_seconds: what the E2B plan allows; one hour on the free plan.
        patience_seconds: how long `create` waits for a place before it says busy.
        allow_internet: whether code may reach the internet.
        package_hosts: what a sandbox may reach while packages are being installed.
    """

    name: Literal["local", "e2b"] = "e2b"
    languages = LANGUAGES

    def __init__(
        self,
        *,
        api_key: str,
        packages: tuple[str, ...] = (),
        template: str | None = None,
        ttl_seconds: float = 300.0,
        create_rate: float = 1.0,
        max_sandboxes: int = 20,
        max_age_seconds: float = 3600.0,
        patience_seconds: float = 15.0,
        allow_internet: bool = False,
        package_hosts: tuple[str, ...] = ("pypi.org", "files.pythonhosted.org"),
        replica: Replica | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        self._api_key = api_key
        self._packages = packages
        self._template = template
        self._ttl = ttl_seconds
        self._max_age = max_age_seconds
        self._allow_internet = allow_internet
        self._package_hosts = package_hosts
        self.spread = min(_SPREAD, max_sandboxes)
        self._replica = replica or Replica()
        self._clock = clock
        self._sleep = sleep
        self._admission = Admission(
            most=max_sandboxes,
            rate=create_rate,
            patience_seconds=patience_seconds,
            clock=clock,
            sleep=sleep,
        )
        self._sandboxes: dict[str, E2BSandbox | None] = {}
        self._makers: set[asyncio.Task[E2BSandbox]] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closed = False

    @property
    def max_age(self) -> float | None:
        return self._max_age

    async def warm_up(self, request: SandboxRequest) -> None:
        """Nothing to do: sandboxes start from a template, and idle ones cost money."""

    async def create(self, request: SandboxRequest) -> E2BSandbox:
        defaults = () if request.bare else self._packages
        wanted = packages.check((*defaults, *request.packages))
        if self._closed:
            raise SandboxUnavailable("proofbox is shutting down.")
        await self._admission.enter()
        # A cancelled HTTP request may still make a sandbox. So the request is never cancelled: it
        # goes on in a task of its own, and what it brings is killed when nobody wants it any more.
        maker = asyncio.create_task(self._make(request, wanted))
        self._makers.add(maker)
        maker.add_done_callback(self._makers.discard)
        try:
            return await asyncio.shield(maker)
        except asyncio.CancelledError:
            maker.add_done_callback(self._discard)
            raise

    def limits_held(self) -> Mapping[str, str]:
        if not any(self._sandboxes.values()):
            return {}
        held = {field.name: "the E2B template, whatever is set here" for field in fields(Limits)}
        return {**held, "output_bytes": "proofbox, for each stream of a call"}

    async def sweep(self) -> int:
        killed = 0
        for key, sandbox_id in await self._orphans():
            with translated("kill an orphaned E2B sandbox"), anyio.fail_after(_REQUEST_SECONDS):
                killed += await AsyncSandbox.kill(sandbox_id, api_key=self._api_key)
            logger.info("Killed an E2B sandbox that a dead process left behind (%s)", key)
        return killed

    async def close(self) -> None:
        self._closed = True
        with anyio.move_on_after(_CLOSE_SECONDS, shield=True):
            for maker in tuple(self._makers):
                maker.add_done_callback(self._discard)
            # Finished makers leave tasks behind that close what they made.
            while waiting := self._makers | self._tasks:
                await asyncio.wait(waiting)
            async with anyio.create_task_group() as group:
                for sandbox in tuple(self._sandboxes.values()):
                    if sandbox is not None:
                        group.start_soon(sandbox.close)

    async def _orphans(self) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []
        with translated("list the E2B sandboxes"), anyio.fail_after(6 * _REQUEST_SECONDS):
            # Running and paused ones: the SDK's default.
            pages = AsyncSandbox.list(
                query=SandboxQuery(metadata={"app": APP}), api_key=self._api_key
            )
            while pages.has_next:
                found += [
                    (info.metadata.get(KEY, ""), info.sandbox_id)
                    for info in await pages.next_items()
                    if self._replica.is_orphan(info.metadata, self._sandboxes.keys())
                ]
        return found

    def _discard(self, maker: asyncio.Task[E2BSandbox]) -> None:
        """Close what an unwanted maker brought."""
        if maker.cancelled() or maker.exception() is not None:
            return
        self._look_after(maker.result().close())

    async def _make(self, request: SandboxRequest, wanted: tuple[str, ...]) -> E2BSandbox:
        key = str(uuid.uuid4())
        self._sandboxes[key] = None
        try:
            sdk = await self._start(request, key, wanted)
            try:
                sandbox = await self._prepare(sdk, request, key, wanted)
            except BaseException:
                await self._kill_all(key)
                raise
        except BaseException:
            self._forget(key)
            raise
        self._sandboxes[key] = sandbox
        return sandbox

    def _forget(self, key: str) -> None:
        del self._sandboxes[key]
        self._admission.leave()

    async def _start(
        self, request: SandboxRequest, key: str, wanted: tuple[str, ...]
    ) -> AsyncSandbox:
        asking = asyncio.ensure_future(
            AsyncSandbox.create(
                self._template,
                timeout=math.ceil(self._ttl),
                metadata=self._replica.metadata(request, key),
                network=self._network(wanted),
                lifecycle={"on_timeout": "kill", "auto_resume": False},
                # The SDK repeats a request that met a 502, 503 or 504, which may have worked;
                # without the key that makes two sandboxes.
                idempotency_key=key,
                api_key=self._api_key,
            )
        )
        done, _ = await asyncio.wait({asking}, timeout=_CREATE_SECONDS)
        if not done:
            self._look_after(self._abandon(asking, key))
            raise SandboxUnavailable(
                f"Could not start an E2B sandbox within {_CREATE_SECONDS:g} s. Try again, or see "
                "https://status.e2b.dev."
            )
        try:
            return asking.result()
        except Exception as error:
            await self._kill_all(key)
            known = creation_failure(error)
            if known is None:
                raise
            raise known from error

    async def _abandon(self, asking: asyncio.Future[AsyncSandbox], key: str) -> None:
        """Kill what a request brings that took too long; looking for it earlier could find nothing."""
        await asyncio.wait({asking})
        if asking.exception() is not None:
            logger.info("A request for an E2B sandbox failed after it was given up")
        await self._kill_all(key)

    def _look_after(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _network(self, wanted: tuple[str, ...]) -> SandboxNetworkOpts:
        # The interpreter's port has no authentication of its own.
        network: SandboxNetworkOpts = {"allow_public_traffic": False}
        if not self._allow_internet:
            network["deny_out"] = [e2b.ALL_TRAFFIC]
            if wanted:
                network["allow_out"] = list(self._package_hosts)
        return network

    async def _prepare(
        self, sdk: AsyncSandbox, request: SandboxRequest, key: str, wanted: tuple[str, ...]
    ) -> E2BSandbox:
        expires_at = self._clock() + self._ttl
        contexts = await self._contexts(sdk)
        python = next((context for context in contexts if context.language == "python"), None)
        if python is None:
            raise SandboxRejected(
                "The E2B template has no Python interpreter. Use E2B's code interpreter template or one "
                "built from it."
            )
        with translated("start the interpreter"):
            surroundings = await settle_in(sdk, python, _BOOT_SECONDS)
        if not f"{surroundings.python}.".startswith(f"{request.python}." if request.python else ""):
            raise InvalidInput(
                f"Python {request.python} was asked for, and the E2B template has {surroundings.python}. Name "
                "a template that has it (PROOFBOX_E2B_TEMPLATE), or use the local backend."
            )
        installer, target = surroundings.executable, ""
        if request.bare:
            # The template's own packages are seen by its own interpreter alone.
            target = await packages.make_environment(sdk, installer)
            surroundings = replace(surroundings, executable=target)
        if wanted or request.wheels:
            await packages.install(
                sdk, python, installer, wanted, target=target, wheels=request.wheels
            )
            if not self._allow_internet:
                with translated("close the network of the sandbox"):
                    await sdk.update_network({"deny_out": [e2b.ALL_TRAFFIC]})
        return E2BSandbox(
            sdk,
            contexts=contexts,
            surroundings=surroundings,
            limits=request.limits,
            preload=request.preload,
            bare=request.bare,
            expires_at=expires_at,
            clock=self._clock,
            on_closed=lambda: self._forget(key),
        )

    async def _contexts(self, sdk: AsyncSandbox) -> list[Context]:
        """The interpreters that the template starts. Right after a start they may not be there."""
        try:
            with translated("reach the interpreter"), anyio.fail_after(_BOOT_SECONDS):
                while True:
                    try:
                        return await sdk.list_code_contexts()
                    except e2b.TimeoutException as error:
                        if "port is not open" not in str(error):
                            raise
                    await self._sleep(0.25)
        except SandboxUnavailable as error:
            if isinstance(error.__cause__, TimeoutError):
                raise SandboxRejected(
                    "The E2B sandbox runs, but no code interpreter in it. Use E2B's code interpreter template "
                    "or one built from it."
                ) from error
            raise

    async def _kill_all(self, key: str) -> None:
        """Kill every sandbox that a request with this key made, however it ended for us."""
        try:
            with translated("clean up"), anyio.move_on_after(_REQUEST_SECONDS, shield=True):
                pages = AsyncSandbox.list(
                    query=SandboxQuery(metadata={"app": APP, KEY: key}), api_key=self._api_key
                )
                while pages.has_next:
                    for info in await pages.next_items():
                        await AsyncSandbox.kill(info.sandbox_id, api_key=self._api_key)
        except SandboxError:
            logger.warning("Could not look for what a failed start left; its time to live ends it")
