"""Make snippets of blocks: what stands before a block, behind it and around it belongs to it."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from . import console, doctests, printed
from . import info as infos
from .blocks import Block, Event, Remark
from .directive import BadDirective
from .marks import fold, from_code
from .snippet import Expected, Kind, Mark, Marks, Problem, Snippet
from .source import Lines

_OUTPUT_CAPTION = re.compile(
    r"(?:\*\*|__|_|#+ )?(?:(?:the |its |sample |example )?(?:output|result|stdout)"
    r"|(?:this |it |which |that )?(?:will )?(?:outputs?|prints?|produces?|displays?))"
    r"\b[\w ]{0,24}[:.]?(?:\*\*|__|_)?:?$",
    re.IGNORECASE,
)


@dataclass(slots=True)
class _State:
    """What has been said so far and holds for the blocks to come."""

    pending: list[Mark] = field(default_factory=list[Mark])
    stretches: dict[str, Mark] = field(default_factory=dict[str, Mark])
    document: int = 0


@dataclass(frozen=True, slots=True)
class Region:
    """A part of a file with a namespace of its own: a page, or one docstring."""

    events: Sequence[Event]
    scope: str = ""


def assemble(
    file: str, regions: Iterable[Region], texts: Sequence[str]
) -> tuple[tuple[Snippet, ...], tuple[Problem, ...]]:
    """Return the snippets and problems of a file; `texts` are all its lines."""
    snippets: list[Snippet] = []
    problems: list[Problem] = []
    document = 0
    skip_file: Mark | None = None
    for region in regions:
        state = _State(document=document)
        for event in region.events:
            if isinstance(event, Problem):
                problems.append(event)
            elif isinstance(event, Remark):
                for mark in event.marks:
                    skip_file = mark if mark.name == "skip-file" else skip_file
                    _remember(mark, state)
            else:
                _add(event, state, region.scope, snippets, problems, texts)
        document = state.document + 1
    if skip_file:
        snippets = [_say(snippet, skip_file) for snippet in snippets]
    return tuple(snippets), tuple(problems)


def _say(snippet: Snippet, mark: Mark) -> Snippet:
    return replace(snippet, marks=fold((*snippet.marks.said, mark)))


def _remember(mark: Mark, state: _State) -> None:
    if mark.name == "clear":
        state.document += 1
    elif mark.name.startswith(("skip-start", "group-start")):
        state.stretches[mark.name.partition("-")[0]] = mark
    elif mark.name in {"skip-end", "group-end"}:
        state.stretches.pop(mark.name.partition("-")[0], None)
    elif mark.name != "skip-file":
        state.pending.append(mark)


def _add(
    block: Block,
    state: _State,
    scope: str,
    snippets: list[Snippet],
    problems: list[Problem],
    texts: Sequence[str],
) -> None:
    plain = _is_plain(block)
    marks = [*block.marks, *state.pending]
    is_output = block.language == "output" or any(mark.name == "is-output" for mark in marks)
    last = snippets[-1] if snippets and snippets[-1].document == state.document else None
    if not is_output and plain and not state.pending:
        is_output = last is not None and _captioned(last, block, texts)
    if is_output:
        state.pending.clear()
        target = _target(snippets, block, state.document)
        if target is not None:
            snippets[target] = _with_output(snippets[target], block)
            return
    elif plain:
        # A listing between a remark and the code it is about is not meant.
        marks = list(block.marks)
    else:
        state.pending.clear()
    if "skip" in state.stretches:
        marks.append(state.stretches["skip"])
    if "group" in state.stretches:
        marks.append(Mark("group", state.stretches["group"].value, block.first, "doccmd"))
    code = block.parts[0].texts if block.parts else ()
    if block.language in {"python", "pycon"} and code and code[0].startswith("#"):
        try:
            marks += from_code(block.code, block.parts[0].numbers[0])
        except BadDirective as error:
            problems.append(Problem("bad_directive", block.map().position(1), str(error)))
    snippets.append(
        _snippet(block, fold(marks), state.document, scope, len(snippets), is_output=is_output)
    )


def _is_plain(block: Block) -> bool:
    return block.language in {"", "text"} and not _begins_with_prompt(block.body.texts)


def _snippet(
    block: Block, marks: Marks, document: int, scope: str, index: int, *, is_output: bool
) -> Snippet:
    lines = _joined(block.parts)
    body = block.body
    kind: Kind = "output" if is_output else _kind(block, marks, lines)
    language = {"doctest": "pycon", "console": "console"}.get(kind, block.language)
    examples = doctests.parse(lines, fenced=block.fenced) if language == "pycon" else ()
    if examples and all(example.flags.get("SKIP") for example in examples):
        line = lines.numbers[0]
        marks = fold((Mark("skip", "every example has +SKIP", line, "doctest"), *marks.said))
    return Snippet(
        file=body.file,
        index=index,
        language=language,
        kind=kind,
        code=block.code,
        line=body.numbers[0] if len(body) else block.first,
        column=body.offsets[0] + 1 if len(body) else 1,
        end_line=body.numbers[-1] if len(body) else block.first,
        opening_line=block.first,
        map=block.map(),
        info=block.info,
        document=document,
        scope=scope,
        marks=marks,
        examples=examples,
        commands=console.parse(lines) if kind == "console" else (),
        expected=printed.shown(lines) if language == "python" else (),
        unresolved=block.unresolved,
    )


def _joined(parts: Sequence[Lines]) -> Lines:
    if len(parts) == 1:
        return parts[0]
    return Lines(
        parts[0].file,
        [text for part in parts for text in part.texts],
        tuple(number for part in parts for number in part.numbers),
        [offset for part in parts for offset in part.offsets],
    )


_KINDS: Mapping[str, Kind] = {
    "python": "code",
    "bash": "code",
    "javascript": "code",
    "output": "output",
    **dict.fromkeys(infos.DATA, "data"),
}


def _kind(block: Block, marks: Marks, lines: Lines) -> Kind:
    if block.kind or (marks.hidden and (marks.setup or marks.cleanup)):
        return block.kind or ("setup" if marks.setup else "cleanup")
    language = block.language
    if language in {"python", "pycon", ""} and _begins_with_prompt(lines.texts):
        return "doctest"
    if language == "pycon":
        return "doctest" if any(doctests.has_prompt(text) for text in lines.texts) else "other"
    if language in {"bash", "console"} and console.has_prompt(block.code):
        return "console"
    return _KINDS.get(language, "other")


def _begins_with_prompt(texts: Sequence[str]) -> bool:
    for text in texts:
        if text.strip() and not text.lstrip().startswith("#"):
            return doctests.has_prompt(text)
    return False


def _captioned(last: Snippet, block: Block, texts: Sequence[str]) -> bool:
    """Whether a block without a language shows the output of the snippet before it."""
    if last.kind != "code" or last.language != "python" or last.expected:
        return False
    between = [text.strip() for text in texts[last.end_line : block.first - 1]]
    prose = [text for text in between if text and not _FENCE_LINE.match(text)]
    if not prose:
        return "print(" in last.code or doctests.exception_line(block.code) is not None
    return len(prose) == 1 and _OUTPUT_CAPTION.match(prose[0]) is not None


_FENCE_LINE = re.compile(r"[>\s]*(?:`{3,}|~{3,}|:{3,})\s*$")


def _target(snippets: Sequence[Snippet], block: Block, document: int) -> int | None:
    """Return the index of the snippet that an output block belongs to."""
    groups = {mark.value for mark in block.marks if mark.name == "group"}
    for index in range(len(snippets) - 1, -1, -1):
        candidate = snippets[index]
        if candidate.document != document:
            return None
        if groups:
            if candidate.kind == "code" and groups & set(candidate.marks.groups):
                return index
        elif candidate.kind in {"code", "doctest", "console"}:
            shows = any(shown.after_line == 0 for shown in candidate.expected)
            return index if candidate.kind == "code" and not shows else None
    return None


def _with_output(snippet: Snippet, block: Block) -> Snippet:
    body = block.body
    if not len(body):
        return snippet
    testoutput = block.info.startswith(("testoutput", "{testoutput"))
    marks = fold(block.marks)
    shown = Expected(
        source="testoutput" if testoutput else "block",
        text=block.code,
        file=body.file,
        line=body.numbers[0],
        end_line=body.numbers[-1],
        column=body.offsets[0],
        exception=doctests.exception_line(block.code),
        flags=marks.flags,
    )
    if marks.skip_if or marks.skip:
        return snippet
    return replace(snippet, expected=(*snippet.expected, shown))
