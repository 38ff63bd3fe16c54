"""The SDK's sandbox class with a limit on what one cell may send.

The SDK reads the stream line by line, and one result can be a line of gigabytes: a callback that counts
comes too late. So the bytes are counted below it.
"""

from collections.abc import AsyncIterator

import e2b_code_interpreter
import httpx

from .output import Flooded

# Far more than a call may print and display (see `output`), escapes and all.
_MOST_BYTES = 64 * 1024**2


class _Counted(httpx.AsyncByteStream):
    def __init__(self, stream: httpx.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = _MOST_BYTES
        async for chunk in self._stream:
            left -= len(chunk)
            if left < 0:
                raise Flooded
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()


async def _count(response: httpx.Response) -> None:
    assert isinstance(response.stream, httpx.AsyncByteStream)
    response.stream = _Counted(response.stream)


class AsyncSandbox(e2b_code_interpreter.AsyncSandbox):
    """What `e2b_code_interpreter.AsyncSandbox` is, but `run_code` raises `Flooded` after 64 MiB."""

    @property
    def _client(self) -> httpx.AsyncClient:
        client = super()._client
        client.event_hooks = {"response": [_count]}
        return client
