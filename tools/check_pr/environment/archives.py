"""Packages of the index that exist as source only: fetched on the host, opened in memory, built in a sandbox."""

import io
import posixpath
import tarfile
import urllib.request
import zipfile
from collections.abc import Iterator

import anyio.to_thread

_MOST_BYTES = 64 * 1024**2
_SECONDS = 60


class NoArchive(Exception):
    """It could not be fetched, or is none."""


async def fetch_source(address: str) -> dict[str, bytes]:
    """The files of an archive of source by their paths in it. Nothing is run, or written anywhere.

    Raises:
        NoArchive: in words for a person.
    """
    content = await anyio.to_thread.run_sync(_fetched, address, abandon_on_cancel=True)
    try:
        files = dict(_zipped(content) if content[:2] == b"PK" else _tarred(content))
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError, RuntimeError) as error:
        raise NoArchive(f"its archive cannot be read ({error})") from error
    return files


def _fetched(address: str) -> bytes:
    if not address.startswith(("https://", "http://", "file://")):
        raise NoArchive("its archive's address is of no kind that is fetched")
    try:
        with urllib.request.urlopen(address, timeout=_SECONDS) as answer:
            content: bytes = answer.read(_MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        # An address may hold a password.
        raise NoArchive(f"its archive could not be fetched ({type(error).__name__})") from error
    if len(content) > _MOST_BYTES:
        raise NoArchive(f"its archive has more than {_MOST_BYTES:,} bytes")
    return content


def _tarred(content: bytes) -> Iterator[tuple[str, bytes]]:
    left = _MOST_BYTES
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        for member in archive:
            path = _inside(member.name)
            if member.isreg() and path:
                left -= member.size
                file = archive.extractfile(member) if left >= 0 else None
                if file is None:
                    raise NoArchive("its archive is too large when it is unpacked")
                yield path, file.read()


def _zipped(content: bytes) -> Iterator[tuple[str, bytes]]:
    left = _MOST_BYTES
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for entry in archive.infolist():
            path = _inside(entry.filename)
            if not entry.is_dir() and path:
                with archive.open(entry) as file:
                    data = file.read(left + 1)
                left -= len(data)
                if left < 0:
                    raise NoArchive("its archive is too large when it is unpacked")
                yield path, data


def _inside(name: str) -> str:
    """The path below the archive's one folder; empty if it is not below it."""
    plain = posixpath.normpath(name.lstrip("/"))
    return "" if plain.startswith("..") or "\0" in plain else plain.partition("/")[2]
