"""Namespaces of its own for one session, and the step down from there to user code.

`furnish` is done by the trusted side with the capabilities of a fresh user namespace, or `furnish_as_root`
with those of a machine's root; `StepDown` is the last thing before user code, and cannot be undone.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sys

from . import caches, identity, linux, seccomp
from .linux import Step

HOME = "/home/user"
_WRITABLE = ("/tmp", "/dev/shm", HOME)
# World-writable, or full of sockets that anybody may connect to; /tmp and /dev/shm are replaced anyhow.
_SHARED = ("/run", "/var/tmp")
_QUIET = linux.MS_NOSUID | linux.MS_NODEV
# They name keys of the user who runs the jail.
_HIDDEN = ("/proc/keys", "/proc/key-users")
# What a session takes of these is missing to that user everywhere else on the machine.
_COUNTED_FOR_THE_USER = (
    ("/proc/sys/user/max_user_namespaces", b"0"),
    ("/proc/sys/user/max_inotify_instances", b"4"),  # of 128 by default
    ("/proc/sys/user/max_inotify_watches", b"4096"),
)
_CHANGED_SIGNALS = (
    signal.SIGCHLD,
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGPIPE,
    signal.SIGXFSZ,
)
_TERMINALS = "newinstance,ptmxmode=0666,mode=620,max=64"
_MOST_SIGNALS_PENDING = 1024
_MOST_BYTES_LOCKED = 1 << 20
_MOST_BYTES_OF_MESSAGES = 1 << 19

NEW_AS_ROOT = (
    linux.CLONE_NEWNS
    | linux.CLONE_NEWPID
    | linux.CLONE_NEWIPC
    | linux.CLONE_NEWUTS
    | linux.CLONE_NEWNET
)
NEW = linux.CLONE_NEWUSER | NEW_AS_ROOT


def furnish(limits: dict[str, int], user: int, group: int, *, in_jail: bool = True) -> None:
    """As process 1 of new namespaces: map the ids and replace all that sessions would share.

    Outside a jail, which shows nothing else, the rest of the machine is sealed as `furnish_as_root` does.
    Raises OSError where the kernel does not allow nesting; the message names the step.
    """
    map_ids(user, group)
    linux.mount("none", "/", None, linux.MS_REC | linux.MS_PRIVATE)
    python = {} if in_jail else _open_python()
    if not in_jail:
        _seal()
    linux.take(_mounting_writable(limits["disk_bytes"], user, group))
    _show_again(python)
    caches.seed()
    linux.take([*_hiding(caches.SHARED), *_mounting_own_system()])
    _bound_counts()


class ForPrograms:
    """What `furnish` does, in a process whose forks are programs: once for all of them, as far as that goes."""

    def __init__(self, limits: dict[str, int]) -> None:
        ids = os.getuid(), os.getgid()
        linux.unshare(linux.CLONE_NEWNS)
        linux.mount("none", "/", None, linux.MS_REC | linux.MS_PRIVATE)
        shared = caches.share()
        self._steps = [
            linux.unsharing(NEW_AS_ROOT & ~linux.CLONE_NEWPID),
            *_mounting_writable(limits["disk_bytes"], *ids),
            *(caches.showing_shared() if shared else [(caches.seed, (), "")]),
            *([] if shared else _hiding(caches.SHARED)),
            *_mounting_own_system(),
            linux.unsharing(linux.CLONE_NEWUSER),
            *_mapping_ids(*ids),
            linux.setting_dumpable(False),
            (_bound_counts, (), ""),
        ]

    def furnish(self) -> None:
        """As a fork in a pid namespace of its own: make the other namespaces, and furnish them.

        All but the one of users belong to the namespace that this process comes from: no capability
        in its own could change anything about them. Raises OSError.
        """
        linux.take(self._steps)


def _bound_counts() -> None:
    for path, value in _COUNTED_FOR_THE_USER:
        try:
            _write(path, value)
        except OSError:  # not every kernel has each
            continue


def map_ids(user: int, group: int) -> None:
    """As a process of a new user namespace: stay who we are."""
    linux.take(_mapping_ids(user, group))


def _mapping_ids(user: int, group: int) -> list[Step]:
    return [
        linux.setting_dumpable(True),  # else the map files are not ours
        (_write, ("/proc/self/setgroups", b"deny"), ""),
        (_write, ("/proc/self/uid_map", b"%d %d 1" % (user, user)), ""),
        (_write, ("/proc/self/gid_map", b"%d %d 1" % (group, group)), ""),
    ]


def furnish_as_root(limits: dict[str, int], user: int) -> None:
    """The same in namespaces without a new user namespace, on a machine that is not made for one program.

    All of its files can be seen as `user` may see them, but for those in `_SHARED`; only what is mounted here
    can be written.
    """
    linux.mount("none", "/", None, linux.MS_REC | linux.MS_PRIVATE)
    python = _open_python()
    _seal()
    linux.take(_mounting_writable(limits["disk_bytes"], user, user))
    _show_again(python)
    linux.take(_mounting_own_system())


def _seal() -> None:
    with contextlib.suppress(
        OSError
    ):  # an older kernel; programs' users can write little of it anyhow
        linux.make_read_only("/")
    for directory in _SHARED:
        linux.take(_hiding(directory))


def _open_python() -> dict[str, int]:
    """The folders of this Python that are about to be covered, open."""
    covered = tuple(f"{directory}/" for directory in (*_WRITABLE, *_SHARED))
    folders = {sys.prefix, sys.base_prefix}
    return {
        folder: os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        for folder in folders
        if os.path.realpath(folder).startswith(covered)
    }


def _show_again(folders: dict[str, int]) -> None:
    """Somebody may have installed Python in a temporary folder, and programs cannot do without it."""
    for folder, descriptor in folders.items():
        top = next(each for each in (*_WRITABLE, *_SHARED) if folder.startswith(f"{each}/"))
        if top in _SHARED:
            linux.mount("tmpfs", top, "tmpfs", _QUIET, "size=4k,mode=711")
        os.makedirs(folder, 0o711)
        linux.mount(f"/proc/self/fd/{descriptor}", folder, None, linux.MS_BIND | linux.MS_REC)
        linux.make_read_only(top if top in _SHARED else folder)
        os.close(descriptor)


def _hiding(directory: str) -> list[Step]:
    if not os.path.isdir(directory):
        return []
    flags = _QUIET | linux.MS_RDONLY
    return [linux.mounting("tmpfs", directory, "tmpfs", flags, "size=4k,mode=500")]


def _mounting_own_system() -> list[Step]:
    """What shows processes, terminals and the network: this session's only."""
    flags = linux.MS_NOSUID | linux.MS_NOEXEC
    return [
        linux.mounting("devpts", "/dev/pts", "devpts", flags, _TERMINALS),
        linux.mounting("proc", "/proc", "proc", flags | linux.MS_NODEV),
        *(
            (_if_there_is, (linux.mounting("/dev/null", name, None, linux.MS_BIND),), "")
            for name in _HIDDEN
        ),
        (linux.bring_loopback_up, (), ""),
        linux.setting_dumpable(False),
        (os.chdir, (HOME,), ""),
    ]


def _if_there_is(step: Step) -> None:
    try:
        linux.take((step,))
    except FileNotFoundError:  # not every kernel has each
        return


def _mounting_writable(size: int, user: int, group: int) -> list[Step]:
    """One file system for all that may be written, so that its size bounds them together."""
    options = f"size={size},nr_inodes=100k,mode=700"
    steps = [linux.mounting("tmpfs", HOME, "tmpfs", _QUIET, options)]
    for number, directory in enumerate(_WRITABLE):
        part = f"{HOME}/{number}"
        steps.append((os.mkdir, (part, 0o700), ""))
        if user != os.geteuid():
            steps.append((os.chown, (part, user, group), ""))
        # The home directory last: it covers the others' real places.
        steps.append(linux.mounting(part, directory, None, linux.MS_BIND))
    return steps


class StepDown:
    """Everything that separates user code from us, worked out ahead: what a fork writes to it must copy first.

    `address_space` false leaves the address space unlimited, for interpreters (Node) that reserve far
    more than they use; their data is limited all the same.
    """

    def __init__(
        self, limits: dict[str, int], instructions: bytes, *, address_space: bool = True
    ) -> None:
        memory = limits["memory_bytes"]
        limited = [
            # Linux counts processes for each user namespace since 5.14, so this is the session's own number; set
            # before the namespace was made, it would have bounded all sessions of the jail together.
            _limit(resource.RLIMIT_NPROC, limits["processes"]),
            _limit(resource.RLIMIT_DATA, memory),
            *([_limit(resource.RLIMIT_AS, 2 * memory)] if address_space else []),
            _limit(resource.RLIMIT_FSIZE, limits["file_bytes"]),
            _limit(resource.RLIMIT_NOFILE, limits["open_files"]),
            # At the second limit it is SIGKILL, which does not say why.
            _limit(resource.RLIMIT_CPU, limits["cpu_seconds"], 1),
            _limit(resource.RLIMIT_CORE, 0),
            _limit(linux.RLIMIT_SIGPENDING, _MOST_SIGNALS_PENDING),
            _limit(resource.RLIMIT_MEMLOCK, _MOST_BYTES_LOCKED),
            _limit(linux.RLIMIT_MSGQUEUE, _MOST_BYTES_OF_MESSAGES),
        ]
        self._steps = [
            (os.setsid, (), ""),
            *linux.losing_rights(identity.user),
            *((resource.setrlimit, limit, "") for limit in limited),
            (seccomp.Filter(instructions).install, (), ""),
            linux.setting_dumpable(True),
            # When memory runs out, user code goes first.
            (_write, ("/proc/self/oom_score_adj", b"1000"), ""),
        ]

    def take(self) -> None:
        """In the child, right before user code."""
        linux.take(self._steps)


def forget_signals(*, interruptible: bool = True) -> None:
    """Have signals do what they do in a new process; without `interruptible`, SIGINT goes on doing what it did."""
    for number in _CHANGED_SIGNALS:
        if interruptible or number != signal.SIGINT:
            signal.signal(number, signal.SIG_DFL)
    signal.set_wakeup_fd(-1)


def _limit(kind: int, value: int, beyond: int = 0) -> tuple[int, tuple[int, int]]:
    """The first limit, and a second one that is `beyond` it."""
    hard = resource.getrlimit(kind)[1]
    if hard == resource.RLIM_INFINITY:
        hard = value + beyond
    return kind, (min(value, hard), min(value + beyond, hard))


def _write(path: str, content: bytes, flags: int = os.O_WRONLY) -> None:
    # Not `open`, whose layers cost each session as much as all its mounts.
    descriptor = os.open(path, flags, 0o644)
    try:
        os.write(descriptor, content)
    finally:
        os.close(descriptor)
