"""envd's files over plain HTTP."""

import errno
import os
from collections.abc import AsyncIterator

from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from .envd import absolute
from .machine import Machine


async def read_file(machine: Machine, request: Request) -> Response:
    """`GET /files`."""
    path = absolute(request.query_params["path"])
    try:
        descriptor = await machine.open(path, "r")
    except OSError as error:
        return _refusal(error)

    async def chunks() -> AsyncIterator[bytes]:
        with os.fdopen(descriptor, "rb") as file:
            while data := file.read(1 << 18):
                yield data

    return StreamingResponse(chunks(), media_type="application/octet-stream")


async def write_files(machine: Machine, request: Request) -> Response:
    """`POST /files`: one file as it is, or several as a form."""
    path = request.query_params.get("path")
    written: list[dict[str, str]] = []
    try:
        if request.headers["content-type"].startswith("application/octet-stream"):
            await _write(machine, absolute(path or ""), await request.body(), written)
        else:
            async with request.form(max_files=10_000, max_part_size=1 << 30) as form:
                for part in form.getlist("file"):
                    assert isinstance(part, UploadFile)
                    name = path or part.filename or ""
                    await _write(machine, absolute(name), await part.read(), written)
    except OSError as error:
        return _refusal(error)
    return JSONResponse(written)


async def _write(machine: Machine, path: str, data: bytes, written: list[dict[str, str]]) -> None:
    with os.fdopen(await machine.open(path, "w"), "wb") as file:
        file.write(data)
    written.append({"path": path, "name": os.path.basename(path), "type": "file"})


def _refusal(error: OSError) -> Response:
    status = {errno.ENOENT: 404, errno.EISDIR: 400, errno.ENOSPC: 507}.get(error.errno or 0, 500)
    return JSONResponse({"code": status, "message": str(error)}, status_code=status)
