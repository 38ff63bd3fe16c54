"""What a jail looks like from inside, as a plan for `launch`.

Nothing of the host is visible but what stands here: its read-only system directories, the interpreter, the
environment and the guest's code.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path

from ..base import Limits
from .environments import Environment

_GUEST = Path(__file__).parents[1] / "guest"
_PYTHON = Path("/opt/python")
_SYSTEM = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
_ETC = ("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives")
_OWN_ETC = ("passwd", "group", "hosts", "nsswitch.conf", "fonts/fonts.conf")
_ENVIRONMENT = {
    "PATH": "/env/bin:/opt/python/bin:/usr/local/bin:/usr/bin:/bin",
    "HOME": "/home/user",
    "USER": "user",
    "LOGNAME": "user",
    "SHELL": "/bin/bash",
    "LANG": "C.UTF-8",
    "TERM": "dumb",
    "TMPDIR": "/tmp",
    "XDG_CACHE_HOME": "/tmp/.cache",
    "IPYTHONDIR": "/tmp/.ipython",
    "MPLCONFIGDIR": "/tmp/.matplotlib",
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    # Threads do not survive the fork that every session is.
    "OPENBLAS_NUM_THREADS": "1",
}


@dataclass
class Plan:
    """bubblewrap's arguments in the making; host paths are kept apart for `launch` to stage."""

    sources: list[str] = field(default_factory=list[str])
    arguments: list[str] = field(default_factory=list[str])

    def add(self, *arguments: str) -> None:
        """Arguments without host paths."""
        self.arguments += [argument.replace("{", "{{").replace("}", "}}") for argument in arguments]

    def source(self, path: Path) -> str:
        """The placeholder for a host path."""
        self.sources.append(os.fspath(path))
        return f"{{{len(self.sources) - 1}}}"

    def bind(self, path: Path, target: str, *, option: str = "--ro-bind") -> None:
        """Show a host path at `target`."""
        self.arguments += [option, self.source(path), target]


def make(
    environment: Environment,
    limits: Limits,
    *,
    bwrap: Path,
    cache: Path,
    control: int,
    filter_: int,
    site: bool,
) -> Plan:
    """The plan for a jail whose supervisor listens on the descriptor `control`.

    `cache` is a directory of the host that the supervisor alone may write; from the descriptor `filter_`
    bubblewrap reads the filter of system calls that all of the jail runs under. Without `site` the supervisor
    knows no packages.
    """
    plan = Plan()
    _add_bwrap(plan, bwrap)
    plan.add("--unshare-all", "--uid", "1000", "--gid", "1000", "--hostname", "sandbox")
    plan.add("--new-session", "--die-with-parent", "--clearenv", "--seccomp", str(filter_))
    _add_system(plan)
    _add_python(plan, environment)
    plan.bind(_GUEST, "/guest/proofbox_guest")
    plan.bind(cache, "/cache", option="--bind")
    size = str(limits.disk_bytes)
    plan.add("--proc", "/proc", "--dev", "/dev")
    plan.add("--size", size, "--tmpfs", "/tmp", "--dir", "/home", "--size", size)
    plan.add("--tmpfs", "/home/user", "--remount-ro", "/dev", "--remount-ro", "/")
    plan.add("--chdir", "/home/user")
    for name, value in _ENVIRONMENT.items():
        plan.add("--setenv", name, value)
    if environment.library_path is not None:
        plan.add("--setenv", "LD_LIBRARY_PATH", environment.library_path)
    plan.add("--", "/env/bin/python", "-I", *([] if site else ["-S"]))
    plan.add("/guest/proofbox_guest/start.py", str(control))
    return plan


def _add_bwrap(plan: Plan, bwrap: Path) -> None:
    if bwrap.is_relative_to("/usr"):
        plan.add(os.fspath(bwrap))
    else:
        # The wheel's bwrap finds its libraries beside its package.
        root = bwrap.parents[2]
        plan.arguments.append(f"{plan.source(root)}/{bwrap.relative_to(root)}")


def _add_system(plan: Plan) -> None:
    plan.bind(Path("/usr"), "/usr")
    for name in _SYSTEM:
        path = Path("/", name)
        if path.is_symlink():
            plan.add("--symlink", os.readlink(path), os.fspath(path))
        elif path.is_dir():
            plan.bind(path, os.fspath(path))
    for name in _ETC:
        path = Path("/etc", name)
        if path.exists():
            plan.bind(path, os.fspath(path))
    for name in _OWN_ETC:
        plan.bind(_GUEST / "etc" / name, f"/etc/{name}")


def _add_python(plan: Plan, environment: Environment) -> None:
    prefix = environment.base_prefix
    if not prefix.is_relative_to("/usr"):
        # Only Python: the prefix may be full of what its user has installed and written there.
        program = Path(environment.interpreter_in_jail).relative_to(_PYTHON)
        plan.bind(prefix / program, os.fspath(_PYTHON / program))
        for headers in (prefix / "include").glob("python3*"):  # for what compiles extensions
            plan.bind(headers, os.fspath(_PYTHON / "include" / headers.name))
        for library in filter(Path.is_dir, (prefix / "lib", prefix / "lib64")):
            plan.bind(library, os.fspath(_PYTHON / library.name))
            for packages in library.glob("python3*/site-packages"):
                place = os.fspath(_PYTHON / packages.relative_to(prefix))
                plan.add("--tmpfs", place, "--remount-ro", place)
    plan.bind(environment.path, "/env")
