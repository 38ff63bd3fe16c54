"""From `provider:model` names to providers, with every complaint before anything is sent."""

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path

from ....server.sandbox import InvalidInput
from ....server.sessions import Clock
from .base import Parameters, Provider
from .compatible import ENDPOINTS, Compatible
from .recorded import Recorded

MAX_TOKENS = 4096
SAMPLING = "sampling"
KNOWN = ("anthropic", *ENDPOINTS, "file", SAMPLING)


def split(name: str) -> tuple[str, str]:
    """The two parts of a `provider:model` name.

    Raises:
        InvalidInput: it is none, or of a provider that nobody knows.
    """
    provider, colon, model = name.partition(":")
    if not colon or not model.strip() or provider not in KNOWN:
        raise InvalidInput(
            f"{name!r} is no model: give provider:model, as anthropic:claude-sonnet-5-5, ollama:llama3,"
            f" file:answers.jsonl or sampling:default. Providers are {', '.join(KNOWN)}."
        )
    return provider, model.strip()


def with_defaults(parameters: Parameters) -> Parameters:
    """The parameters, and a number of tokens where they have none.

    Raises:
        InvalidInput: that is no number.
    """
    most = parameters.get("max_tokens", MAX_TOKENS)
    if not isinstance(most, int) or most < 1:
        raise InvalidInput(f"max_tokens must be a number from 1 on, not {most!r}.")
    return {**parameters, "max_tokens": most}


def provider_of(
    name: str,
    parameters: Parameters,
    env: Mapping[str, str],
    clock: Clock,
    readable: Sequence[Path],
) -> Provider:
    """The provider of a name. `env` has the keys; files of answers are read below `readable` only.

    Raises:
        InvalidInput: there is no such provider, key, package, parameter or file. Nothing was sent.
    """
    provider, model = split(name)
    if provider == "file":
        return Recorded(inside(model, readable), model)
    if provider == SAMPLING:
        raise InvalidInput(
            f"{name}: only an MCP client can be asked for samples, and this is none, or it cannot do it."
            " Name another model."
        )
    if provider == "anthropic":
        _need("anthropic", name)
        from .claude import Anthropic

        key = _key(env, "ANTHROPIC_API_KEY", name)
        base_url = env.get("ANTHROPIC_BASE_URL") or None
        return Anthropic(model, parameters, clock, key=key, base_url=base_url)
    _need("openai", name)
    endpoint = ENDPOINTS[provider]
    own_key = f"{provider.upper()}_API_KEY"
    key = _key(env, endpoint.key, name) if endpoint.key else env.get(own_key, "")
    base_url = env.get(f"{provider.upper()}_BASE_URL") or endpoint.base_url
    return Compatible(provider, model, parameters, clock, key=key, base_url=base_url)


def inside(path: str, roots: Sequence[Path]) -> Path:
    """An existing file that a caller may name.

    Raises:
        InvalidInput: it is outside of `roots` or not there; outside, both read alike.
    """
    if "\0" in path:
        raise InvalidInput("A path cannot hold a NUL.")
    resolved = [root.resolve() for root in roots]
    found = [(root / path).resolve() for root in resolved]
    allowed = [one for one in found if any(one.is_relative_to(root) for root in resolved)]
    if not allowed:
        shown = ", ".join(map(str, roots)) or "none; the operator names them with PROOFBOX_ROOTS"
        raise InvalidInput(f"{path!r} is outside the folders that may be read: {shown}.")
    for one in allowed:
        if one.is_file():
            return one
    raise InvalidInput(f"There is no file {path!r}.")


def _key(env: Mapping[str, str], variable: str, name: str) -> str:
    key = env.get(variable, "").strip()
    if not key:
        raise InvalidInput(
            f"{name} needs a key: set {variable} in the environment of proofbox. Nothing was asked."
        )
    return key


def _need(package: str, name: str) -> None:
    if importlib.util.find_spec(package) is None:
        raise InvalidInput(
            f"{name} needs the package {package!r}: install proofbox[{package}] where proofbox runs."
        )
