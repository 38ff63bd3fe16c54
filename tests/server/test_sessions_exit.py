"""The end of the server, however it comes: nothing stays open, and nobody waits for ever."""

import logging

import anyio
import pytest
from fakes import FakeBackend, VirtualClock, settle
from session_calls import Holder, call, running, together

from proofbox.server.sandbox import SandboxUnavailable
from proofbox.server.sessions import SessionManager


async def test_leaving_closes_every_sandbox_and_then_the_backend(
    backend: FakeBackend, clock: VirtualClock
) -> None:
    """Sessions, ready ones, and what the backend itself holds; what was closed before is left alone."""
    async with running(backend, clock, warm_principal="local", pool_size=1) as sessions:
        closed = await call(sessions)
        await sessions.close_session("ann", closed.session_id)
        await call(sessions)
        await call(sessions)
        before = backend.open

    assert before == 3
    assert backend.open == 0
    assert backend.closed
    assert [sandbox.calls.count("close") for sandbox in backend.created] == [1, 1, 1, 1]


async def test_sandboxes_are_closed_all_at_once_and_within_a_time(
    backend: FakeBackend, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Five that hang cost the time of one, and the rest of the exit happens all the same."""
    left = anyio.Event()

    async def serve() -> None:
        async with running(backend, clock, close_seconds=10) as sessions:
            for _ in range(5):
                await call(sessions)
            for sandbox in backend.created:
                sandbox.hold_close = anyio.Event()
        left.set()

    async with together() as tasks:
        tasks.start_soon(serve)
        await clock.advance(9.9)
        early = left.is_set()
        await clock.advance(0.1)
        in_time = left.is_set()

    assert (early, in_time, backend.closed) == (False, True, True)
    assert caplog.text.count("did not close in time") == 5
    await _close_for_good(backend)


async def test_a_backend_that_does_not_close_does_not_keep_the_server(
    backend: FakeBackend, clock: VirtualClock
) -> None:
    """It has as long as a sandbox has."""
    backend.hold_close = anyio.Event()
    left = anyio.Event()

    async def serve() -> None:
        async with running(backend, clock, close_seconds=10):
            pass
        left.set()

    async with together() as tasks:
        tasks.start_soon(serve)
        await clock.advance(9.9)
        early = left.is_set()
        await clock.advance(0.1)

    assert not early
    assert left.is_set()


async def test_the_backend_has_a_fifth_of_the_time_more_if_its_sandboxes_took_all(
    backend: FakeBackend, clock: VirtualClock
) -> None:
    """The whole exit takes no longer, so that a host or a signal can count on it."""
    backend.hold_close = anyio.Event()
    left = anyio.Event()

    async def serve() -> None:
        async with running(backend, clock, close_seconds=10) as sessions:
            await call(sessions)
            backend.created[0].hold_close = anyio.Event()
        left.set()

    async with together() as tasks:
        tasks.start_soon(serve)
        await clock.advance(11.9)
        early = left.is_set()
        await clock.advance(0.1)

    assert not early
    assert left.is_set()
    await _close_for_good(backend)


async def test_what_goes_wrong_in_closing_is_logged_and_stops_nothing(
    backend: FakeBackend, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """The other sandboxes and the backend are closed."""
    backend.close_error = OSError("no socket")
    with caplog.at_level(logging.ERROR):
        async with running(backend, clock) as sessions:
            await call(sessions)
            await call(sessions)
            backend.created[0].close_error = OSError("no network")

    assert "Could not close sandbox fake-0" in caplog.text
    assert "Could not close the local backend" in caplog.text
    assert backend.open == 0


async def test_a_cancelled_server_closes_everything(
    backend: FakeBackend, clock: VirtualClock
) -> None:
    """The cancellation does not reach the closing."""
    with anyio.CancelScope() as scope:
        async with running(backend, clock) as sessions:
            await call(sessions)
            scope.cancel()
            await anyio.sleep_forever()

    assert scope.cancelled_caught
    assert (backend.open, backend.closed) == (0, True)


async def test_an_error_in_the_server_comes_out_as_it_is(
    backend: FakeBackend, clock: VirtualClock
) -> None:
    """Not wrapped in a group, and after everything was closed."""

    async def serve() -> None:
        async with running(backend, clock) as sessions:
            await call(sessions)
            raise LookupError("of the server")

    with pytest.raises(LookupError, match="of the server"):
        await serve()

    assert (backend.open, backend.closed) == (0, True)


async def test_a_call_that_runs_at_the_exit_is_ended(
    backend: FakeBackend, clock: VirtualClock
) -> None:
    """Its sandbox is closed under it; the caller is told that the code may have run."""
    errors: list[SandboxUnavailable] = []
    async with together() as tasks, running(backend, clock) as sessions:
        backend.on_create = lambda sandbox: setattr(sandbox, "hold_calls", anyio.Event())

        async def caller() -> None:
            with pytest.raises(SandboxUnavailable) as raised:
                await call(sessions)
            errors.append(raised.value)

        tasks.start_soon(caller)
        await settle()

    assert [error.may_have_started for error in errors] == [True]
    assert len(backend.created) == 1


async def test_calls_in_the_queue_at_the_exit_are_sent_away(
    backend: FakeBackend, clock: VirtualClock
) -> None:
    """They do not wait for a sandbox that will never come."""
    async with together() as tasks:
        async with running(backend, clock, max_sessions=1) as sessions:
            held, queued = Holder(sessions), Holder(sessions)
            for each in (held, queued):
                tasks.start_soon(each)
                await settle()
        await queued.done.wait()
        held.leave.set()

    assert isinstance(queued.error, SandboxUnavailable)
    assert "shutting down" in str(queued.error)
    assert not queued.error.may_have_started
    assert len(backend.created) == 1


async def test_a_call_that_waits_for_its_session_at_the_exit_is_sent_away(
    backend: FakeBackend, clock: VirtualClock
) -> None:
    """It gets no sandbox of a server that has stopped."""
    async with together() as tasks:
        async with running(backend, clock) as sessions:
            handle = (await call(sessions)).session_id
            held, waiting = Holder(sessions, handle), Holder(sessions, handle)
            for each in (held, waiting):
                tasks.start_soon(each)
                await settle()
        await held.finish()

    assert waiting.error is not None
    assert not waiting.entered.is_set()
    assert len(backend.created) == 1


async def test_a_sandbox_that_arrives_after_the_exit_is_closed(
    backend: FakeBackend, clock: VirtualClock
) -> None:
    """The create was under way in a call that outlived the server."""
    backend.creating = anyio.Event()
    async with together() as tasks:
        async with running(backend, clock) as sessions:
            held = Holder(sessions)
            tasks.start_soon(held)
            await settle()
        backend.creating.set()
        await held.done.wait()

    assert isinstance(held.error, SandboxUnavailable)
    assert not held.entered.is_set()
    assert len(backend.created) == 1
    assert backend.open == 0


async def test_a_sandbox_that_is_being_made_ready_at_the_exit_is_not_left(
    backend: FakeBackend, clock: VirtualClock
) -> None:
    """The background stops in the middle of a create."""
    backend.creating = anyio.Event()
    async with running(backend, clock, warm_principal="local", pool_size=1):
        during = backend.open

    assert (during, backend.open, len(backend.created)) == (1, 0, 0)


async def test_a_session_that_is_being_closed_at_the_exit_is_closed(
    backend: FakeBackend, clock: VirtualClock
) -> None:
    """The exit waits for it, within the time of a close."""
    async with together() as tasks, running(backend, clock) as sessions:
        handle = (await call(sessions)).session_id
        gate = backend.created[0].hold_close = anyio.Event()
        tasks.start_soon(sessions.close_session, "ann", handle)
        await settle()
        tasks.start_soon(_set_soon, gate)

    assert backend.open == 0


@pytest.mark.parametrize("when", ["before", "after"])
async def test_there_are_no_sessions_before_the_start_and_after_the_end(
    backend: FakeBackend, clock: VirtualClock, when: str
) -> None:
    """A late call is told so; it does not start a sandbox that nobody would close."""
    sessions = SessionManager(backend, clock=clock)
    if when == "after":
        async with sessions:
            pass

    with pytest.raises(SandboxUnavailable, match="not running"):
        await call(sessions)

    assert backend.created == []


async def _set_soon(gate: anyio.Event) -> None:
    await settle()
    gate.set()


async def _close_for_good(backend: FakeBackend) -> None:
    for sandbox in backend.created:
        sandbox.hold_close = None
        await sandbox.close()
