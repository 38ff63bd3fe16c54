"""What is to be run, as it is asked for."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Mutation = Literal["off", "quick", "thorough"]

PYTHON = r"3\.(?:9|1\d)"


@dataclass(frozen=True, slots=True)
class TestsRequest:
    """One run. Files by path, or `project`, a folder below the allowed roots.

    Attributes:
        source, tests: path to text. With `project`, `tests` come on top of it and are the only ones run.
        only: files or folders of the project that are meant, of sources and of tests; empty for all.
        packages: to install; with a project and none given, those of its manifest.
        coverage_target: least percentage of lines of the source that the tests must reach.
        python_versions: like `3.12`; empty for the one that sandboxes have.
        repeat: runs of all tests, each in a fresh process and in another order.
        cpu_seconds: budget of mutation, in the sandbox; None for what the mode has.
        timeout_seconds: for one phase of one test.
    """

    __test__ = False

    source: Mapping[str, str] = field(default_factory=dict[str, str])
    tests: Mapping[str, str] = field(default_factory=dict[str, str])
    project: str | None = None
    only: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    coverage_target: float | None = None
    python_versions: tuple[str, ...] = ()
    repeat: int = 3
    mutation: Mutation = "quick"
    cpu_seconds: float | None = None
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    timeout_seconds: float = 30.0
