"""What principals use is counted, and limited, by the day of a clock that the test turns."""

import sqlite3
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from fakes import FakeBackend, VirtualClock

from proofbox.server.quotas.allowances import Allowances
from proofbox.server.quotas.quotas import SAVE_SECONDS, OverLimit, Quotas
from proofbox.server.quotas.usage import Key, UsageFile, UsageStore
from proofbox.server.sessions import SessionManager, SessionSettings

# 2026-11-23, 21:00 UTC: three hours are left of the day.
EVENING = 1_795_467_600.0
HOUR = 3600.0


def counting(
    clock: VirtualClock, allowances: Allowances | None = None, store: UsageStore | None = None
) -> Quotas:
    """Quotas by the clock of the test, which begins in the evening."""
    return Quotas(allowances, store=store, clock=clock, now=lambda: EVENING + clock.monotonic())


@asynccontextmanager
async def sessions(
    quotas: Quotas, backend: FakeBackend, clock: VirtualClock
) -> AsyncGenerator[SessionManager]:
    """Sessions that are counted."""
    settings = SessionSettings(idle_seconds=50 * HOUR, max_age_seconds=50 * HOUR)
    with anyio.fail_after(20):
        async with quotas, SessionManager(backend, settings, clock=clock, meter=quotas) as manager:
            yield manager


def test_calls_at_a_time_are_limited_for_each_principal(clock: VirtualClock) -> None:
    """The answer says which limit it is and when to try again; what has ended does not count."""
    quotas = counting(clock, Allowances(calls=2))
    with quotas.call("alice"), quotas.call("alice"):
        with pytest.raises(OverLimit) as caught, quotas.call("alice"):
            pass
        with quotas.call("bob"):
            pass
        running = quotas.running("alice")
    with quotas.call("alice"):
        pass

    assert "the limit on concurrent calls" in str(caught.value)
    assert "Try again when one of them has been answered, or in 5 seconds" in str(caught.value)
    assert (caught.value.limit, caught.value.retry_after) == ("calls", 5)
    assert (running, quotas.running("alice")) == (2, 0)
    assert quotas.refused == {"calls": 1}


async def test_a_sandbox_counts_from_its_creation_to_its_end(
    backend: FakeBackend, clock: VirtualClock
) -> None:
    """Whether it runs anything or not, each for itself, to the principal whose it is."""
    quotas = counting(clock)
    async with sessions(quotas, backend, clock) as manager:
        async with manager.lease("alice") as first:
            await clock.advance(10)
        async with manager.lease("alice"), manager.lease("bob"):
            await clock.advance(10)
        await manager.close_session("alice", first.session_id)
        await clock.advance(100)
        used = [quotas.used(who, "sandbox_seconds") for who in ("alice", "bob", "carol")]

    assert used == [10 + 20 + 100, 10 + 100, 0]
    assert quotas.total("sandbox_seconds") == sum(used)


async def test_time_before_midnight_is_not_of_the_new_day(clock: VirtualClock) -> None:
    """However long nobody has looked."""
    quotas = counting(clock)
    quotas.opened("alice")
    await clock.advance(3 * HOUR + 60)
    quotas.closed("alice")

    assert quotas.used("alice", "sandbox_seconds") == 60


async def test_beyond_the_sandbox_seconds_of_a_day_nothing_runs_until_the_next(
    backend: FakeBackend, clock: VirtualClock
) -> None:
    """Neither in a new sandbox nor in one that is open, whose files can still be read; others go on."""
    quotas = counting(clock, Allowances(sandbox_seconds=HOUR))
    async with sessions(quotas, backend, clock) as manager:
        async with manager.lease("alice") as lease:
            handle = lease.session_id
            await lease.sandbox.write_files({"a": b"1"})
            await clock.advance(HOUR + 60)
            with pytest.raises(OverLimit) as within:
                await lease.sandbox.run_code("1")
        with pytest.raises(OverLimit) as fresh:
            async with manager.lease("alice"):
                pass
        async with manager.lease("alice", handle) as lease:
            content = await lease.sandbox.read_file("a")
            with pytest.raises(OverLimit):
                await lease.sandbox.run_command(["echo"])
        async with manager.lease("bob") as lease:
            others = await lease.sandbox.run_code("1 + 1")
        await clock.advance(2 * HOUR)
        async with manager.lease("alice", handle) as lease:
            after = await lease.sandbox.run_code("1 + 1")

    said = str(fresh.value)
    assert "open for 3,600 seconds today" in said
    assert "the limit on sandbox-seconds a day). Nothing was run." in said
    assert "Try again after 00:00 UTC, in 1 h 59 min." in said
    assert fresh.value.retry_after == 2 * HOUR - 60
    assert str(within.value) == said
    assert content == b"1"
    assert others.outcome == after.outcome == "completed"


async def test_what_was_used_survives_a_restart_and_is_shared(
    tmp_path: Path, clock: VirtualClock
) -> None:
    """Else a server that starts again and again would have no limit."""
    path = tmp_path / "data" / "usage.sqlite3"
    allowances = Allowances(usd=10)
    async with counting(clock, allowances, UsageFile(path)) as before:
        assert before.purse("alice").set_aside(4)
        before.purse("alice").settle(4, 3)
    async with (
        counting(clock, allowances, UsageFile(path)) as here,
        counting(clock, allowances, UsageFile(path)) as there,
    ):
        taken_up = here.used("alice", "usd")
        here.purse("alice").settle(0, 5)
        there.purse("alice").settle(0, 1)
        with anyio.fail_after(20):
            for quotas in (here, there, here):
                await quotas.save()
        told = [quotas.used("alice", "usd") for quotas in (here, there)]
        enough = here.purse("alice").set_aside(1)
        too_much = here.purse("alice").set_aside(0.01)
        await clock.advance(4 * HOUR)
        tomorrow = there.used("alice", "usd")

    assert taken_up == 3
    assert told == [9, 9]
    assert (enough, too_much) == (True, False)
    assert tomorrow == 0
    assert b"alice" not in path.read_bytes()
    assert path.stat().st_mode & 0o777 == 0o600


async def test_a_store_that_fails_costs_nobody_a_call(
    clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """What it did not take is given to it again; the log says it once."""

    class Failing:
        """Fails until it is mended."""

        def __init__(self) -> None:
            self.broken = True
            self.got: list[Mapping[Key, float]] = []

        async def exchange(self, day: int, added: Mapping[Key, float]) -> Mapping[Key, float]:
            if self.broken:
                raise sqlite3.OperationalError("disk is full")
            self.got.append(dict(added))
            return added

    store = Failing()
    async with counting(clock, Allowances(usd=1), store) as quotas:
        quotas.purse("alice").settle(0, 0.5)
        await clock.advance(3 * SAVE_SECONDS)
        meanwhile = quotas.purse("alice").set_aside(0.6)
        store.broken = False
        await clock.advance(SAVE_SECONDS)

    assert not meanwhile
    assert [list(added.values()) for added in store.got[:1]] == [[0.5]]
    assert [record.message for record in caplog.records].count(
        "What principals use cannot be written down now: disk is full"
    ) == 1


def test_what_is_set_aside_cannot_be_spent_twice(clock: VirtualClock) -> None:
    """By one principal over all that they run; what it did not cost can be."""
    quotas = counting(clock, Allowances(usd=1))
    one, other = quotas.purse("alice"), quotas.purse("alice")
    took = [one.set_aside(0.6), other.set_aside(0.6), quotas.purse("bob").set_aside(0.6)]
    one.settle(0.6, 0.1)
    again = [other.set_aside(0.9), other.set_aside(0.001)]

    assert took == [True, False, True]
    assert again == [True, False]
    assert one.reason() == (
        "your limit on model cost, $1.00 a day, has no room for another answer ($0.1000 were spent today)."
        " Try again after 00:00 UTC, in 3 h 0 min"
    )
    assert one.is_limited
    assert not counting(clock).purse("alice").is_limited
