"""Output as it arrives: kept head and tail, the rest counted, a flood stopped."""

from ..base import OnOutput
from ..results import Captured, Stream

# What may be printed before the code is stopped, in multiples of what is kept. All of it crosses the
# network, and the SDK keeps every piece in memory until the call ends.
FLOOD = 16

# Many tiny pieces cost more than their text.
_PIECE_OVERHEAD = 64


class Flooded(Exception):
    """Raised in the middle of reading output. A cancelled scope would be too late: as long as data
    is waiting to be read, the SDK's loop does not let a cancellation in.
    """


class ListenerFailed(Exception):
    """What `on_output` raised, kept apart from the errors of the SDK and of the network."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error


class Tape:
    """One stream: the first and the last half of `limit` bytes."""

    def __init__(self, limit: int) -> None:
        self._half = max(limit // 2, 1)
        self._head = bytearray()
        self._tail = bytearray()
        self.total = 0

    def add(self, text: str) -> None:
        data = text.encode(errors="replace")
        self.total += len(data)
        room = self._half - len(self._head)
        self._head += data[:room]
        self._tail += data[max(room, 0) :]
        # Cut rarely: each cut moves the whole tail.
        if len(self._tail) > 4 * self._half:
            del self._tail[: -self._half]

    def captured(self) -> Captured:
        """What was kept. Bytes of a character cut in two count as omitted."""
        if self.total == len(self._head) + len(self._tail) <= 2 * self._half:
            return Captured((self._head + self._tail).decode(errors="replace"))
        head = self._head.decode(errors="ignore")
        tail = self._tail[-self._half :].decode(errors="ignore")
        return Captured(head, tail, self.total - len(head.encode()) - len(tail.encode()))


class Recorder:
    """Both streams of one call."""

    def __init__(self, limit: int, on_output: OnOutput | None) -> None:
        self.stdout = Tape(limit)
        self.stderr = Tape(limit)
        self._on_output = on_output
        self._allowance = FLOOD * limit

    def write(self, stream: Stream, text: str) -> None:
        tape = self.stdout if stream == "stdout" else self.stderr
        before = tape.total
        tape.add(text)
        if self._on_output is not None:
            try:
                self._on_output(stream, text)
            except Exception as error:
                raise ListenerFailed(error) from error
        self.charge(tape.total - before + _PIECE_OVERHEAD)

    def charge(self, size: int) -> None:
        """Count `size` bytes of output or of results. Raises Flooded when it is too much."""
        self._allowance -= size
        if self._allowance < 0:
            raise Flooded
