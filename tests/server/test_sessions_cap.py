"""How many sandboxes there may be, who gives way, and who waits."""

import anyio
import pytest
from fakes import FakeBackend, VirtualClock, settle
from session_calls import Holder, call, running, together

from proofbox.server.sandbox import InvalidInput, SandboxBusy
from proofbox.server.sessions import SessionNotFound


async def test_at_the_cap_the_session_idle_for_longest_gives_way(
    backend: FakeBackend, clock: VirtualClock
) -> None:
    """Longest idle, not longest there: the first session was used again since."""
    async with running(backend, clock, max_sessions=2, queue_length=0) as sessions:
        first, second = await call(sessions, "x = 1"), await call(sessions)
        await clock.advance(1)
        await call(sessions, session_id=first.session_id)
        await call(sessions)
        kept = await call(sessions, "x", session_id=first.session_id)
        with pytest.raises(SessionNotFound):
            await call(sessions, session_id=second.session_id)

    assert (kept.state, kept.text) == ("continued", "1")
    assert backend.most_open == 2


async def test_a_session_in_use_never_gives_way(backend: FakeBackend, clock: VirtualClock) -> None:
    """The oldest is running code, so the other one goes, though it is newer."""
    async with (
        running(backend, clock, max_sessions=2) as sessions,
        together() as tasks,
    ):
        held = Holder(sessions)
        tasks.start_soon(held)
        await held.entered.wait()
        await clock.advance(10)
        newer = await call(sessions)
        await clock.advance(10)
        await call(sessions)
        await held.finish()
        after = await call(sessions, session_id=held.session_id)
        with pytest.raises(SessionNotFound):
            await call(sessions, session_id=newer.session_id)

    assert (held.error, after.state) == (None, "continued")


async def test_a_session_that_a_call_waits_for_never_gives_way(
    backend: FakeBackend, clock: VirtualClock
) -> None:
    """Between two calls of a session that queue for it, nobody takes it away."""
    async with (
        running(backend, clock, max_sessions=1) as sessions,
        together() as tasks,
    ):
        handle = (await call(sessions, "x = 1")).session_id
        first, second, stranger = (
            Holder(sessions, handle),
            Holder(sessions, handle),
            Holder(sessions),
        )
        for each in (first, stranger, second):
            tasks.start_soon(each)
            await settle()
        await first.finish()
        between = (second.entered.is_set(), stranger.entered.is_set())
        await second.finish()
        after = stranger.entered.is_set()
        await stranger.finish()

    assert between == (True, False)
    assert (second.state, after) == ("continued", True)


async def test_the_cap_holds_while_the_evicted_sandbox_is_being_closed(
    backend: FakeBackend, clock: VirtualClock
) -> None:
    """Its successor is created only when it is gone, and needs no place in the queue."""
    async with (
        running(backend, clock, max_sessions=1, queue_length=0) as sessions,
        together() as tasks,
    ):
        await call(sessions)
        backend.created[0].hold_close = anyio.Event()
        held = Holder(sessions)
        tasks.start_soon(held)
        await settle()
        created_early = len(backend.created)
        backend.created[0].hold_close.set()
        await held.entered.wait()
        await held.finish()

    assert created_early == 1
    assert backend.most_open == 1


async def test_one_eviction_makes_room_for_one_call_only(
    backend: FakeBackend, clock: VirtualClock
) -> None:
    """Two calls end two idle sessions, not more, however long these take to close."""
    async with (
        running(backend, clock, max_sessions=4) as sessions,
        together() as tasks,
    ):
        for _ in range(4):
            await call(sessions)
            await clock.advance(1)
        gates = [anyio.Event(), anyio.Event()]
        for sandbox, gate in zip(backend.created, gates, strict=False):
            sandbox.hold_close = gate
        calls = [Holder(sessions), Holder(sessions)]
        for each in calls:
            tasks.start_soon(each)
            await settle()
        gates[1].set()
        await settle()
        served_first = sum(each.entered.is_set() for each in calls)
        gates[0].set()
        for each in calls:
            await each.entered.wait()
        seen = sessions.overview("ann")
        for each in calls:
            await each.finish()

    assert served_first == 1
    assert (seen.total, seen.in_use) == (4, 2)
    assert [sandbox.closed for sandbox in backend.created[:2]] == [True, True]


async def test_a_session_being_created_counts(backend: FakeBackend, clock: VirtualClock) -> None:
    """A second call at a cap of one does not start a second sandbox beside it."""
    backend.creating = anyio.Event()
    async with (
        running(backend, clock, max_sessions=1, queue_length=0) as sessions,
        together() as tasks,
    ):
        held = Holder(sessions)
        tasks.start_soon(held)
        await settle()
        with pytest.raises(SandboxBusy):
            await call(sessions)
        backend.creating.set()
        await held.finish()

    assert (held.error, backend.most_open) == (None, 1)


async def test_calls_wait_in_the_order_of_arrival(
    backend: FakeBackend, clock: VirtualClock
) -> None:
    """Each session that comes free goes to the call that waits longest."""
    async with (
        running(backend, clock, max_sessions=2) as sessions,
        together() as tasks,
    ):
        calls = [Holder(sessions) for _ in range(5)]
        for each in calls:
            tasks.start_soon(each)
            await settle()
        waiting = sessions.overview("ann").waiting
        inside: list[int] = []
        for each in calls:
            inside.append(sum(other.entered.is_set() for other in calls))
            assert each.entered.is_set()
            await each.finish()

    assert waiting == 3
    assert inside == [2, 3, 4, 5, 5]
    assert backend.most_open == 2


async def test_a_full_queue_says_so_at_once_and_what_to_do(
    backend: FakeBackend, clock: VirtualClock
) -> None:
    """How many wait, that nothing was run, and when to come again."""
    async with (
        running(backend, clock, max_sessions=1, queue_length=2, queue_wait_seconds=20) as sessions,
        together() as tasks,
    ):
        calls = [Holder(sessions) for _ in range(3)]
        for each in calls:
            tasks.start_soon(each)
            await settle()
        with pytest.raises(SandboxBusy) as busy:
            await call(sessions)
        for each in calls:
            await each.finish()

    assert str(busy.value) == (
        "All 1 sandboxes are running code, and 2 calls are waiting already. Nothing was run. Try"
        " again in 20 seconds, or when one of your running calls is done."
    )
    assert busy.value.retry_after == 20
    assert [each.error for each in calls] == [None, None, None]


async def test_a_call_waits_as_long_as_it_may_and_no_longer(
    backend: FakeBackend, clock: VirtualClock
) -> None:
    """After that it is told to come back, and its place in the queue is free."""
    async with (
        running(backend, clock, max_sessions=1, queue_length=1, queue_wait_seconds=20) as sessions,
        together() as tasks,
    ):
        held, late, later = Holder(sessions), Holder(sessions), Holder(sessions)
        for each in (held, late):
            tasks.start_soon(each)
            await settle()
        await clock.advance(19.9)
        patient = late.error is None
        await clock.advance(0.1)
        gave_up = late.error
        tasks.start_soon(later)
        await held.finish()
        await later.finish()

    assert patient
    assert isinstance(gave_up, SandboxBusy)
    assert "none came free in 20 seconds" in str(gave_up)
    assert gave_up.retry_after == 20
    assert later.error is None


async def test_a_call_cancelled_in_the_queue_leaves_nothing_behind(
    backend: FakeBackend, clock: VirtualClock
) -> None:
    """The call behind it is served, and no sandbox is created for the cancelled one."""
    async with (
        running(backend, clock, max_sessions=1, queue_length=2) as sessions,
        together() as tasks,
    ):
        held, cancelled, next_one = Holder(sessions), Holder(sessions), Holder(sessions)
        for each in (held, cancelled, next_one):
            tasks.start_soon(each)
            await settle()
        cancelled.scope.cancel()
        await settle()
        waiting = sessions.overview("ann").waiting
        await held.finish()
        await next_one.finish()

    assert waiting == 1
    assert (cancelled.entered.is_set(), next_one.error) == (False, None)
    assert len(backend.created) == 2


async def test_a_call_cancelled_just_as_its_turn_comes_passes_the_place_on(
    backend: FakeBackend, clock: VirtualClock
) -> None:
    """The place was granted, the call never saw it: it must not be lost for ever."""
    async with (
        running(backend, clock, max_sessions=1, queue_length=2) as sessions,
        together() as tasks,
    ):
        backend.on_create = lambda sandbox: None
        failing, cancelled, next_one = Holder(sessions), Holder(sessions), Holder(sessions)
        backend.creating = anyio.Event()
        backend.create_errors = [InvalidInput("no")]
        for each in (failing, cancelled, next_one):
            tasks.start_soon(each)
            await settle()
        backend.creating.set()
        # Turn after turn until the place has moved on, and before its new holder has run.
        while sessions.overview("ann").waiting == 2:
            await anyio.lowlevel.checkpoint()
        cancelled.scope.cancel()
        await next_one.finish()

    assert isinstance(failing.error, InvalidInput)
    assert (cancelled.entered.is_set(), next_one.error) == (False, None)
    assert next_one.entered.is_set()


async def test_a_cancelled_create_leaves_no_sandbox_and_no_gap(
    backend: FakeBackend, clock: VirtualClock
) -> None:
    """The place is free for the next call."""
    backend.creating = anyio.Event()
    async with (
        running(backend, clock, max_sessions=1, queue_length=0) as sessions,
        together() as tasks,
    ):
        held = Holder(sessions)
        tasks.start_soon(held)
        await settle()
        held.scope.cancel()
        await settle()
        after_cancel = (backend.open, sessions.overview("ann").total)
        backend.creating.set()
        reply = await call(sessions)

    assert after_cancel == (0, 0)
    assert reply.state == "new"


async def test_a_call_cancelled_as_its_sandbox_arrives_leaves_none(
    backend: FakeBackend, clock: VirtualClock
) -> None:
    """The sandbox is there, its caller is gone: it is closed."""
    async with running(backend, clock) as sessions, together() as tasks:
        held = Holder(sessions)
        backend.on_create = lambda sandbox: held.scope.cancel()
        tasks.start_soon(held)
        await held.done.wait()
        await settle()
        left = (backend.open, sessions.overview("ann").total)

    assert len(backend.created) == 1
    assert left == (0, 0)


async def test_a_principal_at_its_own_cap_gives_way_to_itself(
    backend: FakeBackend, clock: VirtualClock
) -> None:
    """Its own oldest idle session goes, not the older one of somebody else."""
    async with running(
        backend, clock, max_sessions=10, max_sessions_per_principal=2, queue_length=0
    ) as sessions:
        other = await call(sessions, principal="bob")
        await clock.advance(1)
        oldest = await call(sessions)
        await clock.advance(1)
        newer = await call(sessions)
        await call(sessions)
        with pytest.raises(SessionNotFound):
            await call(sessions, session_id=oldest.session_id)
        kept = [
            await call(sessions, session_id=newer.session_id),
            await call(sessions, session_id=other.session_id, principal="bob"),
        ]

    assert [each.state for each in kept] == ["continued", "continued"]


async def test_a_principal_at_its_own_cap_holds_up_nobody_else(
    backend: FakeBackend, clock: VirtualClock
) -> None:
    """Its calls wait for its own sessions, in a queue of their own; others pass by them."""
    async with (
        running(
            backend, clock, max_sessions=3, max_sessions_per_principal=1, queue_length=1
        ) as sessions,
        together() as tasks,
    ):
        held, waiting = Holder(sessions), Holder(sessions)
        others = [Holder(sessions, principal=name) for name in ("bob", "cid", "dan")]
        for each in (held, waiting, *others):
            tasks.start_soon(each)
            await settle()
        with pytest.raises(SandboxBusy, match="All 1 sessions that you may have"):
            await call(sessions)
        entered = [each.entered.is_set() for each in (held, waiting, *others)]
        for each in (others[0], held, waiting, *others):
            await each.finish()

    assert entered == [True, False, True, True, False]
    assert [each.error for each in (waiting, *others)] == [None] * 4


async def test_a_call_that_has_its_place_promised_does_not_count_as_waiting(
    backend: FakeBackend, clock: VirtualClock
) -> None:
    """The queue is for those who need somebody to finish, not for those who wait for a close."""
    async with (
        running(backend, clock, max_sessions=2, queue_length=1) as sessions,
        together() as tasks,
    ):
        held = Holder(sessions)
        tasks.start_soon(held)
        await held.entered.wait()
        await call(sessions)
        gate = backend.created[1].hold_close = anyio.Event()
        promised, queued, refused = Holder(sessions), Holder(sessions), Holder(sessions)
        for each in (promised, queued, refused):
            tasks.start_soon(each)
            await settle()
        gate.set()
        for each in (held, promised, queued):
            await each.finish()

    assert (promised.error, queued.error) == (None, None)
    assert isinstance(refused.error, SandboxBusy)


async def test_a_principal_at_its_own_cap_may_wait_for_itself_in_a_full_queue(
    backend: FakeBackend, clock: VirtualClock
) -> None:
    """Those before it wait for something else."""
    async with (
        running(
            backend, clock, max_sessions=2, max_sessions_per_principal=1, queue_length=1
        ) as sessions,
        together() as tasks,
    ):
        ann, bob, cid = (Holder(sessions, principal=name) for name in ("ann", "bob", "cid"))
        again = Holder(sessions, principal="ann")
        for each in (ann, bob, cid, again):
            tasks.start_soon(each)
            await settle()
        waiting = sessions.overview("ann").waiting
        for each in (bob, cid, ann, again):
            await each.finish()

    assert waiting == 2
    assert [each.error for each in (cid, again)] == [None, None]


async def test_a_principal_at_its_own_cap_does_not_wait_for_what_another_gives_up(
    backend: FakeBackend, clock: VirtualClock
) -> None:
    """That place would not help it; its own idle session goes at once."""
    async with (
        running(backend, clock, max_sessions=4, max_sessions_per_principal=1) as sessions,
        together() as tasks,
    ):
        other = await call(sessions, principal="bob")
        await call(sessions, principal="ann")
        gate = backend.created[0].hold_close = anyio.Event()
        tasks.start_soon(sessions.close_session, "bob", other.session_id)
        await settle()
        ann = Holder(sessions, principal="ann")
        tasks.start_soon(ann)
        await settle()
        served = ann.entered.is_set()
        gate.set()
        await ann.finish()

    assert served


async def test_the_answer_to_a_busy_backend_is_to_ask_again_when_it_says(
    backend: FakeBackend, clock: VirtualClock
) -> None:
    """A rate limit of the backend costs the caller time, not an error; without a hint, a second."""
    backend.create_errors = [SandboxBusy("slow down", retry_after=5), SandboxBusy("slow down")]
    async with running(backend, clock) as sessions, together() as tasks:
        held = Holder(sessions)
        tasks.start_soon(held)
        await clock.advance(5.9)
        early = held.entered.is_set()
        await clock.advance(0.1)
        await held.entered.wait()
        await held.finish()

    assert not early
    assert held.error is None


async def test_a_backend_that_stays_busy_is_reported_as_it_put_it(
    backend: FakeBackend, clock: VirtualClock
) -> None:
    """Nobody waits longer than a call may."""
    busy = SandboxBusy("the tier's limit", retry_after=20)
    backend.create_errors = [busy, busy, busy]
    async with (
        running(backend, clock, queue_wait_seconds=30) as sessions,
        together() as tasks,
    ):
        held = Holder(sessions)
        tasks.start_soon(held)
        await clock.advance(20)
        left = sessions.overview("ann").total

    assert held.error is busy
    assert left == 0
    assert len(backend.create_errors) == 1
