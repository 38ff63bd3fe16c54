"""Make a run of the records that the process of the tests wrote, and decide whether to believe them.

What can be excluded: that nothing ran, that the process left early or hung, that tests were dropped,
repeated or added after collection, that records were altered or repeated after they were written, that a
failing test cannot fail any more (our own failing tests among them must have failed), that files of the
project were edited, and that an outcome was rewritten after an exception. The process that checks the
seals runs no test code and cannot be opened by it (`guest.driver`).

What cannot: code that was written against this very plugin, runs in its process and finds its key there can
write records of tests that are still to run. Whoever does that must also make its tests fail in exactly
those runs where the code under test is broken on purpose, or they count as vacuous; and it can only
speak for its own tests, which it could as well have written to pass.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from .. import _text
from .events import Frame, Item, Phase, Probe, Raised, Record, TestResult, TestRun
from .outcome import Outcome
from .project import ROOT

_LONGEST = 300
_MOST_REWRITTEN = 3
_ERROR = re.compile(r"\b(error|Exit|[A-Z]\w*(Error|Exception|Warning)): ", re.IGNORECASE)


def read(answer: Record, probes: Sequence[Probe]) -> TestRun:
    """The run that a driver's answer tells of."""
    records: Sequence[Record] = answer.get("records", ())
    story = _Story(records, {probe.name: probe for probe in probes}, _complaint(answer))
    problems = list(dict.fromkeys([*_ending(answer, story), *story.problems()]))
    hung = answer.get("how") in {"timed_out", "stuck"}
    last = "timed_out" if hung else "ended"
    return TestRun(
        complete=not problems,
        problems=tuple(problems),
        culprit=story.running or story.importing if problems else "",
        tests=story.results(last),
        items=story.items,
        not_collected={r["file"]: raised(r["error"]) for r in story.of("not_collected")},
        left_out={r["file"]: r["reason"] for r in story.of("left_out")},
        deselected=tuple(name for r in story.of("deselected") for name in r["ids"]),
        guests=story.guests,
        warnings=tuple(story.of("warning")),
        changed=tuple(path.removeprefix(f"{ROOT}/") for path in answer.get("changed", ())),
        hung_at=answer.get("stderr", "") if hung else "",
        stdout=answer.get("stdout", ""),
        stderr=answer.get("stderr", ""),
        python=story.first("begin").get("python", ""),
        pytest=story.first("begin").get("pytest", ""),
        how=answer.get("how", ""),
        status=answer.get("status"),
        seconds=answer.get("seconds", 0.0),
        cpu_seconds=answer.get("cpu", 0.0),
    )


def raised(said: Record) -> Raised:
    """An exception as a record has it."""
    frames = tuple(Frame(f["file"], f["line"], f["function"], f["text"]) for f in said["frames"])
    return Raised(said["type"], said["message"], frames, said["name"])


def _ending(answer: Record, story: "_Story") -> Iterable[str]:
    """What is wrong with the way in which the process ended."""
    how, status = answer.get("how"), answer.get("status")
    if answer.get("broken"):
        yield f"The records were tampered with: {answer['broken']} was on their channel."
    elif how == "timed_out":
        yield "The tests did not end in the time that they had."
    elif how == "stuck":
        yield "A test did not end in the time that it had."
    elif how != "ended":
        yield f"The run gave no usable answer ({how})."
    elif not story.of("finish"):
        yield f"{_left_early(status)}{_last_words(answer, story)}"
    elif story.first("finish")["status"] != status:
        yield "The process ended with another exit code than pytest gave."


def _last_words(answer: Record, story: "_Story") -> str:
    """What it wrote at last, where pytest did not even begin."""
    said = "" if story.of("begin") else _text.last_line(answer.get("stderr", ""))
    return f" It said: {said}" if said else ""


def _complaint(answer: Record) -> str:
    """Why pytest did not even collect: what it says of that is followed by where it looked."""
    for output in ("stderr", "stdout"):
        lines = _text.clean(answer.get(output, "")).splitlines()
        errors = [line for line in lines if _ERROR.search(line)]
        if (
            said := _text.last_line("\n".join(errors or lines), _LONGEST)
            .removeprefix("E ")
            .strip(" !")
        ):
            return f" It said: {said}"
    return ""


def _left_early(status: object) -> str:
    if isinstance(status, int) and status < 0:
        return f"The process of the tests was killed by signal {-status} before pytest was done."
    return f"The process of the tests ended with exit code {status} before pytest was done."


class _Story:
    """Records in order, and what they say of each test."""

    def __init__(
        self, records: Sequence[Record], probes: Mapping[str, Probe], complaint: str
    ) -> None:
        self._records = records
        self._probes = probes
        self._complaint = complaint
        self._phases: dict[str, list[Phase]] = {}
        self._left: dict[str, tuple[str, ...]] = {}
        self._subtests: dict[str, list[Raised]] = {}
        self._starts: list[str] = []
        self.running = ""
        self.importing = ""
        self.guests: dict[str, list[Record]] = {}
        for record in records:
            self._take(record)
        found = self.first("found").get("items", ())
        self.items = tuple(
            Item(i["id"], i["file"], i["line"], i["name"], i["class"], i["kind"]) for i in found
        )
        self._collected: list[str] = list(self.first("collected").get("ids", ()))

    def of(self, kind: str) -> list[Record]:
        """The records of a kind."""
        return [record for record in self._records if record["t"] == kind]

    def first(self, kind: str) -> Record:
        """The first record of a kind, or an empty one."""
        nothing: Record = {}
        return next(iter(self.of(kind)), nothing)

    def _take(self, record: Record) -> None:
        kind = record["t"]
        if kind == "importing":
            self.importing = record["file"]
        elif kind == "found":
            self.importing = ""
        elif kind == "start":
            self._starts.append(record["id"])
            self.running = record["id"]
        elif kind == "phase":
            self._phases.setdefault(record["id"], []).append(_phase(record))
            if record["when"] == "teardown":
                self.running = ""
        elif kind == "subtest" and record["outcome"] == "failed":
            error = replace(raised(record["error"]), name=record["subtest"])
            self._subtests.setdefault(record["id"], []).append(error)
        elif kind == "left":
            self._left[record["id"]] = tuple(record["what"])
        elif kind == "guest":
            self.guests.setdefault(record["of"], []).append(record)

    def problems(self) -> Iterable[str]:
        """What does not add up."""
        if error := self.first("internal_error"):
            yield f"Pytest itself failed: {error['text'].strip().splitlines()[-1][:300]}"
        if not self.of("collected") and self.of("finish"):
            yield f"Pytest ended before it had collected anything.{self._complaint}"
        if len(set(self._collected)) != len(self._collected):
            yield "Two tests have the same id."
        if self._starts != self._collected[: len(self._starts)]:
            yield "Tests ran that were not chosen, more than once, or out of their order."
        missing = [name for name in self._collected if not self._whole(name)]
        if missing and self.of("finish"):
            yield f"{len(missing)} of {len(self._collected)} tests were not run to their end."
        yield from self._rewritten()
        yield from self._probe_problems()

    def _whole(self, name: str) -> bool:
        phases = self._phases.get(name, [])
        whens = [phase.when for phase in phases]
        short = ["setup", "teardown"]
        if whens == short:
            return phases[0].outcome != "passed"
        return whens == ["setup", "call", "teardown"]

    def _rewritten(self) -> Iterable[str]:
        # A test whose subtest failed goes on, and its call is reported apart from them. Of our own tests
        # it is said otherwise.
        said = [
            f"{name} raised {phase.raised} and was reported as passed."
            for name, phases in self._phases.items()
            for phase in phases
            if name not in self._subtests and name.rpartition("::")[2] not in self._probes
            if phase.raised and phase.outcome == "passed" and not phase.expected_failure
        ]
        yield from said[:_MOST_REWRITTEN]
        if rest := said[_MOST_REWRITTEN:]:
            yield f"{len(rest)} more tests raised and were reported as passed."

    def _probe_problems(self) -> Iterable[str]:
        """Our own tests tell whether a failure would have been seen."""
        for name in self._collected:
            probe = self._probes.get(name.rpartition("::")[2])
            call = next((p for p in self._phases.get(name, ()) if p.when == "call"), None)
            if probe is None or call is None:
                continue
            if probe.kind == "passing" and call.outcome != "passed":
                yield "A test that must pass did not: something in the suite makes tests fail."
            elif probe.kind != "passing" and call.outcome != "failed":
                yield "A test that must fail did not: the suite hides failures."

    def results(self, last: Outcome) -> dict[str, TestResult]:
        """Every test that was chosen; `last` is the outcome of one in which the run ended."""
        found: dict[str, TestResult] = {}
        for name in self._collected:
            if name.rpartition("::")[2] in self._probes:
                continue
            phases = tuple(self._phases.get(name, ()))
            subtests = tuple(self._subtests.get(name, ()))
            outcome = _outcome(phases, subtests) if self._whole(name) else None
            if outcome is None:
                outcome = last if name == self.running else "not_run"
            found[name] = TestResult(name, outcome, phases, self._left.get(name, ()), subtests)
        return found


def _phase(record: Record) -> Phase:
    error = record.get("error")
    return Phase(
        when=record["when"],
        outcome=record["outcome"],
        seconds=record["seconds"],
        raised=record["raised"] or "",
        assertions=record["assertions"],
        error=raised(error) if error else None,
        reason=record.get("skip") or record.get("xfail") or "",
        expected_failure="xfail" in record,
        output="\n".join(record[name] for name in ("out", "err", "log") if record.get(name)),
    )


def _outcome(phases: Sequence[Phase], subtests: Sequence[Raised]) -> Outcome:
    by_when = {phase.when: phase for phase in phases}
    call = by_when.get("call")
    if any(p.outcome == "failed" for p in phases if p.when != "call"):
        return "error"
    if call is None:
        setup = by_when["setup"]
        return "xfailed" if setup.expected_failure else "skipped"
    if call.outcome == "failed" or subtests:
        return "failed"
    if call.expected_failure:
        return "xpassed" if call.outcome == "passed" else "xfailed"
    return "skipped" if call.outcome == "skipped" else "passed"
