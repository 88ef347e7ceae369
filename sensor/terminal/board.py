"""The state of the interactive view and how keys change it: alerts, selection, search, mutes. It draws nothing.

Episodes of one source and technique share a row. Mutes and searches only hide alerts: they are counted and written to
the outputs all the same. Where the site has notes, a mute is a rule of theirs with its reason, and lasts.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal, Protocol

from sensor.alerts.alert import Alert
from sensor.alerts.words import state_word
from sensor.errors import SensorError
from sensor.progress.progress import OpenAlert
from sensor.site.notes import SiteNotes
from sensor.terminal.grouping import Key, group_key, source_key, technique_key
from sensor.terminal.standing import as_it_stands

AlertFilter = Callable[[Alert], bool]
Page = Literal["list", "detail", "search", "mute", "why", "help", "quit", "traffic"]
Mute = tuple[Literal["source", "technique"], str]

MAX_EPISODES: Final = 1000  # retained: the latest ones, and of those before them the ones of the highest risk
LATEST: Final = MAX_EPISODES // 2
AT_ONCE: Final = 20  # that give way together: with hundreds, nothing else of the process would run meanwhile
MAX_TOLD: Final = 12  # lines of one episode
DETAIL_STEP: Final = 8  # lines that a page key scrolls
MAX_QUERY_CHARACTERS: Final = 200  # of a query or a reason
MAX_NOTES: Final = 20

# Name, and what a row is ranked by, largest first.
SORTS: Final[tuple[tuple[str, Callable[["BoardRow"], tuple[float, ...]]], ...]] = (
    ("newest", lambda row: (row.newest.time_ns, row.newest.sequence)),
    ("risk", lambda row: (row.newest.risk, row.newest.time_ns)),
    ("flows", lambda row: (sum(episode.newest.spread.flows for episode in row.episodes), row.newest.time_ns)),
    ("repeats", lambda row: (len(row.episodes), row.newest.time_ns)),
)


class NotesWriter(Protocol):
    """Whoever adds to the site's notes (sensor.site.marking.Marking)."""

    @property
    def notes(self) -> SiteNotes:
        """The notes as they are now."""

    @property
    def problem(self) -> str:
        """Why nothing can be written, in words; nothing where it can."""

    def mark_false(self, alert: Alert, why: str) -> str:
        """Write that an alert is meant to be; what was done, in words. Raises SensorError."""


@dataclass(frozen=True, slots=True)
class ToldLine:
    """What is kept of a line that was written of an episode; a whole alert would be twenty times as much."""

    time_ns: int
    sequence: int
    action: str
    flows: int
    verdict: str
    risk: float


@dataclass(frozen=True, slots=True)
class EpisodeHistory:
    """The alerts of one episode so far."""

    newest: Alert
    first: ToldLine
    told: tuple[ToldLine, ...]  # the latest MAX_TOLD, the newest among them, in order


@dataclass(frozen=True, slots=True)
class BoardRow:
    """Episodes of one source and technique in one capture."""

    key: Key
    episodes: tuple[EpisodeHistory, ...]  # in the order in which they opened
    newest: Alert  # the newest of all of them

    @property
    def history(self) -> EpisodeHistory:
        """The episode of the newest alert."""
        return next(episode for episode in reversed(self.episodes) if episode.newest.key == self.newest.key)

    @property
    def start_ns(self) -> int:
        """When the first of them began."""
        return min(episode.newest.start_ns for episode in self.episodes)

    @property
    def end_ns(self) -> int:
        """When the one that moved last did."""
        return max(episode.newest.end_ns for episode in self.episodes)

    @property
    def state(self) -> str:
        """Open while one of them goes on, else closed."""
        states = {state_word(episode.newest) for episode in self.episodes}
        return "open" if "open" in states else "closed"


def match_all(_alert: Alert) -> bool:
    """The filter of an empty search: true for every alert."""
    return True


@dataclass(slots=True)
class Board:
    """State of the view."""

    search: Callable[[str], AlertFilter]  # parses a query into a filter; raises ValueError for one that is wrong
    marking: NotesWriter | None = None  # of the site's notes, None without any
    page: Page = "list"  # what is shown
    sort: int = 0  # index in SORTS
    query: str = ""  # the current search, "" for none
    typed: str = ""  # the query being typed on the search page, or the reason on the page that asks why
    search_error: str = ""  # of what was typed
    said: str = ""  # an event to be shown, one line
    answered: bool = False  # whether the latest event is the answer to the last key
    show_noted: bool = False  # whether alerts that notes of the site mute are shown
    mutes: set[Mute] = field(default_factory=set)  # hidden sources and techniques
    frozen: bool = False  # whether new alerts are not shown for now
    quit: bool = False  # whether the operator has quit
    quit_question: str = ""  # what is asked, once, before the key to quit does so; "" for nothing
    at_end: bool = False  # whether nothing more will come
    ending_text: str = "ending: judging what has come, closing the open alerts"  # the bottom line after quit
    end_text: str = "at its end"  # the bottom line at the end
    detail_offset: int = 0  # lines by which the detail or the help is scrolled down
    hidden: int = 0  # retained alerts that the search hides
    muted_alerts: int = 0  # retained alerts that mutes hide
    noted_alerts: int = 0  # retained alerts that notes of the site mute
    opened: int = 0  # episodes opened so far
    frozen_since: int = 0  # episodes opened before the view was frozen
    omitted: int = 0  # alerts that were not passed to the view, because the terminal was too slow
    forgotten: int = 0  # episodes that gave way to later or graver ones
    # The latest events: time in ns since 1970 and message.
    notes: deque[tuple[int, str]] = field(default_factory=lambda: deque(maxlen=MAX_NOTES))
    _histories: dict[tuple[str, str, str], EpisodeHistory] = field(default_factory=dict)  # by the alerts' key
    _filter: AlertFilter = match_all
    _open: dict[str, OpenAlert] = field(default_factory=dict)
    _selected: BoardRow | None = None  # as it was when it was chosen
    _chosen: BoardRow | None = None  # what was selected before a mute was asked for
    _position: int = 0
    _rows: list[BoardRow] | None = None
    _frozen_histories: tuple[EpisodeHistory, ...] | None = None

    def add(self, alerts: Sequence[Alert]) -> None:
        """Add alerts of new and known episodes."""
        for alert in alerts:
            self.opened += alert.action == "opened"
            line, history = _told(alert), self._histories.pop(alert.key, None)
            # A new value, not a changed one: a frozen view keeps what it shows.
            first, earlier = (line, ()) if history is None else (history.first, history.told)
            self._histories[alert.key] = EpisodeHistory(alert, first, (*earlier, line)[-MAX_TOLD:])
            if len(self._histories) >= MAX_EPISODES + AT_ONCE:
                self._drop_least()
        if alerts and not self.frozen:
            self._rows = None

    def see(self, open_alerts: Sequence[OpenAlert]) -> None:
        """Take over how open alerts stand now; those that are not among them stay as their lines have them."""
        if not self.frozen and (open_alerts or self._open):
            self._open = {alert.id: alert for alert in open_alerts}
            self._rows = None

    @property
    def rows(self) -> list[BoardRow]:
        """The rows of the list, in its order."""
        if self._rows is None:
            self._rows = self._filtered_rows()
            self._restore_selection()
        return self._rows

    @property
    def position(self) -> int:
        """Index of the selected row; 0 for an empty list."""
        return self._position if self.rows else 0

    @property
    def selected(self) -> BoardRow | None:
        """The selected row, which keys apply to; None for an empty list."""
        return self.rows[self.position] if self.rows else None

    @property
    def latest(self) -> list[Alert]:
        """The newest alert of every retained episode, muted or not."""
        return [history.newest for history in self._histories.values()]

    def press(self, key: str, page_rows: int = 10) -> None:
        """Handle a key as the current page defines it. page_rows: rows that the list shows at once."""
        if self.page == "search":
            self._type(key)
        elif self.page == "mute":
            self._mute(key)
        elif self.page == "quit":
            self.page, self.quit = "list", key in ("q", "y")
        elif self.page == "why":
            self._give_reason(key)
        elif self.page == "help" and key in ("page up", "page down", " ", "b"):
            self._scroll(1 if key in ("page down", " ") else -1)
        elif self.page in ("help", "traffic") or (
            self.page == "detail" and key in ("enter", "escape", "backspace", "q")
        ):
            self.page = "list"
        elif key in ("up", "k"):
            self._move(-1)
        elif key in ("down", "j"):
            self._move(1)
        elif key in ("page up", "page down", " ", "b"):
            self._scroll(page_rows if key in ("page down", " ") else -page_rows)
        elif key in ("home", "g", "end", "G"):
            self._move(-len(self.rows) if key in ("home", "g") else len(self.rows))
        else:
            self._command(key)

    def _drop_least(self) -> None:
        earlier = list(self._histories.values())[:-LATEST]
        for history in sorted(earlier, key=lambda history: history.newest.risk)[:AT_ONCE]:
            del self._histories[history.newest.key]
        self.forgotten += AT_ONCE

    def _command(self, key: str) -> None:
        if key == "enter" and self.selected is not None:
            self.page, self.detail_offset, self._selected = "detail", 0, self.selected
        elif key == "/":
            self.page, self.typed, self.search_error = "search", self.query, ""
        elif key == "escape":
            self._search("")
        elif key == "m" and self.selected is not None:
            self._begin_mute()
        elif key == "n":
            self.show_noted = not self.show_noted
            self._rows = None
        elif key == "M":
            self.mutes.clear()
            self._rows = None
        elif key == "s":
            self.sort = (self.sort + 1) % len(SORTS)
            self._rows = None
        elif key == "f":
            self._freeze()
        elif key in ("?", "t"):
            self.page, self.detail_offset = "help" if key == "?" else "traffic", 0
        elif key == "q" and self.quit_question and not self.at_end:
            self.page = "quit"
        elif key == "q":
            self.quit = True

    def _freeze(self) -> None:
        self.frozen = not self.frozen
        self._frozen_histories = tuple(self._histories.values()) if self.frozen else None
        self.frozen_since = self.opened
        self._rows = None

    def _move(self, steps: int) -> None:
        self._position = min(max(self.position + steps, 0), max(len(self.rows) - 1, 0))
        row = self.selected
        # A selection of the first row stays with the first row, so that new alerts are selected as they come.
        self._selected = row if self._position or self.page == "detail" else None
        self.detail_offset = 0

    def _scroll(self, rows: int) -> None:
        if self.page in ("detail", "help"):
            self.detail_offset = max(0, self.detail_offset + (DETAIL_STEP if rows > 0 else -DETAIL_STEP))
        else:
            self._move(rows)

    def _restore_selection(self) -> None:
        """Move the selection to the new index of its row: the one that has its episode now, else its key."""
        rows, chosen = self._rows or [], self._selected
        if chosen is None:
            self._position = 0 if self.page == "list" else self._position
            return
        places = {row.key: place for place, row in enumerate(rows)}
        otherwise = places.get(chosen.key, min(self._position, max(len(rows) - 1, 0)))
        episode = chosen.newest.key
        self._position = next(
            (place for place, row in enumerate(rows) if any(each.newest.key == episode for each in row.episodes)),
            otherwise,
        )

    def _type(self, key: str) -> None:
        self.search_error = ""
        if key == "enter":
            self._search(self.typed)
        else:
            self._edit(key)

    def _edit(self, key: str) -> None:
        if key == "escape":
            self.page = "list"
        elif key == "backspace":
            self.typed = self.typed[:-1]
        elif key == "clear":
            self.typed = ""
        elif len(key) == 1 and len(self.typed) < MAX_QUERY_CHARACTERS:
            self.typed += key

    def _search(self, query: str) -> None:
        query = query.strip()
        try:
            self._filter = self.search(query) if query else match_all
        except ValueError as error:
            self.search_error = str(error)
            return
        self.page, self.query, self._rows = "list", query, None

    def _begin_mute(self) -> None:
        """Ask for the reason of a rule; where none can be written, what to hide on this screen alone."""
        # The alert that is asked about stays selected, whatever comes before the answer.
        self._chosen, self._selected = self._selected, self.selected
        self.page = "mute"
        if self.marking is None:
            return
        problem = self.marking.problem
        if problem:
            self.said = f"no rule can be written: {problem}; m hides on this screen alone"
            return
        self.page, self.typed, self.search_error = "why", "", ""

    def _give_reason(self, key: str) -> None:
        self.search_error = ""
        row = self.selected
        if key != "enter" or self.marking is None or row is None:
            self._edit(key)
            return
        try:
            self.said = self.marking.mark_false(row.newest, self.typed)
        except SensorError as error:
            self.search_error = str(error)
            return
        self.page = "list"
        self._note_again(self.marking.notes)

    def _note_again(self, notes: SiteNotes) -> None:
        """See what is shown as changed notes do."""
        self._histories = {
            name: replace(history, newest=notes.of(history.newest)) for name, history in self._histories.items()
        }
        if self._frozen_histories is not None:
            self._frozen_histories = tuple(
                replace(history, newest=notes.of(history.newest)) for history in self._frozen_histories
            )
        self._rows = None

    def _mute(self, key: str) -> None:
        row = self.selected
        self.page = "list"
        if row is None:
            return
        if key == "s":
            self.mutes.add(("source", source_key(row.newest)))
        elif key == "t":
            self.mutes.add(("technique", technique_key(row.newest)))
        self._selected = self._chosen
        self._rows = None

    def _muted(self, alert: Alert) -> bool:
        return ("source", source_key(alert)) in self.mutes or ("technique", technique_key(alert)) in self.mutes

    def _filtered_rows(self) -> list[BoardRow]:
        self.hidden = self.muted_alerts = self.noted_alerts = 0
        groups: dict[Key, list[EpisodeHistory]] = {}
        for history in self._histories.values() if self._frozen_histories is None else self._frozen_histories:
            noted = history.newest.muted is not None
            self.noted_alerts += noted
            if noted and not self.show_noted:
                continue
            if self._muted(history.newest):
                self.muted_alerts += 1
            elif not self._filter(history.newest):
                self.hidden += 1
            else:
                groups.setdefault(group_key(history.newest), []).append(self._standing(history))
        rows = [_row(key, group) for key, group in groups.items()]
        _, rank = SORTS[self.sort]
        return sorted(rows, key=rank, reverse=True)

    def _standing(self, history: EpisodeHistory) -> EpisodeHistory:
        now = self._open.get(history.newest.id)
        return history if now is None else replace(history, newest=as_it_stands(history.newest, now))


def _told(alert: Alert) -> ToldLine:
    return ToldLine(alert.time_ns, alert.sequence, alert.action, alert.spread.flows, alert.verdict, alert.risk)


def _row(key: Key, group: list[EpisodeHistory]) -> BoardRow:
    episodes = sorted(group, key=lambda history: (history.first.time_ns, history.first.sequence))
    newest = max((history.newest for history in group), key=lambda alert: (alert.time_ns, alert.sequence))
    return BoardRow(key, tuple(episodes), newest)
