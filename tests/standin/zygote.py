"""Where machines come from: a process that has ipykernel imported and forks each machine's first processes.

Started once by the stand-in, as a script, with a socket that keeps message boundaries as its argument. Each
request is answered by the number of the new machine's first process. All machines end with this process,
and it ends when the stand-in hangs up.

Started by root, a machine is what E2B's are: its root may do everything in it, and is nobody outside. Started by
an ordinary user it has that one user only.
"""

import ctypes
import importlib
import json
import os
import runpy
import signal
import socket
import sys
from pathlib import Path
from typing import Any, NoReturn

from proofbox.server.sandbox.guest import linux

_MOST_USERS = 65_536
_FIRST_USER = 1 << 20
_HOME_USER = 1000
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc")
_STAGE = "/tmp"  # exists everywhere; covered in the machine's own namespace only
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
_PR_SET_PDEATHSIG, _PR_CAPBSET_DROP = 1, 24
_CAP_SETUID, _CAP_SYS_ADMIN = 7, 21
_MNT_DETACH = 2
_NEW = (
    linux.CLONE_NEWUSER
    | linux.CLONE_NEWNS
    | linux.CLONE_NEWPID
    | linux.CLONE_NEWIPC
    | linux.CLONE_NEWUTS
    | linux.CLONE_NEWNET
)

# What each kernel would import for itself.
_WARM = (
    "ipykernel.ipkernel",
    "ipykernel.kernelapp",
    "ipykernel.debugger",
    "IPython.core.completerlib",
    "IPython.extensions.storemagic",
    "psutil",
    "tornado.platform.asyncio",
    "tornado.queues",
)

_libc = ctypes.CDLL(None, use_errno=True)
_user, _group = os.getuid(), os.getgid()
_is_root = _user == 0


def main() -> None:
    """Serve until the stand-in hangs up."""
    control = socket.socket(fileno=int(sys.argv[1]))
    # Most of a kernel's start goes into its debugger, which nothing here uses.
    sys.modules["debugpy"] = None  # pyright: ignore[reportArgumentType] - the way to say so
    for name in _WARM:
        importlib.import_module(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    count = 0
    while data := control.recv(1 << 16):
        count += 1
        read, write = os.pipe()
        pid = linux.fork_into(_NEW)
        if pid == 0:
            control.close()
            os.close(write)
            _become_machine(json.loads(data), read)
        os.close(read)
        if _is_root:
            users = f"0 {_FIRST_USER + count * _MOST_USERS} {_MOST_USERS}"
            for kind in ("uid", "gid"):
                Path(f"/proc/{pid}/{kind}_map").write_text(users)
        os.write(write, b"1")
        os.close(write)
        control.send(str(pid).encode())


def _become_machine(request: dict[str, Any], mapped: int) -> NoReturn:
    """As the first process of the machine: furnish it, fork its agent, and look after orphans."""
    linux.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    os.read(mapped, 1)
    os.close(mapped)
    if not _is_root:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{_HOME_USER} {_user} 1")
        Path("/proc/self/gid_map").write_text(f"{_HOME_USER} {_group} 1")
    # The machine's root may not enter the directories of the root outside, but what is open is open.
    sources = [
        *_SYSTEM,
        *request["shown"],
        *(request[name] for name in ("image", "folder", "vmstat")),
    ]
    opened = {path: os.open(path, os.O_PATH) for path in sources if os.path.exists(path)}
    if _is_root:
        os.setgroups([])
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
        linux.set_dumpable(True)
    _furnish(request, opened)
    # A change of user forgot it.
    linux.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # What the agent executes lacks these; the agent itself does not.
    for wish, capability in (("namespaces", _CAP_SYS_ADMIN), ("users", _CAP_SETUID)):
        if not request[wish]:
            linux.prctl(_PR_CAPBSET_DROP, capability)
    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if os.fork() == 0:
        sys.argv = ["agent.py", str(request["memory"]), str(int(_is_root))]
        sys.path[0] = "/opt/standin"
        runpy.run_path("/opt/standin/agent.py", run_name="__main__")
        os._exit(0)
    while True:
        os.wait()


def _furnish(request: dict[str, Any], opened: dict[str, int]) -> None:
    disk = request["disk"]
    linux.mount("none", "/", None, linux.MS_REC | linux.MS_PRIVATE)
    linux.mount("tmpfs", _STAGE, "tmpfs", 0, "mode=755,size=256m")
    root = _STAGE
    for top in _SYSTEM:
        if os.path.islink(top):
            os.symlink(os.readlink(top), root + top)
        elif os.path.isdir(top):
            _bind(opened[top], root + top)
    os.makedirs(f"{root}/home/user")
    _tmpfs(f"{root}/home/user", f"mode=755,size={disk},uid={_HOME_USER},gid={_HOME_USER}")
    os.mkdir(f"{root}/tmp")
    _tmpfs(f"{root}/tmp", f"mode=1777,size={disk}")
    for directory in request["shown"]:
        _bind(opened[directory], root + directory)
    _bind(opened[request["image"]], f"{root}/opt/standin")
    _bind(opened[request["folder"]], f"{root}/run/standin", read_only=False)
    os.mkdir(f"{root}/proc")
    linux.mount("proc", f"{root}/proc", "proc", linux.MS_NOSUID | linux.MS_NODEV)
    if _is_root:
        # A machine of E2B has a kernel of its own, which counts its own kills; this one's counts everybody's.
        # Of an ordinary user's machine it must stay: below a covered /proc that user could mount no other.
        _bind(opened[request["vmstat"]], f"{root}/proc/vmstat")
    _make_devices(root)
    _pivot(root)
    linux.bring_loopback_up()


def _make_devices(root: str) -> None:
    os.mkdir(f"{root}/dev")
    for name in _DEVICES:
        Path(f"{root}/dev/{name}").touch()
        linux.mount(f"/dev/{name}", f"{root}/dev/{name}", None, linux.MS_BIND)
    for name, target in (("fd", ""), ("stdin", "/0"), ("stdout", "/1"), ("stderr", "/2")):
        os.symlink(f"/proc/self/fd{target}", f"{root}/dev/{name}")
    for name in ("shm", "pts"):
        os.mkdir(f"{root}/dev/{name}")
    _tmpfs(f"{root}/dev/shm", "mode=1777,size=64m")
    linux.mount("devpts", f"{root}/dev/pts", "devpts", 0, "newinstance,ptmxmode=0666,mode=620")
    os.symlink("pts/ptmx", f"{root}/dev/ptmx")


def _bind(source: int, place: str, *, read_only: bool = True) -> None:
    if not os.path.exists(place):
        os.makedirs(place)
    linux.mount(f"/proc/self/fd/{source}", place, None, linux.MS_BIND | linux.MS_REC)
    if read_only:
        linux.make_read_only(place)


def _tmpfs(place: str, options: str) -> None:
    linux.mount("tmpfs", place, "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, options)


def _pivot(root: str) -> None:
    number = 155 if os.uname().machine == "x86_64" else 41
    os.chdir(root)
    if _libc.syscall(number, b".", b".") != 0 or _libc.umount2(b".", _MNT_DETACH) != 0:
        raise OSError(ctypes.get_errno(), "pivot_root")
    os.chdir("/")


if __name__ == "__main__":
    main()
