"""What uv's error messages mean for whoever asked for the packages."""

import re

from ..errors import InvalidInput, ProofboxError, SandboxRejected, SandboxUnavailable

_LONGEST = 700
_NEWS = re.compile(r"(Resolved|Prepared|Installed|Downloading|Downloaded) ")
_CHATTER = re.compile(rf"{_NEWS.pattern}|(Using|Audited|Uninstalled|warning:|[+~-]) ")
_CERTIFICATE = re.compile(
    r"invalid peer certificate|UnknownIssuer|certificate verify failed", re.IGNORECASE
)
_DISK = re.compile(r"No space left on device|Disk quota exceeded|os error (28|122)\b")
_WRITE = re.compile(r"Permission denied|Read-only file system|os error (1|13|30)\b")
_REFUSED = re.compile(r"\b(401 Unauthorized|403 Forbidden|407 Proxy)|lack of valid authentication")
_NETWORK = re.compile(
    r"Failed to (fetch|download)|error sending request|Request failed after|network was disabled"
    r"|dns error|operation timed out|connection (refused|reset|closed)|client error \(Connect\)",
    re.IGNORECASE,
)
_UNSOLVABLE = re.compile(r"No solution found|requirements are unsatisfiable")
_NO_WHEEL = re.compile(
    r"no (usable )?wheels|building from source is disabled|no-build", re.IGNORECASE
)


def is_news(line: str) -> bool:
    """Whether a line tells somebody who waits how far uv is."""
    return _NEWS.match(line.strip()) is not None


def is_certificate_error(words: str) -> bool:
    """Whether uv did not trust the index, which may be known to the system's own certificates."""
    return _CERTIFICATE.search(words) is not None


def condense(words: str) -> str:
    """What uv says is wrong, on one line and at most 700 characters."""
    lines = [line.strip(" \t\u2570\u2500\u25b6\u251c\u2502\u00d7") for line in words.splitlines()]
    # Warnings that go over several lines come before it.
    starts = [number for number, line in enumerate(lines) if line.startswith(("error:", "No solu"))]
    lines = lines[starts[0] :] if starts else lines
    # uv's hints name its own options, which nobody can give here.
    kept = [
        re.sub(r"^(error|cause|Caused by):\s*", "", line)
        for line in lines
        if line and not line.startswith("hint:") and not _CHATTER.match(line)
    ]
    text = ". ".join(line.rstrip(".") for line in kept)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 4] + " ..."


def explain(words: str, *, returncode: int) -> ProofboxError:
    """The error that says whose fault it was and what to do, from what uv wrote before it failed."""
    said = condense(words) or f"uv ended with status {returncode} and said nothing"
    if _DISK.search(words):
        return SandboxUnavailable(
            f"The Python environment could not be built: the disk is full ({said}). Free some space "
            "in the cache directory, or set XDG_CACHE_HOME to a larger disk."
        )
    if _REFUSED.search(words):
        return SandboxRejected(
            f"The package index refused us: {said}. Check the user name and password in "
            "UV_INDEX_URL, UV_DEFAULT_INDEX or the proxy's address."
        )
    if is_certificate_error(words):
        return SandboxRejected(
            f"The package index is not trusted: {said}. Set SSL_CERT_FILE to a bundle that holds the "
            "certificate of your proxy or mirror."
        )
    if _NETWORK.search(words):
        return SandboxUnavailable(
            f"The package index cannot be reached: {said}. Check the network and HTTPS_PROXY, or "
            "name a mirror in UV_DEFAULT_INDEX; environments that were built before work offline."
        )
    return _explain_requirements(words, said)


def _explain_requirements(words: str, said: str) -> ProofboxError:
    if _UNSOLVABLE.search(words) and _NO_WHEEL.search(words):
        return InvalidInput(
            f"These packages cannot be installed: {said}. Only wheels are installed, since building "
            "from source runs code outside the sandbox. Choose a version that has a wheel for this "
            "Python, or another package."
        )
    if _UNSOLVABLE.search(words):
        return InvalidInput(
            f"These packages cannot be installed: {said}. Check the names and loosen the versions."
        )
    if "Failed to install: " in words and not _WRITE.search(words):
        return InvalidInput(
            f"A package is broken: {said}. Choose another version of it, or do without it."
        )
    if _WRITE.search(words):
        return SandboxRejected(
            f"The Python environment could not be written: {said}. Make the cache directory writable "
            "or set XDG_CACHE_HOME to one that is."
        )
    return SandboxUnavailable(f"The Python environment could not be built: {said}.")
