"""Foreign text in Markdown as GitHub renders it: shown as it is, never as markup, and nobody is pinged.

A code span or a fenced block is taken wherever there is a choice: inside, GitHub resolves neither markup
nor names of people, numbers of issues, addresses or signs. `text` is for sentences with such text in them.
"""

import html
import re

from .plain import one_line, plain

_MARKUP = re.compile(r"([\\`*_\[\]|~])")
_BLOCK = re.compile(r"^(?:(\d+)([.)])(?=\s|$)|([-+=#]))")
# A separator that nobody sees keeps what GitHub looks for in rendered text apart. None is left in what
# is `plain`.
_GAP = "\u200b"
_LINKED = (
    (re.compile(r"@"), f"@{_GAP}"),
    (re.compile(r"#(?=\d)"), f"#{_GAP}"),
    (re.compile(r"\b(gh)-(?=\d)", re.IGNORECASE), rf"\1{_GAP}-"),
    (re.compile(r"://"), f":{_GAP}//"),
    (re.compile(r"\b(www)\.", re.IGNORECASE), rf"\1{_GAP}."),
    (re.compile(r"\b(mailto|xmpp):", re.IGNORECASE), rf"\1{_GAP}:"),
    (re.compile(r":(?=[\w+-]*[a-z+-][\w+-]*:)"), f":{_GAP}"),
)


def text(sentence: str, limit: int = 1000) -> str:
    """A sentence on one line, outside of code; it fits a table too."""
    shown = (
        one_line(sentence, limit).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    )
    shown = _MARKUP.sub(r"\\\1", shown)
    for pattern, broken in _LINKED:
        shown = pattern.sub(broken, shown)
    # Between two of them GitHub sees a formula, and takes a backslash for a part of it.
    shown = shown.replace("$", "<span>$</span>").replace(_GAP, "&#8203;")
    return _BLOCK.sub(lambda match: f"{match[1] or ''}\\{match[2] or match[3]}", shown)


def code(name: str, limit: int = 300) -> str:
    """A name on one line as a code span; nothing at all for an empty one."""
    shown = one_line(name, limit)
    if not shown:
        return ""
    ticks = "`" * (1 + _longest_run(shown))
    pad = " " if shown.startswith("`") or shown.endswith("`") else ""
    return f"{ticks}{pad}{shown}{pad}{ticks}"


def cell(name: str, limit: int = 300) -> str:
    """A code span for a table, whose rows are cut at bars before code is seen."""
    shown = code(name, limit)
    # A backslash before a bar's own cannot be written.
    shown = re.sub(r"\\+(?=\|)", lambda match: "∖" * len(match[0]), shown)
    return shown.replace("|", "\\|")


def html_code(name: str, limit: int = 300) -> str:
    """A name on one line for a block of HTML, in which Markdown is not read."""
    return f"<code>{html.escape(one_line(name, limit))}</code>"


def fenced(block: str, limit: int = 2000) -> str:
    """Lines as a fenced block, which nothing in them can end."""
    shown = plain(block, limit).strip("\n")
    ticks = "`" * max(3, 1 + _longest_run(shown))
    return f"{ticks}text\n{shown}\n{ticks}"


def _longest_run(shown: str) -> int:
    return max((len(run) for run in re.findall(r"`+", shown)), default=0)
