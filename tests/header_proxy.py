"""A relay that adds a header to every request, for clients that cannot be told to send one.

It asks for one request a connection, so that it need not know where bodies end.
"""

import contextlib
import socket
import threading
from collections.abc import Generator


@contextlib.contextmanager
def adding(header: str, port: int) -> Generator[int]:
    """The port of a relay to another port of this machine, for as long as the block runs."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_accept, args=(listener, header, port), daemon=True).start()
        yield listener.getsockname()[1]
        # A blocked accept() does not notice that its socket is closed.
        listener.shutdown(socket.SHUT_RDWR)


def _accept(listener: socket.socket, header: str, port: int) -> None:
    with contextlib.suppress(OSError):
        while True:
            client, _ = listener.accept()
            threading.Thread(target=_relay, args=(client, header, port), daemon=True).start()


def _relay(client: socket.socket, header: str, port: int) -> None:
    with (
        contextlib.suppress(OSError),
        client,
        socket.create_connection(("127.0.0.1", port)) as server,
    ):
        came = b""
        while b"\r\n\r\n" not in came:
            part = client.recv(65_536)
            if not part:
                return
            came += part
        head, _, body = came.partition(b"\r\n\r\n")
        lines = [
            line for line in head.split(b"\r\n") if not line.lower().startswith(b"connection:")
        ]
        lines[1:1] = [header.encode(), b"Connection: close"]
        server.sendall(b"\r\n".join(lines) + b"\r\n\r\n" + body)
        back = threading.Thread(target=_pump, args=(server, client), daemon=True)
        back.start()
        _pump(client, server)
        back.join()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while part := source.recv(65_536):
            target.sendall(part)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
