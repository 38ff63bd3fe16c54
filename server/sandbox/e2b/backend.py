"""Where E2B sandboxes come from."""

import asyncio
import logging
import math
import time
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import fields
from typing import Any, Literal, cast

import anyio
import e2b
from e2b.sandbox.sandbox_api import SandboxInfo, SandboxNetworkOpts
from e2b_code_interpreter import Context

from ..base import Limits, Sandbox, SandboxRequest
from ..errors import SandboxError, SandboxRejected, SandboxUnavailable
from . import packages, starting
from .admission import Admission
from .bounded import AsyncSandbox
from .failures import creation_failure, translated
from .guest import Surroundings
from .listing import Listing
from .replica import KEY, SESSION, Replica, owner_of
from .sandbox import LANGUAGES, E2BSandbox
from .team import OwnPlaces, Team, TeamPlaces

logger = logging.getLogger(__name__)

# From the request to an interpreter that answers; E2B promises much less.
_CREATE_SECONDS = 60.0
_CLOSE_SECONDS = 30.0
_REQUEST_SECONDS = 20.0
# How long after its expiry a sandbox may be listed, by what others measured.
_MARGIN_SECONDS = 30.0
# A fifth of the smallest plan's sandboxes: others have work too.
_SPREAD = 4


class E2BBackend:
    """Implements `TeamBackend`.

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
        team: the replicas that share the account's limits and each other's sandboxes, if there are several.
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
        team: Team | None = None,
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
        self._team = team
        self._replica = replica or Replica(team=team)
        self._listing = Listing(api_key)
        self._clock = clock
        self._sleep = sleep
        places = (
            OwnPlaces(max_sandboxes)
            if team is None
            else TeamPlaces(team, max_sandboxes, sleep=sleep, margin=_MARGIN_SECONDS)
        )
        self._admission = Admission(
            places,
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
        key = str(uuid.uuid4())
        await self._admission.enter(key, _CREATE_SECONDS + self._ttl)
        # A cancelled HTTP request may still make a sandbox. So the request is never cancelled: it
        # goes on in a task of its own, and what it brings is killed when nobody wants it any more.
        maker = asyncio.create_task(self._make(request, key, wanted))
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

    def mark_of(self, sandbox: Sandbox) -> str:
        # One that died is listed nowhere any more, and its place is to be given back by its key.
        key = sandbox.key if isinstance(sandbox, E2BSandbox) else ""
        return f"{sandbox.id}/{key}"

    async def find(self, request: SandboxRequest, mark: str) -> E2BSandbox | None:
        sandbox_id, _, key = mark.partition("/")
        found = None
        for info in await self._made_for(request):
            if info.sandbox_id == sandbox_id and info.state == "running":
                found = info
            else:
                await self._kill(info)
        if found is not None:
            return await self._connect(found, request)
        await self._free(key)
        return None

    async def kill(self, request: SandboxRequest, mark: str) -> None:
        for info in await self._made_for(request):
            await self._kill(info)
        await self._free(mark.partition("/")[2])

    async def let_go(self, sandbox: Sandbox) -> None:
        for key, known in tuple(self._sandboxes.items()):
            if known is not None and known is sandbox:
                del self._sandboxes[key]
                await known.abandon()

    async def sweep(self) -> int:
        killed = 0
        for info in await self._orphans():
            killed += await self._kill(info)
            key = info.metadata.get(KEY, "")
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

    async def _made_for(self, request: SandboxRequest) -> list[SandboxInfo]:
        marks = {"owner": owner_of(request), SESSION: request.labels[SESSION]}
        return await self._listing.find(**marks)

    async def _kill(self, info: SandboxInfo) -> bool:
        """End one that is not known here any more, and give its place back; whether it was there."""
        killed = await self._listing.kill(info.sandbox_id)
        await self._free(info.metadata.get(KEY, ""))
        return killed

    async def _free(self, key: str) -> None:
        """Give back the place of a sandbox that is gone, if it had one of the team's."""
        if key and self._team is not None:
            await self._admission.places.give_back(key, gone=True)

    async def _orphans(self) -> list[SandboxInfo]:
        found, keys = await self._listing.find(), self._sandboxes.keys()
        if self._team is None:
            return [info for info in found if self._replica.is_orphan(info.metadata, keys)]
        # In this order: who made one of these, and who claims one, is known by now.
        living, claimed = await self._team.living(), await self._team.claimed()
        if living is None:
            return []
        return [
            info
            for info in found
            if self._replica.is_orphan_of_team(info.metadata, keys, living, claimed)
        ]

    def _discard(self, maker: asyncio.Task[E2BSandbox]) -> None:
        """Close what an unwanted maker brought."""
        if maker.cancelled() or maker.exception() is not None:
            return
        self._look_after(maker.result().close())

    async def _make(self, request: SandboxRequest, key: str, wanted: tuple[str, ...]) -> E2BSandbox:
        self._sandboxes[key] = None
        try:
            sdk = await self._start(request, key, wanted)
            try:
                sandbox = await self._prepare(sdk, request, key, wanted)
            except BaseException:
                await self._clean_up(key)
                raise
        except BaseException:
            del self._sandboxes[key]
            raise
        self._sandboxes[key] = sandbox
        return sandbox

    async def _forget(self, key: str, gone: bool) -> None:
        if self._sandboxes.pop(key, None) is not None:
            await self._admission.places.give_back(key, gone=gone)

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
            await self._clean_up(key)
            known = creation_failure(error)
            if known is None:
                raise
            raise known from error

    async def _abandon(self, asking: asyncio.Future[AsyncSandbox], key: str) -> None:
        """Kill what a request brings that took too long; looking for it earlier could find nothing."""
        await asyncio.wait({asking})
        if asking.exception() is not None:
            logger.info("A request for an E2B sandbox failed after it was given up")
        await self._clean_up(key)

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
        contexts, python = await starting.interpreters(sdk, self._sleep)
        surroundings = await starting.prepare(
            sdk, python, request, wanted, close_network=not self._allow_internet
        )
        return self._sandbox(sdk, request, key, contexts, surroundings, expires_at)

    async def _connect(self, info: SandboxInfo, request: SandboxRequest) -> E2BSandbox | None:
        """A sandbox that another replica made, or this one under another hold; None if it does not answer."""
        key = info.metadata.get(KEY, "")
        expires_at = self._clock() + self._ttl
        await self._admission.places.keep(key, self._ttl)
        try:
            with translated("reach the sandbox"), anyio.fail_after(_REQUEST_SECONDS):
                sdk = cast(
                    AsyncSandbox,
                    await AsyncSandbox.connect(
                        info.sandbox_id, timeout=math.ceil(self._ttl), api_key=self._api_key
                    ),
                )
            contexts, python = await starting.interpreters(sdk, self._sleep)
            surroundings = await starting.settle(sdk, python)
        except (SandboxUnavailable, SandboxRejected) as error:
            logger.warning("A sandbox of another replica does not answer: %s", error)
            await self._clean_up(key)
            return None
        sandbox = self._sandbox(sdk, request, key, contexts, surroundings, expires_at)
        self._sandboxes[key] = sandbox
        return sandbox

    def _sandbox(
        self,
        sdk: AsyncSandbox,
        request: SandboxRequest,
        key: str,
        contexts: list[Context],
        surroundings: Surroundings,
        expires_at: float,
    ) -> E2BSandbox:
        return E2BSandbox(
            sdk,
            key=key,
            contexts=contexts,
            surroundings=surroundings,
            limits=request.limits,
            preload=request.preload,
            bare=request.bare,
            expires_at=expires_at,
            clock=self._clock,
            extending=lambda seconds: self._admission.places.extending(key, seconds),
            on_closed=lambda gone: self._forget(key, gone),
        )

    async def _clean_up(self, key: str) -> None:
        """Kill every sandbox that a request with this key made, however it ended for us, and give its place
        back.
        """
        gone = False
        try:
            with anyio.move_on_after(_REQUEST_SECONDS, shield=True):
                for info in await self._listing.find(**{KEY: key}):
                    await self._listing.kill(info.sandbox_id)
                gone = True
        except SandboxError:
            logger.warning("Could not look for what a failed start left; its time to live ends it")
        with anyio.CancelScope(shield=True):
            await self._admission.places.give_back(key, gone=gone)
