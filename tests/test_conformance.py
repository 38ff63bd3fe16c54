"""The protocol's own conformance suite and the Inspector, from npm, against the real server."""

import json
import signal
import subprocess
import sysconfig
from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import npm_tools
import pytest
from header_proxy import adding

from proofbox.server.http.tokens import line_of, new_token

pytestmark = [pytest.mark.slow]

HERE = Path(__file__).parent / "conformance"
PROOFBOX = Path(sysconfig.get_path("scripts")) / "proofbox"
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


@pytest.mark.parametrize(
    ("version", "scenario"),
    [(version, scenario) for version in SCENARIOS for scenario in SCENARIOS[version]],
)
def test_the_server_conforms(
    node_modules: Path,
    tool_environment: dict[str, str],
    url: str,
    tmp_path: Path,
    version: str,
    scenario: str,
) -> None:
    """To both versions of the specification that are in use; each scenario checks the wire too."""
    command = [node_modules / ".bin/conformance", "server", "--url", url]
    asked = ["--spec-version", version, "--scenario", scenario]
    expected = ["--expected-failures", HERE / "baseline.yml"]
    done = subprocess.run(
        [*command, *asked, *(expected if scenario == "server-stateless" else [])],
        env=tool_environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "SUCCESS" in done.stdout


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
