"""Sandboxes: the port (`base`), its errors, and one adapter a backend (`local`, `e2b`)."""

from .base import (
    Backend,
    Captured,
    CodeError,
    CommandResult,
    Execution,
    FileInfo,
    Limits,
    OnOutput,
    Outcome,
    Result,
    Sandbox,
    SandboxRequest,
    Stream,
)
from .errors import (
    InvalidInput,
    ProofboxError,
    SandboxBusy,
    SandboxError,
    SandboxRejected,
    SandboxUnavailable,
)

__all__ = [
    "Backend",
    "Captured",
    "CodeError",
    "CommandResult",
    "Execution",
    "FileInfo",
    "InvalidInput",
    "Limits",
    "OnOutput",
    "Outcome",
    "ProofboxError",
    "Result",
    "Sandbox",
    "SandboxBusy",
    "SandboxError",
    "SandboxRejected",
    "SandboxRequest",
    "SandboxUnavailable",
    "Stream",
]
