"""The interactive view as lines: header, list, detail of the selected alert, and a line for keys.

State goes in and text comes out; it knows no terminal, and the size is an argument.
"""

from dataclasses import dataclass
from typing import Final

from rich.text import Text

from sensor.alerts.words import clock_time, who
from sensor.progress.progress import Progress
from sensor.terminal.alert_list import alert_list, lines_per_row
from sensor.terminal.board import SORTS, Board
from sensor.terminal.detail import detail
from sensor.terminal.glyphs import Glyphs, fit_line, safe_text, wrapped
from sensor.terminal.header import Rates, header
from sensor.terminal.status import Mode
from sensor.terminal.traffic_pane import PANE_CELLS, traffic_pane

SPLIT: Final = 34  # lines from which on list and detail stand below each other
PANE_FROM: Final = 160  # cells from which on there is room for a pane of traffic beside the detail
DETAIL_LINES: Final = 23  # of a detail that are seen beside the list: its facts, and what to do next
_HELP_INDENT: Final = 19
_ASKED: Final = " is meant to be, because: "
_TYPED_CELLS: Final = 24  # of the end of what is typed, that are seen in a narrow terminal
HELP: Final = (
    ("up down, j k", "select an alert; Home, End, page keys"),
    ("Enter", "all about it; Enter or Esc goes back, Space and b scroll"),
    ("/", "search; Esc ends it"),
    ("m", "mute its source or technique: still counted and written; M: unmute"),
    ("s", "sort by newest, risk, flows, repeats"),
    ("t", "traffic: top talkers, services, protocols"),
    ("f", "freeze the list; f again lets it go on"),
    ("?", "this page"),
    ("q", "quit; a watch asks and ends in order, a sensor attached to goes on"),
    ("", ""),
    ("search", "src:10.0.0.0/8 dst:192.0.2.7 port:22 score:>=0.9 severity:>=70"),
    ("", "tech:T1046 verdict:attack lane:both, words, \"some words\""),
    ("", ""),
    ("HIGH MEDIUM LOW", "how bad it is if it is true; attack or uncertain: how sure"),
    ("known lane", "looks like an attack that the model has learned"),
    ("novel lane", "unlike this model's normal traffic"),
)  # fmt: skip
_KEYS_OF_PAGES: Final = {
    "detail": "Esc back  up down other alerts  Space b scroll  ? help",
    "help": "Space b scroll  any other key goes back",
    "traffic": "any key goes back",
}
# Where the site has notes.
HELP_OF_MARKING: Final = (("m", "asks why it is meant to be, and writes a rule to the site's notes: it lasts"),)
HELP_OF_NOTES: Final = (("n", "show or hide what the site's notes mute"),)


@dataclass(frozen=True, slots=True)
class Scene:
    """What a frame is drawn of."""

    mode: Mode  # what the run does
    source: str  # what it reads or watches, a name from outside
    bundle: str  # the bundle that judges, a name from outside
    progress: Progress  # how far the run is
    rates: Rates  # how fast the totals grow
    board: Board  # the alerts and what keys have made of them
    now_ns: int  # the wall clock, by which dates are left out
    ending: bool = False  # whether the run was asked to end
    note: tuple[int, str] | None = None  # a fresh event: when and what


def frame(scene: Scene, width: int, height: int, glyphs: Glyphs) -> list[Text]:
    """`height` lines of at most `width` cells."""
    board = scene.board
    top = header(scene.progress, scene.rates, scene.mode, scene.source, scene.bundle, width, scene.now_ns, glyphs)
    top.append(_list_title(board, width, glyphs))
    room = max(height - len(top) - 1, 0)
    middle = _middle(scene, width, room, glyphs)[:room]
    middle += [Text() for _ in range(room - len(middle))]
    lines = [*[*top, *middle][: max(height - 1, 0)], _bottom_line(scene, width, glyphs)]
    return [fit_line(line, width, glyphs) for line in lines][:height]


def list_rows(height: int) -> int:
    """Number of rows that a page key moves by, about a page."""
    return max(1, (height - 6) // 2)


def _middle(scene: Scene, width: int, room: int, glyphs: Glyphs) -> list[Text]:
    board, now_ns = scene.board, scene.now_ns
    if board.page == "help":
        lines = [line for keys, words in _help(board) for line in _help_lines(keys, words, width)]
        return _scrolled(board, lines, room)
    if board.page == "traffic":
        return _traffic(scene, width, room, glyphs)
    row = board.selected
    if board.page == "detail" and row is not None:
        return _scrolled(board, detail(row, width, now_ns, glyphs), room)
    if row is None:
        return [*alert_list(board, width, room, now_ns, glyphs), Text(), *_traffic(scene, width, room - 2, glyphs)]
    if room < SPLIT - 5:
        return alert_list(board, width, room, now_ns, glyphs)
    # The detail gets what the list does not need, and enough for its facts and what to do next.
    upper = min(len(board.rows) * lines_per_row(width), max(8, min(room // 2, room - DETAIL_LINES - 1)))
    listed = alert_list(board, width, upper, now_ns, glyphs)
    listed.append(Text(glyphs.empty * width, "dim"))
    if width < PANE_FROM or scene.progress.traffic is None:
        return [*listed, *detail(row, width, now_ns, glyphs)]
    below, left = room - len(listed), width - PANE_CELLS - 3
    pane = _traffic(scene, PANE_CELLS, below, glyphs)
    return [*listed, *_side_by_side(detail(row, left, now_ns, glyphs)[:below], pane, left, glyphs)]


def _scrolled(board: Board, lines: list[Text], room: int) -> list[Text]:
    """Lines from where they are scrolled to on, which is no further than to their end."""
    board.detail_offset = min(board.detail_offset, max(0, len(lines) - room))
    return lines[board.detail_offset :]


def _traffic(scene: Scene, width: int, height: int, glyphs: Glyphs) -> list[Text]:
    return traffic_pane(scene.progress.traffic, scene.rates, scene.mode, width, max(0, height), glyphs)


def _side_by_side(left: list[Text], right: list[Text], width: int, glyphs: Glyphs) -> list[Text]:
    """Lines of a width, a rule, and others to the right of it."""
    lines = []
    for at in range(max(len(left), len(right))):
        line = fit_line(left[at].copy(), width, glyphs) if at < len(left) else Text()
        line.pad_right(width - line.cell_len)
        lines.append(line.append(f" {glyphs.rule} ", "dim").append_text(right[at] if at < len(right) else Text()))
    return lines


def _help_lines(keys: str, words: str, width: int) -> list[Text]:
    """A key and what it does, on as many lines as that takes."""
    lines = wrapped(words, width, _HELP_INDENT)
    lines[0] = Text.assemble((f"  {keys:<{_HELP_INDENT - 3}} ", "bold"), lines[0].plain[_HELP_INDENT:])
    return lines


def _help(board: Board) -> list[tuple[str, str]]:
    """Keys and words of the help page; those of notes where the site has some, of marking where it can be done."""
    marking = HELP_OF_MARKING if board.marking is not None else ()
    notes = HELP_OF_NOTES if board.marking is not None or board.noted_alerts else ()
    return [*HELP, *([("", "")] if notes else []), *marking, *notes]


def _list_title(board: Board, width: int, glyphs: Glyphs) -> Text:
    """The line above the list: its position and order, and how many alerts it hides."""
    name, _ = SORTS[board.sort]
    rows = len(board.rows)
    words = [f"{board.position + 1 if rows else 0} of {rows:,}, {'newest first' if name == 'newest' else f'by {name}'}"]
    if board.frozen:
        words.append(f"FROZEN, {board.opened - board.frozen_since:,} more since")
    if board.mutes:
        words.append(f"{board.muted_alerts:,} muted")
    if board.noted_alerts:
        words.append(f"{board.noted_alerts:,} muted by site notes (n {'hides' if board.show_noted else 'shows'} them)")
    if board.query:
        words.append(f"search {safe_text(board.query, 60, glyphs)} hides {board.hidden:,}")
    if board.omitted:
        words.append(f"{board.omitted:,} not shown: too many at once")
    if board.forgotten:
        words.append(f"{board.forgotten:,} older ones of less risk let go")
    text = f"{glyphs.empty * 2} {f' {glyphs.dot} '.join(words)} "
    line = fit_line(Text(text, "bold yellow" if board.frozen else "bold"), width, glyphs)
    line.append(glyphs.empty * max(0, width - line.cell_len))
    return line


def _bottom_line(scene: Scene, width: int, glyphs: Glyphs) -> Text:
    board = scene.board
    if scene.ending:
        return Text(safe_text(board.ending_text, 200, glyphs), "bold reverse")
    if board.page == "search":
        return _prompt(board, "/", "Enter finds, Esc leaves", width, glyphs)
    if board.page == "quit":
        return Text(f"{board.quit_question} q or y ends it, any other key does not", "bold reverse")
    if board.page == "why" and board.selected is not None:
        room = max(0, min(60, width - _TYPED_CELLS - len(_ASKED)))
        whose = fit_line(Text(safe_text(who(board.selected.newest, glyphs.arrow), 90, glyphs)), room, glyphs).plain
        asked = "because: " if board.search_error else f"{whose}{_ASKED}"
        return _prompt(board, asked, "Enter writes a rule, Esc leaves", width, glyphs)
    if board.page == "mute" and board.selected is not None:
        source, name = (safe_text(word, 40, glyphs) for word in board.selected.key[:2])
        return Text(f"mute: s source {source}, t technique {name}, any other key neither", "bold reverse")
    if scene.note is not None and (not board.at_end or board.answered):  # events are printed at the end too
        time_ns, message = scene.note
        return Text.assemble((f"{clock_time(time_ns)} NOTE ", "bold yellow"), safe_text(message, 300, glyphs))
    keys = "? help  Enter detail  / search  m mute  s sort  t traffic  q quit"
    keys = _KEYS_OF_PAGES.get(board.page, keys)
    end = f"{safe_text(board.end_text, 60, glyphs)}  " if board.at_end else ""
    return Text.assemble((end, "bold green"), (keys, "dim"))


def _prompt(board: Board, asked: str, keys: str, width: int, glyphs: Glyphs) -> Text:
    """A prompt: the end of what was typed, and the error of what was typed last. keys: those that end it."""
    typed = Text(safe_text(board.typed, 400, glyphs))
    search_error = f"  {safe_text(board.search_error, 200, glyphs)}" if board.search_error else f"  {keys}"
    beside = width // 2 if board.search_error else width - len(keys) - 5
    least = 7 if board.search_error else max(7, min(_TYPED_CELLS, width - len(asked) - 2))  # before the keys
    room = max(beside - len(asked), least) + 1
    while typed.cell_len > room:
        typed = typed[1:]
    return Text.assemble(
        (asked, "bold"), typed, ("_", "blink"), (search_error, "bold red" if board.search_error else "dim")
    )
