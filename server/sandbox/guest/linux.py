"""The system calls that Python (3.9 to 3.11) has no function for.

Every function raises OSError with the kernel's errno. Numbers are from Linux's uapi headers and hold on
every architecture, except where `seccomp` has its own tables.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import signal
import struct
from collections.abc import Callable, Iterable
from typing import Any

# What is to be called, with what, and its name in an error if it gives -1: see `take`.
Step = tuple[Callable[..., Any], tuple[Any, ...], str]

_libc = ctypes.CDLL(None, use_errno=True)
_locked_libc = ctypes.PyDLL(None, use_errno=True)  # keeps the interpreter's lock during the call

_CLONE_VM, _CLONE_FILES = 0x100, 0x400
CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1, 2, 4, 8
MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 32, 4096, 16384, 1 << 18

RLIMIT_SIGPENDING, RLIMIT_MSGQUEUE = 11, 12

_PR_SET_DUMPABLE = 4
_PR_CAPBSET_DROP = 24
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 47, 4
_CAPABILITY_VERSION_3 = 0x20080522
_AF_INET, _SOCK_DGRAM = 2, 2
_SIOCSIFFLAGS, _IFF_UP, _IFF_RUNNING = 0x8914, 0x1, 0x40
_LOOPBACK_UP = struct.pack("16sh22x", b"lo", _IFF_UP | _IFF_RUNNING)  # a struct ifreq
_FIONREAD = 0x541B
_CLONE = 56 if os.uname().machine == "x86_64" else 220
_PIDFD_SEND_SIGNAL, _PIDFD_OPEN = 424, 434
_MOUNT_SETATTR, _AT_FDCWD, _AT_RECURSIVE, _MOUNT_ATTR_RDONLY = 442, -100, 0x8000, 1

# Looked up here once, or each fork would: that costs it as much as a dozen system calls.
_close_range = getattr(_libc, "close_range", None)
_socket, _ioctl = _locked_libc.socket, _locked_libc.ioctl
_sleep = ctypes.cast(_libc.pause, ctypes.c_void_p)
_stack = ctypes.create_string_buffer(1 << 16)
_stack_top = (ctypes.addressof(_stack) + len(_stack)) & ~0xF


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def take(steps: Iterable[Step]) -> None:
    """Make calls that were prepared. What a fork of a process does this way touches, and so copies, little of its memory."""
    for function, arguments, what in steps:
        if function(*arguments) == -1:
            _check(-1, what)


def unshare(flags: int) -> None:
    """New namespaces for this process (and, for pids, its children)."""
    take([unsharing(flags)])


def unsharing(flags: int) -> Step:
    """The same as a step."""
    return _locked_libc.unshare, (flags,), "unshare"


def fork_into(flags: int) -> int:
    """Fork into new namespaces: 0 in the child, which in a new pid namespace is process 1.

    One fork instead of the two that unshare takes, and forks are what a session costs. Nothing happens in it that
    is registered for forks, which would double the cost: for a process with one thread, whose child
    runs nothing but ours and leaves the rest to what it starts by os.fork.
    """
    pid: int = _locked_libc.syscall(
        _CLONE, ctypes.c_ulong(flags | signal.SIGCHLD), *[ctypes.c_ulong(0)] * 4
    )
    _check(min(pid, 0), "clone")
    return pid


def start_sleeper() -> int:
    """A child that sleeps until it is killed: its process id.

    It shares this process's memory and descriptors, so it costs next to nothing. All sleepers have one stack: they
    call one function, which does not return. What this process ignores, they ignore.
    """
    pid: int = _libc.clone(
        _sleep, ctypes.c_void_p(_stack_top), _CLONE_VM | _CLONE_FILES | signal.SIGCHLD, None
    )
    _check(min(pid, 0), "clone")
    return pid


def open_process(pid: int) -> int:
    """A descriptor that stands for a process, and can be read from once that has ended; since Linux 5.3.

    Python has this too, unless it was built where an older kernel ran.
    """
    descriptor: int = _libc.syscall(_PIDFD_OPEN, pid, 0)
    _check(min(descriptor, 0), "pidfd_open")
    os.set_inheritable(descriptor, False)
    return descriptor


def kill_process(descriptor: int) -> None:
    """Kill the process that a descriptor stands for, unless it has ended."""
    with contextlib.suppress(ProcessLookupError):
        _check(
            _libc.syscall(_PIDFD_SEND_SIGNAL, descriptor, signal.SIGKILL, None, 0),
            "pidfd_send_signal",
        )


def set_namespace(descriptor: int, kind: int) -> None:
    """Move this process (for pids: the children that it is yet to have) into a namespace."""
    _check(_libc.setns(descriptor, kind), "setns")


def mount(source: str, target: str, kind: str | None, flags: int = 0, options: str = "") -> None:
    """Mount `source` on `target`; `kind` may be None for a change of flags or a bind."""
    take([mounting(source, target, kind, flags, options)])


def mounting(source: str, target: str, kind: str | None, flags: int = 0, options: str = "") -> Step:
    """The same as a step."""
    kind_ = kind.encode() if kind else None
    arguments = (
        source.encode(),
        target.encode(),
        kind_,
        ctypes.c_ulong(flags),
        options.encode() or None,
    )
    return _locked_libc.mount, arguments, f"mount {kind or source} on {target}"


def make_read_only(path: str) -> None:
    """Nothing can be written below `path` any more, other file systems included; since Linux 5.12."""
    attributes = struct.pack("QQQQ", _MOUNT_ATTR_RDONLY, 0, 0, 0)
    result = _libc.syscall(
        *(_MOUNT_SETATTR, _AT_FDCWD, path.encode(), ctypes.c_uint(_AT_RECURSIVE), attributes),
        ctypes.c_ulong(len(attributes)),
    )
    _check(result, f"make {path} read-only")


def prctl(option: int, argument: int = 0, argument3: int = 0) -> None:
    """prctl with up to two arguments; pointers as integers."""
    take([controlling(option, argument, argument3)])


def controlling(option: int, argument: int = 0, argument3: int = 0) -> Step:
    """The same as a step."""
    arguments = (option, *map(ctypes.c_ulong, (argument, argument3, 0, 0)))
    return _locked_libc.prctl, arguments, f"prctl {option}"


def set_dumpable(dumpable: bool) -> None:
    """Whether /proc/<pid> of this process belongs to its user and may be inspected."""
    take([setting_dumpable(dumpable)])


def setting_dumpable(dumpable: bool) -> Step:
    """The same as a step."""
    return controlling(_PR_SET_DUMPABLE, 1 if dumpable else 0)


def set_no_new_privileges() -> None:
    """No exec of this process or its children ever raises its rights."""
    prctl(_PR_SET_NO_NEW_PRIVS, 1)


def adopt_orphans() -> None:
    """Descendants whose parents end become children of this process."""
    prctl(_PR_SET_CHILD_SUBREAPER, 1)


def losing_rights(user: int | None = None) -> list[Step]:
    """The steps that empty the bounding, ambient, inheritable, permitted and effective sets of capabilities, become
    `user` on the way, and see to it that no exec of this process or its children ever raises its rights.
    """
    header = struct.pack("II", _CAPABILITY_VERSION_3, 0)
    return [
        (_empty_bounding_set, (), ""),
        *([(become_user, (user,), "")] if user is not None else []),
        controlling(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL),
        (_locked_libc.capset, (header, bytes(24)), "capset"),
        controlling(_PR_SET_NO_NEW_PRIVS, 1),
    ]


def _empty_bounding_set() -> None:
    capability = 0
    drop = _locked_libc.prctl
    while drop(_PR_CAPBSET_DROP, capability) == 0:
        capability += 1  # until past the last that this kernel knows


def become_user(user: int) -> None:
    """Take the user and group `user` for good, and no other groups."""
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)


def bring_loopback_up() -> None:
    """127.0.0.1 works in a new network namespace only after this."""
    any_socket = _socket(_AF_INET, _SOCK_DGRAM, 0)  # Python's class is ten times that
    _check(min(any_socket, 0), "socket")
    try:
        _check(min(_ioctl(any_socket, _SIOCSIFFLAGS, _LOOPBACK_UP), 0), "loopback up")
    finally:
        os.close(any_socket)


def bytes_to_read(descriptor: int) -> int:
    """How much a pipe holds now."""
    return struct.unpack("i", fcntl.ioctl(descriptor, _FIONREAD, bytes(4)))[0]


def close_between(first: int, end: int = 1 << 31) -> None:
    """Close every descriptor from `first` up to, not including, `end`."""
    if first >= end or (_close_range is not None and _close_range(first, end - 1, 0) == 0):
        return
    os.closerange(first, min(end, 4096))  # Linux before 5.9
