"""What can be made to go wrong. Each fault is something that E2B was seen to do."""

from collections import defaultdict
from threading import Lock
from typing import Any

NAMES = frozenset(
    {
        # creating
        "create_429",  # the team is full; retry_after=seconds adds the header
        "create_503_but_created",
        "create_504_but_created",
        "create_500",
        "create_400",
        "create_401",
        "create_slow",  # seconds=: the sandbox is there at once, the answer late
        # the proxy in front of sandboxes; on=: a part of the path
        "not_found",
        "port_not_open",
        # running code
        "execute_drop",  # the connection breaks, the sandbox lives on
        "execute_drop_dead",  # the sandbox dies with the connection
        "execute_silent",
        "execute_aborted",
        "execute_lost",  # UnexpectedEndOfExecution
        "execute_websocket",  # WebSocketError
        "execute_garbled",
        "execute_blank",
        "interrupt_ignored",  # as when an edge proxy hides that the client left
        # commands
        "start_drop",  # the stream breaks after the command started; the command goes on
        # the rest of the control plane
        "list_500",
        "kill_500",
        "timeout_400",
        "timeout_404",
    }
)


class Faults:
    """Faults waiting to happen, each a number of times."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self._lock = Lock()

    def inject(self, name: str, *, times: int = 1, **details: Any) -> None:
        if name not in NAMES:
            raise ValueError(f"no such fault: {name}")
        with self._lock:
            self._waiting[name] += [{"name": name, **details}] * times

    def take(self, name: str, path: str = "") -> dict[str, Any] | None:
        """The details of this fault if it is to happen now; then it is used up."""
        if name not in NAMES:
            raise ValueError(f"no such fault: {name}")
        with self._lock:
            for number, details in enumerate(self._waiting[name]):
                if details.get("on", "") in path:
                    return self._waiting[name].pop(number)
        return None

    @property
    def pending(self) -> list[str]:
        """Those that have not happened."""
        with self._lock:
            return [name for name, waiting in self._waiting.items() for _ in waiting]

    def clear(self) -> None:
        with self._lock:
            self._waiting.clear()
