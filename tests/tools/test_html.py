"""Reports as pages: what they are made of, and that nothing foreign becomes more than text."""

import json
import re
from html import unescape
from html.parser import HTMLParser

import pytest
from report_samples import HOSTILE, REPORTS, hostile_run

from proofbox.tools._html import document, kinds, parts
from proofbox.tools._html.markup import joined, style, tag
from proofbox.tools.execute_code.report import Report


class _Outline(HTMLParser):
    """Whether every element that begins also ends, in order; and all names of elements and attributes."""

    VOID = frozenset({"meta", "link", "input", "br"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: dict[str, list[str]] = {}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            self.attributes.setdefault(name, []).append(value or "")
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_text_is_escaped_and_markup_is_not_escaped_again() -> None:
    """In content and in attributes; what nobody can see is taken out."""
    inner = tag("b", "<i> & \"'")
    made = tag("p", inner, "\x1b[31m\u202e<", title='"><script>', hidden=True, lang=None)

    assert made == (
        '<p title="&quot;&gt;&lt;script&gt;" hidden><b>&lt;i&gt; &amp; &quot;&#x27;</b>&lt;</p>'
    )
    assert joined(["a", None, ["<"]], tag("br")) == "a&lt;<br>"


@pytest.mark.parametrize(
    "attributes",
    [
        {"onclick": "x()"},
        {"style": "color: red"},
        {"href": "javascript:alert(1)"},
        {"href": "JaVaScRiPt:alert(1)"},
        {"href": " javascript:alert(1)"},
        {"href": "java\nscript:alert(1)"},
        {"href": "https://evil.example/"},
        {"href": "//evil.example/"},
        {"href": "\\\\evil.example"},
        {"src": "data:text/html,<script>"},
        {"action": "https://evil.example/"},
        {"x onload": "y"},
    ],
)
def test_nothing_that_runs_or_leads_away_can_be_made(attributes: dict[str, str]) -> None:
    """Whatever a report says, not even by a mistake of ours."""
    with pytest.raises(ValueError, match="a page"):
        tag("a", "x", **attributes)


@pytest.mark.parametrize("href", ["", "./", "../", "jobs/a-b_c", "sign-in?next=jobs/x", "#content"])
def test_links_within_the_service_can_be_made(href: str) -> None:
    """They are relative, so that a proxy may put the service below a path."""
    assert tag("a", "x", href=href) == f'<a href="{href}">x</a>'


def test_a_style_sheet_cannot_end_itself() -> None:
    """Else it could go on as markup."""
    with pytest.raises(ValueError, match="style sheet"):
        style("</style><script>")


def test_what_is_long_is_cut_and_counted() -> None:
    """Text in its middle, lists and tables at their ends."""
    block = str(parts.block("x" * 1_000_000, "out"))
    listing = str(parts.listing(["one"] * 2_000))
    table = str(parts.table("t", range(2_000), [parts.Column("n", str)]))

    assert len(block) < 25_000
    assert "characters left out" in block
    assert len(re.findall("<li>", listing)) == 500
    assert "1,500 more are not shown here." in listing
    assert "1,500 more rows are not shown here." in table


def test_columns_without_anything_in_them_are_left_out() -> None:
    """And so are facts without a value, and sections without content."""
    columns: list[parts.Column[int]] = [
        parts.Column("a", str),
        parts.Column("b", lambda row: None),
    ]

    assert 'scope="col">a<' in str(parts.table("t", [1], columns))
    assert 'scope="col">b<' not in str(parts.table("t", [1], columns))
    assert parts.facts({"a": None, "b": ""}) is None
    assert parts.section("title", None) is None


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.034, "0.034 s"), (12.34, "12.3 s"), (245, "4 min 5 s"), (7400, "2 h 3 min")],
)
def test_times_are_for_people(seconds: float, said: str) -> None:
    """In the unit that fits."""
    assert parts.seconds(seconds) == said


@pytest.mark.parametrize("name", REPORTS)
def test_every_report_is_a_page_that_says_what_it_says(name: str) -> None:
    """Its verdict and reason first, all of its structure closed; the kind of report is found by its fields."""
    kind, report, words = REPORTS[name]
    facts = report.model_dump(mode="json", exclude_defaults=True)
    text = kinds.file_of(json.loads(json.dumps(facts)))
    outline = _Outline(text)
    plain = unescape(re.sub(r"<[^>]*>", " ", text))

    assert not outline.open
    assert not outline.tags & {"script", "img", "iframe", "object", "embed", "form", "a", "base"}
    assert not {name for name in outline.attributes if name.startswith("on")} | (
        outline.attributes.keys() & {"style", "src"}
    )
    assert f"<h1>{kinds.KINDS[kind].title}</h1>" in text
    assert text.index('class="verdict"') < text.index("</p>", text.index("<h1>"))
    assert "default-src 'none'; style-src 'sha256-" in unescape(text)
    assert not set(text) & {"\x1b", "\u202e", "\u2066"}
    for word in words:
        assert word in plain, word


def test_what_a_hostile_program_prints_is_shown_as_text() -> None:
    """All of it, everywhere."""
    text = kinds.file_of(hostile_run().model_dump(mode="json", exclude_defaults=True))

    assert "<script" not in text.lower()
    assert "<img" not in text.lower()
    assert "javascript:" not in "".join(_Outline(text).attributes.get("href", []))
    assert "&lt;script&gt;" in text
    assert HOSTILE.isprintable() is False


def test_a_report_of_ten_megabytes_is_cut() -> None:
    """The page stays small enough to be read, and says that there is more."""
    kind, report, _ = REPORTS["tests"]
    many = report.model_dump(mode="json")
    many["tests"] = [dict(many["tests"][0], reason="why " * 100) for _ in range(20_000)]
    many["feedback"] = "y" * 1_000_000
    assert len(json.dumps(many)) > 10_000_000

    page = kinds.file_of(many, kind)
    first = kinds.shown(many, kind, 0)
    last = kinds.shown(many, kind, 19_999)

    assert len(page) < 3_500_000
    assert "are not shown here." in page
    assert len(first.body) < 200_000
    assert first.next_offset
    assert last.next_offset is None


@pytest.mark.parametrize(
    "facts",
    [
        {"verdict": "passed", "reason": "<b>", "odd": {"a": ["<script>", 1, None, "x\ny"]}},
        {"verdict": "keen", "total_snippets": "many"},
        {"refs": 3, "deep": [[[[[[[[[[[[1]]]]]]]]]]]]},
    ],
)
def test_a_report_of_another_version_is_shown_as_it_is(facts: dict[str, object]) -> None:
    """Nothing is made up for it, and nothing in it is markup."""
    outline = _Outline(page := kinds.file_of(facts, "" if "refs" in facts else "other_tool"))

    assert not outline.open
    assert "<script>" not in page
    assert (kinds.shown(facts, "other_tool").verdict == "passed") == (
        facts.get("verdict") == "passed"
    )


def test_a_run_of_code_that_passed_says_so() -> None:
    """The smallest report there is."""
    page = kinds.file_of(Report(verdict="passed", stdout="hi\n").model_dump(mode="json"))

    assert "passed" in page
    assert "<pre" in page


def test_the_sign_of_the_page_is_a_drawing_of_its_own() -> None:
    """No other request is made for it."""
    page = document.alone("t", "passed", "r", "b")

    assert 'rel="icon" href="data:image/svg+xml;base64,' in page
