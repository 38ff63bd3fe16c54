"""Bash code that ends with `exit`, as scripts do.

A session's bash reads one piece of code after another, and `exit` would end it: nobody could tell the last
statement of a script, where it only says how all of it went, from one in the middle, behind which
something did not run.
"""

import re

_EXIT = r'exit(?:[ \t]+(?:\d+|"?\$\{?[\w?]+\}?"?))?'
_COMMENT = r"(?:[ \t]*#[^'\"`\n]*)?"
_LAST = re.compile(rf"(?:^|[;&]|\|\|)[ \t]*(?P<exit>{_EXIT})[ \t]*;?{_COMMENT}$")

# What may be the last statement around it: its branches exclude each other. What ends a branch in it must
# be followed by the end of another, so that nothing in the statement is left.
_BRANCHES = {"fi": "if", "esac": "case"}
_CLOSED = re.compile(rf"(?:^|[;\s])(?P<word>fi|esac)[ \t]*;?{_COMMENT}$")
_ENDS = re.compile(r"(?<![\w$./\"'-])(?:exit|fi|esac)(?![\w=-])")
_END_OF_BRANCH = re.compile(
    rf"(?P<command>{_EXIT}|fi|esac){_COMMENT}"
    r"(?:[;\s]*(?<=[;\s])(?:else|elif|fi|esac)(?![\w-])|\s*;;|[;\s]*$)"
)
_MORE_THAN_BRANCHES = re.compile(r"\b(?:for|while|until|select|function|trap)\b|\(\)|<<")


def exit_as_status(code: str) -> str:
    """The same code, but an `exit` that it ends with gives the status and leaves bash alive.

    That is `exit` as its last command, or as the last of branches of an `if` or `case` that is its last
    statement. Every other `exit` stays as it is, and so does all that is not certain.
    """
    lines = code.split("\n")
    end = len(lines) - 1
    while end >= 0 and re.match(r"\s*(?:#|$)", lines[end]):
        end -= 1
    if end < 0 or (end > 0 and lines[end - 1].endswith("\\")):
        return code
    if last := _LAST.search(lines[end]):
        lines[end] = _in_subshells(lines[end], [last.span("exit")])
    elif (start := _start_of_branches(lines, end)) is not None:
        block = "\n".join(lines[start : end + 1])
        if (exits := _exits_of_branches(block)) is not None:
            lines[start : end + 1] = [_in_subshells(block, exits)]
    return "\n".join(lines)


def _in_subshells(text: str, places: list[tuple[int, int]]) -> str:
    for start, end in reversed(places):
        text = f"{text[:start]}({text[start:end]}){text[end:]}"
    return text


def _start_of_branches(lines: list[str], end: int) -> int | None:
    closed = _CLOSED.search(lines[end])
    if closed is None:
        return None
    opening = re.compile(rf"{_indentation(lines[end])}{_BRANCHES[closed['word']]}\b")
    start = next((at for at in range(end, -1, -1) if opening.match(lines[at])), None)
    continued = start is not None and start > 0 and lines[start - 1].endswith("\\")
    return None if continued else start


def _exits_of_branches(block: str) -> list[tuple[int, int]] | None:
    """Where they are in the statement; None if one is not the last of its branch, or may not be."""
    if _MORE_THAN_BRANCHES.search(block):
        return None
    ends = [_END_OF_BRANCH.match(block, word.start()) for word in _ENDS.finditer(block)]
    sure = [end for end in ends if end is not None]
    if len(sure) < len(ends):
        return None
    return [end.span("command") for end in sure if end["command"].startswith("exit")]


def _indentation(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]
