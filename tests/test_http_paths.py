"""Every argument of every tool that takes text: whether it can be a path is written down here, and if so, it is attacked.

A new argument fails the first test until somebody has decided; a decision without an attack fails it, too.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
import pytest
from fakes import FakeBackend
from http_service import serving, texts
from path_attacks import CANARY, answers, calls, commit, make_outside, more_calls

from proofbox.server.app import create_server
from proofbox.server.settings import Settings

SERVER, GUEST, SPELLED, CODE, WORD, HANDLE = (
    "names a file or a folder of the server",
    "names files in the sandbox or the upload",
    "is spelled by rules that leave no room for a path, and says so",
    "is run in the sandbox, or handed to what is",
    "is one of a few words or a pattern, looked up and not opened",
    "is looked up among those of the principal",
)

ARGUMENTS: Mapping[str, Mapping[str, str]] = {
    "execute_code": {
        "code": CODE,
        "language": WORD,
        "session_id": HANDLE,
        "files": GUEST,
        "packages": SPELLED,
        "env": CODE,
    },
    "validate_snippets": {
        "paths": SERVER,
        "text": SERVER,  # by its includes
        "snippets": CODE,
        "packages": SPELLED,
        "env": CODE,
        "setup": CODE,
        "skip": WORD,
        "normalise": WORD,
    },
    "run_generated_tests": {
        "source": GUEST,
        "tests": GUEST,
        "project": SERVER,
        "only": GUEST,
        "packages": SPELLED,
        "env": CODE,
        "model": SPELLED,
    },
    "check_pr": {
        "repo": SERVER,
        "base": SPELLED,
        "head": SPELLED,
        "diff": GUEST,
        "patch": SERVER,
        "only": GUEST,
        "packages": SPELLED,
        "env": CODE,
        "snippets": CODE,
    },
    "benchmark_model": {
        "models": SERVER,
        "tasks": SERVER,
        "parameters": WORD,
        "prices": WORD,
    },
    "get_job": {"job_id": HANDLE},
    "read_artifact": {"session_id": HANDLE, "name": GUEST},
    "close_session": {"session_id": HANDLE},
}

ATTACKED = {SERVER, GUEST, SPELLED}


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder that nobody named."""
    return make_outside(tmp_path)


def takes_text(schema: Mapping[str, Any]) -> bool:
    """Whether a value may be, or hold, text that is not one of a fixed list or form."""
    if schema.get("type") == "string":
        return "enum" not in schema and "pattern" not in schema
    # What has names of the caller's choice has text in these.
    if "$ref" in schema or schema.get("additionalProperties"):
        return True
    inside = [*schema.get("anyOf", ()), *schema.get("oneOf", ())]
    inside += [schema["items"]] if "items" in schema else []
    return any(takes_text(one) for one in inside)


async def test_every_argument_that_takes_text_is_known_and_those_that_may_be_paths_are_attacked(
    backend: FakeBackend,
    outside: Path,
) -> None:
    """By the schemas that clients see, so that a new one cannot be forgotten."""
    tools = await create_server(Settings(), backend=backend).list_tools()
    found = {
        tool.name: {
            name for name, schema in tool.input_schema["properties"].items() if takes_text(schema)
        }
        for tool in tools
    }
    attacked = {
        (tool, name)
        for tool, arguments in (*calls(outside), *more_calls(outside))
        for name, value in arguments.items()
        if "outside" in json.dumps(value)
    }
    owed = {
        (tool, name)
        for tool, names in ARGUMENTS.items()
        for name, kind in names.items()
        if kind in ATTACKED
    }

    assert {tool: set(names) for tool, names in ARGUMENTS.items()} == found
    assert owed - attacked == set()


@pytest.fixture
def project(outside: Path) -> Path:
    """A root with a repository in it, beside the folder that nobody named."""
    folder = outside.parent / "root"
    folder.mkdir()
    (folder / "own.py").write_text("x = 1\n")
    (folder / "test_own.py").write_text("def test_own():\n    assert 1\n")
    commit(folder)
    return folder


@pytest.mark.slow
async def test_what_only_becomes_a_path_leads_nowhere_either(
    project: Path,
    outside: Path,
    local_cache: Path,
) -> None:
    """Keys of files, choices of tests, requirements, revisions, and what a diff changes: nothing is read or written."""
    before = {path: path.read_bytes() for path in outside.parent.rglob("*") if path.is_file()}
    settings = Settings(backend="local", cache_dir=local_cache, roots=(project,))
    asked = list(more_calls(outside))
    with anyio.fail_after(300):
        async with serving(None, settings=settings) as served, served.client() as client:
            results = await answers(client, asked)
    after = {path: path.read_bytes() for path in outside.parent.rglob("*") if path.is_file()}

    shown = [result.model_dump_json() for result in results]
    assert [text[:2000] for text in shown if CANARY in text] == []
    passed = [
        call for call, one in zip(asked, results, strict=True) if texts(one).startswith("passed")
    ]
    # The sandbox has a /tmp of its own, where code may write as it likes.
    assert passed == [asked[-2]]
    assert asked[-2][0] == "execute_code"
    assert before == after
