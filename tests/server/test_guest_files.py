"""File operations inside a sandbox, where every path and what it leads to is the user's."""

import os
import signal
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from proofbox.server.sandbox.guest import files, wire


@contextmanager
def not_waiting_forever() -> Generator[None]:
    """Fails what a system call would hold up; nothing else interrupts one."""

    def fail(_number: int, _frame: object) -> None:
        pytest.fail("it waits")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(5)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def ask(op: str, path: Path, **more: object) -> wire.Message:
    message, body = files.serve({"op": op, "path": str(path), **more}, b"content")
    return {**message, "body": body}


def read(path: Path, offset: int = 0, size: int = 100) -> wire.Message:
    return ask("read", path, offset=offset, size=size)


def write(path: Path, *, append: bool = False) -> wire.Message:
    return ask("write", path, append=append)


def test_a_file_is_written_with_its_folders_and_read_in_part(tmp_path: Path) -> None:
    """A write replaces, an appending one adds; a read gives what lies between offset and size."""
    path = tmp_path / "new" / "folder" / "file"

    written = [write(path), write(path), write(path, append=True)]

    assert written == [{"body": b""}] * 3
    assert path.read_bytes() == b"contentcontent"
    assert read(path, offset=4, size=5) == {"body": b"entco"}
    assert read(path, offset=99) == {"body": b""}


def test_a_missing_file_is_the_callers_mistake(tmp_path: Path) -> None:
    """The answer names the path and the reason."""
    path = tmp_path / "missing"

    assert read(path) == {
        "error": f"{path}: No such file or directory",
        "errno": "ENOENT",
        "body": b"",
    }


def test_a_directory_is_not_read_as_a_file(tmp_path: Path) -> None:
    """The answer names the path, not the descriptor that it was opened as."""
    answer = read(tmp_path)

    assert answer["body"] == b""
    assert answer["error"] == f"{tmp_path}: Is a directory"
    assert write(tmp_path)["errno"] == "EISDIR"


def test_links_are_followed_to_what_they_lead_to(tmp_path: Path) -> None:
    """The process that follows them has no rights but the user's."""
    link = tmp_path / "link"
    link.symlink_to("target")

    assert read(link)["errno"] == "ENOENT"
    assert write(link) == {"body": b""}
    assert (tmp_path / "target").read_bytes() == b"content"
    assert read(link) == {"body": b"content"}


def test_a_loop_of_links_ends(tmp_path: Path) -> None:
    """The kernel counts them."""
    loop = tmp_path / "loop"
    loop.symlink_to("loop")

    assert read(loop)["errno"] == "ELOOP"
    assert write(loop)["errno"] == "ELOOP"


def test_a_fifo_is_refused_without_waiting_for_its_other_end(tmp_path: Path) -> None:
    """Opening one waits for ever unless told otherwise."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)

    with not_waiting_forever():
        assert read(fifo)["errno"] == "EINVAL"
        assert write(fifo)["errno"] == "ENXIO"
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert write(fifo)["errno"] == "EINVAL"
        assert os.read(reader, 100) == b""
    finally:
        os.close(reader)


def test_a_device_is_refused() -> None:
    """What it gives has no end."""
    answer = read(Path("/dev/zero"))

    assert answer["errno"] == "EINVAL"
    assert answer["error"] == "/dev/zero: not a regular file"


@pytest.mark.parametrize("path", ["nul\0inside", "half\ud800pair"])
def test_what_cannot_be_a_path_is_the_callers_mistake(path: str) -> None:
    """Such a text never reaches the kernel."""
    message, body = files.serve({"op": "read", "path": path, "offset": 0, "size": 1}, b"")

    assert (message["errno"], body) == ("EINVAL", b"")


def write_many(*paths: Path) -> wire.Message:
    """Write `1`, `22`, `333`... to the paths, in one request."""
    sizes = range(1, len(paths) + 1)
    pieces = [(str(path), size, False) for path, size in zip(paths, sizes, strict=True)]
    request = {"op": "write_many", "files": pieces}
    body = b"".join(str(size).encode() * size for size in sizes)
    return files.serve(request, body)[0]


def test_many_files_are_written_from_one_body(tmp_path: Path) -> None:
    """Each gets its own part of it."""
    paths = [tmp_path / name for name in ("a", "b/c", "d")]

    assert write_many(*paths) == {}
    assert [path.read_bytes() for path in paths] == [b"1", b"22", b"333"]


def test_a_large_file_is_written_in_several_requests(tmp_path: Path) -> None:
    """What follows on another part is put behind it; what does not begins anew."""
    path = str(tmp_path / "large")

    for append in (False, True, False, True):
        request = {"op": "write_many", "files": [(path, 2, append)]}
        assert files.serve(request, b"12")[0] == {}

    assert (tmp_path / "large").read_bytes() == b"1212"


def test_a_failure_among_many_files_names_the_one(tmp_path: Path) -> None:
    """A fifo, a directory, a path that cannot be: the answer says which."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        for wrong in (fifo, tmp_path, tmp_path / "nul\0inside"):
            answer = write_many(tmp_path / "right", wrong)
            assert answer["errno"] in ("EINVAL", "EISDIR")
            assert wrong.name.partition("\0")[0] in answer["error"]
    finally:
        os.close(reader)


def test_a_listing_tells_kinds_and_does_not_follow_links(tmp_path: Path) -> None:
    """A link to a directory is listed, and not entered, however deep the listing goes."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_bytes(b"12345")
    (tmp_path / "link").symlink_to("folder")
    os.mkfifo(tmp_path / "pipe")

    shallow, deep = ask("list", tmp_path, depth=1), ask("list", tmp_path, depth=9)

    assert entries(shallow) == ["folder directory", "link other", "pipe other"]
    assert entries(deep) == ["file file", *entries(shallow)]
    assert [size for path, _, size, _ in deep["entries"] if path.endswith("/file")] == [5]


def test_a_listing_goes_no_deeper_than_fits_into_an_answer(tmp_path: Path) -> None:
    """Twenty levels, however many there are and are asked for."""
    tmp_path.joinpath(*"abcdefghijklmnopqrstuvwxyz").mkdir(parents=True)

    assert len(ask("list", tmp_path, depth=99)["entries"]) == 20
    assert len(ask("list", tmp_path, depth=3)["entries"]) == 3


def entries(answer: wire.Message) -> list[str]:
    return sorted(f"{Path(path).name} {kind}" for path, kind, _, _ in answer["entries"])


def test_a_listing_of_what_is_no_directory_says_so(tmp_path: Path) -> None:
    """Missing and not a directory are told apart."""
    (tmp_path / "file").touch()

    assert ask("list", tmp_path / "missing", depth=1)["errno"] == "ENOENT"
    assert ask("list", tmp_path / "file", depth=1)["errno"] == "ENOTDIR"
