"""Both vendors' SDKs, which are made alike: their clients, and their errors as ours."""

from collections.abc import Mapping
from functools import cached_property
from importlib import import_module
from types import ModuleType
from typing import Generic, Protocol, TypeVar, runtime_checkable

from .base import Busy, Refused, Trouble

_BUSY = {429, 503, 529}
_TRANSIENT = {408, 409}
_FOR_GOOD = {401, 402, 403, 404}
_TIMEOUT_SECONDS = 600.0


class _Client(Protocol):
    async def close(self) -> None: ...


_AnyClient = TypeVar("_AnyClient", bound=_Client)


class Vendor(Generic[_AnyClient]):
    """A client that is made when something is to be asked, and sends everything once: we retry.

    Importing an SDK takes a second or two, which a run that has all its answers on disk can do without.
    """

    def __init__(self, package: str, client: str, *, key: str, base_url: str | None) -> None:
        self._names = package, client
        self._key, self._base_url = key, base_url

    @cached_property
    def sdk(self) -> ModuleType:
        """The package, for its errors."""
        return import_module(self._names[0])

    @cached_property
    def client(self) -> _AnyClient:
        """The client."""
        return getattr(self.sdk, self._names[1])(
            api_key=self._key, base_url=self._base_url, max_retries=0, timeout=_TIMEOUT_SECONDS
        )

    async def close(self) -> None:
        """Let go of connections, if there are any."""
        if "client" in self.__dict__:
            await self.client.close()


class _Response(Protocol):
    @property
    def headers(self) -> Mapping[str, str]: ...


@runtime_checkable
class StatusError(Protocol):
    """An answer of the server that says no."""

    status_code: int
    message: str
    body: object
    response: _Response


def translated(name: str, error: Exception) -> Exception:
    """What the error of an SDK means to us; `name` is the model's."""
    if not isinstance(error, StatusError):
        return Trouble(f"{type(error).__name__}: {_short(str(error))}")
    said = _short(_reason(error))
    status = error.status_code
    # An error in the middle of a stream comes with the status of the stream, which is 200.
    kind = str(_field(error.body, "type"))
    if status in _BUSY or kind in {"overloaded_error", "rate_limit_error"}:
        return Busy(f"{status}: {said}", _retry_after(error.response.headers))
    if status >= 500 or status in _TRANSIENT or status < 400:
        return Trouble(f"{status}: {said}")
    return Refused(f"{name} was refused ({status}): {said}", for_good=status in _FOR_GOOD)


def _retry_after(headers: Mapping[str, str]) -> float | None:
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            return max(0.0, float(headers[name]) * unit)
        except (KeyError, ValueError):
            continue
    return None


def _reason(error: StatusError) -> str:
    message = _field(error.body, "message")
    return str(message) if message else error.message


def _field(body: object, name: str) -> object:
    """A field of `{"error": {...}}`, or of what is in it."""
    if not isinstance(body, Mapping):
        return None
    facts: Mapping[str, object] = body  # pyright: ignore[reportUnknownVariableType] - it is JSON
    inner = facts.get("error")
    if isinstance(inner, Mapping):
        facts = inner  # pyright: ignore[reportUnknownVariableType] - it is JSON
    return facts.get(name)


def _short(text: str) -> str:
    return " ".join(text.split())[:300]
