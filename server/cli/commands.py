"""The `proofbox` command: parses arguments and calls the same functions as the tools.

Nothing heavy is imported here, so that `--help` is quick and a server starts as fast as `mcp` does.
"""

import functools
import gc
import json
import os
import sys
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from ..http.settings import read_http_settings
from ..sandbox import InvalidInput
from ..settings import Settings
from .ending import EXIT_CODES, PASSED, exit_code
from .flags.bench import bench_flags
from .flags.install import install_flags, uninstall_flags
from .flags.pr import pr_flags
from .flags.report import report_flags
from .flags.run import run_flags
from .flags.settings import given_settings, http_flags, with_settings
from .flags.snippets import snippets_flags
from .flags.tests import tests_flags
from .flags.token import token_flags
from .flags.webhook import webhook_flags

_LANGUAGES = {
    ".py": "python",
    ".sh": "bash",
    ".js": "javascript",
    ".mjs": "javascript",
    ".ts": "typescript",
    ".r": "r",
    ".java": "java",
}

T = TypeVar("T")


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="proofbox", message="%(version)s")
@with_settings
def cli(settings: Settings) -> int:
    """Run code in a sandbox before you trust it. Without a command: serve MCP on stdio."""
    return _serve_stdio(settings)


@cli.command()
@click.option("--http", is_flag=True, help="Serve HTTP instead of stdio.")
@click.option("--json", "as_json", is_flag=True, help="Announce the address of --http as JSON.")
@http_flags
@with_settings
def serve(settings: Settings, *, http: bool, as_json: bool, **given: str | None) -> int:
    """Serve MCP to a client on stdio, or over HTTP: to clients on this machine, unless --host says more."""
    if not http:
        for name, value in given.items():
            if value is not None:
                raise click.UsageError(
                    f"--{name.replace('_', '-')} is for --http, which is not there."
                )
        return _serve_stdio(settings)
    from .serving import serve_http

    _in_event_loop(lambda: serve_http(settings, read_http_settings(os.environ, given), as_json))
    return PASSED


@cli.command()
@token_flags
@with_settings
def token(
    settings: Settings,
    name: str,
    *,
    expires: datetime | None,
    metrics: bool,
    token_file: Path | None,
    as_json: bool,
) -> int:
    """Make a bearer token for the principal NAME, and show it once; the service keeps only its hash."""
    from .serving import make_token

    del settings
    day = "" if expires is None else f"{expires:%Y-%m-%d}"
    made = make_token(name, expires=day, metrics=metrics, token_file=token_file)
    click.echo(json.dumps(made) if as_json else made["token"])
    if not as_json:
        click.echo(made["advice"], err=True)
    return PASSED


@cli.command()
@run_flags
@with_settings
def run(settings: Settings, **given: Any) -> int:
    """Run a FILE (`-` is stdin) or -c CODE once, in a fresh sandbox.

    The exit code is the verdict: 0 passed, 1 failed, 2 bad usage or input, 3 errored (nothing is
    known about the code), 4 skipped (nothing ran).
    """
    file, code = given["file"], given["code"]
    if (file is None) == (code is None):
        raise click.UsageError("Give either a FILE (`-` is stdin) or -c CODE.")
    suffix = os.path.splitext(file.name)[1].lower() if file else ""
    from .run import run_once

    return EXIT_CODES[
        _in_event_loop(
            lambda: run_once(
                settings,
                code=_read(file) if file else code,
                language=(given["language"] or _LANGUAGES.get(suffix, "python")).lower(),
                timeout_seconds=given["timeout"],
                packages=given["added"],
                env=dict(_pair(item) for item in given["env"]),
                save=given["save"],
                as_json=given["as_json"],
            )
        )
    ]


@cli.command()
@snippets_flags
@with_settings
def snippets(settings: Settings, **given: Any) -> int:
    """Run the examples in documentation: PATHS are files, folders or quoted patterns.

    Exit code 0 only if nothing failed and something passed; 1 failed, 2 bad usage or input, 3 errored
    (a sandbox failed), 4 skipped (nothing could be judged).
    """
    from .snippets import Wanted, items, validate

    given["items"] = items(given["items"]) if given["items"] else ()
    given["env"] = dict(_pair(item) for item in given["env"])
    given["setup"] = _read(given["setup"]) if given["setup"] else ""
    return EXIT_CODES[_in_event_loop(lambda: validate(settings, Wanted(**given)))]


@cli.command()
@bench_flags
@with_settings
def bench(settings: Settings, **given: Any) -> int:
    """Measure which model writes code that works: every answer runs, and intervals say how sure it is.

    What was answered is kept: a run that was stopped goes on when it is started again. Exit code 0 if
    every answer has a verdict, whatever it is; 2 bad usage or input, 3 some have none, 4 a dry run.
    """
    from .bench import Wanted, benchmark

    return EXIT_CODES[_in_event_loop(lambda: benchmark(settings, Wanted(**given)))]


@cli.command()
@tests_flags
@with_settings
def tests(settings: Settings, **given: Any) -> int:
    """Run tests and say which are worth keeping: PATHS are files or folders of one project, sources and tests.

    Exit code 0 only if something was collected and every test is to be kept; 1 failed, 2 bad usage or
    input, 3 errored (a sandbox failed), 4 skipped (nothing was collected).
    """
    from .tests import Wanted, judge

    given["env"] = dict(_pair(item) for item in given["env"])
    return EXIT_CODES[_in_event_loop(lambda: judge(settings, Wanted(**given)))]


@cli.command()
@pr_flags
@with_settings
def pr(settings: Settings, **given: Any) -> int:
    """Run a pull request at its base and at its head, and say what changed: OWNER/REPO#N on GitHub, or
    --head or --diff in the repository at PATH.

    Exit code 0 only if tests ran, nothing regressed and nothing was left undecided; 1 it regressed, 2 bad
    usage or input, 3 errored (it could not be decided), 4 skipped (nothing could be judged). GITHUB_TOKEN is
    used where it is set; only --comment and --check write to GitHub.
    """
    from .pr import Wanted, check

    given["diff"] = _read(given["diff"]) if given["diff"] else None
    given["env"] = dict(_pair(item) for item in given["env"])
    return EXIT_CODES[_in_event_loop(lambda: check(settings, Wanted(**given)))]


@cli.command()
@report_flags
@with_settings
def report(settings: Settings, **given: Any) -> int:
    """Make a page of a report, in one file: of a job by its id, or of a FILE that a command's --json wrote.

    The page loads nothing and runs nothing. The exit code says whether it was made, not the verdict.
    """
    from .report import Wanted, show

    _in_event_loop(lambda: show(settings, Wanted(**given)))
    return PASSED


@cli.command()
@webhook_flags
@with_settings
def webhook(settings: Settings, **given: Any) -> int:
    """Check every pull request of some repositories on GitHub as soon as it has a new commit.

    It listens for GitHub's signed webhook at /webhook until it is stopped; a proxy that speaks TLS belongs
    before it.
    """
    from .webhook import Wanted, serve

    _in_event_loop(lambda: serve(settings, Wanted(**given), os.environ))
    return PASSED


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@with_settings
def doctor(settings: Settings, *, as_json: bool) -> int:
    """Say where code would run and why, try to break out of it, and list the limits in force.

    Exit code 0: all is well. 1: a probe got out, or a limit does not hold. 3: no sandbox starts.
    """
    from ..assembly import open_app
    from .doctor import examine

    findings = _in_event_loop(
        lambda: examine(settings, lambda: open_app(settings, on_progress=_progress))
    )
    click.echo(findings.as_json() if as_json else findings.as_text())
    return findings.exit_code


@cli.command()
@install_flags
@with_settings
def install(settings: Settings, **given: Any) -> int:
    """Add proofbox to the configuration of HOST: the change is shown, and written if you agree.

    A copy of the file is kept beside it. Settings that are given as flags are written down for the host. Exit
    code 0: done, or nothing to do. 1: you did not agree. 2: the file cannot be edited, or nobody can be asked.
    """
    from .install import Wanted
    from .install import install as write

    del settings
    return write(Wanted(arguments=given_settings(), **given))


@cli.command()
@uninstall_flags
@with_settings
def uninstall(settings: Settings, **given: Any) -> int:
    """Take proofbox out of the configuration of HOST, which is then what it was before, to the byte."""
    from .install import Wanted
    from .install import install as write

    del settings
    return write(Wanted(remove=True, **given))


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="Print the exchange as JSON.")
@with_settings
def demo(settings: Settings, *, as_json: bool) -> int:
    """Start the server as a child, drive it with a real MCP client, and show the exchange.

    Exit code 0 only if every step gave what it should; 1 if one did not, 3 if the server did not
    start.
    """
    from .demo import show

    del settings
    given = list(given_settings())
    return _in_event_loop(lambda: show(given, as_json=as_json))


def _serve_stdio(settings: Settings) -> int:
    from ..app import create_server
    from ..transports import serve_stdio

    _in_event_loop(
        lambda: serve_stdio(
            lambda on_closed: create_server(settings, on_closed=on_closed, roots=_working_folder())
        )
    )
    return PASSED


def _working_folder() -> tuple[Path, ...]:
    """Where whoever starts the server lets it read: hosts that start it anywhere mean nothing by it."""
    try:
        here = Path.cwd()
    except OSError:
        return ()  # it has been removed
    return () if here in {Path(here.anchor), Path.home()} else (here,)


def _in_event_loop(work: Callable[[], Awaitable[T]]) -> T:
    import anyio

    gc.freeze()
    gc.enable()
    return anyio.run(work)


def _progress(line: str) -> None:
    click.echo(line, err=True)


def _read(file: Any) -> str:
    try:
        return file.read()
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{file.name} is not UTF-8 text, so it cannot be run.") from error


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise click.UsageError(f"--env takes NAME=VALUE, not {text!r}.")
    return name, value


def main() -> None:
    """The console script."""
    # What is loaded stays, so that looking for garbage in it takes a tenth of a server's start and finds none.
    gc.disable()
    arguments = sys.argv[1:]
    work = functools.partial(cli.main, arguments, prog_name="proofbox", standalone_mode=False)
    code = exit_code(work, as_json="--json" in arguments)
    # Or the interpreter would search all that ends with it for cycles, which is a quarter of a server's CPU time.
    gc.freeze()
    sys.exit(code)
