"""E2B sandboxes at work: what goes wrong with E2B is never the code's fault."""

import os

import anyio
import pytest
from standin import StandIn

from proofbox.server.sandbox import (
    InvalidInput,
    SandboxUnavailable,
)
from proofbox.server.sandbox.e2b import E2BSandbox

# The stand-in starts a real ipykernel for each sandbox.
pytestmark = pytest.mark.slow


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
    standin: StandIn, e2b_sandbox: E2BSandbox, fault: str, may_have_started: bool
) -> None:
    """Never a result that looks like the code's; the sandbox, which lives, goes on."""
    await e2b_sandbox.run_code("kept = 1")
    standin.faults.inject(fault)

    with anyio.fail_after(30):
        with pytest.raises(SandboxUnavailable) as caught:
            await e2b_sandbox.run_code("kept += 1")
        after = await e2b_sandbox.run_code("kept >= 1")

    assert caught.value.may_have_started is may_have_started
    assert after.results[0].text == "True"
    await e2b_sandbox.close()


async def test_a_sandbox_that_dies_under_a_cell_is_unavailable(
    standin: StandIn, e2b_sandbox: E2BSandbox
) -> None:
    """The cell may have run; nothing works after it, and closing is quiet."""
    standin.faults.inject("execute_drop_dead")

    with anyio.fail_after(30):
        with pytest.raises(SandboxUnavailable) as caught:
            await e2b_sandbox.run_code("1")
        with pytest.raises(SandboxUnavailable, match="gone|does not answer") as later:
            await e2b_sandbox.run_code("1")

    assert caught.value.may_have_started
    assert not later.value.may_have_started
    await e2b_sandbox.close()


@pytest.mark.parametrize("paused", [False, True])
async def test_a_sandbox_that_expired_or_is_paused_is_unavailable(
    standin: StandIn, e2b_sandbox: E2BSandbox, paused: bool
) -> None:
    """Every kind of call says so, and that nothing was started."""
    standin.pause(e2b_sandbox.id) if paused else standin.kill(e2b_sandbox.id)

    with anyio.fail_after(60):
        for call in (
            e2b_sandbox.run_code("1"),
            e2b_sandbox.run_command("true"),
            e2b_sandbox.write_files({"a": b""}),
            e2b_sandbox.read_file("a"),
            e2b_sandbox.list_files(),
        ):
            with pytest.raises(SandboxUnavailable) as caught:
                await call
            assert not caught.value.may_have_started
    await e2b_sandbox.close()


async def test_one_lost_request_is_unavailable_and_not_slow_code(
    standin: StandIn, e2b_sandbox: E2BSandbox
) -> None:
    """The SDK calls it a timeout; it is a dead sandbox or a closed port."""
    with anyio.fail_after(60):
        for fault in ("not_found", "port_not_open"):
            standin.faults.inject(fault, on="/execute")
            with pytest.raises(SandboxUnavailable):
                await e2b_sandbox.run_code("1")
            standin.faults.inject(fault, on="/process.Process")
            with pytest.raises(SandboxUnavailable):
                await e2b_sandbox.run_command("true")
    assert (await e2b_sandbox.run_code("1")).outcome == "completed"
    await e2b_sandbox.close()


@pytest.mark.slow
async def test_a_silent_cell_ends_at_our_deadline(
    standin: StandIn, e2b_sandbox: E2BSandbox
) -> None:
    """Neither silence nor keepalives put the deadline off."""
    standin.faults.inject("execute_silent")

    with anyio.fail_after(30):
        execution = await e2b_sandbox.run_code("1", timeout=1)
        after = await e2b_sandbox.run_code("2")

    assert execution.outcome == "timed_out"
    assert after.results[0].text == "2"
    await e2b_sandbox.close()


@pytest.mark.slow
async def test_an_interrupt_that_never_comes_costs_the_state_and_says_so(
    standin: StandIn, e2b_sandbox: E2BSandbox
) -> None:
    """Where the server does not notice that we left, the interpreter is restarted."""
    standin.faults.inject("interrupt_ignored", times=10)

    with anyio.fail_after(60):
        execution = await e2b_sandbox.run_code("while True: pass", timeout=1)
        after = await e2b_sandbox.run_code("1")

    assert (execution.outcome, execution.state_lost) == ("timed_out", True)
    assert "Variables are gone" in execution.reason
    assert (after.outcome, after.state_lost) == ("completed", False)
    standin.faults.clear()
    await e2b_sandbox.close()


@pytest.mark.slow
async def test_a_restart_after_a_cancelled_call_is_reported_by_the_next(
    standin: StandIn, e2b_sandbox: E2BSandbox
) -> None:
    """Nobody reads the result of a cancelled call, so the loss is told later."""
    standin.faults.inject("interrupt_ignored", times=10)
    started = anyio.Event()

    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:

            async def work() -> None:
                await e2b_sandbox.run_code(
                    "print(1, flush=True)\nwhile True: pass",
                    on_output=lambda stream, text: started.set(),
                )

            group.start_soon(work)
            await started.wait()
            group.cancel_scope.cancel()
        after = await e2b_sandbox.run_code("1")

    assert (after.outcome, after.state_lost) == ("completed", True)
    standin.faults.clear()
    await e2b_sandbox.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's machines have a count of their own")
async def test_a_kill_for_want_of_memory_is_told_from_any_other(
    standin: StandIn, e2b_sandbox: E2BSandbox
) -> None:
    """By what the machine's kernel counts; what was counted once says nothing of the next kill."""
    machine = standin.fleet.instances[e2b_sandbox.id].machine
    counted = "'oom_kill 1' in open('/proc/vmstat').read()"
    kill = "import os\nos.kill(os.getpid(), 9)"

    with anyio.fail_after(30):
        starved = await e2b_sandbox.run_code(
            f"print(1, flush=True)\nwhile not {counted}: pass\n{kill}",
            on_output=lambda stream, text: machine.count_memory_kills(1),
        )
        killed = await e2b_sandbox.run_code(f"assert {counted}\n{kill}")

    assert (starved.outcome, starved.state_lost) == ("out_of_memory", True)
    assert (killed.outcome, killed.state_lost) == ("killed", True)


async def test_a_command_whose_stream_breaks_is_unavailable_and_killed(
    standin: StandIn, e2b_sandbox: E2BSandbox
) -> None:
    """envd lets a command go on whose stream was lost; we do not."""
    standin.faults.inject("start_drop")

    with anyio.fail_after(30), pytest.raises(SandboxUnavailable) as caught:
        await e2b_sandbox.run_command("sleep 7400")

    assert caught.value.may_have_started
    listing = await e2b_sandbox.run_command("pgrep -f 'sleep 740[0]' | wc -l")
    assert listing.stdout.text == "0\n"
    await e2b_sandbox.close()


async def test_a_missing_directory_for_a_command_is_the_callers_mistake(
    e2b_sandbox: E2BSandbox,
) -> None:
    """E2B refuses it before anything is started."""
    with pytest.raises(InvalidInput, match="nowhere"):
        await e2b_sandbox.run_command("true", cwd="nowhere")
    await e2b_sandbox.close()


async def test_an_error_of_the_listener_is_its_own_and_the_next_call_works(
    e2b_sandbox: E2BSandbox,
) -> None:
    """`on_output` may fail; the code is stopped and the error passes."""

    def listen(stream: str, text: str) -> None:
        raise LookupError("the listener's own")

    with anyio.fail_after(30):
        with pytest.raises(LookupError, match="own"):
            await e2b_sandbox.run_code("print(1)\nimport time\ntime.sleep(100)", on_output=listen)
        after = await e2b_sandbox.run_code("2")

    assert after.results[0].text == "2"
    await e2b_sandbox.close()


async def test_a_language_without_kernel_is_unavailable_with_its_name(
    e2b_sandbox: E2BSandbox,
) -> None:
    """A custom template may lack one of E2B's languages."""
    with pytest.raises(SandboxUnavailable, match="interpreter for java") as caught:
        await e2b_sandbox.run_code("1", language="java")

    assert not caught.value.may_have_started
    assert (await e2b_sandbox.run_code("1")).outcome == "completed"
    await e2b_sandbox.close()


@pytest.mark.slow
async def test_a_line_without_end_is_stopped_below_the_sdk(e2b_sandbox: E2BSandbox) -> None:
    """A result of hundreds of megabytes ends the call with `output_limit`."""
    with anyio.fail_after(60):
        execution = await e2b_sandbox.run_code(
            "from IPython.display import display\n"
            "display({'text/plain': 'x' * 200_000_000}, raw=True)",
            timeout=50,
        )
        after = await e2b_sandbox.run_code("1")

    assert execution.outcome == "output_limit"
    assert after.outcome == "completed"
    await e2b_sandbox.close()
