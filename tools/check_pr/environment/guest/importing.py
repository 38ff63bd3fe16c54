"""Which packages can be imported beside the others: all in one process, and those that fail once more alone.

Every attempt is made in a fork, so that this process has imported none of them. What they say is read by nobody.
"""

from __future__ import annotations

import importlib
import json
import os
import site
from collections.abc import Callable
from importlib import metadata
from typing import Any

_LONGEST = 400


def look(packages: list[str]) -> dict[str, list[Any]]:
    """The packages that cannot be imported in this order, one after another in one process: the module, the
    error, and whether it can be alone.
    """
    site.main()  # the cells of a bare sandbox know no packages before
    tops = {package: _modules_of(package) for package in packages}
    names = [name for listed in tops.values() for name in listed]
    failed = _apart(lambda: _together(names))
    if failed is None:
        ending = "its import ended the process"
        failed = {
            name: ending for name in names if _apart(lambda name=name: _attempt(name)) is None
        }
    found: dict[str, list[Any]] = {}
    for package, listed in tops.items():
        for name in listed:
            if name in failed:
                alone = _apart(lambda name=name: _attempt(name))
                found[package] = [name, failed[name], alone == ""]
                break
    return found


def _modules_of(package: str) -> list[str]:
    try:
        found = metadata.distribution(package)
    except metadata.PackageNotFoundError:
        return []
    listed = (found.read_text("top_level.txt") or "").split()
    if not listed:
        for file in found.files or ():
            first, *rest = str(file).split("/")
            if not first.endswith((".dist-info", ".data", ".pth")):
                listed.append(first if rest else first.split(".")[0])
    names = dict.fromkeys(each.replace("/", ".") for each in listed)
    return [name for name in names if name.isidentifier() and not name.startswith("_")]


def _attempt(name: str) -> str:
    try:
        importlib.import_module(name)
    except BaseException as error:  # noqa: BLE001 - whatever an import raises
        return f"{type(error).__name__}: {error}"[:_LONGEST]
    return ""


def _together(names: list[str]) -> dict[str, str]:
    return {name: said for name in names if (said := _attempt(name))}


def _apart(work: Callable[[], Any]) -> Any:
    """What work comes to in a fork; None if that ended on the way."""
    read, write = os.pipe()
    if os.fork() == 0:
        os.close(read)
        sink = os.open(os.devnull, os.O_WRONLY)
        os.dup2(sink, 1)
        os.dup2(sink, 2)
        try:
            os.write(write, json.dumps(work()).encode())
        finally:
            os._exit(0)
    os.close(write)
    with open(read, "rb") as pipe:
        said = pipe.read()
    os.wait()
    return json.loads(said) if said else None
