"""The protocol's own conformance suite and the Inspector, from npm, against the real server."""

import functools
import json
import re
import signal
import subprocess
import sysconfig
from collections.abc import Callable, Generator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import npm_tools
import pytest
import yaml
from header_proxy import adding

from proofbox.server.http.tokens import line_of, new_token

pytestmark = [pytest.mark.slow]

HERE = Path(__file__).parent / "conformance"
PROOFBOX = Path(sysconfig.get_path("scripts")) / "proofbox"
BASELINE: list[str] = yaml.safe_load((HERE / "baseline.yml").read_text())["server"]
Checks = list[dict[str, Any]]
ChecksOf = Callable[[str], dict[str, Checks]]
SCENARIOS = {
    "2026-07-28": [
        "tools-list",
        "resources-list",
        "prompts-list",
        "caching",
        "http-header-validation",
        "dns-rebinding-protection",
        "sep-2164-resource-not-found",
        "server-stateless",
    ],
    "2025-11-25": [
        "server-initialize",
        "server-session-lifecycle",
        "ping",
        "tools-list",
        "resources-list",
        "prompts-list",
        "dns-rebinding-protection",
        "server-sse-multiple-streams",
    ],
}


@pytest.fixture(scope="module")
def node_modules() -> Path:
    """What package.json names."""
    return npm_tools.installed()


@pytest.fixture(scope="module")
def tool_environment(node_modules: Path) -> dict[str, str]:
    """The environment in which the tools of `node_modules` run."""
    return npm_tools.environment(node_modules)


@pytest.fixture(scope="module", params=["open to all", "by token"])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    """The address of a server on loopback, with and without authentication.

    The suite cannot be told to send a token, so something between it and the server does.
    """
    command = [PROOFBOX, "--backend", "local", "serve", "--http", "--port", "0", "--json"]
    token = ""
    if request.param == "by token":
        tokens, token = tmp_path_factory.mktemp("tokens") / "tokens", new_token()
        tokens.write_text(line_of(token, "alice"))
        command += ["--token-file", tokens]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server,
        ExitStack() as more,
    ):
        assert server.stdout is not None
        address = str(json.loads(server.stdout.readline())["url"])
        if token:
            port = urlsplit(address).port
            assert port is not None
            relay = more.enter_context(adding(f"Authorization: Bearer {token}", port))
            assert httpx2.post(address, json={}).status_code == 401
            address = address.replace(str(port), str(relay))
        yield address
        server.send_signal(signal.SIGTERM)


@pytest.fixture(scope="module")
def checks_of(
    node_modules: Path,
    tool_environment: dict[str, str],
    url: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> ChecksOf:
    """What the suite says of a server about a version: its scenarios, all of them in one process."""

    @functools.cache
    def run(version: str) -> dict[str, Checks]:
        folder = tmp_path_factory.mktemp("checks")
        command = [node_modules / ".bin/conformance", "server", "--url", url, "--suite", "all"]
        done = subprocess.run(
            [*command, "--spec-version", version, "--output-dir", folder],
            env=tool_environment,
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        # Some scenarios ask for the tools of the suite's own server, and fail: no other exit code tells anything.
        assert done.returncode in {0, 1}, done.stdout + done.stderr
        found = {_scenario(path): json.loads(path.read_text()) for path in _results(folder)}
        assert len(found) == len(_results(folder))
        return found

    return run


def _results(folder: Path) -> list[Path]:
    return list(folder.glob("server-*/checks.json"))


def _scenario(results: Path) -> str:
    """`server-NAME-TIME/checks.json`."""
    named = re.fullmatch(r"server-(.+)-\d{4}-\d\d-\d\dT[-\d]+Z", results.parent.name)
    assert named, results
    return named[1]


@pytest.mark.parametrize(
    ("version", "scenario"),
    [(version, scenario) for version in SCENARIOS for scenario in SCENARIOS[version]],
)
def test_the_server_conforms(checks_of: ChecksOf, version: str, scenario: str) -> None:
    """To both versions of the specification that are in use; each scenario checks the wire too."""
    checks = checks_of(version)[scenario]

    assert "SUCCESS" in {check["status"] for check in checks}
    faults = [check for check in checks if check["status"] not in {"SUCCESS", "INFO", "SKIPPED"}]
    expected = [name for name in BASELINE if name.startswith(f"{scenario}:")]
    assert sorted(f"{scenario}:{check['id']}" for check in faults) == sorted(expected), faults


def inspect(
    node_modules: Path, environment: dict[str, str], *arguments: str
) -> subprocess.CompletedProcess[str]:
    """Let the Inspector do something over stdio."""
    command = [node_modules / ".bin/mcp-inspector", "--cli", PROOFBOX, *arguments]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=900, check=False
    )


def test_the_inspector_finds_no_fault_with_the_tools(
    node_modules: Path, tool_environment: dict[str, str]
) -> None:
    """Its strict check of the schemas."""
    done = inspect(node_modules, tool_environment, "--method", "tools/list", "--strict")

    assert done.returncode == 0, done.stderr
    assert "execute_code" in done.stdout


@pytest.mark.parametrize("era", ["legacy", "modern"])
def test_the_inspector_runs_code(
    node_modules: Path, tool_environment: dict[str, str], era: str
) -> None:
    """Over stdio, in a real sandbox, in both eras."""
    call = ["--method", "tools/call", "--tool-name", "execute_code", "--tool-arg", "code=6*7"]
    form = ["--format", "json", "--protocol-era", era]
    done = inspect(node_modules, tool_environment, *call, *form)

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["result"]["structuredContent"]["value"] == "42"
