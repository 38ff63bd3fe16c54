"""The sessions that exist: how one begins, is looked up, loses its sandbox, and ends."""

import re
import secrets
from collections.abc import Callable, Iterator
from functools import partial

from anyio.abc import TaskGroup

from ..replicas.store import StoreUnusable
from ..sandbox import Backend, InvalidInput, Sandbox, SandboxRequest
from .clock import Clock
from .meter import Meter
from .places import Places
from .registry import Registry
from .session import Session, SessionNotFound
from .settings import SessionSettings
from .supply import Supply


class Store:
    """Every session has one place of the cap, from before its sandbox exists until it is gone."""

    def __init__(
        self,
        backend: Backend,
        settings: SessionSettings,
        clock: Clock,
        tasks: TaskGroup,
        on_end: Callable[[str], None],
        meter: Meter,
        registry: Registry | None = None,
    ) -> None:
        self.supply = Supply(backend, settings, clock)
        self.places = Places(settings, clock, self._evict)
        self._settings = settings
        self._clock = clock
        self._tasks = tasks
        self._on_end = on_end
        self._meter = meter
        self._registry = registry
        self._sessions: dict[str, Session] = {}
        self._stopped = False
        self.rotate_seconds = settings.max_age_seconds
        if backend.max_age is not None:
            margin = min(settings.rotation_margin_seconds, backend.max_age / 2)
            self.rotate_seconds = min(settings.max_age_seconds, backend.max_age - margin)

    def __iter__(self) -> Iterator[Session]:
        return iter(tuple(self._sessions.values()))

    def add(self, principal: str, request: SandboxRequest) -> Session:
        """A session, in use, without a sandbox yet; its place must have been taken."""
        handle = secrets.token_urlsafe(24)
        if self._registry is not None:
            request = self._registry.labelled(handle, request)
        session = self._add(principal, handle, request, self._clock.monotonic())
        session.users = 1
        return session

    def admit(
        self, principal: str, handle: str, request: SandboxRequest, *, last_used: float
    ) -> Session:
        """A session that another replica has begun. It gets a place, if need be beyond the cap."""
        self.places.admit(principal)
        session = self._add(principal, handle, request, last_used)
        session.version = -1
        return session

    def peek(self, principal: str, handle: str) -> Session | None:
        """The principal's session of that handle, if this replica knows it."""
        session = self._sessions.get(handle)
        return session if session is not None and session.principal == principal else None

    def find(self, principal: str, handle: str, packages: tuple[str, ...] = ()) -> Session:
        """The principal's session of that handle.

        Raises:
            SessionNotFound: there is none.
            InvalidInput: it was made without some of these packages.
        """
        session = self._sessions.get(handle)
        if session is None or session.principal != principal:
            raise SessionNotFound
        if self.expired(session):
            self.end(session)
            raise SessionNotFound
        has = {_normal(package) for package in session.request.packages}
        missing = [package for package in packages if _normal(package) not in has]
        if missing:
            raise InvalidInput(
                f"This session was created without {', '.join(missing)}, and packages cannot be"
                " added later. Omit session_id to get a fresh sandbox with them, or omit packages."
            )
        return session

    def take_ready(self, request: SandboxRequest) -> Session | None:
        """A session that was made ahead for exactly this request, now in use."""
        for session in self:
            finished = session.ready and not session.users
            if finished and session.request == request and not self.worn(session):
                session.ready = False
                session.users = 1
                return session
        return None

    def release(self, session: Session) -> None:
        """A call has left the session."""
        session.users -= 1
        session.last_used = self._clock.monotonic()
        if session.lost:
            self.spawn_retire(session)
        self.places.settle()

    def expired(self, session: Session) -> bool:
        """Whether nobody has used it for too long."""
        idle = self._clock.monotonic() - session.last_used
        return not (session.users or session.ready) and idle >= self._settings.idle_seconds

    def worn(self, session: Session) -> bool:
        """Whether its sandbox must not serve another call: lost, or too old."""
        if session.sandbox is None:
            return False
        return session.lost or self._clock.monotonic() - session.born >= self.rotate_seconds

    async def refresh(self, session: Session) -> None:
        """See to it that the session has a sandbox that can serve a call. Its lock must be held.

        Raises what `Backend.create` and `Meter.check` raise, and SessionNotFound if the session ended
        meanwhile.
        """
        if self.worn(session):
            await self._drop(session)
        if session.ended:
            raise SessionNotFound
        if session.sandbox is None:
            session.check()
            session.sandbox = await self.supply.create(session.request)
            self._meter.opened(session.principal)
            session.born = self._clock.monotonic()
            session.missed_beats = 0
        if session.ended:
            raise SessionNotFound

    def attach(self, session: Session, sandbox: Sandbox) -> None:
        """Give a session the sandbox that another replica made for it."""
        self.supply.take_over(sandbox)
        self._meter.opened(session.principal)
        session.sandbox = sandbox
        session.missed_beats = 0

    async def let_go(self, session: Session) -> None:
        """Leave a session's sandbox to whoever uses it now."""
        sandbox, session.sandbox, session.lost = session.sandbox, None, False
        if sandbox is not None:
            self._meter.closed(session.principal)
            await self.supply.let_go(sandbox)

    async def forget(self, session: Session) -> None:
        """Leave a session to whoever uses it now, or has ended it."""
        if not self._strike(session):
            return
        await self.let_go(session)
        session.gone.set()
        self.places.left(session.principal)

    def spawn_retire(self, session: Session) -> None:
        """Close the worn sandbox of a session that nobody uses, in the background."""
        if not self._stopped:
            self._tasks.start_soon(self._retire, session)

    def end(self, session: Session) -> None:
        """End the session now; its sandbox is closed in the background, running calls with it."""
        if self._strike(session) and not self._stopped:
            self._tasks.start_soon(self._finish, session)

    def _strike(self, session: Session) -> bool:
        """Have nobody find it any more; False if that is done already."""
        if session.ended:
            return False
        session.ended = True
        del self._sessions[session.handle]
        self._on_end(session.handle)
        self.places.leaving(session.principal)
        return True

    async def stop(self) -> None:
        """Close everything, at once, even if the caller is cancelled."""
        self._stopped = True
        self.places.shut()
        for session in self:
            self.end(session)
        await self.supply.close_all()

    def _evict(self, principal: str | None) -> bool:
        idle = [
            session
            for session in self
            if not session.users and principal in {None, session.principal}
        ]
        if not idle:
            return False
        # One that was only kept ready holds nobody's state.
        self.end(min(idle, key=lambda session: (not session.ready, session.last_used)))
        return True

    async def _retire(self, session: Session) -> None:
        async with session.lock:
            # Not if a call that came in meanwhile has seen to it.
            if self.worn(session):
                await self._drop(session)

    async def _drop(self, session: Session) -> None:
        if not session.lost:
            session.reset_reason = (
                f"The sandbox had reached its maximum age of {self.rotate_seconds / 60:.0f} minutes;"
                " this is a new one, without the session's earlier variables and files."
            )
        await self._close_sandbox(session)

    def _add(
        self, principal: str, handle: str, request: SandboxRequest, last_used: float
    ) -> Session:
        check = partial(self._meter.check, principal)
        session = Session(handle, principal, request, last_used, check=check)
        self._sessions[handle] = session
        return session

    async def _finish(self, session: Session) -> None:
        if session.version and not await self._is_ours(session):
            await self.let_go(session)
        await self._close_sandbox(session)
        session.gone.set()
        async with session.lock:
            # It may have been given another one while it was being ended.
            await self._close_sandbox(session)
        self.places.left(session.principal)

    async def _is_ours(self, session: Session) -> bool:
        """Whether no other replica has used it since; then none will find it any more."""
        if self._registry is None:
            return True
        try:
            return await self._registry.delete(session.handle, session.version)
        except StoreUnusable:
            return False

    async def _close_sandbox(self, session: Session) -> None:
        sandbox, session.sandbox, session.lost = session.sandbox, None, False
        if sandbox is not None:
            try:
                await self.supply.close(sandbox)
            finally:
                self._meter.closed(session.principal)


def _normal(package: str) -> str:
    """The same text for two spellings of one requirement, as far as that is certain."""
    package = "".join(package.split())
    name = re.match(r"[A-Za-z0-9._-]*", package)
    length = name.end() if name else 0
    return re.sub(r"[-_.]+", "-", package[:length]).lower() + package[length:]
