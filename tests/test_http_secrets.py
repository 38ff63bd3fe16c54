"""Keys and tokens of the service, searched for in everything that it writes and answers: it holds them, and no more."""

import base64
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import anyio
import httpx2
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from github_stub import GitHubStub
from jwt.algorithms import ECAlgorithm
from loopback import Loopback
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client
from model_stub import ModelStub
from pr_repos import Repo
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from proofbox.server.http.tokens import line_of, new_token

pytestmark = pytest.mark.slow

RESOURCE = "http://127.0.0.1:8000/mcp"
LOOK = """
import os, pathlib
readable = [path for path in pathlib.Path("/proc").glob("[0-9]*/environ") if os.access(path, os.R_OK)]
[path.read_bytes() for path in readable] + [dict(os.environ)]
"""
SOURCE = {"shop.py": "def one():\n    return 1\n"}


class Elsewhere(Loopback):
    """An OAuth server's keys; and an E2B that takes no key, and repeats the one that it was given."""

    def __init__(self) -> None:
        self.key = generate_private_key(SECP256R1())
        self.asked: list[str] = []
        super().__init__()

    def routes(self) -> Sequence[Route]:
        """What it answers."""
        methods = ["GET", "POST", "DELETE"]
        return [Route("/keys", self._keys), Route("/{path:path}", self._refuse, methods=methods)]

    def token(self, **claims: Any) -> str:
        """For carol."""
        usual = {"iss": self.url, "aud": RESOURCE, "sub": "carol", "exp": time.time() + 600}
        return jwt.encode(usual | claims, self.key, "ES256", {"kid": "1"})

    async def _keys(self, request: Request) -> Response:
        del request
        key = ECAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
        return JSONResponse({"keys": [{**key, "kid": "1", "alg": "ES256"}]})

    async def _refuse(self, request: Request) -> Response:
        given = request.headers.get("x-api-key", "")
        self.asked.append(given)
        return JSONResponse({"code": 401, "message": f"Invalid key {given}"}, 401)


@dataclass
class Served:
    """A service in a process of its own. `said` is what it answered; its `folder` has all that it writes."""

    url: str
    folder: Path
    said: list[str] = field(default_factory=list[str])

    @asynccontextmanager
    async def client(self, token: str, era: Literal["auto", "legacy"]) -> AsyncGenerator[Client]:
        """One with a bearer token."""
        headers = {"Authorization": f"Bearer {token}"}
        async with httpx2.AsyncClient(headers=headers, timeout=120) as http:
            transport = streamable_http_client(self.url, http_client=http)
            async with Client(transport, mode=era) as client:
                yield client

    async def ask(self, client: Client, tool: str, **arguments: Any) -> str:
        """An answer, whole."""
        self.said.append((await client.call_tool(tool, arguments)).model_dump_json())
        return self.said[-1]

    async def get(self, path: str, **headers: str) -> str:
        """What a page says."""
        async with httpx2.AsyncClient(headers=headers, timeout=60) as http:
            answer = await http.get(self.url.removesuffix("/mcp") + path)
        self.said.append(f"{answer.headers} {answer.text}")
        return answer.text


@contextmanager
def process(
    folder: Path, cache: Path, environment: dict[str, str], *flags: str
) -> Generator[Served]:
    """At its most talkative, with a home, a folder for data and one for temporary files of its own. It is killed at
    the end, so that nothing is tidied up.
    """
    (folder / "tmp").mkdir(parents=True)
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "PYTHONPATH") if name in os.environ}
    places = {
        "HOME": str(folder),
        "TMPDIR": str(folder / "tmp"),
        "SPANS_FILE": str(folder / "spans"),
    }
    command = [sys.executable, str(Path(__file__).with_name("traced_proofbox.py"))]
    paths = {"data-dir": folder / "data", "cache-dir": cache, "audit-file": folder / "audit"}
    given = [part for name, path in paths.items() for part in (f"--{name}", str(path))]
    with (folder / "stderr").open("w") as errors, (folder / "stdout").open("w+") as out:
        serving = subprocess.Popen(
            [
                *command,
                "serve",
                "--http",
                "--json",
                "--port",
                "0",
                "--log-level",
                "debug",
                *given,
                *flags,
            ],
            stdout=out,
            stderr=errors,
            env=kept | places | environment,
        )
        try:
            while not (text := (folder / "stdout").read_text()).endswith("\n"):
                assert serving.poll() is None, (folder / "stderr").read_text()
                time.sleep(0.05)
            yield Served(json.loads(text)["url"], folder)
        finally:
            serving.send_signal(signal.SIGKILL)
            serving.wait()


def written(served: Served, cache: Path, since: float) -> dict[str, bytes]:
    """Everything that it wrote, and all that it said."""
    files = [path for path in served.folder.rglob("*") if path.is_file()]
    for folder, names, _ in os.walk(cache):
        # Packages as their index has them, by the thousand.
        names[:] = [name for name in names if name not in {"environments", "supervisor"}]
        inside = (path for path in Path(folder).iterdir() if path.is_file())
        files += [path for path in inside if path.stat().st_mtime >= since - 2]
    return {str(path): path.read_bytes() for path in files} | {
        "answers": "\n".join(served.said).encode()
    }


def holders(written: dict[str, bytes], secrets: dict[str, str]) -> list[str]:
    """Where a secret is, as it is or as base64 has it wherever it begins."""
    found: list[str] = []
    for name, secret in secrets.items():
        spelled = [secret.encode()]
        spelled += [base64.b64encode(b" " * n + secret.encode())[4:-4] for n in range(3)]
        found += [
            f"{name}: {place}"
            for place, content in written.items()
            for one in spelled
            if one in content
        ]
    return found


async def test_no_key_of_the_service_is_in_anything_that_it_writes_or_answers(
    tmp_path: Path, local_cache: Path
) -> None:
    """Model keys, the token for GitHub, bearer tokens and JSON Web Tokens, right and wrong: used, refused and failing."""
    alice, metrics, wrong = new_token(), new_token(), new_token()
    tokens = tmp_path / "tokens"
    tokens.write_text(f"{line_of(alice, 'alice')}\n{line_of(metrics, 'metrics', metrics=True)}\n")
    repo = Repo(tmp_path / "app", bare=True)
    base = repo.commit({"a.py": "x = 1\n"})
    repo.commit({"a.py": "x = 2\n"}, on="feature", start=base)
    since = time.time()
    with Elsewhere() as elsewhere, ModelStub() as models, GitHubStub() as github:
        github.add("octo/app", repo.path)
        pull = github.open_pull("octo/app", head="feature")
        carol, foreign = elsewhere.token(), elsewhere.token(aud="https://other.example.com")
        secrets = {
            "ANTHROPIC_API_KEY": models.key + "-canary-4d1f07aa",
            "OPENAI_API_KEY": "wrong-canary-77b20c5e",
            "GITHUB_TOKEN": github.token,
            "E2B_API_KEY": "e2b_canary_9a11f3c2",
        }
        held = secrets | {"alice": alice, "metrics": metrics, "wrong": wrong}
        held |= {"carol": carol.split(".")[2], "foreign": foreign.split(".")[2]}
        environment = secrets | {
            "ANTHROPIC_BASE_URL": models.url,
            "OPENAI_BASE_URL": f"{models.url}/v1",
            "PROOFBOX_GITHUB_URL": github.url,
        }
        flags = ["--backend", "local", "--token-file", str(tokens), "--public-url", RESOURCE]
        flags += ["--oauth-issuer", elsewhere.url, "--oauth-keys", f"{elsewhere.url}/keys"]
        with (
            anyio.fail_after(120),
            process(tmp_path / "served", local_cache, environment, *flags) as served,
        ):
            async with served.client(alice, "auto") as client:
                looked = await served.ask(client, "execute_code", code=LOOK)
                models.behave("500")
                for model in ("anthropic:claude-haiku-5-5", "openai:tiny"):
                    await served.ask(client, "benchmark_model", models=[model], first=1)
                generated = {"generate": True, "model": "openai:tiny", "max_attempts": 1}
                await served.ask(client, "run_generated_tests", source=SOURCE, **generated)
                await served.ask(client, "check_pr", repo="octo/app", pr=pull.number)
            async with served.client(carol, "legacy") as client:
                await served.ask(client, "execute_code", code="1")
                github.behave("502", "401")
                await served.ask(client, "check_pr", repo="octo/app", pr=99)
            for token in (wrong, foreign, f"{carol}x"):
                with pytest.raises((MCPError, ExceptionGroup)):
                    async with served.client(token, "auto"):
                        pass
            for token in (metrics, alice, wrong):
                page = await served.get("/metrics", Authorization=f"Bearer {token}")
            await served.get(f"/metrics?access_token={alice}", Cookie=f"token={alice}")
            await served.get("/readyz")
            page = await served.get("/metrics", Authorization=f"Bearer {metrics}")
            found = written(served, local_cache, since)

    assert "HOME" in looked
    assert len(models.asked) >= 2
    assert any(github.token in seen.headers.get("authorization", "") for seen in github.seen)
    assert 'tool="benchmark_model"' in page
    names = {Path(name).name for name in found}
    assert {"stdout", "stderr", "audit", "spans", "jobs.sqlite3", "usage.sqlite3"} <= names
    for name in ("audit", "spans"):
        assert b"benchmark_model" in found[str(tmp_path / "served" / name)]
    assert holders(found, held) == []


async def test_the_key_for_e2b_is_in_nothing_either(tmp_path: Path, local_cache: Path) -> None:
    """Not even where E2B itself repeats it."""
    alice, key = new_token(), "e2b_" + "0c4ab17d" * 5
    tokens = tmp_path / "tokens"
    tokens.write_text(f"{line_of(alice, 'alice')}\n")
    since = time.time()
    with Elsewhere() as e2b:
        environment = {"E2B_API_KEY": key, "E2B_API_URL": e2b.url, "E2B_SANDBOX_URL": e2b.url}
        with (
            anyio.fail_after(60),
            process(
                tmp_path / "served", local_cache, environment, "--token-file", str(tokens)
            ) as served,
        ):
            async with served.client(alice, "auto") as client:
                refused = await served.ask(client, "execute_code", code="1")
            ready = await served.get("/readyz")
            found = written(served, local_cache, since)

    assert key in e2b.asked
    assert "key" in refused
    assert "no sandbox can be opened" in ready
    assert holders(found, {"E2B_API_KEY": key}) == []
