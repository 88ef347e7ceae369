"""`flowvigil watch --attach`: what a running sensor tells, on this terminal or as JSON lines. Needs no model."""

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import typer

from sensor import log
from sensor.alerts.alert import Alert
from sensor.alerts.drift_record import DriftRecord
from sensor.alerts.reading import NativeLine, UnreadableLineError
from sensor.alerts.sensor_records import EventRecord
from sensor.attach.client import Attachment
from sensor.attach.protocol import LeftOut, Message
from sensor.cli.options import Color
from sensor.cli.screens import interactive_console, screen_for
from sensor.cli.signals import stopped_by_signals
from sensor.cli.stdout import write_lines
from sensor.errors import CAPTURE, OK, OUTPUT
from sensor.printable import printable
from sensor.progress.progress import Progress

if TYPE_CHECKING:
    from sensor.terminal.board import Board
    from sensor.terminal.screen_thread import ScreenThread

TAKEN: Final = frozenset({"attach", "json", "quiet", "color"})  # options that say how to look, not how to watch
LEAVING: Final = "leaving: the sensor goes on"


def attach_to(context: typer.Context, path: Path, *, json: bool, quiet: bool, color: Color) -> int:
    """Show the sensor that listens at `path` until it ends or the operator leaves. Raises CaptureError."""
    refuse_others(context)
    with Attachment(path) as attachment, ExitStack() as stack:
        shown = AttachedView(attachment, lines_on_stdout=json or not sys.stdout.isatty())
        shown.screen = stack.enter_context(_screen(shown, quiet=quiet, color=color))
        stack.enter_context(stopped_by_signals(attachment))
        code = shown.run()
    for words in attachment.errors.words():
        log.warning(words)
    return code


def refuse_others(context: typer.Context) -> None:
    """Fail with a usage error for an option that means nothing to a sensor that runs already."""
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        if parameter.name not in TAKEN and source is not None and source.name == "COMMANDLINE":
            names = " or ".join(parameter.opts)
            context.fail(f"found {names} beside --attach, which shows a sensor as it was started")


@dataclass(slots=True)
class AttachedView:
    """What a sensor says, on this terminal or as lines on stdout."""

    attachment: Attachment  # the connection to the sensor
    lines_on_stdout: bool  # whether the sensor's lines are passed on
    screen: "ScreenThread" = field(init=False)  # where it is shown
    board: "Board | None" = None  # of the view that takes keys, if any
    _progress: Progress = field(default_factory=Progress)  # the latest
    _left_out: int = 0  # lines that the sensor left out

    @property
    def source(self) -> str:
        """What the sensor watches, and whose it is."""
        hello = self.attachment.hello
        return f"{printable(hello.source, 40)} on {printable(hello.observer, 40)}"

    def run(self) -> int:
        """Take in messages to the end; the exit code."""
        self.attachment.silent = lambda: self.screen.note("nothing heard from the sensor for 5 s")
        for message in self.attachment.messages():
            self._handle(message)
        words, code = self._end()
        if self.board is not None:
            self.board.end_text = words
        self.screen.finish(self._progress, [words] if code else [])
        return code or (OUTPUT if self._left_out and self.lines_on_stdout else OK)

    def _handle(self, message: Message) -> None:
        if isinstance(message, Progress):
            self._progress = message
            self.screen.update(message, [])
        elif isinstance(message, LeftOut):
            self._left_out += message.lines
            self.screen.left_out(message.lines)
            if self.lines_on_stdout:
                log.warning(f"{message.lines:,} lines of the sensor left out: they were read too slowly")
        elif isinstance(message, NativeLine):
            self._show(message)

    def _show(self, native: NativeLine) -> None:
        try:
            record = native.record()
        except UnreadableLineError as error:
            self.attachment.leave_out(error)
            return
        if self.lines_on_stdout:
            write_lines((native.line,), lambda: self.attachment.stopping)
        elif isinstance(record, Alert):
            self.screen.update(self._progress, [record])
        if isinstance(record, EventRecord | DriftRecord):
            self.screen.note(record.message)

    def _end(self) -> tuple[str, int]:
        """How it ended, in words, and the exit code that this has."""
        if self.attachment.stopping:
            return "left", OK
        ended = self.attachment.ended
        if ended is None:
            return "the sensor has gone without a word", CAPTURE
        return (f"the sensor has ended: {ended.problem}", CAPTURE) if ended.problem else ("the sensor has ended", OK)


def _screen(shown: AttachedView, *, quiet: bool, color: Color) -> AbstractContextManager["ScreenThread"]:
    """As a watch has it: a terminal may stand still."""
    from sensor.terminal.screen_thread import ScreenThread, own_stream

    streams = own_stream(sys.stdout), own_stream(sys.stderr)
    lines_on_stdout = shown.lines_on_stdout
    if not quiet and not lines_on_stdout and interactive_console(color, streams[0]):
        return _interactive(shown, color)
    screen = screen_for("watch", shown.source, streams, lines_on_stdout=lines_on_stdout, quiet=quiet, color=color)
    return ScreenThread(screen)


@contextmanager
def _interactive(shown: AttachedView, color: Color) -> Iterator["ScreenThread"]:
    """The view that takes keys; when the sensor has ended it keep_open until the operator has seen enough."""
    from sensor.cli.screens import console_for
    from sensor.terminal.dashboard import Dashboard
    from sensor.terminal.keyboard import Keyboard
    from sensor.terminal.screen_thread import ScreenThread, own_stream
    from sensor.terminal.terminal_control import TerminalControl

    attachment = shown.attachment
    view = Dashboard(console_for(color, own_stream(sys.stdout)), "watch", shown.source, attachment.hello.bundle)
    view.board.ending_text = LEAVING
    shown.board = view.board
    with Keyboard(sys.stdin.fileno()) as keyboard:
        operator = TerminalControl(keyboard, view, keep_open=lambda: not attachment.stopping)
        with operator.handling_signals(), ScreenThread(view, operator) as screen:
            yield screen
