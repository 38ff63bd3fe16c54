"""The GitHub Action: what it runs is accepted by the command, and nothing foreign becomes a part of its script."""

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from proofbox.server.cli.commands import cli

ROOT = Path(__file__).parents[1]
ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text())
STEPS: list[dict[str, Any]] = ACTION["runs"]["steps"]
RECORD = '#!/bin/sh\nprintf "%s\\0" "$@" > "$RUNNER_TEMP/said"\n'


def said_by(tmp_path: Path, **inputs: str) -> tuple[list[str], str]:
    """The command line that the last step runs with these variables, and what the step prints."""
    program = tmp_path / "proofbox" / "bin" / "proofbox"
    program.parent.mkdir(parents=True)
    program.write_text(RECORD)
    program.chmod(0o755)
    given = {
        "PATH": os.environ["PATH"],
        "RUNNER_TEMP": str(tmp_path),
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"),
        "GITHUB_OUTPUT": str(tmp_path / "output"),
        "GITHUB_REPOSITORY": "octo/app",
        "HEAD_REPOSITORY": "octo/app",
        "PULL_REQUEST": "octo/app#12",
        "COMMENT": ACTION["inputs"]["comment"]["default"],
        "CHECK": ACTION["inputs"]["check"]["default"],
        "ARGUMENTS": ACTION["inputs"]["arguments"]["default"],
        **inputs,
    }
    # As GitHub runs `shell: bash`.
    script = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", STEPS[-1]["run"]]
    done = subprocess.run(script, env=given, capture_output=True, text=True, timeout=30, check=True)
    return (tmp_path / "said").read_text().split("\0")[:-1], done.stdout


def accepted(line: list[str]) -> dict[str, Any]:
    """The arguments as the command takes them; a usage error if it does not."""
    name, *arguments = line
    command = cli.commands[name]
    with command.make_context(name, arguments, parent=click.Context(cli)) as ctx:
        return ctx.params


@pytest.mark.parametrize(
    ("inputs", "comment", "check", "more"),
    [
        ({}, False, False, {}),
        ({"COMMENT": "true"}, True, False, {}),
        ({"CHECK": "true", "COMMENT": "false"}, False, True, {}),
        (
            {"ARGUMENTS": "--all-tests --python 3.12 --on-errored=pass"},
            False,
            False,
            {"all_tests": True, "python_versions": ("3.12",), "on_errored": "pass"},
        ),
        ({"COMMENT": "true", "HEAD_REPOSITORY": ""}, True, False, {}),
    ],
)
def test_the_command_takes_what_the_action_says(
    tmp_path: Path, inputs: dict[str, str], comment: bool, check: bool, more: dict[str, Any]
) -> None:
    """With every input that there is."""
    line, _ = said_by(tmp_path, **inputs)

    params = accepted(line)

    assert (params["target"], params["comment"], params["check"]) == ("octo/app#12", comment, check)
    assert params["markdown"] == str(tmp_path / "summary.md")
    assert (tmp_path / "output").read_text() == f"sarif={params['sarif']}\n"
    assert more.items() <= params.items()


def test_a_forks_pull_request_is_checked_without_writing(tmp_path: Path) -> None:
    """Its token could not, and the verdict is in the summary all the same."""
    line, printed = said_by(
        tmp_path, COMMENT="true", CHECK="true", HEAD_REPOSITORY="contributor/app"
    )

    params = accepted(line)

    assert (params["comment"], params["check"]) == (False, False)
    assert "::notice::" in printed


@pytest.mark.parametrize(
    "text", ["$(touch HERE)", "`touch HERE`", "; touch HERE", '" && touch HERE']
)
def test_what_people_write_is_an_argument_and_no_script(tmp_path: Path, text: str) -> None:
    """No input is executed, and GitHub puts none into the script itself."""
    here = str(tmp_path / "here")
    line, _ = said_by(tmp_path, ARGUMENTS=text.replace("HERE", here), PULL_REQUEST=text)

    assert not Path(here).exists()
    assert line[1] == text
    assert not any("${{" in step["run"] for step in STEPS)


def test_the_action_checks_nothing_out_and_asks_for_little() -> None:
    """Only its own steps, and no event that gives a writing token to strangers."""
    text = (ROOT / "action.yml").read_text()
    example = re.search(
        r"```yaml\n(.*?)```", (ROOT / "docs" / "check_pr.md").read_text(), re.DOTALL
    )

    assert [set(step) & {"uses"} for step in STEPS] == [set[str]()] * len(STEPS)
    assert "actions/checkout" not in text
    assert example
    workflow = yaml.safe_load(example[1])
    # YAML takes `on` for a truth.
    assert workflow[True] == "pull_request"
    assert workflow["permissions"]["contents"] == "read"
    [step] = workflow["jobs"]["proofbox"]["steps"]
    assert set(step["with"]) <= set(ACTION["inputs"])
