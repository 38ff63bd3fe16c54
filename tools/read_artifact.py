"""Read what a session holds: a plot, a file that code made, or output that was cut."""

import base64
import codecs
from dataclasses import dataclass
from typing import Annotated

from mcp.server.mcpserver import Context
from mcp.types import ContentBlock, ImageContent, TextContent
from pydantic import Field

from ..server.sandbox import InvalidInput, ProofboxError
from . import _text
from ._artifacts import mime_type_of
from ._context import App, advice, app_of, principal
from ._pictures import picture_type
from ._request import absolute

PAGE_BYTES = 24_000
# What hosts take as one picture, with the third that base64 adds.
IMAGE_BYTES = 3_500_000
WHOLE_BYTES = 16 * 1024**2
_PICTURES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})


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


async def run(app: App, who: str, session_id: str, name: str, offset: int, most: int) -> Part:
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
        total = offset + len(content) if ended else None
        return Part(name, mime_type_of(path), content[:most], offset, total, ended)


async def read_whole(app: App, who: str, session_id: str, name: str) -> Part:
    """All of an artifact or file.

    Raises:
        InvalidInput: there is none, or it is too large to be sent whole.
        SandboxError: the sandbox that has the file cannot be asked.
    """
    part = await run(app, who, session_id, name, 0, WHOLE_BYTES)
    if not part.ended:
        raise InvalidInput(
            f"{name} is larger than {_text.size(WHOLE_BYTES)}, which is the most that can be sent "
            "whole. Read it in parts with read_artifact, or make a smaller one with code."
        )
    return part


def as_blocks(part: Part) -> list[ContentBlock]:
    """The part as a model can take it in: text with a note where it goes on, or a description."""
    decoded = _decode(part)
    if decoded is None:
        return [TextContent(text=_describe(part))]
    text, used = decoded
    end = part.offset + used
    ended = part.ended and used == len(part.content)
    if ended and part.offset == 0:
        return [TextContent(text=_text.clean(text) or f"{part.name} is empty.")]
    of = f" of {part.total:,}" if part.total is not None else ""
    follows = "that was the end" if ended else f"go on with offset={end}"
    note = f"[{part.name}: bytes {part.offset:,} to {end:,}{of}; {follows}]"
    return [TextContent(text=_text.clean(text)), TextContent(text=note)]


def as_picture(part: Part) -> list[ContentBlock]:
    """A picture, or a sentence that says why it is not shown."""
    mime_type = picture_type(part.content)
    if mime_type is None:
        return [TextContent(text=f"{part.name} is not a picture, whatever its name says.")]
    if not part.ended:
        return [
            TextContent(
                text=f"{part.name} is larger than {_text.size(IMAGE_BYTES)}, too large to show. "
                "Save it smaller with execute_code in this session, then read that."
            )
        ]
    encoded = base64.b64encode(part.content).decode("ascii")
    return [ImageContent(data=encoded, mime_type=mime_type)]


def _decode(part: Part) -> tuple[str, int] | None:
    """The part's text and the bytes it took: a character cut by the end of the part is left to the
    next one. None if it is not text.
    """
    start = 0
    while part.offset and start < min(3, len(part.content)) and part.content[start] & 0xC0 == 0x80:
        start += 1
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        text = decoder.decode(part.content[start:], final=part.ended)
    except UnicodeDecodeError:
        return None
    if "\0" in text:
        return None
    return text, len(part.content) - len(decoder.getstate()[0])


def _describe(part: Part) -> str:
    size = _text.size(part.total) if part.total is not None else "large"
    return (
        f"{part.name}: {part.mime_type}, {size}, not text. It cannot be shown here; "
        "look into it with execute_code in this session."
    )


async def read_artifact(
    session_id: Annotated[str, Field(max_length=200, description="The session that has it.")],
    name: Annotated[
        str,
        Field(
            min_length=1,
            max_length=4096,
            description="As listed in `artifacts` or `cut`, or any file's path in the sandbox.",
        ),
    ],
    ctx: Context[App],
    offset: Annotated[int, Field(ge=0, description="Where to start, in bytes; for text.")] = 0,
) -> list[ContentBlock]:
    """Show a plot, a file or cut output of a session: pictures as pictures, text as text in pages.

    The name is one from the `artifacts` or `cut` of an execute_code result, or a path in the sandbox.
    A page ends with the offset of the next. Everything is gone when the session ends.
    """
    app = app_of(ctx)
    try:
        if offset == 0 and mime_type_of(name) in _PICTURES:
            return as_picture(await run(app, principal(), session_id, name, 0, IMAGE_BYTES))
        return as_blocks(await run(app, principal(), session_id, name, offset, PAGE_BYTES))
    except ProofboxError as error:
        instead = "Make it again: execute_code without a session_id starts in a fresh sandbox."
        raise advice(error, without_session=instead) from error
