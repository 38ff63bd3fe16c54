"""Builds that were done before, by what went into them."""

import json
import logging
import os
import tempfile
from dataclasses import asdict
from pathlib import Path

from .building import Built
from .environment import Behaviour

logger = logging.getLogger(__name__)

_MOST = 100


class BuildStore:
    """Files in a folder. What cannot be kept is not, and what cannot be read is not there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find(self, key: str) -> Built | None:
        """A build with a wheel; None if there is none."""
        try:
            content = (self._folder / key).read_bytes()
            head, _, wheel = content.partition(b"\n")
            told = json.loads(head)
            behaviours = tuple(Behaviour(**each) for each in told["behaviours"])
            os.utime(self._folder / key)
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return Built(wheel=wheel, name=told["name"], behaviours=behaviours) if wheel else None

    def keep(self, key: str, built: Built) -> None:
        """Keep a build; the longest unused ones go."""
        told = {"name": built.name, "behaviours": [asdict(each) for each in built.behaviours]}
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(dir=self._folder, prefix=".")
            with open(descriptor, "wb") as file:
                file.write(json.dumps(told).encode() + b"\n" + built.wheel)
            os.replace(name, self._folder / key)
            kept = sorted(self._folder.iterdir(), key=lambda path: path.stat().st_mtime)
            for path in kept[:-_MOST]:
                path.unlink(missing_ok=True)
        except OSError:
            logger.warning("A build could not be kept", exc_info=True)
