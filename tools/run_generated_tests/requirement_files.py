"""Requirements files: where they are, and what they say."""

import posixpath
import re
from collections.abc import Iterator, Mapping

_MOST_FILES = 20
RUNTIME = (
    "requirements.txt",
    "requirements.in",
    "requirements/base.txt",
    "requirements/main.txt",
)
FOR_TESTS = (
    *("requirements-test.txt", "requirements-tests.txt", "requirements_test.txt", "requirements_tests.txt"),
    *("test-requirements.txt", "test_requirements.txt", "tests-requirements.txt", "requirements-testing.txt"),
    *("requirements/test.txt", "requirements/tests.txt", "requirements/testing.txt"),
    *("requirements/tests.in", "requirements/test.in", "tests/requirements.txt", "test/requirements.txt"),
)  # fmt: skip
FOR_DEVELOPERS = (
    *("requirements-dev.txt", "requirements_dev.txt", "dev-requirements.txt", "dev_requirements.txt"),
    *("requirements/dev.txt", "requirements/development.txt", "requirements/dev.in"),
)  # fmt: skip


def read_file(files: Mapping[str, bytes], name: str, seen: tuple[str, ...] = ()) -> Iterator[str]:
    """The requirements in a file, with those of the files that it names by `-r`."""
    path = posixpath.normpath(name)
    if path in seen or len(seen) > _MOST_FILES:
        return
    text = files.get(path, b"").decode("utf-8", "replace")
    for line in text.replace("\\\n", " ").splitlines():
        other = re.match(r"\s*(?:-r|--requirement)[\s=]+(\S+)", line)
        if other:
            beside = posixpath.join(posixpath.dirname(path), other.group(1))
            yield from read_file(files, beside, (*seen, path))
        else:
            yield from (re.sub(r"\s+--hash[=\s]\S+", "", text) for text in lines(line))


def lines(text: str) -> Iterator[str]:
    """Requirements in a text, one a line, without comments and options."""
    for line in text.splitlines():
        stripped = re.sub(r"(^|\s)#.*", "", line).strip()
        if stripped and not stripped.startswith("-"):
            yield stripped
