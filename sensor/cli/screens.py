"""Chooses the screen of a run, and the console that it draws on."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal, TextIO

from sensor import log
from sensor.cli.options import Color

if TYPE_CHECKING:
    from rich.console import Console

    from sensor.settings.config import Config
    from sensor.site.marking import Marking
    from sensor.terminal.screen import Screen
    from sensor.terminal.screen_thread import ScreenThread


def stdout_is_listed(config: "Config") -> bool:
    """Whether stdout is one of the outputs in the settings, in place of the default JSON lines."""
    return any(output.type == "stdout" for output in config.outputs)


def console_for(color: Color, stream: TextIO) -> "Console":
    """Console on a stream, with or without colours."""
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
    """The screen of a run without keys: silent, a summary line on stderr, log lines, or a scrolling view.

    streams: stdout and stderr. A view is a context manager.
    """
    from sensor.terminal.plain_screens import SilentScreen, SummaryLine

    stdout, stderr = streams
    if log.is_json() and (quiet or lines_on_stdout):
        from sensor.terminal.json_log import JsonLog

        return JsonLog(stderr, mode, source, quiet=quiet)
    if quiet:
        return SilentScreen(stderr)
    if lines_on_stdout:
        return SummaryLine(stderr, mode, source)
    from sensor.terminal.scroll_view import ScrollView

    return ScrollView(console_for(color, stdout), mode, source)


def interactive_console(color: Color, stream: TextIO) -> "Console | None":
    """Console of a terminal with keys and cursor movement, or None. stream: of its own (own_stream)."""
    if sys.platform == "win32" or sys.stdin is None or not sys.stdin.isatty():
        return None
    from sensor.terminal.keyboard import is_foreground_terminal

    console = console_for(color, stream)
    return (
        console
        if is_foreground_terminal(sys.stdin.fileno()) and console.is_terminal and not console.is_dumb_terminal
        else None
    )


@contextmanager
def interactive_screen(
    mode: Literal["read", "watch"],
    source: str,
    bundle: str,
    console: "Console",
    keep_open: Callable[[], bool],
    marking: "Marking | None" = None,
) -> Iterator["ScreenThread"]:
    """The interactive view in a thread of its own; the terminal is restored on every way out.

    keep_open: whether the view of a run that has ended stays until the operator dismisses it. marking: of the site's
    notes, None without any.
    """
    from sensor.terminal.dashboard import Dashboard
    from sensor.terminal.keyboard import Keyboard
    from sensor.terminal.screen_thread import ScreenThread
    from sensor.terminal.terminal_control import TerminalControl

    view = Dashboard(console, mode, source, bundle, marking=marking)
    if mode == "watch":
        view.board.quit_question = "End this watch?"
    with Keyboard(sys.stdin.fileno()) as keyboard:
        control = TerminalControl(keyboard, view, keep_open)
        with control.handling_signals(), ScreenThread(view, control) as screen:
            if marking is not None and marking.problem:
                screen.note(f"no rule can be written: {marking.problem}; m hides on this screen alone")
            yield screen
