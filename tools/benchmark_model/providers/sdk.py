"""The errors of both vendors' SDKs, which are made alike, as ours."""

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from .base import Busy, Refused, Trouble

_BUSY = {429, 503, 529}
_TRANSIENT = {408, 409}
_FOR_GOOD = {401, 402, 403, 404}


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
