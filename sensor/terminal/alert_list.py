"""The alert list of the interactive view: a row for each source and technique, on one line in a wide terminal."""

from typing import Final

from rich.text import Text

from sensor.alerts.alert import Alert
from sensor.alerts.spread import counted
from sensor.alerts.words import lane_in_words, muted_in_words, severity_word, when, who
from sensor.terminal.alert_text import title_text
from sensor.terminal.board import Board, BoardRow
from sensor.terminal.glyphs import SEVERITY_STYLES, Glyphs, fit_line, safe_text

WIDE: Final = 180  # cells of a terminal from which on a row is one line
_WHO_CELLS, _WHAT_CELLS, _STATE_CELLS = 44, 34, 7


def lines_per_row(width: int) -> int:
    """Lines of a row."""
    return 1 if width >= WIDE else 2


def alert_list(board: Board, width: int, height: int, now_ns: int, glyphs: Glyphs) -> list[Text]:
    """The rows around the selected one, at most `height` lines. now_ns: the wall clock, whose date is left out."""
    rows, each = board.rows, lines_per_row(width)
    fit = max(1, height // each)
    first = min(max(0, board.position - fit // 2), max(0, len(rows) - fit))
    shown = rows[first : first + fit]
    times = [when(row.start_ns, row.end_ns, now_ns, glyphs.dash) for row in shown]
    cells = max(map(len, times), default=0)
    lines: list[Text] = []
    for index, (row, time) in enumerate(zip(shown, times, strict=True), first):
        lines += _row(row, time.ljust(cells) if each == 1 else time, index == board.position, width, glyphs)
    return lines[:height] if rows else [Text(_empty_text(board), "dim")]


def severity_mark(alert: Alert, glyphs: Glyphs) -> tuple[str, str]:
    """Glyph and word of the severity, and their style; either is clear without the colour."""
    word = severity_word(alert.severity)
    return f"{glyphs.severities[word]} {word.upper():<6}", SEVERITY_STYLES[word]


def _row(row: BoardRow, time: str, selected: bool, width: int, glyphs: Glyphs) -> list[Text]:
    alert, repeats = row.newest, len(row.episodes)
    # A selected row has a pointer too, for terminals without reverse video.
    style = "reverse" if selected else ""
    pointer = f"{glyphs.pointer} " if selected else "  "
    state = (row.state, "bold" if row.state == "open" else "")
    names = safe_text(who(alert, glyphs.arrow), 120, glyphs)
    title = safe_text(title_text(alert), 80, glyphs)
    again = f" {glyphs.times}{repeats}" if repeats > 1 else ""
    muted = f"{safe_text(muted_in_words(alert), 200, glyphs)}; " if alert.muted else ""
    why = Text.assemble(
        muted,
        (f"{alert.verdict}, {lane_in_words(alert)}", "italic"),
        f": {safe_text(alert.reason, 480, glyphs)}",
    )
    if width >= WIDE:
        head = Text.assemble(pointer, severity_mark(alert, glyphs), f" {time} ", state)
        head.pad_right(_STATE_CELLS - len(row.state))
        line = head + _cell(names, _WHO_CELLS, "", glyphs) + _cell(title + again, _WHAT_CELLS, "bold", glyphs) + why
        return [_fill(line, width, style, glyphs)]
    line = Text.assemble(
        pointer, severity_mark(alert, glyphs), " ", names, "  ", (title, "bold"), (again, "bold")
    )  # fmt: skip
    below = Text.assemble("    ", time, " ", state, f" {glyphs.dot} ") + why
    if not selected:
        below.stylize("dim")
    return [_fill(line, width, style, glyphs), _fill(below, width, "", glyphs)]


def _cell(words: str, cells: int, style: str, glyphs: Glyphs) -> Text:
    text = fit_line(Text(words, style), cells - 2, glyphs)
    text.pad_right(cells - text.cell_len)
    return text


def _fill(line: Text, width: int, style: str, glyphs: Glyphs) -> Text:
    line = fit_line(line, width, glyphs)
    if style:
        line.pad_right(width - line.cell_len)
        line.stylize(style)
    return line


def _empty_text(board: Board) -> str:
    if board.query and board.hidden:
        return f"no alert matches; {board.hidden:,} do not (Esc ends the search)"
    if board.noted_alerts and not board.muted_alerts:
        return f"nothing but {counted(board.noted_alerts, 'alert')} muted by site notes (n shows them)"
    if board.muted_alerts:
        return f"nothing but {board.muted_alerts:,} muted alerts (M shows them)"
    return "no alert so far"
