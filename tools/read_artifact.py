"""Read what a session holds: a plot, a file that code made, or output that was cut."""

import base64
import codecs
from typing import Annotated

from mcp.server.mcpserver import Context
from mcp.types import ContentBlock, ImageContent, TextContent
from pydantic import Field

from ..server.sandbox import ProofboxError
from . import _text
from ._app import App
from ._artifacts import mime_type_of
from ._context import advice, app_of, principal
from ._pictures import picture_type
from ._reading import Part, read

PAGE_BYTES = 24_000
# What hosts take as one picture, with the third that base64 adds.
IMAGE_BYTES = 3_500_000
_PICTURES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})


def as_blocks(part: Part) -> list[ContentBlock]:
    """The part as a model can take it in: text with a note where it goes on, or a description."""
    if part.offset and not part.content:
        return [TextContent(text=f"{part.name} ends before byte {part.offset + 1:,}.")]
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
            return as_picture(await read(app, principal(), session_id, name, 0, IMAGE_BYTES))
        return as_blocks(await read(app, principal(), session_id, name, offset, PAGE_BYTES))
    except ProofboxError as error:
        instead = "Make it again: execute_code without a session_id starts in a fresh sandbox."
        raise advice(error, without_session=instead) from error
