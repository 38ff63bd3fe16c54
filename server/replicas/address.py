"""Where the store is: what an operator writes, and opening it."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ..values import SettingsError, Unshown
from .store import SharedStore, StoreUnusable

_EXTRAS = {"redis": "redis", "rediss": "redis", "postgresql": "postgres", "postgres": "postgres"}


@dataclass(frozen=True, slots=True, repr=False)
class StoreAddress:
    """An address that may hold a password. As text it shows none."""

    url: str

    @property
    def scheme(self) -> str:
        return urlsplit(self.url).scheme.lower()

    def __str__(self) -> str:
        parts = urlsplit(self.url)
        if self.scheme == "sqlite":
            return f"sqlite://{parts.path}"
        port = "" if parts.port is None else f":{parts.port}"
        return f"{self.scheme}://{parts.hostname or ''}{port}{parts.path}"

    __repr__ = __str__


def store_address(text: str) -> StoreAddress:
    """The address of a store. What is wrong with one is said without it: it may hold a password."""
    wrong = Unshown(
        "must be sqlite:///absolute/path, redis://HOST:PORT/NUMBER or postgresql://HOST:PORT/DATABASE"
    )
    try:
        parts = urlsplit(text)
        found = parts.scheme.lower(), parts.port
    except ValueError:
        raise wrong from None
    if (
        found[0] == "sqlite"
        and not parts.netloc
        and parts.path.startswith("/")
        and parts.path != "/"
    ):
        return StoreAddress(text)
    if found[0] not in _EXTRAS:
        raise wrong
    return StoreAddress(text)


async def open_store(address: StoreAddress) -> SharedStore:
    """The store at an address, which has answered once.

    Raises:
        SettingsError: it cannot be had; the message says why, and no password.
    """
    store = _made(address)
    try:
        await store.holders("replicas")
    except StoreUnusable as error:
        await store.close()
        cause = type(error.__cause__).__name__
        raise SettingsError(
            f"The store {address} cannot be used ({cause}): see that the server runs, that its address, user"
            " and password in PROOFBOX_STORE are right, and that this machine may reach it."
        ) from None
    return store


def _made(address: StoreAddress) -> SharedStore:
    if address.scheme == "sqlite":
        from .sqlite import SqliteStore

        return SqliteStore(Path(unquote(urlsplit(address.url).path)))
    extra = _EXTRAS[address.scheme]
    try:
        if extra == "redis":
            from .redis import RedisStore

            return RedisStore(address.url, str(address))
        from .postgres import PostgresStore

        return PostgresStore(address.url, str(address))
    except ImportError:
        raise SettingsError(
            f"The store {address} needs a driver that is not installed: pip install 'proofbox[{extra}]'."
        ) from None
