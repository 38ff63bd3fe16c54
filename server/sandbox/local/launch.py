"""The last step on the host: joins the cgroup, drops root, becomes bubblewrap.

Run as a script by the Python that runs proofbox, with a JSON plan as its one argument:
`cgroup_files` (each gets our pid), `sources` (host paths that the jail mounts), `arguments` (bubblewrap's
command line, in which `{0}`, `{1}`... stand for the sources).

A root user's files are mostly closed to everybody else, and started by root bubblewrap masks parts of /proc
so that sessions cannot mount their own. So as root the sources are bound to a place that anybody may enter, in a
mount namespace that only this process has, and the rest is done as nobody.
"""

import ctypes
import json
import os
import stat
import sys

_CLONE_NEWNS = 0x00020000
_MS_BIND, _MS_REC, _MS_PRIVATE = 4096, 16384, 1 << 18
_NOBODY = 65534
_STAGE = "/tmp"  # exists everywhere; covered in our own namespace only

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        sys.exit(f"proofbox: {what}: {os.strerror(number)}")


def _mount(source: str, target: str, kind: str | None, flags: int) -> None:
    result = _libc.mount(
        source.encode(), target.encode(), kind and kind.encode(), ctypes.c_ulong(flags), None
    )
    _check(result, f"mount {target}")


def _stage(sources: list[str]) -> list[str]:
    """Bind the sources where nobody can reach them; their new paths."""
    _check(_libc.unshare(_CLONE_NEWNS), "a mount namespace as root")
    _mount("none", "/", None, _MS_REC | _MS_PRIVATE)
    # Opened before the stage covers them.
    opened = [os.open(source, os.O_PATH | os.O_CLOEXEC) for source in sources]
    _mount("tmpfs", _STAGE, "tmpfs", 0)
    os.chmod(_STAGE, 0o755)
    staged: list[str] = []
    for index, descriptor in enumerate(opened):
        target = f"{_STAGE}/{index}"
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            os.mkdir(target)
        else:
            os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o644))
        _mount(f"/proc/self/fd/{descriptor}", target, None, _MS_BIND | _MS_REC)
        staged.append(target)
    return staged


def main() -> None:
    """Follow the plan; never returns."""
    plan = json.loads(sys.argv[1])
    for path in plan["cgroup_files"]:
        with open(path, "w") as file:
            file.write(str(os.getpid()))
    sources: list[str] = plan["sources"]
    if os.geteuid() == 0:
        sources = _stage(sources)
        os.setgroups([])
        os.setresgid(_NOBODY, _NOBODY, _NOBODY)
        os.setresuid(_NOBODY, _NOBODY, _NOBODY)
    arguments = [argument.format(*sources) for argument in plan["arguments"]]
    os.execv(arguments[0], arguments)


if __name__ == "__main__":
    main()
