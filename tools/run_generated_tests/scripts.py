"""The commands that installing a project would give it, for tests that start them by their names."""

import configparser
import re
from collections.abc import Iterator, Mapping

from .declared import ini, table, toml

_KINDS = ("console_scripts", "gui_scripts")
_NAME = re.compile(r"[\w][\w.-]{0,99}", re.ASCII)
_TARGET = re.compile(r"(\w+(?:\.\w+)*)\s*:\s*(\w+(?:\.\w+)*)\s*(\[.*\])?")
_TEXT = """\
import sys
from importlib import import_module

sys.path[:0] = [path for path in {path!r} if path not in sys.path]
target = import_module({module!r})
for name in {names!r}:
    target = getattr(target, name)
if __name__ == "__main__":
    sys.exit(target())
"""


def commands(files: Mapping[str, bytes], path: list[str]) -> dict[str, str]:
    """Programs in Python by their names, for a project's files: what its metadata or its manifests name. `path` is
    where its imports begin. What cannot be read names nothing.
    """
    found = dict(_declared(files))
    for place, content in files.items():
        if place.endswith(".dist-info/entry_points.txt"):
            found |= _entries(_sections(content))
    made: dict[str, str] = {}
    for name, said in found.items():
        target = _TARGET.fullmatch(said.strip())
        if target is not None and _NAME.fullmatch(name):
            made[name] = _TEXT.format(path=path, module=target[1], names=target[2].split("."))
    return made


def _declared(files: Mapping[str, bytes]) -> Iterator[tuple[str, str]]:
    pyproject = toml(files.get("pyproject.toml", b""))
    project, poetry = table(pyproject, "project"), table(table(pyproject, "tool"), "poetry")
    sections = (table(project, "scripts"), table(project, "gui-scripts"), table(poetry, "scripts"))
    for section in sections:
        yield from ((name, said) for name, said in section.items() if isinstance(said, str))
    options = ini(files.get("setup.cfg", b""))
    for kind in _KINDS:
        lines = options.get("options.entry_points", kind, fallback="")
        yield from _entries(_sections(f"[{kind}]\n{lines}".encode())).items()


def _sections(content: bytes) -> Mapping[str, Mapping[str, str]]:
    parser = configparser.ConfigParser(delimiters=("=",), interpolation=None, strict=False)
    parser.optionxform = _as_it_is
    try:
        parser.read_string(content.decode("utf-8", "replace"))
    except configparser.Error:
        return {}
    return {name: dict(parser[name]) for name in parser.sections()}


def _as_it_is(optionstr: str) -> str:
    """Names of commands may have capitals, which configurations have not."""
    return optionstr


def _entries(sections: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    return {name: said for kind in _KINDS for name, said in sections.get(kind, {}).items()}
