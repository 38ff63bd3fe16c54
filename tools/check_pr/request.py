"""What is to be checked, as it is asked for."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class PrRequest:
    """One pull request: of GitHub (`repo` as `owner/name` and `pr`), of a local repository (`repo` a folder,
    `base` and `head`), or a local repository with a diff on top of `base`.

    Attributes:
        repo: `owner/name`, or a path inside the allowed roots.
        pr: the number on GitHub, 0 for none.
        base, head: commits or names of a local repository; `base` is its HEAD where nothing is said.
        diff: a unified diff in place of `head`; `patch` is a file with one, inside the allowed roots.
        merged: judge head merged with base's tip instead of head as it is.
        all_tests: run all tests rather than those that the change can concern.
        only: files or folders of tests to run instead; empty for the choice above.
        packages: requirements in place of those that the project names.
        python_versions: like `3.12`; the first is the one that everything is told of.
        reruns: of a side, that decide whether a test is flaky; one less where nothing in it or in the change reads
            what chance decides.
        performance: compare the speed of the project's benchmarks; `snippets` are more of them, by name.
        mutation: try mutants of the changed lines.
        seconds: for one run of tests; `test_seconds` for one phase of one test.
    """

    repo: str
    pr: int = 0
    base: str = ""
    head: str = ""
    diff: str = ""
    patch: str = ""
    merged: bool = False
    all_tests: bool = False
    only: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    python_versions: tuple[str, ...] = ()
    reruns: int = 3
    performance: bool = False
    snippets: Mapping[str, str] = field(default_factory=dict[str, str])
    mutation: bool = True
    seconds: float = 900.0
    test_seconds: float = 60.0
