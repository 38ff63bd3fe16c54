"""The clients of the load test, a few of them for a few rounds: all tools at once, answers checked, some vanish or cancel."""

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest
from http_service import serving, token_file

from proofbox.server.http.settings import HttpSettings
from proofbox.server.settings import Settings

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.mark.slow
async def test_clients_that_do_everything_at_once_get_only_right_answers(
    tmp_path: Path, local_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two principals, in both eras, with a limit that they meet; and no call or job is left when they have gone."""
    path, tokens = token_file(tmp_path, "alice", "bob")
    http = HttpSettings(port=0, token_file=path, principal_calls=3)
    monkeypatch.setattr(sys, "path", [str(BENCHMARKS), *sys.path])
    root = importlib.import_module("http_load").make_root(tmp_path)
    settings = Settings(
        backend="local", cache_dir=local_cache, data_dir=tmp_path / "data", roots=(root,)
    )
    with anyio.fail_after(200):
        async with serving(None, http, settings) as served:
            told = {"url": served.url, "tokens": tokens, "clients": list(range(8)), "seconds": 60}
            told |= {"rounds": 2, "pause": 0.01, "review": False, "touch": False}
            done = await anyio.run_process(
                [sys.executable, str(BENCHMARKS / "http_load_clients.py")],
                input=json.dumps(told).encode(),
                check=False,
            )
            running = served.service.running
            assert running is not None
            while running.jobs.running or any(map(running.quotas.running, ("alice:", "bob:"))):
                await anyio.sleep(0.1)

    seen: dict[str, Any] = json.loads(done.stdout or b"{}")
    assert done.returncode == 0, done.stderr.decode()
    assert seen["wrong"] == [], done.stderr.decode()
    assert sum(map(len, seen["times"].values())) >= 8
