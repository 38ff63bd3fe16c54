"""OpenAI and everything that speaks its chat API: Groq, OpenRouter, Ollama, vLLM, llama.cpp and so on."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ....server.sandbox import InvalidInput
from ....server.sessions import Clock
from .base import Parameters, Question, Reply, Stop, Tokens, Trouble
from .sdk import StatusError, Vendor, translated

if TYPE_CHECKING:
    from openai import AsyncOpenAI
    from openai.types import CompletionUsage

_PARAMETERS = (
    "max_tokens",
    "temperature",
    "top_p",
    "seed",
    "stop",
    "frequency_penalty",
    "presence_penalty",
    "reasoning_effort",
    "verbosity",
    "service_tier",
)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A place that speaks the chat API.

    Attributes:
        base_url: replaced by the variable `<NAME>_BASE_URL`, where that is set.
        key: the variable with its key; empty where it needs none.
        priced_as: what tables of prices call it; empty where it costs nothing.
        most_at_once: a server on one machine is only made slower by more.
    """

    base_url: str
    key: str = ""
    priced_as: str = ""
    most_at_once: int = 16


ENDPOINTS: Mapping[str, Endpoint] = {
    "openai": Endpoint("https://api.openai.com/v1", "OPENAI_API_KEY", "openai"),
    "groq": Endpoint("https://api.groq.com/openai/v1", "GROQ_API_KEY", "groq"),
    "openrouter": Endpoint("https://openrouter.ai/api/v1", "OPENROUTER_API_KEY", "openrouter"),
    "together": Endpoint("https://api.together.xyz/v1", "TOGETHER_API_KEY", "together"),
    "deepseek": Endpoint("https://api.deepseek.com/v1", "DEEPSEEK_API_KEY", "deepseek"),
    "mistral": Endpoint("https://api.mistral.ai/v1", "MISTRAL_API_KEY", "mistral"),
    "ollama": Endpoint("http://localhost:11434/v1", most_at_once=2),
    "vllm": Endpoint("http://localhost:8000/v1"),
    "llamacpp": Endpoint("http://localhost:8080/v1", most_at_once=2),
    "lmstudio": Endpoint("http://localhost:1234/v1", most_at_once=2),
}


class Compatible:
    """A model behind a chat API."""

    fingerprint = ""

    def __init__(
        self,
        provider: str,
        model: str,
        parameters: Parameters,
        clock: Clock,
        *,
        key: str,
        base_url: str,
    ) -> None:
        """Nothing is sent yet.

        Raises:
            InvalidInput: it takes no such parameter.
        """
        endpoint = ENDPOINTS[provider]
        self.name = f"{provider}:{model}"
        self.priced_as = (endpoint.priced_as, model) if endpoint.priced_as else None
        self.most_at_once = endpoint.most_at_once
        self._model = model
        self._asked = _wire(parameters, self.name, own=provider == "openai")
        # Some servers know no such option.
        self._options: dict[str, Any] = {"stream_options": {"include_usage": True}}
        self._clock = clock
        self._base_url = base_url
        self._vendor: Vendor[AsyncOpenAI] = Vendor(
            "openai", "AsyncOpenAI", key=key or "none", base_url=base_url
        )

    async def check(self) -> None:
        """As `Provider.check`, by the list of models, which costs nothing; a server may have none."""
        try:
            known = [model.id async for model in self._vendor.client.models.list()]
        except self._vendor.sdk.NotFoundError:
            return
        except (self._vendor.sdk.OpenAIError, ValueError) as error:
            trouble = translated(self.name, error)
            raise InvalidInput(
                f"{self.name} cannot be asked at {self._base_url}: {trouble}"
            ) from error
        if known and self._model not in {*known, *(name.removesuffix(":latest") for name in known)}:
            close = difflib.get_close_matches(self._model, known, n=3) or sorted(known)[:5]
            raise InvalidInput(
                f"There is no model {self.name} at {self._base_url}. It has {', '.join(close)}"
                f"{' and others' if len(known) > len(close) else ''}. Nothing was asked."
            )

    async def ask(self, question: Question) -> Reply:
        """As `Provider.ask`. Times are those of this attempt."""
        try:
            return await self._ask(question)
        except Exception as error:
            raise self._translated(error) from error

    async def close(self) -> None:
        """Let go of connections."""
        await self._vendor.close()

    async def _ask(self, question: Question) -> Reply:
        options = self._options
        began = self._clock.monotonic()
        try:
            stream = await self._open(question, options)
        except self._vendor.sdk.BadRequestError as error:
            if not options or "stream_options" not in str(error):
                raise
            self._options = {}
            return await self._ask(question)
        collected = _Collected()
        async for chunk in stream:
            if collected.take(chunk) and collected.first is None:
                collected.first = self._clock.monotonic() - began
        return collected.reply(self._clock.monotonic() - began)

    async def _open(self, question: Question, options: Mapping[str, Any]) -> Any:
        request: dict[str, Any] = {
            "model": self._model,
            "messages": [{"role": "user", "content": question.prompt}],
            "stream": True,
            **self._asked,
            **options,
        }
        create: Any = self._vendor.client.chat.completions.create
        return await create(**request)

    def _translated(self, error: Exception) -> Exception:
        import httpx2

        known = (
            self._vendor.sdk.OpenAIError,
            httpx2.HTTPError,
            ValueError,
            TypeError,
            AttributeError,
        )
        if isinstance(error, (StatusError, *known)):
            return translated(self.name, error)
        return error


class _Collected:
    """The pieces of a streamed answer."""

    def __init__(self) -> None:
        self.first: float | None = None
        self._text: list[str] = []
        self._finish = ""
        self._usage: CompletionUsage | None = None
        self._model = ""

    def take(self, chunk: Any) -> bool:
        """Add a piece; whether it holds something that the model said or thought."""
        self._model = chunk.model or self._model
        self._usage = chunk.usage or self._usage
        if not chunk.choices:
            return False
        choice = chunk.choices[0]
        self._finish = choice.finish_reason or self._finish
        text: str = choice.delta.content or choice.delta.refusal or ""
        if choice.delta.refusal:
            self._finish = "content_filter"
        self._text.append(text)
        return bool(text or getattr(choice.delta, "reasoning_content", None))

    def reply(self, seconds: float) -> Reply:
        """The whole answer.

        Raises:
            Trouble: it broke off before it said that it ends.
        """
        if not self._finish:
            raise Trouble("the answer broke off in the middle")
        stops: dict[str, Stop] = {"length": "max_tokens", "content_filter": "refusal"}
        return Reply(
            text="".join(self._text),
            stop=stops.get(self._finish, "end"),
            tokens=_tokens(self._usage),
            first_seconds=self.first,
            seconds=seconds,
            served_by=self._model,
        )


def _tokens(usage: "CompletionUsage | None") -> Tokens | None:
    if usage is None:
        return None
    asked, answered = usage.prompt_tokens_details, usage.completion_tokens_details
    return Tokens(
        input=usage.prompt_tokens,
        output=usage.completion_tokens,
        cache_read=(asked.cached_tokens or 0) if asked else 0,
        thinking=(answered.reasoning_tokens or 0) if answered else 0,
    )


def _wire(parameters: Parameters, name: str, *, own: bool) -> dict[str, Any]:
    """The parameters as the API has them; OpenAI itself calls the most tokens by another name.

    Raises:
        InvalidInput: as `Compatible`.
    """
    for given in parameters:
        if given not in _PARAMETERS:
            raise InvalidInput(
                f"{name} takes no parameter {given!r}. It takes {', '.join(_PARAMETERS)}. Nothing was asked."
            )
    wire = dict(parameters)
    if own:
        wire["max_completion_tokens"] = wire.pop("max_tokens")
    return wire
