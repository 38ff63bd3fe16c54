"""A sandbox that is lost: replaced once if nothing ran, reported always, and code never run twice."""

from contextlib import suppress

import anyio
import pytest
from fakes import FakeBackend, FakeSandbox, VirtualClock, settle
from session_calls import call, running, together, value

from proofbox.server.sandbox import (
    Execution,
    InvalidInput,
    Sandbox,
    SandboxRejected,
    SandboxUnavailable,
)
from proofbox.server.sessions import SessionManager


@pytest.fixture
def runs(backend: FakeBackend) -> list[str]:
    """What code has put on record, in whatever sandbox it ran."""
    record: list[str] = []
    backend.names = {"runs": record}
    return record


async def test_a_sandbox_found_lost_is_replaced_and_the_loss_reported(
    backend: FakeBackend, clock: VirtualClock, runs: list[str]
) -> None:
    """The code runs once, in a new sandbox, and the caller learns that state is gone."""
    async with running(backend, clock) as sessions:
        first = await call(sessions, "x = 1")
        backend.created[0].lose()
        second = await call(
            sessions, "runs.append('ran'); 'x' in globals()", session_id=first.session_id
        )
        third = await call(sessions, session_id=first.session_id)
        await settle()
        still_open = backend.open

    assert (second.state, second.text, runs) == ("reset", "False", ["ran"])
    assert "lost between two calls" in second.reset_reason
    assert (third.state, third.reset_reason) == ("continued", "")
    assert (still_open, backend.most_open) == (1, 1)


async def test_a_new_session_whose_sandbox_is_replaced_is_still_new(
    backend: FakeBackend, clock: VirtualClock
) -> None:
    """There was no state to lose, so there is nothing to report, then or later."""
    async with running(backend, clock) as sessions:
        async with sessions.lease("ann") as lease:
            backend.created[0].lose()
            execution = await lease.run(lambda sandbox: sandbox.run_code("40 + 2"))
            state, reason = lease.state, lease.reset_reason
        after = await call(sessions, session_id=lease.session_id)

    assert (state, reason, value(execution)) == ("new", "", "42")
    assert after.state == "continued"


async def test_code_that_may_have_started_is_never_run_again(
    backend: FakeBackend, clock: VirtualClock, runs: list[str]
) -> None:
    """The error reaches the caller, and the next call is told what was lost and when."""
    async with running(backend, clock) as sessions:
        first = await call(sessions, "x = 1")
        backend.created[0].lose(started=True)
        with pytest.raises(SandboxUnavailable) as lost:
            await call(sessions, "runs.append('ran')", session_id=first.session_id)
        after = await call(sessions, "'x' in globals()", session_id=first.session_id)

    assert lost.value.may_have_started
    assert runs == ["ran"]
    assert (after.state, after.text) == ("reset", "False")
    assert "during a call whose code may have run" in after.reset_reason


async def test_a_loss_after_the_code_ran_does_not_run_it_again(
    backend: FakeBackend, clock: VirtualClock, runs: list[str]
) -> None:
    """The request that failed had not started, but an earlier one of the same work had run."""

    async def run_then_read(sandbox: Sandbox) -> bytes:
        await sandbox.run_code("runs.append('ran')")
        backend.created[0].lose()
        return await sandbox.read_file("made.txt")

    async with running(backend, clock) as sessions:
        async with sessions.lease("ann") as lease:
            with pytest.raises(SandboxUnavailable) as lost:
                await lease.run(run_then_read)
        after = await call(sessions, session_id=lease.session_id)

    assert lost.value.may_have_started
    assert runs == ["ran"]
    assert after.state == "reset"


async def test_a_loss_after_a_command_ran_does_not_run_it_again(
    backend: FakeBackend, clock: VirtualClock
) -> None:
    """Commands count as code."""

    async def run_then_read(sandbox: Sandbox) -> bytes:
        await sandbox.run_command(["echo", "hello"])
        backend.created[0].lose()
        return await sandbox.read_file("made.txt")

    async with running(backend, clock) as sessions, sessions.lease("ann") as lease:
        with pytest.raises(SandboxUnavailable) as lost:
            await lease.run(run_then_read)

    assert lost.value.may_have_started
    assert [sandbox.calls.count("run_command") for sandbox in backend.created] == [1]


async def test_a_loss_after_the_tool_gave_up_on_the_code_does_not_run_it_again(
    backend: FakeBackend, clock: VirtualClock, runs: list[str]
) -> None:
    """Code that the work itself cancelled has started, too, for all we know."""

    async def give_up_then_read(sandbox: Sandbox) -> bytes:
        backend.created[0].hold_calls = anyio.Event()
        with anyio.CancelScope() as scope:
            scope.cancel()
            await sandbox.run_code("runs.append('ran')")
        backend.created[0].lose()
        return await sandbox.read_file("made.txt")

    async with running(backend, clock) as sessions, sessions.lease("ann") as lease:
        with pytest.raises(SandboxUnavailable) as lost:
            await lease.run(give_up_then_read)

    assert lost.value.may_have_started
    assert len(backend.created) == 1


async def test_code_that_was_refused_has_not_run(
    backend: FakeBackend, clock: VirtualClock, runs: list[str]
) -> None:
    """InvalidInput means that nothing started, so a loss after it can still be mended."""

    async def try_two_languages(sandbox: Sandbox) -> Execution:
        try:
            return await sandbox.run_code("x", language="cobol")
        except InvalidInput:
            if len(backend.created) == 1:
                backend.created[0].lose()
            return await sandbox.run_code("runs.append('ran'); 1")

    async with running(backend, clock) as sessions, sessions.lease("ann") as lease:
        execution = await lease.run(try_two_languages)

    assert (value(execution), runs) == ("1", ["ran"])


async def test_files_written_before_the_loss_are_written_again(
    backend: FakeBackend, clock: VirtualClock
) -> None:
    """The whole work of the call is done in the new sandbox, not only what was left of it."""

    async def write_then_run(sandbox: Sandbox) -> bytes:
        await sandbox.write_files({"data.txt": b"42"})
        if len(backend.created) == 1:
            backend.created[0].lose()
        await sandbox.run_code("1")
        return await sandbox.read_file("data.txt")

    async with running(backend, clock) as sessions, sessions.lease("ann") as lease:
        content = await lease.run(write_then_run)
        again = await lease.sandbox.read_file("data.txt")

    assert (content, again) == (b"42", b"42")
    assert len(backend.created) == 2


async def test_a_sandbox_is_replaced_once_in_a_call(
    backend: FakeBackend, clock: VirtualClock
) -> None:
    """A second loss is the caller's to hear, even though nothing ran."""
    async with running(backend, clock) as sessions:
        handle = (await call(sessions)).session_id
        backend.created[0].lose()
        backend.on_create = lambda sandbox: sandbox.lose()
        with pytest.raises(SandboxUnavailable) as lost:
            await call(sessions, session_id=handle)
        backend.on_create = None
        after = await call(sessions, session_id=handle)

    assert not lost.value.may_have_started
    assert len(backend.created) == 3
    assert after.state == "reset"


async def test_a_second_piece_of_work_never_gets_another_sandbox_than_the_first(
    backend: FakeBackend, clock: VirtualClock
) -> None:
    """It counts on what the first did; without that it must fail, not run on bare ground."""
    async with running(backend, clock) as sessions:
        async with sessions.lease("ann") as lease:
            await lease.run(lambda sandbox: sandbox.write_files({"data.txt": b"42"}))
            backend.created[0].lose()
            with pytest.raises(SandboxUnavailable):
                await lease.run(lambda sandbox: sandbox.run_code("1"))
        after = await call(sessions, session_id=lease.session_id)

    assert len(backend.created) == 2
    assert after.state == "reset"


async def test_a_loss_that_the_tool_swallows_is_reported_by_the_next_call(
    backend: FakeBackend, clock: VirtualClock
) -> None:
    """The manager hears of it from the sandbox itself, also where `run` is not used."""
    async with running(backend, clock) as sessions:
        async with sessions.lease("ann") as lease:
            backend.created[0].lose()
            with pytest.raises(SandboxUnavailable):
                await lease.sandbox.list_files()
        await settle()
        still_open = backend.open
        after = await call(sessions, session_id=lease.session_id)

    assert still_open == 0
    assert after.state == "reset"


@pytest.mark.parametrize("how", ["cancelled", "failed"])
async def test_a_reset_is_reported_until_a_call_could_tell_it(
    backend: FakeBackend, clock: VirtualClock, how: str
) -> None:
    """A cancelled or failed call told nobody, so the next one says it again; then it is told."""
    async with running(backend, clock) as sessions:
        handle = (await call(sessions)).session_id
        backend.created[0].lose()
        await _reset_unheard(sessions, handle, how)
        second = await call(sessions, session_id=handle)
        third = await call(sessions, session_id=handle)

    assert "lost between two calls" in second.reset_reason
    assert (second.state, third.state) == ("reset", "continued")
    assert len(backend.created) == 2


async def _reset_unheard(sessions: SessionManager, handle: str, how: str) -> None:
    with anyio.CancelScope() as scope, suppress(InvalidInput):
        async with sessions.lease("ann", handle) as lease:
            await lease.run(lambda sandbox: sandbox.run_code("1"))
            if how == "cancelled":
                scope.cancel()
                await anyio.sleep_forever()
            await lease.run(lambda sandbox: sandbox.run_code("1", language="cobol"))


async def test_a_replacement_that_cannot_be_had_is_tried_again_by_the_next_call(
    backend: FakeBackend, clock: VirtualClock
) -> None:
    """The caller hears the backend's reason; the session stays, and so does the loss to report."""
    async with running(backend, clock) as sessions:
        handle = (await call(sessions)).session_id
        backend.created[0].lose()
        backend.create_errors = [SandboxRejected("the key is no longer valid")]
        with pytest.raises(SandboxRejected, match="no longer valid"):
            await call(sessions, session_id=handle)
        after = await call(sessions, session_id=handle)

    assert after.state == "reset"
    assert "lost between two calls" in after.reset_reason


async def test_a_lost_sandbox_is_closed_without_waiting_for_another_call(
    backend: FakeBackend, clock: VirtualClock
) -> None:
    """One that only stopped answering would go on costing."""
    async with running(backend, clock) as sessions:
        handle = (await call(sessions)).session_id
        backend.created[0].lose(started=True)
        with pytest.raises(SandboxUnavailable):
            await call(sessions, session_id=handle)
        await settle()
        still_open = backend.open

    assert still_open == 0


async def test_a_call_that_comes_while_the_lost_sandbox_closes_waits_for_that(
    backend: FakeBackend, clock: VirtualClock
) -> None:
    """Two sandboxes of one session never exist at one time."""
    async with running(backend, clock) as sessions, together() as tasks:
        handle = (await call(sessions)).session_id
        gate = backend.created[0].hold_close = anyio.Event()
        backend.created[0].lose(started=True)
        with pytest.raises(SandboxUnavailable):
            await call(sessions, session_id=handle)
        await settle()
        states: list[str] = []

        async def next_call() -> None:
            states.append((await call(sessions, session_id=handle)).state)

        tasks.start_soon(next_call)
        await settle()
        early = len(backend.created)
        gate.set()

    assert (early, states) == (1, ["reset"])
    assert backend.most_open == 1


async def test_a_call_that_waited_behind_the_loss_keeps_its_new_sandbox(
    backend: FakeBackend, clock: VirtualClock
) -> None:
    """The closing of the lost one, which comes after it, does not take the new one."""
    async with running(backend, clock) as sessions, together() as tasks:
        handle = (await call(sessions)).session_id
        backend.created[0].lose(started=True)
        states: list[str] = []

        async def lose() -> None:
            with pytest.raises(SandboxUnavailable):
                await call(sessions, session_id=handle)

        async def wait_behind() -> None:
            states.append((await call(sessions, "x = 1", session_id=handle)).state)

        tasks.start_soon(lose)
        tasks.start_soon(wait_behind)
        await settle()
        after = await call(sessions, "x", session_id=handle)

    assert states == ["reset"]
    assert (after.state, after.text) == ("continued", "1")


async def test_a_tool_may_give_up_its_sandbox(backend: FakeBackend, clock: VirtualClock) -> None:
    """Closing it under the lease costs the session its state, and the next call is told."""
    async with running(backend, clock) as sessions:
        async with sessions.lease("ann") as lease:
            await lease.sandbox.close()
        async with sessions.lease("ann", lease.session_id) as after:
            await after.sandbox.run_code("1")

    assert backend.created[0].closed
    assert after.state == "reset"


async def test_a_leased_sandbox_does_what_the_sandbox_does(
    backend: FakeBackend, clock: VirtualClock
) -> None:
    """Every method of the port goes through, arguments and answers unchanged."""
    heard: list[tuple[str, str]] = []

    async def everything(sandbox: Sandbox) -> None:
        await sandbox.write_files({"data/a.txt": b"hello", "b.txt": b""})
        assert await sandbox.read_file("data/a.txt", offset=1, max_bytes=3) == b"ell"
        assert [each.path for each in await sandbox.list_files()] == ["/home/user/b.txt"]
        assert len(await sandbox.list_files(depth=2)) == 2
        echoed = await sandbox.run_command(["echo", "hi"])
        assert (echoed.exit_code, echoed.stdout.text) == (0, "hi\n")
        execution = await sandbox.run_code(
            "print('out')", on_output=lambda stream, text: heard.append((stream, text))
        )
        assert execution.stdout.text == "out\n"
        await sandbox.keep_alive(77)
        assert (sandbox.id, sandbox.python) == (backend.created[0].id, FakeSandbox.python)

    async with running(backend, clock) as sessions, sessions.lease("ann") as lease:
        await lease.run(everything)

    assert heard == [("stdout", "out\n")]
    assert backend.created[0].keep_alives == [77]


async def test_a_call_that_outlives_its_session_does_not_bring_it_back(
    backend: FakeBackend, clock: VirtualClock
) -> None:
    """Work that starts after the session was closed fails; it gets no other sandbox."""
    async with running(backend, clock) as sessions:
        handle = (await call(sessions)).session_id
        async with sessions.lease("ann", handle) as lease:
            await sessions.close_session("ann", handle)
            with pytest.raises(SandboxUnavailable, match="session was closed") as lost:
                await lease.run(lambda sandbox: sandbox.run_code("1"))

    assert not lost.value.may_have_started
    assert len(backend.created) == 1


async def test_the_loss_of_something_else_costs_the_session_nothing(
    backend: FakeBackend, clock: VirtualClock
) -> None:
    """An error that is not this sandbox's goes to the caller; state stays, and nothing is redone."""
    tries: list[str] = []

    async def ask_another(sandbox: Sandbox) -> None:
        tries.append(sandbox.id)
        raise SandboxUnavailable("another sandbox does not answer")

    async with running(backend, clock) as sessions:
        handle = (await call(sessions, "x = 1")).session_id
        async with sessions.lease("ann", handle) as lease:
            with pytest.raises(SandboxUnavailable, match="another sandbox"):
                await lease.run(ask_another)
        after = await call(sessions, "x", session_id=handle)

    assert len(tries) == 1
    assert (lease.state, after.state, after.text) == ("continued", "continued", "1")


async def test_an_old_hold_on_a_replaced_sandbox_does_not_condemn_the_new_one(
    backend: FakeBackend, clock: VirtualClock
) -> None:
    """A tool that kept the lost sandbox and asks it again learns nothing about the new one."""
    async with running(backend, clock) as sessions:
        handle = await _lose_and_ask_the_old_one(sessions, backend)
        after = await call(sessions, "x", session_id=handle)

    assert (after.state, after.text) == ("continued", "1")


async def _lose_and_ask_the_old_one(sessions: SessionManager, backend: FakeBackend) -> str:
    async with sessions.lease("ann") as lease:
        old = lease.sandbox
        backend.created[0].lose()
        await lease.run(lambda sandbox: sandbox.run_code("x = 1"))
        with pytest.raises(SandboxUnavailable):
            await old.list_files()
    return lease.session_id
