"""Frames and captures, and what every module of the guest keeps to."""

import ast
import random
import sys
import tracemalloc
from pathlib import Path

import pytest

from proofbox.server.sandbox.guest import wire
from proofbox.server.sandbox.guest.capture import Capture

GUEST = Path(wire.__file__).parent
SOURCES = sorted(GUEST.glob("*.py"))
IN_SANDBOXES = {"shell": {"IPython", "traitlets"}, "rich": {"IPython", "traitlets", "e2b_charts"}}
SINCE_PYTHON_3_9 = {"annotationlib", "compression", "tomllib"}
FRAMES: list[tuple[wire.Message, bytes]] = [
    ({"t": "run", "id": 1}, b"print('\xc3\xbc')"),
    ({"t": "done", "nested": {"text": "ü\ud800\n"}}, b""),
    ({}, bytes(range(256))),
]


def all_frames() -> bytes:
    return b"".join(wire.encode(message, body) for message, body in FRAMES)


def test_frames_arrive_whole_wherever_the_stream_is_split() -> None:
    """A socket may cut anywhere: in a length, in the JSON, in the body."""
    stream = all_frames()

    for cut in range(len(stream) + 1):
        reader = wire.FrameReader()
        assert reader.feed(stream[:cut]) + reader.feed(stream[cut:]) == FRAMES


def test_frames_arrive_whole_byte_by_byte() -> None:
    """The last byte of a frame completes it, and none before."""
    reader = wire.FrameReader()

    counts = [len(reader.feed(bytes([byte]))) for byte in all_frames()]

    ends = [len(wire.encode(*frame)) for frame in FRAMES]
    expected = {sum(ends[: index + 1]) - 1 for index in range(len(FRAMES))}
    assert {at for at, count in enumerate(counts) if count} == expected


def test_a_frame_of_exactly_the_limit_is_taken() -> None:
    """The limit counts the two lengths, the JSON and the body."""
    frame = wire.encode({"t": "out"}, b"x" * 100)

    assert wire.FrameReader(len(frame)).feed(frame) == [({"t": "out"}, b"x" * 100)]


def test_a_frame_over_the_limit_is_refused_before_it_is_buffered() -> None:
    """Eight bytes tell how long it would be; nobody waits for the rest."""
    frame = wire.encode({"t": "out"}, b"x" * 100)

    with pytest.raises(wire.WireError, match="too large"):
        wire.FrameReader(len(frame) - 1).feed(frame[: wire.HEADER.size])


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"nonsense", b"\xff\xfe", b"[1]", b'"text"', b"1", b"null", b'{"a":' * 200_000],
    ids=["empty", "cut", "words", "no-utf8", "list", "string", "number", "null", "deep"],
)
def test_a_message_that_is_no_json_object_is_refused(text: bytes) -> None:
    """Whatever user code writes to its channel ends in one exception."""
    frame = wire.HEADER.pack(len(text), 0) + text

    with pytest.raises(wire.WireError):
        wire.FrameReader().feed(frame)


@pytest.mark.parametrize("seed", range(20))
def test_a_capture_accounts_for_every_byte(seed: int) -> None:
    """Head, what was dropped and tail are the stream, whatever its size and its pieces."""
    numbers = random.Random(seed)
    limit = numbers.choice([0, 1, 2, 3, 100, 1001])
    stream = numbers.randbytes(numbers.choice([0, 1, limit, limit + 1, 3 * limit, 20_000]))
    capture = Capture(limit)
    head, rest = b"", stream

    while rest:
        size = numbers.randint(1, 300)
        head += capture.take(rest[:size])
        rest = rest[size:]
    tail, dropped = capture.finish()

    assert len(head) + dropped + len(tail) == len(stream)
    assert head == stream[: limit // 2]
    assert tail == stream[len(head) + dropped :]
    assert (dropped > 0) == (len(stream) > limit)
    assert len(head) + len(tail) == min(limit, len(stream))


def test_a_capture_keeps_its_memory_bounded() -> None:
    """A stream five hundred times as long as the limit needs no more than a few times the limit."""
    limit, piece = 64 * 1024, bytes(32 * 1024)
    capture = Capture(limit)
    tracemalloc.start()
    try:
        for _ in range(1000):
            capture.take(piece)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    tail, dropped = capture.finish()
    assert dropped == 1000 * len(piece) - limit // 2 - len(tail)
    assert peak < 4 * limit


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_the_guest_is_python_3_9(source: Path) -> None:
    """Sandboxes may have an older Python than the server; annotations are never evaluated in them."""
    tree = ast.parse(source.read_text(), feature_version=(3, 9))

    future = {
        alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and node.module == "__future__"
        for alias in node.names
    }
    has_functions = any(isinstance(node, ast.FunctionDef) for node in ast.walk(tree))
    assert "annotations" in future or not has_functions


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_the_guest_imports_only_what_every_sandbox_has(source: Path) -> None:
    """The standard library of Python 3.9 and the guest itself; IPython where the shell is made."""
    allowed = sys.stdlib_module_names - SINCE_PYTHON_3_9 | IN_SANDBOXES.get(source.stem, set())

    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Import):
            assert {alias.name.partition(".")[0] for alias in node.names} <= allowed
        if isinstance(node, ast.ImportFrom):
            assert own_modules(node) or str(node.module).partition(".")[0] in allowed


def own_modules(node: ast.ImportFrom) -> bool:
    """Whether an import is of the guest's own modules, by either of the names that it has."""
    inside_a_jail = node.level == 0 and node.module == "proofbox_guest"
    if node.level != 1 and not inside_a_jail:
        return False
    named = (
        {alias.name for alias in node.names} if inside_a_jail or not node.module else {node.module}
    )
    return named <= {source.stem for source in SOURCES}


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_the_guests_functions_are_short_and_its_doors_documented(source: Path) -> None:
    """No function is longer than a screen; what other modules use says what it does."""
    tree = ast.parse(source.read_text())

    assert ast.get_docstring(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno is not None
            assert (node.name, node.end_lineno - node.lineno < 50) == (node.name, True)
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            assert (node.name, bool(ast.get_docstring(node))) == (node.name, True)
