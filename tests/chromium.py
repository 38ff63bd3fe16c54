"""A real Chromium without a window, driven over a pipe by its own protocol: one process for all tests that look
at pages. Whoever serves the page from an event loop calls this from a thread.
"""

import base64
import itertools
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from wanted import do_without

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "chrome")
_SECONDS = 30

# The browser reads commands from descriptor 3 and writes answers to 4.
_START = """
import fcntl, os, sys
# First out of the way: they may have these very numbers.
kept = [fcntl.fcntl(int(number), fcntl.F_DUPFD, 10) for number in sys.argv[1:3]]
os.dup2(kept[0], 3), os.dup2(kept[1], 4)
os.execv(sys.argv[3], sys.argv[3:])
"""


def executable() -> str:
    """Where it is. Where there is none, see `do_without`."""
    named = os.environ.get("PROOFBOX_CHROMIUM", "")
    found = next((path for name in (named, *NAMES) if name and (path := shutil.which(name))), None)
    if found is None:
        said = "there is no Chromium here: install one, or name it with PROOFBOX_CHROMIUM"
        do_without("chromium", said)
    return found


class Chromium:
    """The process. `view` gives pages that share nothing."""

    def __init__(self, commands: int, answers: int) -> None:
        self._commands = commands
        self._answers = answers
        self._unread = b""
        self._numbers = itertools.count(1)
        self.events: list[dict[str, Any]] = []

    def send(self, method: str, session: str = "", **parameters: Any) -> dict[str, Any]:
        """Do something, and give its result."""
        number = next(self._numbers)
        message: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == number:
                assert "error" not in answer, answer
                return answer["result"]

    def wait_for(self, method: str, session: str) -> None:
        """Wait until it has happened since it was last waited for."""
        while True:
            for event in self.events:
                if (event["method"], event.get("sessionId")) == (method, session):
                    self.events.remove(event)
                    return
            self._read()

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._unread:
            ready, _, _ = select.select([self._answers], [], [], _SECONDS)
            part = os.read(self._answers, 1 << 20) if ready else b""
            assert part, "Chromium has ended, or says nothing any more"
            self._unread += part
        raw, _, self._unread = self._unread.partition(b"\0")
        message: dict[str, Any] = json.loads(raw)
        if "method" in message:
            self.events.append(message)
        return message

    @contextmanager
    def view(
        self, width: int = 1440, *, dark: bool = False, scripts: bool = True
    ) -> Generator["View"]:
        """An empty page of that width, with cookies of its own."""
        context = self.send("Target.createBrowserContext")["browserContextId"]
        target = self.send("Target.createTarget", url="about:blank", browserContextId=context)
        session = self.send("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        view = View(self, session["sessionId"])
        for domain in ("Page", "Runtime", "Network", "Log"):
            view.send(f"{domain}.enable")
        view.resize(width)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        view.send("Emulation.setEmulatedMedia", features=[scheme])
        view.send("Emulation.setScriptExecutionDisabled", value=not scripts)
        try:
            yield view
        finally:
            self.send("Target.disposeBrowserContext", browserContextId=context)
            self.events = [one for one in self.events if one.get("sessionId") != view.session]


class View:
    """One page of the browser."""

    def __init__(self, chromium: Chromium, session: str) -> None:
        self._chromium = chromium
        self.session = session

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """A command of the protocol, for this page."""
        return self._chromium.send(method, self.session, **parameters)

    def resize(self, width: int, height: int = 900) -> None:
        """Look at it through a window of that size, in pixels of CSS."""
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=width < 600,
        )  # fmt: skip

    def open(self, url: str) -> None:
        """Go there, and wait until all is loaded."""
        self.send("Page.navigate", url=url)
        self._chromium.wait_for("Page.loadEventFired", self.session)

    def wait_for_load(self) -> None:
        """Wait until it has led elsewhere, or was loaded again."""
        self._chromium.wait_for("Page.loadEventFired", self.session)

    def run(self, expression: str) -> Any:
        """What an expression of JavaScript gives, run as by a person with developer tools."""
        found = self.send(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def type(self, selector: str, text: str) -> None:
        """Write into a field, once the page has put the focus where it wants it, which is after it was loaded."""
        waits = "document.querySelector('[autofocus]') && document.activeElement === document.body"
        assert any(not self.run(waits) for _ in range(10_000)), "nothing has the focus"
        self.run(f"document.querySelector({json.dumps(selector)}).focus()")
        self.send("Input.insertText", text=text)

    def click(self, selector: str) -> None:
        """Press something that leads to another page, and wait for that."""
        box = self.run(
            f"(e => {{e.scrollIntoView({{block: 'center'}}); const b = e.getBoundingClientRect();"
            f" return [b.x + b.width / 2, b.y + b.height / 2]}})(document.querySelector({json.dumps(selector)}))"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.send(
                "Input.dispatchMouseEvent",
                type=kind,
                x=box[0],
                y=box[1],
                button="left",
                clickCount=1,
            )
        self._chromium.wait_for("Page.loadEventFired", self.session)

    def events(self, method: str) -> list[dict[str, Any]]:
        """What has happened on this page, of one kind."""
        self.send("Runtime.evaluate", expression="0")  # what came before is there then
        every = [one for one in self._chromium.events if one.get("sessionId") == self.session]
        return [one["params"] for one in every if one["method"] == method]

    def screenshot(self, path: Path) -> None:
        """A picture of the whole page."""
        size = self.send("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        shot = self.send("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))


@contextmanager
def running() -> Generator[Chromium]:
    """A browser for as long as the block runs."""
    program = executable()
    read, commands = os.pipe()
    answers, write = os.pipe()
    with tempfile.TemporaryDirectory(
        prefix="proofbox-chromium-", ignore_cleanup_errors=True
    ) as home:
        flags = [
            "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
            "--disable-background-networking", "--remote-debugging-pipe", f"--user-data-dir={home}",
        ]  # fmt: skip
        process = subprocess.Popen(
            [sys.executable, "-c", _START, str(read), str(write), program, *flags],
            pass_fds=(read, write),
            stderr=subprocess.DEVNULL,
        )
        os.close(read)
        os.close(write)
        chromium = Chromium(commands, answers)
        try:
            yield chromium
            chromium.send("Browser.close")
        finally:
            os.close(commands)
            try:
                process.wait(_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            os.close(answers)
