"""The words of a report. Models need them at every start of the server, and nothing that they are found out with."""

from typing import Literal

Kind = Literal[
    "pass_to_fail",
    "fail_to_pass_strong",
    "fail_to_pass_weak",
    "pass_to_pass",
    "new_but_pass_at_base",
    "new_and_fails",
    "fail_to_fail",
    "newly_skipped",
    "skipped",
    "removed",
    "flaky",
    "not_collected",
    "unknown",
]
"""What a test shows. Every id has exactly one.

pass_to_fail: a regression. fail_to_pass_strong: at base the test itself failed. fail_to_pass_weak: at base it
could not be collected or imported. new_but_pass_at_base: head's test that passes on base's code too, so it
proves nothing about the change. new_and_fails: a test that head brings, and that fails at head. newly_skipped:
passed at base, skipped at head. removed: base has it, head has not. flaky: reruns of one side do not agree.
not_collected: written as a test at head, but pytest does not find it. unknown: a run was lost, or ended early.
"""

Suspicion = Literal[
    "test_deleted",
    "test_skipped",
    "assertion_weakened",
    "conftest",
    "configuration",
    "continuous_integration",
    "lock_file",
    "test_command",
    "test_support",
    "hides_failures",
    "exits_early",
]

BehaviourKind = Literal["network", "write", "process", "credentials"]

Merge = Literal["clean", "conflicts", "unknown"]
