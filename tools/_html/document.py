"""A whole page: one that a service gives, or one that stands alone in a file."""

import base64
import hashlib
from functools import cache
from pathlib import Path

from .._verdict import Verdict
from .markup import Html, Part, doctype, joined, style, tag
from .parts import badge, sentence

ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="8" '
    'fill="#1f5aa8"/><path d="M8 17l5.5 5.5L24.500 10" fill="none" stroke="#fff" stroke-width="4" '
    'stroke-linecap="round" stroke-linejoin="round"/></svg>'
)


@cache
def sheet() -> str:
    """The style sheet of all our pages."""
    return (Path(__file__).parent / "style.css").read_text("utf-8")


def page(title: str, main: Part, *, head: Part = None, top: Part = None, foot: Part = None) -> str:
    """A page with these things in its head, above its content and below it."""
    return doctype(
        tag(
            "html",
            tag(
                "head",
                tag("meta", charset="utf-8"),
                tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
                tag("meta", name="color-scheme", content="light dark"),
                head,
                tag("title", f"{title} · proofbox"),
            ),
            tag(
                "body",
                tag("a", "Skip to the content", href="#content", class_="skip") if top else None,
                tag("header", top, class_="top") if top else None,
                tag("main", main, id="content"),
                tag("footer", foot) if foot else None,
            ),
            lang="en",
        )
    )


def alone(
    title: str, verdict: Verdict | None, reason: str, body: Part, *, foot: Part = None
) -> str:
    """A report as a page that needs nothing else, and may load and run nothing."""
    css = sheet()
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; "
        "form-action 'none'"
    )
    icon = base64.b64encode(ICON.encode()).decode()
    head = (
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="referrer", content="no-referrer"),
        tag("link", rel="icon", href=f"data:image/svg+xml;base64,{icon}"),
        style(css),
    )
    return page(title, headed(title, verdict, reason, body), head=head, foot=foot)


def headed(title: str, verdict: Verdict | None, reason: str, body: Part) -> Html:
    """A report under its title, with the verdict first."""
    said = tag("p", badge(verdict), class_="verdict") if verdict else None
    return joined(tag("h1", title), said, sentence(reason), body)
