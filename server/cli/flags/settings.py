"""A flag for every setting."""

import functools
import logging
import os
import sys
from typing import Any

import click

from ...http.settings import HTTP_OPTIONS
from ...settings import OPTIONS, read_settings
from ...values import Option
from . import Command, Flag, together


def with_settings(command: Command) -> Command:
    """Give a command a flag for every setting, and `settings` instead of them."""

    @click.pass_context
    @functools.wraps(command)
    def wrapped(ctx: click.Context, /, **given: Any) -> Any:
        flags = {option.name: given.pop(option.name) for option in OPTIONS}
        outer: dict[str, str | None] = (ctx.parent.obj if ctx.parent else None) or {}
        ctx.obj = outer | {name: value for name, value in flags.items() if value is not None}
        if isinstance(ctx.command, click.Group) and ctx.invoked_subcommand:
            return None
        settings = read_settings(os.environ, ctx.obj)
        _log_to_stderr(settings.log_level)
        return command(settings, **given)

    return _flags_of(OPTIONS)(wrapped)


def given_settings() -> tuple[str, ...]:
    """The settings that came as flags of the command under way, as another proofbox takes them."""
    flags: dict[str, str] = click.get_current_context().obj
    return tuple(
        word
        for option in OPTIONS
        if option.name in flags
        for word in (option.flag, flags[option.name])
    )


def _flags_of(options: tuple[Option, ...]) -> Flag:
    return together(
        *(
            click.option(
                option.flag,
                option.name,
                metavar="VALUE",
                help=f"{option.help} [{option.variable}; default: {option.default}]",
            )
            for option in options
        )
    )


http_flags = _flags_of(HTTP_OPTIONS)


def _log_to_stderr(level: str) -> None:
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.WARNING,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        force=True,
    )
    # Other people's libraries say more than anybody wants to know.
    logging.getLogger("proofbox").setLevel(level.upper())
    if level == "debug":
        logging.getLogger().setLevel(logging.INFO)
