"""Where programs run on a machine that is not a jail: in namespaces if the kernel lets us, else beside one another.

Without namespaces a program has a user, directories and a session of its own, and all of that user is killed at
its end. It has no network then, since the machine's loopback leads to services that ask for no password.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
from collections.abc import Callable
from typing import NoReturn

from . import children, identity, linux, namespaces, seccomp

_HOMES = "/opt/proofbox/programs"
_OPEN_TO_ALL = ("/tmp", "/var/tmp", "/dev/shm")


class InNamespaces:
    """Sessions in namespaces of their own, made by root, or in user namespaces by anybody else."""

    name = "namespaces"

    def __init__(self) -> None:
        self._root = os.geteuid() == 0
        self.flags = namespaces.NEW_AS_ROOT if self._root else namespaces.NEW
        self.filter = seccomp.build()
        self._ids = (os.getuid(), os.getgid())

    def enter(self, limits: dict[str, int], user: int) -> None:
        """As the first process of the new namespaces. Raises OSError where the kernel does not let us."""
        if self._root:
            identity.become(user, namespaces=True)
            namespaces.furnish_as_root(limits, user)
        else:
            namespaces.furnish(limits, *self._ids, in_jail=False)
        os.environ.update(HOME=namespaces.HOME, TMPDIR="/tmp")

    def problem(self, limits: dict[str, int], user: int) -> str:
        """Why it does not work here; empty if it does."""

        def attempt() -> None:
            self.enter(limits, user)
            namespaces.StepDown(limits, self.filter).take()

        return _problem_with(attempt, self.flags)


class BesideOneAnother:
    """Sessions told apart by their users only. For root."""

    name = "process"
    flags = 0

    def __init__(self) -> None:
        self.filter = seccomp.build(network=False)

    def problem(self, limits: dict[str, int], user: int) -> str:
        """Why it does not work here; empty if it does."""

        def attempt() -> None:
            identity.become(user, namespaces=False)
            namespaces.StepDown(limits, self.filter).take()

        return _problem_with(attempt, self.flags)

    def enter(self, _limits: dict[str, int], user: int) -> None:
        """Become the session's first process; the one that was forked stays behind, to clean up."""
        identity.become(user, namespaces=False)
        linux.adopt_orphans()
        place = f"{_HOMES}/{user}"
        _remove(place)
        for part in ("home", "tmp"):
            os.makedirs(f"{place}/{part}")
            os.chown(f"{place}/{part}", user, user)
            os.chmod(f"{place}/{part}", 0o700)
        keeper = os.fork()
        if keeper != 0:
            _clean_up_after(keeper, user, place)
        linux.adopt_orphans()
        os.environ.update(HOME=f"{place}/home", TMPDIR=f"{place}/tmp")
        os.chdir(f"{place}/home")


def _problem_with(attempt: Callable[[], None], flags: int) -> str:
    """What a process that is forked for it says of an attempt; empty if nothing."""
    read, write = os.pipe()
    try:
        pid = linux.fork_into(flags)
    except OSError as error:
        os.close(read)
        os.close(write)
        return str(error)
    if pid == 0:
        try:
            attempt()
        except BaseException as error:  # noqa: BLE001 - a child that must not go on
            os.write(write, str(error).encode() or b"unknown")
        os._exit(0)
    os.close(write)
    with open(read, "rb") as said:
        return said.read().decode(errors="replace")


def _clean_up_after(keeper: int, user: int, place: str) -> NoReturn:
    linux.close_between(3)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    try:
        os.waitpid(keeper, 0)
        children.kill_all()
        children.wait_for_all()
        _remove(place)
        for directory in filter(os.path.isdir, _OPEN_TO_ALL):
            for entry in os.scandir(directory):
                with contextlib.suppress(OSError):
                    if entry.stat(follow_symlinks=False).st_uid == user:
                        _remove(entry.path)
    finally:
        os._exit(0)


def _remove(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(FileNotFoundError):
            os.remove(path)
