"""Making E2B sandboxes: every failure is named, and none leaves a sandbox."""

import anyio
import pytest
from standin import API_KEY, StandIn

from proofbox.server.sandbox import (
    InvalidInput,
    SandboxBusy,
    SandboxError,
    SandboxRejected,
    SandboxRequest,
    SandboxUnavailable,
)
from proofbox.server.sandbox.e2b import E2BBackend

# The stand-in starts a real ipykernel for each sandbox.
pytestmark = pytest.mark.slow

REQUEST = SandboxRequest(owner="somebody", labels={"purpose": "test"})


async def test_a_full_team_is_busy_and_says_when_to_come_back(
    standin: StandIn, e2b: E2BBackend
) -> None:
    """A 429 is not an error of the key or of the code."""
    standin.faults.inject("create_429", times=4)

    with pytest.raises(SandboxBusy, match="in use") as caught:
        await e2b.create(REQUEST)

    assert caught.value.retry_after == 30
    assert standin.faults.pending == []
    assert standin.fleet.created == 0 or len(standin) == 0


@pytest.mark.slow
async def test_a_team_that_is_full_for_a_moment_is_waited_for(
    standin: StandIn, e2b: E2BBackend
) -> None:
    """`Retry-After` is obeyed."""
    standin.faults.inject("create_429", retry_after=1)

    sandbox = await e2b.create(REQUEST)

    assert (await sandbox.run_code("1")).outcome == "completed"
    await sandbox.close()


@pytest.mark.parametrize("fault", ["create_503_but_created", "create_504_but_created"])
async def test_a_repeated_request_makes_one_sandbox(
    standin: StandIn, e2b: E2BBackend, fault: str
) -> None:
    """The idempotency key makes the SDK's own repetition harmless."""
    standin.faults.inject(fault, times=2)

    sandbox = await e2b.create(REQUEST)

    assert len(standin) == 1
    await sandbox.close()


@pytest.mark.parametrize(
    ("fault", "times", "error", "words"),
    [
        ("create_503_but_created", 4, SandboxBusy, "no room"),
        ("create_500", 1, SandboxUnavailable, "Could not start"),
        ("create_400", 1, SandboxRejected, "template"),
        ("create_401", 1, SandboxRejected, "E2B_API_KEY"),
    ],
)
async def test_a_failed_create_says_whose_failure_it_is_and_leaves_nothing(
    standin: StandIn,
    e2b: E2BBackend,
    fault: str,
    times: int,
    error: type[SandboxError],
    words: str,
) -> None:
    """Also where the sandbox had been made behind the error."""
    standin.faults.inject(fault, times=times)

    with pytest.raises(error, match=words):
        await e2b.create(REQUEST)

    with anyio.fail_after(20):
        await standin.emptied()
    assert standin.faults.pending == []


async def test_a_wrong_key_is_rejected_with_advice(standin: StandIn) -> None:
    """The message names the variable to set and the way around."""
    backend = E2BBackend(api_key="e2b_wrong")

    with pytest.raises(SandboxRejected, match=r"E2B_API_KEY.*PROOFBOX_BACKEND=local"):
        await backend.create(REQUEST)
    await backend.close()


async def test_no_server_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    """A refused connection is about the network."""
    monkeypatch.setenv("E2B_API_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("E2B_CONNECTION_RETRIES", "0")
    backend = E2BBackend(api_key=API_KEY)

    with pytest.raises(SandboxUnavailable, match="network") as caught:
        await backend.create(REQUEST)

    assert not caught.value.may_have_started


async def test_a_cancelled_create_leaves_no_sandbox(standin: StandIn, e2b: E2BBackend) -> None:
    """The request goes on, and what it brings is killed; its place is free again."""
    standin.faults.inject("create_slow", seconds=0.5)

    async with anyio.create_task_group() as group:
        group.start_soon(e2b.create, REQUEST)
        with anyio.fail_after(20):
            while not len(standin):
                await anyio.sleep(0.01)
        group.cancel_scope.cancel()

    with anyio.fail_after(20):
        await standin.emptied()


async def test_closing_the_backend_waits_for_sandboxes_that_are_being_made(
    standin: StandIn, e2b: E2BBackend
) -> None:
    """Nothing is made behind a backend that has closed."""
    standin.faults.inject("create_slow", seconds=0.5)

    async with anyio.create_task_group() as group:
        group.start_soon(e2b.create, REQUEST)
        with anyio.fail_after(20):
            while not len(standin):
                await anyio.sleep(0.01)
        group.cancel_scope.cancel()
    await e2b.close()

    assert len(standin) == 0
    with pytest.raises(SandboxUnavailable, match="shutting down"):
        await e2b.create(REQUEST)


async def test_a_create_slower_than_its_deadline_leaves_no_sandbox(
    standin: StandIn, e2b: E2BBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is made after the request was given up is killed."""
    monkeypatch.setattr("proofbox.server.sandbox.e2b.backend._CREATE_SECONDS", 0.1)
    before = standin.fleet.created

    with pytest.raises(SandboxUnavailable, match="Could not start"):
        await e2b.create(REQUEST)
    with anyio.fail_after(20):
        while standin.fleet.created == before:
            await anyio.sleep(0.01)
    await e2b.close()

    assert len(standin) == 0


async def test_an_interpreter_that_is_still_booting_is_waited_for(
    standin: StandIn, e2b: E2BBackend
) -> None:
    """Right after a start the interpreter's port may be closed."""
    standin.faults.inject("port_not_open", times=2, on="/contexts")

    sandbox = await e2b.create(REQUEST)

    assert standin.faults.pending == []
    await sandbox.close()


async def test_a_template_without_interpreter_is_rejected(
    standin: StandIn, e2b: E2BBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A port that never opens is a template that a person must change."""
    monkeypatch.setattr("proofbox.server.sandbox.e2b.starting._BOOT_SECONDS", 0.5)
    standin.faults.inject("port_not_open", times=100, on="/contexts")

    with pytest.raises(SandboxRejected, match="template"):
        await e2b.create(REQUEST)

    with anyio.fail_after(20):
        await standin.emptied()


async def test_what_is_asked_of_e2b(standin: StandIn, e2b: E2BBackend) -> None:
    """No public traffic, no internet, a short life, and metadata that names no owner."""
    sandbox = await e2b.create(REQUEST)

    (instance,) = standin.fleet.instances.values()
    asked = instance.request
    assert asked["network"]["allowPublicTraffic"] is False
    assert asked["network"]["denyOut"] == ["0.0.0.0/0"]
    assert asked["timeout"] == 300
    assert not asked["autoPause"]
    assert asked["metadata"].keys() == {"app", "owner", "purpose", "replica", "create"}
    assert asked["metadata"]["app"] == "proofbox"
    assert asked["metadata"]["purpose"] == "test"
    assert "somebody" not in str(asked)
    await sandbox.close()


async def test_sandboxes_over_the_limit_wait_and_then_are_busy(standin: StandIn) -> None:
    """The limit is ours, so that E2B is not asked; a freed place is used."""
    backend = E2BBackend(api_key=API_KEY, create_rate=100, max_sandboxes=1, patience_seconds=0.05)
    first = await backend.create(REQUEST)

    with pytest.raises(SandboxBusy, match="All 1 sandboxes"):
        await backend.create(REQUEST)
    await first.close()
    second = await backend.create(REQUEST)

    assert len(standin) == 1
    await second.close()
    await backend.close()


async def test_sandboxes_are_made_no_faster_than_the_plan_allows(standin: StandIn) -> None:
    """The second waits its turn; one that would wait too long is told so."""
    now = 100.0
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    backend = E2BBackend(
        api_key=API_KEY, create_rate=1, patience_seconds=1.5, clock=lambda: now, sleep=sleep
    )
    first, second = [await backend.create(REQUEST) for _ in range(2)]

    with pytest.raises(SandboxBusy, match="started") as caught:
        await backend.create(REQUEST)

    assert slept == [1.0]
    assert caught.value.retry_after == 2.0
    for sandbox in (first, second):
        await sandbox.close()


# Packages


async def test_packages_are_installed_and_the_network_closed_again(
    standin: StandIn, e2b: E2BBackend
) -> None:
    """The index is reachable for the install alone."""
    sandbox = await e2b.create(SandboxRequest(owner="o", packages=("tinyfact>=1",)))

    (instance,) = standin.fleet.instances.values()
    execution = await sandbox.run_code("import tinyfact; tinyfact.factorial(5)")
    assert execution.results[0].text == "120"
    opened, closed = instance.networks
    assert opened["allowOut"] == ["pypi.org", "files.pythonhosted.org"]
    assert opened["denyOut"] == closed["denyOut"] == ["0.0.0.0/0"]
    assert not closed.get("allowOut")
    await sandbox.close()


@pytest.mark.parametrize(
    "package", ["no-such-package", "tinyfact==9", "evil @ https://x.test/e.whl"]
)
async def test_packages_that_cannot_be_installed_are_the_callers_mistake(
    standin: StandIn, e2b: E2BBackend, package: str
) -> None:
    """InvalidInput says which; nothing is left."""
    with pytest.raises(InvalidInput, match=package.split()[0].partition("==")[0]):
        await e2b.create(SandboxRequest(owner="o", packages=(package,)))

    with anyio.fail_after(20):
        await standin.emptied()


async def test_an_index_out_of_reach_is_not_the_packages_fault(standin: StandIn) -> None:
    """A failed look-up of a name is the network's failure."""
    backend = E2BBackend(api_key=API_KEY, package_hosts=("mirror.test",))

    with pytest.raises(SandboxUnavailable, match="index"):
        await backend.create(SandboxRequest(owner="o", packages=("tinyfact",)))

    with anyio.fail_after(20):
        await standin.emptied()
    await backend.close()
