"""The system-call filter that user code runs under.

Defence in depth behind namespaces and empty capabilities: it refuses what no program in a sandbox needs and
kernel bugs have lived in. EPERM, so that programs see an ordinary refusal. Numbers: Linux v6.12,
arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h (arm64).
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from typing import Literal, NamedTuple

from . import linux

# name: (x86_64, arm64); None where the architecture has no such call
REFUSED: dict[str, tuple[int, int | None]] = {
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "pidfd_getfd": (438, 438),
    "kcmp": (312, 272),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "open_tree_attr": (467, 467),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "fanotify_init": (300, 262),
    "unshare": (272, 97),
    "setns": (308, 268),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "reboot": (169, 142),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "syslog": (103, 116),
    "acct": (163, 89),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "clock_adjtime": (305, 266),
    "adjtimex": (159, 171),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    "vhangup": (153, 58),
    "lookup_dcookie": (212, 18),
    "iopl": (172, None),
    "ioperm": (173, None),
    "modify_ldt": (154, None),
    "uselib": (134, None),
    "ustat": (136, None),
    "sysfs": (139, None),
    "nfsservctl": (180, 42),
    "move_pages": (279, 239),
    "migrate_pages": (256, 238),
    "mbind": (237, 235),
    "set_mempolicy": (238, 237),
    "set_mempolicy_home_node": (450, 450),
    "memfd_secret": (447, 447),
    "process_mrelease": (448, 448),
    "fanotify_mark": (301, 263),
    "io_setup": (206, 0),  # fs.aio-max-nr counts for the whole machine
}
_FOR_NAMESPACES = ("mount", "unshare", "setns")
_CLONE3 = (435, 435)

_ARCHITECTURES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
_ALL_NAMESPACES = 0x7E020000  # every CLONE_NEW* flag that clone takes
_TERMINAL_INJECTION = (0x5412, 0x541C)  # TIOCSTI, TIOCLINUX: type into somebody's terminal
# AF_VSOCK reaches the hypervisor past every network namespace; the rest of the list is attack surface.
_SOCKET_FAMILIES = (1, 2, 10, 16)  # unix, inet, inet6, netlink
_LOCAL_FAMILIES = (1,)
# Any other makes the kernel load the module of a protocol that hardly anybody uses.
_SOCKET_PROTOCOLS = (0, 1, 6, 17, 58)  # whatever the type means, icmp, tcp, udp, icmpv6
_KEEPER = (1,)  # its process id; the kernel lets a user's processes change one another's limits


class _Rule(NamedTuple):
    """What one argument of a system call must be: any or none of `values`, or without their bits."""

    numbers: tuple[int, int]  # x86_64, arm64
    argument: int
    is_refused: Literal["one of", "none of", "any bit of"]
    values: tuple[int, ...]
    error: int = errno.EPERM


_NO_NAMESPACES = _Rule((56, 220), 0, "any bit of", (_ALL_NAMESPACES,))  # clone
_RULES = (
    _Rule((41, 198), 0, "none of", _SOCKET_FAMILIES, errno.EAFNOSUPPORT),  # socket
    _Rule((41, 198), 2, "none of", _SOCKET_PROTOCOLS, errno.EPROTONOSUPPORT),
    _Rule((16, 29), 1, "one of", _TERMINAL_INJECTION),  # ioctl
    # A lease on a file that the host shares with us holds up whoever opens it, for 45 seconds.
    _Rule((72, 25), 1, "one of", (1024,)),  # fcntl, F_SETLEASE
    _Rule((302, 261), 0, "one of", _KEEPER),  # prlimit64
    _Rule((142, 118), 0, "one of", _KEEPER),  # sched_setparam
    _Rule((144, 119), 0, "one of", _KEEPER),  # sched_setscheduler
    _Rule((203, 122), 0, "one of", _KEEPER),  # sched_setaffinity
    _Rule((314, 274), 0, "one of", _KEEPER),  # sched_setattr
    _Rule((141, 140), 0, "none of", (0,)),  # setpriority, only of a process
    _Rule((141, 140), 1, "one of", _KEEPER),
    _Rule((251, 30), 0, "none of", (1,)),  # ioprio_set, only of a process
    _Rule((251, 30), 1, "one of", _KEEPER),
)
_NO_NETWORK = _Rule((41, 198), 0, "none of", _LOCAL_FAMILIES, errno.EAFNOSUPPORT)

_LOAD, _JUMP_EQUAL, _JUMP_AT_LEAST, _JUMP_ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16
_PR_SET_SECCOMP, _FILTER_MODE = 22, 2


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]


def _op(code: int, value: int, jump_true: int = 0, jump_false: int = 0) -> bytes:
    return struct.pack("HBBI", code, jump_true, jump_false, value)


def _refuse(number: int) -> bytes:
    return _op(_RETURN, _ERRNO | number)


def build(
    machine: str | None = None,
    *,
    network: bool = True,
    namespaces: bool = False,
    beneath: bool = False,
) -> bytes:
    """The filter's instructions for a machine (`os.uname().machine`), as bytes.

    Without `network` there are Unix sockets only: for where the network, loopback too, is somebody else's.
    With `namespaces` they can be made and furnished by `mount`: for what makes them for sessions. `beneath`
    refuses what that leaves and no more: for what runs under that filter already, as everything in a jail does.
    The kernel translates a filter anew for each process that installs it, which takes as long as a mount.
    Raises OSError(ENOSYS) for an architecture that has no table here.
    """
    try:
        architecture, column = _ARCHITECTURES[machine or os.uname().machine]
    except KeyError:
        raise OSError(errno.ENOSYS, "no system-call filter for this architecture") from None
    program = [
        _op(_LOAD, _ARCHITECTURE),
        _op(_JUMP_EQUAL, architecture, 1, 0),
        _op(_RETURN, _KILL),
        _op(_LOAD, _NUMBER),
        _op(_JUMP_AT_LEAST, 0x40000000, 0, 1),  # the x32 numbers would pass by the table
        _refuse(errno.ENOSYS),
    ]
    for name, numbers in REFUSED.items():
        number = numbers[column]
        if number is None or (namespaces and name in _FOR_NAMESPACES):
            continue
        if not beneath or name in _FOR_NAMESPACES:
            program += [_op(_JUMP_EQUAL, number, 0, 1), _refuse(errno.EPERM)]
    # glibc falls back to clone, whose flags can be read here; clone3 keeps them behind a pointer.
    program += [_op(_JUMP_EQUAL, _CLONE3[column], 0, 1), _refuse(errno.ENOSYS)]
    rules: list[_Rule] = [] if beneath else [*_RULES]
    rules += [] if namespaces else [_NO_NAMESPACES]
    rules += [] if network else [_NO_NETWORK]
    for rule in rules:
        checks = _check_argument(rule)
        program += [
            _op(_LOAD, _NUMBER),
            _op(_JUMP_EQUAL, rule.numbers[column], 0, len(checks)),
            *checks,
        ]
    program.append(_op(_RETURN, _ALLOW))
    return b"".join(program)


def _check_argument(rule: _Rule) -> list[bytes]:
    """Instructions that refuse, or go on after the last of them.

    The low half is enough: the kernel reads these arguments as 32 bits, or knows no higher ones.
    """
    count = len(rule.values)
    checks = [_op(_LOAD, _ARGUMENTS + 8 * rule.argument)]
    for index, value in enumerate(rule.values):
        left = count - 1 - index
        if rule.is_refused == "none of":
            checks.append(_op(_JUMP_EQUAL, value, left + 1, 0))
        else:
            jump = _JUMP_ANY_BIT if rule.is_refused == "any bit of" else _JUMP_EQUAL
            checks.append(_op(jump, value, left, 0 if left else 1))
    return [*checks, _refuse(rule.error)]


class Filter:
    """A filter as the kernel reads it."""

    def __init__(self, instructions: bytes) -> None:
        self._buffer = ctypes.create_string_buffer(instructions, len(instructions))
        self._program = _Program(len(instructions) // 8, ctypes.addressof(self._buffer))
        address = ctypes.addressof(self._program)
        self._step = linux.controlling(_PR_SET_SECCOMP, _FILTER_MODE, address)

    def install(self) -> None:
        """Put this process and all it starts under the filter, for good. Needs no_new_privs."""
        linux.take((self._step,))


def install(instructions: bytes) -> None:
    """The same for a filter that is used once."""
    Filter(instructions).install()
