"""Frames: how host, keeper and kernel talk over stream sockets.

A frame is two big-endian 32-bit lengths, a JSON object, and bytes that belong to it. Both sides of every
connection use this module; the host imports it too.
"""

from __future__ import annotations

import json
import struct
from typing import Any, cast

Message = dict[str, Any]  # what JSON objects are, before anybody looked into them

HEADER = struct.Struct("!II")
MAX_FRAME = 64 * 1024**2
# More than this at once is memory that the C library gets from the system and gives back on each call.
READ_SIZE = 1 << 16

# `dumps` would make one for each frame; `loads` would look for white space around it.
_ENCODER, _DECODER = json.JSONEncoder(separators=(",", ":")), json.JSONDecoder()


class WireError(Exception):
    """The peer does not speak the protocol."""


def encode(message: Message, body: bytes = b"") -> bytes:
    """The bytes of one frame."""
    text = _ENCODER.encode(message).encode()
    return HEADER.pack(len(text), len(body)) + text + body


class FrameReader:
    """Turns received bytes into `(message, body)` pairs.

    Raises WireError for a frame larger than `limit` bytes or a message that is no JSON object.
    """

    def __init__(self, limit: int = MAX_FRAME) -> None:
        self.limit = limit
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[tuple[Message, bytes]]:
        """Add received bytes; the list of frames that are now complete."""
        self._buffer += data
        frames: list[tuple[Message, bytes]] = []
        while len(self._buffer) >= HEADER.size:
            text_size, body_size = HEADER.unpack_from(self._buffer)
            end = HEADER.size + text_size + body_size
            if end > self.limit:
                raise WireError("frame too large")
            if len(self._buffer) < end:
                break
            middle = HEADER.size + text_size
            frames.append(
                (_parse(self._buffer[HEADER.size : middle]), bytes(self._buffer[middle:end]))
            )
            del self._buffer[:end]
        return frames


def _parse(text: bytearray) -> Message:
    try:
        said = text.decode()
        message, end = _DECODER.raw_decode(said)
    except (ValueError, RecursionError) as error:
        raise WireError("not JSON") from error
    if not isinstance(message, dict) or end != len(said):
        raise WireError("not an object")
    return cast("Message", message)
