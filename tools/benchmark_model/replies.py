"""Replies on their way into the journal and out of it."""

from dataclasses import asdict
from typing import Any

from .journal import Record, hash_of
from .providers.base import Parameters, Provider, Question, Reply, Tokens
from .task import Language, Task

_NAMES: dict[Language, str] = {"python": "Python", "javascript": "JavaScript", "bash": "Bash"}


def prompt_of(task: Task) -> str:
    """What a model is asked: the task, and how to answer."""
    language = _NAMES[task.language]
    if task.kind == "completion":
        return (
            f"Complete the following {language} code. Answer with all of the completed code, in one fenced"
            f" block.\n\n```{task.language}\n{task.prompt.rstrip()}\n```"
        )
    name = f" It must define `{task.entry_point}`." if task.entry_point else ""
    return f"{task.prompt.rstrip()}\n\nAnswer with {language} code in one fenced block.{name}"


def key_of(provider: Provider, parameters: Parameters, question: Question) -> str:
    """The content hash of a sample: model, parameters, prompt and index."""
    # Recorded answers belong to a task and not to a prompt.
    mark = [provider.fingerprint, question.task_id] if provider.fingerprint else []
    return hash_of(provider.name, dict(parameters), question.prompt, question.sample, *mark)


def to_record(reply: Reply) -> Record:
    """The reply as JSON has it."""
    return asdict(reply)


def from_record(record: Record) -> Reply:
    """The reply of a record."""
    facts: dict[str, Any] = dict(record)
    if facts["tokens"] is not None:
        facts["tokens"] = Tokens(**facts["tokens"])
    return Reply(**facts)
