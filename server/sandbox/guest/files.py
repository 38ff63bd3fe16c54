"""File operations, in a process without rights: paths and what they lead to are the user's.

Each function returns `(message, body)`; a message with `error` is the caller's mistake.
"""

from __future__ import annotations

import errno
import os
import stat

from .wire import Message

_MOST_ENTRIES = 10_000
_MOST_LEVELS = 20  # with names of 255 bytes, all entries still fit into one frame

_Entry = tuple[str, str, int, float]  # path, kind, size in bytes, time of change


def serve(request: Message, body: bytes) -> tuple[Message, bytes]:
    """Do one file operation."""
    try:
        return _OPERATIONS[request["op"]](request, body)
    except OSError as error:
        name = errno.errorcode.get(error.errno or 0, "OSError")
        place = error.filename or request["path"]
        return {"error": f"{place}: {error.strerror}", "errno": name}, b""
    except ValueError as error:  # a NUL, or half of a surrogate pair
        return {"error": f"{request['path']!a} cannot be a path: {error}", "errno": "EINVAL"}, b""


def _absolute(path: str) -> str:
    return os.path.normpath(os.path.join(os.environ["HOME"], path))


def _write(request: Message, body: bytes) -> tuple[Message, bytes]:
    path = _absolute(request["path"])
    os.makedirs(os.path.dirname(path), exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | (os.O_APPEND if request["append"] else os.O_TRUNC)
    with open(_open(path, flags), "wb") as file:
        file.write(body)
    return {}, b""


def _write_many(request: Message, body: bytes) -> tuple[Message, bytes]:
    start = 0
    for path, size, append in request["files"]:
        one = {"op": "write", "path": path, "append": append}
        failure, _ = serve(one, body[start : start + size])
        if failure:
            return failure, b""
        start += size
    return {}, b""


def _read(request: Message, _body: bytes) -> tuple[Message, bytes]:
    path = _absolute(request["path"])
    with open(_open(path, os.O_RDONLY), "rb") as file:
        file.seek(request["offset"])
        return {}, file.read(request["size"])


def _open(path: str, flags: int) -> int:
    """A regular file's descriptor; does not wait for the other end of a fifo."""
    descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC, 0o644)
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return descriptor
    os.close(descriptor)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    raise OSError(errno.EINVAL, "not a regular file", path)


def _list(request: Message, _body: bytes) -> tuple[Message, bytes]:
    entries: list[_Entry] = []
    _walk(_absolute(request["path"]), min(request["depth"], _MOST_LEVELS), entries)
    return {"entries": sorted(entries)}, b""


def _walk(directory: str, depth: int, entries: list[_Entry]) -> None:
    with os.scandir(directory) as found:
        for entry in found:
            if len(entries) >= _MOST_ENTRIES:
                return
            try:
                status = entry.stat(follow_symlinks=False)
            except OSError:
                continue  # it vanished
            kind = _kind(status.st_mode)
            entries.append((entry.path, kind, status.st_size, status.st_mtime))
            if kind == "directory" and depth > 1:
                try:
                    _walk(entry.path, depth - 1, entries)
                except OSError:
                    continue  # it vanished or may not be read: the entry itself is listed


def _kind(mode: int) -> str:
    if stat.S_ISREG(mode):
        return "file"
    return "directory" if stat.S_ISDIR(mode) else "other"


_OPERATIONS = {"write": _write, "write_many": _write_many, "read": _read, "list": _list}
