"""What commands show while they work, and the files that they leave."""

import sys
from pathlib import Path

import click

from ..sandbox import InvalidInput


def write(file: Path, text: str) -> None:
    """Write a file that the command line names.

    Raises:
        InvalidInput: it cannot be written.
    """
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InvalidInput(f"{file} cannot be written: {error.strerror}.") from error


class Line:
    """One line on stderr that is rewritten; nothing where nobody looks."""

    def __init__(self) -> None:
        self._shown = 0

    def say(self, line: str) -> None:
        """A line of its own."""
        self.end()
        click.echo(line, err=True)

    def show(self, line: str) -> None:
        """How far it is."""
        if sys.stderr.isatty():
            text = line[:100]
            click.echo(f"\r{text.ljust(self._shown)}", nl=False, err=True)
            self._shown = len(text)

    def end(self) -> None:
        """Leave what follows a line of its own."""
        if self._shown:
            click.echo(err=True)
        self._shown = 0
