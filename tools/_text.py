"""Text from a sandbox made fit for a model to read: no control characters, and a bounded length."""

import re
from dataclasses import dataclass

# CSI and OSC sequences, other escapes, then what is left of C0 and C1 but tab and newline.
# U+202A..U+202E and U+2066..U+2069 reorder what a person sees, so a reader could be deceived.
_ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]{0,4096}(?:\x07|\x1b\\)|\x1b[@-Z\\-_a-z0-9=>()]"
)
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufeff]")


@dataclass(frozen=True, slots=True)
class Cut:
    """Text that is short enough to send, and how many characters were left out of its middle."""

    text: str
    omitted: int = 0


def clean(text: str) -> str:
    """The text as a terminal would show it: no escapes, no control characters, no overwritten lines.

    A progress bar that rewrites one line with carriage returns leaves its last state only.
    """
    if text.isascii() and text.isprintable():
        return text
    text = _ESCAPES.sub("", text).replace("\r\n", "\n")
    if "\r" in text:
        lines = (line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))
        text = "\n".join(lines)
    text = _CONTROLS.sub("", text)
    # Lone surrogates cannot be sent as JSON.
    return text.encode("utf-8", "replace").decode("utf-8")


def cut(text: str, limit: int) -> Cut:
    """Head and tail of the text, `limit` characters in all, with a line between that counts the rest."""
    if len(text) <= limit:
        return Cut(text)
    head = _back_to_line(text[: limit * 2 // 3])
    tail = _on_to_line(text[len(text) - limit // 3 :])
    omitted = len(text) - len(head) - len(tail)
    return Cut(f"{head}\n[... {omitted:,} characters left out ...]\n{tail}", omitted)


def last_line(text: str, limit: int = 200) -> str:
    """The newest line that says something, short enough for a progress message; empty if none."""
    for line in reversed(clean(text).splitlines()):
        if line.strip():
            return line.strip()[:limit]
    return ""


def size(count: int) -> str:
    """A number of bytes for people: `812 bytes`, `12.3 kB`, `4.0 MB`."""
    if count < 1000:
        return f"{count} bytes" if count != 1 else "1 byte"
    return f"{count / 1000:.1f} kB" if count < 1_000_000 else f"{count / 1_000_000:.1f} MB"


def _back_to_line(head: str) -> str:
    at = head.rfind("\n")
    return head[:at] if at > len(head) // 2 else head


def _on_to_line(tail: str) -> str:
    at = tail.find("\n")
    return tail[at + 1 :] if 0 <= at < len(tail) // 2 else tail
