"""Jobs of several replicas: any of them answers about those of the others, and none is silently gone."""

from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import pytest
from fakes import VirtualClock, settle
from replica_fakes import SECONDS, World

from proofbox.server.jobs import JobNotFound, Jobs, JobSettings, Progress, Report
from proofbox.server.quotas.usage import SharedUsage, key_of
from proofbox.server.replicas.store import StoreUnusable
from proofbox.server.replicas.team import Team

HANG_SECONDS = 20


@pytest.fixture
def world(clock: VirtualClock) -> Generator[World]:
    """The store of a team."""
    made = World(clock)
    yield made
    made.end()


@dataclass(frozen=True)
class Two:
    """The jobs of two replicas."""

    a: Jobs
    b: Jobs
    team: Team
    """That of the first."""


@asynccontextmanager
async def two(world: World, tmp_path: Path, **settings: int) -> AsyncGenerator[Two]:
    """Both run, and have known of each other for a while."""
    clock = world.clock
    with anyio.fail_after(HANG_SECONDS):
        async with world.team() as one, world.team() as other:
            chosen, now = JobSettings(**settings), clock.monotonic
            a = Jobs(tmp_path / "a", chosen, clock=clock, now=now, team=one)
            b = Jobs(tmp_path / "b", chosen, clock=clock, now=now, team=other)
            async with a, b:
                await clock.advance(SECONDS)
                yield Two(a, b, one)


async def for_ever(progress: Progress) -> Report:
    """Work that goes on until it is told to stop."""
    progress.report(3, 9, "three")
    await anyio.Event().wait()
    return {}


async def quick(progress: Progress) -> Report:
    """Work that is done at once."""
    return {"verdict": "passed", "reason": "all is well", "text": "é" * 5000}


async def test_any_replica_has_the_report(world: World, tmp_path: Path) -> None:
    """Whole, and in the list with its verdict; for the principal alone."""
    async with two(world, tmp_path) as each:
        job_id = await each.a.start("ann", "kind", quick)
        await each.a.wait("ann", job_id, 1)

        state = await each.b.wait("ann", job_id)
        listed = await each.b.recent("ann")

        assert (state.state, state.report) == ("finished", await quick(Progress()))
        assert [(one.job.job_id, one.verdict, one.said) for one in listed] == [
            (job_id, "passed", "all is well")
        ]
        assert await each.b.recent("bob") == []
        for who, which in (("bob", job_id), ("ann", "unknown"), ("ann", "a b\0"), ("ann", "é")):
            with pytest.raises(JobNotFound):
                await each.b.wait(who, which)


async def test_any_replica_sees_how_far_a_job_is_and_can_cancel_it(
    world: World, tmp_path: Path
) -> None:
    """The replica that runs it hears of that when it next writes it down."""
    async with two(world, tmp_path) as each, anyio.create_task_group() as tasks:
        job_id = await each.a.start("ann", "kind", for_ever)
        await world.clock.advance(10)
        state = await each.b.wait("ann", job_id)
        assert (state.state, state.done, state.total) == ("running", 3, 9)

        tasks.start_soon(each.b.cancel, "ann", job_id)
        await settle()
        await world.clock.advance(20)

        for jobs in (each.a, each.b):
            assert (await jobs.wait("ann", job_id)).state == "cancelled"


async def test_a_job_whose_replica_died_is_marked(world: World, tmp_path: Path) -> None:
    """Not before it is certain; and should it live after all, its end is the end."""
    async with two(world, tmp_path) as each:
        finish = anyio.Event()

        async def work(progress: Progress) -> Report:
            await finish.wait()
            return {"verdict": "passed"}

        job_id = await each.a.start("ann", "kind", work)
        world.cut(each.team)
        await world.clock.advance(SECONDS - 1)
        assert (await each.b.wait("ann", job_id)).state == "running"
        await world.clock.advance(2)

        (listed,) = await each.b.recent("ann")
        state = await each.b.wait("ann", job_id)
        assert state.state == listed.job.state == "interrupted"
        assert "The replica of proofbox that ran it has ended without a report" in state.reason

        world.mend(each.team)
        finish.set()
        await settle()
        assert (await each.b.wait("ann", job_id)).state == "finished"


async def test_without_the_store_jobs_are_kept_in_memory(world: World, tmp_path: Path) -> None:
    """Their replica answers, and warns; the other knows nothing of them until the store is back. Whether it has others
    cannot be told, and is not denied.
    """
    async with two(world, tmp_path) as each:
        world.cut(each.team)
        job_id = await each.a.start("ann", "kind", quick)
        state = await each.a.wait("ann", job_id, 1)
        assert state.state == "finished"
        assert "lost when this replica ends" in state.warning
        with pytest.raises(JobNotFound):
            await each.b.wait("ann", job_id)
        for asking in (each.a.wait, each.a.cancel):
            with pytest.raises(StoreUnusable, match="Try again"):
                await asking("ann", "one-of-the-other")

        world.mend(each.team)
        await world.clock.advance(10)
        assert (await each.b.wait("ann", job_id)).state == "finished"


async def test_the_oldest_reports_make_room(world: World, tmp_path: Path) -> None:
    """Beyond the size that all may have, but never the newest."""
    async with two(world, tmp_path, max_bytes=12_000) as each:
        jobs = [await each.a.start("ann", "kind", quick) for _ in range(2)]
        await settle()
        await world.clock.advance(100)
        last = await each.b.start("ann", "kind", quick)
        await settle()

        assert (await each.a.wait("ann", last)).state == "finished"
        with pytest.raises(JobNotFound):
            await each.a.wait("ann", jobs[0])


async def test_what_principals_use_is_counted_over_all_replicas(world: World) -> None:
    """A day for itself, as the file of one host has it."""
    async with world.team() as one, world.team() as other:
        key = key_of("ann", "usd")
        await SharedUsage(one.store).exchange(7, {key: 1.5, key_of("bob", "usd"): 4})
        await SharedUsage(other.store).exchange(8, {key: 9})

        assert (await SharedUsage(other.store).exchange(7, {key: 2}))[key] == 3.5
