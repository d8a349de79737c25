"""What all commands share: the application, the console, the line that says what is being done."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer
from mpi4py import MPI
from rich.console import Console

app = typer.Typer(
    help="Finite-element simulation of cement augmentation of the sacrum.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
comm = MPI.COMM_WORLD
#: Text for people goes to standard error of rank 0, tables to standard output.
console = Console(stderr=True, quiet=comm.rank != 0, highlight=False)


def complain(text: str) -> None:
    """Tell in red what went wrong."""
    console.print(text, style="red", markup=False, soft_wrap=True)


@contextmanager
def status() -> Iterator[Callable[[str], None]]:
    """A line that says what is being done."""
    with console.status("starting") as line:

        def say(text: str) -> None:
            line.update(text)
            if not console.is_terminal:
                console.print(text)

        yield say
