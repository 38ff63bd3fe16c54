"""Tokens of an OAuth server: JSON Web Tokens, held to their signature, issuer, audience and time."""

import logging
from collections.abc import Mapping
from typing import Any, cast

import jwt
from mcp.server.auth.provider import AccessToken
from mcp.server.auth.settings import AuthSettings

from ..values import SettingsError
from .keys import Key, Keys
from .settings import HttpSettings

logger = logging.getLogger(__name__)

# None with a shared secret: whoever can verify such a token can make one.
_ALGORITHMS = (
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "EdDSA",
)
_LEEWAY_SECONDS = 30


class OAuthTokens:
    """The resource server's side of OAuth: it verifies, and tells clients where tokens are to be had."""

    def __init__(
        self, issuer: str, resource: str, keys: Keys, scopes: tuple[str, ...] = ()
    ) -> None:
        self._issuer = issuer
        self._resource = resource
        self._keys = keys
        self._scopes = scopes

    def settings(self) -> AuthSettings:
        """What the SDK is to do: check scopes and the resource, and serve the metadata of RFC 9728."""
        return AuthSettings.model_validate(
            {
                "issuer_url": self._issuer,
                "resource_server_url": self._resource,
                "required_scopes": list(self._scopes) or None,
                "validate_token_resource": True,
            }
        )

    async def find_trouble(self) -> str:
        """What keeps everybody out, for anybody to read; empty if nothing does."""
        return "" if await self._keys.are_there() else "the OAuth server's keys cannot be had"

    async def verify(self, token: str) -> AccessToken | None:
        """Whom a token speaks for; None if it does not hold here and now."""
        try:
            header = jwt.get_unverified_header(token)
            name, algorithm = header.get("kid"), header.get("alg")
            if algorithm not in _ALGORITHMS or not isinstance(name, str | None):
                return None
            key = await self._keys.find(name)
            claims = None if key is None else self._claims(token, key, cast(str, algorithm))
        # The other errors are those of JSON and numbers that are too much for their parsers.
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as error:
            logger.debug("A token does not hold: %s", type(error).__name__)
            return None
        return None if claims is None else self._access(claims)

    def _claims(self, token: str, key: Key, algorithm: str) -> Mapping[str, Any] | None:
        if key.get("alg", algorithm) != algorithm:
            return None
        return jwt.decode(
            token,
            jwt.PyJWK(dict(key), algorithm),
            algorithms=[algorithm],
            audience=[self._resource.rstrip("/"), f"{self._resource.rstrip('/')}/"],
            issuer=self._issuer,
            leeway=_LEEWAY_SECONDS,
            options={"require": ["exp", "iss", "aud"]},
        )

    def _access(self, claims: Mapping[str, Any]) -> AccessToken | None:
        subject = claims.get("sub")
        client = next((claims[name] for name in ("client_id", "azp", "cid") if name in claims), "")
        if not isinstance(client, str) or not (isinstance(subject, str) and subject or client):
            return None  # nobody in particular
        return AccessToken(
            token="",  # nobody further inside needs it
            client_id=client,
            subject=subject,
            scopes=_scopes(claims),
            expires_at=int(claims["exp"]),
            resource=self._resource,
            claims={"iss": self._issuer},
        )


def _scopes(claims: Mapping[str, Any]) -> list[str]:
    """As OAuth has them, or as others do."""
    given = claims.get("scope", claims.get("scp", ""))
    words = cast(list[Any], given) if isinstance(given, list) else str(given).split()
    return [word for word in words if isinstance(word, str)]


def oauth_of(settings: HttpSettings, keys: Keys | None = None) -> OAuthTokens | None:
    """What the settings ask for.

    Raises:
        SettingsError: something is missing for it.
    """
    issuer, resource = settings.oauth_issuer, settings.public_url
    if issuer is None:
        if settings.oauth_keys or settings.oauth_scopes:
            raise SettingsError(
                "PROOFBOX_OAUTH_KEYS and PROOFBOX_OAUTH_SCOPES say more about PROOFBOX_OAUTH_ISSUER,"
                " which is not set."
            )
        return None
    if resource is None:
        raise SettingsError(
            "PROOFBOX_OAUTH_ISSUER needs PROOFBOX_PUBLIC_URL, the address that clients use, like"
            " https://mcp.example.com/mcp: tokens that were given for another are not taken."
        )
    return OAuthTokens(
        issuer, resource, keys or Keys(issuer, settings.oauth_keys), settings.oauth_scopes
    )
