"""Bash code whose status says how all of it went: where it ends with `exit`, and where with a pipeline.

A session's bash reads one piece of code after another, and `exit` would end it: nobody could tell the last
statement of a script, where it only says how all of it went, from one in the middle, behind which
something did not run. And bash knows only of the last command of a pipeline how it went: `pytest | tail` is
a success whatever the tests say.
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

# Behind a condition or a loop it is another pipeline that bash remembers, whose end is rarely that of all.
# 141 is of a command that wrote to `head`, which had enough.
_WHOLE_PIPELINE = (
    '{ __proofbox_status=$? __proofbox_parts=("${PIPESTATUS[@]}"); '
    'if [ "$__proofbox_status" = 0 ] && [ "${__proofbox_parts[${#__proofbox_parts[@]}-1]}" = 0 ]; then '
    'for __proofbox_part in "${__proofbox_parts[@]}"; do case $__proofbox_part in 0|141) ;; '
    "*) __proofbox_status=$__proofbox_part ;; esac; done; fi; "
    '(exit "$__proofbox_status"); } 2>/dev/null'
)
_HEREDOC = re.compile(r"(?<!<)<<(?!<)(?:-?[ \t]*(?P<quote>['\"]?)(?P<word>\w+)(?P=quote))?")
# Ends of pipelines that do not read all that there is.
_STOPS_EARLY = re.compile(r"\|\s*(?:head\b|sed\b[^|]*\bq\b|grep\b[^|]*\s-\w*[qm])[^|]*$")


def honest(code: str, *, ignores_sigpipe: bool = False) -> str:
    """The same code, whose status is not 0 if its last pipeline failed anywhere, or an `exit` at its end says so.

    Where bash `ignores_sigpipe`, what writes to `head` fails like anything else, so a pipeline with such an end
    keeps the status that bash gives it.
    """
    stops = ignores_sigpipe and _STOPS_EARLY.search(code) is not None
    return exit_as_status(code) if stops else with_pipeline(exit_as_status(code))


def with_pipeline(code: str) -> str:
    """The same code with the status of the whole of its last pipeline: that of the last command in it that failed.

    Pipelines before stay as they are: what `if` and `set -e` make of them is the code's own business.
    """
    if "|" not in code or code.endswith("\\") or _has_open_heredoc(code):
        return code
    return f"{code}\n{_WHOLE_PIPELINE}"


def _has_open_heredoc(code: str) -> bool:
    # What is put behind it would be text of it.
    return any(
        here["word"] is None
        or not re.search(rf"^\t*{re.escape(here['word'])}$", code[here.end() :], re.MULTILINE)
        for here in _HEREDOC.finditer(code)
    )


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
