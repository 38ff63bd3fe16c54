"""Exceptions as the records have them."""

from pathlib import Path

from proofbox.tools.run_generated_tests.guest.errors import of


def raised(error: BaseException) -> BaseException:
    """The exception with a traceback."""
    try:
        raise error
    except BaseException as caught:  # noqa: BLE001 - it is given back
        return caught


def test_of_a_group_that_is_told_which_failed() -> None:
    """A group of tasks says only how many failed; one of them alone is told in the place of the group."""
    root = str(Path(__file__).parent)
    leaf = AssertionError("1 == 2")
    raised(leaf)

    one = of(raised(ExceptionGroup("unhandled", [ExceptionGroup("inner", [leaf])])), root)
    two = of(raised(ExceptionGroup("unhandled", [leaf, KeyError("x")])), root)

    assert (one["type"], one["message"], one["frames"][-1]["file"]) == (
        "AssertionError",
        "1 == 2",
        Path(__file__).name,
    )
    assert two["type"] == "ExceptionGroup"
    assert two["message"].splitlines()[1:] == ["AssertionError: 1 == 2", "KeyError: 'x'"]


def test_a_text_that_cannot_be_had_is_no_failure_of_ours() -> None:
    """The class is the tests' own."""

    class Mute(Exception):
        def __str__(self) -> str:
            raise ValueError

    assert of(raised(Mute()), "/")["message"] == "<its text raises ValueError>"
