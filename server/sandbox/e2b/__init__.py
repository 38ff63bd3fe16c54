"""E2B's cloud sandboxes behind the port. Nothing outside this package imports the SDK."""

from .backend import E2BBackend
from .sandbox import E2BSandbox

__all__ = ["E2BBackend", "E2BSandbox"]
