"""The session manager: every sandbox is leased from here, and closed by here."""

import hashlib
import logging
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass
from types import TracebackType
from typing import Self, TypedDict, Unpack

import anyio

from ..replicas.team import Team
from ..sandbox import (
    Backend,
    Sandbox,
    SandboxBusy,
    SandboxError,
    SandboxRequest,
    SandboxUnavailable,
    TeamBackend,
)
from .clock import Clock, SystemClock
from .meter import Meter, NoMeter
from .registry import Registry
from .session import Lease, Session
from .settings import SessionSettings
from .sharing import Sharing
from .store import Store
from .upkeep import Upkeep

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SessionSummary:
    """One session of a principal. `expires_in_seconds` is what is left if nobody uses it."""

    session_id: str
    in_use: bool
    packages: tuple[str, ...]
    expires_in_seconds: float


@dataclass(frozen=True, slots=True)
class Overview:
    """What exists now: one principal's sessions, and counts over everybody's.

    `total` counts sessions that count towards `max_sessions`, those kept `ready` for nobody yet
    included; `waiting` counts calls in the queue for a sandbox.
    """

    sessions: tuple[SessionSummary, ...]
    total: int
    in_use: int
    ready: int
    waiting: int
    max_sessions: int


class _Else(TypedDict, total=False):
    shared: bool
    python: str
    preload: tuple[str, ...]
    bare: bool
    programs_only: bool
    wheels: Mapping[str, bytes]


class Wanted(_Else, total=False):
    """What a new sandbox is to be like; see `SandboxRequest`, whose defaults hold. `purpose` is a label."""

    packages: tuple[str, ...]
    purpose: str


class SessionManager:
    """Sessions over one backend. Use it as an async context manager, once.

    `on_end` is told the handle of every session that ends, for those who keep things by it; it must
    not raise. `meter` counts how long sandboxes are open, and may refuse more. With a `team`, any replica of it can
    serve any session; `keeps` says whether something is kept here by a handle. Leaving the context closes every sandbox, at once and in bounded time, and then the backend;
    but sessions that another replica can go on with are left to it.
    """

    def __init__(
        self,
        backend: Backend,
        settings: SessionSettings | None = None,
        *,
        clock: Clock | None = None,
        on_end: Callable[[str], None] = lambda handle: None,
        meter: Meter | None = None,
        team: Team | None = None,
        keeps: Callable[[str], bool] = lambda handle: False,
    ) -> None:
        self._backend = backend
        self._settings = settings or SessionSettings()
        self._clock = clock or SystemClock()
        self._on_end = on_end
        self._meter = meter or NoMeter()
        self._team = team
        self._keeps = keeps
        self._sharing: Sharing | None = None
        self._running = False

    async def __aenter__(self) -> Self:
        self._tasks = anyio.create_task_group()
        settings, team, registry = self._settings, self._team, None
        if team is not None:
            registry = Registry(
                team, settings.limits, settings.idle_seconds, self._keeps, self._mark_of
            )
        self._store = Store(
            self._backend, settings, self._clock, self._tasks, self._on_end, self._meter, registry
        )
        if team is not None and registry is not None:
            sharing = Sharing(
                registry, self._backend, self._store, settings, self._clock, self._tasks
            )
            self._sharing, team.on_full = sharing, sharing.make_room
        warm = self._settings.warm_principal
        ready = None if warm is None else self._request(warm)
        self._upkeep = Upkeep(
            self._backend, settings, self._clock, self._store, ready, self._sharing
        )
        await self._tasks.__aenter__()
        self._upkeep.start(self._tasks)
        self._running = True
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._running = False
        self._tasks.cancel_scope.cancel()
        await self._part()
        await self._store.stop()
        # Not given the exception: a task group would wrap it.
        await self._tasks.__aexit__(None, None, None)

    @asynccontextmanager
    async def lease(
        self,
        principal: str,
        session_id: str | None = None,
        **wanted: Unpack[Wanted],
    ) -> AsyncGenerator[Lease]:
        """Hold a session for one call: a new one, or that of `session_id`.

        Calls in one session wait for each other. A new session whose block raises (or is cancelled)
        is closed, because nobody has learnt its handle; an existing one stays for the next call.
        `wanted` describes the sandbox of a new session; for an existing one, `packages` must be among those it
        was created with.

        Raises:
            SessionNotFound: the principal has no such session.
            InvalidInput: other packages than the session has, or packages that cannot be had.
            SandboxBusy: no room, or too many calls wait for this session; nothing was started.
            SandboxRejected, SandboxUnavailable: the backend could not create a sandbox.
        """
        if not self._running:
            raise SandboxUnavailable("proofbox is not running; nothing was run.")
        if session_id is None:
            self._meter.check(principal)
            session = await self._begin(principal, self._request(principal, **wanted))
        else:
            session = await self._resume(principal, session_id, wanted.get("packages", ()))
        try:
            async with session.lock, self._holding(session):
                await self._store.refresh(session)
                yield self._lease(session, fresh=session_id is None)
                # Told: the block came to its end with a sandbox, and knew the state of it.
                if not session.lost:
                    session.reset_reason = session.note = ""
        except BaseException:
            if session_id is None:
                self._store.end(session)
            raise
        finally:
            self._store.release(session)

    @asynccontextmanager
    async def lease_once(self, principal: str, **wanted: Unpack[Wanted]) -> AsyncGenerator[Lease]:
        """Hold a new session that is closed when the block ends, however it does; see `lease`."""
        async with self.lease(principal, **wanted) as lease:
            try:
                yield lease
            finally:
                with anyio.CancelScope(shield=True):
                    await self.close_session(principal, lease.session_id)

    async def close_session(self, principal: str, session_id: str) -> None:
        """End a session and its sandbox; a call that runs in it gets SandboxUnavailable.

        Raises:
            SessionNotFound: the principal has no such session.
            SandboxBusy, SandboxUnavailable: another replica has it, and cannot be asked.
        """
        if self._sharing is None:
            session = self._store.find(principal, session_id)
        else:
            session = await self._sharing.withdraw(principal, session_id)
        self._store.end(session)
        await session.gone.wait()

    @property
    def spread(self) -> int:
        """How many leases at one time are worth having for one large piece of work. See the port."""
        return self._backend.spread

    def limits_held(self) -> Mapping[str, str]:
        """What holds the limits of the sandboxes that are open. See the port."""
        return self._backend.limits_held()

    def overview(self, principal: str) -> Overview:
        """What exists now, for this principal to see."""
        now = self._clock.monotonic()
        sessions = tuple(self._store)
        own = [each for each in sessions if each.principal == principal and not each.ready]
        return Overview(
            sessions=tuple(
                SessionSummary(
                    session_id=each.handle,
                    in_use=each.users > 0,
                    packages=each.request.packages,
                    expires_in_seconds=self._settings.idle_seconds
                    - (0.0 if each.users else now - each.last_used),
                )
                for each in own
                if not self._store.expired(each)
            ),
            total=len(sessions),
            in_use=sum(each.users > 0 for each in sessions),
            ready=sum(each.ready for each in sessions),
            waiting=self._store.places.waiting,
            max_sessions=self._settings.max_sessions,
        )

    async def _begin(self, principal: str, request: SandboxRequest) -> Session:
        session = self._store.take_ready(request)
        if session is not None:
            self._tasks.start_soon(self._upkeep.top_up)
            return session
        await self._store.places.take(principal)
        return self._store.add(principal, request)

    def _holding(self, session: Session) -> AbstractAsyncContextManager[None]:
        return nullcontext() if self._sharing is None else self._sharing.holding(session)

    def _mark_of(self, sandbox: Sandbox) -> str:
        backend = self._backend
        return backend.mark_of(sandbox) if isinstance(backend, TeamBackend) else sandbox.id

    async def _part(self) -> None:
        if self._sharing is None:
            return
        with anyio.move_on_after(self._settings.close_seconds / 2, shield=True):
            try:
                await self._sharing.part()
            except SandboxError as error:
                logger.warning("No other replica goes on with the sessions of this one: %s", error)

    async def _resume(self, principal: str, handle: str, packages: tuple[str, ...]) -> Session:
        if self._sharing is not None:
            known = self._store.peek(principal, handle)
            if known is None:
                await self._sharing.locate(principal, handle)
            elif self._store.expired(known):
                await self._sharing.freshen(known)
        session = self._store.find(principal, handle, packages)
        if session.users > self._settings.queue_length:
            raise SandboxBusy(
                f"{session.users - 1} calls wait for this session already. Nothing was run. Send"
                " calls to one session one after another, or omit session_id for a fresh sandbox.",
                retry_after=self._settings.queue_wait_seconds,
            )
        session.users += 1
        return session

    def _lease(self, session: Session, *, fresh: bool) -> Lease:
        state = "reset" if session.reset_reason else "continued"
        age = self._clock.monotonic() - session.born
        return Lease(
            session,
            "new" if fresh else state,
            expires_in_seconds=self._settings.idle_seconds,
            rotates_in_seconds=self._store.rotate_seconds - age,
            replace=self._store.refresh,
        )

    def _request(
        self,
        principal: str,
        *,
        packages: tuple[str, ...] = (),
        purpose: str = "session",
        **wanted: Unpack[_Else],
    ) -> SandboxRequest:
        # The same on every replica, so that a sweeper or a person can find a principal's sandboxes.
        owner = hashlib.sha256(f"proofbox:{principal}".encode()).hexdigest()[:32]
        return SandboxRequest(
            owner=owner,
            packages=tuple(dict.fromkeys(packages)),
            limits=self._settings.limits,
            labels={"purpose": purpose},
            **wanted,
        )
