"""One session of pytest, with our plugin and the plugins of those who look for more."""

from __future__ import annotations

import faulthandler
import importlib
import os
import signal
import sys
from typing import Any, NoReturn

from .channel import open_channel


def main(config: dict[str, Any], descriptor: int) -> NoReturn:
    """Run pytest as `config` says and end the process with its exit code."""
    say = open_channel(descriptor, bytes.fromhex(config.pop("key")))
    # A descriptor of its own: pytest puts its own file in the place of the second.
    faulthandler.register(signal.SIGUSR2, file=os.dup(2), all_threads=False)
    sys.path[:] = [*config["path"], *(entry for entry in sys.path if entry)]
    for name, options in config["guests"].items():
        if options.get("early"):
            importlib.import_module(f"{__package__}.{name}").early(options)
    import pytest

    from . import absent
    from .plugin import Recorder

    plugins: list[Any] = [Recorder(say, config), absent]
    for name, options in config["guests"].items():
        module = importlib.import_module(f"{__package__}.{name}")
        plugins.append(module.plugin(options, say))
    say("begin", pytest=pytest.__version__, python=sys.version.split()[0])
    status = int(pytest.main(config["arguments"], plugins=plugins))
    sys.stdout.flush()
    sys.stderr.flush()
    say("finish", status=status)
    # Threads that a test left behind would keep the process from its end.
    os._exit(status)
