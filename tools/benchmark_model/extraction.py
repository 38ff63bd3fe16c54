"""From a model's reply to a program, with a trail of what was taken and what was added.

Nothing is renamed, repaired or invented: a reply that leaves out what the task asks for is to fail. Two
programs come of it. The strict one is what the model wrote (after the prompt, if it wrote the body of a
function only); the lenient one may lack imports and what the prompt had defined. All of it is linear in the
length of the reply.
"""

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from .fenced import Fence, fences
from .gluing import glued, indented, with_imports
from .python_code import Code, parse, parse_beginning, parse_dedented
from .task import Language, Task

AnswerKind = Literal["reply", "completion", "program"]
"""reply: a chat message. completion: it goes on where the prompt ends. program: it is all of it."""

_LABELS: dict[Language, frozenset[str]] = {
    "python": frozenset(
        {"python", "py", "python3", "python2", "ipython", "pycon", "py3", "python-repl"}
    ),
    "javascript": frozenset({"javascript", "js", "node", "nodejs", "mjs", "ecmascript", "jsx"}),
    "bash": frozenset({"bash", "sh", "shell", "zsh", "shellscript"}),
}
_THOUGHT = re.compile(r"</think(?:ing)?>")
_TOKEN = re.compile(r"<\|[a-z_]{1,40}\|>|</s>|\[/?(?:PYTHON|INST)\]")
_PROMPT = re.compile(r"[ \t]*(?:>>>|\.\.\.)(?: |$)")
_BEGINS = re.compile(r"(?:async def|def|class|import|from|@|if __name__)\b|@")
_INVISIBLE = dict.fromkeys(map(ord, "\ufeff\u200b\u200c\u200d\u2060"))


@dataclass(frozen=True, slots=True)
class Extraction:
    """The programs, empty where there is no code, and how they came about, step by step."""

    strict: str
    lenient: str
    trail: tuple[str, ...]


@dataclass(slots=True)
class _Trail:
    steps: list[str] = field(default_factory=list[str])

    def add(self, step: str) -> None:
        self.steps.append(step)


def extract(answer: str, task: Task, kind: AnswerKind = "reply") -> Extraction:
    """The program in an answer to a task."""
    trail = _Trail()
    text = _plain(answer, trail)
    if not text.strip():
        trail.add("the answer is empty")
        return Extraction("", "", tuple(trail.steps))
    if kind == "program":
        # Whoever recorded it ran it where the prompt's imports had been made.
        strict, given = with_imports(text, task, lenient=False)
        trail.add(f"took the whole answer as a program{given and f', after {given}'}")
    elif kind == "completion":
        strict = glued(task.prompt, text)
        trail.add("put the prompt before the answer, as it is")
    else:
        strict = _of_reply(text, task, trail)
    lenient, added = (
        with_imports(strict, task, lenient=True) if task.language == "python" else (strict, "")
    )
    if added:
        trail.add(f"lenient: added {added}")
    return Extraction(strict, lenient, tuple(trail.steps))


def _plain(answer: str, trail: _Trail) -> str:
    """The answer with plain line ends, and without what cannot be seen."""
    text = answer
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
        trail.add("made line ends plain")
    if "\ufeff" in text[:1] or "\u200b" in text:
        text = text.translate(_INVISIBLE)
        trail.add("took away a byte order mark or invisible characters")
    if "\xa0" in text:
        text = text.replace("\xa0", " ")
        trail.add("made non-breaking spaces plain")
    return text


def _of_reply(reply: str, task: Task, trail: _Trail) -> str:
    thoughts = list(_THOUGHT.finditer(reply))
    if thoughts:
        reply = reply[thoughts[-1].end() :]
        trail.add("left out the model's thoughts before its answer")
    if _TOKEN.search(reply):
        reply = _TOKEN.sub("", reply)
        trail.add("took away tokens of the model's format")
    blocks = _code_blocks(list(fences(reply)), task.language, trail)
    if task.language != "python":
        return _of_other_language(reply, blocks, task, trail)
    if blocks:
        return _of_blocks(blocks, task, trail)
    return _of_prose(reply, task, trail)


def _code_blocks(found: Sequence[Fence], language: Language, trail: _Trail) -> list[Fence]:
    """The blocks that may be in the task's language, those that say so last."""
    named = [fence for fence in found if fence.label in _LABELS[language]]
    unnamed = [fence for fence in found if not fence.label]
    kept = [_unlabelled(fence, language) for fence in (*unnamed, *named)]
    kept = [fence for fence in kept if fence.code.strip()]
    if found:
        trail.add(f"found {len(found)} fenced blocks, {len(kept)} of them to look at")
    return kept


def _unlabelled(fence: Fence, language: Language) -> Fence:
    """A label that slipped into the first line of the code goes."""
    first, _, rest = fence.code.partition("\n")
    if first.strip().lower() in _LABELS[language] and rest.strip():
        return Fence(fence.label, rest, fence.first_line + 1, fence.last_line, fence.closed)
    return fence


def _of_blocks(blocks: Sequence[Fence], task: Task, trail: _Trail) -> str:
    """The program in fenced Python: the last block that defines what is asked for, and what that needs."""
    parsed = [_parsed(fence, trail) for fence in blocks]
    fitting = [
        index
        for index, code in enumerate(parsed)
        if code is not None and _answers(code, task.entry_point)
    ]
    if fitting:
        chosen = fitting[-1]
        trail.add(f"took {_lines(blocks[chosen])}, which defines {task.entry_point or 'a program'}")
        return _with_helpers(parsed, chosen, blocks, trail)
    if len(blocks) > 1 and (joined := _joined(blocks, task)):
        trail.add("put all blocks together, which define it in parts")
        return joined
    chosen = _largest(blocks, parsed)
    return _whole_or_body(blocks[chosen].code, parsed[chosen], _lines(blocks[chosen]), task, trail)


def _answers(code: Code, entry_point: str) -> bool:
    if not entry_point:
        return code.says_something or bool(code.tree.body)
    assigned = code.defined - {
        node.name
        for node in code.tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    return entry_point in code.functions or entry_point in assigned


def _joined(blocks: Sequence[Fence], task: Task) -> str:
    """All blocks as one program, if that defines what is asked for."""
    ordered = sorted(blocks, key=lambda fence: fence.first_line)
    whole = parse("\n".join(fence.code for fence in ordered))
    return whole.text if whole and _answers(whole, task.entry_point) else ""


def _largest(blocks: Sequence[Fence], parsed: Sequence[Code | None]) -> int:
    """The block that most likely is the answer: one that can be a body, else the longest."""
    bodies = [index for index, code in enumerate(parsed) if code is not None and code.is_body]
    return max(bodies or range(len(blocks)), key=lambda index: len(blocks[index].code))


def _parsed(fence: Fence, trail: _Trail) -> Code | None:
    text = fence.code
    if _is_session(text):
        text = _without_prompts(text)
        trail.add(f"took away the prompts of {_lines(fence)}")
    code = parse_dedented(text)
    if code is None and not fence.closed and (code := parse_beginning(text)):
        trail.add(f"{_lines(fence)} is never closed: cut it where the code ends")
    return code


def _is_session(text: str) -> bool:
    return any(line.lstrip().startswith(">>> ") for line in text.split("\n", 3)[:3])


def _without_prompts(text: str) -> str:
    lines = (_PROMPT.match(line) for line in text.split("\n"))
    return "\n".join(found.string[found.end() :] for found in lines if found)


def _with_helpers(
    parsed: Sequence[Code | None], chosen: int, blocks: Sequence[Fence], trail: _Trail
) -> str:
    """The chosen block, after the others that define names it lacks."""
    code = parsed[chosen]
    if code is None:
        raise RuntimeError("a block that does not parse cannot be chosen")
    taken = {chosen}
    missing = set(code.missing)
    # Each round takes a block or ends.
    for _ in parsed:
        more = next(
            (
                (index, other)
                for index, other in enumerate(parsed)
                if index not in taken and other is not None and other.defined & missing
            ),
            None,
        )
        if more is None:
            break
        index, other = more
        taken.add(index)
        missing = (missing | other.missing) - other.defined
        trail.add(f"added {_lines(blocks[index])}, which defines what it uses")
    # What answers the task comes last, so that it is not defined anew by an earlier attempt.
    order = [*sorted(taken - {chosen}), chosen]
    return "\n\n".join(one.text.strip("\n") for index in order if (one := parsed[index])) + "\n"


def _whole_or_body(text: str, code: Code | None, where: str, task: Task, trail: _Trail) -> str:
    """Code that does not define what is asked for: the body of it, or just not that."""
    if task.kind == "completion" and (code is None or code.is_body or not code.functions):
        program = glued(task.prompt, indented(text, task.prompt))
        if (whole := parse(program)) is not None and _answers(whole, task.entry_point):
            trail.add(f"took {where} as the function's body and put the prompt before it")
            return program
    if code is None:
        trail.add(f"took {where}, which does not parse")
        return text
    names = ", ".join(code.functions[:3]) or "no function"
    trail.add(f"took {where}; it defines {names}, not {task.entry_point}, and was not renamed")
    return code.text


def _of_prose(reply: str, task: Task, trail: _Trail) -> str:
    """The program in a reply without fences: all of it, or what begins like code."""
    text = _without_prompts(reply) if _is_session(reply) else reply
    text = _first_word_gone(text)
    code = parse_dedented(text)
    if code is not None and code.says_something:
        if _answers(code, task.entry_point):
            trail.add("took the whole reply, which is code")
            return code.text
        return _whole_or_body(text, code, "the whole reply", task, trail)
    lines = text.split("\n")
    start = next((n for n, line in enumerate(lines) if _BEGINS.match(line)), None)
    # Prose may begin with `from`; what defines the function decides.
    wanted = (
        f"def {task.entry_point}(",
        f"async def {task.entry_point}(",
        f"class {task.entry_point}",
    )
    if task.entry_point and any(line.startswith(wanted) for line in lines):
        definition = next(n for n, line in enumerate(lines) if line.startswith(wanted))
        start = _start_of_code(lines, definition)
    if start is not None:
        return _from_line(lines, start, task, trail)
    if task.kind == "completion" and text[:1] in {" ", "\t"}:
        return _whole_or_body(text.rstrip(), None, "the whole reply", task, trail)
    trail.add("found no code")
    return ""


def _start_of_code(lines: Sequence[str], definition: int) -> int:
    """The first line of the code that leads up to a definition: going back over imports and the like."""
    start = definition
    for number in range(definition - 1, -1, -1):
        line = lines[number]
        if _BEGINS.match(line) and not line.rstrip().endswith((".", ",")):
            start = number
        elif line.strip() and not line.startswith((" ", "\t", ")", "]", "}", "#")):
            break
    return start


def _from_line(lines: Sequence[str], start: int, task: Task, trail: _Trail) -> str:
    text = "\n".join(lines[start:])
    code = parse_beginning(text)
    if code is not None and code.says_something:
        last = start + code.text.count("\n") + 1
        trail.add(f"took lines {start + 1} to {last} of a reply without fences")
        if not _answers(code, task.entry_point):
            trail.add(f"it does not define {task.entry_point}, and was not renamed")
        return code.text
    if any(lines[start].startswith(word) for word in ("def ", "class ", "async def ")):
        trail.add(f"took everything from line {start + 1}, which does not parse")
        return text
    trail.add("found no code")
    return ""


def _first_word_gone(text: str) -> str:
    first, _, rest = text.lstrip("\n").partition("\n")
    return rest if first.strip().lower() in _LABELS["python"] and rest.strip() else text


def _of_other_language(reply: str, blocks: Sequence[Fence], task: Task, trail: _Trail) -> str:
    """The same for languages that are not parsed here: a definition is told by its looks."""
    name = re.escape(task.entry_point)
    defines = re.compile(
        rf"\b(?:function|class|const|let|var)\s+{name}\b|^\s*{name}\s*(?:\(\)|=)", re.MULTILINE
    )
    if not blocks:
        if task.kind == "completion" and not defines.search(reply):
            trail.add("put the prompt before the whole reply")
            return glued(task.prompt, reply)
        if task.entry_point and not defines.search(reply):
            trail.add("found no code")
            return ""
        trail.add("took the whole reply")
        return reply
    fitting = [fence for fence in blocks if task.entry_point and defines.search(fence.code)]
    if fitting or not task.entry_point or task.kind != "completion":
        chosen = fitting[-1] if fitting else max(blocks, key=lambda fence: len(fence.code))
        trail.add(f"took {_lines(chosen)}")
        return chosen.code + "\n"
    chosen = max(blocks, key=lambda fence: len(fence.code))
    trail.add(f"put the prompt before {_lines(chosen)}, which is a body")
    return glued(task.prompt, chosen.code)


def _lines(fence: Fence) -> str:
    return f"the block in lines {fence.first_line} to {fence.last_line}"
