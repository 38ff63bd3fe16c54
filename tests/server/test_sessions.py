"""Sessions: handles, who may use them, what a call holds, and how two calls share one."""

from collections.abc import Callable

import anyio
import pytest
from fakes import FakeBackend, VirtualClock, settle
from session_calls import Holder, call, running, together

from proofbox.server.sandbox import InvalidInput, SandboxBusy, SandboxRejected, SandboxUnavailable
from proofbox.server.sessions import SessionManager, SessionNotFound

BackendMaker = Callable[[float | None], FakeBackend]


async def test_a_session_goes_on_where_its_last_call_stopped(
    backend: FakeBackend, clock: VirtualClock
) -> None:
    """A call with the handle of an earlier one finds its variables."""
    async with running(backend, clock) as sessions:
        first = await call(sessions, "x = 20")
        second = await call(sessions, "x + 1", session_id=first.session_id)

    assert (first.state, first.reset_reason) == ("new", "")
    assert (second.state, second.reset_reason, second.text) == ("continued", "", "21")
    assert second.session_id == first.session_id
    assert len(backend.created) == 1


async def test_every_call_without_a_handle_gets_a_sandbox_of_its_own(
    backend: FakeBackend, clock: VirtualClock
) -> None:
    """Two fresh calls share neither handle nor variables."""
    async with running(backend, clock) as sessions:
        first = await call(sessions, "x = 20")
        second = await call(sessions, "'x' in globals()")

    assert second.session_id != first.session_id
    assert (second.state, second.text) == ("new", "False")


async def test_a_handle_is_long_and_says_nothing_about_its_sandbox(
    backend: FakeBackend, clock: VirtualClock
) -> None:
    """192 random bits: nobody guesses one, or learns a sandbox's id from it."""
    async with running(backend, clock) as sessions:
        reply = await call(sessions)

    assert len(reply.session_id) == 32
    assert backend.created[0].id not in reply.session_id


async def test_unknown_foreign_expired_closed_and_evicted_handles_read_alike(
    backend: FakeBackend, clock: VirtualClock
) -> None:
    """One constant message, so that nobody learns which handles exist."""
    said: set[str] = set()
    async with running(backend, clock, max_sessions=3, idle_seconds=100) as sessions:
        expired = await call(sessions)
        await clock.advance(100)
        evicted = await call(sessions)
        await clock.advance(1)
        closed, foreign = await call(sessions), await call(sessions, principal="bob")
        await sessions.close_session("ann", closed.session_id)
        await call(sessions)
        await call(sessions)
        for handle in (expired, evicted, closed, foreign):
            with pytest.raises(SessionNotFound) as refused:
                await call(sessions, session_id=handle.session_id)
            said.add(str(refused.value))
        with pytest.raises(SessionNotFound) as refused:
            await call(sessions, session_id="no-such-handle")
        said.add(str(refused.value))
        still_there = await call(sessions, session_id=foreign.session_id, principal="bob")

    assert len(said) == 1
    assert "no such session" in said.pop()
    assert issubclass(SessionNotFound, InvalidInput)
    assert still_there.state == "continued"


async def test_owners_are_named_by_a_hash_that_every_replica_computes_alike(
    make_backend: BackendMaker,
) -> None:
    """A sandbox carries its owner, the same from every server, and never the principal itself."""
    owners: list[list[str]] = []
    for _ in range(2):
        backend, clock = make_backend(None), VirtualClock()
        async with running(backend, clock) as sessions:
            await call(sessions, principal="ann@example.com")
            await call(sessions, principal="bob@example.com")
        owners.append([sandbox.request.owner for sandbox in backend.created])

    assert owners[0] == owners[1]
    assert len(set(owners[0])) == 2
    assert not any("example" in owner for owner in owners[0])


async def test_purpose_and_sharing_reach_the_backend(
    backend: FakeBackend, clock: VirtualClock
) -> None:
    """What the caller asks of a sandbox is in the request."""
    async with running(backend, clock) as sessions:
        async with sessions.lease("ann", purpose="check_pr", shared=False):
            pass
        async with sessions.lease("ann"):
            pass

    assert [(each.request.labels, each.request.shared) for each in backend.created] == [
        ({"purpose": "check_pr"}, False),
        ({"purpose": "session"}, True),
    ]


async def test_packages_are_those_of_the_first_call(
    backend: FakeBackend, clock: VirtualClock
) -> None:
    """The request names each once; a later call may name them again, in any spelling, or some."""
    async with running(backend, clock) as sessions:
        first = await call(sessions, packages=("Typing_Extensions >= 4", "six", "six"))
        for again in ((), ("typing.extensions>=4",), ("six", "typing-extensions>= 4")):
            reply = await call(sessions, session_id=first.session_id, packages=again)
            assert reply.state == "continued"

    assert backend.created[0].request.packages == ("Typing_Extensions >= 4", "six")


@pytest.mark.parametrize("other", ["rich", "six==1.16", "SIX @ https://example.com/A.whl"])
async def test_other_packages_than_the_first_calls_are_refused_with_advice(
    backend: FakeBackend, clock: VirtualClock, other: str
) -> None:
    """Nothing is added to a session later, and the session is none the worse for the asking."""
    async with running(backend, clock) as sessions:
        first = await call(sessions, "x = 1", packages=("six",))
        with pytest.raises(InvalidInput, match="Omit session_id") as refused:
            await call(sessions, session_id=first.session_id, packages=("six", other))
        after = await call(sessions, "x", session_id=first.session_id)

    assert f"without {other}," in str(refused.value)
    assert not isinstance(refused.value, SessionNotFound)
    assert after.text == "1"


async def test_a_requirement_by_address_is_told_from_one_that_differs_in_case(
    backend: FakeBackend, clock: VirtualClock
) -> None:
    """Only the name of a package ignores case; an address does not."""
    async with running(backend, clock) as sessions:
        first = await call(sessions, packages=("six @ https://example.com/a.whl",))
        with pytest.raises(InvalidInput, match="cannot be added later"):
            await call(
                sessions, session_id=first.session_id, packages=("six @ https://example.com/A.whl",)
            )


async def test_ten_sessions_run_at_the_same_time(backend: FakeBackend, clock: VirtualClock) -> None:
    """Calls in different sessions do not wait for each other."""
    async with running(backend, clock) as sessions, together() as tasks:
        calls = [Holder(sessions) for _ in range(10)]
        for each in calls:
            tasks.start_soon(each)
        for each in calls:
            await each.entered.wait()
        at_once = sessions.overview("ann").in_use
        for each in calls:
            await each.finish()

    assert at_once == 10
    assert len({each.session_id for each in calls}) == 10


async def test_two_calls_in_one_session_run_one_after_the_other(
    backend: FakeBackend, clock: VirtualClock
) -> None:
    """A second call is not let in until the first has left, and the third comes after the second."""
    async with running(backend, clock) as sessions, together() as tasks:
        handle = (await call(sessions)).session_id
        calls = [Holder(sessions, handle) for _ in range(3)]
        inside: list[list[bool]] = []
        for each in calls:
            tasks.start_soon(each)
            await settle()
        for each in calls:
            inside.append([other.entered.is_set() for other in calls])
            await each.finish()

    assert inside == [[True, False, False], [True, True, False], [True, True, True]]


async def test_too_many_calls_waiting_for_one_session_are_told_so(
    backend: FakeBackend, clock: VirtualClock
) -> None:
    """The line before a session is as long as the queue, and no longer."""
    async with (
        running(backend, clock, queue_length=2) as sessions,
        together() as tasks,
    ):
        handle = (await call(sessions)).session_id
        calls = [Holder(sessions, handle) for _ in range(3)]
        for each in calls:
            tasks.start_soon(each)
            await settle()
        with pytest.raises(SandboxBusy, match="2 calls wait for this session") as busy:
            await call(sessions, session_id=handle)
        for each in calls:
            await each.finish()
        after = await call(sessions, session_id=handle)

    assert busy.value.retry_after is not None
    assert [each.error for each in calls] == [None, None, None]
    assert after.state == "continued"


async def test_a_cancelled_call_leaves_its_session_for_the_next(
    backend: FakeBackend, clock: VirtualClock
) -> None:
    """State is kept, and the very next call is served."""
    async with running(backend, clock) as sessions, together() as tasks:
        handle = (await call(sessions, "x = 1")).session_id
        held = Holder(sessions, handle)
        tasks.start_soon(held)
        await held.entered.wait()
        held.scope.cancel()
        after = await call(sessions, "x", session_id=handle)

    assert held.scope.cancelled_caught
    assert (after.state, after.text) == ("continued", "1")


async def test_a_call_cancelled_while_it_waits_for_its_session_holds_up_nobody(
    backend: FakeBackend, clock: VirtualClock
) -> None:
    """The call behind it is next, and the session can be idle again."""
    async with (
        running(backend, clock, idle_seconds=100) as sessions,
        together() as tasks,
    ):
        handle = (await call(sessions)).session_id
        first, second, third = (Holder(sessions, handle) for _ in range(3))
        for each in (first, second, third):
            tasks.start_soon(each)
            await settle()
        second.scope.cancel()
        await first.finish()
        await third.finish()
        await clock.advance(115)
        left = sessions.overview("ann")

    assert second.scope.cancelled_caught
    assert (second.entered.is_set(), third.state) == (False, "continued")
    assert left.total == 0


@pytest.mark.parametrize("cancelled", [True, False])
async def test_a_new_session_whose_first_call_fails_is_closed(
    backend: FakeBackend, clock: VirtualClock, cancelled: bool
) -> None:
    """Nobody has learnt its handle, so nobody could ever use it."""
    async with running(backend, clock) as sessions:
        if cancelled:
            with anyio.CancelScope() as scope:
                async with sessions.lease("ann"):
                    scope.cancel()
                    await anyio.sleep_forever()
        else:
            with pytest.raises(InvalidInput):
                async with sessions.lease("ann") as lease:
                    await lease.run(lambda sandbox: sandbox.run_code("1", language="cobol"))
        await settle()
        left, still_open = sessions.overview("ann"), backend.open

    assert (left.total, still_open, len(backend.created)) == (0, 0, 1)


async def test_an_error_in_a_call_does_not_end_a_session_that_was_there_before(
    backend: FakeBackend, clock: VirtualClock
) -> None:
    """The caller has its handle and goes on."""
    async with running(backend, clock) as sessions:
        handle = (await call(sessions, "x = 1")).session_id
        with pytest.raises(InvalidInput):
            async with sessions.lease("ann", handle) as lease:
                await lease.run(lambda sandbox: sandbox.run_code("1", language="cobol"))
        after = await call(sessions, "x", session_id=handle)

    assert (after.state, after.text) == ("continued", "1")


@pytest.mark.parametrize("error", [InvalidInput("no such package"), SandboxRejected("no key")])
async def test_what_the_backend_says_when_it_cannot_create_reaches_the_caller(
    backend: FakeBackend, clock: VirtualClock, error: Exception
) -> None:
    """Unchanged, and the place that was kept for the sandbox is free again."""
    backend.create_errors = [error]
    async with running(backend, clock, max_sessions=1, queue_length=0) as sessions:
        with pytest.raises(type(error)) as raised:
            await call(sessions)
        after = await call(sessions)

    assert raised.value is error
    assert after.state == "new"


async def test_closing_a_session_closes_its_sandbox_before_it_returns(
    backend: FakeBackend, clock: VirtualClock
) -> None:
    """Closed is closed, and closing again says that there is no such session."""
    async with running(backend, clock) as sessions:
        handle = (await call(sessions)).session_id
        await sessions.close_session("ann", handle)
        still_open = backend.open
        with pytest.raises(SessionNotFound):
            await sessions.close_session("ann", handle)

    assert still_open == 0


async def test_nobody_closes_the_session_of_another(
    backend: FakeBackend, clock: VirtualClock
) -> None:
    """To a stranger the handle is unknown."""
    async with running(backend, clock) as sessions:
        handle = (await call(sessions, "x = 1")).session_id
        with pytest.raises(SessionNotFound):
            await sessions.close_session("bob", handle)
        after = await call(sessions, "x", session_id=handle)

    assert after.text == "1"


async def test_closing_a_session_in_use_ends_the_call_and_those_that_wait(
    backend: FakeBackend, clock: VirtualClock
) -> None:
    """The running call is told why, nothing runs again, and a waiting call finds no session."""
    runs: list[str] = []
    errors: list[Exception] = []
    backend.names = {"runs": runs}
    async with running(backend, clock) as sessions, together() as tasks:
        handle = (await call(sessions)).session_id
        backend.created[0].hold_calls = anyio.Event()

        async def caller() -> None:
            with pytest.raises((SandboxUnavailable, SessionNotFound)) as raised:
                await call(sessions, "runs.append('ran')", session_id=handle)
            errors.append(raised.value)

        tasks.start_soon(caller)
        await settle()
        tasks.start_soon(caller)
        await settle()
        await sessions.close_session("ann", handle)
        await settle()
        left = sessions.overview("ann").total

    assert isinstance(errors[0], SandboxUnavailable)
    assert "session was closed while this call ran" in str(errors[0])
    assert errors[0].may_have_started
    assert isinstance(errors[1], SessionNotFound)
    assert (left, runs, len(backend.created)) == (0, [], 1)


async def test_a_session_closed_while_it_gets_a_new_sandbox_leaves_none(
    backend: FakeBackend, clock: VirtualClock
) -> None:
    """The sandbox that arrives too late is closed, and no code runs in it."""
    runs: list[str] = []
    backend.names = {"runs": runs}
    async with (
        running(backend, clock, max_age_seconds=100) as sessions,
        together() as tasks,
    ):
        handle = (await call(sessions)).session_id
        await clock.advance(100)
        backend.creating = anyio.Event()

        async def late() -> None:
            with pytest.raises(SessionNotFound):
                await call(sessions, "runs.append('ran')", session_id=handle)

        tasks.start_soon(late)
        await settle()
        await sessions.close_session("ann", handle)
        backend.creating.set()
        await settle()
        left, still_open = sessions.overview("ann").total, backend.open

    assert (left, still_open, runs, len(backend.created)) == (0, 0, [], 2)


async def test_the_overview_shows_a_principal_its_own_sessions_and_only_those(
    backend: FakeBackend, clock: VirtualClock
) -> None:
    """Handles of others are not in it; the counts are over everybody."""
    async with (
        running(backend, clock, idle_seconds=100, max_sessions=5) as sessions,
        together() as tasks,
    ):
        idle = await call(sessions, packages=("six",))
        await call(sessions, principal="bob")
        await clock.advance(40)
        held = Holder(sessions)
        tasks.start_soon(held)
        await held.entered.wait()
        seen = sessions.overview("ann")
        await held.finish()

    assert [
        (each.session_id, each.in_use, each.packages, each.expires_in_seconds)
        for each in seen.sessions
    ] == [(idle.session_id, False, ("six",), 60), (held.session_id, True, (), 100)]
    assert (seen.total, seen.in_use, seen.ready, seen.waiting, seen.max_sessions) == (3, 1, 0, 0, 5)


async def test_whoever_keeps_things_by_session_hears_when_one_ends(
    backend: FakeBackend, clock: VirtualClock
) -> None:
    """Every end is told once: closed, expired, or still there at the exit."""
    ended: list[str] = []
    async with SessionManager(backend, clock=clock, on_end=ended.append) as sessions:
        expired = await call(sessions)
        await clock.advance(900)
        closed, last = await call(sessions), await call(sessions)
        await sessions.close_session("ann", closed.session_id)
        before_exit = list(ended)

    assert before_exit == [expired.session_id, closed.session_id]
    assert ended == [*before_exit, last.session_id]


async def test_without_a_clock_of_the_callers_it_is_the_machines(backend: FakeBackend) -> None:
    """The manager needs nothing but a backend."""
    async with SessionManager(backend) as sessions:
        first = await call(sessions, "x = 1")
        second = await call(sessions, "x", session_id=first.session_id)

    assert (second.state, second.text) == ("continued", "1")
