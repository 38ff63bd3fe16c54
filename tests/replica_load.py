"""Many sessions over two replicas, with faults: whether any is lost unsaid, left over, or one too many."""

import random
import statistics
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import httpx2
from mcp import Client
from replicas import ReplicaProcess, replica
from standin import StandIn

# What E2B was seen to do. Each of the second row costs a sandbox its state.
HARMLESS = ("create_503_but_created", "create_504_but_created", "create_429", "create_500")
DEADLY = ("execute_drop", "execute_drop_dead", "not_found")

_CALLS = 3
_ATTEMPTS = 200
_RETRY_SECONDS = 0.2
_LATENCY_SECONDS = 0.2
_FAULT_SECONDS = 0.5


@dataclass
class Findings:
    """What came of it. `told` counts honest answers that were no success; `broken` has what breaks a promise."""

    sessions: int = 0
    told: Counter[str] = field(default_factory=Counter[str])
    faults: Counter[str] = field(default_factory=Counter[str])
    seconds: list[float] = field(default_factory=list[float])
    created: int = 0
    most_at_once: int = 0
    left: int = 0
    broken: list[str] = field(default_factory=list[str])

    def percentile(self, percent: int) -> float:
        """Of the seconds that calls took."""
        return statistics.quantiles(self.seconds, n=100)[percent - 1]


async def load(
    sessions: int, *, limit: int, at_once: int, folder: Path, store: str = "", seed: int = 7
) -> Findings:
    """Run so many sessions, `at_once` of them at a time, where E2B allows `limit` sandboxes. The store is a file in
    `folder` if none is named.
    """
    found = Findings()
    settings = {
        "e2b_sandboxes": limit,
        "max_sessions": limit,
        "e2b_create_rate": 100,
        "sweep_seconds": 20,
        "data_dir": folder,
        "log_level": "error",
        "audit_file": folder / "audit.log",
    }
    with StandIn() as standin:
        # It would refuse what is too much, and hide that it was asked for.
        standin.control.most = 10 * limit
        address = store or f"sqlite://{folder}/shared.sqlite3"
        async with (
            replica(standin, address, **settings) as one,
            replica(standin, address, **settings) as other,
        ):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_inject, standin, found, random.Random(seed))
                await _run_all(sessions, at_once, (one, other), found, seed)
                tasks.cancel_scope.cancel()
            standin.faults.clear()
        found.left = len(standin)
        found.created, found.most_at_once = standin.fleet.created, standin.fleet.most_at_once
    if found.left:
        found.broken.append(f"{found.left} sandboxes were left")
    if found.most_at_once > limit:
        found.broken.append(f"{found.most_at_once} sandboxes at once, and {limit} are allowed")
    deadly = sum(found.faults[name] for name in DEADLY)
    if found.told["reset"] > deadly:
        found.broken.append(f"{found.told['reset']} sessions were reset by {deadly} faults")
    if found.sessions != sessions:
        found.broken.append(f"{found.sessions} of {sessions} sessions came to their end")
    return found


async def _inject(standin: StandIn, found: Findings, chance: random.Random) -> None:
    faults = standin.faults
    while True:
        pending = faults.pending
        # Every start takes its time; and one fault at a time waits to happen.
        faults.inject(
            "create_slow", times=20 - pending.count("create_slow"), seconds=_LATENCY_SECONDS
        )
        if not set(pending) - {"create_slow"}:
            name = chance.choice(HARMLESS + DEADLY)
            details: dict[str, Any] = {"on": "/execute"} if name == "not_found" else {}
            faults.inject(name, **details)
            found.faults[name] += 1
        await anyio.sleep(_FAULT_SECONDS)


async def _run_all(
    sessions: int,
    at_once: int,
    replicas: tuple[ReplicaProcess, ReplicaProcess],
    found: Findings,
    seed: int,
) -> None:
    numbers = iter(range(sessions))

    async def work(worker: int) -> None:
        chance = random.Random(seed + worker)
        for number in numbers:
            session = _Session(number, found, chance)
            while not session.is_over:
                try:
                    async with Client(replicas[0].url) as one, Client(replicas[1].url) as other:
                        await session.live((one, other))
                except* httpx2.TransportError:
                    # A server may close a connection in the moment in which it is used again.
                    session.lost_connection()
            found.sessions += 1

    async with anyio.create_task_group() as tasks:
        for worker in range(at_once):
            tasks.start_soon(work, worker)


class _Session:
    """One session as its client lives it: each call goes to a replica by chance."""

    def __init__(self, number: int, found: Findings, chance: random.Random) -> None:
        self.is_over = False
        self._number = number
        self._found = found
        self._chance = chance
        self._id = ""
        self._is_set = False
        self._looks = 0
        self._may_be_gone = False

    async def live(self, clients: tuple[Client, Client]) -> None:
        """Set a variable, look at it, close; from where it was, if a connection was lost in between."""
        self._clients = clients
        if not self._is_set:
            await self._set()
        self._is_set = True
        while self._looks < _CALLS:
            await self._look()
            self._looks += 1
        await self._end()
        self.is_over = True

    def lost_connection(self) -> None:
        """An answer did not come, and what it was about may be done."""
        self._found.told["disconnected"] += 1
        self._may_be_gone = True

    async def _set(self) -> None:
        for _ in range(_ATTEMPTS):
            facts = await self._execute(f"n = {self._number}")
            if facts.get("verdict") == "passed":
                return
            await anyio.sleep(_RETRY_SECONDS)
        self._break("could not be begun")

    async def _look(self) -> None:
        for _ in range(_ATTEMPTS):
            if not self._id:
                await self._set()  # the session is gone, which was noted: what follows is another's
            facts = await self._execute("n")
            if facts.get("session") == "reset":
                self._found.told["reset"] += 1
                if facts.get("verdict") == "passed":
                    self._break(f"was reset and yet has {facts.get('value')}")
                await self._set()
            elif facts.get("verdict") == "passed":
                if facts.get("value") != str(self._number):
                    self._break(f"has {facts.get('value')}")
                return
            elif facts.get("verdict") == "failed":
                self._break(f"lost its variable and was not told: {facts}")
                return
            await anyio.sleep(_RETRY_SECONDS)
        self._break("could not be gone on with")

    async def _execute(self, code: str) -> dict[str, Any]:
        """The facts of the answer; empty where there is only advice."""
        given = {"session_id": self._id} if self._id else {}
        began = time.perf_counter()
        answer = await self._client().call_tool("execute_code", {"code": code, **given})
        self._found.seconds.append(time.perf_counter() - began)
        facts: dict[str, Any] = answer.structured_content or {}
        if facts:
            self._id = facts.get("session_id", self._id)
            if facts.get("verdict") == "errored":
                self._found.told["errored"] += 1
            return facts
        self._advised(str(answer.content))
        return {}

    async def _end(self) -> None:
        for _ in range(_ATTEMPTS):
            answer = await self._client().call_tool("close_session", {"session_id": self._id})
            if not answer.is_error:
                return
            if "no such session" in str(answer.content) and self._may_be_gone:
                return
            self._may_be_gone = True
            self._advised(str(answer.content))
            await anyio.sleep(_RETRY_SECONDS)
        self._break("could not be closed")

    def _advised(self, text: str) -> None:
        self._found.told["advised"] += 1
        if "no such session" in text:
            self._break("is gone")
            self._id = ""
        if "Error executing tool execute_code'" in text:
            self._break("was answered without a word")

    def _client(self) -> Client:
        return self._chance.choice(self._clients)

    def _break(self, what: str) -> None:
        self._found.broken.append(f"session {self._number} {what}")
