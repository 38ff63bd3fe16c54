"""What happens to sessions while nobody looks: expiry, rotation, heartbeats, orphans, readiness."""

import logging
from collections.abc import Callable

import anyio
import pytest
from fakes import FakeBackend, VirtualClock, settle
from session_calls import Holder, call, running, together

from proofbox.server.sandbox import SandboxBusy, SandboxUnavailable
from proofbox.server.sessions import SessionNotFound, SessionSettings

BackendMaker = Callable[[float | None], FakeBackend]


async def test_an_idle_session_is_closed_without_anybody_asking(
    backend: FakeBackend, clock: VirtualClock
) -> None:
    """Its sandbox goes soon after its time is up, and not before."""
    async with running(backend, clock, idle_seconds=100) as sessions:
        await call(sessions)
        await clock.advance(99.9)
        before = backend.open
        await clock.advance(15.1)
        after = backend.open

    assert (before, after) == (1, 0)


async def test_a_session_expires_to_the_second(backend: FakeBackend, clock: VirtualClock) -> None:
    """A look-up does not depend on when the background task last came by."""
    async with running(backend, clock, idle_seconds=100) as sessions:
        handle = (await call(sessions)).session_id
        await clock.advance(99.9)
        alive = await call(sessions, session_id=handle)
        await clock.advance(100)
        listed = sessions.overview("ann").sessions
        with pytest.raises(SessionNotFound):
            await call(sessions, session_id=handle)
        await settle()
        still_open = backend.open

    assert alive.state == "continued"
    assert (listed, still_open) == ((), 0)


async def test_a_running_call_is_not_idle(backend: FakeBackend, clock: VirtualClock) -> None:
    """However long it takes; the time counts from its end."""
    async with (
        running(backend, clock, idle_seconds=100) as sessions,
        together() as tasks,
    ):
        held = Holder(sessions)
        tasks.start_soon(held)
        await held.entered.wait()
        await clock.advance(1000)
        await held.finish()
        await clock.advance(99)
        after = await call(sessions, session_id=held.session_id)

    assert (held.error, after.state) == (None, "continued")


async def test_a_lease_says_how_long_the_session_lives(
    make_backend: BackendMaker, clock: VirtualClock
) -> None:
    """Idle time from the end of the call, and the age at which the sandbox is replaced."""
    backend = make_backend(3600)
    async with running(backend, clock, idle_seconds=1234) as sessions:
        handle = (await call(sessions)).session_id
        await clock.advance(700)
        async with sessions.lease("ann", handle) as lease:
            pass

    assert (lease.expires_in_seconds, lease.rotates_in_seconds) == (1234, 2000)


@pytest.mark.parametrize(
    ("hard_limit", "settings", "rotates_at"),
    [
        (None, {"max_age_seconds": 1000}, 1000),
        (3600.0, {"max_age_seconds": 1000}, 1000),
        (3600.0, {}, 2700),
        (3600.0, {"rotation_margin_seconds": 100}, 3500),
        (1000.0, {}, 500),
    ],
)
async def test_a_sandbox_is_replaced_at_its_age_and_well_before_the_backends_limit(
    make_backend: BackendMaker,
    clock: VirtualClock,
    hard_limit: float | None,
    settings: dict[str, float],
    rotates_at: float,
) -> None:
    """The session goes on in a new one, and the caller is told that state is gone and why."""
    backend = make_backend(hard_limit)
    async with running(backend, clock, idle_seconds=10_000, **settings) as sessions:
        handle = (await call(sessions, "x = 1")).session_id
        await clock.advance(rotates_at - 0.1)
        young = await call(sessions, "x", session_id=handle)
        await clock.advance(0.1)
        old = await call(sessions, "'x' in globals()", session_id=handle)
        after = await call(sessions, session_id=handle)

    assert (young.state, young.text) == ("continued", "1")
    assert (old.state, old.text) == ("reset", "False")
    assert f"maximum age of {rotates_at / 60:.0f} minutes" in old.reset_reason
    assert after.state == "continued"
    assert backend.most_open == 1


async def test_a_sandbox_is_never_replaced_under_a_running_call(
    backend: FakeBackend, clock: VirtualClock
) -> None:
    """A call that began in time ends in the sandbox in which it began; the next one is told."""
    async with (
        running(backend, clock, max_age_seconds=100) as sessions,
        together() as tasks,
    ):
        handle = (await call(sessions)).session_id
        await clock.advance(99)
        held = Holder(sessions, handle)
        tasks.start_soon(held)
        await held.entered.wait()
        await clock.advance(500)
        during = (held.state, backend.created[0].closed, len(backend.created))
        await held.finish()
        after = await call(sessions, session_id=handle)

    assert during == ("continued", False, 1)
    assert after.state == "reset"


async def test_a_worn_sandbox_is_closed_while_its_session_is_idle(
    backend: FakeBackend, clock: VirtualClock
) -> None:
    """Nobody pays for one that will not be used again; the session keeps its handle."""
    async with running(backend, clock, max_age_seconds=100) as sessions:
        handle = (await call(sessions)).session_id
        await clock.advance(115)
        still_open = backend.open
        after = await call(sessions, session_id=handle)

    assert still_open == 0
    assert after.state == "reset"
    assert "maximum age" in after.reset_reason


async def test_a_call_that_comes_while_a_worn_sandbox_closes_gets_a_new_one_after_it(
    backend: FakeBackend, clock: VirtualClock
) -> None:
    """Never two at a time, and the new one is not taken for the old."""
    async with (
        running(backend, clock, max_age_seconds=100) as sessions,
        together() as tasks,
    ):
        handle = (await call(sessions)).session_id
        gate = backend.created[0].hold_close = anyio.Event()
        await clock.advance(106)
        held = Holder(sessions, handle)
        tasks.start_soon(held)
        await settle()
        early = held.entered.is_set()
        gate.set()
        await held.entered.wait()
        await held.finish()
        after = await call(sessions, session_id=handle)

    assert not early
    assert (held.state, after.state) == ("reset", "continued")
    assert (len(backend.created), backend.most_open) == (2, 1)


async def test_heartbeats_keep_every_session_alive_where_sandboxes_die_by_themselves(
    make_backend: BackendMaker, clock: VirtualClock
) -> None:
    """Three in the life of a sandbox, in use or idle, until the session ends."""
    backend = make_backend(3600)
    async with (
        running(backend, clock, ttl_seconds=300, idle_seconds=450) as sessions,
        together() as tasks,
    ):
        idle = await call(sessions)
        held = Holder(sessions)
        tasks.start_soon(held)
        await clock.advance(300)
        during = [list(sandbox.keep_alives) for sandbox in backend.created]
        await clock.advance(165)
        ended = backend.created[0].closed
        await clock.advance(300)
        after = [len(sandbox.keep_alives) for sandbox in backend.created]
        await held.finish()

    assert idle.state == "new"
    assert during == [[300, 300, 300], [300, 300, 300]]
    assert ended
    assert after == [4, 7]


async def test_there_are_no_heartbeats_where_sandboxes_live_as_long_as_the_server(
    backend: FakeBackend, clock: VirtualClock
) -> None:
    """A backend without a hard limit needs none."""
    async with running(backend, clock, ttl_seconds=300) as sessions:
        await call(sessions)
        await clock.advance(600)

    assert backend.created[0].keep_alives == []


async def test_a_heartbeat_that_finds_an_idle_sandbox_gone_has_the_next_call_told(
    make_backend: BackendMaker, clock: VirtualClock
) -> None:
    """At the second failure it is closed, so that nothing is left, and replaced when it is wanted."""
    backend = make_backend(3600)
    async with running(backend, clock, ttl_seconds=300) as sessions:
        handle = (await call(sessions)).session_id
        backend.created[0].lose()
        await clock.advance(100)
        early = backend.open
        await clock.advance(100)
        state = (backend.open, len(backend.created))
        after = await call(sessions, session_id=handle)

    assert early == 1
    assert state == (0, 1)
    assert after.state == "reset"
    assert "lost between two calls" in after.reset_reason


async def test_a_heartbeat_never_takes_the_sandbox_from_a_running_call(
    make_backend: BackendMaker, clock: VirtualClock
) -> None:
    """The call will find out by itself if there is anything to find out."""
    backend = make_backend(3600)
    async with (
        running(backend, clock, ttl_seconds=300) as sessions,
        together() as tasks,
    ):
        held = Holder(sessions)
        tasks.start_soon(held)
        await held.entered.wait()
        backend.created[0].keep_alive_error = SandboxUnavailable("no answer")
        await clock.advance(300)
        closed = backend.created[0].closed
        backend.created[0].keep_alive_error = None
        await held.finish()
        after = await call(sessions, session_id=held.session_id)

    assert not closed
    assert after.state == "continued"


async def test_a_network_that_is_away_now_and_then_costs_no_session_its_state(
    make_backend: BackendMaker, clock: VirtualClock
) -> None:
    """One heartbeat in two fails, for ever."""
    backend = make_backend(10_000)
    async with running(backend, clock, ttl_seconds=300, idle_seconds=5000) as sessions:
        handle = (await call(sessions, "x = 1")).session_id
        for _ in range(5):
            backend.created[0].keep_alive_error = SandboxUnavailable("no network")
            await clock.advance(100)
            backend.created[0].keep_alive_error = None
            await clock.advance(100)
        after = await call(sessions, "x", session_id=handle)

    assert len(backend.created[0].keep_alives) == 5
    assert (after.state, after.text) == ("continued", "1")


@pytest.mark.parametrize("fault", ["hangs", "fails", "breaks"])
async def test_a_heartbeat_that_does_not_get_through_is_tried_again_and_holds_up_no_other(
    make_backend: BackendMaker, clock: VirtualClock, caplog: pytest.LogCaptureFixture, fault: str
) -> None:
    """One sandbox's trouble is not another's, and a single failure is not yet a loss."""
    backend = make_backend(3600)
    async with running(backend, clock, ttl_seconds=300) as sessions:
        troubled, fine = await call(sessions), await call(sessions)
        if fault == "hangs":
            backend.created[0].hold_keep_alive = anyio.Event()
        else:
            busy, bug = SandboxBusy("too many requests"), RuntimeError("a bug")
            backend.created[0].keep_alive_error = busy if fault == "fails" else bug
        await clock.advance(299)
        beats = [len(sandbox.keep_alives) for sandbox in backend.created]
        backend.created[0].hold_keep_alive = backend.created[0].keep_alive_error = None
        await clock.advance(101)
        again = len(backend.created[0].keep_alives)
        after = [await call(sessions, session_id=each.session_id) for each in (troubled, fine)]

    assert beats == [0, 2]
    assert again >= 1
    assert [each.state for each in after] == ["continued", "continued"]
    assert ("Could not extend the life" in caplog.text) == (fault != "hangs")
    assert ("Traceback" in caplog.text) == (fault == "breaks")


async def test_a_heartbeat_to_a_replaced_sandbox_says_nothing_about_the_new_one(
    make_backend: BackendMaker, clock: VirtualClock
) -> None:
    """It was on its way while the sandbox was rotated out, and fails for that reason."""
    backend = make_backend(3600)
    async with running(backend, clock, ttl_seconds=300, max_age_seconds=101) as sessions:
        handle = (await call(sessions)).session_id
        gate = backend.created[0].hold_keep_alive = anyio.Event()
        await clock.advance(101)
        await call(sessions, "x = 1", session_id=handle)
        backend.created[1].keep_alive_error = SandboxUnavailable("no network")
        gate.set()
        # The other beat to the new sandbox fails as well: that makes one, not two.
        await clock.advance(100)
        after = await call(sessions, "x", session_id=handle)

    assert (after.state, after.text) == ("continued", "1")


async def test_a_new_sandbox_does_not_inherit_the_missed_heartbeats_of_the_old(
    make_backend: BackendMaker, clock: VirtualClock
) -> None:
    """One miss each is no loss of either."""
    backend = make_backend(3600)
    backend.on_create = lambda sandbox: setattr(
        sandbox, "keep_alive_error", SandboxUnavailable("no network")
    )
    async with running(backend, clock, ttl_seconds=300, max_age_seconds=150) as sessions:
        handle = (await call(sessions)).session_id
        await clock.advance(150)
        await call(sessions, "x = 1", session_id=handle)
        await clock.advance(50)
        after = await call(sessions, "x", session_id=handle)

    assert len(backend.created) == 2
    assert (after.state, after.text) == ("continued", "1")


async def test_orphans_are_looked_for_at_the_start_and_every_few_minutes(
    backend: FakeBackend, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """A search that fails is logged, and the next one comes all the same."""
    async with running(backend, clock, sweep_seconds=300):
        counts = [backend.sweeps]
        backend.sweep_error = OSError("no network")
        await clock.advance(300)
        backend.sweep_error = None
        counts.append(backend.sweeps)
        await clock.advance(600)
        counts.append(backend.sweeps)

    assert counts == [1, 2, 4]
    assert "Session upkeep failed" in caplog.text


async def test_a_backend_that_cannot_be_reached_is_one_line_of_the_log(
    backend: FakeBackend, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """It says what is wrong, and nobody has to read our traceback for it."""
    backend.sweep_error = SandboxUnavailable("No network.")
    async with running(backend, clock):
        await settle()

    (record,) = caplog.records
    assert (record.levelname, record.exc_info) == ("WARNING", None)
    assert record.getMessage() == "Session upkeep failed; it is tried again later: No network."


async def test_what_a_sweep_killed_is_logged(
    backend: FakeBackend, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """An operator sees that an earlier server died."""
    backend.orphans = 3
    with caplog.at_level(logging.INFO, logger="proofbox"):
        async with running(backend, clock):
            pass

    assert "Killed 3 sandboxes" in caplog.text


async def test_a_server_with_one_principal_warms_up_behind_the_start(
    backend: FakeBackend, clock: VirtualClock
) -> None:
    """The start does not wait for it, and it is done for what a first call will ask."""
    backend.hold_warm_up = anyio.Event()
    async with running(backend, clock, warm_principal="local") as sessions:
        started = len(backend.warmed)
        await call(sessions, principal="local")

    assert started == 1
    assert backend.warmed == [backend.created[0].request]


async def test_a_server_that_does_not_know_its_principals_warms_up_nothing(
    backend: FakeBackend, clock: VirtualClock
) -> None:
    """A sandbox for nobody would help nobody."""
    async with running(backend, clock):
        pass

    assert backend.warmed == []


async def test_a_warm_up_that_fails_stops_nothing(
    backend: FakeBackend, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """The first call will say what is wrong, if it still is."""
    backend.warm_up_error = OSError("no compiler")
    async with running(backend, clock, warm_principal="local") as sessions:
        reply = await call(sessions, principal="local")

    assert reply.state == "new"
    assert "Session upkeep failed" in caplog.text


async def test_a_pool_hands_out_each_sandbox_once_and_is_filled_again(
    backend: FakeBackend, clock: VirtualClock
) -> None:
    """A ready sandbox makes a new session like any other, and another takes its place."""
    async with running(backend, clock, warm_principal="local", pool_size=2) as sessions:
        before = sessions.overview("local")
        backend.creating = anyio.Event()
        first = await call(sessions, "x = 1", principal="local")
        second = await call(sessions, "'x' in globals()", principal="local")
        backend.creating.set()
        await settle()
        after = sessions.overview("local")
        again = await call(sessions, "x", principal="local", session_id=first.session_id)

    assert (before.ready, before.total, before.sessions) == (2, 2, ())
    assert (first.state, second.state, second.text) == ("new", "new", "False")
    assert first.session_id != second.session_id
    assert (after.ready, after.total, len(after.sessions)) == (2, 4, 2)
    assert again.text == "1"


async def test_a_ready_sandbox_never_serves_another_request(
    backend: FakeBackend, clock: VirtualClock
) -> None:
    """Not another owner, nor other packages, nor another purpose, nor hostile code."""
    async with running(backend, clock, warm_principal="local", pool_size=1) as sessions:
        await call(sessions, principal="ann")
        await call(sessions, principal="local", packages=("six",))
        async with sessions.lease("local", purpose="check_pr"):
            pass
        async with sessions.lease("local", shared=False):
            pass
        used = list(backend.created[0].calls)
        ready = sessions.overview("local").ready

    assert (used, ready) == ([], 1)
    assert len(backend.created) == 5


async def test_a_ready_sandbox_gives_way_before_anybodys_session(
    backend: FakeBackend, clock: VirtualClock
) -> None:
    """It holds nobody's state; and the pool is not filled at the cost of a session."""
    async with running(
        backend, clock, warm_principal="local", pool_size=1, max_sessions=2, queue_length=0
    ) as sessions:
        older = await call(sessions, principal="local")
        await clock.advance(1)
        newer_ready = sessions.overview("local").ready
        await call(sessions, principal="bob")
        await clock.advance(60)
        seen = sessions.overview("local")
        kept = await call(sessions, principal="local", session_id=older.session_id)

    assert newer_ready == 1
    assert (seen.ready, seen.total) == (0, 2)
    assert kept.state == "continued"
    assert len(backend.created) == 3


async def test_a_session_from_the_pool_is_in_use_and_idle_like_any_other(
    backend: FakeBackend, clock: VirtualClock
) -> None:
    """Nobody takes it from its call, and it expires after it."""
    async with (
        running(
            backend,
            clock,
            warm_principal="local",
            pool_size=1,
            max_sessions=1,
            queue_length=0,
            idle_seconds=100,
        ) as sessions,
        together() as tasks,
    ):
        held = Holder(sessions, principal="local")
        tasks.start_soon(held)
        await held.entered.wait()
        with pytest.raises(SandboxBusy):
            await call(sessions, principal="bob")
        await held.finish()
        await clock.advance(100)
        with pytest.raises(SessionNotFound):
            await call(sessions, principal="local", session_id=held.session_id)

    assert held.error is None


async def test_a_pool_takes_no_place_from_a_call_that_waits(
    backend: FakeBackend, clock: VirtualClock
) -> None:
    """The place that comes free is the call's."""
    async with (
        running(backend, clock, warm_principal="local", pool_size=1, max_sessions=1) as sessions,
        together() as tasks,
    ):
        held, waiting = Holder(sessions, principal="ann"), Holder(sessions, principal="ann")
        for each in (held, waiting):
            tasks.start_soon(each)
            await settle()
        held.scope.cancel()
        await clock.advance(15)
        entered = waiting.entered.is_set()
        await waiting.finish()

    assert entered
    assert backend.most_open == 1


async def test_ready_sandboxes_do_not_expire_but_are_renewed_at_their_age(
    make_backend: BackendMaker, clock: VirtualClock
) -> None:
    """They are kept alive, and none that is too old is handed out."""
    backend = make_backend(3600)
    async with running(
        backend, clock, warm_principal="local", pool_size=1, idle_seconds=100
    ) as sessions:
        await clock.advance(2690)
        young = (len(backend.created), len(backend.created[0].keep_alives) > 20)
        await clock.advance(10)
        await clock.advance(15)
        renewed = [sandbox.closed for sandbox in backend.created]
        ready = sessions.overview("local").ready

    assert young == (1, True)
    assert (renewed, ready) == ([True, False], 1)


async def test_a_ready_sandbox_that_is_too_old_is_not_handed_out(
    backend: FakeBackend, clock: VirtualClock
) -> None:
    """Even when the background task has not come by yet."""
    async with running(
        backend, clock, warm_principal="local", pool_size=1, max_age_seconds=100
    ) as sessions:
        await clock.advance(100)
        await call(sessions, principal="local")
        used = [list(sandbox.calls) for sandbox in backend.created]

    assert used[0] == []
    assert "run_code" in used[1]


async def test_a_ready_sandbox_that_is_gone_is_replaced_by_another(
    make_backend: BackendMaker, clock: VirtualClock
) -> None:
    """The heartbeat notices, before anybody is given it."""
    backend = make_backend(3600)
    async with running(
        backend, clock, warm_principal="local", pool_size=1, ttl_seconds=300
    ) as sessions:
        backend.created[0].lose()
        await clock.advance(220)
        made = len(backend.created)
        reply = await call(sessions, principal="local")

    assert made == 2
    assert reply.state == "new"
    assert [("run_code" in sandbox.calls) for sandbox in backend.created[:2]] == [False, True]


async def test_a_pool_that_cannot_be_filled_is_tried_again(
    backend: FakeBackend, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """The failure is logged, its place is free, and calls are served meanwhile."""
    backend.create_errors = [SandboxUnavailable("not now")]
    async with running(
        backend, clock, warm_principal="local", pool_size=1, max_sessions=1
    ) as sessions:
        failed = sessions.overview("local")
        await clock.advance(15)
        filled = sessions.overview("local")

    assert (failed.ready, failed.total) == (0, 0)
    assert (filled.ready, filled.total) == (1, 1)
    assert "Session upkeep failed" in caplog.text


async def test_a_call_does_not_depend_on_a_ready_sandbox_that_is_still_being_made(
    backend: FakeBackend, clock: VirtualClock
) -> None:
    """That one fails; the call has its own."""
    backend.creating = anyio.Event()
    backend.create_errors = [SandboxUnavailable("not now")]
    async with (
        running(backend, clock, warm_principal="local", pool_size=1) as sessions,
        together() as tasks,
    ):
        held = Holder(sessions, principal="local")
        tasks.start_soon(held)
        await settle()
        backend.creating.set()
        await held.finish()

    assert (held.error, held.state) == (None, "new")


async def test_a_pool_of_sandboxes_for_nobody_is_refused() -> None:
    """A sandbox has its owner from birth and is never handed to another."""
    with pytest.raises(ValueError, match="one principal"):
        SessionSettings(pool_size=1)
