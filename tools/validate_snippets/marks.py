"""What authors say about a snippet: the marks of the known tools, and our own directive."""

import re
from collections.abc import Iterable, Mapping

from . import directive
from .info import Info
from .snippet import Mark, Marks

_OURS = re.compile(r"proofbox\s*:\s*(?P<rest>.*)", re.DOTALL)
_SYBIL_SKIP = re.compile(
    r";?\s*skip(?: doccmd\[[\w-]+\])?\s*:\s*(?P<what>next|start|end)\b(?P<rest>.*)"
)
_GROUP = re.compile(r"group doccmd\[[\w-]+\]\s*:\s*(?P<what>start|end)")
_PMD = re.compile(r"pmd-metadata\s*:\s*(?P<rest>.*)")
_CODEBLOCKS = re.compile(r"pytest-codeblocks\s*:\s*(?P<name>[\w-]+)(?:\((?P<arguments>.*)\))?")
_PYTEST = re.compile(r"pytest\.mark\.(?P<name>skip|skipif|xfail)\b(?:\((?P<arguments>.*)\))?")
_PHMDOCTEST = re.compile(r"phmdoctest(?P<name>-[\w.-]+)(?P<rest>.*)")
_REASON = re.compile(r"""reason\s*=\s*(?P<quote>["'])(?P<reason>.*?)(?P=quote)""")
_CONDITION = re.compile(r"if\s*\((?P<condition>.*)\)\s*$")
_FLAG = re.compile(r"([+-])\s*([A-Z0-9_]+)")


def from_comment(text: str, line: int) -> tuple[Mark, ...]:
    """Return the marks in the text of a comment, none if it is an ordinary comment.

    Raises:
        BadDirective: it begins with `proofbox:` and goes on with something unknown.
    """
    text = text.strip().strip("-").strip()
    if match := _OURS.match(text):
        return directive.parse(match["rest"], line)
    if match := _SYBIL_SKIP.match(text):
        return _sybil_skip(match["what"], match["rest"].strip(), line)
    if match := _GROUP.match(text):
        return (Mark(f"group-{match['what']}", f"line {line}", line, "doccmd"),)
    if match := _PMD.match(text):
        return _words(match["rest"].split(), line, "pytest-markdown-docs")
    if match := _CODEBLOCKS.match(text):
        return _codeblocks(match["name"], match["arguments"] or "", line)
    if match := _PYTEST.match(text):
        return _pytest(match["name"], match["arguments"] or "", line)
    if match := _PHMDOCTEST.match(text):
        return _phmdoctest(match["name"].strip("-"), match["rest"].strip(), line)
    if re.match(r"clear-namespace\b", text):
        return (Mark("clear", "", line, "sybil"),)
    return ()


def _sybil_skip(what: str, rest: str, line: int) -> tuple[Mark, ...]:
    reason = match["reason"] if (match := _REASON.search(rest)) else ""
    condition = ""
    if match := _CONDITION.search(rest):
        condition = re.sub(r",?\s*reason\s*=.*", "", match["condition"]).strip()
    elif rest.startswith('"'):
        reason = rest.strip('"')
    name = {"next": "skip", "start": "skip-start", "end": "skip-end"}[what]
    if condition and name != "skip-end":
        return (Mark(f"{name}-if", condition, line, "sybil"),)
    return (Mark(name, reason, line, "sybil"),)


def _codeblocks(name: str, arguments: str, line: int) -> tuple[Mark, ...]:
    by = "pytest-codeblocks"
    known = {
        "cont": Mark("continue", "", line, by),
        "expected-output": Mark("is-output", "", line, by),
        "skip": Mark("skip", "", line, by),
        "skipif": Mark("skip-if", arguments, line, by),
        "skipfile": Mark("skip-file", "", line, by),
        "importorskip": Mark("needs", arguments.strip("'\" "), line, by),
        "expect-error": Mark("raises", "*", line, by),
    }
    return (known[name],) if name in known else ()


def _pytest(name: str, arguments: str, line: int) -> tuple[Mark, ...]:
    by = "pytest-codeblocks"
    reason = match["reason"] if (match := _REASON.search(arguments)) else ""
    if name == "skip":
        return (Mark("skip", reason, line, by),)
    if name == "skipif":
        condition = re.sub(r",?\s*reason\s*=.*", "", arguments).strip()
        return (Mark("skip-if", condition, line, by),)
    raises = re.search(r"raises\s*=\s*([\w.]+)", arguments)
    return (Mark("raises", raises[1] if raises else "*", line, by),)


def _phmdoctest(name: str, rest: str, line: int) -> tuple[Mark, ...]:
    by = "phmdoctest"
    if name.startswith("mark.skipif"):
        version = re.search(r"3\.\d+", rest)
        return (Mark("python", f">={version[0]}", line, by),) if version else ()
    known = {
        "skip": "skip",
        "mark.skip": "skip",
        "setup": "setup",
        "teardown": "cleanup",
        "share-names": "setup",
        "clear-names": "clear",
    }
    return (Mark(known[name], "", line, by),) if name in known else ()


def from_info(info: Info, line: int) -> tuple[Mark, ...]:
    """Return the marks in an info string."""
    marks = list(_words(info.words, line, "info string"))
    for key, value in info.attributes.items():
        marks += _attribute(key, value, line)
    return tuple(marks)


def _words(words: Iterable[str], line: int, by: str) -> tuple[Mark, ...]:
    marks: list[Mark] = []
    for word in words:
        name, _, value = word.partition(":")
        if word in {"notest", "no-test", "skip", "skip-test", "norun", "no-run"}:
            marks.append(Mark("skip", "", line, by))
        elif word == "continuation":
            marks.append(Mark("continue", "", line, by))
        elif word in {"out", "output"}:
            marks.append(Mark("is-output", "", line, by))
        elif name == "fixture" and value:
            marks.append(Mark("fixture", value, line, by))
        elif word in {"raises-exception", "hide-cell", "remove-cell", "skip-execution"}:
            marks += from_tags((word,), line)
    return tuple(marks)


def _attribute(key: str, value: str, line: int) -> tuple[Mark, ...]:
    by = "info string"
    name = key.lower()
    if name == "test" and value.startswith("skip"):
        return (Mark("skip", value[4:].lstrip(" -"), line, "pytest-examples"),)
    if name == "test" and value.startswith("xfail"):
        return (Mark("raises", "*", line, "pytest-examples"),)
    if name == "test" and value == "no-print-intercept":
        return (Mark("output", "ignore", line, "pytest-examples"),)
    if name == "requires" and re.fullmatch(r"\d\.\d+", value):
        return (Mark("python", f">={value}", line, "pytest-examples"),)
    if name in {"group", "session"}:
        return (Mark("group", value, line, "markdown-exec" if name == "session" else by),)
    if name == "returncode" and value.isdigit():
        return (Mark("exit", value, line, "markdown-exec"),)
    if name == "eval" and value.lower() == "false":
        return (Mark("skip", "", line, "Quarto"),)
    if name == "error" and value.lower() == "true":
        return (Mark("raises", "*", line, "Quarto"),)
    if name == "proofbox":
        return directive.parse(value, line)
    return ()


def from_tags(tags: Iterable[str], line: int) -> tuple[Mark, ...]:
    """Return the marks in the tags of a MyST or notebook cell."""
    names = {
        "raises-exception": Mark("raises", "*", line, "cell tag"),
        "skip-execution": Mark("skip", "", line, "cell tag"),
        "hide-cell": Mark("hidden", "", line, "cell tag"),
        "remove-cell": Mark("hidden", "", line, "cell tag"),
        "hide-input": Mark("hidden", "", line, "cell tag"),
        "remove-input": Mark("hidden", "", line, "cell tag"),
    }
    return tuple(names[tag] for tag in tags if tag in names)


def from_options(
    name: str, argument: str, options: Mapping[str, str], line: int
) -> tuple[Mark, ...]:
    """Return the marks in a Sphinx or MyST directive: its groups and options."""
    marks: list[Mark] = []
    by = "sphinx"
    if name in {"testsetup", "testcleanup", "testcode", "testoutput", "doctest"}:
        groups = [group.strip() for group in argument.split(",") if group.strip()]
        marks += [Mark("group", group, line, by) for group in groups or ["default"]]
    if name in {"code-cell", "jupyter-execute", "ipython"}:
        # One kernel runs all cells of a page.
        marks.append(Mark("group", "notebook", line, "notebook"))
    if name in {"testsetup", "testcleanup"}:
        marks.append(Mark("setup" if name == "testsetup" else "cleanup", "", line, by))
    if "skipif" in options:
        marks.append(Mark("skip-if", options["skipif"], line, by))
    if "hide" in options:
        marks.append(Mark("hidden", "", line, by))
    if "pyversion" in options:
        marks.append(Mark("python", options["pyversion"].replace(" ", ""), line, by))
    if "options" in options:
        marks += [Mark("flag", s + n, line, by) for s, n in _FLAG.findall(options["options"])]
    tags = re.findall(r"[\w-]+", options.get("tags", ""))
    return (*marks, *from_tags(tags, line))


def flags(text: str) -> dict[str, bool]:
    """Return the doctest flags in a text like `+SKIP, -ELLIPSIS`."""
    return {name: sign == "+" for sign, name in _FLAG.findall(text)}


_FIRST_LINES = re.compile(r"#\s*(?P<ours>proofbox\s*:.*)|#\|\s*(?P<key>\w+)\s*:\s*(?P<value>\S+)")


def from_code(code: str, line: int) -> tuple[Mark, ...]:
    """Return the marks in the comments that code opens with: ours and Quarto's `#| eval: false`.

    Raises:
        BadDirective: as `from_comment`.
    """
    marks: list[Mark] = []
    for number, text in enumerate(code.split("\n", 5)[:5]):
        if text and not text.startswith("#"):
            break
        if match := _FIRST_LINES.match(text):
            if match["ours"]:
                marks += from_comment(match["ours"], line + number)
            else:
                marks += _attribute(match["key"], match["value"], line + number)
    return tuple(marks)


_NONE = Marks()


def fold(marks: Iterable[Mark]) -> Marks:
    """Make one record of all marks of a snippet; where two say different things, the later one holds."""
    said = tuple(marks)
    if not said:
        return _NONE
    last = {mark.name: mark.value for mark in said}
    skips = [mark for mark in said if mark.name in {"skip", "skip-start", "skip-file"}]
    return Marks(
        skip=(skips[-1].value or f"marked by its author ({skips[-1].by})") if skips else None,
        skip_if=" or ".join(f"({m.value})" for m in said if m.name.endswith("-if")),
        setup="setup" in last,
        cleanup="cleanup" in last,
        hidden="hidden" in last,
        continues="continue" in last,
        groups=tuple(dict.fromkeys(mark.value for mark in said if mark.name == "group")),
        raises=last.get("raises", ""),
        env=_pairs(mark.value for mark in said if mark.name == "env"),
        python=",".join(mark.value for mark in said if mark.name == "python"),
        needs=tuple(mark.value for mark in said if mark.name == "needs"),
        fixtures=tuple(mark.value for mark in said if mark.name == "fixture"),
        output=last.get("output", ""),
        timeout=float(last["timeout"]) if "timeout" in last else None,
        exit_code=int(float(last["exit"])) if "exit" in last else None,
        flags={m.value[1:]: m.value[0] == "+" for m in said if m.name == "flag"},
        said=said,
    )


def _pairs(pairs: Iterable[str]) -> dict[str, str]:
    split = (pair.partition("=") for pair in pairs)
    return {name: value for name, _, value in split if name}
