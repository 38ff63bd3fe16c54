"""What replicas share: leases, records and sums, in a store that every one of them reaches."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from ..sandbox import SandboxBusy

_RETRY_SECONDS = 5.0


class StoreUnusable(SandboxBusy):
    """The store cannot be read or written now. The same call can work later."""

    def __init__(self) -> None:
        super().__init__(
            "The store that the replicas of proofbox share cannot be used now (the log of proofbox says"
            " why). Nothing was run. Try again in a moment.",
            retry_after=_RETRY_SECONDS,
        )


@dataclass(frozen=True, slots=True)
class Grant:
    """A lease that was given. `broken` is the owner who let it run out without giving it back, if one did."""

    broken: str = ""


@dataclass(frozen=True, slots=True)
class Record:
    """Something that was put. `version` grows with each put; `age` is the seconds since the last, by the
    store's clock. `size` is that of the body in bytes; lists have no bodies.
    """

    key: str
    version: int
    head: str
    age: float
    size: int = 0
    body: str | None = None


class SharedStore(Protocol):
    """Every time is told by the store's own clock, and each method is done whole or not at all.

    All raise StoreUnusable. Groups and kinds are words of ours; names and keys must pass `is_key`.
    """

    async def acquire(
        self, group: str, name: str, owner: str, seconds: float, *, most: int | None = None
    ) -> Grant | None:
        """Lease `name` for so long; None if somebody else has it, or if `most` others of the group are
        leased. Who has it already has it for so long again.
        """
        ...

    async def renew(self, group: str, name: str, owner: str, seconds: float) -> bool:
        """Have it for so long from now; False if it has run out or is another's."""
        ...

    async def release(self, group: str, name: str, owner: str) -> None:
        """Give it back, if it is this owner's."""
        ...

    async def holders(self, group: str) -> Mapping[str, str]:
        """The owners of all that is leased in a group, by name."""
        ...

    async def put(
        self,
        kind: str,
        key: str,
        head: str,
        body: str | None = None,
        *,
        seconds: float,
        version: int | None = None,
    ) -> int | None:
        """Write a record that lasts for so long; its new version. With `version`, None and nothing written
        if the record's is another (0: there is none).
        """
        ...

    async def get(self, kind: str, key: str) -> Record | None:
        """A record."""
        ...

    async def records(self, kind: str) -> Sequence[Record]:
        """All records of a kind, the oldest put first."""
        ...

    async def delete(self, kind: str, key: str, *, version: int | None = None) -> bool:
        """Delete a record, if it has this version; whether it was there."""
        ...

    async def add(
        self, group: str, amounts: Mapping[str, float], *, seconds: float
    ) -> Mapping[str, float]:
        """Add to the sums of a group, which last for so long after that, and read them all."""
        ...

    async def close(self) -> None:
        """Let go of it."""
        ...


def is_key(text: str) -> bool:
    """Whether a text can be a name or a key. What callers send is asked first."""
    return re.fullmatch(r"[A-Za-z0-9_.:/-]{1,200}", text) is not None
