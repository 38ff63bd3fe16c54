"""How E2B sandboxes live on and end, and who sweeps up."""

import os

import anyio
import httpx
import pytest
from standin import API_KEY, StandIn

from proofbox.server.sandbox import (
    SandboxRequest,
    SandboxUnavailable,
)
from proofbox.server.sandbox.e2b import E2BBackend, E2BSandbox
from proofbox.server.sandbox.e2b.replica import Replica

# The stand-in starts a real ipykernel for each sandbox.
pytestmark = pytest.mark.slow

REQUEST = SandboxRequest(owner="somebody", labels={"purpose": "test"})


async def test_the_time_to_live_is_put_off(standin: StandIn, e2b_sandbox: E2BSandbox) -> None:
    """By `keep_alive`, and before a call that would outlast it."""
    (instance,) = standin.fleet.instances.values()
    before = instance.ends_at

    await e2b_sandbox.keep_alive(1000)
    kept = instance.ends_at
    await e2b_sandbox.run_code("1", timeout=2000)

    assert before + 500 < kept < before + 1100
    assert instance.ends_at > kept + 900
    await e2b_sandbox.close()


@pytest.mark.parametrize(
    ("fault", "words"), [("timeout_400", "maximum age"), ("timeout_404", "gone")]
)
async def test_a_sandbox_that_cannot_live_on_is_unavailable(
    standin: StandIn, e2b_sandbox: E2BSandbox, fault: str, words: str
) -> None:
    """At the end of the plan's maximum, and when it is gone."""
    standin.faults.inject(fault)

    with pytest.raises(SandboxUnavailable, match=words):
        await e2b_sandbox.keep_alive(60)
    await e2b_sandbox.close()


@pytest.mark.slow
async def test_a_sandbox_whose_process_crashed_dies_of_its_time_to_live(standin: StandIn) -> None:
    """No heartbeat, no sandbox."""
    backend = E2BBackend(api_key=API_KEY, ttl_seconds=1)
    await backend.create(REQUEST)

    with anyio.fail_after(20):
        await standin.emptied()
    await backend.close()


async def test_a_kill_that_fails_once_does_not_raise(
    standin: StandIn, e2b_sandbox: E2BSandbox
) -> None:
    """Closing never raises; what is left dies of its time to live, or of the sweeper."""
    standin.faults.inject("kill_500")

    await e2b_sandbox.close()

    assert len(standin) == 1
    standin.kill(e2b_sandbox.id)


# Sweeping


def dead_process() -> int:
    """The number of a process that has just ended."""
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    return child


async def make(standin: StandIn, metadata: dict[str, str], *, paused: bool = False) -> str:
    """A sandbox that somebody made with this metadata."""
    async with httpx.AsyncClient(base_url=standin.environment["E2B_API_URL"]) as client:
        answer = await client.post(
            "/v2/sandboxes",
            json={"templateID": "t", "metadata": metadata},
            headers={"X-API-KEY": API_KEY},
            timeout=30,
        )
    sandbox_id: str = answer.json()["sandboxID"]
    if paused:
        standin.pause(sandbox_id)
    return sandbox_id


@pytest.mark.slow
async def test_the_sweeper_kills_orphans_and_touches_nothing_else(standin: StandIn) -> None:
    """Over several pages, running and paused; never a living process's, another machine's, or those
    of other programs.
    """
    standin.control.page = 2
    backend = E2BBackend(api_key=API_KEY, create_rate=100, replica=Replica("machine"))
    own = await backend.create(REQUEST)
    dead = f"machine.{dead_process()}.aaaa"
    orphans = [
        await make(standin, {"app": "proofbox", "replica": dead}),
        await make(standin, {"app": "proofbox", "replica": dead}, paused=True),
        await make(standin, {"app": "proofbox", "replica": f"machine.{os.getpid()}.bbbb"}),
        await make(standin, {**own_metadata(standin, own), "create": "forgotten"}),
    ]
    foreign = [
        own.id,
        await make(standin, {"app": "proofbox", "replica": f"machine.{os.getppid()}.cccc"}),
        await make(standin, {"app": "proofbox", "replica": dead.replace("machine", "other")}),
        await make(standin, {"app": "proofbox"}),
        await make(standin, {"app": "else", "replica": dead}),
        await make(standin, {}),
    ]

    killed = await backend.sweep()
    again = await backend.sweep()

    assert (killed, again) == (len(orphans), 0)
    assert set(standin.fleet.instances) == set(foreign)
    standin.control.page = 100
    await backend.close()
    standin.reset()


def own_metadata(standin: StandIn, sandbox: E2BSandbox) -> dict[str, str]:
    """The metadata of a sandbox."""
    return standin.fleet.instances[sandbox.id].request["metadata"]


async def test_a_sweep_that_fails_says_so(standin: StandIn, e2b: E2BBackend) -> None:
    """The caller tries again later."""
    standin.faults.inject("list_500")

    with pytest.raises(SandboxUnavailable, match="list the E2B sandboxes"):
        await e2b.sweep()
