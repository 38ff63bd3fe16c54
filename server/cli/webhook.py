"""`proofbox webhook`: GitHub says which pull requests are new, and each is checked."""

import json
import re
import signal
import socket
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import anyio.abc
import anyio.to_thread
import click
import uvicorn

from ...tools._app import App
from ...tools.check_pr.acting.publish import Ways, publish
from ...tools.check_pr.request import PrRequest
from ...tools.check_pr.review.report import PrReport
from ...tools.check_pr.run import run
from ..assembly import data_folder, open_app
from ..http.service import listen
from ..http.settings import HttpSettings
from ..settings import Settings, SettingsError
from .line import write
from .webhook_app import Receiver, Wish, application
from .webhook_deliveries import Deliveries
from .webhook_work import Publish, Worker

SECRET_VARIABLE = "GITHUB_WEBHOOK_SECRET"
_SHORTEST_SECRET = 16
_REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*/[A-Za-z0-9._-]+")
# Each may hold a body of the largest size in memory.
_CONNECTIONS = 32


@dataclass(frozen=True, slots=True)
class Wanted:
    """The flags, as `webhook_flags` has them."""

    repositories: tuple[str, ...]
    secret_file: str | None
    host: str
    port: int
    at_once: int
    comment: bool
    check: bool
    reports: str | None
    merged: bool
    all_tests: bool
    performance: bool
    mutation: bool
    python_versions: tuple[str, ...]
    as_json: bool

    def request(self, wish: Wish) -> PrRequest:
        """What is to be checked of a pull request."""
        return PrRequest(
            repo=wish.repository,
            pr=wish.number,
            merged=self.merged,
            all_tests=self.all_tests,
            performance=self.performance,
            mutation=self.mutation,
            python_versions=self.python_versions,
        )


async def serve(settings: Settings, wanted: Wanted, environment: Mapping[str, str]) -> None:
    """Serve until a signal; the address is announced once it can be connected to.

    Raises:
        UsageError, SettingsError: what was chosen is not safe, or cannot be had.
    """
    _check(wanted)
    secret = secret_of(wanted, environment)
    listener = listen(HttpSettings(host=wanted.host, port=wanted.port))
    with Deliveries(data_folder(settings) / "webhook.sqlite3") as deliveries:
        async with open_app(settings, warm=False) as app:
            tell = publisher(app, wanted)
            worker = Worker(
                app, deliveries, wanted.request, tell, check=run, at_once=wanted.at_once
            )
            receiver = Receiver(secret, wanted.repositories, deliveries, worker.start)
            config = uvicorn.Config(
                application(receiver),
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                ws="none",
                lifespan="off",
                limit_concurrency=_CONNECTIONS,
                timeout_graceful_shutdown=5,
            )
            url = f"http://{wanted.host}:{listener.getsockname()[1]}/webhook"
            said = json.dumps({"url": url}) if wanted.as_json else f"proofbox listens at {url}"
            click.echo(said, err=not wanted.as_json)
            await _until_signal(_Server(config), listener)


class _Server(uvicorn.Server):
    """It leaves signals alone: it would raise them again at its end, before sandboxes and jobs are closed."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


async def _until_signal(server: uvicorn.Server, listener: socket.socket) -> None:
    async with anyio.create_task_group() as tasks:
        # Windows has none; there is no sandbox on it either.
        if sys.platform != "win32":
            await tasks.start(_stop_on_signal, server)
        await server.serve(sockets=[listener])
        tasks.cancel_scope.cancel()


async def _stop_on_signal(
    server: uvicorn.Server, *, task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED
) -> None:
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        task_status.started()
        async for _ in signals:
            server.should_exit = True


def secret_of(wanted: Wanted, environment: Mapping[str, str]) -> bytes:
    """The secret that GitHub signs with.

    Raises:
        SettingsError: there is none, or one that can be guessed.
    """
    if wanted.secret_file is not None:
        try:
            secret = Path(wanted.secret_file).read_bytes().strip()
        except OSError as error:
            raise SettingsError(f"{wanted.secret_file}: {error.strerror}.") from error
    else:
        secret = environment.get(SECRET_VARIABLE, "").strip().encode()
    if not secret:
        raise SettingsError(
            f"There is no secret, so anybody could send pull requests. Set {SECRET_VARIABLE} or give "
            "--secret-file, the same as in the webhook's settings on GitHub."
        )
    if len(secret) < _SHORTEST_SECRET:
        raise SettingsError(
            f"The secret has {len(secret)} characters and could be guessed; take {_SHORTEST_SECRET} or more."
        )
    return secret


def publisher(app: App, wanted: Wanted) -> Publish:
    """What tells of a report in the ways that the flags say."""
    ways = Ways(comment=wanted.comment, check=wanted.check)

    async def tell(wish: Wish, report: PrReport) -> None:
        if wanted.reports is not None:
            await anyio.to_thread.run_sync(_keep, Path(wanted.reports), wish, report)
        if ways.any:
            await publish(app.github, wish.repository, wish.number, report, ways, head=wish.head)

    return tell


def _keep(folder: Path, wish: Wish, report: PrReport) -> None:
    name = f"{wish.repository.replace('/', '-')}-{wish.number}-{wish.head[:12]}"
    write(folder / f"{name}.json", report.model_dump_json(exclude_defaults=True, indent=2))
    write(folder / f"{name}.md", report.review)


def _check(wanted: Wanted) -> None:
    if not wanted.repositories:
        raise click.UsageError("Name the repositories to check with --repo OWNER/REPO.")
    for name in wanted.repositories:
        if not _REPOSITORY.fullmatch(name):
            raise click.UsageError(f"--repo takes OWNER/REPO, not {name!r}.")
    if not (wanted.comment or wanted.check or wanted.reports):
        raise click.UsageError(
            "Nobody would see what comes out: give --comment, --check or --reports FOLDER."
        )
    if wanted.reports is not None and not Path(wanted.reports).is_dir():
        raise click.UsageError(f"--reports: there is no folder {wanted.reports}.")
