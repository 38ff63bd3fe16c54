"""A session, the lease that a call holds on it, and the watch kept over its sandbox."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeVar

import anyio

from ..sandbox import (
    CommandResult,
    Execution,
    FileInfo,
    InvalidInput,
    OnOutput,
    Program,
    ProgramResult,
    ProgramRunner,
    Sandbox,
    SandboxRejected,
    SandboxRequest,
    SandboxUnavailable,
)

State = Literal["new", "continued", "reset"]
"""new: a fresh sandbox. continued: variables and files of earlier calls are there. reset: they are
gone, and `reset_reason` says why."""

T = TypeVar("T")


class SessionNotFound(InvalidInput):
    """No session of this caller has that handle: unknown, expired, closed and foreign read alike."""

    def __init__(self) -> None:
        super().__init__(
            "There is no such session: session_id is unknown, or the session has expired or was"
            " closed. Its variables and files are gone."
        )


@dataclass(slots=True, eq=False)
class Session:
    """What the manager knows about one handle. Times are readings of its clock, in seconds.

    `users` counts the calls that run in it or wait to; while there are any, it is neither evicted
    nor expired nor rotated. `ready` marks one whose handle nobody has been given yet. `lost`: the
    sandbox must not be used any more. `missed_beats`: heartbeats in a row to it that failed.
    `check` raises SandboxBusy when its principal may use no more. `reset_reason` stays until a call that
    could tell the caller has come to its end, and so does `note`, about what was lost besides. `version` is that of
    the record by which other replicas know it: 0 if they do not, -1 if it is not known yet. `kept`: a replica keeps
    something of it.
    """

    handle: str
    principal: str
    request: SandboxRequest
    last_used: float
    users: int = 0
    sandbox: Sandbox | None = None
    born: float = 0.0
    ready: bool = False
    lost: bool = False
    missed_beats: int = 0
    ended: bool = False
    reset_reason: str = ""
    note: str = ""
    version: int = 0
    kept: bool = False
    check: Callable[[], None] = lambda: None
    lock: anyio.Lock = field(default_factory=lambda: anyio.Lock(fast_acquire=True))
    gone: anyio.Event = field(default_factory=anyio.Event)


class Lease:
    """One call's hold on a session. `async with sessions.lease(...) as lease` gives it.

    Attributes:
        session_id: the handle to pass next time.
        state: `new`, `continued` or `reset`; read it after the work, which may change it.
        reset_reason: why state was lost, one sentence for the caller; empty unless `reset`.
        note: what else was lost since the last call; mostly empty.
        sandbox: the session's sandbox, watched: when it raises `SandboxUnavailable`, the manager
            knows that it is lost.
        expires_in_seconds: the session is closed when unused for so long after this call.
        rotates_in_seconds: its sandbox is replaced before the first call after so long.
    """

    def __init__(
        self,
        session: Session,
        state: State,
        *,
        expires_in_seconds: float,
        rotates_in_seconds: float,
        replace: Callable[[Session], Awaitable[None]],
    ) -> None:
        self.session_id = session.handle
        self.state: State = state
        self.reset_reason = session.reset_reason
        self.note = session.note
        self.expires_in_seconds = expires_in_seconds
        self.rotates_in_seconds = rotates_in_seconds
        self._session = session
        self._replace = replace
        self._watched = WatchedSandbox(session)

    @property
    def sandbox(self) -> Sandbox:
        """The sandbox as it is now; another one after a replacement."""
        return self._watched

    @property
    def programs(self) -> ProgramRunner:
        """The same sandbox as what the workflows need of it."""
        return self._watched

    async def run(self, work: Callable[[Sandbox], Awaitable[T]]) -> T:
        """Do the work of this call: `work(sandbox)`.

        If the sandbox turns out to be lost before any code of this call can have started, the work
        is done once more, in a fresh sandbox, and `state` becomes `reset` (`new` stays `new`).

        Raises:
            SandboxUnavailable: the sandbox was lost when code may have run, or twice.
                `may_have_started` speaks for the whole call, not only for its last request. The
                session's next call gets a fresh sandbox and is told.
        """
        # What earlier work of this call has done would be missing in another sandbox.
        untouched = not self._watched.used
        try:
            return await work(self._watched)
        except SandboxUnavailable as lost:
            if lost.may_have_started or not untouched or not self._replaceable():
                raise
        await self._start_over()
        return await work(self._watched)

    def _replaceable(self) -> bool:
        # The error may be about something else than this session's sandbox.
        return self._session.lost and not self._session.ended

    async def _start_over(self) -> None:
        await self._replace(self._session)
        self._watched = WatchedSandbox(self._session)
        if self.state != "new":
            self.state, self.reset_reason = "reset", self._session.reset_reason


class WatchedSandbox:
    """A session's sandbox for the time of one lease, noting what the rules on losses must know.

    `used`: anything was asked of it. `code_started`: code or a command may have run.
    """

    def __init__(self, session: Session) -> None:
        if session.sandbox is None:
            raise RuntimeError("a lease needs a sandbox")
        self._session = session
        self._sandbox = session.sandbox
        self.used = False
        self.code_started = False

    @property
    def id(self) -> str:
        return self._sandbox.id

    @property
    def python(self) -> str:
        return self._sandbox.python

    async def run_code(
        self,
        code: str,
        *,
        language: str = "python",
        env: Mapping[str, str] | None = None,
        timeout: float = 30.0,
        on_output: OnOutput | None = None,
    ) -> Execution:
        self._session.check()
        running = self._sandbox.run_code(
            code, language=language, env=env, timeout=timeout, on_output=on_output
        )
        return await self._watch(running, runs_code=True)

    async def run_command(
        self,
        command: str | Sequence[str],
        *,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float = 60.0,
        on_output: OnOutput | None = None,
    ) -> CommandResult:
        self._session.check()
        running = self._sandbox.run_command(
            command, cwd=cwd, env=env, timeout=timeout, on_output=on_output
        )
        return await self._watch(running, runs_code=True)

    async def run_program(self, program: Program) -> ProgramResult:
        """See `ProgramRunner`. Raises SandboxRejected where the backend has no programs."""
        self._session.check()
        if not isinstance(self._sandbox, ProgramRunner):
            raise SandboxRejected(
                "This backend cannot run programs yet, which this tool is made of; nothing was run. "
                "Set PROOFBOX_BACKEND=local to use the sandbox of this machine (Linux)."
            )
        return await self._watch(self._sandbox.run_program(program), runs_code=True)

    async def write_files(self, files: Mapping[str, bytes]) -> None:
        await self._watch(self._sandbox.write_files(files))

    async def read_file(
        self, path: str, *, offset: int = 0, max_bytes: int = 16 * 1024**2
    ) -> bytes:
        return await self._watch(self._sandbox.read_file(path, offset=offset, max_bytes=max_bytes))

    async def list_files(self, path: str = ".", *, depth: int = 1) -> list[FileInfo]:
        return await self._watch(self._sandbox.list_files(path, depth=depth))

    async def keep_alive(self, seconds: float) -> None:
        await self._watch(self._sandbox.keep_alive(seconds))

    async def close(self) -> None:
        """Close the sandbox under the session; its next call gets a fresh one."""
        self._note_loss(started=True)
        await self._sandbox.close()

    async def _watch(self, call: Awaitable[T], *, runs_code: bool = False) -> T:
        self.used = True
        before = self.code_started
        # Until the sandbox says otherwise: a cancelled call may have run, too.
        self.code_started |= runs_code
        try:
            return await call
        except InvalidInput:
            self.code_started = before
            raise
        except SandboxUnavailable as lost:
            # The request that failed may not have started, and yet an earlier one of this call ran.
            lost.may_have_started |= before
            self.code_started = lost.may_have_started
            self._note_loss(started=self.code_started)
            if not self._session.ended:
                raise
            raise SandboxUnavailable(
                "The session was closed while this call ran in it.",
                may_have_started=lost.may_have_started,
            ) from lost

    def _note_loss(self, *, started: bool) -> None:
        session = self._session
        # A lease that outlived a replacement must not condemn the new sandbox.
        if session.sandbox is not self._sandbox:
            return
        session.lost = True
        when = "during a call whose code may have run in part" if started else "between two calls"
        session.reset_reason = (
            f"The sandbox was lost {when}; this is a new one, without the session's earlier"
            " variables and files."
        )
