"""How the tests of the session manager make calls, as a tool would."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio
from anyio.abc import TaskGroup
from fakes import FakeBackend, VirtualClock, settle

from proofbox.server.sandbox import Execution
from proofbox.server.sessions import SessionManager, SessionSettings, State

# Far more than any of these tests takes: only a hang meets it.
_HANG_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Reply:
    """What a call brought back: `text` is the value of the code's last expression."""

    session_id: str
    state: State
    reset_reason: str
    text: str | None


@asynccontextmanager
async def running(
    backend: FakeBackend, clock: VirtualClock, **settings: Any
) -> AsyncGenerator[SessionManager]:
    """A session manager over the fake, with its background tasks started and settled."""
    with anyio.fail_after(_HANG_SECONDS):
        async with SessionManager(backend, SessionSettings(**settings), clock=clock) as sessions:
            await settle()
            yield sessions


@asynccontextmanager
async def together() -> AsyncGenerator[TaskGroup]:
    """A task group, for the calls that a test makes beside its own."""
    async with anyio.create_task_group() as tasks:
        yield tasks


async def call(
    sessions: SessionManager,
    code: str = "None",
    *,
    session_id: str | None = None,
    principal: str = "ann",
    packages: tuple[str, ...] = (),
) -> Reply:
    """Run code in a session, as a tool does."""
    async with sessions.lease(principal, session_id, packages=packages) as lease:
        execution = await lease.run(lambda sandbox: sandbox.run_code(code))
        return Reply(lease.session_id, lease.state, lease.reset_reason, value(execution))


def value(execution: Execution) -> str | None:
    """The text of the last expression."""
    return execution.results[-1].text if execution.results else None


class Holder:
    """A call that enters its lease and stays there until it is let go, in a task of its own.

    Attributes:
        entered: set once the lease is held.
        leave: set it to end the block.
        scope: cancel it to cancel the call.
        session_id: the handle, once entered. state: the lease's, once entered.
        error: what the call ended with.
        done: set when it is over.
    """

    def __init__(
        self,
        sessions: SessionManager,
        session_id: str | None = None,
        *,
        principal: str = "ann",
        packages: tuple[str, ...] = (),
    ) -> None:
        self.entered = anyio.Event()
        self.leave = anyio.Event()
        self.done = anyio.Event()
        self.scope = anyio.CancelScope()
        self.session_id = session_id or ""
        self.state: State | None = None
        self.error: Exception | None = None
        self._sessions = sessions
        self._lease = sessions.lease(principal, session_id, packages=packages)

    async def __call__(self) -> None:
        try:
            with self.scope:
                async with self._lease as lease:
                    self.session_id, self.state = lease.session_id, lease.state
                    self.entered.set()
                    await self.leave.wait()
        except Exception as error:  # noqa: BLE001 - the test asks what it was
            self.error = error
        finally:
            self.done.set()

    async def finish(self) -> None:
        """Let it go, and wait until it is gone."""
        self.leave.set()
        await self.done.wait()
        await settle()
