"""The report as text, for people at a terminal and for hosts that forward only text."""

from collections.abc import Iterator

from .plain import one_line
from .report import AnnotationReport, EnvironmentsReport, ProjectReport, PrReport, PrTestReport


def render(report: PrReport, *, review: bool = True) -> str:
    """A page as text: the verdict, what regressed, then the rest; `review` is the Markdown at its end."""
    took = f" ({report.duration_seconds:.3g} s)" if report.duration_seconds else ""
    lines = [f"{report.verdict}: {_l(report.reason)}{took}"]
    lines += [f"needs review: {_l(one)}" for one in report.needs_review]
    lines += _refs(report)
    several = len(report.projects) > 1
    for project in report.projects:
        if several or project.folder:
            lines.append(
                f"project {_l(project.folder) or '.'}: {project.verdict}: {_l(project.reason)}"
            )
            lines += [f"needs review here: {_l(one)}" for one in project.needs_review if several]
        lines += _project(project)
    if report.stayed_home:
        shown = ", ".join(f"{_l(one.file)} ({one.why})" for one in report.stayed_home)
        more = f" and {report.stayed_home_more} more" if report.stayed_home_more else ""
        lines.append(f"stayed home: {shown}{more}")
    lines += [f"note: {_l(note)}" for note in report.notes]
    lines += [_annotation(one) for one in report.annotations] if review else []
    if report.annotations_more and review:
        lines.append(f"annotations that are not listed: {report.annotations_more}")
    lines += ["review, as Markdown:", report.review] if review and report.review else []
    return "\n".join(lines)


def _l(text: str) -> str:
    # What a test prints must not look like a line of ours.
    return one_line(text, 2_000)


def _refs(report: PrReport) -> Iterator[str]:
    refs = report.refs
    head = _l(refs.head) or "a diff"
    base = _l(refs.merge_base) or "nothing"
    tip = f", base branch {_l(refs.base)}" if refs.base not in {"", refs.merge_base} else ""
    title = f" {_l(refs.title)!r}" if refs.title else ""
    yield (
        f"compared: {_l(refs.name)}{title}: base {base}, head {head}{tip}; "
        f"{refs.changed_files:,} changed files; merges: {refs.merge}"
    )
    for path in refs.conflicts:
        yield f"does not merge: {_l(path)}"
    for note in refs.notes:
        yield f"note: {_l(note)}"


def _project(project: ProjectReport) -> Iterator[str]:
    for sentence in project.regressions:
        yield f"regression: {_l(sentence)}"
    for test in project.tests:
        yield from _test(test)
    counts = ", ".join(f"{kind} {count:,}" for kind, count in project.counts.items())
    yield f"tests: {project.total_tests:,}" + (f": {counts}" if counts else "")
    for problem in project.problems:
        yield f"not decided: {_l(problem)}"
    yield from _beyond(project)
    if project.environments is not None:
        yield from _environments(project.environments)
    if project.selected:
        yield f"chosen tests: {_l(project.selected)}"
    for side, command in project.commands.items():
        yield f"{_l(side)} ran: {_l(command)}"
    for note in project.notes:
        yield f"note: {_l(note)}"


def _test(test: PrTestReport) -> Iterator[str]:
    sides = {
        "base": test.base,
        "base with head's tests": test.base_with_head,
        "head": test.head,
        "head with base's tests": test.head_with_base,
    }
    outcomes = ", ".join(f"{side} {outcome}" for side, outcome in sides.items() if outcome)
    place = f" ({_l(test.file)}:{test.line})" if test.file and test.line else ""
    yield f"{test.kind}: {_l(test.id)}{place}: {outcomes}"
    if test.why:
        yield f"    {_l(test.why)}"
    if test.error:
        where = f"{_l(test.where)}: " if test.where else ""
        yield f"    {where}{_l(test.error)}"
    for side, every in test.outcomes.items():
        yield f"    {_l(side)}, again: {', '.join(every)}"


def _beyond(project: ProjectReport) -> Iterator[str]:
    for one in project.suspects:
        line = f":{one.line}" if one.line else ""
        judged = f" (judged {_l(one.judged)})" if one.judged else ""
        yield f"suspect: {_l(one.path)}{line}: {one.what}: {_l(one.detail)}{judged}"
    for one in project.behaviours:
        where = f" at {_l(one.where)}" if one.where else ""
        yield f"new behaviour: {one.kind}: {_l(one.what)}{where}, when: {_l(one.when)}"
    yield from _coverage(project)
    for one in project.performance:
        events = f", events {one.events:.3f}" if one.events is not None else ""
        yield (
            f"speed: {_l(one.name)}: {one.verdict}: {one.ratio:.3f} ({one.low:.3f} to {one.high:.3f}, "
            f"{one.pairs} pairs, p {one.p:.2g}, effect {one.effect:.2f}{events}) {_l(one.why)}".rstrip()
        )
    for one in project.api:
        place = f" ({_l(one.path)}:{one.line})" if one.path else ""
        signatures = " -> ".join(filter(None, (_l(one.before), _l(one.after))))
        yield f"public name {one.kind}: {_l(one.name)}{place}: {signatures}; {_l(one.breaks)}".rstrip(
            "; "
        )
    for one in project.pythons:
        yield f"Python {_l(one.python)}: {one.verdict}: {_l(one.reason)}"
        yield from (f"    regression: {_l(name)}" for name in one.regressions)


def _coverage(project: ProjectReport) -> Iterator[str]:
    cover = project.coverage
    if cover is None:
        return
    if cover.problem:
        yield f"changed lines: {_l(cover.problem)}"
    if cover.percent is not None:
        yield f"changed lines: tests run {cover.percent:g} %"
    for file in cover.files:
        missing = f"not run: {file.missing}" if file.missing else "all run"
        yield f"    {_l(file.path)}: {file.executed} run; {missing}"
    if cover.mutants:
        yield f"mutants of changed lines: {cover.mutants} tried"
    for one in cover.survivors:
        yield f"    survived: {_l(one.path)}:{one.line}: {_l(one.diff)}"


def _environments(both: EnvironmentsReport) -> Iterator[str]:
    python = f"Python {_l(both.python)}; " if both.python else ""
    if both.base or both.head:
        head = f"; head: {_l(both.head)}" if both.head else ""
        yield f"environment: {python}{_l(both.base)}{head}"
    for one in both.conflicts:
        yield f"conflict: {_l(one)}"
    for one in both.problems:
        yield f"environment problem: {_l(one)}"
    for one in both.changed:
        yield f"package {_l(one.name)}: {_l(one.before) or 'not there'} -> {_l(one.after) or 'not there'}"
    for note in both.notes:
        yield f"note: {_l(note)}"


def _annotation(one: AnnotationReport) -> str:
    lines = f"{one.line}-{one.end_line}" if one.end_line else f"{one.line}"
    shown = "" if one.in_diff else ", not in the diff"
    return (
        f"annotation: {_l(one.path)}:{lines} ({one.side}{shown}) {one.severity}, {one.rule}: "
        f"{_l(one.title)}: {_l(one.message)}"
    )
