"""Read terminal sessions: the commands behind `$` prompts and what they printed."""

import re

from .snippet import Command, Expected
from .source import Lines

PROMPT = re.compile(
    r"\s*(?:\([\w .-]+\) ?)?(?:[\w.-]+@[\w.-]+[:\w~/. -]*)?[$\u276f] (?P<command>.*)$"
)
_CONTINUED = re.compile(r"\s*> ?(?P<rest>.*)$")
_HEREDOC = re.compile(r"<<-?\s*(['\"]?)(?P<word>\w+)\1")
# FastAPI's pages colour their sessions with these.
_TAGS = re.compile(r"</?(?:font|span|b|u|i|strong)\b[^>]*>")


def has_prompt(text: str) -> bool:
    """Whether any line begins with a prompt."""
    return any(PROMPT.match(line) for line in text.split("\n"))


def parse(lines: Lines) -> tuple[Command, ...]:
    """Return the commands of a session with the output shown for each."""
    commands: list[Command] = []
    index = 0
    while index < len(lines):
        match = PROMPT.match(lines.texts[index])
        if match is None:
            index += 1
            continue
        source, after = _command(lines, index, match["command"])
        stop = after
        while stop < len(lines) and not PROMPT.match(lines.texts[stop]):
            stop += 1
        output = _output(lines, after, stop)
        if source.strip() and not source.lstrip().startswith("#"):
            commands.append(Command(source, index + 1, output))
        index = stop
    return tuple(commands)


def _command(lines: Lines, start: int, first: str) -> tuple[str, int]:
    parts = [_TAGS.sub("", first)]
    index = start + 1
    heredoc = _HEREDOC.search(first)
    while index < len(lines):
        text = lines.texts[index]
        if heredoc:
            parts.append(text)
            index += 1
            if text.strip() == heredoc["word"]:
                break
        elif parts[-1].rstrip().endswith("\\"):
            continued = _CONTINUED.match(text)
            parts.append(_TAGS.sub("", continued["rest"] if continued else text))
            index += 1
        else:
            break
    return "\n".join(parts) + "\n", index


def _output(lines: Lines, start: int, stop: int) -> Expected | None:
    while start < stop and not lines.texts[start].strip():
        start += 1
    while stop > start and not lines.texts[stop - 1].strip():
        stop -= 1
    if start == stop:
        return None
    text = "".join(f"{_TAGS.sub('', line)}\n" for line in lines.texts[start:stop])
    return Expected(
        source="console",
        text=text,
        file=lines.file,
        line=lines.numbers[start],
        end_line=lines.numbers[stop - 1],
        column=lines.offsets[start],
        after_line=start,
    )
