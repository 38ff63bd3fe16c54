"""The system-call filter, run by an interpreter of its instructions, and once by the kernel."""

import errno
import fcntl
import socket
import struct
import subprocess
import sys
from typing import NamedTuple

import pytest

from proofbox.server.sandbox.guest import seccomp

ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
MACHINES = sorted(ARCHITECTURES)
ALLOW, KILL_PROCESS = 0x7FFF0000, 0x80000000
REFUSE = 0x00050000
EVERY_NUMBER = range(600)  # Linux 6.18 ends at 470
X32 = 0x40000000


class Calls(NamedTuple):
    """The numbers of the calls whose arguments matter."""

    clone: int
    clone3: int
    socket: int
    ioctl: int
    fcntl: int
    prlimit64: int
    sched_setparam: int
    sched_setscheduler: int
    sched_setaffinity: int
    sched_setattr: int
    setpriority: int
    ioprio_set: int


CALLS = {
    "x86_64": Calls(56, 435, 41, 16, 72, 302, 142, 144, 203, 314, 141, 251),
    "aarch64": Calls(220, 435, 198, 29, 25, 261, 118, 119, 122, 274, 140, 30),
}

# What must be refused whatever else changes, from the kernel's tables: (x86_64, aarch64).
MUST_BE_REFUSED = {
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "open_tree": (428, 428),
    "mount_setattr": (442, 442),
    "unshare": (272, 97),
    "setns": (308, 268),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "pidfd_getfd": (438, 438),
    "bpf": (321, 280),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "open_by_handle_at": (304, 265),
}
NAMESPACE_FLAGS = {
    "mount": 0x00020000,
    "cgroup": 0x02000000,
    "uts": 0x04000000,
    "ipc": 0x08000000,
    "user": 0x10000000,
    "pid": 0x20000000,
    "net": 0x40000000,
}
THREAD_FLAGS = 0x003D0F00  # what glibc's pthread_create passes
FORK_FLAGS = 0x01200011  # what glibc's fork passes
PROTOCOLS = (socket.IPPROTO_ICMP, socket.IPPROTO_TCP, socket.IPPROTO_UDP, socket.IPPROTO_ICMPV6)
BY_PROCESS = (
    "prlimit64",
    "sched_setparam",
    "sched_setscheduler",
    "sched_setaffinity",
    "sched_setattr",
)
FAMILIES = {"unix": 1, "inet": 2, "inet6": 10, "netlink": 16}


def run(program: bytes, architecture: int, number: int, *arguments: int) -> int:
    """What the kernel would do with a call, as the filter's return value.

    Instructions and their meaning are those of linux/filter.h, only the ones that seccomp takes.
    """
    padded = (arguments + (0,) * 6)[:6]
    data = struct.pack("=IIQ6Q", number & 0xFFFFFFFF, architecture, 0, *padded)
    instructions = list(struct.iter_unpack("HBBI", program))
    accumulator, at = 0, 0
    while True:
        code, if_true, if_false, value = instructions[at]
        at += 1
        if code == 0x06:
            return value
        if code == 0x20:
            accumulator = struct.unpack_from("=I", data, value)[0]
            continue
        tests = {0x15: accumulator == value, 0x35: accumulator >= value, 0x45: accumulator & value}
        at += if_true if tests[code] else if_false


def decide(machine: str, number: int, *arguments: int) -> int:
    """`run` with the filter of a machine for a call of that machine."""
    return run(seccomp.build(machine), ARCHITECTURES[machine], number, *arguments)


@pytest.mark.parametrize("machine", MACHINES)
def test_the_program_is_one_that_the_kernel_takes(machine: str) -> None:
    """Short enough, every jump forward and inside, and no end but a return."""
    instructions = list(struct.iter_unpack("HBBI", seccomp.build(machine)))

    assert 0 < len(instructions) <= 4096
    assert instructions[-1][0] == 0x06
    for at, (code, if_true, if_false, _) in enumerate(instructions):
        assert code in (0x06, 0x15, 0x20, 0x35, 0x45)
        assert at + 1 + max(if_true, if_false) < len(instructions) or code == 0x06


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("name", sorted(MUST_BE_REFUSED))
def test_what_kernel_bugs_have_lived_in_is_refused(machine: str, name: str) -> None:
    """The numbers here are not those of the table under test."""
    number = MUST_BE_REFUSED[name][MACHINES[::-1].index(machine)]

    assert decide(machine, number) == REFUSE | errno.EPERM


@pytest.mark.parametrize("machine", MACHINES)
def test_every_number_is_refused_exactly_if_the_table_says_so(machine: str) -> None:
    """EPERM for what is listed, for every number that Linux has; here all arguments are 0."""
    column = MACHINES[::-1].index(machine)
    listed = {numbers[column] for numbers in seccomp.REFUSED.values()}
    calls = CALLS[machine]
    decided = {
        calls.clone3: REFUSE | errno.ENOSYS,
        calls.socket: REFUSE | errno.EAFNOSUPPORT,
        calls.ioprio_set: REFUSE | errno.EPERM,
    }

    for number in EVERY_NUMBER:
        expected = REFUSE | errno.EPERM if number in listed else decided.get(number, ALLOW)
        assert (number, decide(machine, number)) == (number, expected)
    assert listed - {None} <= set(EVERY_NUMBER)


@pytest.mark.parametrize("machine", MACHINES)
def test_what_makes_sessions_may_make_namespaces_and_mount_and_no_more(machine: str) -> None:
    """All else is as for user code."""
    program, calls = seccomp.build(machine, namespaces=True), CALLS[machine]
    needed = {
        MUST_BE_REFUSED[name][MACHINES[::-1].index(machine)]
        for name in ("mount", "unshare", "setns")
    }

    for number in EVERY_NUMBER:
        expected = ALLOW if number in needed else decide(machine, number)
        assert (number, run(program, ARCHITECTURES[machine], number)) == (number, expected)
    for flag in (0x00020000, 0x10000000, 0x20000000, 0x40000000):
        assert run(program, ARCHITECTURES[machine], calls.clone, flag) == ALLOW


@pytest.mark.parametrize("machine", MACHINES)
def test_what_is_installed_beneath_the_jails_filter_refuses_all_that_it_leaves(
    machine: str,
) -> None:
    """Of two filters the stricter counts, so together they are the one for user code."""
    architecture, calls = ARCHITECTURES[machine], CALLS[machine]
    both = [
        seccomp.build(machine, namespaces=True),
        seccomp.build(machine, beneath=True),
    ]

    def refusals(number: int, *arguments: int) -> set[int]:
        return {run(program, architecture, number, *arguments) for program in both} - {ALLOW}

    for number in EVERY_NUMBER:
        alone = decide(machine, number)
        assert (number, refusals(number)) == (number, {alone} - {ALLOW})
    for flag in NAMESPACE_FLAGS.values():
        assert refusals(calls.clone, flag) == {REFUSE | errno.EPERM}
    for other in set(ARCHITECTURES.values()) - {architecture}:
        assert {run(program, other, 0) for program in both} == {KILL_PROCESS}


@pytest.mark.parametrize("machine", MACHINES)
def test_numbers_of_the_x32_calls_do_not_exist(machine: str) -> None:
    """They would be the same calls under other numbers, past the table."""
    for number in (*EVERY_NUMBER, 0x3FFFFFFF, -1 - X32):
        assert decide(machine, number + X32) == REFUSE | errno.ENOSYS


@pytest.mark.parametrize("machine", MACHINES)
def test_calls_of_another_architecture_kill_the_process(machine: str) -> None:
    """32-bit calls on a 64-bit kernel have numbers of their own."""
    program = seccomp.build(machine)
    others = {0x40000003, 0x40000028, 0, *ARCHITECTURES.values()} - {ARCHITECTURES[machine]}

    for architecture in others:
        for number in EVERY_NUMBER:
            assert run(program, architecture, number) == KILL_PROCESS


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("flag", NAMESPACE_FLAGS.values(), ids=NAMESPACE_FLAGS)
def test_clone_makes_no_namespaces(machine: str, flag: int) -> None:
    """Alone or with the flags of a fork or a thread."""
    clone = CALLS[machine].clone

    for others in (0, FORK_FLAGS, THREAD_FLAGS):
        assert decide(machine, clone, flag | others) == REFUSE | errno.EPERM


@pytest.mark.parametrize("machine", MACHINES)
def test_forks_and_threads_are_allowed(machine: str) -> None:
    """clone3, which could hide its flags, does not exist; libraries then take clone."""
    calls = CALLS[machine]

    assert decide(machine, calls.clone, FORK_FLAGS) == ALLOW
    assert decide(machine, calls.clone, THREAD_FLAGS) == ALLOW
    assert decide(machine, calls.clone3, 0) == REFUSE | errno.ENOSYS


@pytest.mark.parametrize("machine", MACHINES)
def test_sockets_are_of_four_families(machine: str) -> None:
    """AF_VSOCK (40) would reach the hypervisor; AF_ALG, AF_PACKET and others, kernel code nobody needs."""
    number = CALLS[machine].socket

    answers = {family: decide(machine, number, family) for family in range(64)}

    allowed = {family for family, answer in answers.items() if answer == ALLOW}
    assert allowed == set(FAMILIES.values())
    assert {answers[family] for family in answers.keys() - allowed} == {REFUSE | errno.EAFNOSUPPORT}
    assert decide(machine, number, 2**32 - 1) == REFUSE | errno.EAFNOSUPPORT


@pytest.mark.parametrize("machine", MACHINES)
def test_sockets_speak_five_protocols(machine: str) -> None:
    """Any other number would load the kernel's module for it."""
    number = CALLS[machine].socket

    answers = {protocol: decide(machine, number, 2, 1, protocol) for protocol in range(300)}

    allowed = {protocol for protocol, answer in answers.items() if answer == ALLOW}
    assert allowed == {socket.IPPROTO_IP, *PROTOCOLS}
    refused = {answers[protocol] for protocol in answers.keys() - allowed}
    assert refused == {REFUSE | errno.EPROTONOSUPPORT}


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("name", BY_PROCESS)
def test_the_keeper_is_not_slowed_or_limited(machine: str, name: str) -> None:
    """It is process 1 of the session, and the kernel would let its user do so."""
    number = getattr(CALLS[machine], name)

    assert decide(machine, number, 1) == REFUSE | errno.EPERM
    assert decide(machine, number, 1 | 1 << 32) == REFUSE | errno.EPERM
    assert decide(machine, number, 0, 1, 1) == ALLOW
    assert decide(machine, number, 2, 1, 1) == ALLOW


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(("name", "process"), [("setpriority", 0), ("ioprio_set", 1)])
def test_priorities_are_only_set_for_single_processes(
    machine: str, name: str, process: int
) -> None:
    """A group or a user would have the keeper in it."""
    number = getattr(CALLS[machine], name)

    for kind in {0, 1, 2, 3} - {process}:
        assert decide(machine, number, kind, 7) == REFUSE | errno.EPERM
    assert decide(machine, number, process, 1) == REFUSE | errno.EPERM
    assert decide(machine, number, process, 0) == ALLOW
    assert decide(machine, number, process, 7) == ALLOW


@pytest.mark.parametrize("machine", MACHINES)
def test_files_that_the_host_shares_are_not_leased(machine: str) -> None:
    """A lease holds up whoever opens the file; locks and flags do not."""
    number = CALLS[machine].fcntl

    assert decide(machine, number, 3, fcntl.F_SETLEASE) == REFUSE | errno.EPERM
    for command in (fcntl.F_GETLEASE, fcntl.F_DUPFD_CLOEXEC, fcntl.F_SETFL, fcntl.F_SETLKW):
        assert decide(machine, number, 3, command) == ALLOW


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("request_code", [0x5412, 0x541C], ids=["TIOCSTI", "TIOCLINUX"])
def test_nothing_is_typed_into_a_terminal(machine: str, request_code: int) -> None:
    """The kernel reads 32 bits of the request, so what stands above them must not matter."""
    number = CALLS[machine].ioctl

    assert decide(machine, number, 0, request_code) == REFUSE | errno.EPERM
    assert decide(machine, number, 0, request_code | 1 << 32) == REFUSE | errno.EPERM
    assert decide(machine, number, request_code, 0x5401) == ALLOW


def test_a_machine_without_a_table_gets_no_filter() -> None:
    """User code never runs with less than the whole filter."""
    with pytest.raises(OSError, match="architecture") as raised:
        seccomp.build("riscv64")

    assert raised.value.errno == errno.ENOSYS


PROGRAM = """
import errno, os, socket, subprocess, threading
from proofbox.server.sandbox.guest import linux, seccomp
linux.set_no_new_privileges()
seccomp.install(seccomp.build())
def answer(attempt):
    try:
        attempt()
    except OSError as error:
        return errno.errorcode[error.errno]
thread = threading.Thread(target=print, args=("thread",))
thread.start()
thread.join()
print(subprocess.run(["echo", "child"], capture_output=True, text=True).stdout.strip())
print(answer(lambda: linux.unshare(linux.CLONE_NEWUSER)))
print(answer(lambda: linux.mount("none", "/nowhere", "tmpfs")))
print(answer(lambda: socket.socket(socket.AF_VSOCK)))
print(answer(lambda: socket.socket(socket.AF_UNIX).close()))
"""


def test_the_kernel_takes_the_filter_and_means_the_same() -> None:
    """Threads and children still start; namespaces, mounts and strange sockets are refused."""
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=False
    )

    assert ended.stderr == ""
    assert ended.stdout.split() == ["thread", "child", "EPERM", "EPERM", "EAFNOSUPPORT", "None"]
