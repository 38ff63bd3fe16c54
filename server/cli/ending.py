"""How every command ends: a status, and a sentence for what went wrong."""

import json
import logging
import os
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from typing import Any, TextIO, cast

import click

from ..sandbox import InvalidInput, ProofboxError
from ..settings import SettingsError

logger = logging.getLogger(__name__)

PASSED, FAILED, USAGE, ERRORED, SKIPPED = 0, 1, 2, 3, 4
EXIT_CODES = {"passed": PASSED, "failed": FAILED, "errored": ERRORED, "skipped": SKIPPED}
_INTERRUPTED = 130


def exit_code(work: Callable[[], int | None], *, as_json: bool) -> int:
    """Do the work of a command, which gives a status; the status to end with.

    A verdict that could not be written is none: the status is then `ERRORED`, and stderr says so.
    """
    closed = cast(TextIO | None, sys.stdout) is None
    with _watched() as (out, err):
        out.trouble = "it is closed" if closed else ""
        with suppress(OSError):
            code = ERRORED if closed else _status(work, out, as_json=as_json)
            if not (out.trouble or err.trouble):
                return code
        if out.trouble and not err.trouble:
            with suppress(OSError):
                _complain(
                    f"stdout cannot be written to ({out.trouble}), so nobody got the verdict.",
                    as_json=False,
                )
        return ERRORED


class _Watched:
    """A stream that remembers why it could not be written to."""

    def __init__(self, stream: TextIO | None) -> None:
        # None where the descriptor is closed; whatever is opened next must not get its number.
        self._stream = stream or open(os.devnull, "w")  # noqa: SIM115
        self.trouble = ""

    def write(self, text: str) -> int:
        with self._noting():
            return self._stream.write(text)

    def flush(self) -> None:
        with self._noting():
            self._stream.flush()

    def let_go(self) -> None:
        """Else the interpreter would try once more at its own end, and complain."""
        with suppress(OSError), open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), self._stream.fileno())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    @contextmanager
    def _noting(self) -> Generator[None]:
        try:
            yield
        except OSError as error:
            self.trouble = error.strerror or type(error).__name__
            raise


@contextmanager
def _watched() -> Generator[tuple[_Watched, _Watched]]:
    kept = cast(tuple[TextIO | None, TextIO | None], (sys.stdout, sys.stderr))
    out, err = _Watched(kept[0]), _Watched(kept[1])
    sys.stdout, sys.stderr = cast(TextIO, out), cast(TextIO, err)
    try:
        yield out, err
    finally:
        sys.stdout, sys.stderr = cast(tuple[TextIO, TextIO], kept)
        for stream, before in zip((out, err), kept, strict=True):
            if before is None:
                stream.close()
            elif stream.trouble:
                stream.let_go()


def _status(work: Callable[[], int | None], out: _Watched, *, as_json: bool) -> int:
    try:
        return work() or PASSED
    # Everything: what a failed write became on its way here is not foreseeable, and what is nobody's
    # is ours.
    except (Exception, SystemExit, KeyboardInterrupt) as error:  # noqa: BLE001
        return ERRORED if out.trouble else _explain(error, as_json=as_json)


def _explain(error: BaseException, *, as_json: bool) -> int:
    match error:
        case click.ClickException() if as_json:
            _complain(error.format_message(), as_json=True)
            return error.exit_code
        case click.ClickException():
            error.show()
            return error.exit_code
        case SettingsError() | InvalidInput():
            _complain(str(error), as_json=as_json)
            return USAGE
        case ProofboxError():
            _complain(str(error), as_json=as_json)
            return ERRORED
        case KeyboardInterrupt() | click.Abort():
            return _INTERRUPTED
        # Click's own end for the completion of words in a shell, not the one for any broken pipe.
        case SystemExit(code=int(code)) if not isinstance(error.__context__, OSError):
            return code
        case _:
            logger.error("proofbox failed", exc_info=error)
            _complain("proofbox failed in a way it should not have; see above.", as_json=as_json)
            return ERRORED


def _complain(message: str, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"verdict": "errored", "reason": message}))
    else:
        click.echo(f"proofbox: {message}", err=True)
