"""What tokens cost, with the source and the date of the price."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from ....server.sandbox import InvalidInput
from .base import Provider, Tokens

BATCH_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Override:
    """A price that the caller gives, in USD for a million tokens."""

    input: float
    output: float


@dataclass(frozen=True, slots=True)
class Price:
    """How one model is priced. `source` says where that is from and of when; `known` is false where it is
    not known, which is not the same as costing nothing.
    """

    source: str
    known: bool = True
    override: Override | None = None
    model: tuple[str, str] | None = None
    share: float = 1.0

    def of(self, tokens: Tokens | None) -> float | None:
        """The cost in USD; None where it is not known."""
        if self.known and self.model is None and self.override is None:
            return 0.0
        if not self.known or tokens is None:
            return None
        if self.override is not None:
            cost = self.override.input * tokens.input + self.override.output * tokens.output
            return self.share * cost / 1e6
        return self.share * _from_table(self.model, tokens)


def price_of(provider: Provider, overrides: Mapping[str, Override], *, batch: bool) -> Price:
    """The price of a model: the caller's, else that of `genai-prices`, else unknown."""
    share = BATCH_SHARE if batch and provider.name.startswith("anthropic:") else 1.0
    note = ", half of it in batches" if share < 1 else ""
    if (override := overrides.get(provider.name)) is not None:
        source = f"given: ${override.input:g} in, ${override.output:g} out for a million tokens"
        return Price(source + note, override=override, share=share)
    if provider.name.startswith("sampling:"):
        return Price("unknown: MCP clients do not tell", known=False)
    if provider.priced_as is None:
        return Price("no charge")
    try:
        _from_table(provider.priced_as, Tokens(1000, 1000))
    except (LookupError, ImportError):
        return Price("unknown: no table has this model", known=False)
    return Price(f"{_table()}{note}", model=provider.priced_as, share=share)


def parsed(given: Mapping[str, Mapping[str, float]]) -> dict[str, Override]:
    """Overrides as a caller writes them: `{"openai:gpt-x": {"input": 1.25, "output": 10}}`.

    Raises:
        InvalidInput: they are not like that.
    """
    result: dict[str, Override] = {}
    for name, price in given.items():
        if set(price) != {"input", "output"} or min(price.values()) < 0:
            raise InvalidInput(
                f"prices: {name} must have input and output, in USD for a million tokens."
            )
        result[name] = Override(price["input"], price["output"])
    return result


def _from_table(model: tuple[str, str] | None, tokens: Tokens) -> float:
    import genai_prices

    provider, name = model or ("", "")
    usage = genai_prices.Usage(
        input_tokens=tokens.input,
        output_tokens=tokens.output,
        cache_read_tokens=tokens.cache_read,
        cache_write_tokens=tokens.cache_write,
    )
    found = genai_prices.calc_price(usage, model_ref=name, provider_id=provider)
    return float(found.total_price)


@cache
def _table() -> str:
    """The table's version, and the newest date in it: the package does not name its own."""
    import genai_prices
    from genai_prices import data

    text = Path(data.__file__).read_text(encoding="utf-8")
    today = datetime.now(UTC).date().isoformat()
    dates = [date for date in re.findall(r"\b20\d\d-\d\d-\d\d\b", text) if date <= today]
    checked = f", checked up to {max(dates)}" if dates else ""
    return f"genai-prices {genai_prices.__version__}{checked}"
