"""How a run is shown: the options of that, the outputs that its lines go to, its screen, and who looks on."""

import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sensor.cli.build import observer
from sensor.cli.options import Color
from sensor.cli.screens import interactive_console, interactive_screen, screen_for, stdout_is_listed

if TYPE_CHECKING:
    from models.fusion import Hybrid
    from sensor.outputs.outputs import Prepared
    from sensor.process.privileges import User
    from sensor.run.looking import Looking
    from sensor.settings.config import Config
    from sensor.site.marking import Marking
    from sensor.terminal.screen import Screen
    from sensor.terminal.screen_thread import ScreenThread


@dataclass(frozen=True, slots=True)
class DisplayOptions:
    """The options of the command line for how a run is shown."""

    json: bool  # JSON lines on stdout also where that is a terminal
    quiet: bool  # problems only
    color: Color

    def lines_on_stdout(self, config: "Config") -> bool:
        """Whether stdout has JSON lines, and so nothing else."""
        return self.json or stdout_is_listed(config) or not sys.stdout.isatty()

    def has_view(self, config: "Config") -> bool:
        """Whether somebody looks on: the terminal shows more than lines."""
        return not self.quiet and not self.lines_on_stdout(config)


def prepared_for(config: "Config", display: DisplayOptions, user: "User | None") -> "list[Prepared]":
    """All outputs, with what needs privileges done and their modules loaded."""
    from sensor.outputs.outputs import prepared_outputs
    from sensor.settings.outputs import all_outputs

    entries = all_outputs(config.output.file, config.outputs, lines_on_stdout=display.lines_on_stdout(config))
    return prepared_outputs(entries, observer(config).name, user)


def screen_of_reading(
    stack: ExitStack,
    config: "Config",
    captures: Sequence[str],
    display: DisplayOptions,
    bundle: str,
    keep_open: Callable[[], bool],
    marking: "Marking | None",
) -> "Screen":
    """The screen of a run over captures. keep_open: whether an interactive view stays until it is dismissed."""
    from sensor.terminal.screen_thread import own_stream

    source = Path(captures[0]).name or captures[0] if len(captures) == 1 else f"{len(captures)} captures"
    lines_on_stdout = display.lines_on_stdout(config)
    if not display.quiet and not lines_on_stdout:
        console = interactive_console(display.color, own_stream(sys.stdout))
        if console is not None:
            return stack.enter_context(interactive_screen("read", source, bundle, console, keep_open, marking))
    streams = sys.stdout, sys.stderr
    screen = screen_for(
        "read", source, streams, lines_on_stdout=lines_on_stdout, quiet=display.quiet, color=display.color
    )
    if isinstance(screen, AbstractContextManager):
        stack.enter_context(screen)
    return screen


def screen_of_watch(
    display: DisplayOptions, config: "Config", source: str, hybrid: "Hybrid", marking: "Marking | None"
) -> AbstractContextManager["ScreenThread"]:
    """The screen of a watch, in a thread of its own, as its terminal may block."""
    from sensor.terminal.screen_thread import ScreenThread, own_stream

    streams = own_stream(sys.stdout), own_stream(sys.stderr)
    lines_on_stdout = display.lines_on_stdout(config)
    if not display.quiet and not lines_on_stdout and (console := interactive_console(display.color, streams[0])):
        return interactive_screen("watch", source, hybrid.model_id, console, lambda: False, marking)
    return ScreenThread(
        screen_for("watch", source, streams, lines_on_stdout=lines_on_stdout, quiet=display.quiet, color=display.color)
    )


def looking_on(display: DisplayOptions, config: "Config", *, live: bool) -> "Looking | None":
    """What shows who talks most and how open alerts stand, None where neither a view nor an attached one may ask."""
    from sensor.run.looking import at_captures, at_interfaces

    if not live:
        return at_captures() if display.has_view(config) else None
    return at_interfaces() if display.has_view(config) or config.attach.socket is not None else None
