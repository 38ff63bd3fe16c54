"""Bodies of requests: bounded in size, depth and time before anything is made of them."""

import json

import anyio
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BYTES = 8 * 1024**2
# Arguments of tools have four levels; JSON in JSON is text. Parsers and validators recurse.
MAX_DEPTH = 64
SECONDS = 60.0
# An answer in the middle of a body would be lost to most clients, so a bit more than what is taken is read.
_MOST_READ = 4

_NOT_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")
_AS_SQUARE = bytes.maketrans(b"{}", b"[]")


def is_deeper_than(depth: int, body: bytes) -> bool:
    """Whether JSON is nested more deeply than this. What is no JSON may be anything."""
    text = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    outside = b"".join(text.split(b'"')[::2])
    brackets = outside.translate(_AS_SQUARE, _NOT_BRACKETS)
    for _ in range(depth):
        if not brackets:
            return False
        # The innermost level, as often as there is one: no loop over characters in Python.
        brackets = brackets.replace(b"[]", b"")
    # What never closes has no innermost level.
    return b"[]" in brackets or brackets.count(b"[") > depth


class BodyLimits:
    """ASGI middleware that reads the body itself and hands it on whole."""

    def __init__(
        self, app: ASGIApp, *, max_bytes: int = MAX_BYTES, max_depth: int = MAX_DEPTH
    ) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._max_depth = max_depth

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        declared = Headers(scope=scope).get("content-length", "")
        if declared.isdecimal() and int(declared) > _MOST_READ * self._max_bytes:
            await self._refuse_size(scope, receive, send)
            return
        try:
            with anyio.fail_after(SECONDS):
                body, size = await self._read(receive)
        except TimeoutError:
            await _refusal(408, f"The body did not come within {SECONDS:.0f} seconds.")(
                scope, receive, send
            )
            return
        if body is None:
            return  # the client has gone
        if size > self._max_bytes:
            await self._refuse_size(scope, receive, send)
            return
        # A NUL is in no JSON, but in that of other encodings, which parsers accept and we cannot judge.
        if b"\0" in body or is_deeper_than(self._max_depth, body):
            said = f"The body is nested more than {self._max_depth} levels deep, or is no JSON."
            await _refusal(400, said)(scope, receive, send)
            return
        await self._app(scope, _replayed(body, receive), send)

    async def _refuse_size(self, scope: Scope, receive: Receive, send: Send) -> None:
        said = f"The body is larger than {self._max_bytes:,} bytes."
        await _refusal(413, said)(scope, receive, send)

    async def _read(self, receive: Receive) -> tuple[bytes | None, int]:
        """The body, as far as it is wanted, and its size; no body if the client has gone."""
        body, size = bytearray(), 0
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return None, size
            part: bytes = message.get("body", b"")
            size += len(part)
            if size <= self._max_bytes:
                body += part
            if size > _MOST_READ * self._max_bytes or not message.get("more_body", False):
                return bytes(body), size


def _replayed(body: bytes, receive: Receive) -> Receive:
    waiting = [body]

    async def replay() -> Message:
        if waiting:
            return {"type": "http.request", "body": waiting.pop(), "more_body": False}
        return await receive()

    return replay


def _refusal(status: int, said: str) -> Response:
    error = {"code": -32600, "message": f"{said} Nothing was done."}
    text = json.dumps({"jsonrpc": "2.0", "id": None, "error": error})
    # What is left of the body is not read, so the connection cannot go on.
    headers = {"connection": "close"} if status in {408, 413} else None
    return Response(text, status, headers, "application/json")
