"""What tox and nox are told to install for the tests, where nothing else names it."""

import configparser
import re
from collections.abc import Iterable
from dataclasses import dataclass

_FILE = re.compile(r"^(?:-r|--requirements?)[\s=]*(?:\{tox_?ini_?dir\}/?|\./)?(?P<path>[^\s{}]+)$")
_EXTRAS = re.compile(r"^\.\[(.+)\]$")


@dataclass(frozen=True, slots=True)
class Hints:
    """Requirements, files of them, and extras or groups of the project, each as it is named."""

    packages: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()


def of_tox_ini(parser: configparser.RawConfigParser) -> Hints:
    """The environment that the others are made from."""
    lines = parser.get("testenv", "deps", fallback="").splitlines()
    named = [parser.get("testenv", key, fallback="") for key in ("extras", "dependency_groups")]
    groups = re.findall(r"[\w.-]+", "\n".join(each for each in named if "{" not in each))
    # `py39: mock` is for one environment only.
    kept = (re.sub(r"(^|\s)#.*", "", line).strip() for line in lines)
    return _sorted((line for line in kept if not re.match(r"[\w,.-]+:\s", line)), groups)


def of_tox(packages: Iterable[str], groups: Iterable[str]) -> Hints:
    """The same where it is written as lists."""
    return _sorted(packages, groups)


def of_nox(content: bytes) -> Hints:
    """All that its sessions install."""
    words: list[str] = []
    for call in re.findall(rb"session\.install\(([^)]*)\)", content):
        texts = iter(re.findall(r"[\"']([^\"']+)[\"']", call.decode("utf-8", "replace")))
        for text in texts:
            words.append(f"{text} {next(texts, '')}" if text in {"-r", "--requirement"} else text)
    groups = [name for word in words if (extra := _EXTRAS.match(word))
              for name in re.findall(r"[\w.-]+", extra[1])]  # fmt: skip
    return _sorted((word for word in words if word[:2] == "-r" or "/" not in word), groups)


def _sorted(words: Iterable[str], groups: Iterable[str]) -> Hints:
    """`{...}` is filled in by the tool, so what has it is left out, but for its own folder."""
    given = list(words)
    files = [found["path"] for word in given if (found := _FILE.match(word))]
    packages = [word for word in given if re.match(r"[A-Za-z0-9]", word) and "{" not in word]
    return Hints(tuple(packages), tuple(files), tuple(dict.fromkeys(groups)))
