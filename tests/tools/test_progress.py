"""Progress while code runs: new lines as they come, and a sign of life in between."""

import asyncio

import anyio
import pytest

from proofbox.tools._progress import Feed, reporting


class Told:
    """What was told, and a way to wait for it."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._changed = anyio.Event()

    async def tell(self, elapsed: float, line: str) -> None:
        assert elapsed >= 0
        self.lines.append(line)
        self._changed.set()

    async def wait_for(self, count: int) -> None:
        """Until so many lines were told."""
        with anyio.fail_after(10):
            while len(self.lines) < count:
                self._changed = anyio.Event()
                await self._changed.wait()


async def test_new_lines_are_told_once_each_and_cleaned() -> None:
    """The newest that says something, of the stream that spoke last."""
    feed, told = Feed(), Told()

    async with reporting(feed, told.tell, lambda: "", interval=0.001):
        feed.on_output("stdout", "one\n\x1b[1mtwo\x1b[0m\n\n")
        await told.wait_for(1)
        feed.on_output("stderr", "three")
        await told.wait_for(2)

    assert told.lines == ["two", "three"]


async def test_silence_is_broken_by_a_heartbeat() -> None:
    """A host gives up on a call that says nothing."""
    feed, told = Feed(), Told()

    async with reporting(feed, told.tell, lambda: "", heartbeat=0.0, interval=0.001):
        await told.wait_for(2)

    assert set(told.lines) == {"running for 0 s"}


async def test_waiting_for_a_sandbox_tells_what_for_until_the_code_starts() -> None:
    """Building an environment can take minutes; once the code runs, it is old news."""
    feed, told = Feed(), Told()

    async with reporting(feed, told.tell, lambda: "building", heartbeat=1000, interval=0.001):
        await told.wait_for(1)
        feed.started = True
        feed.on_output("stdout", "running\n")
        await told.wait_for(2)

    assert told.lines == ["building", "running"]


async def test_an_error_in_the_block_comes_out_as_it_is() -> None:
    """Not in a group."""
    with pytest.raises(KeyError):
        async with reporting(Feed(), Told().tell, lambda: ""):
            raise KeyError


def test_progress_is_told_on_a_loop_that_anyio_did_not_start() -> None:
    """Whoever embeds the server may run it by `asyncio.run`."""
    told = Told()

    async def main() -> None:
        async with reporting(Feed(), told.tell, lambda: "waiting", interval=0.001):
            await told.wait_for(1)

    asyncio.run(main())

    assert told.lines == ["waiting"]


async def test_nothing_is_told_after_the_block() -> None:
    """The client has its answer by then."""
    feed, told = Feed(), Told()

    async with reporting(feed, told.tell, lambda: "", heartbeat=0.0, interval=0.001):
        await told.wait_for(1)
    count = len(told.lines)
    feed.on_output("stdout", "late\n")
    await anyio.wait_all_tasks_blocked()

    assert len(told.lines) == count


def test_what_was_heard_is_bounded_and_passed_on() -> None:
    """The end of each stream is kept, and a listener hears all of it."""
    heard: list[str] = []
    feed = Feed(lambda stream, text: heard.append(f"{stream}: {text}"))

    feed.on_output("stdout", "a" * 100_000)
    feed.on_output("stdout", "b")
    feed.on_output("stderr", "c")

    assert len(feed.heard["stdout"]) == 8000
    assert feed.heard["stdout"].endswith("ab")
    assert [text[:9] for text in heard] == ["stdout: a", "stdout: b", "stderr: c"]
