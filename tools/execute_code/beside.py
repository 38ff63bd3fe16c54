"""What failed though Python code came to its end: beside it, or in tests that it ran."""

import re

from ...server.sandbox import Execution
from .. import _beside

_WHO = {"thread": "A thread", "task": "A task that nobody awaits", "process": "A process"}
_COROUTINE = re.compile(r"<coroutine object (?P<name>[^\s>]+) at 0x[0-9a-f]+>")
# The last of them counts: what runs tests twice shows that they fail before, and pass after.
_UNITTEST = re.compile(
    r"^Ran (?P<count>\d+) tests? in [\d.]+s\n\n(?P<end>FAILED[^\n]*|NO TESTS RAN|OK)", re.MULTILINE
)
_VALUES = (
    (re.compile(r"<ExitCode\.(?P<said>(?!OK\b)\w+): \d+>"), "pytest ended with {said}."),
    (re.compile(r"<unittest\.\S+ (?P<said>run=\d+ errors=(?!0 failures=0>).*)>"), "Its tests failed: {said}."),
    (re.compile(r"<unittest\.\S+ (?P<said>run=0) .*>"), "It ran no tests: {said}."),
    (re.compile(r"TestResults\((?P<said>failed=(?!0,).*)\)"), "Its examples failed: {said}."),
    (re.compile(r"CompletedProcess\(args=.*, returncode=(?P<said>-?[1-9]\d*)(?:, std.*)?\)", re.DOTALL), "The process that the code ended with came to status {said}."),
    (re.compile(r"TestResults\(failed=0, (?P<said>attempted=0)\b.*\)"), "It ran no examples: {said}."),
)  # fmt: skip


def failure(execution: Execution) -> str:
    """Return what failed, in a sentence; empty where nothing did."""
    said = execution.stderr.text
    value = next((each.text for each in execution.results if each.is_main), None) or ""
    return _raised(said) or _forgotten(said, value) or _tests(said, value)


def _raised(said: str) -> str:
    for one in _beside.raised(said):
        if one.own is not None:
            file, line = one.own
            return f"{_WHO[one.who]} failed at line {line} of {file}: {one.error}"
    return ""


def _forgotten(said: str, value: str) -> str:
    for one in _beside.forgotten(said):
        if not _beside.is_installed(one.file) and not one.name.startswith("AsyncMock"):
            return _unawaited(one.name, f", as line {one.line} of {one.file} showed")
    coroutine = _COROUTINE.fullmatch(value.strip())
    return _unawaited(coroutine["name"], ": it is the value") if coroutine else ""


def _unawaited(name: str, how: str) -> str:
    return f"The coroutine {name}() did not run, since nothing awaits it{how}. Write `await` before the call."


def _tests(said: str, value: str) -> str:
    runs = list(_UNITTEST.finditer(said))
    if runs and runs[-1]["count"] == "0":
        return "unittest found no tests, so none ran."
    if runs and runs[-1]["end"].startswith("FAILED"):
        return f"Its tests did not pass: unittest says {runs[-1]['end']}."
    for pattern, sentence in _VALUES:
        if match := pattern.fullmatch(value.strip()):
            return sentence.format(said=match["said"])
    return ""
