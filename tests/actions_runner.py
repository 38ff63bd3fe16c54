"""What GitHub's runner does with a workflow, as far as ours need it: the steps of a job, until one fails.

    runner = Runner(tmp_path, repository, github={"repository": "octo/app"}, env={})
    done = runner.run_job(workflow["jobs"]["words"])
    assert done.failed is None

`uses:` of our own action runs the steps of this repository's action.yml. Nothing is installed: `pipx` and
the action's own environment give the command `proofbox` of the tests, and `sudo` only notes what it was told.
"""

import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
OURS = "OWNER/proofbox@v1"
SECONDS = 300

_PROOFBOX = f'#!/bin/sh\nexec {sysconfig.get_path("scripts")}/proofbox "$@"\n'
_NOTE = 'echo "$(basename "$0") $*" >> "$NOTES"\n'
_TOOLS = {
    "sudo": f"#!/bin/sh\n{_NOTE}",
    # Before it, there is no proofbox.
    "pipx": f'#!/bin/sh\n{_NOTE}ln -s "$STANDIN/installed" "$STANDIN/tools/proofbox"\n',
    "python3": f"""#!/bin/sh
if [ "$1 $2" = "-m venv" ]; then
    mkdir -p "$3/bin"
    ln -s "$STANDIN/installed" "$3/bin/proofbox"
    ln -s "$STANDIN/tools/python3" "$3/bin/python"
elif [ "$1 $2 $3" = "-m pip install" ]; then
    {_NOTE}else
    exec {sys.executable} "$@"
fi
""",
}


@dataclass
class Done:
    """What came of a job: the step that failed, all that was printed, the summary, and what was installed."""

    failed: str | None = None
    printed: str = ""
    summary: str = ""
    notes: str = ""
    outputs: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])


class Runner:
    """A fresh machine below a folder, for jobs about a repository on disk.

    Attributes:
        github: the context of that name, as a nested mapping. env: variables of the machine.
    """

    def __init__(
        self, folder: Path, repository: Path, github: Mapping[str, Any], env: Mapping[str, str]
    ) -> None:
        self._folder, self._repository, self._github = folder, repository, github
        for name in ("tools", "temp", "workspace"):
            (folder / name).mkdir()
        for name, text in {
            **{f"tools/{k}": v for k, v in _TOOLS.items()},
            "installed": _PROOFBOX,
        }.items():
            (folder / name).write_text(text)
            (folder / name).chmod(0o755)
        foreign = ("PROOFBOX_", "GITHUB_", "RUNNER_", "VIRTUAL_ENV", "PYTEST_")
        self._env = {
            **{name: value for name, value in os.environ.items() if not name.startswith(foreign)},
            "PATH": f"{folder / 'tools'}:/usr/local/bin:/usr/bin:/bin",
            "CI": "true",
            "GITHUB_REPOSITORY": str(github["repository"]),
            "RUNNER_TEMP": str(folder / "temp"),
            "STANDIN": str(folder),
            "NOTES": str(folder / "notes"),
            **{name: str(folder / file) for name, file in _FILES.items()},
            **env,
        }

    def run_job(self, job: Mapping[str, Any]) -> Done:
        """Run the steps in order. A step that this runner does not know is an error of the test."""
        assert set(job) <= {"name", "runs-on", "steps"}, job
        return self._finished(self._run_steps(job["steps"], {}))

    def run_step(self, step: Mapping[str, Any]) -> Done:
        """Run one step by itself."""
        return self._finished(self._run_steps([step], {}))

    def _run_steps(self, steps: Sequence[Mapping[str, Any]], inputs: Mapping[str, str]) -> Done:
        done = Done()
        for step in steps:
            assert set(step) <= {"name", "id", "uses", "with", "run", "shell", "env"}, step
            name = step.get("name") or step.get("uses") or step["run"]
            code, printed = self._step(step, inputs, done)
            done.printed += printed
            if code:
                done.failed = name
                break
        return done

    def _step(
        self, step: Mapping[str, Any], inputs: Mapping[str, str], done: Done
    ) -> tuple[int, str]:
        if "run" in step:
            return self._script(step, inputs, done)
        if step["uses"] == OURS:
            action = yaml.safe_load((ROOT / "action.yml").read_text())
            given: Mapping[str, str] = step.get("with", {})
            assert set(given) <= set(action["inputs"]), given
            usual = {name: one["default"] for name, one in action["inputs"].items()}
            meant = {
                name: self._filled(text, {}, Done()) for name, text in {**usual, **given}.items()
            }
            inner = self._run_steps(action["runs"]["steps"], meant)
            return (1 if inner.failed else 0), inner.printed
        assert step["uses"].startswith("actions/checkout@"), step
        command = (
            "git",
            "clone",
            "--quiet",
            str(self._repository),
            str(self._folder / "workspace"),
        )
        return self._execute(command, self._env)

    def _script(
        self, step: Mapping[str, Any], inputs: Mapping[str, str], done: Done
    ) -> tuple[int, str]:
        script = self._folder / "temp" / "step.sh"
        script.write_text(self._filled(step["run"], inputs, done))
        named = {
            key: self._filled(str(text), inputs, done) for key, text in step.get("env", {}).items()
        }
        # As GitHub says that it runs a step with and without `shell: bash`.
        flags = ("--noprofile", "--norc", "-eo", "pipefail") if "shell" in step else ("-e",)
        env = {**self._env, **named, "GITHUB_ACTION_PATH": str(ROOT)}
        code, printed = self._execute(("bash", *flags, str(script)), env)
        output = self._folder / "output"
        if "id" in step and output.exists():
            lines = (line.partition("=") for line in output.read_text().splitlines())
            done.outputs[step["id"]] = {key: value for key, _, value in lines}
        return code, printed

    def _execute(self, command: tuple[str, ...], env: Mapping[str, str]) -> tuple[int, str]:
        run = subprocess.run(
            command, cwd=self._folder / "workspace", env=env, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, timeout=SECONDS, check=False,
        )  # fmt: skip
        return run.returncode, run.stdout

    def _filled(self, text: str, inputs: Mapping[str, str], done: Done) -> str:
        """The text with the values of its expressions, which are names alone."""
        contexts = {"github": self._github, "inputs": inputs, "steps": done.outputs}

        def value(match: re.Match[str]) -> str:
            found: Any = contexts
            for part in match[1].split("."):
                found = found[part]
            return str(found)

        return re.sub(r"\$\{\{ ([\w.-]+) \}\}", value, text)

    def _finished(self, done: Done) -> Done:
        for name in ("summary", "notes"):
            path = self._folder / name
            setattr(done, name, path.read_text() if path.exists() else "")
        return done


_FILES = {"GITHUB_OUTPUT": "output", "GITHUB_STEP_SUMMARY": "summary", "GITHUB_ENV": "env"}
