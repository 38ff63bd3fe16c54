"""What the SDK raises, and whose failure it is: one table, the most specific class first.

Two traps of e2b 2.63 make a table necessary. `SandboxNotRunningException` and
`SandboxUnreachableException` are subclasses of `TimeoutException`, so that a dead sandbox reads like
slow code; and `AuthenticationException` and `ServiceBusyException` are not `SandboxException`. Besides,
errors of the transport leak unwrapped from `run_code` and from the control plane, and a damaged
stream leaks `ValueError` and `KeyError`.

The deadline of the user's code is ours (`timeout=0` goes to the SDK), so no error here ever means that
the code was slow.
"""

import re
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import connectrpc.errors
import e2b
import e2b.exceptions
import httpx
import pyqwest

from ..errors import (
    InvalidInput,
    ProofboxError,
    SandboxBusy,
    SandboxRejected,
    SandboxUnavailable,
)
from .output import ListenerFailed

_Verdict = Literal["unavailable", "busy", "rejected", "invalid"]

_KEY_FORM = re.compile(r"e2b_[0-9A-Za-z]+")

_GONE = (
    "The E2B sandbox is gone: it was killed or reached the end of its life, and its variables and files "
    "with it. Start a new session."
)
_UNREACHABLE = "The E2B sandbox does not answer. Try again in a new session."
_NETWORK = (
    "The connection to E2B failed. Check the network and https://status.e2b.dev, then try again."
)
_KEY = (
    "E2B refused the API key. Set E2B_API_KEY to a valid key (https://e2b.dev/dashboard?tab=keys), or "
    "choose the local backend (PROOFBOX_BACKEND=local)."
)
_BUSY = "E2B has no room for this now. Close sessions that are not needed, or try again later."
_GARBLED = "E2B sent an answer that cannot be read. Try again in a new session."
_TEMPLATE = "The E2B template cannot be used. Rebuild it, or unset the setting that names it."
_UNUSED = (
    "E2B reported an error of a feature that proofbox does not use. Try again in a new session."
)

TABLE: tuple[tuple[type[Exception], _Verdict, str], ...] = (
    (e2b.SandboxNotRunningException, "unavailable", _GONE),
    (e2b.SandboxUnreachableException, "unavailable", _UNREACHABLE),
    (e2b.TimeoutException, "unavailable", _UNREACHABLE),
    (e2b.SandboxNotFoundException, "unavailable", _GONE),
    (e2b.FileNotFoundException, "invalid", "There is no such file or directory in the sandbox."),
    (e2b.VolumeNotFoundException, "unavailable", _UNUSED),
    (e2b.VolumePathNotFoundException, "unavailable", _UNUSED),
    (
        e2b.NotFoundException,
        "unavailable",
        "The sandbox lost its interpreter. Start a new session.",
    ),
    (e2b.GuestUnresponsiveException, "unavailable", _UNREACHABLE),
    (e2b.RateLimitException, "busy", _BUSY),
    (e2b.ServiceBusyException, "busy", _BUSY),
    (
        e2b.NotEnoughSpaceException,
        "invalid",
        "The sandbox's disk is full. Delete files in it first.",
    ),
    (e2b.InvalidArgumentException, "invalid", "E2B cannot do this with these arguments."),
    (e2b.GitAuthException, "unavailable", _UNUSED),
    (e2b.GitUpstreamException, "unavailable", _UNUSED),
    (e2b.AuthenticationException, "rejected", _KEY),
    (e2b.TemplateException, "rejected", _TEMPLATE),
    # A non-zero exit code is a result, taken where commands run; here it means that a command of
    # our own failed.
    (e2b.CommandExitException, "unavailable", "A housekeeping command failed in the sandbox."),
    (e2b.FileUploadException, "unavailable", _UNUSED),
    (e2b.exceptions.BuildException, "unavailable", _UNUSED),
    (e2b.VolumeException, "unavailable", _UNUSED),
    (e2b.SecretNotFoundException, "unavailable", _UNUSED),
    (e2b.SecretException, "unavailable", _UNUSED),
    (e2b.DockerfileSyntaxError, "unavailable", _UNUSED),
    (
        e2b.SandboxException,
        "unavailable",
        "E2B failed. Try again; if it persists see https://status.e2b.dev.",
    ),
    (httpx.HTTPError, "unavailable", _NETWORK),
    (httpx.InvalidURL, "rejected", "E2B's address is not valid. Check E2B_DOMAIN."),
    (httpx.StreamError, "unavailable", _NETWORK),
    (connectrpc.errors.ConnectError, "unavailable", _NETWORK),
    (pyqwest.ReadError, "unavailable", _NETWORK),
    (pyqwest.WriteError, "unavailable", _NETWORK),
    (pyqwest.StreamError, "unavailable", _NETWORK),
    (OSError, "unavailable", _NETWORK),
    (ValueError, "unavailable", _GARBLED),
    (KeyError, "unavailable", _GARBLED),
)

# Statuses that trying again does not change, when a sandbox is to be made: a tier's maximum, a
# refused permission, an unknown template.
_REJECTED_STATUSES = frozenset({400, 403, 404, 422})

_NEVER_CONNECTED = (httpx.ConnectError, httpx.ConnectTimeout)


@dataclass
class Progress:
    """How far an operation got: `sent` when it may have reached the sandbox, `begun` when it surely
    did. Neither matters to an operation that starts no code.
    """

    sent: bool = False
    begun: bool = False


def translate(error: Exception, what: str, progress: Progress) -> ProofboxError | None:
    """The error of the port for an error of the SDK; None for an error that is not the SDK's.

    `what` completes the sentence "Could not ...".
    """
    if isinstance(error, ProofboxError):
        return error
    verdict, advice = _look_up(error)
    if verdict is None:
        return None
    message = f"Could not {what}. {advice} (E2B: {_brief(error)})"
    if verdict == "busy":
        return SandboxBusy(message)
    if verdict == "rejected":
        return SandboxRejected(message)
    if verdict == "invalid":
        return InvalidInput(message)
    return SandboxUnavailable(message, may_have_started=_may_have_started(error, progress))


def _look_up(error: Exception) -> tuple[_Verdict | None, str]:
    for kind, verdict, advice in TABLE:
        if isinstance(error, kind):
            return verdict, advice
    # "Command ended without an end event" and an empty body are bare `Exception`s.
    if type(error) is Exception:
        return "unavailable", _UNREACHABLE
    return None, ""


def _may_have_started(error: Exception, progress: Progress) -> bool:
    if progress.begun or not progress.sent:
        return progress.begun
    # The proxy says "was not found" in place of forwarding the request, the server 404 in place of
    # running the code.
    refused = "was not found" in str(error) and not isinstance(error.__cause__, Exception)
    return not (refused or isinstance(error, (*_NEVER_CONNECTED, e2b.NotFoundException)))


def _brief(error: Exception) -> str:
    # Whatever E2B repeats of what it was sent, its key is for nobody to read.
    text = _KEY_FORM.sub("e2b_...", " ".join(str(error).split()))
    return text if len(text) <= 200 else text[:200] + "..."


@contextmanager
def translated(what: str, progress: Progress | None = None) -> Generator[Progress]:
    """Turn what the SDK raises in the block into the port's errors; other exceptions pass, and so does
    what `on_output` raised, whatever it is.
    """
    progress = progress or Progress()
    try:
        yield progress
    except ListenerFailed as failed:
        raise failed.error from None
    except Exception as error:
        known = translate(error, what, progress)
        if known is None or known is error:
            raise
        raise known from error


def creation_failure(error: Exception) -> ProofboxError | None:
    """Like `translate` for the making of a sandbox, where a refusal is for a person to mend."""
    status = getattr(error, "status_code", None)
    known = translate(error, "start an E2B sandbox", Progress())
    if isinstance(known, InvalidInput) or (
        type(error) is e2b.SandboxException and status in _REJECTED_STATUSES
    ):
        return SandboxRejected(
            "E2B refuses to start such a sandbox. Check the template, and that the time to live is within "
            f"the limits of your E2B plan. (E2B: {_brief(error)})"
        )
    if isinstance(known, SandboxBusy) and "concurrent" in str(error):
        return SandboxBusy(
            "All sandboxes that your E2B plan allows at one time are in use. Close sessions that are not "
            f"needed, or try again when one has ended. (E2B: {_brief(error)})",
            retry_after=30,
        )
    return known
