"""How hosts write down a server: what proofbox's own entry is, and the text with it, without it, and fit to be shown."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, cast

from . import jsonc, jsonc_edits, toml_edits
from .jsonc import Unreadable

NAME = "proofbox"
HIDDEN = "…"

_INPUT = re.compile(r"\$\{input:([^}]+)\}")
_INPUTS = ("inputs",)
_SECTIONS = ("env", "headers", "http_headers")


@dataclass(frozen=True, slots=True)
class Entry:
    """What a host is to know of proofbox: the values of its entry, and what the host asks the user for."""

    values: Mapping[str, Any]
    inputs: tuple[Mapping[str, Any], ...] = ()


class Format(Protocol):
    """The form of a configuration file. Every method raises `Unreadable` for a text that has not that form.

    A `strict` one takes no comments, though people write some.
    """

    @property
    def strict(self) -> bool: ...

    def entry(self, text: str) -> Entry | None:
        """Proofbox's entry."""
        ...

    def others(self, text: str) -> dict[str, Any]:
        """What the text means but for proofbox's entry, and but for what is empty where that was."""
        ...

    def with_entry(self, text: str, entry: Entry) -> str:
        """The text with an entry; what an entry that is there has besides stays."""
        ...

    def without_entry(self, text: str) -> str:
        """The text without proofbox's entry."""
        ...

    def shown(self, text: str) -> str:
        """The text with the same lines and no value that may be a secret, for people to look at."""
        ...


@dataclass(frozen=True, slots=True)
class JsonFormat:
    """JSON, with comments or without. `strict` hosts take no comments, though people write some."""

    servers: str = "mcpServers"
    strict: bool = True

    @property
    def _path(self) -> tuple[str, ...]:
        return (self.servers, NAME)

    def entry(self, text: str) -> Entry | None:
        root = jsonc.parse(text).root
        _object(root.value)
        found = jsonc_edits.find(root, self._path)
        if found is None:
            return None
        _object(found.value)
        ids = set(_INPUT.findall(text[found.start : found.end]))
        return Entry(found.value, tuple(each for each in _asked(root) if each.get("id") in ids))

    def others(self, text: str) -> dict[str, Any]:
        root, own = jsonc.parse(text).root, self.entry(text)
        taken = () if own is None else own.inputs
        servers = jsonc_edits.find(root, (self.servers,))
        kept: dict[str, Any] = {
            self.servers: _but_for_own({} if servers is None else servers.value),
            "inputs": [each for each in _asked(root) if each not in taken],
        }
        meant = {key: value for key, value in _object(root.value).items() if key not in kept}
        return meant | {key: value for key, value in kept.items() if value}

    def with_entry(self, text: str, entry: Entry) -> str:
        text = text if text.strip() else "{\n}\n"
        there = self.entry(text)
        if there is None:
            text = jsonc_edits.put(text, self._path, dict(entry.values))
        else:
            text = self._merged(text, there, entry)
        known = {each.get("id") for each in _asked(jsonc.parse(text).root)}
        for each in entry.inputs:
            if each["id"] not in known:
                text = jsonc_edits.append(text, _INPUTS, dict(each))
        return text

    def _merged(self, text: str, there: Entry, entry: Entry) -> str:
        _same_kind(there)
        for key, value in entry.values.items():
            if key != "env":
                text = jsonc_edits.put(text, (*self._path, key), value)
        for name, value in entry.values.get("env", {}).items():
            text = jsonc_edits.put(text, (*self._path, "env", name), value)
        return text if "args" in entry.values else jsonc_edits.drop(text, (*self._path, "args"))

    def _own_inputs(self, text: str) -> list[jsonc.Node]:
        own = self.entry(text)
        asked = jsonc_edits.find(jsonc.parse(text).root, _INPUTS)
        children = () if asked is None or own is None else asked.children
        return [each.node for each in children if own and each.node.value in own.inputs]

    def without_entry(self, text: str) -> str:
        own = self.entry(text)
        text = jsonc_edits.drop(text, self._path)
        for gone in () if own is None else own.inputs:
            asked = _asked(jsonc.parse(text).root)
            # Another server may use it too.
            if f"${{input:{gone['id']}}}" not in text and gone in asked:
                text = jsonc_edits.drop_item(text, _INPUTS, asked.index(gone))
        return text

    def shown(self, text: str) -> str:
        if not text.strip():
            return text
        document = jsonc.parse(text)
        own = jsonc_edits.find(document.root, self._path)
        ours = set[int]()
        if own is not None:
            kept = [child.node for child in own.children if child.key not in _SECTIONS]
            ours = {node.start for each in kept for node in each.strings()}
            ours |= {node.start for node in own.strings() if is_reference(node.value)}
            ours |= {node.start for each in self._own_inputs(text) for node in each.strings()}
        spans = [
            (node.start + 1, node.end - 1)
            for node in document.root.strings()
            if node.start not in ours and node.value
        ]
        spans += [(start + 2, end) for start, end in document.comments]
        pieces: list[str] = []
        at = 0
        for start, end in sorted(spans):
            pieces += [text[at:start], re.sub(r"[^\r\n]+", HIDDEN, text[start:end])]
            at = end
        return "".join(pieces) + text[at:]


@dataclass(frozen=True, slots=True)
class TomlFormat:
    """TOML with a table for each server, as Codex has it."""

    servers: str = "mcp_servers"
    strict: bool = False

    @property
    def _path(self) -> tuple[str, ...]:
        return (self.servers, NAME)

    def entry(self, text: str) -> Entry | None:
        servers: Any = toml_edits.load(text).get(self.servers, {})
        if not isinstance(servers, dict):
            raise Unreadable(f"{self.servers} is not a table")
        found: Any = cast(dict[str, Any], servers).get(NAME)
        return None if found is None else Entry(found)

    def others(self, text: str) -> dict[str, Any]:
        meant = toml_edits.load(text)
        servers = _but_for_own(meant.pop(self.servers, {}))
        return meant | ({self.servers: servers} if servers else {})

    def with_entry(self, text: str, entry: Entry) -> str:
        there = self.entry(text)
        if there is None:
            return toml_edits.append_table(text, self._path, dict(entry.values))
        _same_kind(there)
        wanted = dict(entry.values)
        if names := wanted.pop("env_vars", []):
            known: list[str] = list(there.values.get("env_vars", []))
            wanted["env_vars"] = [*known, *(name for name in names if name not in known)]
        for key, value in wanted.items():
            # How long a start may take is the user's to say.
            if there.values.get(key) != value and (
                key != "startup_timeout_sec" or key not in there.values
            ):
                text = toml_edits.put(text, self._path, key, value)
        if "args" in there.values and "args" not in wanted:
            text = toml_edits.drop(text, (*self._path, "args"))
        return text

    def without_entry(self, text: str) -> str:
        return toml_edits.drop(text, self._path)

    def shown(self, text: str) -> str:
        clear = set[int]()
        for each in toml_edits.statements(text):
            own = each.path[:2] == self._path and not {*each.path[2:]} & {*_SECTIONS}
            if own or each.is_header:
                clear |= {*range(each.start, each.end)}
            else:
                # A name is shown, what it is set to is not.
                clear |= {*range(each.start, text.index("=", each.start) + 1)}
        signs = [sign if at in clear or sign.isspace() else "\0" for at, sign in enumerate(text)]
        return re.sub(r"\0[\0 \t]*", HIDDEN, "".join(signs))


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Unreadable("something else is where an object in braces should be")
    return cast(dict[str, Any], value)


def _but_for_own(servers: Any) -> dict[str, Any]:
    return {key: value for key, value in _object(servers).items() if key != NAME}


def _asked(root: jsonc.Node) -> list[Mapping[str, Any]]:
    found = jsonc_edits.find(root, _INPUTS)
    if found is None or found.value is None:
        return []
    values: list[Any] = [child.node.value for child in found.children]
    return [cast(Mapping[str, Any], each) if isinstance(each, dict) else {} for each in values]


def _same_kind(there: Entry) -> None:
    if address := there.values.get("url") or there.values.get("serverUrl"):
        # The rest of an address may have a key in it.
        found = re.search(r"//(?:[^/@]*@)?([\w.:-]+)", str(address))
        place = found[1] if found else "some address"
        raise Unreadable(f"its entry {NAME} is a service at {place}; take that out first")


def is_reference(value: str) -> bool:
    """Whether a value only says where the host finds it."""
    return re.fullmatch(r"\$\{[^}]*\}", value) is not None
