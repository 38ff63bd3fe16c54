"""Anthropic, by its own SDK: streamed, one attempt at a time (we retry), and batches."""

import difflib
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, get_args

from ....server.sandbox import InvalidInput
from ....server.sessions import Clock
from .base import Parameters, Question, Reply, Stop, Tokens, Trouble
from .sdk import StatusError, Vendor, translated

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic
    from anthropic.types import Message

_PARAMETERS = ("max_tokens", "effort", "thinking", "speed", "stop_sequences", "service_tier")


class Anthropic:
    """A model of Anthropic. `key` is sent to nobody else."""

    most_at_once = 16
    fingerprint = ""

    def __init__(
        self, model: str, parameters: Parameters, clock: Clock, *, key: str, base_url: str | None
    ) -> None:
        """Nothing is sent yet.

        Raises:
            InvalidInput: it takes no such parameter, or not like that.
        """
        self.name = f"anthropic:{model}"
        self.priced_as = ("anthropic", model)
        self._model = model
        self._asked = _wire(parameters, self.name)
        self._clock = clock
        self._base_url = base_url
        self._vendor: Vendor[AsyncAnthropic] = Vendor(
            "anthropic", "AsyncAnthropic", key=key, base_url=base_url
        )

    async def check(self) -> None:
        """As `Provider.check`, by asking for the model's description, which costs nothing."""
        try:
            await self._vendor.client.models.retrieve(self._model)
        except self._vendor.sdk.NotFoundError as error:
            # Servers that only speak the Messages API describe no single models.
            if self._base_url is not None and self._model in await self._listed():
                return
            raise InvalidInput(_unknown(self.name, self._model, self._known())) from error
        except (self._vendor.sdk.APIError, ValueError) as error:
            trouble = translated(self.name, error)
            raise InvalidInput(f"{self.name} cannot be asked: {trouble}") from error

    async def ask(self, question: Question) -> Reply:
        """As `Provider.ask`. Times are those of this attempt."""
        began = self._clock.monotonic()
        first: float | None = None
        try:
            async with self._vendor.client.messages.stream(**self._request(question)) as stream:
                async for event in stream:
                    if first is None and event.type == "content_block_delta":
                        first = self._clock.monotonic() - began
                message = await stream.get_final_message()
        except Exception as error:
            raise self._translated(error) from error
        return reply_of(message, first, self._clock.monotonic() - began)

    async def submit(self, questions: Mapping[str, Question]) -> str:
        """Start a batch, each question under its key (at most 64 letters, digits, - and _); its id.

        Raises:
            Busy, Trouble, Refused: it was not started.
        """
        requests: list[Any] = [
            {"custom_id": key, "params": self._request(question)}
            for key, question in questions.items()
        ]
        try:
            return (await self._vendor.client.messages.batches.create(requests=requests)).id
        except Exception as error:
            raise self._translated(error) from error

    async def has_ended(self, batch: str) -> bool:
        """Whether a batch is done with.

        Raises:
            Busy, Trouble, Refused: nobody knows.
        """
        try:
            return (
                await self._vendor.client.messages.batches.retrieve(batch)
            ).processing_status == "ended"
        except Exception as error:
            raise self._translated(error) from error

    async def results(self, batch: str) -> AsyncGenerator[tuple[str, Reply]]:
        """The replies of a batch that has ended, in any order, by their keys. Those that it could not
        give (they are not billed) are left out.

        Raises:
            Busy, Trouble, Refused: no more of them can be had now.
        """
        try:
            async for one in await self._vendor.client.messages.batches.results(batch):
                if one.result.type == "succeeded":
                    yield one.custom_id, reply_of(one.result.message, None, None)
        except Exception as error:
            raise self._translated(error) from error

    async def close(self) -> None:
        """Let go of connections."""
        await self._vendor.close()

    async def _listed(self) -> Sequence[str]:
        try:
            return [model.id async for model in self._vendor.client.models.list()]
        except (self._vendor.sdk.APIError, ValueError) as error:
            trouble = translated(self.name, error)
            raise InvalidInput(f"{self.name} cannot be asked: {trouble}") from error

    def _request(self, question: Question) -> dict[str, Any]:
        messages = [{"role": "user", "content": question.prompt}]
        return {"model": self._model, "messages": messages, **self._asked}

    def _translated(self, error: Exception) -> Exception:
        import httpx2

        # A stream that breaks off or is no JSON raises what is below the SDK.
        known = (
            self._vendor.sdk.AnthropicError,
            httpx2.HTTPError,
            ValueError,
            KeyError,
            AssertionError,
        )
        if isinstance(error, (StatusError, *known)):
            return translated(self.name, error)
        return error

    def _known(self) -> Sequence[str]:
        from anthropic.types import ModelParam

        return [name for part in get_args(ModelParam) for name in get_args(part)]


def reply_of(message: "Message", first: float | None, seconds: float | None) -> Reply:
    """A message of the API as a reply.

    Raises:
        Trouble: it is none; a server that is not Anthropic's may send anything.
    """
    usage = message.usage
    if usage is None or message.stop_reason is None:  # pyright: ignore[reportUnnecessaryComparison]
        raise Trouble("the answer has no usage, or no reason why it ends")
    read, written = usage.cache_read_input_tokens or 0, usage.cache_creation_input_tokens or 0
    details = usage.output_tokens_details
    stops: dict[str, Stop] = {
        "max_tokens": "max_tokens",
        "model_context_window_exceeded": "max_tokens",
        "refusal": "refusal",
    }
    return Reply(
        text="".join(block.text for block in message.content if block.type == "text"),
        stop=stops.get(message.stop_reason, "end"),
        tokens=Tokens(
            input=usage.input_tokens + read + written,
            output=usage.output_tokens,
            cache_read=read,
            cache_write=written,
            thinking=details.thinking_tokens if details else 0,
        ),
        first_seconds=first,
        seconds=seconds,
        served_by=message.model,
    )


def _wire(parameters: Parameters, name: str) -> dict[str, Any]:
    """The parameters as the API has them.

    Raises:
        InvalidInput: as `Anthropic`.
    """
    for given in parameters:
        if given not in _PARAMETERS:
            raise InvalidInput(
                f"{name} takes no parameter {given!r}: Anthropic's API has no sampling parameters such as"
                f" temperature any more. It takes {', '.join(_PARAMETERS)}. Nothing was asked."
            )
    wire = {key: value for key, value in parameters.items() if key != "effort"}
    if "effort" in parameters:
        wire["output_config"] = {"effort": parameters["effort"]}
    if isinstance(wire.get("thinking"), str):
        wire["thinking"] = {"type": wire["thinking"]}
    return wire


def _unknown(name: str, model: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(model, known, n=3)
    advice = f" Did you mean {' or '.join(close)}?" if close else ""
    return f"There is no model {name} for this key.{advice} Nothing was asked."
