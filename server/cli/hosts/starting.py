"""How a host starts the proofbox that is running now: by paths that are whole, as hosts have a `PATH` of their own."""

import json
import os
import shutil
import sys
import sysconfig
from collections.abc import Mapping
from importlib.metadata import Distribution, distribution
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from ...sandbox import InvalidInput

NAME = "proofbox"
# Caches that may be emptied at any time say so by this file; uv's is one.
_MARK = "CACHEDIR.TAG"


def how_to_start(
    environment: Mapping[str, str], *, prefix: str = sys.prefix, called: str | None = None
) -> tuple[str, tuple[str, ...]]:
    """A command and its arguments. What uvx runs is in a cache, so there it is uvx again, with the same source.

    Raises:
        InvalidInput: nothing of it would still be there tomorrow.
    """
    # uv marks environments so, too: what counts is whether one is inside of something that is marked.
    if not any((folder / _MARK).exists() for folder in Path(prefix).parents):
        return _script(sys.argv[0] if called is None else called), ()
    uvx = _uvx(environment, prefix)
    if uvx is None:
        raise InvalidInput(
            f"This proofbox is in a cache ({prefix}), which may be emptied, and there is no uvx to start it with. "
            "Install it to stay, as with 'uv tool install proofbox', and call it from there."
        )
    return uvx, ("--from", source_of(distribution(NAME)), NAME)


def source_of(installed: Distribution) -> str:
    """What an installation was made from, as pip and uv take it: a path, a repository at a commit, or a version."""
    noted = installed.read_text("direct_url.json")
    if not noted:
        return f"{NAME}=={installed.version}"
    facts: dict[str, Any] = json.loads(noted)
    url: str = facts["url"]
    parts = urlsplit(url)
    if "vcs_info" in facts:
        source = facts["vcs_info"]
        return f"{source['vcs']}+{url}@{source['commit_id']}"
    return url2pathname(parts.path) if parts.scheme == "file" else url


def _script(called: str) -> str:
    name = Path(called).name
    if name in (NAME, f"{NAME}.exe"):
        found = shutil.which(os.path.abspath(called))
        if found is not None:
            return found
    for scheme in (None, f"{os.name}_user"):
        folder = sysconfig.get_path("scripts", scheme) if scheme else sysconfig.get_path("scripts")
        found = shutil.which(NAME, path=folder)
        if found is not None:
            return found
    raise InvalidInput(
        f"The command {NAME} is not where this Python ({sys.executable}) has its commands, so a host could not "
        "start it. Install the package, and call it by that name."
    )


def _uvx(environment: Mapping[str, str], prefix: str) -> str | None:
    # The environment in the cache has a uvx too, as proofbox brings uv along: that one would go with it.
    beside = Path(environment["UV"]).parent if environment.get("UV") else None
    folders = [str(beside)] if beside else []
    folders += environment.get("PATH", "").split(os.pathsep)
    for folder in folders:
        found = shutil.which("uvx", path=folder) if folder else None
        if found is not None and not Path(found).resolve().is_relative_to(Path(prefix).resolve()):
            return os.path.abspath(found)
    return None
