"""What goes on in the background: expiry, rotation, heartbeats, orphans, a warm start."""

import logging
from collections.abc import Awaitable, Callable

import anyio
from anyio.abc import TaskGroup

from ..sandbox import Backend, Sandbox, SandboxError, SandboxRequest, SandboxUnavailable
from .clock import Clock, finishes_within
from .session import Session
from .settings import SessionSettings
from .sharing import Sharing
from .store import Store

logger = logging.getLogger(__name__)

# A look-up checks expiry itself; this only says how soon the sandbox is closed then.
_REAP_SECONDS = 15.0

# A network that is away for a moment must not cost every session its state. Two of three are within
# the life that the last good one gave.
_MISSED_BEATS = 2


class Upkeep:
    """The background tasks over a store. `ready_request` is what the pool and warm start make."""

    def __init__(
        self,
        backend: Backend,
        settings: SessionSettings,
        clock: Clock,
        store: Store,
        ready_request: SandboxRequest | None,
        sharing: Sharing | None = None,
    ) -> None:
        self._backend = backend
        self._settings = settings
        self._clock = clock
        self._store = store
        self._ready_request = ready_request
        self._sharing = sharing

    def start(self, tasks: TaskGroup) -> None:
        """Start them; they end when the group is cancelled."""
        tasks.start_soon(self._warm_up)
        tasks.start_soon(self._every, self._settings.sweep_seconds, self._sweep)
        tasks.start_soon(self._every, _REAP_SECONDS, self._reap)
        # Without a hard limit a sandbox lives as long as its backend.
        if self._backend.max_age is not None:
            tasks.start_soon(self._every, self._settings.ttl_seconds / 3, self._beat)

    async def top_up(self) -> None:
        """Fill the pool, as far as there are places that nobody else wants."""
        await _guarded(self._fill_pool)

    async def _every(self, seconds: float, step: Callable[[], Awaitable[None]]) -> None:
        while True:
            await _guarded(step)
            await self._clock.sleep(seconds)

    async def _warm_up(self) -> None:
        request = self._ready_request
        if request is not None:
            await _guarded(lambda: self._backend.warm_up(request))

    async def _sweep(self) -> None:
        if self._sharing is not None:
            # First, for the sandboxes of these not to be taken for nobody's.
            await self._sharing.reconcile()
        killed = await self._backend.sweep()
        if killed:
            logger.info("Killed %d sandboxes that a dead proofbox had left", killed)

    async def _reap(self) -> None:
        for session in self._store:
            if self._store.expired(session):
                self._store.end(session)
            elif self._store.worn(session) and not session.users:
                if session.ready:
                    self._store.end(session)
                else:
                    self._store.spawn_retire(session)
        await self.top_up()

    async def _beat(self) -> None:
        async with anyio.create_task_group() as beats:
            for session in self._store:
                if session.sandbox is not None:
                    beats.start_soon(self._keep_alive, session, session.sandbox)

    async def _keep_alive(self, session: Session, sandbox: Sandbox) -> None:
        async def beat() -> None:
            try:
                await sandbox.keep_alive(self._settings.ttl_seconds)
                session.missed_beats = 0
            except SandboxUnavailable:
                self._note_missed(session, sandbox)
            except SandboxError as error:
                logger.warning("Could not extend the life of sandbox %s: %s", sandbox.id, error)
            except Exception:
                logger.exception("Could not extend the life of sandbox %s", sandbox.id)

        # One that hangs must not make the others miss theirs.
        await finishes_within(self._clock, self._settings.ttl_seconds / 6, beat)

    def _note_missed(self, session: Session, sandbox: Sandbox) -> None:
        if session.sandbox is not sandbox:
            return
        session.missed_beats += 1
        # A call that runs finds out by itself, and may yet get its answer.
        if session.users or session.missed_beats < _MISSED_BEATS:
            return
        if session.ready:
            self._store.end(session)
            return
        session.lost = True
        session.reset_reason = (
            "The sandbox was lost between two calls; this is a new one, without the session's"
            " earlier variables and files."
        )
        self._store.spawn_retire(session)

    async def _fill_pool(self) -> None:
        request, owner = self._ready_request, self._settings.warm_principal
        if request is None or owner is None:
            return
        while sum(session.ready for session in self._store) < self._settings.pool_size:
            if not self._store.places.take_spare(owner):
                return
            session = self._store.add(owner, request)
            session.ready = True
            try:
                async with session.lock:
                    await self._store.refresh(session)
            except BaseException:
                self._store.end(session)
                raise
            finally:
                self._store.release(session)


async def _guarded(step: Callable[[], Awaitable[None]]) -> None:
    try:
        await step()
    except SandboxError as error:
        logger.warning("Session upkeep failed; it is tried again later: %s", error)
    except Exception:
        # Whatever the backend raised: a step that fails must not stop the server, nor later steps.
        logger.exception("Session upkeep failed; it is tried again later")
