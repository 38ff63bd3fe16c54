"""The process that builds a project: calls its build backend (PEP 517), watched, and says how far it came.

It runs in place of a session of tests, under the same driver. What it says is the project's own word: its code
runs here. Whether there is a wheel is for the driver's side to see.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
import traceback
from typing import TYPE_CHECKING, Any, NoReturn

from .watcher import Watcher

if TYPE_CHECKING:
    from ....run_generated_tests.guest.channel import open_channel
else:
    from .channel import open_channel  # in the sandbox it lies beside this one

_MOST_LINES = 30


def main(config: dict[str, Any], descriptor: int) -> NoReturn:
    """Build a wheel of the folder `root`, into the temporary folder `out`; ends the process."""
    say = open_channel(descriptor, bytes.fromhex(config.pop("key")))
    config["out"] = os.path.join(os.environ.get("TMPDIR") or "/tmp", config["out"])
    os.makedirs(config["out"], exist_ok=True)
    folders: list[str] = config["backend_path"]
    root: str = config["root"]
    inside = [os.path.normpath(os.path.join(root, each)) for each in folders]
    sys.path[:] = [*inside, *(entry for entry in sys.path if entry)]
    sys.argv[:] = ["build"]

    def found(**behaviour: str) -> None:
        say("behaviour", **behaviour)

    watcher = Watcher(config["root"], os.path.expanduser("~"), found)
    watcher.when = "install"
    say("begin", python=sys.version.split()[0])
    watcher.start()
    status = 1
    try:
        _build(config, say)
        status = 0
    except BaseException as error:  # noqa: BLE001 - whatever the project's code raises ends its build
        watcher.paused = True
        say("failed", error=f"{type(error).__name__}: {error}"[:2000], lines=_last_lines(error))
    watcher.paused = True
    sys.stdout.flush()
    sys.stderr.flush()
    say("finish", status=status)
    os._exit(status)


def _build(config: dict[str, Any], say: Any) -> None:
    backend = _load(config["backend"])
    wanted: list[str] = []
    if hasattr(backend, "get_requires_for_build_wheel"):
        asked: list[Any] = backend.get_requires_for_build_wheel({}) or []
        wanted = [str(each) for each in asked]
    missing = [each for each in wanted if not _is_there(each)]
    if missing and not config["last"]:
        say("needs", requires=wanted)
        return
    say("built", name=str(backend.build_wheel(config["out"], {})))


def _load(name: str) -> Any:
    module, _, attribute = name.partition(":")
    found: Any = importlib.import_module(module)
    for part in filter(None, attribute.split(".")):
        found = getattr(found, part)
    return found


def _is_there(requirement: str) -> bool:
    """Whether a package of that name is installed; the version was for the resolver to see to."""
    from importlib import metadata

    name = re.match(r"[A-Za-z0-9._-]+", requirement.strip())
    try:
        metadata.version(name.group() if name else requirement)
    except metadata.PackageNotFoundError:
        return False
    return True


def _last_lines(error: BaseException) -> list[str]:
    text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    return text.splitlines()[-_MOST_LINES:]
