"""The page of the HTTP service, asked for as a browser does: who sees what, and how it is sent."""

import base64
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fakes import FakeBackend, VirtualClock
from http_service import Served, facts, serving, token_file
from mcp import Client
from mcp.server.auth.provider import AccessToken
from mcp.server.auth.settings import AuthSettings
from replica_fakes import MemoryStore, World
from report_samples import HOSTILE, REPORTS

from proofbox.server.http.access import Access
from proofbox.server.http.audit import fingerprint
from proofbox.server.http.service import HttpService
from proofbox.server.http.settings import HttpSettings
from proofbox.server.http.tokens import line_of, new_token
from proofbox.server.jobs import Progress, Report
from proofbox.server.page.visitors import VISIT_SECONDS, Visitors
from proofbox.server.page.visits import (
    OwnVisits,
    SharedVisits,
    new_cookie,
    opened,
    sealed,
)
from proofbox.server.replicas.store import StoreUnusable
from proofbox.server.settings import Settings
from proofbox.tools._app import App

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
HOST = "mcp.example.com"


@dataclass(frozen=True)
class Browser:
    """Something that asks as a browser would, with cookies of its own, and is not led on."""

    served: Served
    http: httpx2.AsyncClient

    async def get(self, path: str = "", **headers: str) -> httpx2.Response:
        return await self.http.get(f"{self.served.base}/{path}", headers=headers)

    async def post(self, path: str, **fields: str) -> httpx2.Response:
        """Send one of the page's own forms."""
        return await self.http.post(
            f"{self.served.base}/{path}", data=fields, headers={"Origin": self.served.base}
        )

    async def sign_in(self, token: str, following: str = "") -> httpx2.Response:
        return await self.post("sign-in", token=token, next=following)


@asynccontextmanager
async def browsing(served: Served) -> AsyncGenerator[Browser]:
    """A browser for as long as the block runs."""
    async with httpx2.AsyncClient(timeout=30, follow_redirects=False) as http:
        yield Browser(served, http)


def app_of(served: Served) -> App:
    """What the service stands on."""
    assert isinstance(served.service.running, App)
    return served.service.running


async def report_job(served: Served, principal: str, name: str = "tests") -> str:
    """A job of a principal that has a report."""
    kind, report, _ = REPORTS[name]

    async def work(progress: Progress) -> Report:
        return report.model_dump(mode="json", exclude_defaults=True)

    job_id = await app_of(served).jobs.start(principal, kind, work)
    await app_of(served).jobs.wait(principal, job_id, 20)
    return job_id


@asynccontextmanager
async def team(
    backend: FakeBackend, folder: Path, **more: Any
) -> AsyncGenerator[tuple[Served, str, str]]:
    """A service that knows alice and bob, and their tokens."""
    path, (alice, bob) = token_file(folder, "alice", "bob")
    service = HttpService(HttpSettings(port=0, token_file=path, **more))
    async with serving(backend, service=service, settings=Settings(data_dir=folder)) as served:
        yield served, alice, bob


@asynccontextmanager
async def at_home(
    backend: FakeBackend, folder: Path
) -> AsyncGenerator[tuple[Served, Browser, Client]]:
    """A service without authentication, a browser and an MCP client of it."""
    async with (
        serving(backend, settings=Settings(data_dir=folder)) as served,
        browsing(served) as browser,
        served.client() as client,
    ):
        yield served, browser, client


async def test_on_this_machine_everything_is_shown_at_once(
    backend: FakeBackend, tmp_path: Path
) -> None:
    """Sessions, jobs with their progress and verdict, and limits; reports with a link to all of it."""
    async with at_home(backend, tmp_path) as (served, browser, client):
        ran = facts(await client.call_tool("execute_code", {"code": "1"}))
        job_id = await report_job(served, "local")
        home = (await browser.get()).text
        job = (await browser.get(f"jobs/{job_id}")).text
        raw = await browser.get(f"jobs/{job_id}/report.json")
        alone = await browser.get(f"jobs/{job_id}/report.html")
        sign_in = await browser.get("sign-in")

    assert f'href="jobs/{job_id}"' in home
    assert "1 of 3 tests is to be mended" in home
    assert fingerprint(ran["session_id"])[:8] in home
    assert ran["session_id"] not in home
    assert "(no limit)" in home
    assert "Sign out" not in home
    assert "test_always_true" in job
    assert f'href="{job_id}/report.json"' in job
    assert raw.json() == REPORTS["tests"][1].model_dump(mode="json", exclude_defaults=True)
    assert "test_always_true" in alone.text
    assert "<style>" in alone.text
    for file in (raw, alone):
        assert file.headers["content-disposition"].startswith("attachment")
    assert (sign_in.status_code, sign_in.headers["location"]) == (303, "./")


async def test_who_is_unknown_is_sent_to_sign_in_and_sees_nothing(
    backend: FakeBackend, tmp_path: Path
) -> None:
    """From every path, and comes back from there."""
    async with team(backend, tmp_path) as (served, _, _), browsing(served) as browser:
        job_id = await report_job(served, "alice:")
        found = {
            path: await browser.get(path)
            for path in (
                "",
                f"jobs/{job_id}",
                f"jobs/{job_id}/report.json",
                "sessions/0123456789abcdef",
            )
        }
        wrong = await browser.get("", authorization=f"Bearer {new_token()}")
        form = await browser.get(f"sign-in?next=jobs/{job_id}")

    assert [one.headers["location"] for one in found.values()] == [
        "./sign-in",
        f"../sign-in?next=jobs/{job_id}",
        "../../sign-in",
        "../sign-in?next=sessions/0123456789abcdef",
    ]
    assert all((one.status_code, one.text) == (303, "") for one in [*found.values(), wrong])
    assert f'value="jobs/{job_id}"' in form.text
    assert "tests" not in form.text


async def test_a_token_is_exchanged_for_a_cookie_that_stands_for_it(
    backend: FakeBackend, tmp_path: Path
) -> None:
    """Which no script reads and no other site sends, and which is nothing without the service."""
    async with team(backend, tmp_path) as (served, alice, _), browsing(served) as browser:
        job_id = await report_job(served, "alice:")
        came = await browser.sign_in(alice, f"jobs/{job_id}")
        cookie = came.headers["set-cookie"]
        job = await browser.get(f"jobs/{job_id}")
        home = await browser.get()
        left = await browser.post("sign-out")
        after = await browser.get()

    assert (came.status_code, came.headers["location"]) == (303, f"jobs/{job_id}")
    assert re.fullmatch(
        r"proofbox=[\w-]{43}; HttpOnly; Max-Age=28800; Path=/; SameSite=strict", cookie
    )
    assert alice not in cookie + job.text + home.text
    assert "test_always_true" in job.text
    assert "<b>alice</b>" in home.text
    assert "0 of 16" in home.text
    assert "Max-Age=0" in left.headers["set-cookie"]
    assert (left.status_code, after.status_code) == (303, 303)


async def test_a_browser_that_came_by_tls_gets_a_cookie_that_needs_it(
    backend: FakeBackend, tmp_path: Path
) -> None:
    """It is the browser that says so: the service sees only its proxy."""
    async with (
        team(backend, tmp_path, allowed_hosts=(HOST, "127.0.0.1")) as (served, alice, _),
        browsing(served) as browser,
    ):
        came = await browser.http.post(
            f"{served.base}/sign-in",
            data={"token": alice},
            headers={"Host": HOST, "Origin": f"https://{HOST}"},
        )
        name, _, value = came.headers["set-cookie"].partition(";")[0].partition("=")
        home = await browser.get("", host=HOST, cookie=f"{name}={value}")

    assert name == "__Host-proofbox"
    assert "; Secure" in came.headers["set-cookie"]
    assert home.status_code == 200


async def test_forms_of_other_pages_do_nothing(backend: FakeBackend, tmp_path: Path) -> None:
    """Not even those of pages that may call the service otherwise."""
    friend = {"allowed_origins": ("https://friend.example",), "allowed_hosts": ("127.0.0.1",)}
    attacks: tuple[tuple[dict[str, str], int], ...] = (
        ({}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "https://friend.example"}, 403),
        ({"Host": "evil.example", "Origin": "http://evil.example"}, 421),
    )
    async with team(backend, tmp_path, **friend) as (served, alice, _), browsing(served) as browser:
        await browser.sign_in(alice)
        tried = [
            await browser.http.post(f"{served.base}/{path}", data={"token": alice}, headers=headers)
            for path in ("sign-in", "sign-out")
            for headers, _ in attacks
        ]
        home = await browser.get()

    assert [one.status_code for one in tried] == 2 * [status for _, status in attacks]
    assert not any("set-cookie" in one.headers for one in tried)
    assert home.status_code == 200


async def test_guesses_are_counted(
    backend: FakeBackend, tmp_path: Path, clock: VirtualClock
) -> None:
    """After some wrong ones, none is tried for a while; the right one works again then."""
    path, (alice,) = token_file(tmp_path, "alice")
    service = HttpService(HttpSettings(port=0, token_file=path), clock=clock)
    async with serving(backend, service=service) as served, browsing(served) as browser:
        wrong = [(await browser.sign_in(new_token())).status_code for _ in range(10)]
        refused = await browser.sign_in(alice)
        await clock.advance(6)
        let_in = await browser.sign_in(alice)

    assert wrong == [401] * 10
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "6")
    assert "Try again in 6 seconds" in refused.text
    assert let_in.status_code == 303


async def test_a_visit_ends_with_its_token_and_after_a_day_of_work(
    backend: FakeBackend, tmp_path: Path, clock: VirtualClock
) -> None:
    """A line that is taken away counts at once."""
    path, (alice, bob) = token_file(tmp_path, "alice", "bob")
    service = HttpService(HttpSettings(port=0, token_file=path), clock=clock)
    async with (
        serving(backend, service=service) as served,
        browsing(served) as first,
        browsing(served) as second,
    ):
        await first.sign_in(alice)
        await second.sign_in(bob)
        before = [(await one.get()).status_code for one in (first, second)]
        path.write_text(f"{line_of(bob, 'bob')}\n")
        after = [(await one.get()).status_code for one in (first, second)]
        await clock.advance(VISIT_SECONDS)
        late = (await second.get()).status_code

    assert (before, after, late) == ([200, 200], [303, 200], 303)


async def test_a_token_in_the_header_shows_the_page_to_a_script(
    backend: FakeBackend, tmp_path: Path
) -> None:
    """As for MCP; one for metrics shows nothing."""
    path, (alice,) = token_file(tmp_path, "alice")
    metrics = new_token()
    path.write_text(f"{path.read_text()}{line_of(metrics, 'prometheus', metrics=True)}\n")
    async with (
        serving(backend, HttpSettings(port=0, token_file=path)) as served,
        browsing(served) as browser,
    ):
        shown = await browser.get("", authorization=f"Bearer {alice}")
        hidden = await browser.get("", authorization=f"Bearer {metrics}")
        refused = await browser.sign_in(metrics)

    assert (shown.status_code, hidden.status_code, refused.status_code) == (200, 303, 401)


async def test_nobody_sees_what_is_anothers(backend: FakeBackend, tmp_path: Path) -> None:
    """It reads as what never was."""
    async with (
        team(backend, tmp_path) as (served, alice, bob),
        browsing(served) as browser,
        served.client(alice) as client,
    ):
        ran = facts(await client.call_tool("execute_code", {"code": "1"}))
        mark = fingerprint(ran["session_id"])
        app_of(served).artifacts.shelf(ran["session_id"]).put("plot-1.png", "image/png", PNG)
        job_id = await report_job(served, "alice:")
        await browser.sign_in(bob)
        home = await browser.get()
        foreign = [
            await browser.get(path)
            for path in (
                f"jobs/{job_id}",
                f"jobs/{job_id}/report.json",
                f"jobs/{job_id}/report.html",
                f"sessions/{mark}",
                f"sessions/{mark}/plot-1.png",
            )
        ]
        unknown = await browser.get("jobs/never")
        await browser.sign_in(alice)
        own = [
            await browser.get(f"jobs/{job_id}"),
            await browser.get(f"sessions/{mark}/plot-1.png"),
        ]

    assert job_id not in home.text
    assert mark[:8] not in home.text
    assert [one.status_code for one in foreign] == [404] * 5
    assert foreign[0].text == unknown.text
    assert [one.status_code for one in own] == [200, 200]


async def test_every_answer_forbids_what_a_page_does_not_need(
    backend: FakeBackend, tmp_path: Path
) -> None:
    """Nothing is kept, framed, sniffed or loaded from elsewhere; files cannot do anything at all."""
    async with team(backend, tmp_path) as (served, alice, _), browsing(served) as browser:
        job_id = await report_job(served, "alice:", "run")
        form = await browser.get("sign-in")
        await browser.sign_in(alice)
        pages = [form, await browser.get(), await browser.get(f"jobs/{job_id}")]
        pages.append(await browser.get("jobs/never"))
        files = [await browser.get(f"jobs/{job_id}/report.{kind}") for kind in ("json", "html")]
        own = [await browser.get(f"page/{name}") for name in ("style.css", "icon.svg", "live.js")]
        nothing = await browser.get("page/views.py")

    for page in pages:
        policy = page.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; style-src 'self'; script-src 'self';")
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
    for file in [*files, *own]:
        assert "default-src 'none'; sandbox" in file.headers["content-security-policy"]
    for answer in [*pages, *files, *own]:
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"
    assert all(one.headers["cache-control"] == "no-store" for one in [*pages, *files])
    assert nothing.status_code == 404


async def test_plots_are_shown_and_everything_else_is_only_downloaded(
    backend: FakeBackend, tmp_path: Path
) -> None:
    """Whatever its name and its type say: what is no picture is not shown as one."""
    async with at_home(backend, tmp_path) as (served, browser, client):
        ran = facts(await client.call_tool("execute_code", {"code": "1"}))
        shelf = app_of(served).artifacts.shelf(ran["session_id"])
        shelf.put("plot-1.png", "text/html", PNG)
        shelf.put("plot-2.png", "image/png", HOSTILE.encode())
        shelf.put("page-1.html", "text/html", HOSTILE.encode())
        mark = fingerprint(ran["session_id"])
        page = await browser.get(f"sessions/{mark}")
        plot, fake, html = [
            await browser.get(f"sessions/{mark}/{name}")
            for name in ("plot-1.png", "plot-2.png", "page-1.html")
        ]

    assert f'<img src="{mark}/plot-1.png" alt="plot-1.png"' in page.text
    assert page.text.count("<img") == 1
    assert "<script" not in page.text
    assert (plot.headers["content-type"], plot.content) == ("image/png", PNG)
    for file in (fake, html):
        assert file.headers["content-type"] == "application/octet-stream"
        assert file.headers["content-disposition"].startswith("attachment")


async def test_lists_and_long_reports_are_shown_in_parts(
    backend: FakeBackend, tmp_path: Path
) -> None:
    """With links to the others; an offset that is none is the beginning."""
    async with serving(backend, settings=Settings(data_dir=tmp_path)) as served:
        ids = [await report_job(served, "local", "bench" if n == 0 else "run") for n in range(25)]
        async with browsing(served) as browser:
            first, second = (await browser.get()).text, (await browser.get("?jobs=20")).text
            odd = (await browser.get("?jobs=-1")).text
            report = (await browser.get(f"jobs/{ids[0]}")).text
            more = (await browser.get(f"jobs/{ids[0]}?offset=40")).text

    def listed(page: str) -> list[str]:
        return re.findall(r'href="jobs/([^"]+)"', page)

    assert listed(first) + listed(second) == ids[::-1]
    assert listed(odd) == listed(first)
    assert 'href="?jobs=20">Older' in first
    assert 'href="?jobs=0">← Newer' in second
    assert "Older" not in second
    assert "360 answers of 3 models" in unescape(report)
    assert 'href="?offset=40">More results' in report
    assert 'href="?offset=80"' in more


async def test_what_runs_is_looked_at_again(backend: FakeBackend, tmp_path: Path) -> None:
    """Also without JavaScript; what has ended is not, and a job that nobody was told of yet is shown."""
    async with serving(backend, settings=Settings(data_dir=tmp_path)) as served:
        jobs = app_of(served).jobs

        async def work(progress: Progress) -> Report:
            progress.report(30, 120, f"page.md\n{HOSTILE}")
            await served.service.clock.sleep(3600)
            return {}

        job = jobs.begin("local", "validate_snippets", work)
        async with browsing(served) as browser:
            while not job.progress.total:
                await browser.get()
            running = [(await browser.get()).text, (await browser.get(f"jobs/{job.job_id}")).text]
            await jobs.hand_out(job)
            await jobs.cancel("local", job.job_id)
            ended = [(await browser.get()).text, (await browser.get(f"jobs/{job.job_id}")).text]

    for page in running:
        assert '<noscript><meta http-equiv="refresh" content="5"></noscript>' in page
        assert '<progress value="30" max="120"' in page
        assert "30 of 120" in page
        assert page.count("<script") == 1
    for page in ended:
        assert "refresh" not in page
        assert "<script" not in page
        assert "cancelled" in page


async def test_a_report_that_was_there_in_time_is_kept_for_the_page(
    backend: FakeBackend, tmp_path: Path
) -> None:
    """The client has got it and needs no job; whoever looks later does."""
    async with at_home(backend, tmp_path) as (_, browser, client):
        answer = facts(await client.call_tool("validate_snippets", {"text": "No example."}))
        home = (await browser.get()).text

    assert answer["verdict"] == "skipped"
    assert "job" not in answer
    assert "NO SNIPPETS were found" in home


async def test_signing_in_leads_to_nowhere_else(backend: FakeBackend, tmp_path: Path) -> None:
    """Only to a page of ours."""
    places = ("//evil.example", "https://evil.example", "../x", "jobs/a/b", "\\", "javascript:x")
    async with team(backend, tmp_path) as (served, alice, _), browsing(served) as browser:
        forms = [await browser.get(f"sign-in?next={place}") for place in places]
        came = [await browser.sign_in(alice, place) for place in places]

    assert all('name="next" value=""' in one.text for one in forms)
    assert {one.headers["location"] for one in came} == {"./"}


async def test_what_is_no_form_is_refused(backend: FakeBackend, tmp_path: Path) -> None:
    """Too large, of another type, or without a token."""
    async with team(backend, tmp_path) as (served, _, _), browsing(served) as browser:
        large = await browser.post("sign-in", token="x" * 30_000)
        empty = await browser.post("sign-in")
        text = await browser.http.post(
            f"{served.base}/sign-in", content=b"{}", headers={"Origin": served.base}
        )
        fields = await browser.post("sign-in", **{f"f{n}": "x" for n in range(20)})

    assert [one.status_code for one in (large, empty, text, fields)] == [400, 400, 400, 400]


async def test_while_the_service_starts_or_stops_it_says_so(
    backend: FakeBackend, tmp_path: Path
) -> None:
    """There is nothing to show then."""
    async with serving(backend, settings=Settings(data_dir=tmp_path)) as served:
        running, served.service.running = served.service.running, None
        async with browsing(served) as browser:
            page = await browser.get()
        served.service.running = running

    assert page.status_code == 503
    assert "Try again in a moment" in page.text


class _OAuth:
    """An OAuth server's tokens: each is the name of its subject and its scopes."""

    async def find_trouble(self) -> str:
        return ""

    async def verify(self, token: str) -> AccessToken | None:
        subject, _, scopes = token.partition(":")
        if subject == "forged":
            return None
        return AccessToken(token="", client_id="app", subject=subject, scopes=scopes.split())

    def settings(self) -> AuthSettings:
        return AuthSettings.model_validate(
            {
                "issuer_url": "https://i.example",
                "resource_server_url": None,
                "required_scopes": ["run"],
            }
        )


async def test_tokens_of_oauth_are_held_to_the_same_rules(clock: VirtualClock) -> None:
    """They need the scopes that MCP needs; the visitor is the subject."""
    visitors = Visitors(Access(None, _OAuth()), OwnVisits(clock))

    good = await visitors.verify("ann:run more")
    found = [await visitors.verify(token) for token in ("ann:more", "forged:run", "", "x" * 20_000)]

    assert good is not None
    assert (good.name, good.principal) == ("ann", "app:ann")
    assert found == [None] * 4
    assert await visitors.find("no such cookie") is None


async def test_visits_are_bounded(clock: VirtualClock) -> None:
    """The oldest gives way."""
    visitors = Visitors(Access(None, _OAuth()), OwnVisits(clock))
    cookies = [await visitors.begin("ann:run") for _ in range(1_001)]

    assert await visitors.find(cookies[0]) is None
    assert await visitors.find(cookies[1]) is not None


async def test_visitors_are_known_to_every_replica_and_their_tokens_to_none(
    clock: VirtualClock,
) -> None:
    """What replicas share gives no token away; when it cannot be read, that is said."""
    world = World(clock)
    doors = [MemoryStore(world.connection), MemoryStore(world.connection)]
    first, second = (Visitors(Access(None, _OAuth()), SharedVisits(door)) for door in doors)

    cookie = await first.begin("ann:run")
    found = await second.find(cookie)
    kept = "\n".join(world.connection.iterdump())
    await second.end(cookie)
    after = await first.find(cookie)
    doors[0].cut = True
    with pytest.raises(StoreUnusable):
        await first.find(cookie)
    world.end()

    assert found is not None
    assert found.name == "ann"
    assert "visits" in kept
    assert "ann:run" not in kept
    assert cookie not in kept
    assert after is None


def test_a_seal_opens_for_its_cookie_alone() -> None:
    """And what is no seal is no token."""
    mine, other = new_cookie(), new_cookie()
    text = sealed("token", mine)

    assert opened(text, mine) == "token"
    assert opened(text, other) == ""
    assert opened("garbage", mine) == ""
