"""The review on GitHub: whatever a pull request is called and prints, it is shown and never rendered."""

import re
from collections.abc import Iterator

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token
from review_samples import EVIL, HELD, evidence, full, hostile, pull

from proofbox.tools.check_pr.checked import Checked
from proofbox.tools.check_pr.evidence.evidence import TestEvidence
from proofbox.tools.check_pr.review.escape import cell, code, fenced, text
from proofbox.tools.check_pr.review.markdown import LIMIT, MARKER, markdown
from proofbox.tools.check_pr.review.reporting import report_of

GITHUB = MarkdownIt("commonmark").enable(["table", "strikethrough"])
OURS = {"text", "code_inline", "strong_open", "strong_close", "softbreak", "html_inline"}
LINKED = re.compile(
    r"@\w|(?<!&)#\d|://|\bwww\.|\bGH-\d|\$|[\u200c-\u200f\u202a-\u202e\x00-\x08\x1b]"
)


def tokens(source: str) -> Iterator[Token]:
    """Everything that it is rendered to, inline tokens too."""
    for token in GITHUB.parse(source):
        yield token
        yield from token.children or ()


def lies(source: str) -> list[str]:
    """What is more than text, code and our own tables in it."""
    found: list[str] = []
    outside = True
    for token in tokens(source):
        if token.type == "html_inline":
            outside = token.content != "<span>"
            found += [token.content] * (not re.fullmatch(r"</?(sub|span)>", token.content))
        elif token.type == "html_block":
            ours = r"<details><summary><code>[^<]*</code></summary>|</details>|<!-- proofbox:check_pr -->"
            found += [token.content] * (not re.fullmatch(ours, token.content.strip()))
        elif token.type == "text" and outside and (match := LINKED.search(token.content)):
            found.append(f"{match[0]!r} in {token.content!r}")
        elif token.type in {"link_open", "image", "em_open", "s_open", "blockquote_open", "hr"}:
            found.append(token.type)
    return found


def test_a_review_of_lies_is_text_and_code() -> None:
    """No name, message or path of a pull request becomes markup, a link, a mention or a reference."""
    review = report_of(pull(), [hostile(), full("other")]).review

    assert lies(review) == []
    assert [token.content for token in tokens(review)].count(f"{MARKER}\n") == 1
    assert "octocat closes" in review


@pytest.mark.parametrize("start", ["", "# ", "- ", "1. ", "> ", "```", "    ", "=", "| a |", "<b>"])
def test_a_sentence_cannot_begin_a_block(start: str) -> None:
    """A sentence at the start of a line, in a list and in a table stays a sentence."""
    said = text(f"{start}{EVIL}")

    for source in (said, f"- {said}", f"| a | b |\n| --- | --- |\n| {said} | x |"):
        kinds = [token.type for token in tokens(source)]
        assert lies(source) == []
        assert kinds.count("bullet_list_open") == source.startswith("- ")
        assert kinds.count("td_open") == 2 * source.startswith("| ")
        assert not {"heading_open", "ordered_list_open", "fence", "code_block"} & set(kinds)


@pytest.mark.parametrize(
    "name", ["plain", "a`b", "`", "``x`", "a|b", "a\\|b", "\\", "a\\", EVIL, " x ", "<b>", "$`x`$"]
)
def test_a_code_span_holds_what_it_is_given(name: str) -> None:
    """Backticks and bars are in the span; in a table it is one cell."""
    shown = " ".join(name.split())
    alone = [token for token in tokens(code(name)) if token.type == "code_inline"]
    row = [*tokens(f"| a | b |\n| --- | --- |\n| {cell(name)} | x |")]
    spans = [token.content for token in row if token.type == "code_inline"]

    if name != EVIL:
        assert [token.content for token in alone] == [shown]
        assert spans == [shown.replace("\\|", "\u2216|")]
    assert len(alone) == len(spans) == 1
    assert [token.type for token in row].count("td_open") == 2


def test_a_block_ends_where_we_end_it() -> None:
    """Fences in a message do not end the block, and nothing after it is in it."""
    source = fenced("````\n# x\n`````\n</details>\n@octocat\n") + "\n\nafter"

    found = [token for token in tokens(source) if token.type in {"fence", "paragraph_open"}]

    assert [token.type for token in found] == ["fence", "paragraph_open"]
    assert "@octocat" in found[0].content


@pytest.mark.parametrize("limit", [LIMIT, 8_000, 2_000])
def test_a_review_is_never_too_long_and_says_what_is_missing(limit: int) -> None:
    """Of thousands of tests and many projects as many are told as there is room for; the rest is counted."""
    tests = [
        TestEvidence(f"tests/test_{number}.py::test_{'ü' * 80}", "flaky", why="Not alike. " * 20)
        for number in range(3000)
    ]
    projects = [full("first"), Checked("big", pull(), evidence=evidence(*HELD, *tests))]
    projects += [full(f"packages/number-{number}") for number in range(20)]
    report = report_of(pull(), projects)

    review = markdown(report, limit)

    assert len(review.encode()) <= limit
    assert re.search(r"and [\d,]+ more|left out", review)
    assert review.startswith(MARKER)
    assert lies(review) == []


def test_a_small_review_is_whole() -> None:
    """Nothing is left out where everything fits."""
    review = report_of(pull(), [full()]).review

    assert not re.search(r"and [\d,]+ more|left out", review)
    for said in ("assert 3 == 4", "11-12", "pkg.old", "198.51.100.7:443", "numpy", "3.13", "1.123"):
        assert said in review
