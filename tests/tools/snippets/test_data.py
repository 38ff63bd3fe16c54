"""Documents in data formats."""

import pytest

from proofbox.tools.validate_snippets import data


@pytest.mark.parametrize(
    ("language", "code"),
    [
        pytest.param("json", '{"a": [1, 2.5, null]}\n', id="object"),
        pytest.param("json", '{"a": 1}\n{"b": 2}\n', id="several"),
        pytest.param("json", '"mcpServers": {\n  "x": 1\n},\n', id="members"),
        pytest.param("toml", "[a]\nb = 1\n", id="toml"),
    ],
)
def test_documents_that_parse_are_right(language: str, code: str) -> None:
    """Also several in a row, and members without their braces."""
    assert data.error(language, code) is None


@pytest.mark.parametrize(
    ("language", "code", "place"),
    [
        pytest.param("json", '{\n  "a": 1,\n}\n', (2, 9), id="trailing-comma"),
        pytest.param("json", "{\n  'a': 1\n}\n", (2, 3), id="single-quotes"),
        pytest.param("json", '{"a": 1}\n{"b"}\n', (2, 5), id="second-document"),
        pytest.param("json", "", (1, 1), id="empty"),
        pytest.param("json", "[" * 100_000, (1, 1), id="deep"),
        pytest.param("toml", "a = 1\nb = \n", (2, 5), id="toml"),
    ],
)
def test_an_error_is_told_with_its_place(language: str, code: str, place: tuple[int, int]) -> None:
    """Line and column of the document, for the message to the author."""
    found = data.error(language, code)

    assert found is not None
    # Python 3.13 blames a trailing comma, earlier versions the brace behind it.
    assert found.line - place[0] in {0, 1}
    assert found.message
    assert not found.placeholder


def test_left_out_parts_are_not_errors() -> None:
    """`...` in a document is the author's."""
    found = data.error("json", '{"a": 1, ...}')
    text = data.error("json", '{"a": "...", }')

    assert found is not None
    assert found.placeholder
    assert text is not None
    assert not text.placeholder


def test_a_language_without_a_parser_is_refused() -> None:
    """The caller asks first."""
    assert not data.can_parse("xml")
    with pytest.raises(ValueError, match="no parser"):
        data.error("xml", "<a/>")
