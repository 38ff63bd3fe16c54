"""What a caller asks to be run, checked before any sandbox is touched."""

import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from ..server.sandbox import InvalidInput

HOME = "/home/user"
WRITABLE = (HOME, "/tmp")
CODE_CHARACTERS = 200_000
FILES_BYTES = 4 * 1024**2
FILES_COUNT = 200
TIMEOUT_SECONDS = 600

_COMMENT = {"javascript": "//", "js": "//", "typescript": "//", "ts": "//", "java": "//"}
_LANGUAGES = {
    **dict.fromkeys(("py", "python3", "ipython"), "python"),
    **dict.fromkeys(("sh", "shell"), "bash"),
    **dict.fromkeys(("js", "node", "nodejs"), "javascript"),
    "ts": "typescript",
}
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class CodeRequest:
    """One run of code. `files` maps sandbox paths to text; `timeout_seconds` is for the code only."""

    code: str
    language: str = "python"
    session_id: str | None = None
    files: Mapping[str, str] = field(default_factory=dict[str, str])
    packages: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    timeout_seconds: float = 30.0

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to run: only blank lines and comments."""
        marker = _COMMENT.get(self.language.lower(), "#")
        code = re.sub(r"/\*.*?\*/", "", self.code, flags=re.DOTALL) if marker == "//" else self.code
        lines = (line.strip() for line in code.splitlines())
        return all(not line or line.startswith(marker) for line in lines)


def language_of(name: str) -> str:
    """The language by the name that sandboxes know it by; what has no other name stays as it is."""
    plain = name.strip().lower()
    return _LANGUAGES.get(plain, plain)


def checked_files(files: Mapping[str, str]) -> dict[str, bytes]:
    """The files by absolute path.

    Raises:
        InvalidInput: a path leaves the places that a sandbox may write to, or it is too much.
    """
    if len(files) > FILES_COUNT:
        raise InvalidInput(f"files has {len(files)} entries; at most {FILES_COUNT} fit in a call.")
    checked = {absolute(path): text.encode("utf-8", "replace") for path, text in files.items()}
    total = sum(map(len, checked.values()))
    if total > FILES_BYTES:
        raise InvalidInput(
            f"files holds {total:,} bytes; at most {FILES_BYTES:,} fit in a call. "
            "Send them in several calls of one session, or make them with code."
        )
    return checked


def absolute(path: str) -> str:
    """A path in the sandbox made absolute and plain.

    Raises:
        InvalidInput: it is outside the home directory and /tmp, or no path of a file.
    """
    plain = posixpath.normpath(posixpath.join(HOME, path))
    inside = any(plain.startswith(f"{folder}/") for folder in WRITABLE)
    if not inside or "\0" in path or path.endswith("/"):
        raise InvalidInput(
            f"{path!r} cannot be a file's path here: use one relative to {HOME}, or below /tmp."
        )
    return plain


def check_env(env: Mapping[str, str]) -> None:
    """Raises InvalidInput where a name or a value cannot be an environment variable's."""
    for name, value in env.items():
        if not _VARIABLE.fullmatch(name) or "\0" in value:
            raise InvalidInput(
                f"env has {name!r}, which is not a variable that can be set; "
                "names are letters, digits and underscores, values hold no NUL."
            )
