"""Lines and branches of the source under test, and which test ran which lines.

Measured with the C tracer: `sys.monitoring` cannot tell tests apart, and for branches it needs Python 3.14.
"""

from __future__ import annotations

import json
import os
import tempfile
from typing import Any

Lines = dict[str, dict[str, list[int]]]
"""By test, then by file: the lines that it ran."""


class Cover:
    """Measures from its making on; `pause` and `resume` around what is not to be measured."""

    def __init__(self, files: list[str]) -> None:
        import coverage  # takes as long as pytest itself, and not every run measures

        os.environ.setdefault("COVERAGE_CORE", "ctrace")
        self._files = files
        self._coverage = coverage.Coverage(
            data_file=None, branch=True, include=files, config_file=False, messages=False
        )
        self._coverage.set_option("report:exclude_also", [r"if (typing\.)?TYPE_CHECKING:"])
        self._coverage.start()

    def pause(self) -> None:
        """Stop measuring; what was measured is kept."""
        self._coverage.stop()

    def resume(self) -> None:
        """Go on measuring."""
        self._coverage.start()

    def switch(self, context: str) -> None:
        """Lines from now on are those of `context`."""
        self._coverage.switch_context(context)

    def lines(self) -> Lines:
        """The lines of each context; those of no context were run by imports and are left out."""
        found: Lines = {}
        data = self._coverage.get_data()
        for path in self._files:
            for line, contexts in data.contexts_by_lineno(path).items():
                for context in contexts:
                    if context and line > 0:
                        found.setdefault(context, {}).setdefault(path, []).append(line)
        return found

    def files(self) -> dict[str, dict[str, Any]]:
        """For each file: executed and missing lines, and branches as pairs of lines."""
        import coverage

        handle, name = tempfile.mkstemp(suffix=".json")
        os.close(handle)
        try:
            self._coverage.json_report(outfile=name, ignore_errors=True)
            with open(name, encoding="utf-8") as file:
                report = json.load(file)
        except coverage.CoverageException:
            return {}  # nothing of the source was run
        finally:
            os.unlink(name)
        return {os.path.abspath(path): _file(said) for path, said in report["files"].items()}


def _file(said: dict[str, Any]) -> dict[str, Any]:
    return {
        "executed": said["executed_lines"],
        "missing": said["missing_lines"],
        "branches": said.get("executed_branches", []),
        "missing_branches": said.get("missing_branches", []),
    }
