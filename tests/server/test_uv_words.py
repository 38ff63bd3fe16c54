"""What goes to uv, and what is made of what it says."""

from pathlib import Path

import pytest

from proofbox.server.sandbox import InvalidInput, SandboxRejected, SandboxUnavailable
from proofbox.server.sandbox.local.requirements import canonical
from proofbox.server.sandbox.local.uv_config import index_configuration
from proofbox.server.sandbox.local.uv_errors import condense, explain, is_news

NOT_FOUND = """\
Using Python 3.11.7 environment at: .
error: No solution found when resolving dependencies
  cause: Because nosuch was not found in the package registry and you require nosuch, we can conclude that your requirements are unsatisfiable.
"""
NOT_FOUND_BEFORE_0_12 = """\
  \u00d7 No solution found when resolving dependencies:
  \u2570\u2500\u25b6 Because nosuch was not found in the package registry and you require
      nosuch, we can conclude that your requirements are unsatisfiable.
"""
NO_WHEEL = """\
error: No solution found when resolving dependencies
  cause: Because all versions of docopt have no usable wheels and you require docopt, we can conclude that your requirements are unsatisfiable.

hint: Wheels are required for `docopt` because building from source is disabled for all packages (i.e., with `--no-build`)
"""
UNREACHABLE = """\
error: Request failed after 3 retries in 10.8s
  cause: Failed to fetch: https://index.example/simple/tiny/
  cause: error sending request for url (https://index.example/simple/tiny/)
  cause: client error (Connect)
  cause: tcp connect error
  cause: Connection refused (os error 111)
"""
OFFLINE = """\
error: No solution found when resolving dependencies
  cause: Because tiny was not found in the cache and you require tiny, we can conclude that your requirements are unsatisfiable.

hint: Packages were unavailable because the network was disabled. When the network is disabled, registry packages may only be read from the cache.
"""
UNTRUSTED = """\
error: Failed to fetch: https://index.example/simple/tiny/
  cause: error sending request for url (https://index.example/simple/tiny/)
  cause: client error (Connect)
  cause: invalid peer certificate: UnknownIssuer
"""
REFUSED = """\
error: Failed to fetch: `https://index.example/simple/tiny/`
  Caused by: HTTP status client error (401 Unauthorized) for url (https://index.example/simple/tiny/)
"""
FULL = """\
warning: Failed to hardlink files; falling back to full copy. This may lead to degraded performance.
         If the cache and target directories are on different filesystems, it may not be supported.
error: Failed to install: numpy-2.4.6-cp311-cp311-manylinux_2_28_x86_64.whl (numpy==2.4.6)
  cause: failed to copy file from /a to /b: No space left on device (os error 28)
"""
UNWRITABLE = """\
error: Failed to initialize cache at `/nowhere/uv`
  cause: failed to create directory `/nowhere/uv`: Permission denied (os error 13)
"""
BROKEN = """\
error: Failed to install: broken-1-py3-none-any.whl (broken==1)
  cause: Scripts must not use the reserved name `python`, got: `python`
"""


@pytest.mark.parametrize(
    ("words", "error", "advice"),
    [
        (NOT_FOUND, InvalidInput, "nosuch was not found.*Check the names"),
        (NOT_FOUND_BEFORE_0_12, InvalidInput, "nosuch was not found.*Check the names"),
        (NO_WHEEL, InvalidInput, "docopt.*Only wheels.*another package"),
        (BROKEN, InvalidInput, "broken-1.*another version"),
        (UNREACHABLE, SandboxUnavailable, "cannot be reached.*HTTPS_PROXY"),
        (OFFLINE, SandboxUnavailable, "cannot be reached.*work offline"),
        (FULL, SandboxUnavailable, "disk is full.*XDG_CACHE_HOME"),
        (UNTRUSTED, SandboxRejected, "not trusted.*SSL_CERT_FILE"),
        (REFUSED, SandboxRejected, "user name and password"),
        (UNWRITABLE, SandboxRejected, "writable"),
        ("", SandboxUnavailable, "status -9 and said nothing"),
    ],
)
def test_each_failure_of_uv_is_put_down_to_its_cause(
    words: str, error: type[Exception], advice: str
) -> None:
    """Whose fault it is decides the type; what to do stands in the message."""
    found = explain(words, returncode=-9)

    assert type(found) is error
    with pytest.raises(error, match=advice):
        raise found


def test_what_uv_says_is_condensed_to_one_line() -> None:
    """Without its chatter, its hints on options that nobody can give, and its box drawing."""
    assert condense(NOT_FOUND_BEFORE_0_12).startswith("No solution found when resolving depend")
    assert "Using Python" not in condense(NOT_FOUND)
    assert "hint" not in condense(NO_WHEEL)
    assert condense(FULL).startswith("Failed to install: numpy")
    assert len(condense("error: " + "very long " * 1000)) <= 700
    assert "\n" not in condense(UNREACHABLE)


@pytest.mark.parametrize(
    ("line", "news"),
    [
        ("Downloading numpy (16.1MiB)", True),
        (" Downloaded numpy", True),
        ("Installed 18 packages in 53ms", True),
        (" + numpy==2.4.6", False),
        ("Using Python 3.11.7 environment at: .", False),
        ("error: No solution found when resolving dependencies", False),
    ],
)
def test_who_waits_is_told_how_far_uv_is(line: str, news: bool) -> None:
    """The list of what was installed is in the manifest."""
    assert is_news(line) is news


def test_requirements_have_one_spelling() -> None:
    """Sorted, each once, and IPython always among them."""
    given = ["Zope.Interface", "numpy >=1.26, <3", "numpy<3,>=1.26", "uvicorn[standard]"]

    assert canonical(given) == (
        "ipython",
        "numpy<3,>=1.26",
        "uvicorn[standard]",
        "zope-interface",
    )
    assert canonical([]) == ("ipython",)
    assert canonical(["ipython==9.0"]) == ("ipython", "ipython==9.0")


def test_markers_are_kept() -> None:
    """A list for several machines can be shared."""
    assert canonical(["tiny; python_version < '3'"])[1] == 'tiny; python_version < "3"'


@pytest.mark.parametrize(
    "requirement",
    [
        "",
        " ",
        "-r requirements.txt",
        "--index-url=https://index.example",
        "-e .",
        ".",
        "./tiny",
        "/tmp/tiny-1-py3-none-any.whl",
        "https://index.example/tiny-1.tar.gz",
        "git+https://code.example/tiny",
        "tiny @ file:///tmp/tiny",
        "tiny @ https://index.example/tiny-1-py3-none-any.whl",
        "tiny\n--pre",
        "tiny; import os",
        "tiny==1 --hash=sha256:00",
        "a" * 1000,
    ],
)
def test_anything_but_names_and_versions_is_refused(requirement: str) -> None:
    """Before uv starts, and with words on what can be given."""
    with pytest.raises(InvalidInput, match="name"):
        canonical([requirement])


def test_a_list_without_end_is_refused() -> None:
    """Nobody means it."""
    with pytest.raises(InvalidInput, match="201 packages"):
        canonical([f"tiny{number}" for number in range(201)])


def test_only_settings_about_indexes_are_taken_over(tmp_path: Path) -> None:
    """What decides what is built, for which Python and where, is ours."""
    (tmp_path / "uv").mkdir()
    (tmp_path / "uv" / "uv.toml").write_text(
        'native-tls = true\nno-binary-package = ["tiny"]\npython-preference = "system"\n'
        'index = [{ name = "here", url = "https://index.example/\u00e4", default = true }]\n'
        '[pip]\ntarget = "/elsewhere"\nextra-index-url = ["https://more.example"]\n'
    )

    taken = index_configuration({"XDG_CONFIG_HOME": str(tmp_path), "XDG_CONFIG_DIRS": "/nowhere"})

    assert taken == (
        "native-tls = true\n"
        'index = [{"name" = "here", "url" = "https://index.example/\u00e4", "default" = true}]\n'
        '[pip]\nextra-index-url = ["https://more.example"]\n'
    )


def test_the_file_that_uv_was_told_to_read_is_the_only_one(tmp_path: Path) -> None:
    """As in uv itself; and one that is broken counts as empty."""
    (tmp_path / "own.toml").write_text("offline = true")
    (tmp_path / "broken.toml").write_text("offline")

    assert "offline = true" in index_configuration({"UV_CONFIG_FILE": str(tmp_path / "own.toml")})
    assert index_configuration({"UV_CONFIG_FILE": str(tmp_path / "broken.toml")}) == "[pip]\n"
    assert index_configuration({"UV_NO_CONFIG": "1", "HOME": str(tmp_path)}) == "[pip]\n"
