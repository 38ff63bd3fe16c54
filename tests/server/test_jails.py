"""Which jails are kept and which are closed, with jails that only say so."""

from collections.abc import Awaitable, Callable

import anyio
import pytest
from fakes import settle

from proofbox.server.sandbox import SandboxUnavailable
from proofbox.server.sandbox.local.jails import Jails


class Jail:
    """One that is open until it is closed, which may take a while."""

    def __init__(self) -> None:
        self.sessions = 0
        self.idle_since = 0.0
        self.alive = True
        self.may_close = anyio.Event()
        self.may_close.set()

    async def close(self) -> None:
        """As a jail."""
        self.alive = False
        await self.may_close.wait()


class Time:
    """What the test says."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def made(jails: list[Jail]) -> Callable[[], Awaitable[Jail]]:
    """What starts a jail, and remembers it."""

    async def start() -> Jail:
        await anyio.lowlevel.checkpoint()
        jails.append(Jail())
        return jails[-1]

    return start


async def test_a_jail_that_was_taken_is_closed_by_nobody() -> None:
    """However many others are taken and left at the same time: an owner's first call would find it gone."""
    started: list[Jail] = []
    jails: Jails[Jail] = Jails()
    taken: list[bool] = []

    async def use(owner: int) -> None:
        jail = await jails.take((owner,), made(started))
        jail.may_close = anyio.Event()
        await settle()
        taken.append(jail.alive)
        jails.leave(jail)

    async with anyio.create_task_group() as owners:
        for owner in range(40):
            owners.start_soon(use, owner)
    for jail in started:
        jail.may_close.set()
    alive = sum(jail.alive for jail in started)
    await jails.close()

    assert taken == [True] * 40
    assert (alive, len(jails)) == (8, 0)


async def test_the_ones_kept_are_those_used_last_and_fewer_after_a_while() -> None:
    """A team comes back to its own; what nobody has come back to for minutes is memory."""
    started: list[Jail] = []
    time = Time()
    jails: Jails[Jail] = Jails(now=time)
    for owner in (*range(10), 3):
        jails.leave(await jails.take((owner,), made(started)))
    await settle()
    kept = [number for number, jail in enumerate(started) if jail.alive]
    time.seconds = 299
    jails.close_unused()
    soon = len(jails)
    time.seconds = 301
    jails.close_unused()
    await settle()
    later = [number for number, jail in enumerate(started) if jail.alive]

    assert kept == [2, 3, 4, 5, 6, 7, 8, 9]
    assert soon == 8
    assert later == [3, 9]


async def test_calls_at_the_same_time_share_a_jail_that_is_started_once() -> None:
    """And one that has ended meanwhile is replaced."""
    started: list[Jail] = []
    jails: Jails[Jail] = Jails()
    async with anyio.create_task_group() as calls:
        for _ in range(3):
            calls.start_soon(jails.take, ("owner",), made(started))
    sessions = [jail.sessions for jail in started]
    started[0].alive = False
    await jails.take(("owner",), made(started))

    assert sessions == [3]
    assert [jail.sessions for jail in started] == [3, 1]
    assert len(jails) == 1


async def test_none_is_started_once_they_are_closed_and_none_is_left() -> None:
    """Not even one that was being started."""
    started: list[Jail] = []
    jails: Jails[Jail] = Jails()
    begun, go = anyio.Event(), anyio.Event()

    async def slowly() -> Jail:
        begun.set()
        await go.wait()
        started.append(Jail())
        return started[-1]

    async def take() -> None:
        with pytest.raises(SandboxUnavailable):
            await jails.take(("owner",), slowly)

    async with anyio.create_task_group() as calls:
        calls.start_soon(take)
        await begun.wait()
        await jails.close()
        go.set()
    with pytest.raises(SandboxUnavailable):
        await jails.take(("owner",), slowly)

    assert [jail.alive for jail in started] == [False]
