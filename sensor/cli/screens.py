"""Who is told how a run goes, and on what."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal, TextIO

from sensor import log
from sensor.cli.options import Color

if TYPE_CHECKING:
    from rich.console import Console

    from sensor.settings.config import Config
    from sensor.terminal.screen import Screen
    from sensor.terminal.screen_thread import ScreenThread


def stdout_is_listed(config: "Config") -> bool:
    """Whether stdout is one of the outputs in the settings, in place of the lines that stand there by themselves."""
    return any(output.type == "stdout" for output in config.outputs)


def console_for(color: Color, stream: TextIO) -> "Console":
    """Terminal to draw on."""
    from rich.console import Console

    if color is Color.NEVER:
        return Console(file=stream, color_system=None)  # no bold or dim either
    if color is Color.ALWAYS:
        return Console(file=stream, force_terminal=True, no_color=False)
    return Console(file=stream)


def screen_for(
    mode: Literal["read", "watch"],
    source: str,
    streams: tuple[TextIO, TextIO],
    *,
    lines_on_stdout: bool,
    quiet: bool,
    color: Color,
) -> "Screen":
    """Who is told how the run goes: nobody, a closing line on stderr, or a view on the terminal.

    streams: stdout and stderr. A view is a context manager.
    """
    from sensor.terminal.summary import Silent, SummaryLine

    stdout, stderr = streams
    if log.is_json() and (quiet or lines_on_stdout):
        from sensor.terminal.logged import Logged

        return Logged(stderr, mode, source, quiet=quiet)
    if quiet:
        return Silent(stderr)
    if lines_on_stdout:
        return SummaryLine(stderr, mode, source)
    from sensor.terminal.view import View

    return View(console_for(color, stdout), mode, source)


def interactive_console(color: Color, stream: TextIO) -> "Console | None":
    """A terminal with somebody at its keys and a cursor that moves, or None. stream: of its own (own_stream)."""
    if sys.platform == "win32" or not sys.stdin.isatty():
        return None
    from sensor.terminal.keyboard import usable

    console = console_for(color, stream)
    return console if usable(sys.stdin.fileno()) and console.is_terminal and not console.is_dumb_terminal else None


@contextmanager
def interactive(
    mode: Literal["read", "watch"], source: str, bundle: str, console: "Console", stays: Callable[[], bool]
) -> Iterator["ScreenThread"]:
    """A view that takes keys, in a thread of its own; the terminal is as it was afterwards, whatever happens.

    stays: whether to wait, when there is nothing more to come, until the operator has seen enough.
    """
    from sensor.terminal.dashboard import Dashboard
    from sensor.terminal.keyboard import Keyboard
    from sensor.terminal.operator import Operator
    from sensor.terminal.screen_thread import ScreenThread

    view = Dashboard(console, mode, source, bundle)
    with Keyboard(sys.stdin.fileno()) as keyboard:
        operator = Operator(keyboard, view, stays)
        with operator.following(), ScreenThread(view, operator) as screen:
            yield screen
