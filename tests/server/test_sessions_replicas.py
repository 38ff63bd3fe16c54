"""Sessions that several replicas serve: one at a time, found again, and told what was lost."""

from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio
import pytest
from fakes import FakeBackend, VirtualClock, settle
from replica_fakes import SECONDS, Replica, TeamFakeBackend, World
from session_calls import Holder, call, together

from proofbox.server.sandbox import InvalidInput, SandboxBusy, SandboxUnavailable
from proofbox.server.sessions import SessionNotFound

HANG_SECONDS = 20


@pytest.fixture
def backend() -> Generator[TeamFakeBackend]:
    """What all replicas reach; none of its sandboxes may stay open."""
    made = TeamFakeBackend()
    yield made
    assert made.open == 0


@pytest.fixture
def world(clock: VirtualClock, backend: TeamFakeBackend) -> Generator[World]:
    """A store and sandboxes for replicas to share."""
    made = World(clock, backend)
    yield made
    made.end()


@dataclass(frozen=True)
class Two:
    """Two replicas."""

    a: Replica
    b: Replica


@asynccontextmanager
async def two(world: World) -> AsyncGenerator[Two]:
    """Both run, and each knows that the other does."""
    with anyio.fail_after(HANG_SECONDS):
        async with world.replica() as a, world.replica() as b:
            await world.clock.advance(SECONDS)
            yield Two(a, b)


async def note_of(replica: Replica, session_id: str, code: str = "None") -> tuple[str, str, str]:
    """What a call is told: the state, why it was lost, what else was."""
    async with replica.sessions.lease("ann", session_id) as lease:
        await lease.run(lambda sandbox: sandbox.run_code(code))
        return lease.state, lease.reset_reason, lease.note


async def test_any_replica_goes_on_with_a_session(world: World, backend: TeamFakeBackend) -> None:
    """Variables are there wherever the next call comes, and nothing is said of it."""
    async with two(world) as each:
        first = await call(each.a.sessions, "x = 1")
        replies = [
            await call(replica.sessions, "x = x + 1; x", session_id=first.session_id)
            for replica in (each.b, each.b, each.a, each.b)
        ]

        assert [reply.text for reply in replies] == ["2", "3", "4", "5"]
        assert {(reply.state, reply.reset_reason) for reply in replies} == {("continued", "")}
        assert (await note_of(each.a, first.session_id))[2] == ""
        assert len(backend.created) == 1


@pytest.mark.parametrize("handle", ["", "unknown", "a b", "a\0", "\ud800", "é", "a" * 300])
async def test_what_was_never_a_session_is_none_on_any_replica(world: World, handle: str) -> None:
    """Whatever a caller sends for one."""
    async with two(world) as each:
        with pytest.raises(SessionNotFound):
            await call(each.b.sessions, session_id=handle)


async def test_another_principals_session_reads_like_none(world: World) -> None:
    """To use and to close, on a replica that does not know it and on one that does."""
    async with two(world) as each:
        theirs = (await call(each.a.sessions)).session_id

        for replica in (each.a, each.b):
            with pytest.raises(SessionNotFound):
                await call(replica.sessions, session_id=theirs, principal="bob")
            with pytest.raises(SessionNotFound):
                await replica.sessions.close_session("bob", theirs)
        assert (await note_of(each.b, theirs))[0] == "continued"


async def test_a_session_keeps_its_packages_wherever_it_is(world: World) -> None:
    """They were chosen when it began."""
    async with two(world) as each:
        made = (await call(each.a.sessions, packages=("scipy",))).session_id

        await call(each.b.sessions, session_id=made, packages=("SciPy",))
        with pytest.raises(InvalidInput, match="created without numpy"):
            await call(each.b.sessions, session_id=made, packages=("numpy",))


async def test_one_replica_at_a_time_runs_a_call_in_a_session(world: World) -> None:
    """The other waits for it."""
    async with two(world) as each, together() as tasks:
        made = (await call(each.a.sessions)).session_id
        first, second = Holder(each.a.sessions, made), Holder(each.b.sessions, made)
        tasks.start_soon(first)
        await first.entered.wait()
        tasks.start_soon(second)
        # Longer than a lease lasts that is not renewed.
        await world.clock.advance(0.9 * SECONDS)
        assert not second.entered.is_set()

        await first.finish()
        await world.clock.advance(1)
        assert second.entered.is_set()
        assert second.state == "continued"
        await second.finish()


async def test_who_waits_too_long_for_another_replica_is_told_to_come_back(world: World) -> None:
    """As where one replica has a queue; the call that runs is not disturbed."""
    world.settings["queue_wait_seconds"] = 60.0
    async with two(world) as each, together() as tasks:
        made = (await call(each.a.sessions)).session_id
        first, second = Holder(each.a.sessions, made), Holder(each.b.sessions, made)
        tasks.start_soon(first)
        await first.entered.wait()
        tasks.start_soon(second)
        await world.clock.advance(61)

        assert isinstance(second.error, SandboxBusy)
        assert second.error.retry_after == 60
        await first.finish()
        assert first.error is None


async def test_a_session_whose_replica_died_is_taken_over_with_what_it_had(
    world: World, backend: TeamFakeBackend
) -> None:
    """The next call goes on, and is told once what went with the replica."""
    async with two(world) as each:
        made = (await call(each.a.sessions, "x = 41")).session_id
        each.a.store.cut = True
        await world.clock.advance(SECONDS + 1)

        told = await note_of(each.b, made, "x += 1")
        again = await note_of(each.b, made)

        assert told[:2] == ("continued", "")
        assert told[2].endswith("has ended; variables and files are as they were.")
        assert again == ("continued", "", "")
        assert (await call(each.b.sessions, "x", session_id=made)).text == "42"
        assert len(backend.created) == 1


async def test_what_another_replica_keeps_of_a_session_is_said_to_be_missing(world: World) -> None:
    """Plots and cut output are in the memory of the replica that ran the code."""
    world.keeps = lambda handle: True
    async with two(world) as each:
        made = (await call(each.a.sessions)).session_id

        assert (
            "plots and cut output of those calls cannot be read here"
            in (await note_of(each.b, made))[2]
        )
        assert (await note_of(each.b, made))[2] == ""


async def test_a_sweep_keeps_alive_what_a_dead_replica_left(
    world: World, backend: TeamFakeBackend
) -> None:
    """Else it would die before its next call; it expires as it would have."""
    async with two(world) as each:
        made = (await call(each.a.sessions)).session_id
        each.a.store.cut = True
        (sandbox,) = backend.created
        await world.clock.advance(4 * SECONDS)
        sandbox.keep_alives.clear()
        await world.clock.advance(300)

        assert len(sandbox.keep_alives) >= 3 * 2  # both think that it is theirs
        assert "has ended" in (await note_of(each.b, made))[2]
        await world.clock.advance(1000)
        assert sandbox.closed


async def test_a_call_whose_replica_died_is_told_of_by_the_next(world: World) -> None:
    """It may have run in part; and the replica, if it lives after all, stops it."""
    async with two(world) as each, together() as tasks:
        made = (await call(each.a.sessions, "x = 1")).session_id
        holder = Holder(each.a.sessions, made)
        tasks.start_soon(holder)
        await holder.entered.wait()
        each.a.store.cut = True
        await world.clock.advance(SECONDS + 1)

        told = await note_of(each.b, made)

        assert told[:2] == ("continued", "")
        assert "ended in the middle of it" in told[2]
        assert isinstance(holder.error, SandboxUnavailable)
        assert holder.error.may_have_started
        # When it is back, it takes what has happened for what it is.
        each.a.store.cut = False
        assert (await note_of(each.a, made)) == ("continued", "", "")


async def test_a_sandbox_that_died_with_its_replica_is_replaced_and_that_is_said(
    world: World, backend: TeamFakeBackend
) -> None:
    """The session goes on from nothing."""
    async with two(world) as each:
        made = (await call(each.a.sessions, "x = 1")).session_id
        each.a.store.cut = True
        await backend.created[0].close()
        await world.clock.advance(SECONDS + 1)

        told = await note_of(each.b, made)

        assert told[0] == "reset"
        assert "has ended, and the sandbox with it" in told[1]
        assert (await note_of(each.b, made)) == ("continued", "", "")


@pytest.mark.parametrize("is_dead", [False, True])
async def test_what_a_replica_lost_and_could_not_end_is_ended_by_another(
    world: World, backend: TeamFakeBackend, monkeypatch: pytest.MonkeyPatch, is_dead: bool
) -> None:
    """By a sweep if it has died, or before the session's next call gets another."""

    async def fails() -> None:
        raise OSError("for a while")

    async with two(world) as each:
        made = (await call(each.a.sessions)).session_id
        (sandbox,) = backend.created
        sandbox.lose(started=True)
        with monkeypatch.context() as patch:
            patch.setattr(sandbox, "close", fails)
            with pytest.raises(SandboxUnavailable):
                await call(each.a.sessions, session_id=made)
            await settle()
        assert backend.open == 1
        if is_dead:
            each.a.store.cut = True
            await world.clock.advance(4 * SECONDS)
            assert backend.open == 0

        assert (await call(each.b.sessions, session_id=made)).state == "reset"

        assert sandbox.closed
        assert backend.open == 1


async def test_a_session_that_another_replica_uses_does_not_expire_here(
    world: World, backend: TeamFakeBackend
) -> None:
    """And one that nobody uses expires once, everywhere."""
    async with two(world) as each:
        made = (await call(each.a.sessions, "x = 1")).session_id
        for _ in range(3):
            await world.clock.advance(600)
            await call(each.b.sessions, "x", session_id=made)
        assert (await call(each.a.sessions, "x", session_id=made)).text == "1"
        await world.clock.advance(1000)

        assert backend.open == 0
        for replica in (each.a, each.b):
            with pytest.raises(SessionNotFound):
                await call(replica.sessions, session_id=made)


async def test_a_session_can_be_closed_on_any_replica(
    world: World, backend: TeamFakeBackend
) -> None:
    """It is gone at once, for all of them; a call that runs in it on another ends."""
    async with two(world) as each:
        idle = (await call(each.a.sessions)).session_id
        await each.b.sessions.close_session("ann", idle)
        assert backend.open == 0
        for replica in (each.a, each.b):
            with pytest.raises(SessionNotFound):
                await call(replica.sessions, session_id=idle)
            with pytest.raises(SessionNotFound):
                await replica.sessions.close_session("ann", idle)

        busy = (await call(each.a.sessions)).session_id
        backend.created[-1].hold_calls = anyio.Event()
        async with together() as tasks:

            async def run() -> None:
                with pytest.raises(SandboxUnavailable):
                    await call(each.a.sessions, "x = 1", session_id=busy)

            tasks.start_soon(run)
            await settle()
            await each.b.sessions.close_session("ann", busy)
        assert backend.open == 0


async def test_a_replica_that_ends_leaves_its_sessions_to_another(
    world: World, backend: TeamFakeBackend
) -> None:
    """As in a rolling restart; the last one closes everything."""
    with anyio.fail_after(HANG_SECONDS):
        async with world.replica() as b:
            async with world.replica() as a:
                made = (await call(a.sessions, "x = 1")).session_id
                once = await call(a.sessions, "y = 1")
                await a.sessions.close_session("ann", once.session_id)
            assert backend.open == 1
            await world.clock.advance(SECONDS)

            assert (await note_of(b, made, "assert x == 1"))[0] == "continued"
        assert backend.open == 0


async def test_a_session_that_nobody_was_told_of_is_known_to_nobody(
    world: World, backend: TeamFakeBackend
) -> None:
    """One whose first call fails ends with it, and one for a single piece of work is never written down."""
    async with two(world) as each:
        with pytest.raises(ZeroDivisionError):
            async with each.a.sessions.lease("ann"):
                raise ZeroDivisionError
        async with each.a.sessions.lease_once("ann", purpose="work"):
            assert await each.a.team.claimed() == frozenset()
        await settle()

        assert await each.a.team.claimed() == frozenset()
        assert backend.open == 0


async def test_room_is_made_by_ending_what_was_unused_the_longest_anywhere(
    world: World, backend: TeamFakeBackend
) -> None:
    """Not what a call runs in, and not the newest."""
    async with two(world) as each, together() as tasks:
        busy = (await call(each.a.sessions)).session_id
        holder = Holder(each.a.sessions, busy)
        tasks.start_soon(holder)
        await holder.entered.wait()
        sessions: list[str] = []
        for replica in (each.a, each.b):
            sessions.append((await call(replica.sessions)).session_id)
            await world.clock.advance(1)

        await each.b.team.make_room()

        with pytest.raises(SessionNotFound):
            await call(each.a.sessions, session_id=sessions[0])
        assert (await call(each.b.sessions, session_id=sessions[1])).state == "continued"
        assert backend.open == 2
        await holder.finish()
        assert holder.error is None


async def test_without_its_store_a_replica_says_so_and_goes_on_when_it_is_back(
    world: World, backend: TeamFakeBackend
) -> None:
    """A new session is known to its replica alone, until its next call."""
    async with two(world) as each:
        made = (await call(each.a.sessions, "x = 1")).session_id
        each.a.store.cut = True
        with pytest.raises(SandboxBusy, match="Try again in a moment"):
            await call(each.a.sessions, session_id=made)
        fresh = (await call(each.a.sessions, "y = 2")).session_id
        each.a.store.cut = False

        assert (await call(each.a.sessions, "x", session_id=made)).text == "1"
        assert (await call(each.a.sessions, "y", session_id=fresh)).text == "2"
        assert (await call(each.b.sessions, "y", session_id=fresh)).text == "2"


async def test_sandboxes_of_one_machine_are_out_of_reach_for_others(clock: VirtualClock) -> None:
    """While its replica lives the call is to go there; when it is dead they are, and that is said."""
    backend = FakeBackend()
    world = World(clock, backend)
    async with two(world) as each:
        made = (await call(each.a.sessions, "x = 1")).session_id
        with pytest.raises(SandboxUnavailable, match="on that one's own machine"):
            await call(each.b.sessions, session_id=made)
        each.a.store.cut = True
        await clock.advance(SECONDS + 1)

        told = await note_of(each.b, made)

        assert told[0] == "reset"
        assert "has ended, and the sandbox with it" in told[1]
        assert (await note_of(each.b, made))[0] == "continued"
    world.end()
    # What the other has is its own; a process that is dead takes it along.
    assert backend.open <= 1
