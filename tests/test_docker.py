"""The image of the HTTP service, as far as that can be told without a daemon that builds it."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import yaml

from proofbox.server.cli import commands
from proofbox.server.http.settings import HTTP_OPTIONS
from proofbox.server.sandbox.local.obstacles import HostFacts, find_obstacle
from proofbox.server.settings import KEY_VARIABLES, OPTIONS

ROOT = Path(__file__).parents[1]
LINES = (ROOT / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
PAGE = (ROOT / "docs/docker.md").read_text()


def said(word: str) -> list[str]:
    """What follows an instruction, each time that it is there."""
    return [line.removeprefix(word).strip() for line in LINES if line.startswith(f"{word} ")]


def test_the_image_is_made_of_what_is_named_and_nothing_else() -> None:
    """The base by a tag that says what it is, and of the clone only what gets past .dockerignore."""
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    copied = [line for line in said("COPY") if not line.startswith("--from")]
    sources = {name for line in copied for name in line.split()[:-1]}

    assert said("FROM")
    for base in said("FROM"):
        assert re.fullmatch(r"python:3\.\d+-slim-[a-z]+( AS build)?", base)
    assert "*" in ignored
    assert sources == {line[1:] for line in ignored if line.startswith("!")}
    assert all((ROOT / name).exists() for name in sources)


def test_nobody_is_root_and_no_secret_is_in_it() -> None:
    """Whatever runs in it."""
    assert said("USER") == ["10001"]
    assert not said("ARG")
    for line in said("ENV"):
        assert not re.search(r"KEY|TOKEN|SECRET|PASSWORD", line)


def test_it_stops_by_the_signal_that_the_service_ends_on() -> None:
    """And keeps what must outlive it."""
    (volumes,) = map(json.loads, said("VOLUME"))

    assert said("STOPSIGNAL") == ["SIGTERM"]
    for name, folder in zip(("DATA", "CACHE"), volumes, strict=True):
        assert f"PROOFBOX_{name}_DIR={folder}" in " ".join(said("ENV"))


def test_what_it_starts_serves_nobody_without_authentication(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """All addresses of a container can be reached by others."""
    ((entry,),), (command,) = map(json.loads, said("ENTRYPOINT")), map(json.loads, said("CMD"))
    monkeypatch.setattr(sys, "argv", [entry, *command])
    with pytest.raises(SystemExit) as ended:
        commands.main()

    assert (entry, ended.value.code) == ("proofbox", 2)
    assert "PROOFBOX_ALLOWED_HOSTS" in capsys.readouterr().err


@contextmanager
def answering(status: int) -> Generator[str]:
    """A port on which `/healthz` answers so, and nothing else does."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/healthz" else 404)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            del format, args

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield str(server.server_port)
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(("status", "healthy"), [(200, True), (503, False)])
def test_the_health_check_is_what_the_service_says(status: int, healthy: bool) -> None:
    """By the command itself, on the port that the service was given."""
    (check,) = said("HEALTHCHECK")
    _, *arguments = json.loads(check.partition("CMD ")[2])
    with answering(status) as port:
        done = subprocess.run(
            [sys.executable, *arguments],
            env={**os.environ, "PROOFBOX_PORT": port},
            capture_output=True,
            check=False,
            timeout=60,
        )

    assert (done.returncode == 0) is healthy


def test_the_page_names_the_privileges_that_doctor_asks_for() -> None:
    """No more and no less."""
    hidden = HostFacts(container="docker", failure="bwrap: Can't mount proc on /newroot/proc")
    obstacle = find_obstacle(hidden)
    asked = re.findall(r"--security-opt (\S+?=\w+)", str(obstacle))
    table = re.findall(r"^\| `([a-z]+=\w+)` \|", PAGE, re.MULTILINE)

    assert len(asked) == 3
    assert table == asked
    assert re.findall(r"--security-opt (\S+)", PAGE.partition("Podman")[0]) == asked


def test_the_composition_fits_the_image() -> None:
    """Its settings exist, its volumes are those of the image, and it gives no privileges."""
    blocks = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    composed, shared = map(yaml.safe_load, blocks)
    service = composed["services"]["proofbox"]
    (volumes,) = map(json.loads, said("VOLUME"))
    known = {option.variable for option in (*OPTIONS, *HTTP_OPTIONS)} | {*KEY_VARIABLES}

    assert {*service["environment"], *shared["services"]["proofbox"]["environment"]} <= known
    assert [each.partition(":")[2] for each in service["volumes"]] == volumes
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["environment"]["PROOFBOX_TOKEN_FILE"] == "/run/secrets/" + service["secrets"][0]
    assert set(shared["services"]) - {"proofbox"} == {"store"}
    # What a store in another process is spoken to by is in the image.
    assert all("--all-extras" in line for line in said("RUN") if line.startswith("uv sync"))
