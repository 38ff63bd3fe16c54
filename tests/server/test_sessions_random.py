"""Callers who do anything at any time: the rules hold in every order of events that was tried."""

import random
from collections import Counter
from collections.abc import Callable

import anyio
import anyio.lowlevel
import pytest
from fakes import FakeBackend, VirtualClock
from session_calls import running, together

from proofbox.server.sandbox import InvalidInput, ProofboxError, Sandbox, SandboxBusy
from proofbox.server.sessions import SessionManager, SessionNotFound

CAP = 3
CALLS = 60


class Callers:
    """Callers that keep record of what they were told, and check it against what is so.

    Attributes:
        heard: by session, the sandbox in which the last call ran whose answer came back.
        runs: the number of each call whose code ran, once for each time it ran.
        told: how often each state and each kind of error came back.
    """

    def __init__(self, sessions: SessionManager, backend: FakeBackend, seed: int) -> None:
        self.heard: dict[str, str] = {}
        self.runs: list[int] = []
        self.told: Counter[str] = Counter()
        self.pending = 0
        self._answered: set[int] = set()
        self._inside: set[str] = set()
        self._gone: list[str] = []
        self._sessions = sessions
        self._backend = backend
        self._random = random.Random(seed)
        backend.names = {"runs": self.runs}

    async def call(self, number: int) -> None:
        """One call, in a new session or one that is known; some are cancelled at some step."""
        patience = self._random.randrange(80)
        with anyio.CancelScope() as scope:
            async with together() as tasks:
                if self._random.random() < 0.3:
                    tasks.start_soon(_cancel_after, patience, scope)
                await self._call(number, self._pick())
                tasks.cancel_scope.cancel()
        self.told["cancelled"] += scope.cancelled_caught
        self.pending -= 1

    def _pick(self) -> str | None:
        """Mostly a session that is there, sometimes a new one, now and then one that is gone."""
        if self._gone and self._random.random() < 0.05:
            return self._random.choice(self._gone)
        return self._random.choice([None, *self.heard, *self.heard])

    async def _call(self, number: int, handle: str | None) -> None:
        was_gone = handle in self._gone
        try:
            async with self._sessions.lease("ann", handle) as lease:
                assert lease.session_id not in self._inside, "two calls in one session at one time"
                self._inside.add(lease.session_id)
                heard = self.heard.get(lease.session_id)
                try:
                    await lease.run(lambda sandbox: self._work(sandbox, number))
                finally:
                    self._inside.remove(lease.session_id)
                state, where = lease.state, lease.sandbox.id
        except ProofboxError as error:
            self.told[type(error).__name__] += 1
            if isinstance(error, SessionNotFound) and handle is not None:
                self.heard.pop(handle, None)
                self._gone.append(handle)
            return
        self.told[state] += 1
        self._answered.add(number)
        expected = "continued" if heard == where else "reset"
        assert not was_gone
        assert state == ("new" if handle is None else expected)
        # Another call may have learnt meanwhile that the session was closed.
        if lease.session_id not in self._gone:
            self.heard[lease.session_id] = where

    async def _work(self, sandbox: Sandbox, number: int) -> None:
        for _ in range(self._random.randrange(60)):
            await anyio.lowlevel.checkpoint()
        await sandbox.write_files({"number": b"%d" % number})
        await sandbox.run_code(f"runs.append({number})")
        assert await sandbox.read_file("number") == b"%d" % number

    async def disturb(self, clock: VirtualClock) -> None:
        """Something happens that no caller asked for, or the clock moves."""
        alive = [sandbox for sandbox in self._backend.created if not sandbox.closed]
        match self._random.randrange(12):
            case 0 if alive:
                self._random.choice(alive).lose(started=self._random.random() < 0.5)
            case 1 if self.heard:
                await self._close(self._random.choice(list(self.heard)))
            case 2:
                self._backend.create_errors = [SandboxBusy("slow down", retry_after=1)]
            case 3:
                self._backend.create_errors = [InvalidInput("no such package")]
            case 4:
                await clock.advance(self._random.choice((1, 20, 60)))
            case _:
                for _ in range(self._random.randrange(20)):
                    await anyio.lowlevel.checkpoint()

    def check(self) -> None:
        """Nothing ran twice, and whatever was answered ran."""
        assert len(self.runs) == len(set(self.runs)), "code ran twice"
        assert self._answered <= set(self.runs), "an answer for code that did not run"

    async def _close(self, handle: str) -> None:
        try:
            await self._sessions.close_session("ann", handle)
        except ProofboxError as error:
            self.told[type(error).__name__] += 1


@pytest.mark.parametrize("seed", range(10))
async def test_every_order_of_events_keeps_the_rules(
    make_backend: Callable[[float | None], FakeBackend], clock: VirtualClock, seed: int
) -> None:
    """The truth about state is told, nothing runs twice, the cap holds, and nothing is left."""
    backend = make_backend(400)
    async with running(
        backend, clock, max_sessions=CAP, idle_seconds=150, ttl_seconds=90, queue_length=8
    ) as sessions:
        callers = Callers(sessions, backend, seed)
        async with together() as tasks:
            for number in range(CALLS):
                callers.pending += 1
                tasks.start_soon(callers.call, number)
                await callers.disturb(clock)
            while callers.pending:
                await clock.advance(10)
        callers.check()
        await clock.advance(200)
        left = (sessions.overview("ann").total, backend.open)

    assert left == (0, 0)
    assert backend.most_open <= CAP
    assert len(callers.runs) > 5
    assert sum(callers.told.values()) >= CALLS


async def _cancel_after(turns: int, scope: anyio.CancelScope) -> None:
    for _ in range(turns):
        await anyio.lowlevel.checkpoint()
    scope.cancel()
