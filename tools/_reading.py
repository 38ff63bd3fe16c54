"""Artifacts and files of a session, read in parts or whole."""

from dataclasses import dataclass

from ..server.sandbox import InvalidInput
from . import _text
from ._app import App
from ._artifacts import mime_type_of
from ._request import absolute

WHOLE_BYTES = 16 * 1024**2


@dataclass(frozen=True, slots=True)
class Part:
    """Part of an artifact, from `offset`. `total` is the size of all of it, where known; `ended`:
    nothing follows. Bytes, all of them.
    """

    name: str
    mime_type: str
    content: bytes
    offset: int
    total: int | None
    ended: bool


async def read(app: App, who: str, session_id: str, name: str, offset: int, most: int) -> Part:
    """At most `most` bytes of a session's artifact or file.

    Raises:
        InvalidInput: there is no such session or artifact.
        SandboxError: the sandbox that has the file cannot be asked.
    """
    async with app.sessions.lease(who, session_id) as lease:
        kept = app.artifacts.shelf(session_id).artifacts.get(name)
        if kept is not None:
            end = offset + most
            total = len(kept.content)
            content = kept.content[offset:end]
            return Part(name, kept.mime_type, content, offset, total, end >= total)
        path = absolute(name)
        # One byte more tells whether anything follows.
        content = await lease.sandbox.read_file(path, offset=offset, max_bytes=most + 1)
        ended = len(content) <= most
        # From beyond the end of a file nothing tells how long it is.
        total = offset + len(content) if ended and (content or not offset) else None
        return Part(name, mime_type_of(path), content[:most], offset, total, ended)


async def read_whole(app: App, who: str, session_id: str, name: str) -> Part:
    """All of an artifact or file.

    Raises:
        InvalidInput: there is none, or it is too large to be sent whole.
        SandboxError: the sandbox that has the file cannot be asked.
    """
    part = await read(app, who, session_id, name, 0, WHOLE_BYTES)
    if not part.ended:
        raise InvalidInput(
            f"{name} is larger than {_text.size(WHOLE_BYTES)}, which is the most that can be sent "
            "whole. Read it in parts with read_artifact, or make a smaller one with code."
        )
    return part
