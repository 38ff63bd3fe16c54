"""What replicas know of each other's sessions: a record of each, and a lease on it while a call runs in it."""

import hashlib
import json
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from ..replicas.store import Grant, StoreUnusable
from ..replicas.team import SESSIONS, Team
from ..sandbox import Limits, Sandbox, SandboxRequest
from .session import Session

logger = logging.getLogger(__name__)

LABEL = "session"
"""The label of a sandbox that says whose it is, without the handle, which may open doors."""

# A record outlives the session's idle time by this: who ends the session deletes it.
_SPARE_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Entry:
    """A session as it was last written down. `idle` and `age` are the seconds since its last call and since its
    sandbox was made, `sandbox` is the backend's mark of that; `replica` served the last call, and one of them kept something of an
    earlier one if `kept`.
    """

    handle: str
    principal: str
    request: SandboxRequest
    version: int
    idle: float
    age: float
    sandbox: str
    replica: str
    lost: bool
    reset_reason: str
    note: str
    kept: bool


def key_of(handle: str) -> str:
    """What a session is known by to those who may not use it."""
    return hashlib.sha256(f"proofbox session {handle}".encode()).hexdigest()[:32]


def is_handle(text: str) -> bool:
    """Whether a caller's text can be one of ours at all."""
    return re.fullmatch(r"[A-Za-z0-9_-]{1,100}", text) is not None


class Registry:
    """The records, as replica `team.name` reads and writes them. All raise StoreUnusable."""

    def __init__(
        self,
        team: Team,
        limits: Limits,
        idle_seconds: float,
        keeps: Callable[[str], bool],
        mark_of: Callable[[Sandbox], str],
    ) -> None:
        self.team = team
        self._mark_of = mark_of
        self._keeps = keeps
        self._store = team.store
        self._limits = limits
        self._seconds = idle_seconds + _SPARE_SECONDS

    @property
    def me(self) -> str:
        """This replica."""
        return self.team.name

    def labelled(self, handle: str, request: SandboxRequest) -> SandboxRequest:
        """The request of a session, for its sandbox to be found again."""
        return replace(request, labels={**request.labels, LABEL: key_of(handle)})

    async def read(self, handle: str) -> Entry | None:
        """The record of a session."""
        record = await self._store.get(SESSIONS, key_of(handle))
        return None if record is None else self._entry(record.head, record.version, record.age)

    async def read_all(self) -> dict[str, Entry]:
        """The records of all, by handle, the longest unused first."""
        found = await self._store.records(SESSIONS)
        entries = [self._entry(each.head, each.version, each.age) for each in found]
        return {entry.handle: entry for entry in entries}

    async def write(self, session: Session, age: float) -> bool:
        """Write a session down, as this replica has it; False if another has written it or has ended it."""
        if session.version < 0:
            return False
        request = session.request
        facts = {
            "handle": session.handle,
            "principal": session.principal,
            "packages": request.packages,
            "python": request.python,
            "preload": request.preload,
            "shared": request.shared,
            "labels": dict(request.labels),
            "owner": request.owner,
            "sandbox": "" if session.sandbox is None else self._mark_of(session.sandbox),
            "age": age,
            "replica": self.me,
            "lost": session.lost or session.sandbox is None,
            "reset_reason": session.reset_reason,
            "note": session.note,
            "kept": session.kept or self._keeps(session.handle),
        }
        version = await self._store.put(
            SESSIONS,
            key_of(session.handle),
            json.dumps(facts),
            seconds=self._seconds,
            version=session.version,
        )
        session.version = version or session.version
        return version is not None

    async def delete(self, handle: str, version: int | None = None) -> bool:
        """Delete the record of a session that ends, if it has this version; whether it was there."""
        if version is not None and version < 0:
            return False
        return await self._store.delete(SESSIONS, key_of(handle), version=version)

    async def acquire(self, handle: str) -> Grant | None:
        """See to it that no other replica runs a call in a session; None if one does."""
        return await self._store.acquire(SESSIONS, key_of(handle), self.me, self.team.seconds)

    async def renew(self, handle: str) -> bool:
        """Go on with that; False if another may have taken over."""
        return await self._store.renew(SESSIONS, key_of(handle), self.me, self.team.seconds)

    async def release(self, handle: str) -> None:
        """Let others run calls in it. Never raises: the lease runs out by itself."""
        try:
            await self._store.release(SESSIONS, key_of(handle), self.me)
        except StoreUnusable:
            logger.warning("A session stays leased for a while: the store cannot be used")

    def _entry(self, head: str, version: int, idle: float) -> Entry:
        facts: dict[str, Any] = json.loads(head)
        request = SandboxRequest(
            owner=facts["owner"],
            packages=tuple(facts["packages"]),
            limits=self._limits,
            shared=facts["shared"],
            preload=tuple(facts["preload"]),
            python=facts["python"],
            labels=facts["labels"],
        )
        names = (
            "handle",
            "principal",
            "sandbox",
            "replica",
            "lost",
            "reset_reason",
            "note",
            "kept",
        )
        same = {name: facts[name] for name in names}
        return Entry(request=request, version=version, idle=idle, age=facts["age"] + idle, **same)
