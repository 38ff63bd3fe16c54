"""Two services over one E2B, one of which is killed in the middle of what it does."""

from collections.abc import Generator
from contextlib import suppress
from pathlib import Path

import anyio
import pytest
import store_servers
from anyio.abc import TaskGroup
from http_service import facts, texts
from replicas import ReplicaProcess, replica
from standin import StandIn

from proofbox.server.sandbox.e2b.replica import SESSION

pytestmark = pytest.mark.slow

HANG_SECONDS = 120
SWEEP_SECONDS = 6.0
FOR_EVER = "import time\nopen('begun', 'w').close()\nprint('begun', flush=True)\ntime.sleep(1000)"


async def run(
    served: ReplicaProcess, code: str, session_id: str | None = None
) -> dict[str, object]:
    """What execute_code says."""
    given = {} if session_id is None else {"session_id": session_id}
    return facts(await served.call("execute_code", code=code, **given))


async def die_in(tasks: TaskGroup, served: ReplicaProcess, session_id: str) -> None:
    """Begin a call that never ends, whose answer will never come."""

    async def call() -> None:
        with suppress(Exception):  # the connection is lost, however that looks
            await run(served, FOR_EVER, session_id)

    tasks.start_soon(call)


# PostgreSQL runs the scripts of SQLite.
@pytest.fixture(params=["sqlite", "redis"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[str]:
    """The address of what they share."""
    with store_servers.store(request.param, tmp_path) as address:
        yield address


async def test_a_replica_that_is_killed_leaves_nothing_unsaid(
    standin: StandIn, store: str, tmp_path: Path
) -> None:
    """Its sessions go on elsewhere and are told what was lost, its job is marked, its orphans are killed within two
    periods of the sweeper.
    """
    settings = {"sweep_seconds": SWEEP_SECONDS, "e2b_create_rate": 100, "data_dir": tmp_path}
    with anyio.fail_after(HANG_SECONDS):
        async with (
            replica(standin, store, **settings) as a,
            replica(standin, store, **settings) as b,
            anyio.create_task_group() as tasks,
        ):
            idle = str((await run(a, "x = 41"))["session_id"])
            busy = str((await run(a, "y = 1"))["session_id"])
            started = await a.call(
                "validate_snippets",
                text=f"```python\n{FOR_EVER}\n```",
                timeout_seconds=120,
                wait_seconds=0,
            )
            job_id = facts(started)["job"]["job_id"]
            await die_in(tasks, a, busy)
            sessions = {one.id for one in standin.fleet.instances.values() if labelled(one.request)}
            assert len(sessions) == 2
            while len(standin) < 3 or not is_busy(standin):
                await anyio.sleep(0.01)
            assert (
                facts(await b.call("get_job", job_id=job_id, wait_seconds=0))["state"] == "running"
            )

            a.kill()
            with anyio.fail_after(2 * SWEEP_SECONDS):
                while set(standin.fleet.instances) - sessions:
                    await anyio.sleep(0.01)

            # Both are still there: they were found by what they are marked with.
            assert set(standin.fleet.instances) == sessions
            gone_on = await run(b, "x + 1", idle)
            assert (gone_on["session"], gone_on["value"]) == ("continued", "42")
            assert "has ended; variables and files are as they were" in str(
                gone_on["session_reason"]
            )
            broken = await run(b, "y", busy)
            assert (broken["session"], broken["value"]) == ("continued", "1")
            assert "ended in the middle of it" in str(broken["session_reason"])
            job = await b.call("get_job", job_id=job_id, wait_seconds=60)
            assert facts(job)["state"] == "interrupted"
            assert "The replica of proofbox that ran it has ended" in texts(job)
            assert "session_reason" not in await run(b, "x", idle)
    assert len(standin) == 0


def is_busy(standin: StandIn) -> bool:
    """Whether a cell runs in any of them."""
    instances = tuple(standin.fleet.instances.values())
    return any(each.busy for one in instances for each in one.interpreter.contexts.values())


def labelled(request: dict[str, dict[str, str]]) -> bool:
    """Whether a sandbox is a session's that others may ask for."""
    return request["metadata"].get("purpose") == "session" and SESSION in request["metadata"]
