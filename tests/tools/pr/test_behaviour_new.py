"""What head's code tries and base's did not."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from guest_plugin import records_of

from proofbox.tools.check_pr.beyond import behaviour
from proofbox.tools.check_pr.environment.environment import Behaviour
from proofbox.tools.run_generated_tests.events import TestRun


def watched(folder: Path, files: Mapping[str, str]) -> tuple[Behaviour, ...]:
    """What tests try, run in a process of their own."""
    options = {"root": str(folder / "project")}
    records = records_of(folder, "watching", behaviour.modules(), files, options)
    return behaviour.behaviours_of(TestRun(True, guests={"watching": records}))


def test_what_tests_try_is_told_with_the_test_that_did_it(tmp_path: Path) -> None:
    """Once, with the line of the project, and nothing of what every suite does."""
    found = watched(
        tmp_path,
        {
            "pkg.py": "import os\n\ndef look():\n    return os.environ.get('AWS_SECRET_ACCESS_KEY')\n",
            "test_pkg.py": "import subprocess, sys, tempfile\nimport pkg\n\n"
            "def test_quiet(tmp_path):\n    (tmp_path / 'a').write_text('b')\n"
            "    tempfile.mkdtemp()\n    open('/dev/null', 'w').close()\n\n"
            "def test_secret():\n    pkg.look()\n    pkg.look()\n\n"
            "def test_again():\n    pkg.look()\n\n"
            "def test_starts():\n    subprocess.run([sys.executable, '-c', ''], check=True)\n",
        },
    )

    assert [(one.kind, one.where, one.when.rpartition("/")[2]) for one in found] == [
        ("credentials", "pkg.py:4", "test_pkg.py::test_secret"),
        ("process", "test_pkg.py:17", "test_pkg.py::test_starts"),
    ]


def test_what_an_import_tries_is_told_with_its_file(tmp_path: Path) -> None:
    """Of a conftest file as of a test file."""
    found = watched(
        tmp_path,
        {
            "conftest.py": "import os\nos.environ.get('GITHUB_TOKEN')\n",
            "test_a.py": "import os\nos.environ.get('NPM_TOKEN')\n\ndef test_a():\n    pass\n",
        },
    )

    assert [(one.what, one.when.rpartition("/")[2]) for one in found] == [
        ("$GITHUB_TOKEN", "conftest.py"),
        ("$NPM_TOKEN", "test_a.py"),
    ]


SAME = [
    ("network", "example.org:443", "example.org:443"),
    ("process", "/usr/bin/python3.12 -c 'print(1)'", "/opt/python3.11 -c 'print(2)'"),
    ("process", "git status", "git log --oneline"),
    ("process", "python -m build", "python -m build --wheel"),
    ("write", "~/.cache/thing/1a2b3c4d", "~/.cache/thing/5e6f7a8b"),
    ("write", "/var/spool/job-17", "/var/spool/job-2204"),
]
OTHER = [
    ("network", "example.org:443", "example.net:443"),
    ("network", "example.org:443", "example.org:22"),
    ("process", "git status", "curl example.net"),
    ("process", "python -c 'print(1)'", "python -m pip install x"),
    ("process", "sh -c ls", "sh -c 'curl example.net'"),
    ("write", "~/.cache/thing/a", "~/.bashrc"),
    ("write", "/etc/motd", "/etc/passwd"),
    ("credentials", "~/.netrc", "~/.aws/credentials"),
]


@pytest.mark.parametrize(("kind", "before", "after"), SAME)
def test_what_base_did_too_is_nothing_new(kind: str, before: str, after: str) -> None:
    """Numbers, temporary names and arguments differ from run to run."""
    base = [Behaviour(kind, before, "a.py:1", "test_a.py::test_a")]  # pyright: ignore[reportArgumentType]
    head = [Behaviour(kind, after, "a.py:9", "test_b.py::test_b")]  # pyright: ignore[reportArgumentType]

    assert behaviour.fresh(base, head) == ()


@pytest.mark.parametrize(("kind", "before", "after"), OTHER)
def test_what_base_did_not_is_new(kind: str, before: str, after: str) -> None:
    """Another machine, program, file or secret."""
    base = [Behaviour(kind, before, when="test_a.py::test_a")]  # pyright: ignore[reportArgumentType]
    head = [*base, Behaviour(kind, after, when="test_a.py::test_a")]  # pyright: ignore[reportArgumentType]

    assert [one.what for one in behaviour.fresh(base, head)] == [after]


def test_what_tests_did_a_build_may_not_begin_to_do() -> None:
    """The phases are told apart, the build first."""
    tested = Behaviour("network", "example.org:443", when="test_a.py::test_a")
    built = Behaviour("network", "example.org:443", "setup.py:3")
    more = Behaviour("credentials", "~/.netrc", when="test_a.py::test_a")

    assert behaviour.fresh([tested], [more, built, tested]) == (built, more)


def test_many_of_a_kind_are_counted() -> None:
    """Forty files of one cache are one behaviour."""
    head = [Behaviour("write", f"~/.cache/thing/{n:08x}") for n in range(40)]

    [one] = behaviour.fresh([], head)

    assert one.what == "~/.cache/thing/00000000 (and 39 like it)"
