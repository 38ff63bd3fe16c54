"""Runs pytest with a guest module as its plugin, in a process of its own; what it said."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_RUNNER = """
import importlib, json, sys

name, options, records, root, *more = json.loads(sys.argv[1])
out = open(records, "w", buffering=1)

def say(kind, /, **fields):
    out.write(json.dumps({"t": kind, **fields}) + "\\n")

module = importlib.import_module(f"proofbox_guest.{name}")
if options.get("early"):
    module.early(options)
import pytest

plugin = module.plugin(options, say)
sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", "-p", "no:anyio", *more, root], plugins=[plugin]))
"""


def records_of(
    folder: Path,
    name: str,
    modules: Mapping[str, str],
    files: Mapping[str, str],
    options: Mapping[str, Any],
    arguments: Sequence[str] = (),
) -> list[dict[str, Any]]:
    """The records of the guest module `name` from a run of tests that all pass; `files` are the project's."""
    guest = {f"guest/proofbox_guest/{each}.py": text for each, text in modules.items()}
    project = {f"project/{path}": text for path, text in files.items()}
    for path, text in {**guest, **project, "guest/proofbox_guest/__init__.py": ""}.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    root, records = folder / "project", folder / "records.jsonl"
    ran = subprocess.run(
        [sys.executable, "-c", _RUNNER, json.dumps([name, options, str(records), str(root), *arguments])],
        cwd=root,
        env={"HOME": str(folder), "PATH": "", "PYTHONPATH": f"{folder / 'guest'}:{root}"},
        capture_output=True,
        timeout=60,
        check=False,
        text=True,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout[-1500:] + ran.stderr[-1500:]
    return [json.loads(line) for line in records.read_text().splitlines()]
