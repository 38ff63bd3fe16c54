"""Attacks on the HTTP service: by nobody, by one principal on another, by browsers, by bodies."""

import base64
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from fakes import FakeBackend
from http_service import ERAS, Era, Served, facts, post, serving, texts, token_file
from mcp import MCPError

from proofbox.server.http.service import HttpService
from proofbox.server.http.settings import HttpSettings
from proofbox.server.http.tokens import line_of, new_token
from proofbox.server.jobs import Progress, Report
from proofbox.server.values import SettingsError

NO_SESSION = "There is no such session"
NO_JOB = "There is no such job"


@dataclass(frozen=True)
class Team:
    """A service that knows two principals by their tokens."""

    served: Served
    alice: str
    bob: str


@asynccontextmanager
async def team(backend: FakeBackend, folder: Path) -> AsyncGenerator[Team]:
    """Serve it."""
    path, (alice, bob) = token_file(folder, "alice", "bob")
    with anyio.fail_after(60):
        async with serving(backend, HttpSettings(port=0, token_file=path)) as served:
            yield Team(served, alice, bob)


def called(method: str, params: dict[str, object] | None = None) -> str:
    """A request of the older era, as text."""
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params or {}})


async def test_nobody_comes_in_without_a_token_that_holds(
    backend: FakeBackend, tmp_path: Path
) -> None:
    """Missing, wrong, expired, for metrics only, in the wrong place or form: all read alike."""
    expired, metrics = new_token(), new_token()
    async with team(backend, tmp_path) as here:
        with (tmp_path / "tokens").open("a") as file:
            file.write(line_of(expired, "carol", expires="2020-01-01") + "\n")
            file.write(line_of(metrics, "prometheus", metrics=True) + "\n")
        encoded = base64.b64encode(f"alice:{here.alice}".encode()).decode()
        attempts = [
            {},
            {"Authorization": "Bearer"},
            {"Authorization": f"Bearer {new_token()}"},
            {"Authorization": f"Bearer {expired}"},
            {"Authorization": f"Bearer {metrics}"},
            {"Authorization": f"Bearer {here.alice[:-1]}"},
            {"Authorization": here.alice},
            {"Authorization": f"Basic {encoded}"},
            {"X-Authorization": f"Bearer {here.alice}"},
            {"Cookie": f"token={here.alice}"},
        ]
        answers = [
            await post(here.served, called("initialize"), headers=headers) for headers in attempts
        ]
        async with httpx2.AsyncClient() as http:
            by_address = await http.post(f"{here.served.url}?access_token={here.alice}", json={})
        right = await post(here.served, called("tools/list"), token=here.alice)

    assert [answer.status_code for answer in (*answers, by_address)] == [401] * 11
    assert {answer.text for answer in (*answers, by_address)} == {answers[0].text}
    assert answers[0].headers["www-authenticate"].startswith("Bearer ")
    assert right.status_code != 401
    assert backend.created == []


@pytest.mark.parametrize("era", ERAS)
async def test_nobody_reaches_anothers_session(
    backend: FakeBackend, tmp_path: Path, era: Era
) -> None:
    """Not its variables, files, plots, nor its end; what is another's and what never was read alike."""
    async with (
        team(backend, tmp_path) as here,
        here.served.client(here.alice, era) as alice,
        here.served.client(here.bob, era) as bob,
    ):
        made = await alice.call_tool("execute_code", {"code": "secret = 'of alice'\nprint(1)"})
        handle = facts(made)["session_id"]
        attempts: list[tuple[str, dict[str, object]]] = [
            ("execute_code", {"code": "print(secret)", "session_id": handle}),
            ("execute_code", {"code": "", "files": {"a": "b"}, "session_id": handle}),
            ("read_artifact", {"session_id": handle, "name": "stdout-1.txt"}),
            ("close_session", {"session_id": handle}),
        ]
        refused = [await bob.call_tool(name, arguments) for name, arguments in attempts]
        unknown = [
            await bob.call_tool(name, {**arguments, "session_id": "x" * 32})
            for name, arguments in attempts
        ]
        with pytest.raises(MCPError) as not_hers:
            await bob.read_resource(f"sandbox://{handle}/files/a")
        with pytest.raises(MCPError) as never_was:
            await bob.read_resource(f"sandbox://{'x' * 32}/files/a")
        again = await alice.call_tool("execute_code", {"code": "secret", "session_id": handle})

    assert all(NO_SESSION in texts(result) for result in refused)
    assert [texts(result) for result in refused] == [texts(result) for result in unknown]
    assert not_hers.value.error.message == never_was.value.error.message
    assert facts(again)["value"] == "'of alice'"
    assert facts(again)["session"] == "continued"


@pytest.mark.parametrize("era", ERAS)
async def test_nobody_reaches_anothers_job(backend: FakeBackend, tmp_path: Path, era: Era) -> None:
    """Neither its report, running or finished, nor its end."""
    asked = anyio.Event()

    async def wait(progress: Progress) -> Report:
        await asked.wait()
        return {"verdict": "passed", "secret": "of alice"}

    async with (
        team(backend, tmp_path) as here,
        here.served.client(here.alice, era) as alice,
        here.served.client(here.bob, era) as bob,
    ):
        assert here.served.service.running is not None
        job_id = await here.served.service.running.jobs.start("alice:", "test", wait)
        running = await bob.call_tool("get_job", {"job_id": job_id, "wait_seconds": 0})
        cancelled = await bob.call_tool("get_job", {"job_id": job_id, "cancel": True})
        asked.set()
        own = await alice.call_tool("get_job", {"job_id": job_id})
        finished = await bob.call_tool("get_job", {"job_id": job_id})
        unknown = await bob.call_tool("get_job", {"job_id": "x" * 32})

    assert facts(own)["report"]["secret"] == "of alice"
    assert NO_JOB in texts(unknown)
    assert {texts(one) for one in (running, cancelled, finished)} == {texts(unknown)}


async def test_a_connection_of_the_older_era_belongs_to_its_principal(
    backend: FakeBackend, tmp_path: Path
) -> None:
    """Its id in a header, with another's token or none, opens nothing."""
    hello: dict[str, object] = {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    }
    async with team(backend, tmp_path) as here:
        opened = await post(here.served, called("initialize", hello), token=here.alice)
        headers = {"Mcp-Session-Id": opened.headers["mcp-session-id"]}
        asked = called("tools/list")
        own = await post(here.served, asked, token=here.alice, headers=headers)
        others = await post(here.served, asked, token=here.bob, headers=headers)
        nobodys = await post(here.served, asked, headers=headers)

    assert own.status_code == 200
    assert others.status_code == 404
    assert nobodys.status_code == 401


async def test_a_token_that_is_taken_away_opens_nothing_any_more(
    backend: FakeBackend, tmp_path: Path
) -> None:
    """At once, on a connection that is open too; a file that is gone lets nobody in."""
    async with team(backend, tmp_path) as here:
        path = tmp_path / "tokens"
        lines = path.read_text().splitlines()
        statuses: list[int] = []
        for content in ("\n".join(lines), lines[0], None, "\n".join(lines)):
            path.unlink() if content is None else path.write_text(content)
            for token in (here.alice, here.bob):
                answer = await post(here.served, called("ping"), token=token)
                statuses.append(answer.status_code)

    refused = [status == 401 for status in statuses]
    assert refused == [False, False, False, True, True, True, False, False]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 421),
        ({"Host": "127.0.0.1.evil.example"}, 421),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://localhost.evil.example"}, 403),
    ],
)
async def test_a_browser_that_was_tricked_is_turned_away(
    backend: FakeBackend, headers: dict[str, str], status: int
) -> None:
    """By the name it uses and the page it comes from, on every route that there may be."""
    async with serving(backend) as served, httpx2.AsyncClient() as http:
        answer = await post(served, called("tools/list"), headers=headers)
        elsewhere = await http.get(f"{served.base}/", headers=headers)

    assert (answer.status_code, elsewhere.status_code) == (status, status)


async def announced(here: Team, size: int) -> bytes:
    """The first that is heard of a request whose body has not come yet."""
    port = int(here.served.base.rpartition(":")[2])
    head = f"POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: {size}\r\n"
    async with await anyio.connect_tcp("127.0.0.1", port) as stream:
        await stream.send(f"{head}Authorization: Bearer {here.alice}\r\n\r\n".encode())
        return await stream.receive()


async def test_bodies_that_are_too_much_are_refused(backend: FakeBackend, tmp_path: Path) -> None:
    """Too large, too deep, not JSON, not UTF-8; and the service goes on."""
    deep = {"code": "1", "env": "DEEP"}
    attack = called("tools/call", {"name": "execute_code", "arguments": deep})
    modern = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call"}
    bodies: list[tuple[str | bytes, int]] = [
        (" " * (8 * 1024**2 + 1), 413),
        ("[" * 1_000_000, 400),
        (attack.replace('"DEEP"', '{"a":' * 500 + "1" + "}" * 500), 400),
        (attack.replace('"DEEP"', "[" * 70 + "]" * 70).encode("utf-16"), 400),
        ("", 400),
        ("{", 400),
        ("null", 400),
        ("[]", 400),
        ("[1, 2]", 400),
        ('{"jsonrpc": "2.0", "id": 1, "method": 5}', 400),
        (b"\xff\xfe{}", 400),
        ('{"jsonrpc": "2.0", "id": ' + "9" * 100_000 + ', "method": "ping"}', 400),
    ]
    async with team(backend, tmp_path) as here:
        for headers in ({}, modern):
            for body, status in bodies:
                answer = await post(here.served, body, token=here.alice, headers=headers)
                assert answer.status_code == status, (body[:40], answer.text)
                assert "Traceback" not in answer.text
        unread = await post(here.served, " " * (8 * 1024**2 + 1))
        declared = await announced(here, 10**12)
        async with httpx2.AsyncClient() as http:
            # A redirection could lead from https to http, with the token.
            slash = await http.post(f"{here.served.url}/", json={})
        async with here.served.client(here.alice) as alice:
            after = await alice.call_tool("execute_code", {"code": "1 + 1"})

    assert unread.status_code == 401  # without being read
    assert declared.startswith(b"HTTP/1.1 413 ")
    assert slash.status_code == 404
    assert facts(after)["value"] == "2"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "::ffff:127.0.0.1", "example.com"])
def test_other_machines_are_served_only_by_token_and_by_name(host: str, tmp_path: Path) -> None:
    """Either alone is not enough; nothing listens then."""
    path, _ = token_file(tmp_path, "alice")
    both = HttpSettings(host=host, token_file=path, allowed_hosts=("mcp.example.com",))
    lacking = [
        replace(both, token_file=None, allowed_hosts=()),
        replace(both, token_file=None),
        replace(both, allowed_hosts=()),
    ]

    for settings in lacking:
        with pytest.raises(SettingsError, match="everybody who can connect could run code"):
            HttpService(settings)
    HttpService(both)
    HttpService(HttpSettings(host="localhost"))


@pytest.mark.parametrize("content", [None, "", "alice hunter2", "alice sha256:12"])
def test_a_token_file_that_cannot_be_used_stops_the_start(
    tmp_path: Path, content: str | None
) -> None:
    """Rather than let nobody in, or everybody."""
    path = tmp_path / "tokens"
    if content is not None:
        path.write_text(content)

    with pytest.raises(SettingsError, match="tokens"):
        HttpService(HttpSettings(token_file=path))


async def test_what_is_built_for_one_principal_is_not_told_to_others(
    backend: FakeBackend, tmp_path: Path
) -> None:
    """The names of packages that somebody asked for are theirs; who is alone with a service reads them."""
    path, _ = token_file(tmp_path, "alice")
    line = "Building a Python 3.12 environment: secret-package"
    said: list[str] = []
    for http in (HttpSettings(port=0, token_file=path), HttpSettings(port=0)):
        async with serving(backend, http) as served:
            app: Any = served.service.running
            app.news.post(line)
            said.append(app.news.line)

    assert said == ["A Python environment is being made", line]
