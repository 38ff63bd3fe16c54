"""The page and its reports in a real Chromium: what a person sees, and what a program that means harm cannot do."""

import json
from collections.abc import Generator
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import chromium
import pytest
from chromium import Chromium, View
from fakes import FakeBackend
from http_service import serving, token_file
from report_samples import HOSTILE, REPORTS
from test_page import app_of, report_job

from proofbox.server.http.service import HttpService
from proofbox.server.http.settings import HttpSettings
from proofbox.server.jobs import Progress, Report
from proofbox.server.settings import Settings
from proofbox.tools._html import kinds

pytestmark = pytest.mark.slow

WIDTHS = (360, 1440)

# Text that is too small or too faint to be read, and the ratio by which WCAG 2 judges that.
LEGIBILITY = """
(() => {
  const bright = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const numbers = text => (text.match(/[0-9.]+/g) || []).map(Number);
  const behind = e => {
    for (; e; e = e.parentElement) {
      const [r, g, b, a = 1] = numbers(getComputedStyle(e).backgroundColor);
      if (a === 1) return [r, g, b];
    }
  };
  const found = { small: [], faint: [], words: 0 };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const e = walker.currentNode.parentElement, look = getComputedStyle(e);
    if (!walker.currentNode.data.trim() || !e.getClientRects().length || e.closest("title, .skip")) continue;
    found.words += walker.currentNode.data.trim().split(/\\s+/).length;
    const svg = e.closest("svg");
    const scale = svg ? e.getScreenCTM().a : 1;
    if (parseFloat(look.fontSize) * scale < 11.9) found.small.push(e.outerHTML.slice(0, 100));
    const [one, two] = [numbers(svg ? look.fill : look.color).slice(0, 3), behind(svg || e)].map(bright);
    const ratio = (Math.max(one, two) + 0.05) / (Math.min(one, two) + 0.05);
    if (ratio < 4.5) found.faint.push([ratio, e.outerHTML.slice(0, 100)]);
  }
  return found;
})()
"""
# What would be seen of a page that a report has broken or taken over.
STATE = """
({ title: document.title, owned: document.querySelectorAll("main script, main style, main [onerror]").length,
   wide: document.documentElement.scrollWidth - document.documentElement.clientWidth,
   heads: document.querySelectorAll("h1").length, mains: document.querySelectorAll("body > main").length,
   text: document.body.innerText })
"""


@pytest.fixture(scope="module")
def browser() -> Generator[Chromium]:
    """One process for all of these tests."""
    with chromium.running() as running:
        yield running


def check_legible(view: View, width: int) -> dict[str, Any]:
    """What is true of every page; what it shows."""
    view.resize(width)
    state, seen = view.run(STATE), view.run(LEGIBILITY)

    assert state["wide"] <= 0, f"the page is {state['wide']} px wider than its window of {width}"
    assert (state["owned"], state["heads"], state["mains"]) == (0, 1, 1)
    assert state["title"].endswith(" · proofbox")
    assert (seen["small"], seen["faint"]) == ([], [])
    assert seen["words"] > 10
    return state


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_every_report_is_legible_without_javascript(
    browser: Chromium, tmp_path: Path, dark: bool
) -> None:
    """On a phone and on a desk, by day and by night, with everything unfolded, and with nothing of it run."""
    for name, (_, report, words) in REPORTS.items():
        file = tmp_path / f"{name}.html"
        file.write_text(kinds.file_of(report.model_dump(mode="json", exclude_defaults=True)))
        with browser.view(dark=dark, scripts=False) as view:
            view.open(file.as_uri())
            view.run("document.querySelectorAll('details').forEach(e => e.open = true)")
            for width in WIDTHS:
                state = check_legible(view, width)
                shown = " ".join(state["text"].split())
                for word in words:
                    assert " ".join(word.split()) in shown, (name, word)
            bright = view.run("getComputedStyle(document.body).backgroundColor")
            requests = view.events("Network.requestWillBeSent")

        assert (int(bright.strip("rgb()").split(",")[0]) < 128) == dark
        assert all(one["request"]["url"].startswith(("file:", "data:")) for one in requests)


def test_a_report_cannot_do_anything_where_scripts_run(browser: Chromium, tmp_path: Path) -> None:
    """They do run here, and those in it do not; the page's own policy would stop them besides."""
    file = tmp_path / "run.html"
    file.write_text(kinds.file_of(REPORTS["run"][1].model_dump(mode="json")))
    with browser.view() as view:
        view.open(file.as_uri())
        state = check_legible(view, 1440)
        # As if something had got through.
        view.run(
            "document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"document.title=1\">');"
            "document.body.append(Object.assign(document.createElement('script'), {text: 'document.title=2'}))"
        )
        after, said = view.run("document.title"), view.events("Log.entryAdded")

    assert "document.title='owned'" in state["text"]
    assert state["title"] == after == "Run of code · proofbox"
    assert any("Content Security Policy" in one["entry"]["text"] for one in said)


async def test_a_person_signs_in_looks_around_and_leaves_without_javascript(
    browser: Chromium, backend: FakeBackend, tmp_path: Path
) -> None:
    """By the form, from a link to a report; the cookie is one that no script reads and no other site sends."""
    path, (alice,) = token_file(tmp_path, "alice")
    service = HttpService(HttpSettings(port=0, token_file=path))

    def look(base: str, job_id: str) -> None:
        with browser.view(360, scripts=False) as view:
            view.open(f"{base}/jobs/{job_id}")
            assert "Sign in" in check_legible(view, 360)["text"]
            view.type("#token", "proofbox_wrong")
            view.click("button.main")
            assert "That token lets nobody in" in check_legible(view, 360)["text"]
            view.type("#token", alice)
            view.click("button.main")
            state = check_legible(view, 360)
            assert state["title"] == "Run of code · proofbox"
            assert "document.title='owned'" in state["text"]
            (cookie,) = view.send("Network.getCookies")["cookies"]
            assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
            assert alice not in json.dumps(cookie)
            view.click(".brand")
            for width in WIDTHS:
                home = check_legible(view, width)["text"]
                assert "alice" in home
                assert "0 of 16" in home
            view.click("header button")
            assert "Sign in" in view.run("document.body.innerText")
            assert view.send("Network.getCookies")["cookies"] == []
            assert [one["entry"]["text"] for one in view.events("Log.entryAdded")] == [
                "Failed to load resource: the server responded with a status of 401 (Unauthorized)"
            ]

    async with serving(backend, service=service, settings=Settings(data_dir=tmp_path)) as served:
        job_id = await report_job(served, "alice:", "run")
        await anyio.to_thread.run_sync(look, served.base, job_id)


async def test_progress_is_live_and_ends_with_the_report(
    browser: Chromium, backend: FakeBackend, tmp_path: Path
) -> None:
    """With JavaScript the page follows what runs, without it asks to be loaded again; lies in it stay text."""
    step = [anyio.Event(), anyio.Event()]

    async def work(progress: Progress) -> Report:
        progress.report(1, 3, f"first.md {HOSTILE}")
        await step[0].wait()
        progress.report(2, 3, f"second.md {HOSTILE}")
        await step[1].wait()
        return REPORTS["snippets"][1].model_dump(mode="json", exclude_defaults=True)

    def until(view: View, words: str) -> None:
        # Looked at by the page itself, every frame.
        view.run(
            f"new Promise(done => {{(function look() {{ document.body.innerText.includes({words!r})"
            " ? done(true) : requestAnimationFrame(look) })()})"
        )

    async with serving(backend, settings=Settings(data_dir=tmp_path)) as served:
        job_id = await app_of(served).jobs.start("local", "validate_snippets", work)
        url = f"{served.base}/jobs/{job_id}"

        def follow() -> None:
            with browser.view(360, scripts=False) as still:
                still.open(url)
                assert still.run("!!document.querySelector('meta[http-equiv=refresh]')")
                assert "1 of 3" in check_legible(still, 360)["text"]
            with browser.view(360) as view:
                view.open(url)
                until(view, "first.md")
                view.run("window.before = true")
                anyio.from_thread.run_sync(step[0].set)
                until(view, "2 of 3, second.md")
                assert view.run("window.before")
                assert check_legible(view, 360)["heads"] == 1
                anyio.from_thread.run_sync(step[1].set)
                view.wait_for_load()
                assert "docs/guide/getting-started.md" in check_legible(view, 360)["text"]
                assert view.events("Log.entryAdded") == []

        with anyio.fail_after(60):
            await anyio.to_thread.run_sync(follow)
