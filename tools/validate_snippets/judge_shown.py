"""The verdict on Python code that ran, by the output that is shown."""

from collections.abc import Sequence

from ...server.sandbox import CellResult
from . import build, oracles, recorder
from .judged import Judged, Wrong
from .oracles import Comparison, Raised, Rules
from .snippet import IN_CODE, Example, Expected, Snippet


def of_examples(snippet: Snippet, own: Sequence[CellResult], rules: Rules) -> Judged:
    """Judge the `>>>` examples that ran."""
    oracle = expects_error = False
    bad: list[tuple[Example, CellResult, Comparison]] = []
    for example, cell in zip(build.examples(snippet)[: len(own)], own, strict=True):
        found = _of_example(snippet, example, cell, rules)
        oracle = oracle or (found is not None and found.checked)
        expects_error = expects_error or cell.outcome == "raised"
        if found is not None and not found.matches:
            bad.append((example, cell, found))
    if bad:
        example, cell, found = bad[0]
        wrong = tuple(
            Wrong(one.want, raised_in(ran) or ran.stdout.text)
            for one, ran, _ in bad
            if one.want is not None
        )
        at = snippet.position(example.line)
        line = at.line if at.file == snippet.file else snippet.line
        reason = "What it prints is not what is shown."
        return Judged("output_mismatch", reason, said_by(cell) if cell.error else "", line,
                      diff=found.diff, oracle=True, wrong=wrong)  # fmt: skip
    kind = "expected_error" if expects_error else "works"
    return Judged(kind, "It raises what is shown." if expects_error else "", oracle=oracle)


def _of_example(
    snippet: Snippet, example: Example, cell: CellResult, rules: Rules
) -> Comparison | None:
    want = example.want
    if want is None:
        return None
    flags = {**(rules.flags or {}), **want.flags}
    raised = raised_in(cell)
    if want.exception is not None:
        if raised is None:
            return Comparison(False, (), oracles.difference(want.text, cell.stdout.text))
        return oracles.exception_matches(want.exception, raised, flags)
    if snippet.marks.output == "ignore":
        return Comparison(True, checked=False)
    unordered = snippet.marks.output == "unordered"
    return oracles.compare(want, cell.stdout.text, rules, unordered=unordered)


def of_output(snippet: Snippet, cell: CellResult, rules: Rules, token: str) -> Judged:
    """Judge code that ran to its end by the output that is shown."""
    calls, plain = recorder.read(cell.stdout.text, token)
    if snippet.marks.output == "ignore":
        return Judged("works")
    inside = [shown for shown in snippet.expected if shown.source in IN_CODE]
    name, _ = build.place(snippet)

    def own(file: str, number: int) -> int:
        return build.snippet_line(snippet, number) if file == name else 0

    prints = [
        oracles.Print(own(c.file, c.line), c.text, own(c.outer_file, c.outer_line)) for c in calls
    ]
    compared = oracles.compare_prints(build.runnable(snippet.code), inside, prints, rules)
    whole = [shown for shown in snippet.expected if shown.after_line == 0 and shown not in inside]
    compared += [(shown, plain, _of_block(snippet, shown, cell, plain, rules)) for shown in whole]
    for shown, _, found in compared:
        if not found.matches:
            line = shown.line if shown.file == snippet.file else snippet.line
            reason = "What it prints is not what is shown."
            wrong = tuple(Wrong(one, got) for one, got, found in compared if not found.matches)
            return Judged(
                "output_mismatch", reason, line=line, diff=found.diff, oracle=True, wrong=wrong
            )
    oracle = any(found.checked for _, _, found in compared)
    return Judged(
        "works",
        _not_compared([one for one, _, found in compared if not found.checked]),
        oracle=oracle,
    )


def _not_compared(shown: Sequence[Expected]) -> str:
    """What is to be said of outputs that stand behind code that printed nothing, or leave all of it out."""
    lines = [one.line for one in shown if not one.flags]
    if not lines:
        return ""
    where = f"line {lines[0]}" if len(lines) == 1 else f"lines {', '.join(map(str, lines))}"
    return f"What is shown in {where} was compared with nothing that was printed."


def _of_block(
    snippet: Snippet, shown: Expected, cell: CellResult, plain: str, rules: Rules
) -> Comparison:
    if shown.exception is not None:
        return Comparison(False, (), oracles.difference(shown.text, plain or "(nothing raised)\n"))
    unordered = snippet.marks.output == "unordered"
    found = oracles.compare(shown, plain, rules, unordered=unordered)
    if not found.matches and cell.value is not None:
        # A notebook shows the last value too.
        both = oracles.compare(shown, f"{plain}{cell.value}\n", rules, unordered=unordered)
        found = both if both.matches or not plain else found
    if not found.matches and cell.stderr.text:
        # A terminal shows both streams.
        texts = (plain + cell.stderr.text, cell.stderr.text + plain)
        both = (oracles.compare(shown, text, rules, unordered=unordered) for text in texts)
        found = next((one for one in both if one.matches), found)
    return found


def said_by(cell: CellResult) -> str:
    """How a cell ended, in a line."""
    if cell.error is None:
        return cell.reason
    return f"{cell.error.name}: {cell.error.value}" if cell.error.value else cell.error.name


def raised_in(cell: CellResult) -> Raised | None:
    """The exception that a cell ended with."""
    return Raised(cell.error.name, cell.error.value) if cell.error else None
