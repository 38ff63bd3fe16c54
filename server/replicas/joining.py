"""Getting ready to be one of the replicas that share a store."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from .address import StoreAddress, open_store
from .team import Team

_NEVER = float("inf")


async def team_at(address: StoreAddress | None, sweep_seconds: float) -> Team | None:
    """This replica, for whoever enters it; None without an address. What a dead one leaves is swept within two
    times `sweep_seconds`.

    Raises:
        SettingsError: the store cannot be had.
    """
    return None if address is None else Team(await open_store(address), sweep_seconds / 2)


@asynccontextmanager
async def looking_on(address: StoreAddress) -> AsyncGenerator[Team]:
    """The replicas, for whoever is none of them: it is not entered, so the others do not hear of it and it calls none
    of them dead.

    Raises:
        SettingsError: the store cannot be had.
    """
    store = await open_store(address)
    try:
        yield Team(store, _NEVER)
    finally:
        await store.close()
