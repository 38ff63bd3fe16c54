"""Settings: from the environment and from flags, or not at all."""

import dataclasses
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from proofbox.server.http.settings import HTTP_OPTIONS, HttpSettings, read_http_settings
from proofbox.server.quotas.allowances import Allowances
from proofbox.server.sandbox import Limits
from proofbox.server.sessions import SessionSettings
from proofbox.server.settings import (
    OPTIONS,
    Settings,
    read_settings,
)
from proofbox.server.values import SettingsError


def test_nothing_set_gives_the_defaults() -> None:
    """Which are those of the parts that they are for."""
    settings = read_settings({"HOME": "/root", "PATH": "/bin"})

    assert settings == Settings()
    assert settings.limits == Limits()
    assert settings.idle_seconds == SessionSettings().idle_seconds
    assert settings.max_age_seconds == SessionSettings().max_age_seconds
    assert settings.max_sessions == SessionSettings().max_sessions
    assert settings.queue == SessionSettings().queue_length
    assert settings.queue_seconds == SessionSettings().queue_wait_seconds


def test_every_setting_can_be_shown_as_it_is_written() -> None:
    """What the help calls the default is a value that parses to the default, or describes it."""
    for option in OPTIONS:
        default = getattr(Settings(), option.name)
        if default is not None:
            assert option.parse(option.default) == default
        assert option.help.endswith(".")


def test_every_field_but_keys_is_in_the_table() -> None:
    """A setting cannot be forgotten in the environment or on the command line."""
    names = {item.name for item in dataclasses.fields(Settings)}

    assert {option.name for option in OPTIONS} == names - {"e2b_api_key", "github_token"}


@pytest.mark.parametrize(
    ("variable", "text", "name", "value"),
    [
        ("PROOFBOX_BACKEND", "LOCAL", "backend", "local"),
        (
            "PROOFBOX_PACKAGES",
            "numpy>=2,<3 pandas[all]",
            "packages",
            ("numpy>=2,<3", "pandas[all]"),
        ),
        ("PROOFBOX_MEMORY", "512M", "memory", 512 * 1024**2),
        ("PROOFBOX_MEMORY", "1 GiB", "memory", 1024**3),
        ("PROOFBOX_MEMORY", "100000000", "memory", 100_000_000),
        ("PROOFBOX_PROCESSES", "64", "processes", 64),
        ("PROOFBOX_IDLE_SECONDS", "1.5", "idle_seconds", 1.5),
        ("PROOFBOX_QUEUE", "0", "queue", 0),
        ("PROOFBOX_E2B_TEMPLATE", "team/python:v1", "e2b_template", "team/python:v1"),
        ("PROOFBOX_CACHE_DIR", "/tmp/not/yet", "cache_dir", Path("/tmp/not/yet")),
        ("PROOFBOX_DATA_DIR", "/tmp/not/yet", "data_dir", Path("/tmp/not/yet")),
        (
            "PROOFBOX_GITHUB_URL",
            "https://git.example.org/",
            "github_url",
            "https://git.example.org",
        ),
        ("PROOFBOX_GITHUB_URL", "http://127.0.0.1:8080", "github_url", "http://127.0.0.1:8080"),
        ("PROOFBOX_LOG_LEVEL", "debug", "log_level", "debug"),
        ("PROOFBOX_MAX_SESSIONS", " ", "max_sessions", 32),
    ],
)
def test_a_variable_sets_its_field(variable: str, text: str, name: str, value: object) -> None:
    """An empty one is as if it were not set: hosts pass those for optional settings."""
    assert getattr(read_settings({variable: text}), name) == value


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("PROOFBOX_BACKEND", "docker"),
        ("PROOFBOX_GITHUB_URL", "http://git.example.org"),
        ("PROOFBOX_GITHUB_URL", "https://me@git.example.org"),
        ("PROOFBOX_GITHUB_URL", "https://git.example.org/api/v3"),
        ("PROOFBOX_PACKAGES", "numpy;evil"),
        ("PROOFBOX_PACKAGES", "--index-url=http://evil"),
        ("PROOFBOX_PACKAGES", "evil@https://evil/x.whl"),
        ("PROOFBOX_PACKAGES", "../wheel.whl"),
        ("PROOFBOX_ROOTS", "relative"),
        ("PROOFBOX_ROOTS", "/does/not/exist"),
        ("PROOFBOX_MEMORY", "1K"),
        ("PROOFBOX_MEMORY", "much"),
        ("PROOFBOX_MEMORY", "-1G"),
        ("PROOFBOX_PROCESSES", "1"),
        ("PROOFBOX_PROCESSES", "\u0661\u0662\u0663"),
        ("PROOFBOX_OPEN_FILES", "1e3"),
        ("PROOFBOX_IDLE_SECONDS", "nan"),
        ("PROOFBOX_IDLE_SECONDS", "inf"),
        ("PROOFBOX_IDLE_SECONDS", "soon"),
        ("PROOFBOX_E2B_TEMPLATE", "a b"),
        ("PROOFBOX_CACHE_DIR", "relative"),
        ("PROOFBOX_DATA_DIR", "relative"),
        *(
            (variable, text)
            for variable in ("PROOFBOX_CACHE_DIR", "PROOFBOX_DATA_DIR")
            for text in (
                "/etc/passwd/folder",
                "/etc/passwd",
                "/proc/folder",
                "~nobody-at-all/folder",
            )
        ),
        ("PROOFBOX_CACHE_DIR", "/proc/self"),
        ("PROOFBOX_ROOTS", "/root/" + "x" * 300),
    ],
)
def test_a_value_that_cannot_be_used_is_named(variable: str, text: str) -> None:
    """With what it must be and what it is."""
    with pytest.raises(SettingsError, match=rf"^{variable} must be .*\."):
        read_settings({variable: text})


def test_a_cache_that_nothing_can_be_run_from_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Packages in it would not load; reports may well be kept there."""

    def noexec(path: Path) -> SimpleNamespace:
        del path
        return SimpleNamespace(f_flag=os.ST_NOEXEC)

    monkeypatch.setattr(os, "statvfs", noexec)

    with pytest.raises(SettingsError, match=f"^PROOFBOX_CACHE_DIR must .*{tmp_path} is noexec"):
        read_settings({"PROOFBOX_CACHE_DIR": str(tmp_path / "folder")})
    assert read_settings({"PROOFBOX_DATA_DIR": str(tmp_path)}).data_dir == tmp_path


def test_a_flag_wins_over_the_environment_and_is_named_when_it_is_wrong() -> None:
    """What was typed last is what is meant."""
    environment = {"PROOFBOX_PROCESSES": "64"}

    assert read_settings(environment, {"processes": "32"}).processes == 32
    with pytest.raises(SettingsError, match="^--processes must be"):
        read_settings(environment, {"processes": "none"})


@pytest.mark.parametrize(
    ("variable", "advice"),
    [("PROOFBOX_MAX_SESSION", "did you mean PROOFBOX_MAX_SESSIONS"), ("PROOFBOX_XYZ", "known are")],
)
def test_an_unknown_variable_is_refused(variable: str, advice: str) -> None:
    """A misspelt limit must not be a limit that silently does not hold."""
    with pytest.raises(SettingsError, match=f"{variable} is not a setting of proofbox; {advice}"):
        read_settings({variable: "1"})


def test_roots_are_resolved(tmp_path: Path) -> None:
    """Several, as a search path is written."""
    inner = tmp_path / "a"
    inner.mkdir()
    (tmp_path / "link").symlink_to(inner)

    settings = read_settings({"PROOFBOX_ROOTS": f"{tmp_path}/link{os.pathsep}{tmp_path}"})

    assert settings.roots == (inner, tmp_path)


@pytest.mark.parametrize(
    ("environment", "key", "chosen"),
    [
        ({}, "", "local"),
        ({"E2B_API_KEY": ""}, "", "local"),
        ({"E2B_API_KEY": "e2b_1"}, "e2b_1", "e2b"),
        ({"E2B_KEY": "e2b_2"}, "e2b_2", "e2b"),
        ({"E2B_API_KEY": "e2b_1", "E2B_KEY": "e2b_2"}, "e2b_1", "e2b"),
        ({"E2B_KEY": "e2b_2", "PROOFBOX_BACKEND": "local"}, "e2b_2", "local"),
    ],
)
def test_a_key_chooses_e2b_unless_told_otherwise(
    environment: dict[str, str], key: str, chosen: str
) -> None:
    """E2B_API_KEY goes before E2B_KEY."""
    settings = read_settings(environment)

    assert (settings.e2b_api_key, settings.chosen_backend) == (key, chosen)


@pytest.mark.parametrize(
    ("environment", "token"),
    [
        ({}, ""),
        ({"GITHUB_TOKEN": " ghp_1\n"}, "ghp_1"),
        ({"GITHUB_TOKEN": "ghp_1", "PROOFBOX_GITHUB_TOKEN": "ghp_2"}, "ghp_2"),
        ({"GITHUB_TOKEN": "ghp_1", "PROOFBOX_GITHUB_TOKEN": ""}, "ghp_1"),
    ],
)
def test_the_token_for_github_is_optional_and_not_shown(
    environment: dict[str, str], token: str
) -> None:
    """Ours goes before the one that others read, too."""
    settings = read_settings(environment)

    assert settings.github.token == token
    assert "ghp_" not in f"{settings!r} {settings.github!r}"


def test_a_token_that_would_be_a_second_header_is_refused() -> None:
    """And not shown."""
    with pytest.raises(SettingsError, match="GITHUB_TOKEN") as refused:
        read_settings({"GITHUB_TOKEN": "ghp_1\r\nX-Other: 1"})

    assert "ghp_1" not in str(refused.value)


def test_e2b_without_a_key_stops_the_start() -> None:
    """And the sentence says where keys come from."""
    with pytest.raises(SettingsError, match=r"e2b\.dev gives keys"):
        read_settings({"PROOFBOX_BACKEND": "e2b"})


def test_the_key_is_never_shown() -> None:
    """Not by repr, so not in a log or a traceback either."""
    assert "e2b_secret" not in repr(read_settings({"E2B_API_KEY": "e2b_secret"}))


def test_every_setting_of_the_service_can_be_shown_as_it_is_written() -> None:
    """As those of the other table, and all of them are in it."""
    names = {item.name for item in dataclasses.fields(HttpSettings)}

    assert {option.name for option in HTTP_OPTIONS} == names
    for option in HTTP_OPTIONS:
        default = getattr(HttpSettings(), option.name)
        if default not in (None, ()):
            assert option.parse(option.default) == default
        assert option.help.endswith(".")


@pytest.mark.parametrize(
    ("variable", "text", "name", "value"),
    [
        ("PROOFBOX_HOST", "[::1]", "host", "::1"),
        (
            "PROOFBOX_ALLOWED_HOSTS",
            "A.example, [::1]:80",
            "allowed_hosts",
            ("a.example", "[::1]:80"),
        ),
        (
            "PROOFBOX_ALLOWED_ORIGINS",
            "https://A.example",
            "allowed_origins",
            ("https://a.example",),
        ),
        ("PROOFBOX_TOKEN_FILE", "/etc/tokens", "token_file", Path("/etc/tokens")),
        ("PROOFBOX_PUBLIC_URL", "https://a.example/mcp", "public_url", "https://a.example/mcp"),
        ("PROOFBOX_OAUTH_ISSUER", "http://localhost:9", "oauth_issuer", "http://localhost:9"),
        ("PROOFBOX_OAUTH_SCOPES", "run  read", "oauth_scopes", ("run", "read")),
        ("PROOFBOX_PRINCIPAL_CALLS", "4", "principal_calls", 4),
        ("PROOFBOX_PRINCIPAL_USD", "none", "principal_usd", float("inf")),
        ("PROOFBOX_GRACE_SECONDS", "30", "grace_seconds", 30.0),
    ],
)
def test_the_service_is_set_by_the_environment(
    variable: str, text: str, name: str, value: object
) -> None:
    """By names that the other commands let pass."""
    assert getattr(read_http_settings({variable: text}), name) == value
    assert read_settings({variable: text}) == Settings()


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("PROOFBOX_HOST", "a b"),
        ("PROOFBOX_PORT", "70000"),
        ("PROOFBOX_PORT", "tcp://10.0.0.1:80"),  # what Kubernetes says of a service of that name
        ("PROOFBOX_ALLOWED_HOSTS", "https://a.example"),
        ("PROOFBOX_ALLOWED_HOSTS", "*"),
        ("PROOFBOX_ALLOWED_ORIGINS", "a.example"),
        ("PROOFBOX_ALLOWED_ORIGINS", "https://*"),
        ("PROOFBOX_TOKEN_FILE", "tokens"),
        ("PROOFBOX_PUBLIC_URL", "a.example"),
        ("PROOFBOX_OAUTH_ISSUER", "http://a.example"),
        ("PROOFBOX_OAUTH_KEYS", "https://me@a.example/keys"),
        ("PROOFBOX_PRINCIPAL_CALLS", "0"),
        ("PROOFBOX_PRINCIPAL_USD", "-1"),
    ],
)
def test_a_setting_of_the_service_that_cannot_be_used_is_refused(variable: str, text: str) -> None:
    """With its name and what it should be."""
    with pytest.raises(SettingsError, match=f"{variable} must be "):
        read_http_settings({variable: text})


def test_principals_are_limited_where_there_are_any() -> None:
    """Whoever is alone with a service is limited only if that was asked for."""
    usual = Allowances(calls=16, sessions=8, sandbox_seconds=86_400, usd=10)

    assert HttpSettings().allowances == Allowances()
    assert HttpSettings(principal_calls=2).allowances == Allowances(calls=2)
    assert HttpSettings(token_file=Path("/tokens")).allowances == usual
    assert HttpSettings(oauth_issuer="https://a").allowances == usual
