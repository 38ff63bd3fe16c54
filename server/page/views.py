"""What is shown: an overview, a job and a session."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from ...tools import _text
from ...tools._html.markup import Html, Part, joined, tag
from ...tools._html.parts import (
    Column,
    badge,
    facts,
    line,
    names,
    seconds,
    sentence,
    table,
    titled,
)
from ..http.audit import fingerprint
from ..jobs import JobState, JobSummary
from ..quotas.quotas import Quotas
from ..sessions import Overview, SessionSummary
from .visitors import Visitor


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of a list is looked at: `limit` from the one at `offset` on. `more`: there are others after it."""

    offset: int
    limit: int
    more: bool = False


def top(visitor: Visitor | None, root: str) -> Html:
    """What stands above every page."""
    brand = tag("a", "proofbox", href=root or "./", class_="brand")
    if visitor is None or not visitor.is_known:
        return brand
    leave = tag("form", tag("button", "Sign out"), method="post", action=f"{root}sign-out")
    return joined(
        brand,
        tag("span", tag("span", "Signed in as ", class_="as"), tag("b", line(visitor.name, 60))),
        leave,
    )


def overview(
    jobs: Sequence[JobSummary], page: Page, sessions: Overview, limits: Html, now: float
) -> Html:
    """What runs, what came of it, and how much of it may be used."""
    running = any(one.job.state == "running" for one in jobs)
    return joined(
        tag("h1", "What runs, and what came of it"),
        tag(
            "section",
            tag("h2", "Jobs"),
            _jobs(jobs, now)
            or sentence("None yet. Reports of tools that take long are listed here."),
            pages(page),
            id="jobs",
            data_live=running or None,
        ),
        tag(
            "section",
            tag("h2", "Sessions"),
            _sessions(sessions.sessions) or sentence("None is open."),
            id="sessions",
        ),
        tag("section", tag("h2", "Limits"), limits, id="limits"),
    )


def _jobs(jobs: Sequence[JobSummary], now: float) -> Html | None:
    return table(
        "The newest first",
        jobs,
        (
            Column[JobSummary]("job", _job, prose=True),
            Column("started", lambda one: _when(one.created, now)),
            Column("took", lambda one: seconds(one.job.elapsed_seconds), number=True),
        ),
    )


def kind_of(job: JobState) -> str:
    """The tool as people say it."""
    return job.kind.replace("_", " ")


def _job(one: JobSummary) -> Part:
    link = tag("a", kind_of(one.job), href=f"jobs/{one.job.job_id}")
    running = one.job.state == "running"
    said = progress(one.job) if running else line(one.said or one.job.reason, 220)
    return titled((link, " ", badge(one.verdict or one.job.state)), said)


def progress(job: JobState) -> Part:
    """How far a job is, in words, and as a bar where it is known."""
    said = (
        f"{job.done:,} of {job.total:,}" if job.total else f"{job.done:,} done" if job.done else ""
    )
    label = (
        ", ".join(part for part in (said, _text.last_line(job.message)) if part) or "It has begun"
    )
    bar = (
        tag("progress", value=min(job.done, job.total), max=job.total, aria_label=said)
        if job.total
        else None
    )
    return bar, tag("span", label)


def _sessions(sessions: Sequence[SessionSummary]) -> Html | None:
    def link(one: SessionSummary) -> Html:
        mark = fingerprint(one.session_id)
        return tag("a", tag("code", mark[:8]), href=f"sessions/{mark}")

    return table(
        "Those that are open",
        sessions,
        (
            Column[SessionSummary]("session", link),
            Column("now", in_use),
            Column("packages", lambda one: names(one.packages)),
            Column("ends if unused", lambda one: f"in {seconds(max(0, one.expires_in_seconds))}"),
        ),
    )


def in_use(one: SessionSummary) -> Html:
    """Whether a call runs in a session."""
    return badge("in use", "busy") if one.in_use else badge("idle")


def limits(quotas: Quotas, principal: str, sessions: int) -> Html:
    """What is used of what may be."""
    most = quotas.allowances
    seconds_used = quotas.used(principal, "sandbox_seconds")
    return joined(
        facts(
            {
                "Calls at a time": _limit(quotas.running(principal), most.calls),
                "Sessions at a time": _limit(sessions, most.sessions),
                "Seconds of sandboxes today": _limit(seconds_used, most.sandbox_seconds),
                "Cost of models today": _limit(
                    quotas.used(principal, "usd"), most.usd, "${:,.2f}".format
                ),
            }
        ),
        tag("p", "Days are those of UTC.", class_="note"),
    )


def _limit(used: float, most: float, shown: Callable[[float], str] = "{:,.0f}".format) -> Part:
    if math.isinf(most):
        return f"{shown(used)} (no limit)"
    told = f"{shown(used)} of {shown(most)}"
    if used >= most:
        told += ": no more for now"
    high = round(0.8 * most, 6)
    return told, tag("meter", value=round(min(used, most), 6), max=most, high=high, aria_label=told)


def pages(page: Page, name: str = "jobs") -> Html | None:
    """Links to what is before and after; `name` is the parameter of the address."""
    links: list[Html] = []
    if page.offset:
        before = max(0, page.offset - page.limit)
        links.append(
            tag("a", "← Before" if name == "offset" else "← Newer", href=f"?{name}={before}")
        )
    if page.more:
        after = page.offset + page.limit
        links.append(
            tag("a", "More results →" if name == "offset" else "Older →", href=f"?{name}={after}")
        )
    return tag("nav", links, class_="pages", aria_label="Pages") if links else None


def _when(moment: float, now: float) -> Html:
    when, age = datetime.fromtimestamp(moment, UTC), math.floor(max(0.0, now - moment))
    return tag(
        "time",
        f"{seconds(age)} ago" if age else "just now",
        datetime=when.isoformat(timespec="seconds"),
        title=f"{when:%Y-%m-%d %H:%M:%S} UTC",
    )
