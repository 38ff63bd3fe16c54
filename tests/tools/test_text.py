"""Text from a sandbox, made fit to be read."""

import pytest

from proofbox.tools import _text


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("plain\ttext\n", "plain\ttext\n"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]8;;http://evil\x07link\x1b]8;;\x07", "link"),
        ("\x1b]0;title\x1b\\x", "x"),
        ("a\x00b\x07c\x7fd\x9be", "abcde"),
        ("abc\u202etxt.exe", "abctxt.exe"),
        ("one\r\ntwo", "one\ntwo"),
        (" 10%\r 50%\r100%\ndone", "100%\ndone"),
        ("bar\r\nnext\r", "bar\nnext"),
        ("caf\u00e9 \u65e5\u672c \U0001f600", "caf\u00e9 \u65e5\u672c \U0001f600"),
        ("\ud800", "?"),
    ],
)
def test_text_is_what_a_terminal_would_show(raw: str, shown: str) -> None:
    """Escapes, controls, overwritten lines and what cannot be sent are gone, the rest stays."""
    assert _text.clean(raw) == shown


@pytest.mark.parametrize(
    "unit", ["\x1b[", "\x1b]", "\r", "\x1b[0", "x\r", "\x1b]0;" + "a" * 100, "x"]
)
def test_no_text_makes_cleaning_slow(unit: str) -> None:
    """What would take minutes if the work grew with the square of the length is done at once."""
    text = unit * (1_000_000 // len(unit)) + "\nend\r\n"

    assert _text.clean(text).endswith("end\n")


def test_short_text_is_not_cut() -> None:
    """Text within the limit comes back as it is."""
    assert _text.cut("abc", 3) == _text.Cut("abc", 0)


def test_long_text_keeps_its_head_and_tail_and_counts_the_rest() -> None:
    """What is kept and what is counted make up the whole."""
    text = "".join(f"line {number}\n" for number in range(1000))

    cut = _text.cut(text, 300)

    head, middle, tail = cut.text.partition(f"\n[... {cut.omitted:,} characters left out ...]\n")
    assert middle
    assert text.startswith(head)
    assert text.endswith(tail)
    assert len(head) + cut.omitted + len(tail) == len(text)
    assert len(head) + len(tail) <= 300
    assert tail.startswith("line ")


def test_one_endless_line_is_cut_too() -> None:
    """Where there are no line ends to cut at, characters are cut."""
    cut = _text.cut("x" * 10_000, 300)

    assert cut.omitted == 9700


def test_the_last_line_is_the_newest_that_says_something() -> None:
    """Blank lines at the end do not count, and a long line is shortened."""
    assert _text.last_line("one\n  two  \n\n \n") == "two"
    assert _text.last_line("\n\n") == ""
    assert len(_text.last_line("x" * 1000)) == 200


@pytest.mark.parametrize(
    ("count", "shown"),
    [(0, "0 bytes"), (1, "1 byte"), (999, "999 bytes"), (1500, "1.5 kB"), (2_500_000, "2.5 MB")],
)
def test_sizes_are_shown_for_people(count: int, shown: str) -> None:
    """Bytes, kilobytes, megabytes."""
    assert _text.size(count) == shown
