"""One suite for every store that replicas can share: a file, and real servers of Redis and PostgreSQL."""

import logging
import sys
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
import store_servers

from proofbox.server.replicas.address import StoreAddress, open_store, store_address
from proofbox.server.replicas.store import Grant, SharedStore, StoreUnusable, is_key
from proofbox.server.values import SettingsError

HANG_SECONDS = 30
LONG = 1000.0
# What a test waits for to run out.
SHORT = 0.05


@pytest.fixture(scope="module", params=["sqlite", "redis", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    """The address of an empty store."""
    with store_servers.store(request.param, tmp_path_factory.mktemp("store")) as address:
        yield address


@asynccontextmanager
async def opened(url: str) -> AsyncGenerator[SharedStore]:
    """One replica's own connection."""
    store = await open_store(store_address(url))
    with anyio.fail_after(HANG_SECONDS):
        try:
            yield store
        finally:
            await store.close()


@pytest.fixture
async def stores(url: str) -> AsyncGenerator[tuple[SharedStore, SharedStore]]:
    """Two replicas' connections to one store."""
    async with opened(url) as one, opened(url) as other:
        yield one, other


async def test_a_lease_is_had_by_one(stores: tuple[SharedStore, SharedStore]) -> None:
    """Until it is given back, by its owner and nobody else; who has it may take it again."""
    one, other = stores

    assert await one.acquire("had", "a", "one", LONG) == Grant()
    assert await one.acquire("had", "a", "one", LONG) == Grant()
    assert await other.acquire("had", "a", "other", LONG) is None
    assert await other.acquire("had", "b", "other", LONG) == Grant()
    assert await other.holders("had") == {"a": "one", "b": "other"}
    await other.release("had", "a", "other")
    assert await other.acquire("had", "a", "other", LONG) is None
    await one.release("had", "a", "one")
    assert await other.acquire("had", "a", "other", LONG) == Grant()
    assert not await one.renew("had", "a", "one", LONG)
    assert await other.renew("had", "a", "other", LONG)


async def test_a_lease_that_runs_out_is_had_by_the_next_who_is_told_so(
    stores: tuple[SharedStore, SharedStore],
) -> None:
    """Its owner cannot renew it any more, and what it gives back is not the other's."""
    one, other = stores
    await one.acquire("out", "a", "one", SHORT)

    grant = None
    while grant is None:
        grant = await other.acquire("out", "a", "other", LONG)

    assert grant == Grant(broken="one")
    assert not await one.renew("out", "a", "one", LONG)
    await one.release("out", "a", "one")
    assert await one.holders("out") == {"a": "other"}


async def test_a_lease_that_ran_out_cannot_be_renewed(
    stores: tuple[SharedStore, SharedStore],
) -> None:
    """Others may have taken it for dead meanwhile, so its owner has to know."""
    one, other = stores
    await one.acquire("late", "a", "one", SHORT)
    while await other.holders("late"):
        pass

    assert not await one.renew("late", "a", "one", LONG)
    assert await one.acquire("late", "a", "one", LONG) == Grant(broken="one")


async def test_no_more_than_so_many_of_a_group_are_leased(
    stores: tuple[SharedStore, SharedStore],
) -> None:
    """However many ask at one time, on however many replicas; what runs out or comes back is free again."""
    granted: list[str] = []

    async def ask(store: SharedStore, name: str) -> None:
        if await store.acquire("counted", name, name, LONG, most=5) is not None:
            granted.append(name)

    async with anyio.create_task_group() as asking:
        for number in range(12):
            for index, store in enumerate(stores):
                asking.start_soon(ask, store, f"{index}-{number}")

    one, other = stores
    assert len(granted) == len(await one.holders("counted")) == 5
    assert await other.acquire("counted", "late", "late", LONG, most=5) is None
    assert await other.acquire("counted", granted[0], granted[0], LONG, most=5) == Grant()
    await one.release("counted", granted[0], granted[0])
    assert await other.acquire("counted", "late", "late", LONG, most=5) == Grant()


async def test_a_record_is_written_over_only_by_who_knows_it(
    stores: tuple[SharedStore, SharedStore],
) -> None:
    """A version says which it was; a writer who was overtaken writes nothing."""
    one, other = stores

    assert await one.put("known", "a", "first", seconds=LONG, version=0) == 1
    assert await other.put("known", "a", "mine", seconds=LONG, version=0) is None
    assert await other.put("known", "a", "second", "b" * 70_000, seconds=LONG, version=1) == 2
    assert await one.put("known", "a", "third", seconds=LONG, version=1) is None
    found = await one.get("known", "a")

    assert found is not None
    assert (found.key, found.version, found.head, found.size) == ("a", 2, "second", 70_000)
    assert found.body == "b" * 70_000
    assert 0 <= found.age < HANG_SECONDS
    assert await one.put("known", "a", "whatever", seconds=LONG) == 3
    assert not await one.delete("known", "a", version=2)
    assert await one.delete("known", "a", version=3)
    assert not await one.delete("known", "a")
    assert await other.get("known", "a") is None


async def test_records_are_listed_oldest_first_and_without_bodies(
    stores: tuple[SharedStore, SharedStore],
) -> None:
    """Each kind for itself; text is kept as it is."""
    one, other = stores
    odd = "é\n\"'\\ ☃ %s ? :x"
    await one.put("listed", "b", odd, "body", seconds=LONG)
    await other.put("listed", "a", "{}", seconds=LONG)
    await other.put("listed-else", "c", "{}", seconds=LONG)

    found = await one.records("listed")

    assert [(each.key, each.head, each.size, each.body) for each in found] == [
        ("b", odd, 4, None),
        ("a", "{}", 0, None),
    ]


async def test_a_record_lasts_as_long_as_was_said(stores: tuple[SharedStore, SharedStore]) -> None:
    """Then it is as if it had never been; a new one may take its place."""
    one, other = stores
    await one.put("short", "a", "{}", seconds=SHORT)
    while await other.get("short", "a") is not None:
        pass

    assert await other.records("short") == []
    assert not await other.delete("short", "a")
    assert await other.put("short", "a", "{}", seconds=LONG, version=0) is not None


async def test_sums_are_of_all_replicas(stores: tuple[SharedStore, SharedStore]) -> None:
    """Nothing that is added at the same time is lost, and each group is for itself."""
    one, other = stores

    async with anyio.create_task_group() as adding:
        for store in stores * 10:
            adding.start_soon(
                lambda s=store: s.add("day", {"x:usd": 0.25, "y:usd": 1}, seconds=LONG)
            )
    await one.add("day-after", {"x:usd": 3}, seconds=LONG)

    assert await other.add("day", {}, seconds=LONG) == {"x:usd": 5.0, "y:usd": 20.0}


async def test_what_callers_send_is_looked_at_before_it_is_a_key() -> None:
    """A text of theirs may hold anything, and not every store can be asked for that."""
    assert is_key("aB3_-.:/9")
    assert not any(map(is_key, ("", "a\0", "é", "a b", "a" * 201, "a\n", "\ud800")))


async def test_a_store_that_goes_is_said_to_be_gone_without_its_password(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A call can be made again later, and is once the server is back."""
    with store_servers.redis() as url:
        store = await open_store(store_address(url))
    with pytest.raises(StoreUnusable, match="Try again") as caught:
        await store.holders("x")
    await store.close()

    assert caught.value.retry_after
    assert "canary" not in caplog.text
    assert "127.0.0.1" in caplog.text


@pytest.mark.parametrize("scheme", ["redis", "postgresql"])
async def test_a_start_without_its_store_is_refused_without_its_password(scheme: str) -> None:
    """Nobody listens at the port; the sentence says what to look at."""
    address = store_address(f"{scheme}://user:canary@127.0.0.1:1/0")

    with anyio.fail_after(HANG_SECONDS), pytest.raises(SettingsError) as caught:
        await open_store(address)

    assert f"The store {scheme}://127.0.0.1:1/0 cannot be used" in str(caught.value)
    assert "canary" not in f"{caught.value} {address} {address!r}"


async def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    """As is a folder that cannot be written."""
    (tmp_path / "text").write_text("no database" * 1000)

    with pytest.raises(SettingsError, match="cannot be used"):
        await open_store(store_address(f"sqlite://{tmp_path}/text"))


@pytest.mark.parametrize("scheme", ["redis", "postgresql"])
async def test_a_missing_driver_is_named_by_its_extra(
    scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are installed by who needs them."""
    extra = {"redis": "redis", "postgresql": "postgres"}[scheme]
    monkeypatch.delitem(sys.modules, f"proofbox.server.replicas.{extra}", raising=False)
    monkeypatch.setitem(sys.modules, {"redis": "redis.asyncio", "postgres": "psycopg"}[extra], None)

    with pytest.raises(SettingsError, match=rf"pip install 'proofbox\[{extra}\]'"):
        await open_store(StoreAddress(f"{scheme}://127.0.0.1:1/0"))


@pytest.mark.parametrize(
    "text",
    [
        "sqlite://relative",
        "sqlite:///",
        "mysql://u:canary@h/x",
        "redis://h:canary",
        "canary",
        "sqlite:x",
    ],
)
def test_what_is_no_address_is_refused_without_quoting_it(text: str) -> None:
    """It may hold a password."""
    with pytest.raises(ValueError, match="must be sqlite:///") as caught:
        store_address(text)

    assert "canary" not in str(caught.value)


def test_the_drivers_log_no_password(caplog: pytest.LogCaptureFixture, url: str) -> None:
    """Not even where everything is logged."""

    async def use() -> None:
        async with opened(url) as store:
            await store.put("quiet", "a", "{}", seconds=LONG)

    with caplog.at_level(logging.DEBUG):
        anyio.run(use)

    assert "canary" not in caplog.text
