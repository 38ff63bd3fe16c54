"""Files that must not leave the machine: by what they are called, and by what is in them."""

import math
import re
from collections import Counter
from fnmatch import fnmatch

_NAMES = (
    ".env", ".env.*", "*.env", ".envrc", "*.pem", "*.key", "*.p12", "*.pfx", "*.jks", "*.keystore",
    "*.kdbx", "*.ppk", "*.asc", "*.gpg", "id_rsa*", "id_dsa*", "id_ecdsa*", "id_ed25519*", ".netrc",
    "_netrc", ".pypirc", ".npmrc", ".yarnrc.yml", ".git-credentials", ".htpasswd", ".pgpass", ".my.cnf",
    "credentials", "credentials.*", "secret.*", "secrets.*", "*.secret", "*.secrets", "*.tfstate",
    "*.tfstate.*", "*.tfvars", "service-account*.json", "service_account*.json", "client_secret*.json",
    "kubeconfig", ".vault-token", ".vault_pass*", "token.json", "tokens.json", "auth.json", "*.ovpn",
)  # fmt: skip
_FOLDERS = {".ssh", ".gnupg", ".aws", ".azure", ".kube", ".docker", "gcloud", ".git", ".hg", ".svn"}
# They show what is to be filled in, and their content is looked at like that of all others.
_EXAMPLES = (".env.example", ".env.sample", ".env.template", ".env.dist", "*.example", "*.sample")

_PATTERNS = {
    "a private key": r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----",
    "an AWS access key": r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
    "a GitHub token": r"\b(?:gh[pousr]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{60})",
    "a GitLab token": r"\bglpat-[A-Za-z0-9_-]{20}",
    "a key of a model provider": r"\bsk-(?:ant-|proj-|or-)?[A-Za-z0-9_-]{32}",
    "a Slack token": r"\bxox[abeoprs]-[A-Za-z0-9-]{10}",
    "a Google API key": r"\bAIza[A-Za-z0-9_-]{35}",
    "a Stripe key": r"\b[rs]k_live_[A-Za-z0-9]{20}",
    "a token of a package index": r"\b(?:pypi-AgE[A-Za-z0-9_-]{50}|npm_[A-Za-z0-9]{36})",
    "an E2B key": r"\be2b_[0-9a-f]{40}\b",
    "a Hugging Face token": r"\bhf_[A-Za-z0-9]{34}\b",
    "a JSON web token": r"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{20}",
    "a password in an address": r"\b[a-z][a-z0-9+.-]*://[^\s/:@'\"]+:[^\s/:@'\"{}$<>]{8,}@[\w.-]+",
    "a secret in an assignment": (
        r"(?i)\b[\w-]*(?:passw(?:or)?d|secret|token|api_?key|access_?key|private_?key)[\w-]*"
        r"[\"']?\s*[:=]\s*[\"']([A-Za-z0-9+/_=.-]{20,})[\"']"
    ),
}
_COMPILED = {kind: re.compile(pattern.encode()) for kind, pattern in _PATTERNS.items()}
_EXAMPLE = re.compile(rb"(?i)example|xxxxxxxx|0000000000|\.\.\.\.")
_PLACEHOLDER = re.compile(
    rb"(?i)placeholder|change.?me|dummy|your[_-]|fake|12345678|not.?a.?secret"
)
_LEAST_BITS = 3.3  # a character; prose and identifiers have less, random letters and digits more


def by_name(path: str) -> bool:
    """Whether a path, relative and with `/`, is called as files with secrets are."""
    *folders, name = path.lower().split("/")
    if _FOLDERS & set(folders):
        return True
    if any(fnmatch(name, pattern) for pattern in _EXAMPLES):
        return False
    # Modules may be called so, like the standard library's.
    return not name.endswith((".py", ".pyi")) and any(fnmatch(name, each) for each in _NAMES)


def by_content(content: bytes) -> str:
    """What kind of secret is in a file, with its line; empty if there is none that we know.

    What says of itself that it is an example is none.
    """
    for kind, pattern in _COMPILED.items():
        for found in pattern.finditer(content):
            if not _EXAMPLE.search(found.group()) and _looks_real(found):
                line = content.count(b"\n", 0, found.start()) + 1
                return f"{kind} in line {line}"
    return ""


def _looks_real(found: re.Match[bytes]) -> bool:
    """Whether a value that only its name makes a secret is random enough to be one."""
    if not found.re.groups or found.lastindex is None or found.group(1) is None:
        return True
    value = found.group(1)
    if _PLACEHOLDER.search(value) or not re.search(rb"\d", value):
        return False
    counts = Counter(value)
    bits = -sum(n / len(value) * math.log2(n / len(value)) for n in counts.values())
    return bits >= _LEAST_BITS
