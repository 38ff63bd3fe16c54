"""Attempts to reach files of the server by what a client may say, and a folder that they are after."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mcp import Client
from mcp.types import CallToolResult

CANARY = "canary_5c1f"

Call = tuple[str, dict[str, Any]]

TEXT = "```python\nassert 1\n```\n"
DIFF = "--- a/own.py\n+++ b/own.py\n@@ -1 +1 @@\n-x = 1\n+x = 2\n"


def make_outside(parent: Path) -> Path:
    """A folder that nobody named, with a secret of every kind that a tool would read."""
    folder = parent / "outside"
    folder.mkdir()
    (folder / "secret.md").write_text(f"```python\n{CANARY}\n```\n")
    (folder / "secret.py").write_text(f"def {CANARY}():\n    return '{CANARY}'\n")
    (folder / "test_secret.py").write_text(f"def test_{CANARY}():\n    assert '{CANARY}' == 1\n")
    task = {"task_id": CANARY, "prompt": CANARY, "completion": CANARY, "test": "assert True"}
    (folder / "secret.jsonl").write_text(json.dumps(task) + "\n")
    (folder / "secret.patch").write_text(f"--- a/x\n+++ b/x\n@@ -0,0 +1 @@\n+{CANARY}\n")
    commit(folder)
    return folder


def commit(folder: Path) -> None:
    """Make a repository of a folder."""
    who = ["-c", "user.name=x", "-c", "user.email=x@x"]
    for command in (["init", "-q"], ["add", "."], [*who, "commit", "-qm", CANARY]):
        subprocess.run(["git", "-C", folder, *command], check=True)


def spellings(outside: Path, name: str) -> list[str]:
    """Ways to write the path of a file outside, seen from a root beside it."""
    return [
        f"{outside}/{name}",
        f"../outside/{name}",
        f"./a/../../outside/{name}",
        f"linked/{name}",
        f"link-{name}",
        f"//{str(outside).lstrip('/')}/{name}",
        f"file://{outside}/{name}",
        f"{outside}/{name}\0.md",
        f"..\\outside\\{name}",
        f"%2e%2e/outside/{name}",
    ]


def calls(outside: Path, most: int = 99) -> list[Call]:
    """Every argument of every tool that is, or may hold, a path on the server, in so many spellings."""
    documents = [
        *spellings(outside, "secret.md")[:most],
        f"{outside}/*.md",
        f"{outside}",
        "../**/*.md",
    ]
    includes = [
        f".. literalinclude:: {outside}/secret.py\n",
        ".. literalinclude:: ../outside/secret.py\n",
        f".. include:: {outside}/secret.md\n",
    ]
    in_markdown = [
        f'--8<-- "{outside}/secret.md"\n',
        '--8<-- "../outside/secret.md"\n',
        f"{{!{outside}/secret.md!}}\n",
        f"```{{literalinclude}} {outside}/secret.py\n```\n",
        f"```{{include}} {outside}/secret.md\n```\n",
    ]
    projects = [str(outside), "../outside", "linked", f"{outside}/../outside", f"file://{outside}"]
    tasks = spellings(outside, "secret.jsonl")[:most]
    patches = spellings(outside, "secret.patch")[:most]
    return [
        *(("validate_snippets", {"paths": [path]}) for path in documents),
        *(("validate_snippets", {"text": text, "format": "rst"}) for text in includes),
        *(("validate_snippets", {"text": text}) for text in in_markdown),
        *(("run_generated_tests", {"project": path, "mutation": "off"}) for path in projects),
        *(("check_pr", {"repo": path, "head": "HEAD"}) for path in projects),
        *(("check_pr", {"repo": ".", "patch": path}) for path in patches),
        *(
            ("benchmark_model", {"models": ["ollama:x"], "tasks": path, "dry_run": True})
            for path in tasks
        ),
        *(("benchmark_model", {"models": [f"file:{path}"], "dry_run": True}) for path in tasks),
    ]


def more_calls(outside: Path) -> Iterator[Call]:
    """Attacks by what is no path of the server's, but may become one on the way."""
    secret = f"{outside}/secret.py"
    guests = {secret: "x = 1\n", f"../../..{secret}": "x = 1\n", "a/../../secret.py": "x = 1\n"}
    for path, source in guests.items():
        fine = {"test_a.py": "def test_a():\n    assert True\n"}
        yield "run_generated_tests", {"source": {path: source}, "tests": fine}
        yield "run_generated_tests", {"source": {"a.py": source}, "tests": {path: source}}
    only = [secret, "../outside", "../../**/*"]
    yield "run_generated_tests", {"project": ".", "only": only, "mutation": "off"}
    yield "check_pr", {"repo": ".", "diff": DIFF, "only": only}
    for package in (str(outside), f"secret @ file://{outside}", f"-r {secret}", f"-e{outside}"):
        yield "execute_code", {"code": "1", "packages": [package]}
        yield "validate_snippets", {"text": TEXT, "packages": [package]}
        yield "check_pr", {"repo": ".", "diff": DIFF, "packages": [package]}
        yield (
            "run_generated_tests",
            {
                "source": {"a.py": "x = 1\n"},
                "tests": {"test_a.py": "def test_a():\n    assert 1\n"},
                "packages": [package],
            },
        )
    for name in (secret, f"--output={secret}", f"--exec=cat {secret}", "../../outside/.git/HEAD"):
        yield "check_pr", {"repo": ".", "head": name}
        yield "check_pr", {"repo": ".", "base": name, "diff": DIFF}
    for path in (secret, "../outside/secret.py", ".git/hooks/post-checkout"):
        yield "check_pr", {"repo": ".", "diff": DIFF.replace("own.py", path)}
    yield "run_generated_tests", {"generate": True, "project": ".", "model": f"file:{secret}"}
    yield "execute_code", {"code": "1", "files": {f"../../..{secret}": "x"}}
    yield "read_artifact", {"session_id": "x" * 32, "name": secret}


async def answers(client: Client, asked: list[Call]) -> list[CallToolResult]:
    """What each call comes to."""
    return [await client.call_tool(name, arguments) for name, arguments in asked]
