"""The file of bearer tokens: what it lets in, and that it lets nobody in when in doubt."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from proofbox.server.http.tokens import TokenFile, TokenFileError, is_name, line_of, new_token

# 2026-11-23, 00:00 UTC.
TODAY = 1_795_392_000.0

Write = Callable[..., TokenFile]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the file is."""
    return tmp_path / "tokens"


@pytest.fixture
def write(path: Path) -> Write:
    """Writes lines and opens the file."""

    def make(*lines: str, mode: int = 0o600, now: float = TODAY) -> TokenFile:
        path.write_text("\n".join(lines))
        path.chmod(mode)
        return TokenFile(path, now=lambda: now)

    return make


def test_a_token_is_known_by_its_hash(write: Write, path: Path) -> None:
    """The file does not have the token, and what stands in the file is none."""
    alice, bob = new_token(), new_token()
    tokens = write("# people", line_of(alice, "alice"), "", line_of(bob, "bob@example.com"))
    tokens.load()

    found = [tokens.find(token) for token in (alice, bob)]
    hashed = hashlib.sha256(alice.encode()).hexdigest()
    wrong = ["", "alice", hashed, f"sha256:{hashed}", alice[:-1], f"{alice} ", alice.upper()]

    assert [entry and entry.name for entry in found] == ["alice", "bob@example.com"]
    assert [tokens.find(token) for token in wrong] == [None] * len(wrong)
    assert alice not in path.read_text()


def test_two_tokens_may_speak_for_one_principal(write: Write) -> None:
    """So that one can follow the other without a moment in which neither holds."""
    old, new = new_token(), new_token()
    tokens = write(line_of(old, "alice"), line_of(new, "alice"))

    assert tokens.find(old) == tokens.find(new) is not None


@pytest.mark.parametrize(("day", "valid"), [("2026-11-23", False), ("2026-11-24", True)])
def test_a_token_expires(write: Write, day: str, valid: bool) -> None:
    """At the start of the day that is named."""
    token = new_token()

    assert (write(line_of(token, "alice", expires=day)).find(token) is not None) == valid


def test_a_change_of_the_file_counts_at_once(write: Write, path: Path) -> None:
    """Also one of the same size, within one tick of the clock that files have."""
    first, second = new_token(), new_token()
    tokens = write(line_of(first, "alice"))
    before = (tokens.find(first), tokens.find(second))
    path.write_text(line_of(second, "alice"))
    after = (tokens.find(first), tokens.find(second))

    assert before[0] is not None
    assert before[1] is None
    assert after == (None, before[0])


def test_a_file_that_did_not_change_is_not_read_again(write: Write, path: Path) -> None:
    """It is looked at for every request."""
    token = new_token()
    tokens = write(line_of(token, "alice"), now=path.parent.stat().st_mtime + 3600)
    found = [tokens.find(token) for _ in range(2)]
    facts = path.stat()
    path.write_bytes(bytes(facts.st_size))
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))

    assert None not in found
    assert tokens.find(token) is not None


@pytest.mark.parametrize("damage", ["gone", "unreadable", "writable by others", "not a line"])
def test_a_file_that_cannot_be_used_any_more_lets_nobody_in(
    write: Write, path: Path, damage: str
) -> None:
    """Rather than those who were in it; and lets them in again when it is mended."""
    token = new_token()
    tokens = write(line_of(token, "alice"))
    assert tokens.find(token) is not None
    content = path.read_text()
    match damage:
        case "gone":
            path.unlink()
        case "unreadable":
            path.unlink()
            path.mkdir()
        case "writable by others":
            path.chmod(0o620)
        case _:
            path.write_text(f"{content}\nalice")

    assert tokens.find(token) is None
    assert str(path) in tokens.trouble
    if path.is_dir():
        path.rmdir()
    path.write_text(content)
    path.chmod(0o600)
    assert tokens.find(token) is not None
    assert tokens.trouble == ""


@pytest.mark.parametrize(
    "line",
    [
        "alice",
        "alice sha256:1234",
        f"alice md5:{'0' * 64}",
        f"alice sha256:{'A' * 64}",
        f"al/ice sha256:{'0' * 64}",
        f"alice sha256:{'0' * 64} expires=tomorrow",
        f"alice sha256:{'0' * 64} 2026-11-24",
        f"alice sha256:{'0' * 64} admin",
        f"alice sha256:{'0' * 64}\nbob sha256:{'0' * 64}",
    ],
)
def test_a_line_that_is_none_is_named_and_not_quoted(write: Write, line: str) -> None:
    """It may be a token that somebody wrote there by mistake."""
    tokens = write(line_of(new_token(), "carol"), line)

    with pytest.raises(TokenFileError, match=r"tokens, line [23]: ") as caught:
        tokens.load()
    # The path may have the name of whoever runs the tests in it.
    assert line.split()[-1] not in str(caught.value).rpartition("tokens, line")[2]


def test_a_file_without_anybody_is_no_authentication(write: Write) -> None:
    """A token for metrics alone lets nobody in."""
    for lines in ([], ["# nobody"], [line_of(new_token(), "prometheus", metrics=True)]):
        with pytest.raises(TokenFileError, match="no token that lets anybody in"):
            write(*lines).load()


def test_names_cannot_be_mistaken_for_other_things() -> None:
    """For the separators of identities, or for the principal of a service without authentication."""
    assert is_name("alice.b-c_d@example.com")
    for name in ("", "a:b", "a b", "a\nb", "-a", "é", "a" * 65, "a/b", "a%b"):
        assert not is_name(name)
