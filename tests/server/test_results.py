"""What the port says of a result in words."""

import pytest

from proofbox.server.sandbox import CodeError


@pytest.mark.parametrize(
    ("error", "headline"),
    [
        (CodeError("KeyError", "'a'", 3), "KeyError at line 3: 'a'"),
        (CodeError("MemoryError", "", 3), "MemoryError at line 3"),
        (CodeError("MemoryError", ""), "MemoryError"),
        (CodeError("ParseError", "\nsaid\nmore"), "ParseError: said"),
    ],
)
def test_the_headline_of_an_error_says_what_there_is(error: CodeError, headline: str) -> None:
    """And nothing in the place of what there is not."""
    assert error.headline == headline
