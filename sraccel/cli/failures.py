"""What a user sees when a command fails: one message on stderr, and an exit code.

0    done
1    failed on the way (cannot write, a plugin broke, the loop was refused)
2    bad input: the command line, the recipe, the model, or how they fit together
130  interrupted
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Annotated

import typer
from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from sraccel.errors import (
    ConflictError,
    HandoverError,
    ModelError,
    PluginError,
    RecipeError,
    SraccelError,
)
from sraccel.text import printable

FAILED = 1
BAD_INPUT = 2
INTERRUPTED = 130

HEADINGS: dict[type[SraccelError], str] = {
    RecipeError: "The recipe is not valid",
    ConflictError: "These do not go together",
    ModelError: "The model cannot be used",
    HandoverError: "This run cannot be handed over",
}
Debug = Annotated[
    bool,
    typer.Option(
        "--debug", help="Show the traceback of an error, and what is decided at each denoiser call."
    ),
]


@contextmanager
def reported(debug: bool) -> Iterator[None]:
    """Turn exceptions of a command into a message and an exit code.

    With `debug`, an error keeps its traceback and reaches Python's own handler, and what is logged
    is shown.
    """
    with ExitStack() as undo:
        if debug or _loudness.verbose:
            undo.enter_context(_log_shown())
        try:
            yield
        except KeyboardInterrupt:
            stderr().print("interrupted")
            raise typer.Exit(INTERRUPTED) from None
        except Exception as error:
            if debug or isinstance(error, (typer.Exit, typer.BadParameter, typer.Abort)):
                raise
            stderr().print(_panel(error))
            raise typer.Exit(_exit_code(error)) from None
        except SystemExit as error:  # of a plugin: no command of ours ends so
            # But for rich, where nobody reads on (`| head`).
            if debug or isinstance(error.__context__, BrokenPipeError):
                raise
            message = f"something called sys.exit({error.code!r}): a plugin must raise an error"
            stderr().print(_panel(PluginError(message)))
            raise typer.Exit(FAILED) from None


@contextmanager
def _log_shown() -> Iterator[None]:
    """Show all that `sraccel` logs."""
    logger, shown = logging.getLogger("sraccel"), _Shown()
    before = logger.level
    shown.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    logger.addHandler(shown)
    logger.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        logger.setLevel(before)
        logger.removeHandler(shown)


class _Shown(logging.Handler):
    """Writes to what stderr is at that moment: bars that are drawn put text above themselves."""

    def emit(self, record: logging.LogRecord) -> None:
        print(self.format(record), file=sys.stderr)


@dataclass
class _Loudness:
    """What `--quiet` and `--verbose` ask for."""

    quiet: bool = False
    verbose: bool = False


_loudness = _Loudness()


def set_loudness(*, quiet: bool, verbose: bool) -> None:
    """Whether notes and bars are left out, and whether what is logged is shown."""
    _loudness.quiet, _loudness.verbose = quiet, verbose


def stderr() -> Console:
    """A console for errors; made anew, since tests and shells may replace the stream."""
    return Console(stderr=True)


def asides() -> Console:
    """A console for notes and bars, which `--quiet` leaves out."""
    return Console(stderr=True, quiet=_loudness.quiet)


def note(text: str) -> None:
    """Say something on stderr, as it is."""
    asides().print(text, soft_wrap=True, markup=False, highlight=False)


def _panel(error: Exception) -> Panel:
    if isinstance(error, SraccelError):
        message = Text(printable(str(error)))
        heading = next((HEADINGS[kind] for kind in HEADINGS if isinstance(error, kind)), "Error")
    else:
        message = Text(f"{printable(str(error))}\n\n--debug shows where this came from.")
        heading = type(error).__name__
    return Panel(message, title=heading, title_align="left", border_style="red")


def _exit_code(error: Exception) -> int:
    return BAD_INPUT if isinstance(error, tuple(HEADINGS)) else FAILED
