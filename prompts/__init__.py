"""The workflows' prompts: one Markdown file each, read by a loader that imports nothing of ours.

A file begins with TOML between two lines of `+++`: `title`, `description`, the `tools` it needs, and a table for each
argument with `description`, `required` or `default`, and `complete` (a list of values, or "paths"). The text below it
names arguments as `$name`.
"""

import string
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

_FENCE = "+++\n"


@dataclass(frozen=True, slots=True)
class Argument:
    """What the user fills in. `values` are proposed to complete it; with `is_path`, files are."""

    name: str
    description: str
    required: bool
    default: str
    values: tuple[str, ...]
    is_path: bool


@dataclass(frozen=True, slots=True)
class Prompt:
    """One workflow as a text for a model. `tools` are the tools that it cannot do without."""

    name: str
    title: str
    description: str
    tools: tuple[str, ...]
    arguments: tuple[Argument, ...]
    text: str

    def filled_in(self, values: Mapping[str, str]) -> str:
        """The text with the arguments in their places; what is missing or empty has its default.

        Raises:
            ValueError: an argument is unknown, or a required one is missing.
        """
        known = {argument.name: argument for argument in self.arguments}
        if unknown := sorted(set(values) - set(known)):
            raise ValueError(
                f"The prompt {self.name} has no argument {', '.join(unknown)}. It takes: "
                f"{', '.join(known)}."
            )
        given = {name: value.strip() for name, value in values.items()}
        missing = [name for name, each in known.items() if each.required and not given.get(name)]
        if missing:
            raise ValueError(f"The prompt {self.name} needs {', '.join(missing)}.")
        filled = {name: given.get(name) or each.default for name, each in known.items()}
        return string.Template(self.text).substitute(filled)


@cache
def all_prompts() -> tuple[Prompt, ...]:
    """Every prompt, in the order of their names."""
    files = (file for file in resources.files(__name__).iterdir() if file.name.endswith(".md"))
    read = (parse(file.name.removesuffix(".md"), file.read_text("utf-8")) for file in files)
    return tuple(sorted(read, key=lambda prompt: prompt.name))


def parse(name: str, content: str) -> Prompt:
    """A prompt from the content of its file.

    Raises:
        ValueError: it has no head, or the head is no TOML.
        KeyError: the head lacks a field.
    """
    before, _, rest = content.partition(_FENCE)
    head, fence, text = rest.partition(_FENCE)
    if before or not fence:
        raise ValueError(f"The prompt {name} does not begin with TOML between two lines of +++.")
    facts = tomllib.loads(head)
    return Prompt(
        name=name,
        title=facts["title"],
        description=facts["description"],
        tools=tuple(facts["tools"]),
        arguments=tuple(_argument(*item) for item in facts.get("arguments", {}).items()),
        text=text.strip(),
    )


def _argument(name: str, facts: Mapping[str, Any]) -> Argument:
    complete = facts.get("complete", [])
    return Argument(
        name=name,
        description=facts["description"],
        required=facts.get("required", False),
        default=facts.get("default", ""),
        values=() if complete == "paths" else tuple(complete),
        is_path=complete == "paths",
    )
