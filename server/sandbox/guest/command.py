"""Running a command of its own, beside a session's interpreters."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NoReturn

from .activity import NO_DEADLINE, Activity
from .wire import Message

if TYPE_CHECKING:
    from .session import Session


class Command(Activity):
    """One command, from its start until it and what it started are dead or left alone."""

    def __init__(self, session: Session, message: Message) -> None:
        super().__init__(session, message)
        cwd = message["cwd"]
        if cwd and not _is_directory(cwd):
            self._finish({"no_directory": True})
            return
        self.child = session.child(message)

    def _child_ended(self) -> None:
        if self._stopped:
            self.child.drain(self._output)
        # What it left running in the background holds the pipes open, perhaps for ever.
        self.child.read_output(self._output)
        self.child.close()
        self._finish({"how": self._stopped or "ended", "status": self.child.status})

    def _stop(self, why: str) -> None:
        if not self.session.kill_started_since(self._began_ticks, spared=0):
            self.session.forget_interpreters()
        self._stopped = self._stopped or why
        self.deadline = NO_DEADLINE


def _is_directory(path: str) -> bool:
    try:
        return os.path.isdir(path)
    except ValueError:  # a NUL, or half of a surrogate pair
        return False


def execute(message: Message) -> NoReturn:
    """Become the command that a request names, in its directory and environment."""
    arguments: list[str] = message["argv"]
    try:
        os.chdir(message["cwd"] or ".")
    except (OSError, ValueError) as error:
        _refuse(message["cwd"], error, 126)
    try:
        os.environ.update(message["env"])
        os.execvp(arguments[0], arguments)
    except FileNotFoundError:
        _refuse(arguments[0], "command not found", 127)
    except (OSError, ValueError) as error:
        _refuse(arguments[0], error, 126)


def _refuse(what: str, why: object, code: int) -> NoReturn:
    # 126 and 127 are what a shell exits with for the same.
    reason = why.strerror if isinstance(why, OSError) else why
    os.write(2, f"{what}: {reason}\n".encode(errors="replace"))
    os._exit(code)
