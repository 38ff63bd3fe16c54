"""docs/http.md says what is so: its blocks run, its table is the one of the code."""

import json
import os
import re
import socket
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from proofbox.server.http.settings import HTTP_OPTIONS, HttpSettings
from proofbox.server.http.tokens import TokenFile

PAGE = (Path(__file__).parents[1] / "docs/http.md").read_text()


def blocks(language: str) -> list[str]:
    """The fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


def test_its_settings_are_those_of_the_service() -> None:
    """Name, default and meaning of each, in the order of the code, and no others."""
    rows = re.findall(r"^\| `(PROOFBOX_\w+)` \| (.*?) \| (.*?) \|$", PAGE, re.MULTILINE)

    assert rows == [(option.variable, option.default, option.help) for option in HTTP_OPTIONS]


def test_the_limits_that_it_names_are_those_that_hold() -> None:
    """With authentication, where nobody chose others."""
    usual = HttpSettings(oauth_issuer="https://login.example.com").allowances

    assert f"{usual.calls:g} calls and {usual.sessions:g} sessions at a time" in PAGE
    assert f"open for {usual.sandbox_seconds:,.0f} seconds" in PAGE
    assert f"models for {usual.usd:g} USD a day" in PAGE


def test_its_examples_are_what_they_say(tmp_path: Path) -> None:
    """Configuration is JSON; the lines of a token file have that form."""
    assert len([json.loads(block) for block in blocks("json")]) == 2
    (lines,) = [block for block in blocks("text") if "sha256" in block]
    path = tmp_path / "tokens"
    path.write_text(re.sub(r"([0-9a-f]{4})…", r"\1" * 16, lines))
    TokenFile(path).load()


@pytest.mark.slow
def test_its_commands_do_what_it_shows(tmp_path: Path) -> None:
    """One service, in a real sandbox; only the port is another."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    (commands,), (client,) = blocks("bash"), blocks("python")
    (tmp_path / "client.py").write_text(client.replace("8000", port))
    scripts = os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", "-eu"],
        input=commands.replace("8000", port).replace("python3", sys.executable),
        env={**os.environ, "PATH": scripts, "PROOFBOX_BACKEND": "local"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout == blocks("text")[0]
    token = (tmp_path / "alice.token").read_text().strip()
    for written in (done.stderr, (tmp_path / "tokens").read_text()):
        assert token not in written
