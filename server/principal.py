"""For whom a request is served."""

from urllib.parse import quote

from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.auth.provider import AccessToken, principal_components

LOCAL = "local"


def principal() -> str:
    """Who asks: the verified client, subject and issuer over HTTP, `local` where nobody is asked."""
    token = get_access_token()
    return LOCAL if token is None else principal_of(token)


def principal_of(token: AccessToken) -> str:
    """Whom a verified token speaks for."""
    # Quoted, so that no two identities read alike, whatever an issuer lets people call themselves.
    parts = [quote(part or "", safe="") for part in principal_components(token)]
    client, issuer, subject = parts
    return f"{client}:{subject}@{issuer}" if issuer else f"{client}:{subject}"
