"""The interactive view on a terminal: handles the reports of a run and keys, and draws what has changed.

It draws the whole screen of the terminal, twice a second at most but for keys, and only the lines that differ from what
is there. What was on the screen before comes back at the end, with the summary below it.
"""

import os
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Final, Self

from rich.console import Console, RenderableType
from rich.control import Control
from rich.segment import ControlType
from rich.text import Text

from sensor.alerts.alert import Alert
from sensor.alerts.query import parse
from sensor.alerts.words import when
from sensor.printable import printable
from sensor.progress.progress import Progress
from sensor.terminal.board import Board, NotesWriter
from sensor.terminal.frame import Scene, frame, list_rows
from sensor.terminal.glyphs import glyphs_for, only_ascii
from sensor.terminal.header import Rates
from sensor.terminal.status import Mode, summary

INTERVAL_S: Final = 0.5
# DEC private mode 7: terminals disagree on the width of some letters, and no line may spill into the one below it.
_NO_WRAP, _WRAP = "\x1b[?7l", "\x1b[?7h"
LEAVE_SEQUENCE: Final = f"{_WRAP}\x1b[?25h\x1b[?1049l"  # all that `leave_screen` writes
NOTE_S: Final = 10.0  # for which an event is in the last line


class Dashboard:
    """The interactive view of one run. Use as a context manager, so that the screen is restored."""

    def __init__(
        self,
        console: Console,
        mode: Mode,
        source: str,
        bundle: str,
        clock: Callable[[], float] = time.monotonic,
        wall_clock_ns: Callable[[], int] = time.time_ns,
        marking: NotesWriter | None = None,
    ) -> None:
        """source, bundle: names, escaped before they are shown; what judges later its progress says.

        clock: seconds, for the interval of drawing. wall_clock_ns: ns since 1970, for the times of events.
        marking: of the site's notes, None without any.
        """
        self.board = Board(lambda query: parse(query).matches, marking)
        self.ending = False  # whether the operator has quit and the run is ending
        self._console = console
        self._mode: Mode = mode
        self._source = printable(source, 60)
        self._bundle = bundle
        self._clock = clock
        self._wall_clock_ns = wall_clock_ns
        self._glyphs = glyphs_for(console)
        self._progress = Progress()
        self._rates = Rates()
        self._drawn_at = clock() - INTERVAL_S
        self._noted_at = clock() - NOTE_S
        self._lines: list[Text] = []
        self._size = (0, 0)
        self._on_screen = False  # whether the terminal's alternate screen is in use

    def __enter__(self) -> Self:
        if not self._glyphs.unicode:
            only_ascii(self._console)
        self.enter_screen()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave_screen()

    def update(self, progress: Progress, alerts: Sequence[Alert]) -> None:
        """Add new totals and alerts; draw when half a second has passed since the last drawing."""
        self.board.add(alerts)
        self._progress = progress
        now = self._clock()
        if now - self._drawn_at >= INTERVAL_S or self.board.at_end:  # of which there is no next one
            self._rates.update(progress)
            self.board.see(progress.open_alerts)
            self.draw()
            self._drawn_at = now

    def left_out(self, alerts: int) -> None:
        """Count alerts that were not passed to `update`, because the terminal was too slow."""
        self.board.omitted += alerts

    def note(self, message: str) -> None:
        """Show an event at once, in place of the key help."""
        self._add_note(message)
        self.draw()

    def press(self, keys: Sequence[str]) -> None:
        """Handle keys and draw."""
        self.board.answered = False
        for key in keys:
            if key == "redraw":
                self._lines = []
            else:
                self.board.press(key, list_rows(self._size[1]))
        if self.board.said:
            self._add_note(self.board.said)
            self.board.said, self.board.answered = "", True
        self.draw()

    def redraw_if_resized(self) -> None:
        """Draw if the terminal has another size than at the last drawing."""
        if self._on_screen and self._terminal_size() != self._size:
            self.draw()

    def show_ending(self) -> None:
        """Show that the run is ending."""
        self.ending = True
        self.draw()

    def finish(self, progress: Progress, problems: Sequence[str] = ()) -> None:
        """Leave the screen, print events and summary. problems: why an input was not read to its end."""
        self.leave_screen()
        now_ns = self._wall_clock_ns()
        for time_ns, message in self.board.notes:
            moment = when(time_ns, time_ns, now_ns)
            self._print(Text.assemble((moment, "dim"), " ", ("NOTE  ", "bold"), f" {printable(message, 400)}"))
        self._print(summary(progress, self._mode, self._source, self.board.latest, problems, self._glyphs))

    def leave_screen(self) -> None:
        """Restore the terminal's screen, cursor and wrapping."""
        if self._on_screen:
            self._on_screen = False
            self._console.file.write(_WRAP)
            self._console.show_cursor(True)
            self._console.set_alt_screen(False)

    def enter_screen(self) -> None:
        """Switch to the alternate screen and draw."""
        if not self._on_screen:
            self._on_screen = True
            self._console.set_alt_screen(True)
            self._console.show_cursor(False)
            self._console.file.write(_NO_WRAP)
        self._lines = []
        self.draw()

    def draw(self) -> None:
        """Bring the screen up to date."""
        if not self._on_screen:
            return
        width, height = size = self._terminal_size()
        lines = self.lines(width, height)
        with self._console:  # one write for all of it
            if size != self._size or len(lines) != len(self._lines):
                self._console.control(Control.clear())
                self._lines = [Text() for _ in lines]
            self._size = self._console.size = size  # also where COLUMNS says something else
            for row, (line, before) in enumerate(zip(lines, self._lines, strict=True)):
                if line != before:
                    self._console.control(Control.move_to(0, row))
                    self._console.print(line, end="", highlight=False, markup=False, width=width, crop=True)
                    if line.cell_len < width:
                        self._console.control(Control((ControlType.ERASE_IN_LINE, 0)))
        self._lines = lines

    def lines(self, width: int, height: int) -> list[Text]:
        """The view in its current state, for a terminal of this size."""
        return frame(self._scene(), width, height, self._glyphs)

    def _scene(self) -> Scene:
        notes = self.board.notes
        # By a clock that nobody sets: the wall clock's may go back.
        note = notes[-1] if notes and self._clock() - self._noted_at < NOTE_S else None
        rates = self._rates.averages(self._progress) if self.board.at_end else self._rates
        bundle = self._progress.bundle or self._bundle
        return Scene(
            self._mode,
            self._source,
            bundle,
            self._progress,
            rates,
            self.board,
            self._wall_clock_ns(),
            self.ending,
            note,
        )

    def _terminal_size(self) -> tuple[int, int]:
        """Columns and lines as they are now: the environment has those of the start."""
        try:
            width, height = os.get_terminal_size(self._console.file.fileno())
        except (OSError, ValueError):
            width, height = self._console.size
        return (width or 80, height or 24)

    def _add_note(self, message: str) -> None:
        self.board.notes.append((self._wall_clock_ns(), message))
        self._noted_at = self._clock()

    def _print(self, renderable: RenderableType) -> None:
        self._console.print(renderable, highlight=False)
