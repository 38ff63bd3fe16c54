"""What a project says once about its snippets: `[tool.proofbox.snippets]` in its pyproject.toml."""

import os
import tomllib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ...server.sandbox import InvalidInput
from .includes import real_path
from .request import SnippetsRequest

_MAX_BYTES = 1024**2


class Project(BaseModel):
    """The table. Unknown keys are refused, so that a slip does not go unseen."""

    model_config = ConfigDict(extra="forbid")

    env: dict[str, str] = {}
    packages: Annotated[list[str], Field(max_length=50)] = []
    setup: str = ""
    skip: list[str] = []
    normalise: dict[str, str] = {}


class _Ours(BaseModel):
    model_config = ConfigDict(extra="forbid")

    snippets: Project = Project()


class _Tools(BaseModel):
    proofbox: _Ours = _Ours()


class _Tables(BaseModel):
    tool: _Tools = _Tools()


def with_project(request: SnippetsRequest, roots: Sequence[Path]) -> SnippetsRequest:
    """Return the request with what the project of its first path says; arguments win.

    Raises:
        InvalidInput: the table cannot be used.
    """
    if not request.paths:
        return request
    file = _nearest(request.paths[0], [root.resolve() for root in roots])
    if file is None:
        return request
    project = _read(file)
    return replace(
        request,
        env={**project.env, **request.env},
        packages=tuple(dict.fromkeys([*project.packages, *request.packages])),
        setup="\n".join(part for part in (project.setup, request.setup) if part),
        skip=(*project.skip, *request.skip),
        normalise={**project.normalise, **request.normalise},
        project=file.parent,
    )


def _nearest(path: str, roots: Sequence[Path]) -> Path | None:
    if "\0" in path:
        return None  # it will be refused as a path
    for root in roots:
        start = real_path(root / path)
        for folder in (start, *start.parents):
            if not folder.is_relative_to(root):
                break
            file = real_path(folder / "pyproject.toml")
            if (
                os.path.isfile(file)
                and file.is_relative_to(root)
                and file.stat().st_size < _MAX_BYTES
            ):
                return file
    return None


def _read(file: Path) -> Project:
    try:
        tables = _Tables.model_validate(tomllib.loads(file.read_text("utf-8")))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise InvalidInput(f"{file.name} cannot be used: {where}: {first['msg']}.") from error
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{file.name} cannot be read: {error}") from error
    return tables.tool.proofbox.snippets
