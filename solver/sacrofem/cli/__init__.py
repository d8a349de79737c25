"""The command line, ``sacrofem mesh|check|run|sweep|...``: it parses, calls and prints."""

import sys
from typing import Annotated

import typer

import sacrofem

# The commands register themselves.
from sacrofem.cli import bones as bones
from sacrofem.cli import studies as studies
from sacrofem.cli.console import app, complain
from sacrofem.errors import SacrofemError


def main() -> None:
    """Entry point of the command ``sacrofem``."""
    try:
        app()
    except SacrofemError as error:
        complain(f"sacrofem: {error}")
        sys.exit(error.exit_status)


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    if version:
        typer.echo(sacrofem.__version__)
        raise typer.Exit
