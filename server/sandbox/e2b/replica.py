"""Whose sandbox is this: the marks that proofbox puts on its sandboxes, and reading them."""

import hashlib
import os
import platform
import secrets
from collections.abc import Container, Mapping
from pathlib import Path

from ..base import SandboxRequest
from .team import Team

APP = "proofbox"
KEY = "create"
SESSION = "session"
_TEAM = "team"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _machine() -> str:
    # A process number means something only in one boot and one process namespace: containers with
    # equal host names must not judge each other's processes.
    parts = [platform.node()]
    try:
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text())
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    except OSError:
        parts.append(secrets.token_hex(8))
    return _hash("\n".join(parts))


def owner_of(request: SandboxRequest) -> str:
    """The owner as E2B may know it: metadata is shown to everybody in the E2B team."""
    return _hash(request.owner)


class Replica:
    """This process, as sandboxes remember it: `<machine>.<process>.<random>`, or as it is called in its team."""

    def __init__(self, machine: str | None = None, team: Team | None = None) -> None:
        self._machine = machine or _machine()
        self._team = team
        self.name = team.name if team else f"{self._machine}.{os.getpid()}.{secrets.token_hex(4)}"

    def metadata(self, request: SandboxRequest, key: str) -> dict[str, str]:
        """The marks of a new sandbox."""
        return {
            "purpose": "session",
            **request.labels,
            "app": APP,
            "owner": owner_of(request),
            "replica": self.name,
            KEY: key,
            **({_TEAM: self._team.id} if self._team else {}),
        }

    def is_orphan(self, metadata: Mapping[str, str], keys: Container[str]) -> bool:
        """Whether this sandbox is ours to kill: made by a process of this machine that is dead, or by
        this one, which no longer knows it (`keys` are those that it knows).

        Everything else may be alive. What is not dies of its short time to live. Of a team's see
        `is_orphan_of_team`.
        """
        if metadata.get("app") != APP or metadata.get(_TEAM):
            return False
        if metadata.get("replica") == self.name:
            return metadata.get(KEY, "") not in keys
        machine, _, rest = metadata.get("replica", "").partition(".")
        process = rest.partition(".")[0]
        return machine == self._machine and process.isdecimal() and not _lives(int(process))

    def is_orphan_of_team(
        self,
        metadata: Mapping[str, str],
        keys: Container[str],
        living: Container[str],
        claimed: Container[str],
    ) -> bool:
        """The same in a team, whose members judge each other's wherever they run: nobody will ask for it, and who
        made it is dead or does not know it.
        """
        if self._team is None or metadata.get("app") != APP:
            return False
        if metadata.get(_TEAM) != self._team.id:
            return False
        if metadata.get(KEY, "") in keys or metadata.get(SESSION, "") in claimed:
            return False
        maker = metadata.get("replica", "")
        return maker == self.name or maker not in living


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return process != os.getpid()
