"""The TypeScript SDKs, both of them, drive every tool over stdio and HTTP, with progress and cancellation."""

import json
import signal
import subprocess
import sysconfig
from collections.abc import Generator
from pathlib import Path
from typing import Any

import npm_tools
import pytest

from proofbox.server.http.tokens import line_of, new_token

pytestmark = [pytest.mark.slow]

HERE = Path(__file__).parent
PROOFBOX = Path(sysconfig.get_path("scripts")) / "proofbox"
TOKEN = new_token()

SOURCE = {"adding.py": "def add(a, b):\n    return a + b\n"}
TESTS = {"test_adding.py": "from adding import add\n\ndef test_add():\n    assert add(1, 2) == 3\n"}
DIFF = "--- a/x.py\n+++ b/x.py\n@@ -1 +1 @@\n-X = 1\n+X = 2\n"
CALLS: list[tuple[str, dict[str, Any], str]] = [
    ("execute_code", {"code": "print('out'); open('made.txt', 'w').write('made')"}, "session"),
    ("read_artifact", {"session_id": "$session", "name": "made.txt"}, ""),
    ("execute_code", {"code": "1 / 0"}, "other"),
    ("close_session", {"session_id": "$other"}, ""),
    ("validate_snippets", {"text": "```python\nassert 1 + 1 == 2\n```\n"}, ""),
    (
        "run_generated_tests",
        {"source": SOURCE, "tests": TESTS, "repeat": 1, "mutation": "off"},
        "",
    ),
    ("benchmark_model", {"models": ["ollama:x"], "first": 1, "dry_run": True}, ""),
    ("check_pr", {"repo": ".", "diff": DIFF, "wait_seconds": 0}, "job"),
    ("get_job", {"job_id": "$job", "cancel": True}, ""),
    ("execute_code", {"code": "1", "language": "cobol"}, ""),
]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository that the server may read."""
    folder = tmp_path_factory.mktemp("root")
    (folder / "x.py").write_text("X = 1\n")
    who = ["-c", "user.name=x", "-c", "user.email=x@x"]
    for command in (["init", "-q"], ["add", "."], [*who, "commit", "-qm", "first"]):
        subprocess.run(["git", "-C", folder, *command], check=True)
    return folder


@pytest.fixture(scope="module")
def url(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    """The address of a server that asks for a token."""
    tokens = tmp_path_factory.mktemp("tokens") / "tokens"
    tokens.write_text(line_of(TOKEN, "alice"))
    flags = ["--backend", "local", "--roots", root, "serve", "--http", "--port", "0", "--json"]
    command = [PROOFBOX, *flags, "--token-file", tokens]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        yield json.loads(server.stdout.readline())["url"]
        server.send_signal(signal.SIGTERM)


@pytest.mark.parametrize("sdk", [("v1", "legacy"), ("v2", "auto")])
@pytest.mark.parametrize("transport", ["stdio", "http"])
def test_every_tool_is_driven(
    sdk: tuple[str, str], transport: str, url: str, root: Path, tmp_path: Path
) -> None:
    """Results, errors, a job, progress while code runs, and an end when the client gives up."""
    node_modules = npm_tools.installed()
    (tmp_path / "node_modules").symlink_to(node_modules)
    script = tmp_path / "drive.mjs"
    script.write_text((HERE / "conformance/drive.mjs").read_text())
    arguments = ["--backend", "local", "--roots", str(root)]
    by_stdio = {"command": str(PROOFBOX), "args": arguments}
    target = by_stdio if transport == "stdio" else {"url": url, "token": TOKEN}
    done = subprocess.run(
        ["node", script, *sdk, json.dumps(target)],
        input=json.dumps(CALLS),
        env=npm_tools.environment(node_modules),
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    pinned = [tool["name"] for tool in json.loads((HERE / "tools.json").read_text())]
    assert seen["tools"] == pinned
    assert {name for name, *_ in seen["results"]} == set(pinned)
    verdicts = [(name, is_error, end) for name, is_error, end, _ in seen["results"]]
    assert verdicts == [
        ("execute_code", False, "passed"),
        ("read_artifact", False, None),
        ("execute_code", False, "failed"),
        ("close_session", False, None),
        ("validate_snippets", False, "passed"),
        ("run_generated_tests", False, "passed"),
        ("benchmark_model", False, "skipped"),
        ("check_pr", False, None),
        ("get_job", False, "cancelled"),
        ("execute_code", True, None),
    ], seen["results"]
    assert "made" in seen["results"][1][3]
    assert "cobol" in seen["results"][-1][3]
    assert len(seen["progress"]) >= 2
    assert seen["ending"] == "it was given up"
    assert seen["waited"] < 30
    assert seen["after"]["value"] == "'after'"
