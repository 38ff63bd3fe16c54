"""Every block of every document is run or parsed: here, by the tool itself, or by a test that is named here."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

from proofbox.server.cli.commands import cli

ROOT = Path(__file__).parents[1]
DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")),
    ROOT / "examples/README.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
CHECKED = {
    # The tool runs or parses them: test_the_documents_of_this_repository_hold.
    "json", "toml", "yaml", "pycon", "python",
    # Their commands are parsed here.
    "bash", "console",
    # Sessions and outputs; SHOWN says who compares them.
    "text",
}  # fmt: skip
SHOWN = {
    "README.md": "test_readme.test_the_captured_session_has_the_shape_of_a_report",
    "docs/http.md": "test_http_docs",
    "docs/testing.md": "test_its_script_and_its_suite_run",
}
PROGRAMS = {
    "proofbox", "python", "python3", "pip", "pytest", "uv", "docker", "git", "claude", "curl", "cat", "echo", "kill", "export", "until",
    "do", "done",
}  # fmt: skip
"""What a command may begin with, so that a new one is looked at by somebody."""


@dataclass(frozen=True)
class Block:
    """A fenced block of a document."""

    where: str
    language: str
    text: str


def _blocks() -> Iterator[Block]:
    for path in DOCUMENTS:
        name = path.relative_to(ROOT).as_posix()
        for match in re.finditer(
            r"^```(\S*)[^\n]*\n(.*?)^```$", path.read_text(), re.MULTILINE | re.DOTALL
        ):
            yield Block(name, match[1], match[2])


BLOCKS = list(_blocks())


def commands(text: str) -> Iterator[list[str]]:
    """The simple commands of a shell block, in words, without the variables that they are given."""
    lines = re.sub(r"\\\n", " ", text).splitlines()
    for line in lines:
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words: list[str] = []
        for word in [*lexer, ";"]:
            if set(word) <= set(";&|"):
                yield from [words] if words else []
                words = []
            elif words or not re.match(r"\w+=", word):
                words.append(word)


def test_every_block_is_of_a_kind_that_is_checked() -> None:
    """A new language, or a new page with an output that nobody compares, would be found here."""
    assert {block.language for block in BLOCKS} <= CHECKED
    assert {block.where for block in BLOCKS if block.language == "text"} == set(SHOWN)
    assert len(BLOCKS) > 30


def test_every_command_of_the_documents_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shell takes each block, and proofbox the arguments of each of its commands."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "script.py").touch()
    shell = [block for block in BLOCKS if block.language in {"bash", "console"}]
    taken = 0

    for block in shell:
        text = re.sub(r"^\$ ", "", block.text, flags=re.MULTILINE)
        subprocess.run(["bash", "-n"], input=text, text=True, check=True, timeout=30)
        for words in commands(text):
            program = words[0].rpartition("/")[2]
            assert program in PROGRAMS, f"{block.where}: {words}"
            if program == "proofbox":
                ends = [words.index(sign) for sign in words if set(sign) <= set("<>")]
                name, *arguments = words[1 : min(ends, default=len(words))]
                command, parent = cli.commands[name], click.Context(cli)
                with command.make_context(name, arguments, parent=parent):
                    taken += 1

    assert taken > 20


def test_ci_runs_the_lines_that_set_everything_up() -> None:
    """As the README has them, of which the tool is told to skip these two."""
    patterns = re.findall(r"grep -E '([^']+)' README.md", (ROOT / ".ci/run").read_text())
    lines = [
        line for block in BLOCKS if block.where == "README.md" for line in block.text.split("\n")
    ]

    found = [line for pattern in patterns for line in lines if re.search(pattern, line)]

    assert found == [line for line in lines if line.startswith("python3 -m venv")]
    assert len(found) == 2


def _python(where: str) -> list[str]:
    return [one.text for one in BLOCKS if (one.where, one.language) == (where, "python")]


@pytest.mark.slow
def test_the_scripts_of_the_readme_and_of_testing_print_what_they_show(
    capsys: pytest.CaptureFixture[str], local_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In real sandboxes."""
    monkeypatch.setenv("PROOFBOX_CACHE_DIR", str(local_cache))
    (readme,) = _python("README.md")
    shown = re.findall(r"#> (.*)", readme)
    (output,) = [
        one.text for one in BLOCKS if (one.where, one.language) == ("docs/testing.md", "text")
    ]

    printed: list[str] = []
    for text in (readme, _python("docs/testing.md")[0]):
        exec(compile(text, "<block>", "exec"), {})  # noqa: S102 - documentation that is to be run
        printed.append(capsys.readouterr().out)

    assert printed == [f"{shown[0]}\n", output]


@pytest.mark.slow
def test_the_suite_of_testing_passes(tmp_path: Path, local_cache: Path) -> None:
    """With its conftest.py, as a suite of its own."""
    _, conftest, suite = _python("docs/testing.md")
    (tmp_path / "conftest.py").write_text(conftest)
    (tmp_path / "test_it.py").write_text(suite)

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        env={**os.environ, "PROOFBOX_CACHE_DIR": str(local_cache)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert done.returncode == 0, done.stdout
    assert "2 passed" in done.stdout
