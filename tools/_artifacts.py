"""What proofbox itself keeps of a session: its plots, its charts and output too long to send.

All of it is in memory, bounded for each session and over all sessions, oldest out first, and gone
with the session. Files that the code wrote stay in the sandbox and are not here.
"""

import mimetypes
import re
from collections import OrderedDict
from dataclasses import dataclass, field

# A megabyte of output twice a call, or some dozens of plots, fit; an idle session stays small.
SESSION_BYTES = 16 * 1024**2
TOTAL_BYTES = 256 * 1024**2

_OURS = re.compile(
    r"(plot|page|chart|table|stdout|stderr|value|displayed|traceback)-[0-9]+\.[a-z]+"
)

Snapshot = dict[str, tuple[int, float]]
"""Files below a session's home: path to size and modification time."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """A named piece of content with its MIME type."""

    name: str
    mime_type: str
    content: bytes


@dataclass(slots=True)
class Shelf:
    """One session's artifacts, numbered by kind, and what its home looked like after the last call."""

    artifacts: OrderedDict[str, Artifact] = field(default_factory=OrderedDict[str, Artifact])
    counts: dict[str, int] = field(default_factory=dict[str, int])
    files: Snapshot | None = None

    @property
    def size(self) -> int:
        return sum(len(artifact.content) for artifact in self.artifacts.values())

    def number(self, kind: str) -> int:
        """The next number for a kind of artifact, from 1."""
        self.counts[kind] = self.counts.get(kind, 0) + 1
        return self.counts[kind]

    def put(self, name: str, mime_type: str, content: bytes) -> Artifact | None:
        """Keep content under a name; None if it alone is more than a session may keep."""
        if len(content) > SESSION_BYTES:
            return None
        artifact = Artifact(name, mime_type, content)
        self.artifacts[name] = artifact
        while self.size > SESSION_BYTES:
            self.artifacts.popitem(last=False)
        return artifact


class Artifacts:
    """The shelves of all sessions, by session. Whoever asks must already hold a lease."""

    def __init__(self, total_bytes: int = TOTAL_BYTES) -> None:
        self._shelves: OrderedDict[str, Shelf] = OrderedDict()
        self._total_bytes = total_bytes

    def __len__(self) -> int:
        return len(self._shelves)

    @staticmethod
    def is_reserved(name: str) -> bool:
        """Whether it is a name that proofbox gives."""
        return _OURS.fullmatch(name) is not None

    def shelf(self, session_id: str) -> Shelf:
        """The session's shelf, newly made if it has none; it counts as just used."""
        shelf = self._shelves.setdefault(session_id, Shelf())
        self._shelves.move_to_end(session_id)
        self._trim()
        return shelf

    def kept(self, session_id: str) -> tuple[Artifact, ...]:
        """What is kept of a session, for somebody who only looks: that is no use of it."""
        shelf = self._shelves.get(session_id)
        return tuple(shelf.artifacts.values()) if shelf is not None else ()

    def drop(self, session_id: str) -> None:
        """Forget all that was kept for a session."""
        self._shelves.pop(session_id, None)

    def _trim(self) -> None:
        total = sum(shelf.size for shelf in self._shelves.values())
        for shelf in self._shelves.values():
            while total > self._total_bytes and shelf.artifacts:
                total -= len(shelf.artifacts.popitem(last=False)[1].content)


# Guessed types differ by machine (/etc/mime.types); these are the ones that a tool acts on.
_TYPES = mimetypes.MimeTypes(filenames=())
for _type, _suffix in (
    ("text/markdown", ".md"),
    ("text/csv", ".csv"),
    ("application/x-ndjson", ".jsonl"),
    ("application/yaml", ".yaml"),
    ("application/yaml", ".yml"),
    ("application/toml", ".toml"),
    ("text/plain", ".log"),
    ("application/vnd.apache.parquet", ".parquet"),
    ("image/webp", ".webp"),
):
    _TYPES.add_type(_type, _suffix)


def mime_type_of(name: str) -> str:
    """The MIME type that a file's name suggests; `application/octet-stream` where it says nothing."""
    guessed, encoding = _TYPES.guess_type(name)
    return guessed if guessed and not encoding else "application/octet-stream"
