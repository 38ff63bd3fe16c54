"""read_artifact: pictures, text in pages, and what can only be described."""

from collections.abc import Iterator

import pytest
from fakes import FakeBackend

from proofbox.server.sandbox import InvalidInput
from proofbox.server.sessions import SessionNotFound
from proofbox.tools import _reading
from proofbox.tools._app import App
from proofbox.tools._pictures import picture_type
from proofbox.tools._progress import Feed
from proofbox.tools._reading import Part, read_whole
from proofbox.tools._request import CodeRequest
from proofbox.tools.execute_code.run import run
from proofbox.tools.read_artifact import as_blocks, as_picture

PNG = b"\x89PNG\r\n\x1a\n" + b"picture"


@pytest.fixture
async def session_id(app: App) -> str:
    """A session with a file or two."""
    request = CodeRequest("print('x' * 20_000)", files={"a.txt": "abcdef", "empty": ""})
    return (await run(app, "local", request, Feed())).report.session_id or ""


async def test_a_file_is_read_from_the_sandbox_in_parts(app: App, session_id: str) -> None:
    """Each part knows where it begins, and the last that nothing follows."""
    first = await _reading.read(app, "local", session_id, "a.txt", 0, 4)
    last = await _reading.read(app, "local", session_id, "/home/user/a.txt", 4, 4)

    assert (first.content, first.ended, first.total) == (b"abcd", False, None)
    assert (last.content, last.ended, last.total) == (b"ef", True, 6)


@pytest.mark.parametrize("name", ["a.txt", "stdout-1.txt"])
async def test_beyond_its_end_a_file_has_no_size(app: App, session_id: str, name: str) -> None:
    """Where nothing is, it is said so."""
    part = await _reading.read(app, "local", session_id, name, 99_999, 4)

    assert (part.content, part.ended) == (b"", True)
    assert part.total == {"a.txt": None, "stdout-1.txt": 20_001}[name]
    assert [block.text for block in as_blocks(part) if block.type == "text"] == [
        f"{name} ends before byte 100,000."
    ]


async def test_cut_output_is_read_from_what_was_kept(app: App, session_id: str) -> None:
    """Under the name that the report gave."""
    part = await _reading.read(app, "local", session_id, "stdout-1.txt", 19_990, 100)

    assert (part.content, part.total, part.ended) == (b"x" * 10 + b"\n", 20_001, True)


@pytest.mark.parametrize(
    "name", ["none.txt", "../../etc/passwd", "/etc/passwd", "/proc/self/environ"]
)
async def test_what_is_not_there_is_refused(app: App, session_id: str, name: str) -> None:
    """So is a path outside the places that a session writes to."""
    with pytest.raises(InvalidInput):
        await _reading.read(app, "local", session_id, name, 0, 100)


async def test_a_session_of_somebody_else_is_unknown(app: App, session_id: str) -> None:
    """What is kept of it is no less private than its sandbox."""
    with pytest.raises(SessionNotFound):
        await _reading.read(app, "mallory", session_id, "stdout-1.txt", 0, 100)


async def test_what_was_kept_is_gone_with_the_session(app: App, session_id: str) -> None:
    """Reading after the end says that there is no such session."""
    await app.sessions.close_session("local", session_id)

    with pytest.raises(SessionNotFound):
        await _reading.read(app, "local", session_id, "stdout-1.txt", 0, 100)
    assert len(app.artifacts) == 0


async def test_a_file_too_large_to_be_sent_whole_is_refused(
    app: App, session_id: str, backend: FakeBackend
) -> None:
    """And the refusal says how to get at it."""
    backend.created[0].files["/home/user/big"] = bytes(17 * 1024**2)

    with pytest.raises(InvalidInput, match="in parts with read_artifact"):
        await read_whole(app, "local", session_id, "big")


def texts(part: Part) -> list[str]:
    """The text of each block."""
    return [block.text for block in as_blocks(part) if block.type == "text"]


def test_text_that_fits_is_given_without_a_note() -> None:
    """As it is, but for control characters."""
    assert texts(Part("a.txt", "text/plain", b"a\x1b[1mb", 0, 6, ended=True)) == ["ab"]
    assert texts(Part("a.txt", "text/plain", b"", 0, 0, ended=True)) == ["a.txt is empty."]


def test_text_that_goes_on_says_where() -> None:
    """The note gives the offset of the next page."""
    part = Part("a.txt", "text/plain", b"abcd", 8, None, ended=False)

    assert texts(part) == ["abcd", "[a.txt: bytes 8 to 12; go on with offset=12]"]


def test_the_last_page_says_that_it_is() -> None:
    """With the size of the whole."""
    part = Part("a.txt", "text/plain", b"abcd", 8, 12, ended=True)

    assert texts(part)[1] == "[a.txt: bytes 8 to 12 of 12; that was the end]"


def test_pages_together_are_the_whole_text_wherever_they_are_cut() -> None:
    """A character that a page would cut in two is on the next one."""
    whole = "a\u00e9\u65e5\U0001f600!" * 3
    data = whole.encode()

    for length in range(4, 12):
        assert "".join(pages(data, length)) == whole


def pages(data: bytes, length: int) -> Iterator[str]:
    """The text of the pages of so many bytes that a client following the notes would read."""
    offset = 0
    while True:
        content = data[offset : offset + length]
        ended = offset + length >= len(data)
        text, *note = texts(Part("a", "text/plain", content, offset, len(data), ended))
        yield text
        if not note or "that was the end" in note[0]:
            return
        offset = int(note[0].rpartition("offset=")[2].rstrip("]"))


@pytest.mark.parametrize("content", [b"\xff\xfe\x00\x01", b"a\0b", b"caf\xe9 "])
def test_what_is_not_text_is_described(content: bytes) -> None:
    """With its type and size, and what to do instead."""
    (text,) = texts(Part("a.bin", "application/octet-stream", content, 0, len(content), ended=True))

    assert text.startswith(f"a.bin: application/octet-stream, {len(content)} bytes, not text.")
    assert "execute_code" in text


def test_a_picture_is_given_as_a_picture() -> None:
    """With the type that its bytes have, whatever its name says."""
    (block,) = as_picture(Part("a.jpg", "image/jpeg", PNG, 0, len(PNG), ended=True))

    assert block.type == "image"
    assert block.mime_type == "image/png"


@pytest.mark.parametrize(
    ("content", "ended", "says"),
    [(b"no picture", True, "not a picture"), (PNG, False, "too large to show")],
)
def test_a_picture_that_cannot_be_shown_is_described(
    content: bytes, says: str, *, ended: bool
) -> None:
    """A host would choke on it."""
    (block,) = as_picture(Part("a.png", "image/png", content, 0, None, ended))

    assert block.type == "text"
    assert says in block.text


@pytest.mark.parametrize(
    ("content", "mime_type"),
    [
        (b"\x89PNG\r\n\x1a\n", "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF89a", "image/gif"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "image/webp"),
        (b"RIFF\0\0\0\0WAVE", None),
        (b"", None),
    ],
)
def test_pictures_are_known_by_their_first_bytes(content: bytes, mime_type: str | None) -> None:
    """The four kinds that hosts take."""
    assert picture_type(content) == mime_type
