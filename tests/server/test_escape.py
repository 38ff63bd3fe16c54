"""Attempts to reach what is not the session's own: the host, other sessions, the keeper, the kernel.

Each is made from inside a real session, and its answer is what the kernel said to it.
"""

import os
import socket
import threading
from collections.abc import AsyncGenerator, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import pytest
from local_attacks import MACHINE, arm, number, outcome, still_works
from program_sandbox import ProgramSandbox

from proofbox.server.sandbox import ProgramRunner, Sandbox, SandboxRequest
from proofbox.server.sandbox.guest import seccomp
from proofbox.server.sandbox.local.backend import LocalBackend

CANARY = f"canary-{uuid4().hex}"
only_on_x86 = pytest.mark.skipif(MACHINE != "x86_64", reason="machine code for x86-64")

ROOT = {"bin", "cache", "dev", "env", "etc", "guest", "home", "proc", "sbin", "tmp", "usr"}
SOMETIMES = {"lib", "lib32", "lib64", "libx32", "opt"}
DEVICES = {
    *("core", "fd", "full", "null", "ptmx", "pts", "random", "shm"),
    *("stderr", "stdin", "stdout", "tty", "urandom", "zero"),
}
CONFIGURATION = {
    *("alternatives", "fonts", "group", "hosts", "ld.so.cache", "ld.so.conf", "ld.so.conf.d"),
    *("nsswitch.conf", "passwd"),
}


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """One event loop for all attempts, so that they share a jail."""
    return "asyncio"


@pytest.fixture(scope="module")
async def jails(local_cache: Path) -> AsyncGenerator[LocalBackend]:
    """The backend under attack, in a process whose environment holds a secret."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PROOFBOX_TEST_SECRET", CANARY)
        backend = LocalBackend(cache_dir=local_cache)
        yield backend
        await backend.close()


@pytest.fixture(scope="module")
async def for_changes(jails: LocalBackend) -> AsyncGenerator[ProgramRunner]:
    """What a pull request is built and tested in: a jail of its own, without default packages."""
    # IPython is what some attempts try to change.
    request = SandboxRequest(owner="attacker", packages=("ipython",), bare=True, shared=False)
    runner = await jails.create(request)
    yield runner
    await runner.close()


@pytest.fixture(params=["session", "pull request"])
async def attacker(
    jails: LocalBackend, for_changes: ProgramRunner, request: pytest.FixtureRequest
) -> AsyncGenerator[Sandbox]:
    """Where the attempts are made: in a session, and where tests of a pull request run."""
    if request.param == "session":
        sandbox = await jails.create(SandboxRequest(owner="attacker"))
    else:
        sandbox = cast("Sandbox", ProgramSandbox(for_changes))
    await arm(sandbox)
    yield sandbox
    await sandbox.close()


@pytest.fixture(params=["attacker", "somebody else"])
async def victim(jails: LocalBackend, request: pytest.FixtureRequest) -> AsyncGenerator[Sandbox]:
    """Another session: in the same jail, or of another owner."""
    sandbox = await jails.create(SandboxRequest(owner=request.param))
    await arm(sandbox)
    yield sandbox
    await sandbox.close()


@contextmanager
def listening(address: tuple[str, int] | str, family: int) -> Generator[tuple[Any, list[str]]]:
    """A server on the host that accepts whoever comes: its address, and a list of its visitors.

    The first visitor is ourselves: it can be reached.
    """
    visitors: list[str] = []
    with socket.socket(family, socket.SOCK_STREAM) as server:
        server.bind(address)
        server.listen()

        def accept() -> None:
            with suppress(OSError):
                while True:
                    visitor, name = server.accept()
                    visitors.append(repr(name))
                    visitor.close()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        with socket.socket(family, socket.SOCK_STREAM) as ourselves:
            ourselves.connect(server.getsockname())
            ourselves.recv(1)  # until it has been accepted
        yield server.getsockname(), visitors
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


# --- the host's files and environment ---


async def test_a_session_sees_no_directory_of_the_host_but_system_ones(attacker: Sandbox) -> None:
    """What is not mounted cannot be read, whatever its permissions."""
    shown = await outcome(attacker, "[os.listdir(d) for d in ('/', '/home', '/dev', '/etc')]")

    root, home, devices, configuration = map(set, shown)
    assert root - SOMETIMES == ROOT
    assert home == {"user"}
    assert devices == DEVICES
    assert configuration <= CONFIGURATION


@pytest.mark.parametrize(
    "place",
    [
        "/root",
        "/etc/shadow",
        "/etc/ssh",
        "/var",
        "/run",
        "/srv",
        "/boot",
        "/mnt",
        "/sys",
        "/proc/kcore",
    ],
)
async def test_places_of_the_host_are_not_there(attacker: Sandbox, place: str) -> None:
    """Neither as a file nor as a directory."""
    code = f"[attempt(read, {place!r}), attempt(os.listdir, {place!r})]"

    refused = await outcome(attacker, code)

    assert set(refused) <= {"ENOENT", "EACCES", "ENOTDIR"}


async def test_files_of_the_user_who_runs_proofbox_are_not_there(
    attacker: Sandbox, tmp_path: Path, local_cache: Path
) -> None:
    """Home directory, temporary files, the cache and the code of proofbox, by their host names."""
    secret = tmp_path / "secret"
    secret.write_text(CANARY)
    secret.chmod(0o644)
    places = [secret, Path.home(), local_cache, Path(__file__), Path.cwd()]
    hidden = [str(place) for place in places if not place.is_relative_to("/usr")]

    refused = await outcome(attacker, f"[attempt(os.stat, place) for place in {hidden!r}]")

    assert refused == ["ENOENT"] * len(hidden)


async def test_the_interpreter_is_shown_without_what_the_host_installed_for_it(
    attacker: Sandbox,
) -> None:
    """The prefix of somebody's own Python may hold configuration, programs and other environments."""
    code = """
[sorted(os.listdir("/opt/python")) if os.path.exists("/opt/python") else [],
 [len(os.listdir(place)) for place in glob.glob("/opt/python/lib*/python3*/site-packages")],
 len(glob.glob("/opt/python/bin/*")),
 [name for name in glob.glob("/opt/python/include/*") if "/include/python3" not in name]]
"""
    top, packages, programs, strange = await outcome(attacker, code)

    assert set(top) <= {"bin", "include", "lib", "lib64"}
    assert strange == []
    assert set(packages) <= {0}
    assert programs <= 1


async def test_the_environment_of_the_host_is_not_handed_on(attacker: Sandbox) -> None:
    """Neither in our own variables nor in those of a process that can be seen."""
    code = """
seen = [repr(dict(os.environ))]
for path in glob.glob("/proc/*/environ") + glob.glob("/proc/*/cmdline"):
    seen.append(repr(attempt(read, path)))
[os.environ["HOME"], os.environ["USER"], "\\n".join(seen)]
"""
    home, user, seen = await outcome(attacker, code)

    assert os.environ["PROOFBOX_TEST_SECRET"] == CANARY
    assert (home, user) == ("/home/user", "user")
    assert CANARY not in seen
    assert "pytest" not in seen


# --- other sessions ---


async def test_files_of_another_session_are_not_there(attacker: Sandbox, victim: Sandbox) -> None:
    """Everything that can be written is each session's own."""
    places = [f"{place}/{CANARY}" for place in ("/home/user", "/tmp", "/dev/shm")]
    written = await outcome(victim, f"[write(place) for place in {places!r}]")

    seen = await outcome(
        attacker,
        f"[attempt(os.stat, root + place) for place in {places!r}"
        " for root in ('', '/proc/1/root', *glob.glob('/proc/[2-9]*/root'))]",
    )

    assert written == [1, 1, 1]
    assert len(seen) >= 9
    assert set(seen) <= {"ENOENT", "EACCES"}


async def test_processes_of_another_session_are_not_there(
    attacker: Sandbox, victim: Sandbox
) -> None:
    """They cannot be seen, and a signal to everybody does not reach them."""
    start = "sleeper = subprocess.Popen(['sleep', '1001'])"
    look = "[int(name) for name in os.listdir('/proc') if name.isdigit()]"
    await victim.run_code(start)

    seen = await outcome(attacker, f"{start}\n{look}")
    await attacker.run_code("[attempt(os.kill, -1, n) for n in (signal.SIGSTOP, signal.SIGKILL)]")

    assert len(seen) == 3  # the keeper, the interpreter and what it started itself
    assert await outcome(victim, "[sleeper.poll()]") == [None]
    assert await still_works(victim)


async def test_shared_memory_and_semaphores_are_each_sessions_own(
    attacker: Sandbox, victim: Sandbox
) -> None:
    """System V objects are found by number, so they need a namespace."""
    key = 0x50524F4F
    made = await outcome(victim, f"libc.shmget({key}, 4096, 0o1666)")

    found = await outcome(
        attacker, f"[libc.shmget({key}, 4096, 0o666), errno.errorcode[ctypes.get_errno()]]"
    )

    assert made >= 0
    assert found == [-1, "ENOENT"]


async def test_a_sandbox_that_asks_for_isolation_shares_its_jail_with_nobody(
    jails: LocalBackend,
) -> None:
    """Not even with another one of the same request: closing the first ends its jail, and no other."""
    request = SandboxRequest(owner="attacker", shared=False)
    first = await jails.create(request)
    second = await jails.create(request)

    await first.close()

    assert await still_works(second)
    await second.close()


# --- the keeper and the supervisor ---


async def test_no_signal_reaches_the_keeper(attacker: Sandbox) -> None:
    """All of them, to process 1; the session goes on with its variables."""
    code = """
kept = "still here"
[attempt(os.kill, 1, n) for n in range(1, signal.NSIG)]
attempt(signal.pidfd_send_signal, os.pidfd_open(1), signal.SIGKILL)
[attempt(libc.tgkill, 1, 1, n) for n in (9, 19)]
"""
    done = await attacker.run_code(code)

    assert done.outcome == "completed"
    assert await outcome(attacker, "kept") == "still here"
    assert await still_works(attacker)


async def test_no_process_but_the_sessions_own_can_be_seen(attacker: Sandbox) -> None:
    """Process 1 is a session's keeper, or sleeps; the supervisor, the host and a program's keeper are in
    namespaces above.
    """
    seen = await outcome(
        attacker, "[os.getppid(), sorted(map(int, filter(str.isdigit, os.listdir('/proc'))))]"
    )

    assert seen[0] in {0, 1}  # 0 is whoever is not in here
    assert len(seen[1]) == 2


@pytest.mark.parametrize(
    "file", ["mem", "environ", "maps", "auxv", "io", "syscall", "stack", "pagemap"]
)
async def test_the_keepers_memory_is_out_of_reach(attacker: Sandbox, file: str) -> None:
    """Its files in /proc belong to nobody here."""
    code = f"[attempt(read, '/proc/1/{file}'), attempt(write, '/proc/1/{file}')]"

    refused = await outcome(attacker, code)

    assert set(refused) <= {"EACCES", "EPERM"}


async def test_the_keepers_descriptors_are_out_of_reach(attacker: Sandbox) -> None:
    """Its sockets lead to the host."""
    code = """
[attempt(os.listdir, "/proc/1/fd"), attempt(os.open, "/proc/1/fd/2", os.O_WRONLY),
 *[attempt(os.readlink, f"/proc/1/{name}") for name in ("root", "cwd", "exe", "ns/mnt", "ns/user")]]
"""
    refused = await outcome(attacker, code)

    assert set(refused) == {"EACCES"}


async def test_the_keeper_cannot_be_traced_or_written_to(attacker: Sandbox) -> None:
    """ptrace and its relatives are refused for everybody, so for our own children too."""
    vector = "struct.pack('PN', ctypes.addressof(ctypes.create_string_buffer(8)), 8)"
    names = ["ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "kcmp"]
    numbers = [number(name) for name in names]
    code = f"""
child = os.fork()
if child == 0:
    time.sleep(60)
vector = {vector}
ptrace, readv, writev, madvise, kcmp = {numbers!r}
answers = [call(ptrace, 0, 0, 0, 0)]
for pid in (1, child):
    answers += [call(ptrace, request, pid, 0, 0) for request in (16, 0x4206)]
    answers += [call(n, pid, vector, 1, vector, 1, 0) for n in (readv, writev)]
    answers += [call(kcmp, pid, os.getpid(), 0, 0, 0), call(madvise, os.pidfd_open(pid), vector, 1, 4, 0)]
os.kill(child, 9)
answers
"""
    refused = await outcome(attacker, code)

    assert len(refused) == 13
    assert set(refused) == {"EPERM"}


async def test_the_keepers_limits_and_priority_cannot_be_changed(attacker: Sandbox) -> None:
    """The kernel lets a user's processes do that to one another, without any capability."""
    code = """
mine = subprocess.Popen(["sleep", "60"])
def change(pid):
    return [
        attempt(resource.prlimit, pid, resource.RLIMIT_CORE, (0, 0)),
        attempt(os.setpriority, os.PRIO_PROCESS, pid, 5),
        attempt(os.sched_setaffinity, pid, os.sched_getaffinity(0)),
        attempt(os.sched_setscheduler, pid, os.SCHED_BATCH, os.sched_param(0)),
    ]
everybody = [attempt(os.setpriority, which, 0, 5) for which in (os.PRIO_USER, os.PRIO_PGRP)]
[change(1), everybody, change(mine.pid)]
"""
    keeper, everybody, own = await outcome(attacker, code)

    assert keeper == ["EPERM"] * 4
    assert everybody == ["EPERM"] * 2
    assert own == [(0, 0), None, None, None]


# --- the network ---


async def test_the_only_network_is_the_sessions_own_loopback(attacker: Sandbox) -> None:
    """There is no route to anywhere, and no name is looked up."""
    code = """
def connect(address, family=socket.AF_INET):
    socket.socket(family).connect(address)
names = [attempt(socket.getaddrinfo, name, 80) for name in ("example.com", "host.docker.internal")]
places = [("1.1.1.1", 53), ("169.254.169.254", 80), ("10.0.0.1", 80), ("192.168.1.1", 80)]
answers = [attempt(connect, place) for place in places]
answers.append(attempt(connect, ("2606:4700:4700::1111", 53), socket.AF_INET6))
[socket.if_nameindex(), names, answers]
"""
    interfaces, names, answers = await outcome(attacker, code)

    assert interfaces == [(1, "lo")]
    assert set(names) == {"gaierror"}
    assert set(answers) <= {"ENETUNREACH", "EADDRNOTAVAIL"}


@pytest.mark.parametrize(("family", "host"), [("AF_INET", "127.0.0.1"), ("AF_INET6", "::1")])
async def test_a_server_on_the_hosts_loopback_is_out_of_reach(
    attacker: Sandbox, family: str, host: str
) -> None:
    """127.0.0.1 in a session is another one."""
    with listening((host, 0), getattr(socket, family)) as (name, visitors):
        code = f"attempt(socket.socket(socket.{family}).connect, {name[:2]!r})"
        refused = await outcome(attacker, code)
        count = len(visitors)

    assert refused in ("ECONNREFUSED", "EADDRNOTAVAIL")
    assert count == 1


async def test_abstract_sockets_of_the_host_are_out_of_reach(attacker: Sandbox) -> None:
    """They have no file, so only the network namespace keeps them apart."""
    with listening(f"\0{CANARY}", socket.AF_UNIX) as (_, visitors):
        code = f"attempt(socket.socket(socket.AF_UNIX).connect, '\\0{CANARY}')"
        refused = await outcome(attacker, code)
        count = len(visitors)

    assert refused == "ECONNREFUSED"
    assert count == 1


async def test_servers_of_another_session_are_out_of_reach(
    attacker: Sandbox, victim: Sandbox
) -> None:
    """On its loopback and on an abstract socket."""
    serve = f"""
servers = [socket.socket(socket.AF_INET), socket.socket(socket.AF_UNIX)]
for server, address in zip(servers, [("127.0.0.1", 4567), "\\0{CANARY}"]):
    server.bind(address)
    server.listen()
"""
    connect = f"""
[attempt(socket.socket(socket.AF_INET).connect, ("127.0.0.1", 4567)),
 attempt(socket.socket(socket.AF_UNIX).connect, "\\0{CANARY}")]
"""
    await victim.run_code(serve)

    reached = await outcome(victim, connect)
    refused = await outcome(attacker, connect)

    assert reached == [None, None]
    assert refused == ["ECONNREFUSED"] * 2


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        pytest.param((40, 1, 0), "EAFNOSUPPORT", id="vsock"),
        pytest.param((17, 3, 0x300), "EAFNOSUPPORT", id="packet"),
        pytest.param((38, 5, 0), "EAFNOSUPPORT", id="kernel crypto"),
        pytest.param((44, 3, 0), "EAFNOSUPPORT", id="xdp"),
        pytest.param((31, 3, 1), "EAFNOSUPPORT", id="bluetooth"),
        pytest.param((2, 3, 255), "EPROTONOSUPPORT", id="raw"),
        pytest.param((2, 3, 1), "EPERM", id="raw icmp"),
        pytest.param((2, 1, 132), "EPROTONOSUPPORT", id="sctp"),
        pytest.param((16, 3, 12), "EPROTONOSUPPORT", id="netfilter"),
    ],
)
async def test_unusual_sockets_are_refused(
    attacker: Sandbox, arguments: tuple[int, ...], error: str
) -> None:
    """They reach past namespaces, or make the kernel load what nobody needs."""
    assert await outcome(attacker, f"attempt(socket.socket, *{arguments})") == error


# --- devices, /proc, /sys ---


@pytest.mark.parametrize(
    "device", ["kvm", "vda", "sda", "mem", "kmsg", "fuse", "net/tun", "userfaultfd"]
)
async def test_devices_of_the_machine_are_not_there(attacker: Sandbox, device: str) -> None:
    """Only the harmless ones are."""
    assert await outcome(attacker, f"attempt(os.open, '/dev/{device}', 0)") == "ENOENT"


async def test_no_device_can_be_made(attacker: Sandbox) -> None:
    """Not even the zeros that are there already."""
    code = """
[attempt(os.mknod, place + "/made", kind | 0o666, os.makedev(1, 5))
 for place in ("/tmp", "/home/user", "/dev/shm") for kind in (stat.S_IFCHR, stat.S_IFBLK)]
"""
    assert set(await outcome(attacker, code)) == {"EPERM"}


@pytest.mark.parametrize(
    "file",
    [
        *("sysrq-trigger", "sys/kernel/core_pattern", "sys/kernel/modprobe", "sys/vm/drop_caches"),
        *("sys/kernel/hostname", "sys/net/ipv4/ip_forward", "sys/kernel/ns_last_pid"),
        *("sys/user/max_user_namespaces", "sys/fs/binfmt_misc/register", "1/oom_score_adj"),
        *("self/setgroups", "self/uid_map", "irq/default_smp_affinity"),
    ],
)
async def test_the_kernels_settings_cannot_be_written(attacker: Sandbox, file: str) -> None:
    """Those of the machine and those of the session."""
    refused = await outcome(attacker, f"attempt(write, '/proc/{file}', '0 0 1')")

    assert refused in ("EACCES", "EPERM", "EROFS", "ENOENT")


async def test_keys_of_the_user_who_runs_proofbox_are_not_named(attacker: Sandbox) -> None:
    """The kernel lists them by user, and a session runs as that user."""
    code = """
names = ("/proc/keys", "/proc/key-users")
[[line.split()[4] for line in open("/proc/self/mountinfo") if line.split()[4] in names],
 [attempt(read, name) for name in names]]
"""
    covered, read = await outcome(attacker, code)

    assert covered == ["/proc/keys", "/proc/key-users"]
    assert read == [b"", b""]


# --- mounts, namespaces, privileges, system calls ---


async def test_a_session_has_no_privilege_to_lose(attacker: Sandbox) -> None:
    """No capability, none to be gained, a filter, and nothing setuid on any file system."""
    code = """
status = dict(line.split(":\\t") for line in open("/proc/self/status").read().splitlines() if ":\\t" in line)
mounts = [line.split(" - ")[0].split() for line in open("/proc/self/mountinfo")]
[{key: status.get(key) for key in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp", "Seccomp_filters")},
 [fields[4] for fields in mounts if "nosuid" not in fields[5]],
 os.getresuid(), [attempt(f, 0) for f in (os.setuid, os.setgid, os.seteuid)], attempt(os.setgroups, [0])]
"""
    status, setuid_mounts, ids, changes, groups = await outcome(attacker, code)

    none = "0000000000000000"
    sets = {name: none for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")}
    # The first was there before the supervisor, since packages bring code that runs in that.
    filters = status.pop("Seccomp_filters")  # since Linux 5.9
    assert filters in {"2", None}
    assert status == {**sets, "NoNewPrivs": "1", "Seccomp": "2"}
    assert setuid_mounts == []
    assert ids == (1000, 1000, 1000)
    assert set(changes) <= {"EINVAL", "EPERM"}  # EINVAL: there is no such user here
    assert groups == "EPERM"


@pytest.mark.parametrize(
    "program",
    ["su root -c id", "mount -t tmpfs none /tmp", "unshare -Ur id", "chroot / id", "sudo -n id"],
)
async def test_privileged_programs_get_nowhere(attacker: Sandbox, program: str) -> None:
    """Setuid bits do not count, and what they would do is refused."""
    done = await attacker.run_command(f"{program} </dev/null")

    assert done.outcome == "exited"
    assert done.exit_code != 0
    assert "uid=0" not in done.stdout.text


# Arguments for which the kernel itself would answer otherwise, so that it is the filter that refuses.
TELLING = {
    "mount": "0, 0, 0, 0, 0",
    "umount2": "0, -1",
    "chroot": "0",
    "open_tree": "-1, 0, -1",
    "mount_setattr": "-1, 0, -1, 0, 0",
    "open_by_handle_at": "-1, 0, 0",
    "name_to_handle_at": "-1, 0, 0, 0, -1",
    "unshare": "0",
    "setns": "-1, 0",
    "bpf": "0, 0, 1 << 20",
    "userfaultfd": "1",
    "io_uring_setup": "0, 0",
    "io_setup": "0, 0",
    "keyctl": "0, -3, 0",
    "add_key": "0, 0, 0, 0, 0",
    "request_key": "0, 0, 0, 0",
    "perf_event_open": "0, 0, -1, -1, 0",
    "ptrace": "0, 0, 0, 0",
    "process_vm_readv": "0, 0, 0, 0, 0, 1",
    "process_vm_writev": "0, 0, 0, 0, 0, 1",
    "pidfd_getfd": "-1, 0, 1",
    "mbind": "0, 0, -1, 0, 0, 0",
    "move_pages": "0, 0, 0, 0, 0, -1",
    "fanotify_mark": "-1, 0, 0, 0, 0",
}


@pytest.mark.parametrize("name", TELLING)
async def test_the_filter_refuses_what_no_program_needs(attacker: Sandbox, name: str) -> None:
    """Whatever the arguments."""
    assert await outcome(attacker, f"call({number(name)}, {TELLING[name]})") == "EPERM"


async def test_everything_on_the_filters_list_is_refused(attacker: Sandbox) -> None:
    """By the filter, or by the kernel for want of a capability."""
    numbers = [
        number(name)
        for name in seccomp.REFUSED
        if seccomp.REFUSED[name][MACHINE != "x86_64"] is not None
    ]

    refused = await outcome(attacker, f"[call(n, -1, 0, 0, 0, 0, 0) for n in {numbers!r}]")

    assert len(refused) > 40
    assert set(refused) == {"EPERM"}


@pytest.mark.parametrize(
    "flag", ["NEWUSER", "NEWNS", "NEWPID", "NEWNET", "NEWIPC", "NEWUTS", "NEWCGROUP"]
)
async def test_no_process_gets_namespaces_of_its_own(attacker: Sandbox, flag: str) -> None:
    """A new user namespace would come with every capability in it, and so with the kernel's whole surface."""
    flags = {
        "NEWNS": 0x20000,
        "NEWCGROUP": 0x2000000,
        "NEWUTS": 0x4000000,
        "NEWIPC": 0x8000000,
        "NEWUSER": 0x10000000,
        "NEWPID": 0x20000000,
        "NEWNET": 0x40000000,
    }
    clone, unshare = (56 if MACHINE == "x86_64" else 220), number("unshare")
    code = f"""
answers = []
for flags in ({flags[flag]}, {flags[flag] | flags["NEWUSER"]}):
    answers.append(call({unshare}, flags))
    answers.append(call({clone}, flags | signal.SIGCHLD, 0, 0, 0, 0))
    if answers[-1] == 0:
        os._exit(0)
size = bytes(88)
[*answers, call(435, size, 88), read("/proc/sys/user/max_user_namespaces")]
"""
    *refused, newer_clone, most = await outcome(attacker, code)

    assert refused == ["EPERM"] * 4
    assert newer_clone == "ENOSYS"
    assert most == b"0\n"


@only_on_x86
async def test_system_calls_for_32_bits_end_the_process(attacker: Sandbox) -> None:
    """Their numbers mean other calls, so a filter for 64 bits would let the wrong ones through."""
    code = """
import mmap
memory = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
memory.write(bytes([0xB8, 20, 0, 0, 0, 0xCD, 0x80, 0xC3]))  # mov eax, 20 (getpid); int 0x80; ret
ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(memory)))()
"""
    done = await attacker.run_code(code)

    assert done.outcome == "killed"
    assert "SIGSYS" in done.reason
    assert await still_works(attacker)


@only_on_x86
async def test_system_calls_of_x32_are_refused(attacker: Sandbox) -> None:
    """They have numbers of their own for the same calls."""
    assert (
        await outcome(attacker, "[call(0x40000000 + n) for n in (39, 101, 165)]") == ["ENOSYS"] * 3
    )


async def test_nobody_types_into_a_terminal(attacker: Sandbox) -> None:
    """Not even into one's own: TIOCSTI and TIOCLINUX are refused."""
    code = """
import pty
ours, theirs = pty.openpty()
[attempt(fcntl.ioctl, theirs, request, b"x") for request in (0x5412, 0x541C)]
"""
    assert await outcome(attacker, code) == ["EPERM", "EPERM"]


# --- what all sessions share ---


@pytest.mark.parametrize(
    "place",
    [
        *("/", "/env", "/env/bin", "/guest", "/guest/proofbox_guest", "/usr", "/usr/bin", "/etc"),
        *("/cache", "/dev", "/home", "/opt", "/proc", "/proc/sys"),
    ],
)
async def test_what_sessions_share_cannot_be_written(attacker: Sandbox, place: str) -> None:
    """Packages, the guest's own code, the system, the cache of fonts."""
    code = f"""
[attempt(write, "{place}/made"), attempt(os.mkdir, "{place}/made"), attempt(os.chmod, "{place}", 0o777),
 attempt(os.utime, "{place}"), attempt(os.setxattr, "{place}", "user.x", b"x")]
"""
    refused = await outcome(attacker, code)

    assert set(refused) <= {"EROFS", "EACCES", "EPERM", "ENOENT", "EOPNOTSUPP", "ENOTSUP"}


async def test_files_of_the_environment_cannot_be_changed(attacker: Sandbox) -> None:
    """Not written, replaced, linked, mapped for writing, nor changed through a descriptor."""
    code = """
import IPython, mmap
target = IPython.__file__
opened = os.open(target, os.O_RDONLY)
[attempt(os.open, target, os.O_RDWR), attempt(os.open, f"/proc/self/fd/{opened}", os.O_RDWR),
 attempt(os.unlink, target), attempt(os.rename, target, "/tmp/x"), attempt(os.link, target, "/tmp/x"),
 attempt(os.fchmod, opened, 0o777), attempt(os.truncate, target, 0),
 attempt(mmap.mmap, opened, 4096, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)]
"""
    refused = await outcome(attacker, code)

    assert len(refused) == 8
    assert set(refused) <= {"EROFS", "EACCES", "EPERM", "EXDEV"}


async def test_shared_files_cannot_be_held_against_the_host(attacker: Sandbox) -> None:
    """A lease would hold up whoever opens the file, an exclusive lock whoever starts a jail."""
    code = """
import IPython
files = [os.open(path, os.O_RDONLY) for path in (IPython.__file__, os.__file__, "/env/pyvenv.cfg")]
leases = [attempt(fcntl.fcntl, f, fcntl.F_SETLEASE, k) for f in files for k in (fcntl.F_RDLCK, fcntl.F_WRLCK)]
[leases, attempt(fcntl.flock, os.open("/env", os.O_RDONLY), fcntl.LOCK_EX | fcntl.LOCK_NB)]
"""
    leases, lock = await outcome(attacker, code)

    assert leases == ["EPERM"] * 6
    assert lock == "EAGAIN"


async def test_what_the_kernel_counts_for_the_user_is_not_used_up(attacker: Sandbox) -> None:
    """Another hundred of these, and the same user's own programs on the host would get none."""
    code = """
inotify = 0
while libc.inotify_init() >= 0:
    inotify += 1
terminals = []
while attempt(lambda: terminals.extend(os.openpty())) is None:
    pass
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGRTMIN])
queued = 0
while queued < 100_000 and libc.sigqueue(os.getpid(), signal.SIGRTMIN, None) == 0:
    queued += 1
[inotify, len(terminals) // 2, queued]
"""
    inotify, terminals, queued = await outcome(attacker, code)

    assert inotify <= 8
    assert terminals <= 64
    assert queued <= 1024
