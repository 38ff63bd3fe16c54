"""What matplotlib has found out about fonts, kept from one jail of an environment to the next: it takes seconds to find."""

from __future__ import annotations

import contextlib
import importlib
import os

from . import linux

SHARED = "/cache"
_KEPT = f"{SHARED}/matplotlib"
_LEAST_URGENT = 19
_SLACK_BYTES = 1 << 18  # what a file system needs beside its files
_read: dict[str, bytes] = {}


def read() -> None:
    """Read what an earlier jail of this environment has left, unless that is done."""
    if not _read and os.path.isdir(_KEPT):
        for name in os.listdir(_KEPT):
            with contextlib.suppress(OSError), open(f"{_KEPT}/{name}", "rb") as file:
                _read[name] = file.read()


def seed() -> None:
    """Put what there is where matplotlib looks for it."""
    read()  # by now there may be something
    target = os.environ.get("MPLCONFIGDIR")
    if target is not None:
        _write_to(target)


def keep() -> None:
    """Leave what matplotlib has found in this process for jails to come."""
    source = os.environ.get("MPLCONFIGDIR", "")
    if not os.path.isdir(source) or os.path.isdir(_KEPT):
        return
    import shutil

    try:
        fresh = f"{_KEPT}.{os.getpid()}"
        shutil.copytree(source, fresh)
        os.rename(fresh, _KEPT)
    except OSError:
        return  # another jail was first, or the disk is full: it is only a cache


def find_fonts() -> None:
    """Have matplotlib, where it is installed, look for fonts once in place of each program that plots."""
    if os.path.isdir(_KEPT) or os.fork() != 0:
        return
    with contextlib.suppress(BaseException):  # it is for the user to see what is broken
        os.nice(_LEAST_URGENT)
        importlib.import_module("matplotlib.font_manager")
        keep()
    os._exit(0)


def share() -> bool:
    """In a mount namespace of our own, show what there is in place of where it is kept; whether there is anything."""
    read()
    if _read:
        size = sum(map(len, _read.values())) + _SLACK_BYTES
        quiet = linux.MS_NOSUID | linux.MS_NODEV
        linux.mount("tmpfs", SHARED, "tmpfs", quiet, f"size={size},mode=755")
        _write_to(SHARED)
        linux.mount("tmpfs", SHARED, None, linux.MS_REMOUNT | linux.MS_RDONLY | quiet)
    return bool(_read)


def showing_shared() -> list[linux.Step]:
    """The steps that do the same as `seed` after `share`, without another copy."""
    target = os.environ.get("MPLCONFIGDIR")
    if target is None:
        return []
    links = [(f"{SHARED}/{name}", f"{target}/{name}") for name in _read]
    return [(os.mkdir, (target,), ""), *((os.symlink, link, "") for link in links)]


def _write_to(directory: str) -> None:
    for name, content in _read.items():
        os.makedirs(directory, exist_ok=True)
        # Not `open`, whose layers cost each session as much as all its mounts.
        descriptor = os.open(f"{directory}/{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        try:
            os.write(descriptor, content)
        finally:
            os.close(descriptor)
