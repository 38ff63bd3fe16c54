"""The report of a validation as part of a page: each document, what is wrong in it first."""

from collections.abc import Iterator

from .._html.markup import Html, Part, joined, tag
from .._html.parts import (
    Column,
    badge,
    block,
    code,
    diff,
    facts,
    folded,
    item,
    left_out,
    line,
    listing,
    names,
    seconds,
    section,
    sentence,
    table,
)
from .report import FileReport, SnippetReport, SnippetsReport


def body(shown: SnippetsReport, whole: SnippetsReport) -> Html:
    """The page's content. `shown` has the results that are listed."""
    counts = facts(
        {
            "snippets": f"{whole.valid_snippets:,} of {whole.total_snippets:,} pass",
            "passed without a shown output": f"{whole.without_oracle:,}"
            if whole.without_oracle
            else None,
            "Python": whole.python,
            "packages added": names(whole.packages),
            "took": seconds(whole.duration_seconds) if whole.duration_seconds else None,
            "sandboxes lost": f"{whole.lost_sandboxes:,}" if whole.lost_sandboxes else None,
        }
    )
    kinds = table(
        "Snippets by kind",
        list(whole.counts.items()),
        (
            Column[tuple[str, int]]("kind", lambda one: one[0].replace("_", " ")),
            Column("snippets", lambda one: f"{one[1]:,}", number=True),
        ),
    )
    return joined(
        counts,
        section("What became of them", kinds),
        [_file(one) for one in shown.files],
        left_out(shown.files_left_out, "files"),
        left_out(whole.not_listed, "results that did not pass"),
    )


def _file(file: FileReport) -> Html:
    count = f"{file.valid_snippets:,} of {file.total_snippets:,} pass"
    told = [one for one in file.results if one.verdict != "passed"]
    passed = [one for one in file.results if one.verdict == "passed"]
    return tag(
        "section",
        tag("h2", tag("code", line(file.file))),
        tag("p", badge(file.verdict), " ", count),
        sentence(file.reason),
        listing(file.problems),
        [_finding(one) for one in told],
        _passed(passed),
        [_forms(one) for one in passed],
        diff(
            file.patch,
            "Written over wrong outputs" if file.written else "A patch for wrong outputs",
        ),
        section("Left as it is", listing(file.not_updated), level=3),
        left_out(file.left_out, "results of this file"),
    )


def _finding(one: SnippetReport) -> Html:
    head: list[Part] = [
        badge(one.verdict),
        " ",
        tag("span", one.kind.replace("_", " "), class_="kind"),
        f" line {one.error_line or one.line} ",
        code(one.id or ""),
    ]
    reason = one.reason if (one.error or "") in one.reason else f"{one.reason} {one.error}"
    return item(
        head,
        sentence(reason),
        block(one.error_text, "The line that failed", folded=False),
        sentence(one.hint, "hint"),
        diff(one.diff, "Shown against printed", folded=False),
        _after(one),
        block(one.snippet, "The snippet", folded=True),
        diff(one.patch, "A patch"),
    )


def _after(one: SnippetReport) -> Html | None:
    return folded("What was run first", listing(one.setup)) if one.setup else None


def _passed(results: list[SnippetReport]) -> Html | None:
    return table(
        "Snippets that pass",
        results,
        (
            Column[SnippetReport]("snippet", lambda one: code(one.id or "") or f"line {one.line}"),
            Column("verdict", lambda one: badge(one.verdict)),
            Column("kind", lambda one: one.kind.replace("_", " ")),
            Column("output", lambda one: "compared" if one.had_oracle else "none was shown"),
            Column("ran after", lambda one: line("; ".join(one.setup))),
            Column("by itself", lambda one: line(one.no_standalone)),
        ),
    )


def _forms(one: SnippetReport) -> Iterator[Part]:
    form = one.standalone
    if form is not None:
        yield folded(
            ("By itself: ", code(one.id or f"line {one.line}")),
            facts(
                {
                    "language": form.language,
                    "needs": names(form.env),
                    "packages": names([f"{name} {one.packages[name]}" for name in one.packages]),
                    "SHA-256": code(one.content_hash),
                }
            ),
            block(form.code, "Code", folded=False),
            block(form.output, "It prints", folded=False),
            block(form.error, "It raises", folded=False),
        )
