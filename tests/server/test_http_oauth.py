"""Tokens of an OAuth server: whose they are, and what does not hold."""

import base64
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import httpx2
import jwt
import pytest
import uvicorn
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from fakes import FakeBackend, VirtualClock
from http_service import ERAS, Era, facts, post, serving, texts, token_file
from jwt.algorithms import ECAlgorithm
from starlette.applications import Starlette
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from proofbox.server.http import oauth
from proofbox.server.http.keys import (
    FRESH_SECONDS,
    RETRY_SECONDS,
    STALE_SECONDS,
    Keys,
    fetched,
)
from proofbox.server.http.oauth import OAuthTokens, oauth_of
from proofbox.server.http.service import listen
from proofbox.server.http.settings import HttpSettings
from proofbox.server.principal import principal_of
from proofbox.server.values import SettingsError

ISSUER = "https://login.example.com/tenant"
RESOURCE = "https://mcp.example.com/mcp"
METADATA = "https://login.example.com/.well-known/oauth-authorization-server/tenant"
OPENID = f"{ISSUER}/.well-known/openid-configuration"
KEYS = "https://login.example.com/keys"


@dataclass
class Issuer:
    """An OAuth server that makes tokens. `documents` is what it serves; `asked` what it was asked for."""

    key: EllipticCurvePrivateKey = field(default_factory=lambda: generate_private_key(SECP256R1()))
    name: str = "key-1"
    asked: list[str] = field(default_factory=list[str])

    def __post_init__(self) -> None:
        self.documents: dict[str, Any] = {
            METADATA: {"issuer": ISSUER, "jwks_uri": KEYS},
            KEYS: {"keys": [self.public]},
        }

    @property
    def public(self) -> dict[str, Any]:
        """The public key, as a key set has it."""
        key = ECAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
        return {**key, "kid": self.name, "use": "sig", "alg": "ES256"}

    def token(self, *, header: dict[str, Any] | None = None, **claims: Any) -> str:
        """A token for alice, with other claims; those that are None are left out."""
        usual = {
            "iss": ISSUER,
            "aud": RESOURCE,
            "sub": "alice",
            "client_id": "cursor",
            "exp": time.time() + 600,
        }
        given = {name: value for name, value in (usual | claims).items() if value is not None}
        named = {"kid": self.name} if header is None else header
        return jwt.encode(given, self.key, "ES256", named)

    async def fetch(self, address: str) -> bytes:
        """What it serves there."""
        self.asked.append(address)
        if address not in self.documents:
            raise OSError("it answers with status 404")
        content = self.documents[address]
        return content if isinstance(content, bytes) else json.dumps(content).encode()

    def tokens(self, clock: VirtualClock | None = None, address: str | None = None) -> OAuthTokens:
        """What verifies its tokens."""
        keys = Keys(ISSUER, address, clock=clock or VirtualClock(), fetch=self.fetch)
        return OAuthTokens(ISSUER, RESOURCE, keys)


@pytest.fixture
def issuer() -> Issuer:
    """The one that is trusted."""
    return Issuer()


async def test_a_token_speaks_for_its_subject_and_client(issuer: Issuer) -> None:
    """Of that issuer; the keys are found from its metadata and asked for once."""
    tokens = issuer.tokens()
    found = await tokens.verify(issuer.token(scope="run read"))
    changes: list[dict[str, Any]] = [
        {"aud": ["https://other.example.com", RESOURCE]},
        {"aud": f"{RESOURCE}/"},
        {"client_id": None, "azp": "cursor", "scp": ["run"]},
    ]
    others = [await tokens.verify(issuer.token(**claims)) for claims in changes]

    assert found is not None
    assert principal_of(found) == "cursor:alice@https%3A%2F%2Flogin.example.com%2Ftenant"
    assert found.scopes == ["run", "read"]
    assert [one and principal_of(one) for one in others] == [principal_of(found)] * 3
    assert others[2] is not None
    assert others[2].scopes == ["run"]
    assert issuer.asked == [METADATA, KEYS]


def changed(token: str, part: int, change: Callable[[dict[str, Any]], dict[str, Any]]) -> str:
    """The token with another header (0) or claims (1) under the same signature."""
    parts = token.split(".")
    facts = json.loads(base64.urlsafe_b64decode(parts[part] + "=="))
    parts[part] = base64.urlsafe_b64encode(json.dumps(change(facts)).encode()).rstrip(b"=").decode()
    return ".".join(parts)


async def test_what_does_not_hold_speaks_for_nobody(issuer: Issuer) -> None:
    """Expired, early, for another audience or of another issuer, forged in any way, or no token at all."""
    good = issuer.token()
    stranger = Issuer()
    public = issuer.key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    claims = {"iss": ISSUER, "aud": RESOURCE, "sub": "eve", "exp": time.time() + 600}
    deep = base64.urlsafe_b64encode(b"[" * 9000).decode()
    bad = {
        "expired": issuer.token(exp=time.time() - 60),
        "without an end": issuer.token(exp=None),
        "not yet": issuer.token(nbf=time.time() + 600),
        "another audience": issuer.token(aud="https://other.example.com/mcp"),
        "an audience that begins alike": issuer.token(aud=f"{RESOURCE}.evil.example"),
        "no audience": issuer.token(aud=None),
        "another issuer": issuer.token(iss="https://login.example.com/other"),
        "no issuer": issuer.token(iss=None),
        "nobody": issuer.token(sub=None, client_id=None),
        "nobody in particular": issuer.token(sub="", client_id=""),
        "another key": stranger.token(),
        "an unknown key": issuer.token(header={"kid": "key-2"}),
        "a name that is none": issuer.token(header={"kid": "../key-1"}),
        "another algorithm": changed(good, 0, lambda header: header | {"alg": "ES384"}),
        "no algorithm": changed(good, 0, lambda header: header | {"alg": "none"}),
        "unsigned": jwt.encode(claims, "", "none", {"kid": "key-1"}),
        "signed with the public key": jwt.encode(
            claims, base64.b64encode(public), "HS256", {"kid": "key-1"}
        ),
        "other claims": changed(good, 1, lambda facts: facts | {"sub": "eve"}),
        "no signature": good.rpartition(".")[0] + ".",
        "cut": good[:-4],
        "no token": "x",
        "nothing": "",
        "points": "..",
        "too deep": f"{deep}.{deep}.x",
        "not text": "\xff.\xff.\xff",
    }
    tokens = issuer.tokens()

    assert await tokens.verify(good) is not None
    for name, token in bad.items():
        assert await tokens.verify(token) is None, name


async def test_keys_are_asked_for_again_now_and_then(issuer: Issuer, clock: VirtualClock) -> None:
    """For a new one at once, but not for everybody who makes one up; an old one is soon not taken."""
    tokens = issuer.tokens(clock)
    old = issuer.token()
    assert await tokens.verify(old) is not None
    issuer.key, issuer.name = generate_private_key(SECP256R1()), "key-2"
    new, made_up = issuer.token(), issuer.token(header={"kid": "key-3"})
    issuer.documents[KEYS] = {"keys": [issuer.public]}
    for _ in range(5):
        assert await tokens.verify(new) is None
    asked_at_once = issuer.asked.count(KEYS)
    await clock.advance(RETRY_SECONDS)
    rotated = [await tokens.verify(token) is not None for token in (new, old)]
    for _ in range(5):
        assert await tokens.verify(made_up) is None
    asked_then = issuer.asked.count(KEYS)
    await clock.advance(FRESH_SECONDS)
    await tokens.verify(new)

    assert asked_at_once == 1
    assert rotated == [True, False]
    assert asked_then == 2
    assert issuer.asked.count(KEYS) == 3


async def test_an_oauth_server_that_is_away_locks_nobody_out_for_a_while(
    issuer: Issuer, clock: VirtualClock
) -> None:
    """Its last keys count for an hour, not for ever; then nobody comes in, and readiness says so."""
    tokens = issuer.tokens(clock)
    documents, issuer.documents = issuer.documents, {}
    never = [await tokens.verify(issuer.token()), await tokens.find_trouble()]
    issuer.documents = documents
    await clock.advance(RETRY_SECONDS)
    there = [await tokens.find_trouble(), await tokens.verify(issuer.token()) is not None]
    issuer.documents = {}
    await clock.advance(STALE_SECONDS - 1)
    away = [await tokens.find_trouble(), await tokens.verify(issuer.token()) is not None]
    await clock.advance(RETRY_SECONDS)
    too_long = [await tokens.find_trouble(), await tokens.verify(issuer.token())]

    assert never == [None, "the OAuth server's keys cannot be had"]
    assert there == away == ["", True]
    assert too_long == ["the OAuth server's keys cannot be had", None]


@pytest.mark.parametrize(
    "documents",
    [
        {OPENID: {"issuer": ISSUER, "jwks_uri": KEYS}},
        {
            METADATA: {"issuer": "https://evil.example"},
            OPENID: {"issuer": ISSUER, "jwks_uri": KEYS},
        },
    ],
)
async def test_keys_are_found_as_openid_has_them_too(
    issuer: Issuer, documents: dict[str, Any]
) -> None:
    """Where the other metadata is not there, or is not of that issuer."""
    issuer.documents = documents | {KEYS: {"keys": [issuer.public]}}

    assert await issuer.tokens().verify(issuer.token()) is not None


@pytest.mark.parametrize(
    "documents",
    [
        {},
        {METADATA: b"<html>"},
        {METADATA: []},
        {METADATA: b"[" * 100_000},
        {METADATA: {"issuer": "https://evil.example", "jwks_uri": KEYS}},
        {METADATA: {"issuer": ISSUER}},
        {METADATA: {"issuer": ISSUER, "jwks_uri": "http://login.example.com/keys"}},
        {METADATA: {"issuer": ISSUER, "jwks_uri": "file:///etc/keys"}},
        {METADATA: {"issuer": ISSUER, "jwks_uri": KEYS}, KEYS: {}},
        {METADATA: {"issuer": ISSUER, "jwks_uri": KEYS}, KEYS: {"keys": [1, {"kid": "key-1"}]}},
    ],
)
async def test_an_oauth_server_that_gives_no_keys_lets_nobody_in(
    issuer: Issuer, documents: dict[str, Any]
) -> None:
    """Whatever it says instead; the metadata of another issuer does not count."""
    keys = issuer.documents[KEYS]
    issuer.documents = {KEYS: keys} | documents

    assert await issuer.tokens().verify(issuer.token()) is None


async def test_a_token_without_the_name_of_a_key_is_of_the_only_one(issuer: Issuer) -> None:
    """Of several, it is of none. A key for encryption is no key for this."""
    token = issuer.token(header={})
    only = await issuer.tokens(address=KEYS).verify(token)
    issuer.documents[KEYS]["keys"].append({**issuer.public, "kid": "key-2"})
    one_of_two = await issuer.tokens(address=KEYS).verify(token)
    issuer.documents[KEYS]["keys"] = [{**issuer.public, "use": "enc"}]
    for_something_else = await issuer.tokens(address=KEYS).verify(issuer.token())

    assert only is not None
    assert one_of_two is for_something_else is None


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        (HttpSettings(oauth_issuer=ISSUER), "PROOFBOX_OAUTH_ISSUER needs PROOFBOX_PUBLIC_URL"),
        (HttpSettings(oauth_keys=KEYS), "which is not set"),
        (HttpSettings(oauth_scopes=("run",)), "which is not set"),
    ],
)
def test_half_of_the_settings_is_refused(settings: HttpSettings, complaint: str) -> None:
    """Rather than take tokens for anybody."""
    with pytest.raises(SettingsError, match=complaint):
        oauth_of(settings)


@pytest.mark.parametrize("era", ERAS)
async def test_a_service_takes_the_tokens_of_its_issuer(
    issuer: Issuer, backend: FakeBackend, monkeypatch: pytest.MonkeyPatch, era: Era
) -> None:
    """And says to those without one where to get it; each subject has sessions of its own."""
    http = HttpSettings(
        port=0, oauth_issuer=ISSUER, public_url=RESOURCE, oauth_scopes=("run",), allowed_hosts=()
    )

    def keys(issuer_url: str, address: str | None) -> Keys:
        return Keys(issuer_url, address, fetch=issuer.fetch)

    monkeypatch.setattr(oauth, "Keys", keys)
    alice, bob = issuer.token(scope="run"), issuer.token(scope="run", sub="bob")
    refused = [issuer.token(scope="run", aud="https://other.example.com"), issuer.token()]
    asked = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "ping"})
    with anyio.fail_after(60):
        async with serving(backend, http) as served:
            async with served.client(alice, era) as one, served.client(bob, era) as other:
                made = facts(await one.call_tool("execute_code", {"code": "x = 1"}))
                stolen = await other.call_tool(
                    "execute_code", {"code": "x", "session_id": made["session_id"]}
                )
            answers = [await post(served, asked, token=token) for token in ("", *refused)]
            async with httpx2.AsyncClient() as anybody:
                path = "/.well-known/oauth-protected-resource/mcp"
                metadata = await anybody.get(f"{served.base}{path}")
                ready = await anybody.get(f"{served.base}/readyz")

    assert "There is no such session" in texts(stolen)
    assert [answer.status_code for answer in answers] == [401, 401, 403]
    where = "https://mcp.example.com/.well-known/oauth-protected-resource/mcp"
    assert f'resource_metadata="{where}"' in answers[0].headers["www-authenticate"]
    assert 'error="insufficient_scope"' in answers[2].headers["www-authenticate"]
    assert metadata.json() == {
        "resource": RESOURCE,
        "authorization_servers": [ISSUER],
        "scopes_supported": ["run"],
        "bearer_methods_supported": ["header"],
    }
    assert ready.status_code == 200


@pytest.mark.parametrize("scopes", [(), ("run", "read")])
async def test_tokens_of_a_file_are_taken_beside_those_of_the_issuer(
    issuer: Issuer,
    backend: FakeBackend,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    scopes: tuple[str, ...],
) -> None:
    """They have no audience and no scopes: the operator gave them for this service, for all that it does."""
    path, (token,) = token_file(tmp_path, "alice")
    http = HttpSettings(
        port=0, token_file=path, oauth_issuer=ISSUER, public_url=RESOURCE, oauth_scopes=scopes
    )

    def keys(*given: Any) -> Keys:
        return Keys(*given, fetch=issuer.fetch)

    monkeypatch.setattr(oauth, "Keys", keys)
    values: list[str] = []
    with anyio.fail_after(60):
        async with serving(backend, http) as served:
            for each in (token, issuer.token(scope="run read")):
                async with served.client(each) as client:
                    made = await client.call_tool("execute_code", {"code": "6 * 7"})
                    values.append(facts(made)["value"])

    assert values == ["42", "42"]


async def test_documents_are_fetched_with_care() -> None:
    """Only from where they were asked for, of a size that they can have."""
    answers = {
        "/keys": Response(b'{"keys": []}'),
        "/large": Response(b"x" * (1024**2 + 1)),
        "/elsewhere": RedirectResponse("/keys"),
        "/broken": Response(b"no", 500),
    }
    app = Starlette(routes=[Route(path, answer) for path, answer in answers.items()])
    content = b""
    with anyio.fail_after(30), listen(HttpSettings(port=0)) as listener:
        base = f"http://127.0.0.1:{listener.getsockname()[1]}"
        runner = uvicorn.Server(uvicorn.Config(app, log_config=None, ws="none"))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: runner.serve(sockets=[listener]))
            content = await fetched(f"{base}/keys")
            with pytest.raises(OSError, match="too large"):
                await fetched(f"{base}/large")
            with pytest.raises(OSError, match="status 307"):
                await fetched(f"{base}/elsewhere")
            with pytest.raises(OSError, match="status 500"):
                await fetched(f"{base}/broken")
            runner.should_exit = True

    assert content == b'{"keys": []}'
