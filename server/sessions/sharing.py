"""Sessions that any replica can serve: one at a time, and told what was lost on the way."""

import logging
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager

import anyio
from anyio.abc import TaskGroup

from ..replicas.store import Grant, StoreUnusable
from ..sandbox import Backend, SandboxBusy, SandboxError, SandboxUnavailable, TeamBackend
from .clock import Clock
from .registry import Entry, Registry, is_handle
from .session import Session, SessionNotFound
from .settings import SessionSettings
from .store import Store

logger = logging.getLogger(__name__)

# Nobody tells when another replica is done with a session.
_ASK_SECONDS = 0.25

_BROKEN = (
    "The replica of proofbox that ran the last call of this session ended in the middle of it: that code may have"
    " run in part, and its answer is lost."
)
_ENDED = "The replica of proofbox that served this session has ended; variables and files are as they were."
_MOVED = (
    "Another replica of proofbox served earlier calls of this session; variables and files are as they were, but"
    " plots and cut output of those calls cannot be read here."
)
_LOST = (
    "The replica of proofbox that served this session has ended, and the sandbox with it; this is a new one,"
    " without the session's earlier variables and files."
)
_GONE = (
    "The sandbox was lost between two calls; this is a new one, without the session's earlier variables and"
    " files."
)
_ELSEWHERE = (
    "This session is in a sandbox of another replica of proofbox, on that one's own machine, where this one cannot"
    " reach it. Nothing was run. Send the call again to come to the other, or omit session_id for a fresh sandbox."
)
_TAKEN = (
    "This replica of proofbox could not say in time that it still lives, and another may have taken the session"
    " over. The call was stopped; its code may have run in part."
)


class Sharing:
    """The sessions of this replica among those of all. `sessions` has those that it knows."""

    def __init__(
        self,
        registry: Registry,
        backend: Backend,
        sessions: Store,
        settings: SessionSettings,
        clock: Clock,
        tasks: TaskGroup,
    ) -> None:
        self._registry = registry
        self._team = backend if isinstance(backend, TeamBackend) else None
        self._sessions = sessions
        self._settings = settings
        self._clock = clock
        self._tasks = tasks

    async def locate(self, principal: str, handle: str) -> Session:
        """A session of this principal, wherever it was.

        Raises:
            SessionNotFound: there is none.
            SandboxUnavailable: only the replica that made it can use it.
        """
        entry = await self._registry.read(handle) if is_handle(handle) else None
        if entry is None or entry.principal != principal:
            raise SessionNotFound
        if entry.idle >= self._settings.idle_seconds:
            raise SessionNotFound
        await self._check_reachable(entry)
        return self._know(entry)

    async def freshen(self, session: Session) -> None:
        """Take notice of what other replicas did with a session that was not used here for long."""
        entry = await self._registry.read(session.handle)
        if entry is not None and entry.version != session.version:
            session.last_used = self._clock.monotonic() - entry.idle

    async def withdraw(self, principal: str, handle: str) -> Session:
        """A session that is to be ended whoever uses it; what is left of it is this replica's to end.

        Raises:
            SessionNotFound: there is none.
            SandboxUnavailable: only the replica that made it can end it.
        """
        session = self._sessions.peek(principal, handle)
        if session is None:
            session = await self.locate(principal, handle)
        if not session.version:
            return session
        entry = await self._registry.read(handle)
        if entry is None:
            await self._sessions.forget(session)
            raise SessionNotFound
        await self._registry.delete(handle)
        if entry.version != session.version:
            await self._sessions.let_go(session)
            if self._team is not None:
                await self._team.kill(entry.request, entry.sandbox)
        session.version = 0
        return session

    @asynccontextmanager
    async def holding(self, session: Session) -> AsyncGenerator[None]:
        """Have a session for this replica alone, as it is now. Its lock must be held.

        Raises:
            SessionNotFound: it was ended.
            SandboxBusy: another replica runs a call in it.
            SandboxUnavailable: another replica took it over.
        """
        if not session.version:
            # Nobody else knows it yet; and if this does not end well, nobody ever will.
            yield
            await self._publish(session)
            return
        grant = await self._acquire(session)
        try:
            await self._catch_up(session, grant)
            done = anyio.CancelScope()
            with anyio.CancelScope() as call:
                self._tasks.start_soon(self._keep, session, call, done)
                try:
                    yield
                finally:
                    done.cancel()
            if call.cancelled_caught:
                raise SandboxUnavailable(_TAKEN, may_have_started=True)
        finally:
            with anyio.CancelScope(shield=True):
                await self._publish(session)
                await self._registry.release(session.handle)

    async def reconcile(self) -> None:
        """Forget what others have taken over or ended, and take over what the dead have left."""
        known = [
            (session, session.version)
            for session in self._sessions
            if session.version and not session.users
        ]
        entries = await self._registry.read_all()
        for session, version in known:
            # Unless a call came in meanwhile.
            if session.version != version or session.users or session.ended:
                continue
            entry = entries.get(session.handle)
            if entry is None:
                session.version = 0
                self._sessions.end(session)
            elif entry.version != version:
                await self._sessions.forget(session)
        if self._team is not None:
            await self._adopt_from(entries.values())

    async def make_room(self) -> bool:
        """End the session of any replica that was unused the longest; whether there was one."""
        if self._team is None:
            return False
        for entry in (await self._registry.read_all()).values():
            session = self._sessions.peek(entry.principal, entry.handle)
            if entry.lost or (session is not None and session.users):
                continue
            if await self._registry.acquire(entry.handle) is None:
                continue
            try:
                if await self._registry.delete(entry.handle, entry.version):
                    if session is not None:
                        await self._sessions.forget(session)
                    await self._team.kill(entry.request, entry.sandbox)
                    return True
            finally:
                await self._registry.release(entry.handle)
        return False

    async def part(self) -> None:
        """Leave the sessions to those replicas that live on; if none does, see that no sandbox is left of any but those
        that the store of this one closes.
        """
        others = await self._registry.team.heard_of() - {self._registry.me}
        for session in self._sessions if others else ():
            if session.version and self._team is not None:
                await self._publish(session)
                await self._sessions.forget(session)
            elif session.version:
                await self._registry.delete(session.handle, session.version)
        if others:
            return
        for handle, entry in (await self._registry.read_all()).items():
            session = self._sessions.peek(entry.principal, handle)
            await self._registry.delete(handle, entry.version)
            if session is not None and session.version != entry.version:
                await self._sessions.forget(session)
            if self._team is not None and (session is None or session.ended):
                await self._team.kill(entry.request, entry.sandbox)

    async def _adopt_from(self, entries: Iterable[Entry]) -> None:
        living = await self._registry.team.living()
        if living is None:
            return
        for entry in entries:
            if entry.replica in living or (entry.lost and not entry.sandbox):
                continue
            try:
                await self._adopt(entry)
            except SandboxError as error:
                logger.warning("A session of a dead replica is left for its next call: %s", error)

    async def _adopt(self, entry: Entry) -> None:
        session = self._know(entry)
        if session.users:
            return
        session.users += 1
        try:
            async with session.lock, self.holding(session):
                logger.info("Took over a session of the replica %s, which has ended", entry.replica)
        except SessionNotFound:
            pass  # its end, or another replica, was faster
        finally:
            # It was not used by anybody.
            used = session.last_used
            self._sessions.release(session)
            session.last_used = used

    async def _check_reachable(self, entry: Entry) -> None:
        if self._team is not None or entry.replica == self._registry.me:
            return
        if entry.replica in await self._registry.team.heard_of():
            raise SandboxUnavailable(_ELSEWHERE)

    def _know(self, entry: Entry) -> Session:
        known = self._sessions.peek(entry.principal, entry.handle)
        if known is not None:
            return known
        return self._sessions.admit(
            entry.principal,
            entry.handle,
            entry.request,
            last_used=self._clock.monotonic() - entry.idle,
        )

    async def _acquire(self, session: Session) -> Grant:
        wait = self._settings.queue_wait_seconds
        deadline = self._clock.monotonic() + wait
        while True:
            grant = await self._registry.acquire(session.handle)
            if grant is not None:
                return grant
            if self._clock.monotonic() >= deadline:
                raise SandboxBusy(
                    f"Another call runs in this session, on another replica of proofbox, for {wait:.0f} seconds"
                    " already. Nothing was run. Send calls to one session one after another, or omit session_id"
                    " for a fresh sandbox.",
                    retry_after=wait,
                )
            await self._clock.sleep(_ASK_SECONDS)

    async def _catch_up(self, session: Session, grant: Grant) -> None:
        entry = await self._registry.read(session.handle)
        if entry is None or session.ended:
            await self._sessions.forget(session)
            raise SessionNotFound
        if entry.version == session.version:
            return
        # Until all is known: what is written down is not to be overwritten.
        session.version = -1
        await self._sessions.let_go(session)
        session.reset_reason, session.note = entry.reset_reason, entry.note
        session.born = self._clock.monotonic() - entry.age
        is_dead = entry.replica not in await self._registry.team.heard_of()
        session.kept = entry.kept
        if not entry.lost and (is_dead or entry.kept):
            session.note = " ".join([_ENDED] * is_dead + [_MOVED] * entry.kept)
        if grant.broken:
            session.note = _BROKEN
        if not entry.lost:
            await self._attach(session, entry, is_dead=is_dead)
        elif entry.sandbox:
            await self._clear(entry)
        session.version = entry.version
        if not await self._write(session):
            await self._sessions.forget(session)
            raise SessionNotFound

    async def _attach(self, session: Session, entry: Entry, *, is_dead: bool) -> None:
        sandbox = None
        if self._team is not None:
            sandbox = await self._team.find(session.request, entry.sandbox)
        if sandbox is not None:
            self._sessions.attach(session, sandbox)
            return
        session.reset_reason = _LOST if is_dead else _GONE
        session.note = _BROKEN if session.note == _BROKEN else ""

    async def _clear(self, entry: Entry) -> None:
        """End the lost sandbox of another replica, which may have been stopped before it did."""
        if self._team is None:
            return
        try:
            await self._team.kill(entry.request, entry.sandbox)
        except SandboxError as error:
            logger.warning("A lost sandbox is left to its time to live: %s", error)

    async def _keep(
        self, session: Session, call: anyio.CancelScope, done: anyio.CancelScope
    ) -> None:
        """Go on holding it until `done`; if that cannot be said in time, `call` is stopped."""
        seconds = self._registry.team.seconds
        good_until = self._clock.monotonic() + seconds
        with done:
            while True:
                await self._clock.sleep(seconds / 3)
                asked = self._clock.monotonic()
                try:
                    held = await self._registry.renew(session.handle)
                    good_until = asked + seconds
                except StoreUnusable:
                    held = self._clock.monotonic() + seconds / 3 < good_until
                if not held:
                    call.cancel()
                    return

    async def _publish(self, session: Session) -> None:
        """Write down how a call has left a session. What another replica has made of it is left alone."""
        if session.ended:
            return
        try:
            if await self._write(session):
                return
        except StoreUnusable:
            logger.warning("How a session was left is known to this replica only")
            return
        await self._sessions.forget(session)

    async def _write(self, session: Session) -> bool:
        return await self._registry.write(session, self._clock.monotonic() - session.born)
