"""The E2B backend against what goes wrong with E2B: every fault is named, and none is the code's."""

import os
from collections.abc import AsyncGenerator

import anyio
import httpx
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
from proofbox.server.sandbox.e2b import E2BBackend, E2BSandbox
from proofbox.server.sandbox.e2b.replica import Replica

REQUEST = SandboxRequest(owner="somebody", labels={"purpose": "test"})


@pytest.fixture
async def backend(standin: StandIn) -> AsyncGenerator[E2BBackend]:
    """A backend that may make sandboxes as fast as it likes."""
    backend = E2BBackend(api_key=API_KEY, create_rate=100)
    yield backend
    await backend.close()


@pytest.fixture
async def sandbox(backend: E2BBackend) -> E2BSandbox:
    """A sandbox that works."""
    return await backend.create(REQUEST)


async def assert_no_sandbox(standin: StandIn) -> None:
    """Whatever was made is killed, at once or a moment later."""
    with anyio.fail_after(20):
        while len(standin):
            await anyio.sleep(0.01)


# Creating


async def test_a_full_team_is_busy_and_says_when_to_come_back(
    standin: StandIn, backend: E2BBackend
) -> None:
    """A 429 is not an error of the key or of the code."""
    standin.faults.inject("create_429", times=4)

    with pytest.raises(SandboxBusy, match="in use") as caught:
        await backend.create(REQUEST)

    assert caught.value.retry_after == 30
    assert standin.faults.pending == []
    assert standin.fleet.created == 0 or len(standin) == 0


@pytest.mark.slow
async def test_a_team_that_is_full_for_a_moment_is_waited_for(
    standin: StandIn, backend: E2BBackend
) -> None:
    """`Retry-After` is obeyed."""
    standin.faults.inject("create_429", retry_after=1)

    sandbox = await backend.create(REQUEST)

    assert (await sandbox.run_code("1")).outcome == "completed"
    await sandbox.close()


@pytest.mark.parametrize("fault", ["create_503_but_created", "create_504_but_created"])
async def test_a_repeated_request_makes_one_sandbox(
    standin: StandIn, backend: E2BBackend, fault: str
) -> None:
    """The idempotency key makes the SDK's own repetition harmless."""
    standin.faults.inject(fault, times=2)

    sandbox = await backend.create(REQUEST)

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
    backend: E2BBackend,
    fault: str,
    times: int,
    error: type[SandboxError],
    words: str,
) -> None:
    """Also where the sandbox had been made behind the error."""
    standin.faults.inject(fault, times=times)

    with pytest.raises(error, match=words):
        await backend.create(REQUEST)

    await assert_no_sandbox(standin)
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


async def test_a_cancelled_create_leaves_no_sandbox(standin: StandIn, backend: E2BBackend) -> None:
    """The request goes on, and what it brings is killed; its place is free again."""
    standin.faults.inject("create_slow", seconds=0.5)

    async with anyio.create_task_group() as group:
        group.start_soon(backend.create, REQUEST)
        with anyio.fail_after(20):
            while not len(standin):
                await anyio.sleep(0.01)
        group.cancel_scope.cancel()

    await assert_no_sandbox(standin)


async def test_closing_the_backend_waits_for_sandboxes_that_are_being_made(
    standin: StandIn, backend: E2BBackend
) -> None:
    """Nothing is made behind a backend that has closed."""
    standin.faults.inject("create_slow", seconds=0.5)

    async with anyio.create_task_group() as group:
        group.start_soon(backend.create, REQUEST)
        with anyio.fail_after(20):
            while not len(standin):
                await anyio.sleep(0.01)
        group.cancel_scope.cancel()
    await backend.close()

    assert len(standin) == 0
    with pytest.raises(SandboxUnavailable, match="shutting down"):
        await backend.create(REQUEST)


async def test_a_create_slower_than_its_deadline_leaves_no_sandbox(
    standin: StandIn, backend: E2BBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is made after the request was given up is killed."""
    monkeypatch.setattr("proofbox.server.sandbox.e2b.backend._CREATE_SECONDS", 0.1)
    before = standin.fleet.created

    with pytest.raises(SandboxUnavailable, match="Could not start"):
        await backend.create(REQUEST)
    with anyio.fail_after(20):
        while standin.fleet.created == before:
            await anyio.sleep(0.01)
    await backend.close()

    assert len(standin) == 0


async def test_an_interpreter_that_is_still_booting_is_waited_for(
    standin: StandIn, backend: E2BBackend
) -> None:
    """Right after a start the interpreter's port may be closed."""
    standin.faults.inject("port_not_open", times=2, on="/contexts")

    sandbox = await backend.create(REQUEST)

    assert standin.faults.pending == []
    await sandbox.close()


async def test_a_template_without_interpreter_is_rejected(
    standin: StandIn, backend: E2BBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A port that never opens is a template that a person must change."""
    monkeypatch.setattr("proofbox.server.sandbox.e2b.backend._BOOT_SECONDS", 0.5)
    standin.faults.inject("port_not_open", times=100, on="/contexts")

    with pytest.raises(SandboxRejected, match="template"):
        await backend.create(REQUEST)

    await assert_no_sandbox(standin)


async def test_what_is_asked_of_e2b(standin: StandIn, backend: E2BBackend) -> None:
    """No public traffic, no internet, a short life, and metadata that names no owner."""
    sandbox = await backend.create(REQUEST)

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
    standin: StandIn, backend: E2BBackend
) -> None:
    """The index is reachable for the install alone."""
    sandbox = await backend.create(SandboxRequest(owner="o", packages=("tinyfact>=1",)))

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
    standin: StandIn, backend: E2BBackend, package: str
) -> None:
    """InvalidInput says which; nothing is left."""
    with pytest.raises(InvalidInput, match=package.split()[0].partition("==")[0]):
        await backend.create(SandboxRequest(owner="o", packages=(package,)))

    await assert_no_sandbox(standin)


async def test_an_index_out_of_reach_is_not_the_packages_fault(standin: StandIn) -> None:
    """A failed look-up of a name is the network's failure."""
    backend = E2BBackend(api_key=API_KEY, package_hosts=("mirror.test",))

    with pytest.raises(SandboxUnavailable, match="index"):
        await backend.create(SandboxRequest(owner="o", packages=("tinyfact",)))

    await assert_no_sandbox(standin)
    await backend.close()


# Running


@pytest.mark.parametrize(
    ("fault", "may_have_started"),
    [
        ("execute_drop", True),
        ("execute_lost", True),
        ("execute_websocket", True),
        ("execute_aborted", False),
        ("execute_garbled", True),
        ("execute_blank", True),
    ],
)
async def test_a_lost_cell_is_unavailable_and_the_next_call_works(
    standin: StandIn, sandbox: E2BSandbox, fault: str, may_have_started: bool
) -> None:
    """Never a result that looks like the code's; the sandbox, which lives, goes on."""
    await sandbox.run_code("kept = 1")
    standin.faults.inject(fault)

    with anyio.fail_after(30):
        with pytest.raises(SandboxUnavailable) as caught:
            await sandbox.run_code("kept += 1")
        after = await sandbox.run_code("kept >= 1")

    assert caught.value.may_have_started is may_have_started
    assert after.results[0].text == "True"
    await sandbox.close()


async def test_a_sandbox_that_dies_under_a_cell_is_unavailable(
    standin: StandIn, sandbox: E2BSandbox
) -> None:
    """The cell may have run; nothing works after it, and closing is quiet."""
    standin.faults.inject("execute_drop_dead")

    with anyio.fail_after(30):
        with pytest.raises(SandboxUnavailable) as caught:
            await sandbox.run_code("1")
        with pytest.raises(SandboxUnavailable, match="gone|does not answer") as later:
            await sandbox.run_code("1")

    assert caught.value.may_have_started
    assert not later.value.may_have_started
    await sandbox.close()


@pytest.mark.parametrize("paused", [False, True])
async def test_a_sandbox_that_expired_or_is_paused_is_unavailable(
    standin: StandIn, sandbox: E2BSandbox, paused: bool
) -> None:
    """Every kind of call says so, and that nothing was started."""
    standin.pause(sandbox.id) if paused else standin.kill(sandbox.id)

    with anyio.fail_after(60):
        for call in (
            sandbox.run_code("1"),
            sandbox.run_command("true"),
            sandbox.write_files({"a": b""}),
            sandbox.read_file("a"),
            sandbox.list_files(),
        ):
            with pytest.raises(SandboxUnavailable) as caught:
                await call
            assert not caught.value.may_have_started
    await sandbox.close()


async def test_one_lost_request_is_unavailable_and_not_slow_code(
    standin: StandIn, sandbox: E2BSandbox
) -> None:
    """The SDK calls it a timeout; it is a dead sandbox or a closed port."""
    with anyio.fail_after(60):
        for fault in ("not_found", "port_not_open"):
            standin.faults.inject(fault, on="/execute")
            with pytest.raises(SandboxUnavailable):
                await sandbox.run_code("1")
            standin.faults.inject(fault, on="/process.Process")
            with pytest.raises(SandboxUnavailable):
                await sandbox.run_command("true")
    assert (await sandbox.run_code("1")).outcome == "completed"
    await sandbox.close()


@pytest.mark.slow
async def test_a_silent_cell_ends_at_our_deadline(standin: StandIn, sandbox: E2BSandbox) -> None:
    """Neither silence nor keepalives put the deadline off."""
    standin.faults.inject("execute_silent")

    with anyio.fail_after(30):
        execution = await sandbox.run_code("1", timeout=1)
        after = await sandbox.run_code("2")

    assert execution.outcome == "timed_out"
    assert after.results[0].text == "2"
    await sandbox.close()


@pytest.mark.slow
async def test_an_interrupt_that_never_comes_costs_the_state_and_says_so(
    standin: StandIn, sandbox: E2BSandbox
) -> None:
    """Where the server does not notice that we left, the interpreter is restarted."""
    standin.faults.inject("interrupt_ignored", times=10)

    with anyio.fail_after(60):
        execution = await sandbox.run_code("while True: pass", timeout=1)
        after = await sandbox.run_code("1")

    assert (execution.outcome, execution.state_lost) == ("timed_out", True)
    assert "Variables are gone" in execution.reason
    assert (after.outcome, after.state_lost) == ("completed", False)
    standin.faults.clear()
    await sandbox.close()


@pytest.mark.slow
async def test_a_restart_after_a_cancelled_call_is_reported_by_the_next(
    standin: StandIn, sandbox: E2BSandbox
) -> None:
    """Nobody reads the result of a cancelled call, so the loss is told later."""
    standin.faults.inject("interrupt_ignored", times=10)
    started = anyio.Event()

    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:

            async def work() -> None:
                await sandbox.run_code(
                    "print(1, flush=True)\nwhile True: pass",
                    on_output=lambda stream, text: started.set(),
                )

            group.start_soon(work)
            await started.wait()
            group.cancel_scope.cancel()
        after = await sandbox.run_code("1")

    assert (after.outcome, after.state_lost) == ("completed", True)
    standin.faults.clear()
    await sandbox.close()


async def test_a_command_whose_stream_breaks_is_unavailable_and_killed(
    standin: StandIn, sandbox: E2BSandbox
) -> None:
    """envd lets a command go on whose stream was lost; we do not."""
    standin.faults.inject("start_drop")

    with anyio.fail_after(30), pytest.raises(SandboxUnavailable) as caught:
        await sandbox.run_command("sleep 7400")

    assert caught.value.may_have_started
    listing = await sandbox.run_command("pgrep -f 'sleep 740[0]' | wc -l")
    assert listing.stdout.text == "0\n"
    await sandbox.close()


async def test_a_missing_directory_for_a_command_is_the_callers_mistake(
    sandbox: E2BSandbox,
) -> None:
    """E2B refuses it before anything is started."""
    with pytest.raises(InvalidInput, match="nowhere"):
        await sandbox.run_command("true", cwd="nowhere")
    await sandbox.close()


async def test_an_error_of_the_listener_is_its_own_and_the_next_call_works(
    sandbox: E2BSandbox,
) -> None:
    """`on_output` may fail; the code is stopped and the error passes."""

    def listen(stream: str, text: str) -> None:
        raise LookupError("the listener's own")

    with anyio.fail_after(30):
        with pytest.raises(LookupError, match="own"):
            await sandbox.run_code("print(1)\nimport time\ntime.sleep(100)", on_output=listen)
        after = await sandbox.run_code("2")

    assert after.results[0].text == "2"
    await sandbox.close()


async def test_a_language_without_kernel_is_unavailable_with_its_name(sandbox: E2BSandbox) -> None:
    """A custom template may lack one of E2B's languages."""
    with pytest.raises(SandboxUnavailable, match="interpreter for java") as caught:
        await sandbox.run_code("1", language="java")

    assert not caught.value.may_have_started
    assert (await sandbox.run_code("1")).outcome == "completed"
    await sandbox.close()


@pytest.mark.slow
async def test_a_line_without_end_is_stopped_below_the_sdk(sandbox: E2BSandbox) -> None:
    """A result of hundreds of megabytes ends the call with `output_limit`."""
    with anyio.fail_after(60):
        execution = await sandbox.run_code(
            "from IPython.display import display\n"
            "display({'text/plain': 'x' * 200_000_000}, raw=True)",
            timeout=50,
        )
        after = await sandbox.run_code("1")

    assert execution.outcome == "output_limit"
    assert after.outcome == "completed"
    await sandbox.close()


# Living and dying


async def test_the_time_to_live_is_put_off(standin: StandIn, sandbox: E2BSandbox) -> None:
    """By `keep_alive`, and before a call that would outlast it."""
    (instance,) = standin.fleet.instances.values()
    before = instance.ends_at

    await sandbox.keep_alive(1000)
    kept = instance.ends_at
    await sandbox.run_code("1", timeout=2000)

    assert before + 500 < kept < before + 1100
    assert instance.ends_at > kept + 900
    await sandbox.close()


@pytest.mark.parametrize(
    ("fault", "words"), [("timeout_400", "maximum age"), ("timeout_404", "gone")]
)
async def test_a_sandbox_that_cannot_live_on_is_unavailable(
    standin: StandIn, sandbox: E2BSandbox, fault: str, words: str
) -> None:
    """At the end of the plan's maximum, and when it is gone."""
    standin.faults.inject(fault)

    with pytest.raises(SandboxUnavailable, match=words):
        await sandbox.keep_alive(60)
    await sandbox.close()


@pytest.mark.slow
async def test_a_sandbox_whose_process_crashed_dies_of_its_time_to_live(standin: StandIn) -> None:
    """No heartbeat, no sandbox."""
    backend = E2BBackend(api_key=API_KEY, ttl_seconds=1)
    await backend.create(REQUEST)

    await assert_no_sandbox(standin)
    await backend.close()


async def test_a_kill_that_fails_once_does_not_raise(standin: StandIn, sandbox: E2BSandbox) -> None:
    """Closing never raises; what is left dies of its time to live, or of the sweeper."""
    standin.faults.inject("kill_500")

    await sandbox.close()

    assert len(standin) == 1
    standin.kill(sandbox.id)


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


async def test_a_sweep_that_fails_says_so(standin: StandIn, backend: E2BBackend) -> None:
    """The caller tries again later."""
    standin.faults.inject("list_500")

    with pytest.raises(SandboxUnavailable, match="list the E2B sandboxes"):
        await backend.sweep()
