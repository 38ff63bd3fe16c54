"""What can go wrong that is not the code's doing.

::

    ProofboxError
    * SandboxError         the sandbox failed; nothing is known about what the code would have done
      x SandboxUnavailable   could not be started, was lost, does not answer, is not running
      x SandboxBusy          a quota, a rate limit or a full queue; carries when to try again
      x SandboxRejected      a key, a permission, a template or a kernel setting: a person must act
    * InvalidInput         the caller's arguments cannot be honoured

Every message is written for the person or model that reads it: what failed, whose fault it is,
what to do next. Code that fails is never one of these; it is an `Execution`.
"""


class ProofboxError(Exception):
    """Base of everything that proofbox raises on purpose."""


class SandboxError(ProofboxError):
    """The sandbox failed, so it is not known what the code would have done."""


class SandboxUnavailable(SandboxError):
    """The sandbox could not be started, was lost, or does not answer.

    Attributes:
        may_have_started: whether the code that was asked for may have run, at least in part.
            Only where this is false may somebody run it again elsewhere.
    """

    def __init__(self, message: str, *, may_have_started: bool = False) -> None:
        super().__init__(message)
        self.may_have_started = may_have_started


class SandboxBusy(SandboxError):
    """There is no room now; the same call can work later.

    Attributes:
        retry_after: seconds to wait, where known.
    """

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class SandboxRejected(SandboxError):
    """Trying again changes nothing: a key, a permission or a setting is missing."""


class InvalidInput(ProofboxError):
    """The caller's arguments cannot be honoured; nothing was started."""
