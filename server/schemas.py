"""Schemas and descriptions as short as they can be said: the model pays for each word of them."""

from typing import Any, cast


def untitled(schema: Any) -> Any:
    """The schema without the titles that pydantic makes of names."""
    if isinstance(schema, list):
        return [untitled(item) for item in cast(list[Any], schema)]
    if not isinstance(schema, dict):
        return schema
    items = cast(dict[str, Any], schema).items()
    return {
        key: untitled(value) for key, value in items if key != "title" or not isinstance(value, str)
    }


def of_output(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of results in which fields that would be empty are left out, so that none is null.

    Clients check each result against it, and a union takes them several times as long as a type.
    """
    return cast(dict[str, Any], _without_null(untitled(schema)))


def _without_null(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_without_null(item) for item in cast(list[Any], schema)]
    if not isinstance(schema, dict):
        return schema
    known = {key: _without_null(value) for key, value in cast(dict[str, Any], schema).items()}
    if "default" not in known or known["default"] is not None:
        return known
    left = [each for each in known.get("anyOf", []) if each != {"type": "null"}]
    rest = {key: value for key, value in known.items() if key not in ("anyOf", "default")}
    return {**left[0], **rest} if len(left) == 1 else {**rest, **({"anyOf": left} if left else {})}


def unwrapped(docstring: str) -> str:
    """The docstring as paragraphs of one line: indentation says nothing."""
    paragraphs = docstring.strip().split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
