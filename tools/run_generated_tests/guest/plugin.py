"""The plugin that records what becomes of every test, from what pytest did and not from what it printed."""

from __future__ import annotations

import os
import random
import sys
import warnings
from collections.abc import Generator
from typing import Any

import pytest

from . import errors, probes
from .channel import Say

Around = Generator[None, Any, Any]

_LONGEST_OUTPUT = 2_000
_LONGEST_WARNING = 4_000
# What Python says of failures that reach nobody.
_UNSEEN = ("Task exception was never retrieved", "\nProcess ")


class Recorder:
    """Records collection, each phase of each test, and the end; decides what runs and in which order."""

    def __init__(self, say: Say, config: dict[str, Any]) -> None:
        self._say = say
        self._config = config
        self._probes: set[str] = set()
        self._raised: dict[tuple[str, str], str] = {}
        self._errors: dict[tuple[str, str], dict[str, Any]] = {}
        self._assertions = 0

    def pytest_collectstart(self, collector: pytest.Collector) -> None:
        """A file is about to be imported."""
        if isinstance(collector, pytest.Module):
            self._say("importing", file=collector.nodeid)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_make_collect_report(self, collector: pytest.Collector) -> Around:
        """Pytest takes the exception away before the report is told."""
        report: Any = yield
        call = report.__dict__.get("call")
        if call is not None and call.excinfo is not None:
            place = (collector.nodeid, "collect")
            self._errors[place] = errors.of(call.excinfo.value, self._config["root"])
        return report

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A file could not be collected, or asked to be skipped."""
        if report.outcome == "skipped":
            self._say("left_out", file=report.nodeid, reason=errors.skip_reason(report))
        elif report.outcome == "failed":
            error = self._errors.get((report.nodeid, "collect")) or errors.of_text(report)
            self._say("not_collected", file=report.nodeid, error=error)

    def pytest_deselected(self, items: list[pytest.Item]) -> None:
        """Something (a mark, a conftest) took tests out."""
        self._say("deselected", ids=[item.nodeid for item in items])

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """All is collected: choose, order, and say what will run."""
        items = session.items
        self._say("found", items=[_described(item) for item in items])
        wanted = _chosen(items, self._config["ids"], frozenset(self._config["but"]))
        items[:] = _ordered(wanted, self._config)
        self._probes = probes.insert(items, self._config["probes"])
        self._say("collected", ids=[item.nodeid for item in items])

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Around:
        """Around one test, all phases."""
        self._say("start", id=item.nodeid)
        self._assertions = 0
        before, ourselves = self._surroundings(), os.getpid()
        result: Any = yield
        if os.getpid() != ourselves:
            os._exit(1)  # a child of the test raised: it must not run the other tests too
        left = _differences(before, self._surroundings())
        if left and item.nodeid not in self._probes:
            self._say("left", id=item.nodeid, what=left)
        return result

    def _surroundings(self) -> dict[str, Any]:
        try:
            folder = os.getcwd()
        except OSError:
            folder = "a folder that is gone"
        return {
            "environ": dict(os.environ),
            "folder": folder,
            "path": list(sys.path),
            "random": random.getstate(),
            "files": [_stamp(path) for path in self._config["watched"]],
        }

    def pytest_assertion_pass(self) -> None:
        """An assert statement held."""
        self._assertions += 1

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> Around:
        """What a phase raised, before anybody can say otherwise."""
        report: Any = yield
        if call.excinfo is not None:
            place = (item.nodeid, call.when)
            self._raised[place] = call.excinfo.typename
            self._errors[place] = errors.of(call.excinfo.value, self._config["root"])
        return report

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A phase is over, or a subtest."""
        place = (report.nodeid, report.when)
        fields: dict[str, Any] = {
            "id": report.nodeid,
            "when": report.when,
            "outcome": report.outcome,
            "seconds": round(report.duration, 6),
            "raised": self._raised.get(place),
            "assertions": self._assertions,
        }
        expected = getattr(report, "wasxfail", None)
        if expected is not None:
            fields["xfail"] = str(expected)
        if report.outcome == "skipped" and expected is None:
            fields["skip"] = errors.skip_reason(report)
        if report.outcome == "failed":
            fields["error"] = self._errors.get(place) or errors.of_text(report)
            fields.update(_output(report))
        if report.when == "teardown":
            self._look_beside(report)
        context = getattr(report, "context", None)
        if context is not None:
            fields["subtest"] = str(getattr(context, "msg", "") or getattr(context, "kwargs", ""))
        self._say("phase" if context is None else "subtest", **fields)

    def _look_beside(self, report: pytest.TestReport) -> None:
        """What tasks and processes of the test failed with is in its output alone."""
        said = f"\n{report.capstderr}\n{report.caplog}"
        start = min((said.find(sign) for sign in _UNSEEN if sign in said), default=-1)
        if start >= 0 and "Traceback " in said:
            text = said[said.rfind("\n", 0, start + 1) + 1 :][:_LONGEST_WARNING]
            self._say("warning", id=report.nodeid, kind="Unseen", text=text, file="", line=0)

    def pytest_warning_recorded(
        self, warning_message: warnings.WarningMessage, nodeid: str, location: object
    ) -> None:
        """Pytest warns of what it does not collect, and of tests that return something."""
        kind = warning_message.category
        text = str(warning_message.message)
        if kind.__name__.startswith("Pytest") or text.endswith("was never awaited"):
            self._say(
                "warning",
                id=nodeid,
                kind=kind.__name__,
                text=text[:_LONGEST_WARNING],
                file=str(warning_message.filename),
                line=warning_message.lineno,
            )

    def pytest_internalerror(self, excrepr: object) -> None:
        """Pytest itself, or a plugin, failed."""
        self._say("internal_error", text=str(excrepr)[-2_000:])


def _described(item: pytest.Item) -> dict[str, Any]:
    path, line, _ = item.location
    original = getattr(item, "originalname", None) or item.name
    owner = getattr(item, "cls", None)
    return {
        "id": item.nodeid,
        "file": path.replace(os.sep, "/"),
        "line": (line or 0) + 1,
        "name": original,
        "class": owner.__qualname__ if owner is not None else "",
        "kind": type(item).__name__,
    }


def _chosen(
    items: list[pytest.Item], ids: list[str] | None, but: frozenset[str]
) -> list[pytest.Item]:
    if ids is None:
        return [item for item in items if item.nodeid.partition("[")[0] not in but]
    by_id = {item.nodeid: item for item in items}
    return [by_id[name] for name in ids if name in by_id]


def _ordered(items: list[pytest.Item], config: dict[str, Any]) -> list[pytest.Item]:
    if config["order"] == "reversed":
        return items[::-1]
    if config["order"] == "shuffled":
        random.Random(config["seed"]).shuffle(items)
    return items


def _stamp(path: str) -> tuple[int, int, int]:
    try:
        status = os.stat(path)
    except OSError:
        return (0, 0, 0)
    return (status.st_mtime_ns, status.st_size, status.st_ino)


def _differences(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """What a test left changed, in words; `random` means that it drew from the shared generator."""
    found: list[str] = []
    old, new = before["environ"], after["environ"]
    own = {"PYTEST_CURRENT_TEST"}
    names = {name for name in {*old, *new} - own if old.get(name) != new.get(name)}
    found += [f"os.environ[{name!r}]" for name in sorted(names)[:5]]
    found += ["the working directory"] if before["folder"] != after["folder"] else []
    found += ["sys.path"] if before["path"] != after["path"] else []
    found += ["a file of the project"] if before["files"] != after["files"] else []
    found += ["random"] if before["random"] != after["random"] else []
    return found


def _output(report: pytest.TestReport) -> dict[str, str]:
    parts = {"out": report.capstdout, "err": report.capstderr, "log": report.caplog}
    return {name: text[-_LONGEST_OUTPUT:] for name, text in parts.items() if text}
