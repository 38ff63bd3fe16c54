"""A small shop: the source under test of the labelled tests."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import pathlib
import sys
import urllib.request
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

CURRENCIES = {"EUR": 2, "JPY": 0}
DEFAULT_CURRENCY = "EUR"


class Color(Enum):
    """Colours of labels."""

    RED = "red"
    BLUE = "blue"


class OutOfStock(Exception):
    """There is less on the shelf than was asked for."""


@dataclass
class Item:
    """A thing for sale; the price in cents."""

    name: str
    price: int = 100
    tags: list[str] = field(default_factory=list[str])

    @property
    def label(self) -> str:
        """What the shelf says."""
        return f"{self.name}: {format_price(self.price)}"

    @classmethod
    def parse(cls, text: str) -> Item:
        """An item from `name=price`."""
        name, _, price = text.partition("=")
        return cls(name.strip(), int(price))


class Stock:
    """How many there are of each item."""

    def __init__(self, counts: dict[str, int] | None = None) -> None:
        self._counts = dict(counts or {})

    def add(self, name: str, count: int = 1) -> None:
        """Put some on the shelf."""
        if count < 1:
            raise ValueError("count must be positive")
        self._counts[name] = self._counts.get(name, 0) + count

    def take(self, name: str, count: int = 1) -> int:
        """Take some; how many are left."""
        left = self._counts.get(name, 0) - count
        if left < 0:
            raise OutOfStock(f"only {self._counts.get(name, 0)} of {name}")
        self._counts[name] = left
        return left

    def count(self, name: str) -> int:
        """How many there are."""
        return self._counts.get(name, 0)


def format_price(cents: int, currency: str = DEFAULT_CURRENCY) -> str:
    """A price as people write it."""
    digits = CURRENCIES[currency]
    return f"{cents / 10**digits:.{digits}f} {currency}"


def slugify(text: str) -> str:
    """Words in lower case with dashes between them.

    >>> slugify("Blue Cup")
    'blue-cup'
    """
    return "-".join(text.lower().split())


def total(prices: list[int], discount: int = 0) -> int:
    """The sum in cents after a discount in per cent."""
    if not 0 <= discount <= 100:
        raise ValueError("discount must be a percentage")
    return sum(prices) * (100 - discount) // 100


def is_cheap(item: Item) -> bool:
    """Below five."""
    return item.price < 500


def find(names: list[str], name: str) -> int | None:
    """The place of a name, None where it is not."""
    for place, known in enumerate(names):
        if known == name:
            return place
    return None


def distance(a: int, b: int) -> int:
    """How far two numbers are apart."""
    return abs(a - b)


def batches(items: list[str], size: int) -> Iterator[list[str]]:
    """Lists of at most `size` items."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def once(function: Callable[[], Any]) -> Callable[[], Any]:
    """A function that is called the first time only."""
    results: list[Any] = []

    @functools.wraps(function)
    def call() -> Any:
        if not results:
            results.append(function())
        return results[0]

    return call


@functools.lru_cache
def shipping(weight: int) -> int:
    """Cents for so many grams."""
    return 490 if weight <= 1000 else 490 + (weight - 1000) // 10


@contextlib.contextmanager
def reserved(stock: Stock, name: str) -> Generator[int]:
    """Keep one aside, and put it back."""
    left = stock.take(name)
    try:
        yield left
    finally:
        stock.add(name)


async def order(stock: Stock, name: str) -> str:
    """Take one and say so."""
    await asyncio.sleep(0)
    stock.take(name)
    return f"ordered {name}"


async def arrivals(names: list[str]) -> AsyncIterator[str]:
    """Items as they come."""
    for name in names:
        await asyncio.sleep(0)
        yield name.upper()


def load(path: str) -> list[Item]:
    """Items of a JSON file."""
    return [Item(**entry) for entry in json.loads(pathlib.Path(path).read_text())]


def save(path: str, items: list[Item]) -> None:
    """Write items as JSON."""
    pathlib.Path(path).write_text(json.dumps([vars(item) for item in items]))


def rate(url: str) -> float:
    """Today's exchange rate."""
    with urllib.request.urlopen(url) as answer:
        return float(json.load(answer)["rate"])


def main(arguments: list[str] | None = None) -> int:
    """Print a slug; the exit code."""
    words = sys.argv[1:] if arguments is None else arguments
    if not words:
        sys.stderr.write("usage: shop WORDS\n")
        return 2
    sys.stdout.write(slugify(" ".join(words)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
