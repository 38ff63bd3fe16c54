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
    user = request.query_params.get("username", "user")
    written: list[dict[str, str]] = []

    async def write(name: str, data: bytes) -> None:
        place = absolute(name)
        with os.fdopen(await machine.open(place, "w", user), "wb") as file:
            file.write(data)
        written.append({"path": place, "name": os.path.basename(place), "type": "file"})

    try:
        if request.headers["content-type"].startswith("application/octet-stream"):
            await write(path or "", await request.body())
        else:
            async with request.form(max_files=10_000, max_part_size=1 << 30) as form:
                for part in form.getlist("file"):
                    assert isinstance(part, UploadFile)
                    await write(path or part.filename or "", await part.read())
    except OSError as error:
        return _refusal(error)
    return JSONResponse(written)


def _refusal(error: OSError) -> Response:
    status = {errno.ENOENT: 404, errno.EISDIR: 400, errno.ENOSPC: 507}.get(error.errno or 0, 500)
    return JSONResponse({"code": status, "message": str(error)}, status_code=status)
