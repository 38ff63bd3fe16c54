"""What a session's process does when it runs no interpreter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import command, files, namespaces, wire

if TYPE_CHECKING:
    import socket

    from .wire import Message


def do(message: Message, body: bytes, connection: socket.socket | None) -> None:
    """Become the command that is asked for, or answer `connection` with one frame, as user code would."""
    if connection is None or message["op"] == "command":
        namespaces.forget_signals()
        command.execute(message)
    else:
        connection.sendall(wire.encode(*files.serve(message, body)))
