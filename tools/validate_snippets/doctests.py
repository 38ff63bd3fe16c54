"""Read `>>>` examples and IPython's `In [1]:`, tolerantly: one malformed prompt costs one example."""

import re
from dataclasses import dataclass

from .marks import flags
from .snippet import Example, Expected
from .source import Lines

PROMPT = re.compile(r"(?P<indent>[ \t]*)>>>(?: (?P<code>.*)|(?P<tight>[^>\s].*)|\s*)$")
_MORE = re.compile(r"[ \t]*\.\.\.(?: (?P<code>.*)|\s*)$")
_IPYTHON = re.compile(r"(?P<indent>[ \t]*)In ?\[\d*\]: ?(?P<code>.*)$")
_IPYTHON_MORE = re.compile(r"[ \t]+\.{3,}: ?(?P<code>.*)$")
_IPYTHON_OUT = re.compile(r"(?P<lead>[ \t]*Out ?\[\d*\]: ?)")
_NOTHING = re.compile(r"(?:[ \t]*(?:#.*)?\n)*")
_FLAGS = re.compile(r"#\s*doctest:\s*([^\n'\"]*)$", re.MULTILINE)
_TRACEBACK = re.compile(
    r"^Traceback \((?:most recent call last|innermost last)\):\s*$.*?^(?P<last>\w.*)",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class _Prompts:
    first: re.Pattern[str]
    more: re.Pattern[str]


_STYLES = (_Prompts(PROMPT, _MORE), _Prompts(_IPYTHON, _IPYTHON_MORE))


def has_prompt(text: str) -> bool:
    """Whether a line begins an example."""
    return PROMPT.match(text) is not None or _IPYTHON.match(text) is not None


def parse(lines: Lines, *, fenced: bool) -> tuple[Example, ...]:
    """Return the examples in these lines.

    In running text a blank line ends the shown output, as doctest has it. Inside a fence (`fenced`)
    nothing else can follow, so that output goes on to the next prompt, blank lines included.
    """
    examples: list[Example] = []
    index = 0
    while index < len(lines):
        for style in _STYLES:
            if match := style.first.match(lines.texts[index]):
                example, index = _example(lines, index, match, style, fenced=fenced)
                # A bare prompt or a comment runs nothing.
                examples += [] if _NOTHING.fullmatch(example.source) else [example]
                break
        else:
            index += 1
    return tuple(examples)


def _example(
    lines: Lines, start: int, match: re.Match[str], style: _Prompts, *, fenced: bool
) -> tuple[Example, int]:
    code = match["code"] or match.groupdict().get("tight") or ""
    source = [code]
    index = start + 1
    while index < len(lines) and (more := style.more.match(lines.texts[index])):
        source.append(more["code"] or "")
        index += 1
    text = "".join(f"{line}\n" for line in source)
    options: dict[str, bool] = {}
    if "doctest" in text:
        for found in _FLAGS.findall(text):
            options |= flags(found)
    stop = _end_of_want(lines, index, match["indent"], fenced=fenced)
    want = _want(lines, index, stop, match["indent"], options, start + len(source))
    return Example(text, start + 1, want, options), stop


def _end_of_want(lines: Lines, start: int, indent: str, *, fenced: bool) -> int:
    end = index = start
    while index < len(lines):
        text = lines.texts[index]
        if not text.strip():
            if not fenced:
                break
        elif has_prompt(text) or not text.startswith(indent):
            break
        else:
            end = index + 1
        index += 1
    return end


def _want(
    lines: Lines, start: int, stop: int, indent: str, options: dict[str, bool], after: int
) -> Expected | None:
    if stop == start:
        return None
    cut = len(indent)
    texts = [text[cut:] for text in lines.texts[start:stop]]
    column = lines.offsets[start] + cut
    if match := _IPYTHON_OUT.match(texts[0]):
        texts[0] = texts[0][match.end() :]
    text = "".join(f"{line if line.strip() else '<BLANKLINE>'}\n" for line in texts)
    return Expected(
        source="doctest",
        text=text,
        file=lines.file,
        line=lines.numbers[start],
        end_line=lines.numbers[stop - 1],
        column=column,
        after_line=after,
        exception=exception_line(text),
        flags=options,
    )


def exception_line(want: str) -> str | None:
    """Return `ValueError: no` from a shown traceback, None if the text is not one."""
    if not want.startswith("Traceback ("):
        return None
    match = _TRACEBACK.search(want)
    return match["last"].strip() if match else ""
