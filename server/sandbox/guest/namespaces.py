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

HOME = "/home/user"
_WRITABLE = ("/tmp", "/dev/shm", HOME)
# World-writable, or full of sockets that anybody may connect to; /tmp and /dev/shm are replaced anyhow.
_SHARED = ("/run", "/var/tmp")
_QUIET = linux.MS_NOSUID | linux.MS_NODEV
# They name keys of the user who runs the jail.
_HIDDEN = ("/proc/keys", "/proc/key-users")
# What a session takes of these is missing to that user everywhere else on the machine.
_COUNTED_FOR_THE_USER = {
    "max_user_namespaces": 0,
    "max_inotify_instances": 4,  # of 128 by default
    "max_inotify_watches": 4096,
}
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
    _mount_writable(limits["disk_bytes"], user, group)
    _show_again(python)
    caches.seed()
    _hide(caches.SHARED)
    _mount_own_system()
    _bound_counts()


class ForPrograms:
    """What `furnish` does, in a process whose forks are programs: once for all of them, as far as that goes."""

    def __init__(self, limits: dict[str, int]) -> None:
        self._disk_bytes = limits["disk_bytes"]
        self._ids = os.getuid(), os.getgid()
        linux.unshare(linux.CLONE_NEWNS)
        linux.mount("none", "/", None, linux.MS_REC | linux.MS_PRIVATE)
        self._has_caches = caches.share()

    def furnish(self) -> None:
        """As a fork in a pid namespace of its own: make the other namespaces, and furnish them.

        All but the one of users belong to the namespace that this process comes from: no capability
        in its own could change anything about them. Raises OSError.
        """
        linux.unshare(NEW_AS_ROOT & ~linux.CLONE_NEWPID)
        _mount_writable(self._disk_bytes, *self._ids)
        if self._has_caches:
            caches.show_shared()
        else:
            caches.seed()
            _hide(caches.SHARED)
        _mount_own_system()
        linux.unshare(linux.CLONE_NEWUSER)
        map_ids(*self._ids)
        linux.set_dumpable(False)
        _bound_counts()


def _bound_counts() -> None:
    for name, value in _COUNTED_FOR_THE_USER.items():
        try:
            _write(f"/proc/sys/user/{name}", b"%d" % value)
        except OSError:  # not every kernel has each
            continue


def map_ids(user: int, group: int) -> None:
    """As a process of a new user namespace: stay who we are."""
    linux.set_dumpable(True)  # else the map files are not ours
    _write("/proc/self/setgroups", b"deny")
    _write("/proc/self/uid_map", b"%d %d 1" % (user, user))
    _write("/proc/self/gid_map", b"%d %d 1" % (group, group))


def furnish_as_root(limits: dict[str, int], user: int) -> None:
    """The same in namespaces without a new user namespace, on a machine that is not made for one program.

    All of its files can be seen as `user` may see them, but for those in `_SHARED`; only what is mounted here
    can be written.
    """
    linux.mount("none", "/", None, linux.MS_REC | linux.MS_PRIVATE)
    python = _open_python()
    _seal()
    _mount_writable(limits["disk_bytes"], user, user)
    _show_again(python)
    _mount_own_system()


def _seal() -> None:
    with contextlib.suppress(
        OSError
    ):  # an older kernel; programs' users can write little of it anyhow
        linux.make_read_only("/")
    for directory in _SHARED:
        _hide(directory)


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


def _hide(directory: str) -> None:
    if os.path.isdir(directory):
        linux.mount("tmpfs", directory, "tmpfs", _QUIET | linux.MS_RDONLY, "size=4k,mode=500")


def _mount_own_system() -> None:
    """What shows processes, terminals and the network: this session's only."""
    linux.mount("devpts", "/dev/pts", "devpts", linux.MS_NOSUID | linux.MS_NOEXEC, _TERMINALS)
    linux.mount("proc", "/proc", "proc", _QUIET | linux.MS_NOEXEC)
    for name in _HIDDEN:
        try:
            linux.mount("/dev/null", name, None, linux.MS_BIND)
        except FileNotFoundError:  # not every kernel has each
            continue
    linux.bring_loopback_up()
    linux.set_dumpable(False)
    os.chdir(HOME)


def _mount_writable(size: int, user: int, group: int) -> None:
    """One file system for all that may be written, so that its size bounds them together."""
    linux.mount("tmpfs", HOME, "tmpfs", _QUIET, f"size={size},nr_inodes=100k,mode=700")
    for number, directory in enumerate(_WRITABLE):
        part = f"{HOME}/{number}"
        os.mkdir(part, 0o700)
        if user != os.geteuid():
            os.chown(part, user, group)
        # The home directory last: it covers the others' real places.
        linux.mount(part, directory, None, linux.MS_BIND)


class StepDown:
    """Everything that separates user code from us, worked out ahead: what a fork writes to it must copy first.

    `address_space` false leaves the address space unlimited, for interpreters (Node) that reserve far
    more than they use; their data is limited all the same.
    """

    def __init__(
        self, limits: dict[str, int], instructions: bytes, *, address_space: bool = True
    ) -> None:
        memory = limits["memory_bytes"]
        self._filter = seccomp.Filter(instructions)
        self._limits = [
            # Linux counts processes for each user namespace since 5.14, so this is the session's own number; set
            # before the namespace was made, it would have bounded all sessions of the jail together.
            _limit(resource.RLIMIT_NPROC, limits["processes"]),
            _limit(resource.RLIMIT_DATA, memory),
            *([_limit(resource.RLIMIT_AS, 2 * memory)] if address_space else []),
            _limit(resource.RLIMIT_FSIZE, limits["file_bytes"]),
            _limit(resource.RLIMIT_NOFILE, limits["open_files"]),
            _limit(resource.RLIMIT_CPU, limits["cpu_seconds"]),
            _limit(resource.RLIMIT_CORE, 0),
            _limit(linux.RLIMIT_SIGPENDING, _MOST_SIGNALS_PENDING),
            _limit(resource.RLIMIT_MEMLOCK, _MOST_BYTES_LOCKED),
            _limit(linux.RLIMIT_MSGQUEUE, _MOST_BYTES_OF_MESSAGES),
        ]

    def take(self) -> None:
        """In the child, right before user code."""
        os.setsid()
        linux.drop_capabilities(identity.user)
        linux.set_no_new_privileges()
        for kind, value in self._limits:
            resource.setrlimit(kind, value)
        self._filter.install()
        linux.set_dumpable(True)
        # When memory runs out, user code goes first.
        _write("/proc/self/oom_score_adj", b"1000")


def forget_signals() -> None:
    """Have signals do what they do in a new process."""
    for number in _CHANGED_SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    signal.set_wakeup_fd(-1)


def _limit(kind: int, value: int) -> tuple[int, tuple[int, int]]:
    hard = resource.getrlimit(kind)[1]
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    return kind, (value, value)


def _write(path: str, content: bytes, flags: int = os.O_WRONLY) -> None:
    # Not `open`, whose layers cost each session as much as all its mounts.
    descriptor = os.open(path, flags, 0o644)
    try:
        os.write(descriptor, content)
    finally:
        os.close(descriptor)
