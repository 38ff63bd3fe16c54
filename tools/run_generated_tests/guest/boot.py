"""The first thing in the process of the tests: load the guest package from memory and hand over."""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.util
import json
import signal
import sys
from typing import Any


class _Guest(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    """Finds `proofbox_guest` and its modules in a dictionary, so that no file of ours is in the sandbox."""

    def __init__(self, sources: dict[str, str]) -> None:
        self._sources = sources

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> Any:
        if fullname not in self._sources:
            return None
        package = any(name.startswith(fullname + ".") for name in self._sources)
        return importlib.util.spec_from_loader(fullname, self, is_package=package)

    def get_source(self, fullname: str) -> str:
        return self._sources[fullname]


def _read(descriptor: int) -> dict[str, Any]:
    with open(descriptor, "rb") as pipe:
        return json.loads(pipe.read())


if __name__ == "__main__":
    for _number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(_number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _config = _read(int(sys.argv[1]))
    sys.meta_path.insert(0, _Guest(_config.pop("modules")))
    _records = int(sys.argv[2])
    sys.argv[:] = ["pytest"]
    importlib.import_module("proofbox_guest.session").main(_config, _records)
