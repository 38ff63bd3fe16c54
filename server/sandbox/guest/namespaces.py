"""Namespaces of its own for one session, and the step down from there to user code.

`furnish` is done by the trusted side with the capabilities of a fresh user namespace, or `furnish_as_root`
with those of a machine's root; `become_unprivileged` is the last thing before user code, and cannot be undone.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sys

from . import identity, linux, seccomp

HOME = "/home/user"
_WRITABLE = ("/tmp", "/dev/shm", HOME)
SHARED_CACHE = "/cache"
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
_caches: dict[str, bytes] = {}
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
    linux.set_dumpable(True)  # else the map files are not ours
    _write("/proc/self/setgroups", b"deny")
    _write("/proc/self/uid_map", b"%d %d 1" % (user, user))
    _write("/proc/self/gid_map", b"%d %d 1" % (group, group))
    linux.mount("none", "/", None, linux.MS_REC | linux.MS_PRIVATE)
    python = {} if in_jail else _open_python()
    if not in_jail:
        _seal()
    _mount_writable(limits["disk_bytes"], user, group)
    _show_again(python)
    seed_caches()
    _hide(SHARED_CACHE)
    _mount_own_system()
    for name, value in _COUNTED_FOR_THE_USER.items():
        with contextlib.suppress(OSError):  # not every kernel has each
            _write(f"/proc/sys/user/{name}", b"%d" % value)


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
    linux.mount(
        "devpts",
        "/dev/pts",
        "devpts",
        linux.MS_NOSUID | linux.MS_NOEXEC,
        "newinstance,ptmxmode=0666,mode=620,max=64",
    )
    linux.mount("proc", "/proc", "proc", _QUIET | linux.MS_NOEXEC)
    for name in _HIDDEN:
        with contextlib.suppress(FileNotFoundError):
            linux.mount("/dev/null", name, None, linux.MS_BIND)
    linux.bring_loopback_up()
    linux.set_dumpable(False)
    os.chdir(HOME)


def _mount_writable(size: int, user: int, group: int) -> None:
    """One file system for all that may be written, so that its size bounds them together."""
    linux.mount("tmpfs", HOME, "tmpfs", _QUIET, f"size={size},nr_inodes=100k,mode=700")
    for number, directory in enumerate(_WRITABLE):
        part = f"{HOME}/{number}"
        os.mkdir(part, 0o700)
        os.chown(part, user, group)
        # The home directory last: it covers the others' real places.
        linux.mount(part, directory, None, linux.MS_BIND)


def read_caches() -> None:
    """Read what an earlier jail of this environment left for matplotlib: its fonts take seconds to find."""
    source = f"{SHARED_CACHE}/matplotlib"
    if os.path.isdir(source):
        for name in os.listdir(source):
            with contextlib.suppress(OSError), open(f"{source}/{name}", "rb") as file:
                _caches[name] = file.read()


def seed_caches() -> None:
    """Put what was read where matplotlib looks for it."""
    target = os.environ.get("MPLCONFIGDIR")
    if target is None:
        return
    if not _caches:
        read_caches()  # by now there may be something
    for name, content in _caches.items():
        with contextlib.suppress(FileExistsError):
            os.mkdir(target)
        _write(f"{target}/{name}", content, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)


def become_unprivileged(
    limits: dict[str, int], instructions: bytes, *, address_space: bool = True
) -> None:
    """Everything that separates user code from us; in the child, right before it.

    `address_space` false leaves the address space unlimited, for interpreters (Node) that reserve far
    more than they use; their data is limited all the same.
    """
    os.setsid()
    linux.drop_capabilities(identity.user)
    linux.set_no_new_privileges()
    # Linux counts processes for each user namespace since 5.14, so this is the session's own number; set
    # before the namespace was made, it would have bounded all sessions of the jail together.
    _limit(resource.RLIMIT_NPROC, limits["processes"])
    memory = limits["memory_bytes"]
    _limit(resource.RLIMIT_DATA, memory)
    if address_space:
        _limit(resource.RLIMIT_AS, 2 * memory)
    _limit(resource.RLIMIT_FSIZE, limits["file_bytes"])
    _limit(resource.RLIMIT_NOFILE, limits["open_files"])
    _limit(resource.RLIMIT_CPU, limits["cpu_seconds"])
    _limit(resource.RLIMIT_CORE, 0)
    _limit(linux.RLIMIT_SIGPENDING, _MOST_SIGNALS_PENDING)
    _limit(resource.RLIMIT_MEMLOCK, _MOST_BYTES_LOCKED)
    _limit(linux.RLIMIT_MSGQUEUE, _MOST_BYTES_OF_MESSAGES)
    seccomp.install(instructions)
    linux.set_dumpable(True)
    # When memory runs out, user code goes first.
    _write("/proc/self/oom_score_adj", b"1000")
    for number in _CHANGED_SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    signal.set_wakeup_fd(-1)


def _limit(kind: int, value: int) -> None:
    hard = resource.getrlimit(kind)[1]
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(kind, (value, value))


def _write(path: str, content: bytes, flags: int = os.O_WRONLY) -> None:
    # Not `open`, whose layers cost each session as much as all its mounts.
    descriptor = os.open(path, flags, 0o644)
    try:
        os.write(descriptor, content)
    finally:
        os.close(descriptor)
