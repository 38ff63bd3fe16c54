"""Snippets in the docstrings of modules."""

from textwrap import dedent

from proofbox.tools.validate_snippets.extract import extract
from proofbox.tools.validate_snippets.snippet import Page


def page(text: str) -> Page:
    return extract(dedent(text), "module.py", "python")


def test_every_docstring_is_a_namespace_of_its_own() -> None:
    """Module, class, method and attribute docstrings are found, each a document with its scope."""
    found = page(
        '''\
        """Module.

        >>> 1
        1
        """

        class A:
            """Class.

            ```python
            x = 1
            ```
            """

            field = 2
            """Attribute.

            >>> 2
            2
            """

            async def f(self):
                """>>> 3
                3
                """

                def g():
                    r"""
                    .. code-block:: python

                        y = 1
                    """
        '''
    )

    assert [(s.scope, s.document, s.line, s.column) for s in found.snippets] == [
        ("", 0, 3, 1),
        ("A", 1, 11, 5),
        ("A.field", 2, 18, 5),
        ("A.f", 3, 23, 12),
        ("A.f.g", 4, 31, 17),
    ]


def test_escapes_are_undone_and_lines_stay_right() -> None:
    """The value of the docstring runs; positions are those of the file."""
    found = page(
        '''\
        def f():
            """One \\
            two\\nthree

            >>> "a\\\\nb"
            'a\\\\nb'
            """
        '''
    )

    (snippet,) = found.snippets
    assert snippet.examples[0].source == '"a\\nb"\n'
    assert (snippet.line, snippet.column) == (5, 5)


def test_strings_that_are_no_docstrings_are_left_alone() -> None:
    """Only documentation is read."""
    assert page('x = """\n>>> 1\n2\n"""\ndef f():\n    y = 1\n    """>>> 2"""\n').snippets == ()


def test_a_module_that_does_not_parse_is_reported() -> None:
    """Nothing is found, and the problem says why and where."""
    found = page('"""\n>>> 1\n"""\ndef :\n')

    assert found.snippets == ()
    assert [(p.kind, p.position.line) for p in found.problems] == [("unparsable_module", 4)]
