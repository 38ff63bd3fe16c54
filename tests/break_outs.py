"""The attempts of `doctor` to break out, with something of this machine that is there to be got."""

import secrets
import socket
import string
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from proofbox.server.cli.probes import PROBES


@dataclass(frozen=True)
class BreakOuts:
    """`sources` has the code of each attempt by its name; each prints a line of JSON in which `ran` is `proof`."""

    sources: dict[str, str]
    token: str

    @property
    def proof(self) -> str:
        """What the code can only know if it ran."""
        return self.token[::-1]


@contextmanager
def break_outs(folder: Path) -> Generator[BreakOuts]:
    """A secret file, a listening port and an abstract socket for as long as the block runs."""
    # Without digits, or a file that holds it would look like a secret, and stay home.
    token = "".join(secrets.choice(string.ascii_letters) for _ in range(32))
    secret = folder / "secret"
    secret.write_text(token)
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.socket(socket.AF_UNIX) as abstract,
    ):
        abstract.bind(f"\0{token}")
        abstract.listen()
        given = {
            "token": token,
            "files": [str(secret)],
            "port": server.getsockname()[1],
            "abstract": token,
        }
        yield BreakOuts({probe.name: probe.source(given) for probe in PROBES}, token)
