"""E2B for several replicas: sandboxes found by their marks, one limit for all, orphans of the dead."""

import sqlite3
from collections.abc import AsyncGenerator, Generator
from contextlib import closing

import anyio
import anyio.to_thread
import pytest
from fakes import VirtualClock
from replica_fakes import SECONDS, World
from session_calls import call
from standin import API_KEY, StandIn

from proofbox.server.replicas.team import SESSIONS, Team
from proofbox.server.sandbox import SandboxBusy, SandboxRequest, SandboxUnavailable
from proofbox.server.sandbox.e2b import E2BBackend
from proofbox.server.sessions import SessionManager

pytestmark = pytest.mark.slow

REQUEST = SandboxRequest(owner="somebody", labels={"session": "s1"})
LONG = 1000.0


@pytest.fixture
def world(clock: VirtualClock) -> Generator[World]:
    """The store of a team."""
    made = World(clock)
    yield made
    made.end()


@pytest.fixture
async def teams(world: World) -> AsyncGenerator[tuple[Team, Team]]:
    """Two replicas that have known of each other for a while."""
    async with world.team() as one, world.team() as other:
        await world.clock.advance(SECONDS)
        yield one, other


def backend_of(team: Team, most: int = 20) -> E2BBackend:
    """A replica's own; waiting for a place takes no time."""
    return E2BBackend(
        api_key=API_KEY, create_rate=100, max_sandboxes=most, patience_seconds=0.2, team=team
    )


async def test_a_sandbox_is_used_from_another_process_as_it_is(
    standin: StandIn, teams: tuple[Team, Team]
) -> None:
    """Variables, other languages and files are there; what the first knew of it is not needed."""
    one, other = (backend_of(team) for team in teams)
    first = await one.create(REQUEST)
    await first.run_code("x = 1")
    await first.run_code("y=2", language="bash")
    await one.let_go(first)
    with pytest.raises(SandboxUnavailable):
        await first.run_code("x")

    second = await other.find(REQUEST, one.mark_of(first))
    assert second is not None
    found = await second.run_code("print('#' * 3); import sys; sys.exit(x)")
    assert (found.outcome, found.stdout.text) == ("exited", "###\n")
    assert (await second.run_code("echo $y", language="bash")).stdout.text.strip() == "2"
    await other.let_go(second)
    third = await one.find(REQUEST, one.mark_of(first))
    assert third is not None

    await third.close()
    assert await other.find(REQUEST, one.mark_of(first)) is None
    assert await teams[0].store.holders("places") == {}
    await one.close()
    await other.close()


async def test_only_the_sandbox_that_is_named_is_kept(
    standin: StandIn, teams: tuple[Team, Team]
) -> None:
    """What else was made for the session is of no use to anybody; other sessions' are left alone."""
    one, other = (backend_of(team) for team in teams)
    stale, wanted = [await one.create(REQUEST) for _ in range(2)]
    await one.create(SandboxRequest(owner="somebody", labels={"session": "s2"}))

    found = await other.find(REQUEST, one.mark_of(wanted))

    assert found is not None
    assert stale.id not in standin.fleet.instances
    await other.kill(REQUEST, one.mark_of(wanted))
    assert len(standin) == 1
    await other.close()
    await one.close()


async def test_the_limit_holds_for_all_replicas_together(
    standin: StandIn, teams: tuple[Team, Team]
) -> None:
    """What one closes, the other may open; E2B is never asked for more."""
    one, other = (backend_of(team, most=2) for team in teams)
    before = standin.fleet.created
    held = [await one.create(REQUEST), await other.create(REQUEST)]

    with pytest.raises(SandboxBusy, match="All 2 sandboxes"):
        await one.create(REQUEST)
    await held[1].close()
    held[1] = await one.create(REQUEST)

    assert standin.fleet.created == before + 3
    for backend in (one, other):
        await backend.close()


async def test_the_place_of_a_sandbox_that_may_live_on_stays_taken(
    standin: StandIn, teams: tuple[Team, Team], world: World
) -> None:
    """Until it must have come to its end by itself."""
    one, other = (backend_of(team, most=1) for team in teams)
    sandbox = await one.create(REQUEST)
    standin.faults.inject("kill_500", times=5)
    await sandbox.close()
    standin.faults.clear()
    with pytest.raises(SandboxBusy):
        await other.create(REQUEST)

    standin.reset()
    await world.clock.advance(LONG)

    await (await other.create(REQUEST)).close()
    await one.close()
    await other.close()


async def test_the_place_of_a_sandbox_that_died_is_free_for_all(
    standin: StandIn, teams: tuple[Team, Team]
) -> None:
    """Once another replica has looked for it, or was told to kill what is left of it."""
    one, other = (backend_of(team, most=1) for team in teams)
    for look in (other.find, other.kill):
        sandbox = await one.create(REQUEST)
        await anyio.to_thread.run_sync(standin.kill, sandbox.id)

        assert not await look(REQUEST, one.mark_of(sandbox))

        assert await teams[0].store.holders("places") == {}
        await one.let_go(sandbox)
    for backend in (one, other):
        await backend.close()


async def test_a_session_whose_sandbox_died_needs_one_place(
    standin: StandIn, teams: tuple[Team, Team], world: World
) -> None:
    """When its next call comes to another replica, there is room for the sandbox that it gets."""
    managers = [
        SessionManager(backend_of(team, most=1), clock=world.clock, team=team) for team in teams
    ]
    with anyio.fail_after(20):
        async with managers[0] as one, managers[1] as other:
            made = (await call(one, "x = 1")).session_id
            (sandbox,) = standin.fleet.instances
            await anyio.to_thread.run_sync(standin.kill, sandbox)

            reply = await call(other, "1", session_id=made)

            assert (reply.state, reply.text) == ("reset", "1")
            assert len(await teams[0].store.holders("places")) == 1
            await other.close_session("ann", made)
            assert await teams[0].store.holders("places") == {}


async def test_who_still_thinks_that_it_has_a_sandbox_takes_no_place_for_it(
    standin: StandIn, teams: tuple[Team, Team], world: World
) -> None:
    """When another replica has ended it; for one that lives there is a place, whatever the store has forgotten."""
    one, other = (backend_of(team, most=1) for team in teams)
    sandbox = await one.create(REQUEST)
    await world.clock.advance(LONG)
    assert await teams[0].store.holders("places") == {}
    await sandbox.keep_alive(300)
    assert list(await teams[0].store.holders("places")) == [sandbox.key]

    await other.kill(REQUEST, "")
    with pytest.raises(SandboxUnavailable):
        await sandbox.keep_alive(300)

    assert await teams[0].store.holders("places") == {}
    for backend in (one, other):
        await backend.close()


async def test_the_place_of_a_start_that_failed_is_free(
    standin: StandIn, teams: tuple[Team, Team]
) -> None:
    """Whatever E2B had made of it."""
    backend = backend_of(teams[0], most=1)
    for fault in ("create_500", "create_400"):
        standin.faults.inject(fault)
        with pytest.raises(Exception, match="E2B"):
            await backend.create(REQUEST)
    with anyio.move_on_after(0.01):
        await backend.create(REQUEST)
    await backend.close()

    assert await teams[0].store.holders("places") == {}


async def test_orphans_of_a_dead_replica_are_killed_by_another(
    standin: StandIn, teams: tuple[Team, Team], world: World
) -> None:
    """Not while it lives, not what a session will be asked for, not another team's, and not one's own."""
    one, other = (backend_of(team) for team in teams)
    orphan = await one.create(SandboxRequest(owner="somebody"))
    claimed = await one.create(REQUEST)
    await teams[0].store.put(SESSIONS, "s1", "{}", seconds=LONG)
    own = await other.create(SandboxRequest(owner="somebody"))
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as elsewhere:
        async with World(world.clock, connection=elsewhere).team() as strangers:
            stranger = backend_of(strangers)
            await stranger.create(REQUEST)
            assert await other.sweep() == 0

            world.cut(teams[0])
            await world.clock.advance(SECONDS + 1)
            assert await other.sweep() == 1

            assert orphan.id not in standin.fleet.instances
            assert {claimed.id, own.id} < set(standin.fleet.instances)
            assert len(standin) == 3
            await stranger.close()
    await other.close()
    await one.close()


async def test_nobody_is_called_dead_by_who_has_just_come(standin: StandIn, world: World) -> None:
    """Nor by who was cut off itself: a store that was emptied knows nobody."""
    async with world.team() as one, world.team() as other:
        makes, sweeps = backend_of(one), backend_of(other)
        await makes.create(REQUEST)
        world.cut(one)
        await world.clock.advance(SECONDS - 1)
        assert await sweeps.sweep() == 0

        world.cut(other)
        await world.clock.advance(SECONDS + 1)
        world.mend(other)
        await world.clock.advance(SECONDS / 2)
        assert await sweeps.sweep() == 0
        await world.clock.advance(SECONDS)
        assert await sweeps.sweep() == 1
        await makes.close()
        await sweeps.close()
