"""Settings of `proofbox serve --http`: one table, as that of the whole command."""

import ipaddress
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from ..quotas.allowances import Allowances
from ..replicas.address import StoreAddress, store_address
from ..values import number, options_of, seconds, setting, values_of, whole

_MOST_SECONDS = 1e9


def _or_none(parse: Callable[[str], float]) -> Callable[[str], float]:
    def parse_or_none(text: str) -> float:
        return math.inf if text.lower() == "none" else parse(text)

    return parse_or_none


def _host(text: str) -> str:
    host = text.removeprefix("[").removesuffix("]").lower()
    if not re.fullmatch(r"[a-z0-9.:_-]+", host):
        raise ValueError("must be a host name or an address")
    return host


def _hosts(text: str) -> tuple[str, ...]:
    words = tuple(text.lower().replace(",", " ").split())
    for word in words:
        if not re.fullmatch(r"([a-z0-9._-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?", word):
            raise ValueError(
                f"must be hosts as clients write them, like mcp.example.com or 10.0.0.5:8000; {word!r} "
                "is not one"
            )
    return words


def _origins(text: str) -> tuple[str, ...]:
    words = tuple(text.lower().replace(",", " ").split())
    for word in words:
        if not re.fullmatch(r"https?://([a-z0-9._-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?", word):
            raise ValueError(f"must be origins, like https://app.example.com; {word!r} is not one")
    return words


def _url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("must be an address like https://mcp.example.com/mcp")
    if parts.username is not None or (parts.scheme == "http" and not is_loopback(parts.hostname)):
        raise ValueError("must be an address with https (http is for this machine only)")
    return text


def _file(text: str) -> Path:
    path = Path(text).expanduser()
    if not path.is_absolute():
        raise ValueError("must be the absolute path of a file")
    return path


def is_loopback(host: str) -> bool:
    """Whether a host, as written, can only be this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """What the HTTP service works with. Times in seconds, money in USD."""

    host: str = setting(
        "127.0.0.1", _host, "127.0.0.1",
        "Address to listen on. Any but this machine's own needs authentication and allowed hosts.",
    )  # fmt: skip
    port: int = setting(8000, whole(0, 65_535), "8000", "Port to listen on; 0: any.")
    allowed_hosts: tuple[str, ...] = setting(
        (), _hosts, "this machine's names",
        "Hosts that clients may address the service by, with a port if only that one is meant.",
    )  # fmt: skip
    allowed_origins: tuple[str, ...] = setting(
        (), _origins, "this machine's, where no hosts are given",
        "Web pages that may call the service from a browser.",
    )  # fmt: skip
    token_file: Path | None = setting(  # noqa: RUF009 - it makes a field
        None, _file, "no tokens", "File of hashed bearer tokens, as `proofbox token` makes them."
    )  # fmt: skip
    public_url: str | None = setting(
        None, _url, "none", "The address that clients use, which tokens of OAuth must be for."
    )
    oauth_issuer: str | None = setting(
        None, _url, "no OAuth", "The OAuth server whose tokens are taken."
    )
    oauth_keys: str | None = setting(
        None, _url, "as the issuer says", "Address of the issuer's key set (JWKS)."
    )
    oauth_scopes: tuple[str, ...] = setting(
        (), lambda text: tuple(text.split()), "none", "Scopes that a token of OAuth must have."
    )
    principal_calls: float | None = setting(
        None, _or_none(whole(1, 10_000)), "16 with authentication",
        "Calls that one principal may have running at a time, or none for no limit.",
    )  # fmt: skip
    principal_sessions: float | None = setting(
        None, _or_none(whole(1, 1000)), "8 with authentication",
        "Sessions that one principal may have at a time, or none.",
    )  # fmt: skip
    principal_sandbox_seconds: float | None = setting(
        None, _or_none(seconds(1, _MOST_SECONDS)), "86400 with authentication",
        "Seconds a day that one principal's sandboxes may be open, all together, or none.",
    )  # fmt: skip
    principal_usd: float | None = setting(
        None, _or_none(number(0, 1e6, " of USD")), "10 with authentication",
        "USD a day that one principal may spend on models, or none.",
    )  # fmt: skip
    audit_file: Path | None = setting(  # noqa: RUF009 - it makes a field
        None, _file, "stderr", "File that gets one line of JSON for every call."
    )
    grace_seconds: float = setting(
        5.0, seconds(0, 600), "5", "How long running calls have to end when the service stops."
    )
    store: StoreAddress | None = setting(  # noqa: RUF009 - it makes a field
        None, store_address, "none: one replica",
        "What several replicas share: sqlite:///PATH on one host, redis://… or postgresql://… across hosts.",
    )  # fmt: skip
    sweep_seconds: float = setting(
        60.0, seconds(0.5, 3600), "60",
        "How often replicas look for what a dead one left, which then is gone after two such times.",
    )  # fmt: skip

    @property
    def has_authentication(self) -> bool:
        """Whether anybody is asked who they are."""
        return self.token_file is not None or self.oauth_issuer is not None

    @property
    def allowances(self) -> Allowances:
        """What each principal may use. Who is alone with the service is limited only if that was asked."""
        usual = Allowances(16, 8, 86_400, 10) if self.has_authentication else Allowances()
        return Allowances(
            calls=_given(self.principal_calls, usual.calls),
            sessions=_given(self.principal_sessions, usual.sessions),
            sandbox_seconds=_given(self.principal_sandbox_seconds, usual.sandbox_seconds),
            usd=_given(self.principal_usd, usual.usd),
        )


def _given(value: float | None, usual: float) -> float:
    return usual if value is None else value


HTTP_OPTIONS = options_of(HttpSettings)


def read_http_settings(
    environment: Mapping[str, str], flags: Mapping[str, str | None] | None = None
) -> HttpSettings:
    """The settings of the HTTP service, read as `read_settings` reads the others.

    Raises:
        SettingsError: a value cannot be used.
    """
    return HttpSettings(**values_of(HTTP_OPTIONS, environment, flags))


def read_store(environment: Mapping[str, str]) -> StoreAddress | None:
    """What the service has in its `store`, whatever else is set; None without one.

    Raises:
        SettingsError: it is no address.
    """
    options = tuple(option for option in HTTP_OPTIONS if option.name == "store")
    return values_of(options, environment, None).get("store")
