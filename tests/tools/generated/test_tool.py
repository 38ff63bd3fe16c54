"""The tool as a client has it on each backend, with jobs, and the command as a shell does."""

import json
import os
import subprocess
import sysconfig
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, Literal

import anyio
import pytest
from mcp import Client
from mcp.client import ClientRequestContext
from mcp.types import CreateMessageRequestParams, CreateMessageResult, TextContent
from standin import API_KEY, StandIn

from proofbox.server.app import create_server
from proofbox.server.sandbox import Backend
from proofbox.server.sandbox.e2b import E2BBackend
from proofbox.server.sandbox.local.backend import LocalBackend
from proofbox.server.settings import Settings

CONSOLE_SCRIPT = Path(sysconfig.get_path("scripts")) / "proofbox"
SOURCE = {"calc.py": "def add(a, b):\n    return a + b\n"}
GOOD = "from calc import add\n\n\ndef test_add():\n    assert add(1, 2) == 3\n"
VACUOUS = "from calc import add\n\n\ndef test_add():\n    assert add(1, 2) is not None\n"
ENDLESS = "import subprocess, time\n\n\ndef test_add():\n    subprocess.Popen(['sleep', '86399'])\n    time.sleep(90)\n"
CALL: dict[str, Any] = {"source": SOURCE, "mutation": "off", "repeat": 1}

pytestmark = pytest.mark.slow


@pytest.fixture(params=["local", "e2b"])
def backend(request: pytest.FixtureRequest, local_cache: Path, standin: StandIn) -> Backend:
    """Jails on this machine, and E2B's SDK against the stand-in."""
    del standin
    if request.param == "local":
        return LocalBackend(cache_dir=local_cache)
    return E2BBackend(api_key=API_KEY, create_rate=100)


@pytest.fixture
async def client(backend: Backend) -> AsyncGenerator[Client]:
    """A client of a server over the backend."""
    async with Client(create_server(Settings(), backend=backend)) as client:
        yield client


def sleepers() -> int:
    """Processes on this machine that the endless test has started."""
    count = 0
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                count += (entry / "cmdline").read_bytes() == b"sleep\x0086399\0"
            except OSError:
                continue
    return count


async def test_a_client_gets_verdicts_a_job_and_an_end(client: Client) -> None:
    """A report at once; one that a job brings later; and a cancelled job of which nothing is left."""
    with anyio.fail_after(300):
        plain = await client.call_tool(
            "run_generated_tests", CALL | {"tests": {"test_calc.py": GOOD}, "wait_seconds": 120}
        )
        later = await client.call_tool(
            "run_generated_tests", CALL | {"tests": {"test_calc.py": VACUOUS}, "wait_seconds": 0}
        )
        running: dict[str, Any] = later.structured_content or {}
        brought = await client.call_tool(
            "get_job", {"job_id": running["job"]["job_id"], "wait_seconds": 120}
        )
        endless = await client.call_tool(
            "run_generated_tests", CALL | {"tests": {"test_calc.py": ENDLESS}, "wait_seconds": 0}
        )
        doomed: dict[str, Any] = endless.structured_content or {}
        # Processes tell nobody that they have begun or ended.
        while not sleepers():
            await anyio.sleep(0.1)
        await client.call_tool("get_job", {"job_id": doomed["job"]["job_id"], "cancel": True})
        while sleepers():
            await anyio.sleep(0.1)

    facts: dict[str, Any] = plain.structured_content or {}
    assert (facts["verdict"], facts["keep"], facts["coverage"]) == ("passed", 1, True)
    assert facts["tests"][0]["proves"] == ["add"]
    assert facts["runs"] == 1
    assert "One run only" in facts["notes"][0]
    assert (facts["tests"][0]["assertions"], facts["tests"][0]["covers"]) == (1, 1)
    assert not plain.is_error
    [text] = [block.text for block in brought.content if isinstance(block, TextContent)]
    assert "mend: test_calc.py::test_add: weak" in text


@pytest.mark.parametrize("era", ["auto", "legacy"])
async def test_the_clients_own_model_may_write_the_tests(
    era: Literal["auto", "legacy"], local_cache: Path
) -> None:
    """Where the client offers it and nobody is named, in both eras: it is told what to mend, and asked again."""
    asked: list[str] = []
    answers = [VACUOUS, GOOD]

    async def sample(
        context: ClientRequestContext, params: CreateMessageRequestParams
    ) -> CreateMessageResult:
        del context
        asked.append(str(params.messages[0].content))
        text = TextContent(text=f"```python\n{answers[len(asked) - 1]}```")
        return CreateMessageResult(role="assistant", content=text, model="theirs")

    server = create_server(Settings(), backend=LocalBackend(cache_dir=local_cache))
    async with Client(server, mode=era, sampling_callback=sample) as client:
        result = await client.call_tool(
            "run_generated_tests", CALL | {"generate": True, "wait_seconds": 120}
        )

    facts: dict[str, Any] = result.structured_content or {}
    assert facts["verdict"] == "passed"
    assert facts["file"] == GOOD
    assert [attempt["verdict"] for attempt in facts["attempts"]] == ["failed", "passed"]
    assert len(asked) == 2
    assert "`add` returns wrong values" in asked[1]


def test_the_command_ends_with_the_verdict(tmp_path: Path, local_cache: Path) -> None:
    """A person's lines, JUnit and JSON; what is no project or no tests is bad usage."""
    files = {"pyproject.toml": "", "calc.py": SOURCE["calc.py"], "tests/test_calc.py": GOOD}
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    junit = tmp_path / "junit.xml"
    few = ["--mutation=off", "--repeat=1"]

    passed = proofbox(tmp_path, local_cache, *few, f"--junit={junit}", f"--html={junit}.html", ".")
    (tmp_path / "tests/test_calc.py").write_text(VACUOUS)
    failed = proofbox(tmp_path, local_cache, *few, "--json", "calc.py", "tests")
    usage = proofbox(tmp_path, local_cache, "nothing.py")
    empty = proofbox(tmp_path, local_cache, "--write", "x.py", "calc.py")

    assert passed.returncode == 0, passed.stderr
    assert "passed: 1 test: 1 to keep." in passed.stdout
    assert 'failures="0"' in junit.read_text()
    assert "<h1>Tests</h1>" in (tmp_path / "junit.xml.html").read_text()
    assert failed.returncode == 1
    assert json.loads(failed.stdout)["tests"][0]["kind"] == "weak"
    assert (usage.returncode, empty.returncode) == (2, 2)
    assert "There is no nothing.py" in usage.stderr
    assert "--write needs --generate" in empty.stderr


def proofbox(folder: Path, cache: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """The command, in a folder."""
    env = {**os.environ, "PROOFBOX_CACHE_DIR": str(cache), "PROOFBOX_BACKEND": "local"}
    return subprocess.run(
        [CONSOLE_SCRIPT, "tests", *arguments],
        cwd=folder,
        env={**env, "PROOFBOX_DATA_DIR": str(folder / ".data")},
        capture_output=True,
        text=True,
        check=False,
        timeout=150,
    )
