"""What is shown of one thing: a job with its report, a session with its plots, and how one comes in."""

from collections.abc import Sequence

from ...tools import _text
from ...tools._artifacts import Artifact
from ...tools._html.kinds import KINDS, Shown
from ...tools._html.markup import Html, joined, tag
from ...tools._html.parts import (
    Column,
    badge,
    code,
    facts,
    line,
    names,
    seconds,
    section,
    sentence,
    table,
)
from ...tools._pictures import picture_type
from ..http.audit import fingerprint
from ..jobs import JobState
from ..sessions import SessionSummary
from .views import Page, in_use, kind_of, pages, progress


def job(state: JobState, report: Shown | None, page: Page) -> Html:
    """A job and its report, if it has one."""
    running = state.state == "running"
    head = facts(
        {
            "tool": code(state.kind),
            "job": code(state.job_id),
            "job took": f"{seconds(state.elapsed_seconds)}{' so far' if running else ''}",
            "report": (
                tag("a", "as JSON", href=f"{state.job_id}/report.json"),
                ", ",
                tag("a", "as one page", href=f"{state.job_id}/report.html"),
            )
            if report
            else None,
        }
    )
    title = (
        report.title
        if report
        else KINDS[state.kind].title
        if state.kind in KINDS
        else kind_of(state)
    )
    verdict = report.verdict if report else None
    said = report.reason if report else state.reason
    return joined(
        tag("h1", title),
        tag(
            "div",
            tag("p", badge(verdict or state.state), class_="verdict"),
            sentence(said),
            sentence(state.warning, "note"),
            tag("div", progress(state), class_="card") if running else None,
            head,
            id="state",
            data_live=running or None,
        ),
        pages(page, "offset") if page.offset else None,
        report.body if report else None,
        pages(page, "offset"),
    )


def session(one: SessionSummary, artifacts: Sequence[Artifact]) -> Html:
    """A session, with the plots that were made in it."""
    mark = fingerprint(one.session_id)
    return joined(
        tag("h1", "Session ", tag("code", mark[:8])),
        tag(
            "div",
            facts(
                {
                    "now": in_use(one),
                    "packages": names(one.packages),
                    "ends if unused": f"in {seconds(max(0, one.expires_in_seconds))}",
                    "in the audit log": code(mark),
                }
            ),
            id="state",
        ),
        section("Plots", [_plot(item, mark) for item in artifacts if picture_type(item.content)]),
        section("What else was kept", _kept(artifacts, mark)),
        None if artifacts else sentence("No plot or long output has been kept of it."),
    )


def _plot(item: Artifact, mark: str) -> Html:
    caption = tag("figcaption", code(item.name), " ", _text.size(len(item.content)))
    picture = tag("img", src=f"{mark}/{item.name}", alt=item.name, class_="picture", loading="lazy")
    return tag("figure", picture, caption)


def _kept(artifacts: Sequence[Artifact], mark: str) -> Html | None:
    return table(
        "To be downloaded",
        [item for item in artifacts if not picture_type(item.content)],
        (
            Column[Artifact]("name", lambda one: tag("a", one.name, href=f"{mark}/{one.name}")),
            Column("type", lambda one: line(one.mime_type)),
            Column("size", lambda one: _text.size(len(one.content)), number=True),
            Column("begins with", lambda one: _beginning(one)),
        ),
    )


def _beginning(item: Artifact) -> str | None:
    if not item.mime_type.startswith(("text/", "application/json")):
        return None
    return line(item.content[:400].decode("utf-8", "replace"), 120)


def sign_in(wrong: str, following: str, *, oauth: bool) -> Html:
    """The form that takes a token, and what to do to have one."""
    made = ("the operator made for you with ", tag("code", "proofbox token"))
    hint = ("Paste the token that ", made, ". It is what your MCP client sends.")
    if oauth:
        own = "Paste an access token of your OAuth server (a JSON Web Token for this service), or one that "
        hint = (own, made, ".")
    return tag(
        "section",
        tag("h1", "Sign in"),
        tag("p", wrong, class_="wrong", role="alert") if wrong else None,
        tag(
            "form",
            tag("label", "Token", for_="token"),
            tag(
                "input",
                id="token",
                name="token",
                type="password",
                required=True,
                autofocus=True,
                autocomplete="off",
                spellcheck="false",
                aria_describedby="hint",
            ),
            tag("p", hint, class_="note", id="hint"),
            tag("input", type="hidden", name="next", value=following),
            tag("button", "Sign in", class_="main"),
            method="post",
            action="sign-in",
        ),
        tag(
            "p",
            "The token stays with the service; the browser keeps a random number in its place, for eight hours at most.",
            class_="note",
        ),
        class_="narrow",
    )


def trouble(title: str, said: str, root: str) -> Html:
    """That something is not to be had."""
    return tag(
        "section",
        tag("h1", title),
        sentence(said),
        tag("p", tag("a", "To the overview", href=root or "./")),
    )
