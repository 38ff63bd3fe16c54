"""uv's configuration, as far as it says how to reach an index.

The user's own files may name packages that are never to be installed from wheels, and then uv builds
them in spite of `--only-binary :all:` (uv 0.13). So uv gets a file with nothing of that kind in it.
"""

import json
import logging
import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

logger = logging.getLogger(__name__)

_HARMLESS = frozenset(
    {
        *("index", "index-url", "extra-index-url", "find-links", "no-index", "index-strategy"),
        *("keyring-provider", "allow-insecure-host", "native-tls", "system-certs", "offline"),
        *("cache-dir", "link-mode", "exclude-newer", "concurrent-downloads"),
        *("http-proxy", "https-proxy", "no-proxy"),
    }
)


def index_configuration(environ: Mapping[str, str]) -> str:
    """A `uv.toml` with the settings about indexes from the files that uv would read; a later file, and
    a file's `[pip]` table, win. Files that cannot be read count as empty.
    """
    settings: dict[str, Any] = {}
    pip: dict[str, Any] = {}
    for file in _files(environ):
        try:
            content = tomllib.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            logger.debug("uv's configuration %s is not used: %s", file, error)
            continue
        settings |= _harmless(content)
        if isinstance(content.get("pip"), dict):
            pip |= _harmless(content["pip"])
    lines = [f"{key} = {_toml(value)}" for key, value in settings.items()]
    lines += ["[pip]", *(f"{key} = {_toml(value)}" for key, value in pip.items())]
    return "\n".join([*lines, ""])


def _files(environ: Mapping[str, str]) -> Iterator[Path]:
    if environ.get("UV_NO_CONFIG", "") not in ("", "0", "false"):
        return
    if environ.get("UV_CONFIG_FILE"):
        yield Path(environ["UV_CONFIG_FILE"])
        return
    for directory in reversed((environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":")):
        yield Path(directory, "uv", "uv.toml")
    yield Path("/etc/uv/uv.toml")
    home = environ.get("XDG_CONFIG_HOME") or os.path.join(environ.get("HOME", "/"), ".config")
    yield Path(home, "uv", "uv.toml")


def _harmless(table: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in table.items() if key in _HARMLESS}


def _toml(value: object) -> str:
    if isinstance(value, dict):
        table = cast("dict[str, object]", value)
        return (
            f"{{{', '.join(f'{json.dumps(key)} = {_toml(item)}' for key, item in table.items())}}}"
        )
    if isinstance(value, list):
        return f"[{', '.join(_toml(item) for item in cast('list[object]', value))}]"
    if isinstance(value, bool | int | float | str):
        # JSON's strings, numbers and truth values are TOML's, too.
        return json.dumps(value, ensure_ascii=False)
    # Dates and times.
    return str(value)
