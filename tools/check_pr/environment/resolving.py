"""What exactly would be installed: `uv` resolves, on the host, before anything is.

It reads metadata of wheels and nothing else, so no code of a package runs. A package without wheels is
resolved only with metadata that we give (`Source`), and then its archive is named, not opened.
"""

import re
import shutil
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Literal

import anyio
import anyio.to_thread
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from ....server.sandbox import InvalidInput
from ....server.sandbox.local import uv, uv_errors

_OURS = ("pytest", "coverage")
# These have no say in what a project does, and older ones cannot be driven: whatever the project asks for.
_ANY_AGE = ("coverage", "pluggy")
_OVERRIDES = ("pluggy>=1.2",)
_OLDEST_PYTEST = "7"
_LONGEST = 500
# Nobody's packages worked with a Python on the day of its release, and few had wheels for it.
_GRACE = timedelta(days=180)
_RELEASED = {
    "3.9": datetime(2020, 10, 5, tzinfo=UTC),
    "3.10": datetime(2021, 10, 4, tzinfo=UTC),
    "3.11": datetime(2022, 10, 24, tzinfo=UTC),
    "3.12": datetime(2023, 10, 2, tzinfo=UTC),
    "3.13": datetime(2024, 10, 7, tzinfo=UTC),
    "3.14": datetime(2025, 10, 7, tzinfo=UTC),
}
_RECENT = timedelta(days=2)
_NO_WHEEL = re.compile(
    r"(?:all versions of )?\b([A-Za-z0-9][\w.-]*)(?:[<>=!~,*\w.]*)? ha(?:s|ve) no (?:usable )?wheels"
)


@dataclass(frozen=True, slots=True)
class Source:
    """A package that has no wheel, and what it requires as far as is known; all versions, or that one."""

    name: str
    version: str = ""
    requires: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Resolution:
    """Attributes: `pins` as `name==version`; `problem` in uv's own words, and `fault`, whose it is;
    `without_wheel` are the names for which there are only archives of source; `too_old` is the version of
    pytest that would have been, where a newer one had to be taken.
    """

    pins: tuple[str, ...] = ()
    problem: str = ""
    fault: Literal["", "project", "ours"] = ""
    without_wheel: tuple[str, ...] = ()
    too_old: str = ""

    @property
    def versions(self) -> dict[str, str]:
        """By name."""
        return dict(pin.split("==", 1) for pin in self.pins)


def cutoff(when: datetime, python: str) -> datetime | None:
    """Up to when packages may have been published for a commit of that time to have known them; None for no
    limit. A Python that is younger than the commit gets those of its first half year.
    """
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    released = _RELEASED.get(".".join(python.split(".")[:2]))
    newest = max(when, released + _GRACE) if released else when
    return None if newest > datetime.now(UTC) - _RECENT else newest


def readable(wanted: Iterable[str]) -> tuple[list[str], list[str]]:
    """Requirements in a spelling that can be written into a file of them, and what is none."""
    good: list[str] = []
    bad: list[str] = []
    for text in wanted:
        try:
            requirement = Requirement(text if len(text) <= _LONGEST else "")
        except InvalidRequirement:
            bad.append(text)
            continue
        if requirement.url is not None:
            bad.append(text)
        else:
            good.append(str(requirement))
    return good, bad


@dataclass(frozen=True, slots=True)
class Resolver:
    """For one Python, like `3.12.1`. `cache` is a folder for uv's own cache where the user has none."""

    python: str
    cache: Path

    async def resolve(
        self,
        wanted: Sequence[str],
        *,
        newest: datetime | None = None,
        preferred: Mapping[str, str] | None = None,
        sources: Sequence[Source] = (),
        for_tests: bool = True,
    ) -> Resolution:
        """Pins for `wanted`, with what runs tests unless `for_tests` is false.

        Versions that are `preferred` are kept wherever the requirements allow it. Never raises for what uv
        says; the answer has whose fault it is.
        """
        lines = [*wanted, *(_OURS if for_tests else ())]
        known = [f"{name}=={version}" for name, version in sorted((preferred or {}).items())]
        overrides = _OVERRIDES if for_tests else ()
        found, too_old = Resolution(), ""
        for _ in range(2):
            arguments = self._arguments(newest, sources)
            answer = await self._compile(
                lines, arguments, sources, "pins.txt", "\n".join(known), overrides
            )
            found = answer if isinstance(answer, Resolution) else _pinned(answer)
            found = replace(found, too_old=too_old)
            version = found.versions.get("pytest", "") if for_tests else ""
            if not version or Version(version) >= Version(_OLDEST_PYTEST):
                break
            too_old = version
            overrides = (*_OVERRIDES, f"pytest>={_OLDEST_PYTEST},<8")
        return found

    async def locate(self, pins: Sequence[str]) -> Resolution | dict[str, str]:
        """Addresses of the archives of source of these `name==version`, by name; or why there are none."""
        sources = [Source(canonicalize_name(pin.split("==")[0])) for pin in pins]
        arguments = [*self._arguments(None, sources), "--no-deps"]
        answer = await self._compile(pins, arguments, sources, "pylock.toml", "")
        if isinstance(answer, Resolution):
            return answer
        packages: list[dict[str, Any]] = tomllib.loads(answer).get("packages", [])
        return {
            str(canonicalize_name(each["name"])): str(each["sdist"]["url"])
            for each in packages
            if "sdist" in each
        }

    async def _compile(
        self,
        lines: Sequence[str],
        arguments: Sequence[str],
        sources: Sequence[Source],
        target: str,
        before: str,
        overrides: Sequence[str] = (),
    ) -> "Resolution | str":
        """What uv writes into the file `target`, which has `before` already; or why it did not."""
        folder = Path(await anyio.to_thread.run_sync(_made))
        try:
            (folder / "wanted.in").write_text("".join(f"{line}\n" for line in lines))
            if before:
                (folder / target).write_text(f"{before}\n")
            (folder / "overrides.txt").write_text("".join(f"{line}\n" for line in overrides))
            status, words = await uv.ask(
                [*arguments, "--overrides", "overrides.txt", "-o", target],
                folder,
                cache=self.cache,
                settings=_metadata(sources),
            )
            return _failed(words, status) if status else (folder / target).read_text()
        except OSError as error:
            return Resolution(problem=f"uv could not be run: {error}.", fault="ours")
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(partial(shutil.rmtree, folder, ignore_errors=True))

    def _arguments(self, newest: datetime | None, sources: Sequence[Source]) -> list[str]:
        arguments = [
            *("pip", "compile", "wanted.in", "--no-header", "--no-annotate", "--no-sources"),
            *("--only-binary", ":all:", "--python-version", self.python),
            *("--python", sys.executable),
        ]
        for source in sources:
            arguments += ["--no-binary", source.name]
        if sys.platform != "linux":
            arguments += ["--python-platform", "x86_64-manylinux_2_28"]
        if newest is not None:
            arguments += ["--exclude-newer", newest.astimezone(UTC).isoformat()]
            for name in _ANY_AGE:
                arguments += ["--exclude-newer-package", f"{name}=false"]
        return arguments


def _made() -> str:
    return tempfile.mkdtemp(prefix="proofbox-resolve-")


def _metadata(sources: Sequence[Source]) -> str:
    """Metadata in uv's configuration, so that it need not build a package to know it."""
    blocks: list[str] = []
    for source in sources:
        requires = ", ".join(f'"{_escaped(text)}"' for text in source.requires)
        version = f'version = "{_escaped(source.version)}"\n' if source.version else ""
        blocks.append(
            f'[[dependency-metadata]]\nname = "{source.name}"\n{version}requires-dist = [{requires}]\n'
        )
    return "".join(blocks)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _failed(words: str, status: int) -> Resolution:
    error = uv_errors.explain(words, returncode=status)
    if not isinstance(error, InvalidInput):
        return Resolution(problem=str(error), fault="ours")
    said = uv_errors.condense(words)
    without = dict.fromkeys(canonicalize_name(name) for name in _NO_WHEEL.findall(words))
    return Resolution(problem=said, fault="project", without_wheel=tuple(without))


def _pinned(text: str) -> Resolution:
    pins = (line.split("#")[0].strip() for line in text.splitlines())
    return Resolution(pins=tuple(sorted(pin for pin in pins if "==" in pin)))
