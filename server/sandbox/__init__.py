"""Sandboxes: the port (`base`), its errors, and one adapter a backend (`local`, `e2b`)."""

from .base import Backend, Cell, Limits, OnOutput, Program, ProgramRunner, Sandbox, SandboxRequest
from .errors import (
    InvalidInput,
    ProofboxError,
    SandboxBusy,
    SandboxError,
    SandboxRejected,
    SandboxUnavailable,
)
from .results import (
    Captured,
    CellResult,
    CodeError,
    CommandResult,
    Execution,
    FileInfo,
    Outcome,
    ProgramResult,
    Result,
    Stream,
)

__all__ = [
    "Backend",
    "Captured",
    "Cell",
    "CellResult",
    "CodeError",
    "CommandResult",
    "Execution",
    "FileInfo",
    "InvalidInput",
    "Limits",
    "OnOutput",
    "Outcome",
    "Program",
    "ProgramResult",
    "ProgramRunner",
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
