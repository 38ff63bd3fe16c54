"""What is turned away before anything is made of it: foreign hosts and pages, and bodies that are too much."""

import json

import pytest

from proofbox.server.http.bodies import is_deeper_than
from proofbox.server.http.guard import Names


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.0.0.1:8000", "localhost", "localhost:1", "[::1]", "[::1]:65535"],
)
def test_a_service_of_this_machine_is_addressed_as_such(host: str) -> None:
    """By any port: it may be forwarded."""
    assert Names().knows_host(host)
    assert Names().knows_origin(f"http://{host}", "127.0.0.1:8000")


FOREIGN = [
    "",
    "evil.example",
    "127.0.0.1.evil.example",
    "localhost.evil.example:8000",
    "127.0.0.1:8000@evil.example",
    "localhost:evil",
    "localhost:8000:evil.example",
    "evil.example:127.0.0.1",
    "localhost/",
    "localhost ",
    "localhost.",
    "0.0.0.0",
    "127.0.0.2",
    "[::2]",
    "::1",
    "127.0.0.1\r\nx",
]


@pytest.mark.parametrize("host", FOREIGN)
def test_foreign_hosts_are_not_known(host: str) -> None:
    """Whatever stands before or behind one of ours."""
    assert not Names().knows_host(host)
    assert not Names().knows_origin(f"http://{host}", "127.0.0.1:8000")
    assert not Names(["mcp.example.com"]).knows_host(host)


def test_only_the_hosts_that_are_named_are_known() -> None:
    """Then not even those of this machine; with a port, only that one."""
    names = Names(["mcp.example.com", "10.0.0.5:8000"])

    assert names.knows_host("mcp.example.com")
    assert names.knows_host("mcp.example.com:443")
    assert names.knows_host("10.0.0.5:8000")
    for host in ("10.0.0.5", "10.0.0.5:8001", "localhost:8000", "127.0.0.1", "x.mcp.example.com"):
        assert not names.knows_host(host)


@pytest.mark.parametrize(
    ("origin", "known"),
    [
        ("https://app.example.com", True),
        ("https://mcp.example.com", True),  # its own page
        ("http://localhost:8000", False),
        ("https://app.example.com.evil.example", False),
        ("https://app.example.com:444", False),
        ("http://app.example.com", False),
        ("https://other.example.com", False),
        ("null", False),
        ("file://", False),
        ("app.example.com", False),
    ],
)
def test_only_pages_that_are_named_and_our_own_may_call(origin: str, known: bool) -> None:
    """Exactly as they are named."""
    names = Names(["mcp.example.com"], ["https://app.example.com"])

    assert names.knows_origin(origin, "mcp.example.com") == known


def nested(depth: int, opening: str = "[", closing: str = "]") -> bytes:
    """JSON of that depth."""
    return (opening * depth + closing * depth).encode()


@pytest.mark.parametrize("depth", [1, 63, 64])
def test_what_is_not_too_deep_is_let_through(depth: int) -> None:
    """Brackets in strings do not count, wherever their quotes are escaped."""
    text = '\\"[[[{{{\\\\' * 500
    bodies = [
        nested(depth),
        json.dumps([*[[1]] * 10_000, {"a": [{}]}]).encode() if depth > 2 else b"[]",
        json.dumps({"[": '"' + "[" * 5000, '\\"': "\\", "x": text}).encode(),
        (("[" * depth) + json.dumps("[{" * 1000 + '"\\') + "]" * depth).encode(),
        b"",
        b'"[[[[',
    ]

    assert [is_deeper_than(64, body) for body in bodies] == [False] * len(bodies)


@pytest.mark.parametrize("depth", [65, 66, 1000, 100_000])
def test_what_is_too_deep_is_not(depth: int) -> None:
    """Of either kind of brackets or both, closed or not, behind strings of any kind."""
    bodies = [
        nested(depth),
        nested(depth, '{"a":', "}"),
        nested(depth, '[{"\\"":', "}]"),
        b"[" * depth,
        b'{"a": "\\\\", "b": ' + nested(depth) + b"}",
        b'{"a": "\\\\\\"", "b": ' + nested(depth) + b"}",
    ]

    assert [is_deeper_than(64, body) for body in bodies] == [True] * len(bodies)
