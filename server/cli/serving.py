"""`proofbox serve --http` and `proofbox token`."""

import json
import os
from pathlib import Path

import click

from ..app import create_server
from ..http import tokens
from ..http.service import PATH, HttpService, listen
from ..http.settings import HttpSettings
from ..page.routes import routes
from ..replicas.joining import team_at
from ..settings import Settings, SettingsError


async def serve_http(settings: Settings, http: HttpSettings, as_json: bool) -> None:
    """Serve until a signal; the address is announced once it can be connected to.

    Raises:
        SettingsError: what was chosen is not safe, or cannot be had.
    """
    service = HttpService(http, team=await team_at(http.store, http.sweep_seconds))
    listener = listen(http)
    address = listener.getsockname()
    host = f"[{address[0]}]" if ":" in address[0] else address[0]
    url = f"http://{host}:{address[1]}{PATH}"
    said = f"proofbox serves {url}, and shows a page at {url.removesuffix(PATH)}/"
    click.echo(json.dumps({"url": url}) if as_json else said, err=not as_json)
    server = create_server(settings, hosting=service.hosting)
    app = await service.app(server, routes(service), idle_seconds=settings.idle_seconds)
    await service.runner(app).serve(sockets=[listener])


def make_token(
    name: str, *, expires: str = "", metrics: bool = False, token_file: Path | None = None
) -> dict[str, str]:
    """A new token, the line of the token file for it, and what to do with both. With `token_file`, the
    line is added there.

    Raises:
        SettingsError: the name cannot be one, or the file cannot be written.
    """
    if not tokens.is_name(name):
        raise SettingsError(f"{name!r} cannot name a principal: use letters, digits and . _ @ -")
    token = tokens.new_token()
    line = tokens.line_of(token, name, expires=expires, metrics=metrics)
    if token_file is None:
        advice = f"Shown once. Add this line to the token file: {line}"
    else:
        _append(token_file, line)
        advice = f"Shown once. Its hash is in {token_file}."
    return {"token": token, "line": line, "advice": advice}


def _append(path: Path, line: str) -> None:
    try:
        # Made for its owner alone; one that is there keeps its mode.
        with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600), "r+b") as file:
            before = file.read()
            start = b"\n" if before and not before.endswith(b"\n") else b""
            file.write(start + line.encode() + b"\n")
    except OSError as error:
        raise SettingsError(f"{path} cannot be written: {error.strerror}.") from error
