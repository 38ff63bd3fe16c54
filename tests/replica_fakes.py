"""Replicas in one process: a store in memory, sandboxes that all of them reach, and one that is cut off."""

import sqlite3
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from fakes import FakeBackend, FakeSandbox, VirtualClock, settle

from proofbox.server.replicas import sql
from proofbox.server.replicas.scripted import ScriptedStore
from proofbox.server.replicas.store import StoreUnusable
from proofbox.server.replicas.team import Team
from proofbox.server.sandbox import Backend, Sandbox, SandboxRequest
from proofbox.server.sessions import SessionManager, SessionSettings

T = TypeVar("T")

SECONDS = 30.0
"""After this a replica that was not heard of is dead. Sweeps are twice as far apart."""


class MemoryStore(ScriptedStore):
    """One replica's door to a store that a clock turned by hand rules. `cut`: it does not open."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.cut = False
        self._connection = connection

    async def run(self, lock: str, script: sql.Script[T]) -> T:
        if self.cut:
            raise StoreUnusable
        statement = next(script)
        while True:
            rows = self._connection.execute(*statement).fetchall()
            try:
                statement = script.send(rows)
            except StopIteration as end:
                return end.value

    async def close(self) -> None:
        pass


class TeamFakeBackend(FakeBackend):
    """Sandboxes that every replica finds by the label of their session."""

    def __init__(self) -> None:
        super().__init__(name="e2b", max_age=86_400.0)

    def mark_of(self, sandbox: Sandbox) -> str:
        return sandbox.id

    async def find(self, request: SandboxRequest, mark: str) -> FakeSandbox | None:
        for sandbox in self._labelled(request):
            if sandbox.id == mark:
                return sandbox
        return None

    async def kill(self, request: SandboxRequest, mark: str) -> None:
        for sandbox in self._labelled(request):
            await sandbox.close()

    async def let_go(self, sandbox: Sandbox) -> None:
        pass

    def _labelled(self, request: SandboxRequest) -> list[FakeSandbox]:
        label = request.labels["session"]
        return [
            each
            for each in self.created
            if each.request.labels.get("session") == label and not each.closed
        ]


@dataclass(frozen=True)
class Replica:
    """One of them."""

    sessions: SessionManager
    store: MemoryStore
    team: Team


@dataclass
class World:
    """What they share."""

    clock: VirtualClock
    backend: Backend = field(default_factory=FakeBackend)
    settings: dict[str, Any] = field(default_factory=dict[str, Any])
    keeps: Callable[[str], bool] = lambda handle: False
    connection: sqlite3.Connection = field(
        default_factory=lambda: sqlite3.connect(":memory:", isolation_level=None)
    )

    def __post_init__(self) -> None:
        self.connection.create_function("CLOCK", 0, self.clock.monotonic)
        for table in sql.TABLES:
            self.connection.execute(table)

    def end(self) -> None:
        """Close the store."""
        self.connection.close()

    def team(self) -> Team:
        """A replica's place among the others, with a door of its own to the store."""
        store, clock = MemoryStore(self.connection), self.clock
        return Team(store, SECONDS, clock=clock.monotonic, sleep=clock.sleep)

    def cut(self, team: Team) -> None:
        """For all others, this replica dies."""
        cast(MemoryStore, team.store).cut = True

    def mend(self, team: Team) -> None:
        """The store is there again."""
        cast(MemoryStore, team.store).cut = False

    @asynccontextmanager
    async def replica(self) -> AsyncGenerator[Replica]:
        """One that runs."""
        usual: dict[str, Any] = {"sweep_seconds": 2 * SECONDS, "idle_seconds": 900.0}
        settings = SessionSettings(**usual | self.settings)
        team = self.team()
        sessions = SessionManager(
            self.backend, settings, clock=self.clock, team=team, keeps=self.keeps
        )
        async with team, sessions:
            await settle()
            yield Replica(sessions, cast(MemoryStore, team.store), team)
