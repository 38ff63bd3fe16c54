"""End a session now instead of waiting until it expires."""

from typing import Annotated

from mcp.server.mcpserver import Context
from mcp.types import CallToolResult, TextContent
from pydantic import BaseModel, Field

from ..server.sandbox import ProofboxError
from ._app import App
from ._context import advice, app_of, principal


class Closed(BaseModel):
    """The session that is no more."""

    closed: str = Field(description="The session_id.")


async def run(app: App, who: str, session_id: str) -> Closed:
    """Close the session with all that is in it.

    Raises:
        SessionNotFound: `who` has no such session.
    """
    await app.sessions.close_session(who, session_id)
    return Closed(closed=session_id)


async def close_session(
    session_id: Annotated[str, Field(max_length=200, description="The session to end.")],
    ctx: Context[App],
) -> Annotated[CallToolResult, Closed]:
    """End a session you no longer need: its processes, variables, files and artifacts are gone at
    once, and a call that runs in it is stopped. Sessions also end by themselves when not used.
    """
    try:
        closed = await run(app_of(ctx), principal(), session_id)
    except ProofboxError as error:
        raise advice(error, without_session="There is nothing left to close.") from error
    return CallToolResult(
        content=[TextContent(text=f"Session {closed.closed} is closed.")],
        structured_content=closed.model_dump(mode="json"),
    )
