"""Keeping the two ends of a stream that may be endless."""

from __future__ import annotations


class Capture:
    """The first half of `limit` bytes as they come, the last half at the end, in bounded memory."""

    def __init__(self, limit: int) -> None:
        self._head_left = limit // 2
        self._tail_limit = limit - limit // 2
        self._tail = bytearray()
        self.dropped = 0

    def take(self, data: bytes) -> bytes:
        """Account for `data`; the part of it that belongs to the head, to be passed on at once."""
        head = data[: self._head_left]
        self._head_left -= len(head)
        self._tail += data[len(head) :]
        # Cutting at twice the size makes the copying constant for each byte.
        if len(self._tail) > 2 * self._tail_limit:
            self._cut()
        return head

    def finish(self) -> tuple[bytes, int]:
        """The bytes after the head, and how many are missing between the two."""
        self._cut()
        return bytes(self._tail), self.dropped

    def _cut(self) -> None:
        excess = len(self._tail) - self._tail_limit
        if excess > 0:
            del self._tail[:excess]
            self.dropped += excess
