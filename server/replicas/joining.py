"""Getting ready to be one of the replicas that share a store."""

from .address import StoreAddress, open_store
from .team import Team


async def team_at(address: StoreAddress | None, sweep_seconds: float) -> Team | None:
    """This replica, for whoever enters it; None without an address. What a dead one leaves is swept within two
    times `sweep_seconds`.

    Raises:
        SettingsError: the store cannot be had.
    """
    return None if address is None else Team(await open_store(address), sweep_seconds / 2)
