"""Configuration files on disk: read whole, replaced at once, kept as they were in all but their content."""

import errno
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ...sandbox import InvalidInput

_MARK = "\ufeff"
_ENDING = ".proofbox-backup"


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """A file as it was read: `path` is where links lead, `content` is None where there is no file."""

    path: Path
    content: bytes | None

    @property
    def text(self) -> str:
        """The content as text, without the mark of UTF-8 that some editors begin with.

        Raises:
            InvalidInput: it is not UTF-8.
        """
        return as_text(self.path, self.content or b"")

    def encoded(self, text: str) -> bytes:
        """A text as this file has it: with the mark if it has one."""
        marked = (self.content or b"").startswith(_MARK.encode())
        return (_MARK * marked + text).encode()

    def backups(self) -> list[Path]:
        """The copies that proofbox has made of it, the latest first."""
        pattern = re.compile(re.escape(self.path.name + _ENDING) + r"(?:-(\d+))?")
        found: list[tuple[int, Path]] = []
        with suppress(OSError):
            for each in self.path.parent.iterdir():
                if match := pattern.fullmatch(each.name):
                    found.append((int(match[1] or 1), each))
        return [path for _, path in sorted(found, reverse=True)]

    def write(self, content: bytes | None, *, private: bool, backup: bool) -> Path | None:
        """Put another content in its place, or, for None, take it away; the copy of what was there, if one is made.

        A file that is new belongs to its owner alone if it is `private`.

        Raises:
            InvalidInput: somebody else has changed it since it was read, or it cannot be written.
        """
        try:
            if _read(self.path) != self.content:
                raise InvalidInput(
                    f"{self.path} was changed by somebody else just now, so it was left as it is. Try again."
                )
            # A file may be replaced where only its folder may be written to: that is not what its mode means.
            if self.content is not None and not os.access(self.path, os.W_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            copy = self._copied() if backup and self.content is not None else None
            if content is None:
                self.path.unlink()
            else:
                self._replaced(content, 0o600 if private else 0o666 & ~_mask())
        except OSError as error:
            raise InvalidInput(f"{self.path} cannot be written: {error.strerror}.") from error
        return copy

    def _copied(self) -> Path:
        taken = [str(path) for path in self.backups()]
        last = int((re.search(r"-(\d+)$", taken[0]) or [0, 1])[1]) if taken else 0
        copy = self.path.with_name(self.path.name + _ENDING + (f"-{last + 1}" if last else ""))
        made = os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(made, "wb") as file:
            file.write(self.content or b"")
        _made_like(copy, self.path)
        return copy

    def _replaced(self, content: bytes, mode: int) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        made, name = tempfile.mkstemp(prefix=f".{self.path.name}.", dir=self.path.parent)
        try:
            with os.fdopen(made, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            if self.content is None:
                os.chmod(name, mode)
            else:
                _made_like(Path(name), self.path)
            os.replace(name, self.path)
        finally:
            with suppress(FileNotFoundError):
                os.unlink(name)


def open_file(path: Path) -> ConfigFile:
    """Read a file, whatever links lead to it.

    Raises:
        InvalidInput: it is no file, or cannot be read.
    """
    try:
        real = Path(os.path.realpath(path))
        return ConfigFile(real, _read(real))
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}.") from error


def as_text(path: Path, content: bytes) -> str:
    """The content of a configuration file as text.

    Raises:
        InvalidInput: it is not UTF-8.
    """
    try:
        return content.decode().removeprefix(_MARK)
    except UnicodeDecodeError:
        raise InvalidInput(f"{path} is not UTF-8 text, so it was left as it is.") from None


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _made_like(path: Path, model: Path) -> None:
    """Mode, owner and attributes; times are its own."""
    facts = model.stat()
    # Windows has no owners of this kind.
    chown: Callable[[Path, int, int], None] | None = getattr(os, "chown", None)
    if chown is not None and (facts.st_uid, facts.st_gid) != _owner(path):
        chown(path, facts.st_uid, facts.st_gid)
    shutil.copystat(model, path)
    os.chmod(path, stat.S_IMODE(facts.st_mode))
    os.utime(path)


def _owner(path: Path) -> tuple[int, int]:
    facts = path.stat()
    return facts.st_uid, facts.st_gid


def _mask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
