"""Who did what: a line of JSON for every call, and nothing in it of what was run or what came of it."""

import hashlib
import json
import logging
import logging.handlers
import os
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from ..values import SettingsError

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Call:
    """One call that has ended.

    Attributes:
        who: the principal. tool: its name, or the method of a call that is none of a tool.
        verdict: of the report, else what became of the call: `ok`, `error`, `running` (as a job), `cancelled`,
            `cut` (proofbox stopped), or `refused`, then by which `limit`.
        seconds: from its arrival to its answer.
        session, job: hashes that tell one from another, and open nothing.
    """

    who: str
    tool: str
    verdict: str
    seconds: float
    session: str = ""
    job: str = ""
    limit: str = ""


def fingerprint(handle: str) -> str:
    """What tells a handle from others, and does not give it away."""
    return hashlib.sha256(handle.encode("utf-8", "replace")).hexdigest()[:16] if handle else ""


class Audit:
    """The log. A file may be renamed under it, as `logrotate` does; then a new one is begun.

    `lost` counts lines that could not be written.

    Raises:
        SettingsError: the file cannot be written.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.lost = 0
        self._handler = logging.StreamHandler(sys.stderr) if path is None else _opened(path)
        self._handler.handleError = self._note_lost  # the usual one prints a traceback

    def write(self, call: Call, now: float) -> None:
        """Write a line; `now` is the wall clock."""
        when = datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds")
        facts = {name: value for name, value in asdict(call).items() if value != ""}
        line = json.dumps({"time": when, **facts, "seconds": round(call.seconds, 3)})
        record = logging.LogRecord(__name__, logging.INFO, "", 0, line, None, None)
        self._handler.handle(record)

    def close(self) -> None:
        """Let go of the file; a later line opens it again."""
        # What could not be written then has been counted.
        with suppress(OSError):
            self._handler.close()

    def _note_lost(self, record: logging.LogRecord) -> None:
        del record
        if not self.lost:
            logger.error("The audit log cannot be written: %s. Calls go on.", sys.exc_info()[1])
        self.lost += 1


def _opened(path: Path) -> logging.Handler:
    try:
        # Made for its owner alone: the names of principals may be those of people.
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
        return logging.handlers.WatchedFileHandler(path, encoding="utf-8")
    except OSError as error:
        raise SettingsError(
            f"The audit file {path} cannot be written: {error.strerror}."
        ) from error
