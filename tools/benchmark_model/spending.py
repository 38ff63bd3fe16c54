"""The budget: what may be spent is set aside before a question is asked, so it is never exceeded."""

from dataclasses import dataclass, field

import anyio

from ...server.quotas.quotas import Purse
from ...server.sandbox import InvalidInput
from .providers.base import Tokens
from .providers.prices import Price

# English and code have about four characters a token; other text has fewer.
CHARACTERS_A_TOKEN = 3.5
# What a solution of a small task takes, where no model has shown what it needs.
USUAL_ANSWER_TOKENS = 350


@dataclass(frozen=True, slots=True)
class Charge:
    """What one or more answers cost. `usd` is 0 where the price is not known."""

    usd: float = 0.0
    tokens: int = 0


def estimated_tokens(prompt: str) -> int:
    """About how many tokens a prompt has."""
    return round(len(prompt) / CHARACTERS_A_TOKEN) + 8


def worst(prompt: str, max_tokens: int, price: Price) -> Charge:
    """The most that a question can cost: it takes all the tokens it may."""
    # Estimates of the prompt are rough, and this must not be too low.
    tokens = Tokens(2 * estimated_tokens(prompt), max_tokens)
    return Charge(price.of(tokens) or 0.0, tokens.all)


def check_priced(name: str, price: Price, purse: Purse) -> None:
    """See to it that a limit on what somebody may spend can be kept.

    Raises:
        InvalidInput: nobody knows what the model costs. Nothing was asked.
    """
    # What the client's own model costs is the client's affair.
    if purse.is_limited and not price.known and not name.startswith("sampling:"):
        raise InvalidInput(
            f"The price of {name} is {price.source}, and your model cost a day is limited, so it cannot be"
            " asked. Name another model, or have the operator of proofbox lift PROOFBOX_PRINCIPAL_USD."
        )


@dataclass(slots=True)
class Budget:
    """What a run may spend, None without a limit, and what it spent and has set aside. `purse` is what all
    runs of its principal spend from.
    """

    usd: float | None = None
    tokens: int | None = None
    purse: Purse | None = None
    spent: Charge = Charge()
    _aside: Charge = Charge()
    _is_purse_empty: bool = False
    _settled: anyio.Event = field(default_factory=anyio.Event)

    async def reserve(self, most: Charge) -> bool:
        """Set it aside as soon as there is room; False once there cannot be any, as nothing is under way."""
        while not self.set_aside(most):
            if self._aside.tokens <= 0:
                return False
            await self._settled.wait()
        return True

    def set_aside(self, most: Charge) -> bool:
        """Whether there is room for a question; then it is set aside."""
        usd = self.spent.usd + self._aside.usd + most.usd
        tokens = self.spent.tokens + self._aside.tokens + most.tokens
        if (self.usd is not None and usd > self.usd) or (
            self.tokens is not None and tokens > self.tokens
        ):
            return False
        if self.purse is not None and not self.purse.set_aside(most.usd):
            self._is_purse_empty = True
            return False
        self._aside = Charge(self._aside.usd + most.usd, self._aside.tokens + most.tokens)
        return True

    def settle(self, most: Charge, real: Charge) -> None:
        """Replace what was set aside by what it came to."""
        if self.purse is not None:
            self.purse.settle(most.usd, real.usd)
        self._aside = Charge(self._aside.usd - most.usd, self._aside.tokens - most.tokens)
        self.spent = Charge(self.spent.usd + real.usd, self.spent.tokens + real.tokens)
        self._settled.set()
        self._settled = anyio.Event()

    def reason(self) -> str:
        """Why no more is asked."""
        if self.purse is not None and self._is_purse_empty:
            return self.purse.reason()
        limits = [f"${self.usd:,.2f}"] if self.usd is not None else []
        limits += [f"{self.tokens:,} tokens"] if self.tokens is not None else []
        return (
            f"the budget of {' and '.join(limits)} has no room for another answer (${self.spent.usd:,.4f}"
            f" and {self.spent.tokens:,} tokens were spent)"
        )
