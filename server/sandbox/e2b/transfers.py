"""Files in the sandbox."""

from collections.abc import Iterator, Mapping
from typing import Literal

import anyio
import e2b
from e2b.sandbox.filesystem.filesystem import WriteEntry
from e2b_code_interpreter import AsyncSandbox

from ..errors import InvalidInput
from ..results import FileInfo
from .failures import translated

_MOST_ENTRIES = 10_000
_METADATA_SECONDS = 30.0
# One upload: few enough bytes to fit into a request's time on a slow line.
_BATCH_BYTES = 8 * 1024**2
_TRANSFER_SECONDS = 300.0

# envd answers 500 with the system's words to what a path makes impossible.
_PATH_TROUBLE = (
    "permission denied",
    "not a directory",
    "is a directory",
    "is a file",
    "file name too long",
    "read-only",
)


async def write(sdk: AsyncSandbox, contents: Mapping[str, bytes]) -> None:
    """Write in batches, each file whole. Raises as the port says."""
    for batch in _batches(contents):
        names = ", ".join(entry["path"] for entry in batch)
        names = names if len(names) < 200 else f"{names[:200]}..."
        with translated(f"write {names}"), anyio.fail_after(_TRANSFER_SECONDS):
            try:
                await sdk.files.write_files(batch)
            except e2b.SandboxException as error:
                if any(words in str(error).lower() for words in _PATH_TROUBLE):
                    raise InvalidInput(f"Could not write {names}: {error}") from error
                raise


def _batches(contents: Mapping[str, bytes]) -> Iterator[list[WriteEntry]]:
    batch: list[WriteEntry] = []
    size = 0
    for path, data in contents.items():
        if batch and size + len(data) > _BATCH_BYTES:
            yield batch
            batch, size = [], 0
        batch.append(WriteEntry(path=path, data=data))
        size += len(data)
    if batch:
        yield batch


async def read(sdk: AsyncSandbox, path: str, offset: int, max_bytes: int) -> bytes:
    """Raises as the port says. Bytes before `offset` cross the network: envd has no ranges."""
    with translated(f"read {path}"), anyio.fail_after(_TRANSFER_SECONDS):
        entry = await sdk.files.get_info(path)
        if entry.type is not e2b.FileType.FILE:
            raise InvalidInput(f"{path} is not a regular file.")
        kept = bytearray()
        skip = offset
        async with await sdk.files.read(path, format="stream") as stream:
            async for chunk in stream:
                kept += chunk[skip:]
                skip = max(skip - len(chunk), 0)
                if len(kept) >= max_bytes:
                    break
        return bytes(kept[:max_bytes])


async def entries(sdk: AsyncSandbox, path: str, depth: int) -> list[FileInfo]:
    """Raises as the port says."""
    if depth < 1:
        raise InvalidInput("The depth of a listing is at least 1.")
    with translated(f"list {path}"), anyio.fail_after(_METADATA_SECONDS):
        found = await sdk.files.list(path, depth=depth)
    listed = [
        FileInfo(
            path=entry.path,
            kind=_kind(entry),
            size=entry.size,
            modified=entry.modified_time.timestamp(),
        )
        for entry in found
    ]
    return sorted(listed, key=lambda info: info.path)[:_MOST_ENTRIES]


def _kind(entry: e2b.EntryInfo) -> Literal["file", "directory", "other"]:
    if entry.symlink_target is not None:
        return "other"
    if entry.type is e2b.FileType.FILE:
        return "file"
    return "directory" if entry.type is e2b.FileType.DIR else "other"
