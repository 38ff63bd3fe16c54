"""What proofbox keeps of a session, and for how long."""

import pytest

from proofbox.tools import _artifacts
from proofbox.tools._artifacts import SESSION_BYTES, Artifacts, Shelf


def test_numbers_count_each_kind_by_itself() -> None:
    """The second plot is plot-2, whatever else was kept between."""
    shelf = Shelf()

    assert [shelf.number(kind) for kind in ("plot", "stdout", "plot")] == [1, 1, 2]


def test_the_oldest_artifacts_go_when_a_session_keeps_too_much() -> None:
    """What is newest stays."""
    shelf = Shelf()
    for name in ("a", "b", "c"):
        shelf.put(name, "text/plain", bytes(SESSION_BYTES // 2))

    assert list(shelf.artifacts) == ["b", "c"]


def test_an_artifact_that_is_too_large_alone_is_not_kept() -> None:
    """It does not push out what is there either."""
    shelf = Shelf()
    shelf.put("a", "text/plain", b"a")

    assert shelf.put("b", "text/plain", bytes(SESSION_BYTES + 1)) is None
    assert list(shelf.artifacts) == ["a"]


def test_sessions_together_keep_no_more_than_the_total() -> None:
    """The session that was used longest ago loses first."""
    artifacts = Artifacts(total_bytes=10)
    for session in ("old", "new"):
        artifacts.shelf(session).put("a", "text/plain", bytes(8))

    assert not artifacts.shelf("old").artifacts or not artifacts.shelf("new").artifacts
    assert sum(artifacts.shelf(session).size for session in ("old", "new")) <= 10


def test_a_dropped_session_keeps_nothing() -> None:
    """And dropping it again is harmless."""
    artifacts = Artifacts()
    artifacts.shelf("s").put("a", "text/plain", b"a")

    artifacts.drop("s")
    artifacts.drop("s")

    assert len(artifacts) == 0


@pytest.mark.parametrize(
    ("name", "mime_type"),
    [
        ("out.csv", "text/csv"),
        ("a/b.PNG", "image/png"),
        ("data.tar.gz", "application/octet-stream"),
        ("Makefile", "application/octet-stream"),
        ("notes.md", "text/markdown"),
    ],
)
def test_the_type_follows_from_the_name(name: str, mime_type: str) -> None:
    """And is the same on every machine."""
    assert _artifacts.mime_type_of(name) == mime_type
