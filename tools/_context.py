"""What a tool has of the call that it answers: the App, for whom it works, and who is told of it.

What commands share with the tools does not import this, nor `mcp`, so that they start without it.
"""

from typing import Any

from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError

from ..server.principal import principal
from ..server.sandbox import ProofboxError
from ..server.sessions import SessionNotFound
from ._app import App
from ._progress import Tell

__all__ = ["advice", "app_of", "principal", "teller"]


def app_of(ctx: Context[App]) -> App:
    """The App of the server that serves this request."""
    return ctx.request_context.lifespan_context


def teller(ctx: Context[Any]) -> Tell:
    """Tells the client that waits for this call, if it asked to be told."""

    async def tell(elapsed: float, line: str) -> None:
        await ctx.report_progress(round(elapsed, 3), message=line)

    return tell


def advice(error: ProofboxError, *, without_session: str = "") -> ToolError:
    """The error as the model is to read it; its text says what failed and what to do, which for a session
    that is not there is `without_session`.
    """
    is_gone = isinstance(error, SessionNotFound) and without_session
    return ToolError(f"{error} {without_session}" if is_gone else str(error))
