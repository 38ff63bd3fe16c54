"""The files of an environment: an empty one for uv to fill, then one that fits the jail.

Inside a jail the environment is at `/env` and its base interpreter where `Interpreter.in_jail` says;
what goes into the files are these names, never the host's.
"""

import ctypes
import importlib.metadata
import json
import os
import re
import stat
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from . import uv
from .environments import ENV_IN_JAIL, LAYOUT, MANIFEST
from .interpreters import PYTHON_IN_JAIL, Interpreter

_PROBE_SECONDS = 20
_SCRIPT_BYTES = 65_536
# What uv starts the scripts of a relocatable environment with. Finding the interpreter by two
# programs and a shell costs as much as a small test run.
_TRAMPOLINE = re.compile(rb"#!/bin/sh\n'''exec' .*\n' '''\n")


def lay_out(root: Path, python: Interpreter) -> None:
    """Make an environment without packages that uv can install into."""
    (root / "bin").mkdir()
    (root / "lib" / f"python{python.minor}" / "site-packages").mkdir(parents=True)
    # Where Python puts platform-dependent packages on distributions that have a lib64.
    (root / "lib64").symlink_to("lib")
    _link_interpreter(root, python.minor, python.executable)
    _write_config(root, python, home=os.path.dirname(python.executable))


def finish(root: Path, python: Interpreter, wanted: Sequence[str]) -> None:
    """Make a filled environment fit the jail, write its manifest and put all of it on the disk."""
    (root / uv.CONFIG).unlink(missing_ok=True)
    (root / ".lock").unlink(missing_ok=True)
    # A package may have brought files of these names; they are ours.
    _link_interpreter(root, python.minor, python.in_jail)
    _write_config(root, python, home=os.path.dirname(python.in_jail))
    for script in (root / "bin").iterdir():
        _adapt(script, root)
    manifest = {
        "layout": LAYOUT,
        "python": python.version,
        "library_path": _library_path(python),
        "requirements": wanted,
        "packages": dict(sorted(_packages(root))),
    }
    _replace(root / MANIFEST, json.dumps(manifest, indent=1).encode())
    _make_readable(root)
    _sync(root)


def _link_interpreter(root: Path, minor: str, target: str) -> None:
    names = {"python": target, "python3": "python", f"python{minor}": "python"}
    for name, leads_to in names.items():
        link = root / "bin" / name
        link.unlink(missing_ok=True)
        link.symlink_to(leads_to)


def _write_config(root: Path, python: Interpreter, *, home: str) -> None:
    lines = [
        f"home = {home}",
        f"implementation = {python.implementation}",
        f"version_info = {python.version}",
        "include-system-site-packages = false",
        "relocatable = true",
    ]
    _replace(root / "pyvenv.cfg", "\n".join([*lines, ""]).encode())


def _adapt(script: Path, root: Path) -> None:
    if script.is_symlink() or not script.is_file() or script.stat().st_size > _SCRIPT_BYTES:
        return
    text = script.read_bytes()
    shebang = f"#!{ENV_IN_JAIL}/bin/python\n".encode()
    adapted = _TRAMPOLINE.sub(lambda _: shebang, text, count=1) if text[:2] == b"#!" else text
    adapted = adapted.replace(os.fsencode(root), os.fsencode(ENV_IN_JAIL))
    if adapted != text:
        mode = script.stat().st_mode
        _replace(script, adapted)
        script.chmod(mode)


def _replace(path: Path, content: bytes) -> None:
    # Never in place: uv links files to its cache.
    path.unlink(missing_ok=True)
    path.write_bytes(content)


def _packages(root: Path) -> Iterator[tuple[str, str]]:
    # Not `uv pip list`: it would start the environment's interpreter, which runs .pth files.
    places = [str(place) for place in root.glob("lib/*/site-packages")]
    for found in importlib.metadata.distributions(path=places):
        name = str(found.metadata["Name"])
        yield re.sub(r"[-_.]+", "-", name).lower(), str(found.version)


def _library_path(python: Interpreter) -> str | None:
    """Where the loader must look for libpython, which some builds name by its place on the host."""
    if not python.moved:
        return None
    ask = "import sysconfig; print(sysconfig.get_config_var('Py_ENABLE_SHARED') or 0)"
    answer = subprocess.run(
        [python.executable, "-I", "-S", "-c", ask],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=_PROBE_SECONDS,
    ).stdout
    return f"{PYTHON_IN_JAIL}/lib" if answer.strip() == b"1" else None


def _make_readable(root: Path) -> None:
    """Everything readable by everybody: the jail of a proofbox that root runs reads it as nobody."""
    root.chmod(0o755)
    for directory, names, files in os.walk(root):
        for name in [*names, *files]:
            path = os.path.join(directory, name)
            mode = os.lstat(path).st_mode
            if stat.S_ISLNK(mode):
                continue
            readable = 0o755 if stat.S_ISDIR(mode) else (mode & 0o755) | 0o444
            if stat.S_IMODE(mode) != readable:
                os.chmod(path, readable)


def _sync(root: Path) -> None:
    # A name that survives a power cut must not lead to files that did not.
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        ctypes.CDLL(None).syncfs(descriptor)
    finally:
        os.close(descriptor)
