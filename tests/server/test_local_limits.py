"""What the local backend says of its limits, with and without control groups."""

from proofbox.server.sandbox.local.cgroups import Cgroup
from proofbox.server.sandbox.local.limits import held_by

GROUPED = Cgroup((), {"memory_bytes": 1, "swap_bytes": 0, "processes": 8})
MEMORY_ONLY = Cgroup((), {"memory_bytes": 1})


def test_without_jails_nothing_is_said() -> None:
    """Nothing is known before one is started."""
    assert held_by([]) == {}


def test_groups_are_named_where_they_hold() -> None:
    """Beside the limits of each process, which hold in either case."""
    with_groups, without = held_by([GROUPED]), held_by([None])

    assert {name for name, words in with_groups.items() if "control group" in words} == {
        "memory_bytes",
        "processes",
    }
    assert not any("control group" in words for words in without.values())
    assert all("rlimit" in held["memory_bytes"] for held in (with_groups, without))


def test_swap_that_is_not_counted_is_said() -> None:
    """Then a limit on memory is one that swap gets around."""
    held = held_by([MEMORY_ONLY])

    assert "swap not counted" in held["memory_bytes"]
    assert "swap" not in held_by([GROUPED])["memory_bytes"]


def test_a_group_that_one_jail_lacks_holds_nothing_for_all() -> None:
    """What is said must be true of every session."""
    assert "control group" not in held_by([GROUPED, MEMORY_ONLY])["processes"]
    assert "control group" not in held_by([GROUPED, None])["memory_bytes"]
