"""What the interactive view shows and how keys change it: alerts, selection, search, mutes. It draws nothing.

Episodes of one source and technique share a row. All that is muted or searched away is still counted, and still written
to the outputs: this is a view.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from sensor.alerts.alert import Alert

Matches = Callable[[Alert], bool]
Page = Literal["list", "detail", "search", "mute", "help"]
Mute = tuple[Literal["source", "technique"], str]
Key = tuple[str, str]

REMEMBERED: Final = 1000  # episodes: the gravest of up to twice as many
LINES_KEPT: Final = 40  # of each episode's history
DETAIL_STEP: Final = 8  # lines that a page key scrolls
SEARCH_LETTERS: Final = 200
NOTES_KEPT: Final = 20

# Name, and what a row is ranked by, largest first.
SORTS: Final[tuple[tuple[str, Callable[["BoardRow"], tuple[float, ...]]], ...]] = (
    ("newest", lambda row: (row.newest.time_ns, row.newest.sequence)),
    ("risk", lambda row: (row.newest.risk, row.newest.time_ns)),
    ("flows", lambda row: (sum(episode.newest.spread.flows for episode in row.episodes), row.newest.time_ns)),
    ("repeats", lambda row: (len(row.episodes), row.newest.time_ns)),
)


@dataclass(slots=True)
class EpisodeHistory:
    """What one episode's lines have said so far."""

    newest: Alert  # the newest line
    first: Alert  # the first line
    # The latest few, the newest among them.
    lines: deque[Alert] = field(default_factory=lambda: deque(maxlen=LINES_KEPT))


@dataclass(frozen=True, slots=True)
class BoardRow:
    """Episodes of one source and technique."""

    key: Key  # what they have in common
    episodes: tuple[EpisodeHistory, ...]  # in the order in which they opened
    newest: Alert  # the last word about any of them

    @property
    def history(self) -> EpisodeHistory:
        """The episode with the last word."""
        return next(episode for episode in reversed(self.episodes) if episode.newest.id == self.newest.id)


def key_of(alert: Alert) -> Key:
    """What makes alerts repeats of each other."""
    return source_of(alert), named(alert)


def source_of(alert: Alert) -> str:
    """What muting a source goes by: its address, or that it is a storm."""
    return "storms" if alert.hosts_merged else alert.source.ip


def named(alert: Alert) -> str:
    """The technique's id, the label where there is none, or the lane's word."""
    return alert.technique.id if alert.technique is not None else alert.label or alert.verdict


def everything(_alert: Alert) -> bool:
    """The search for nothing in particular."""
    return True


@dataclass(slots=True)
class Board:
    """State of the view."""

    search: Callable[[str], Matches]  # makes a matcher of what was typed; raises ValueError with what is wrong with it
    page: Page = "list"  # what is shown
    sort: int = 0  # place in SORTS
    query: str = ""  # the search that holds, "" without any
    typed: str = ""  # what is being typed on the page of the search
    complaint: str = ""  # what is wrong with it
    mutes: set[Mute] = field(default_factory=set)  # sources and techniques that are not shown
    frozen: bool = False  # whether what comes is not shown for now
    quit: bool = False  # whether the operator wants to leave
    at_end: bool = False  # whether nothing more will come
    ending_words: str = "ending: judging what has come, closing the open alerts"  # what stands below while it is left
    end_words: str = "at its end"  # what stands below at the end
    sheet: int = 0  # lines that the detail is scrolled down
    hidden: int = 0  # alerts left out by the search, of those that are remembered
    muted_alerts: int = 0  # alerts left out by mutes, of those that are remembered
    opened: int = 0  # alerts opened
    frozen_since: int = 0  # alerts opened before the view was frozen
    left_out: int = 0  # alerts that came while the terminal took nothing
    # When and what: the latest events.
    notes: deque[tuple[int, str]] = field(default_factory=lambda: deque(maxlen=NOTES_KEPT))
    _histories: dict[str, EpisodeHistory] = field(default_factory=dict)
    _matches: Matches = everything
    _selected: Key | None = None
    _at: int = 0
    _rows: list[BoardRow] | None = None
    _basis: tuple[EpisodeHistory, ...] | None = None

    def add(self, alerts: Sequence[Alert]) -> None:
        """Take in lines about episodes."""
        for alert in alerts:
            self.opened += alert.action == "opened"
            history = self._histories.pop(alert.id, None)
            if history is None:
                history = EpisodeHistory(alert, alert)
            # A new value, not a changed one: a frozen view keeps what it shows.
            lines = deque((*history.lines, alert), maxlen=LINES_KEPT)
            self._histories[alert.id] = EpisodeHistory(alert, history.first, lines)
        if len(self._histories) >= 2 * REMEMBERED:
            gravest = sorted(self._histories.values(), key=lambda history: -history.newest.risk)[:REMEMBERED]
            kept = {history.newest.id for history in gravest}
            self._histories = {name: history for name, history in self._histories.items() if name in kept}
        if alerts and not self.frozen:
            self._rows = None

    @property
    def rows(self) -> list[BoardRow]:
        """What the list shows, in its order."""
        if self._rows is None:
            self._rows = self._arranged()
            self._follow()
        return self._rows

    @property
    def at(self) -> int:
        """Place of the selected row; 0 where there is none."""
        return self._at if self.rows else 0

    @property
    def selected(self) -> BoardRow | None:
        """The row that keys speak about."""
        return self.rows[self.at] if self.rows else None

    @property
    def latest(self) -> list[Alert]:
        """Newest line of every episode remembered, muted or not."""
        return [history.newest for history in self._histories.values()]

    def press(self, key: str, page_rows: int = 10) -> None:
        """Do what a key means on the page at hand. page_rows: rows that the list shows at once."""
        if self.page == "search":
            self._type(key)
        elif self.page == "mute":
            self._mute(key)
        elif self.page == "help" or (self.page == "detail" and key in ("enter", "escape", "backspace", "q")):
            self.page = "list"
        elif key in ("up", "k"):
            self._move(-1)
        elif key in ("down", "j"):
            self._move(1)
        elif key in ("page up", "page down", " ", "b"):
            self._leaf(page_rows if key in ("page down", " ") else -page_rows)
        elif key in ("home", "g", "end", "G"):
            self._move(-len(self.rows) if key in ("home", "g") else len(self.rows))
        else:
            self._command(key)

    def _command(self, key: str) -> None:
        if key == "enter" and self.selected is not None:
            self.page, self.sheet, self._selected = "detail", 0, self.selected.key
        elif key == "/":
            self.page, self.typed, self.complaint = "search", self.query, ""
        elif key == "escape":
            self._search("")
        elif key == "m" and self.selected is not None:
            self.page = "mute"
        elif key == "M":
            self.mutes.clear()
            self._rows = None
        elif key == "s":
            self.sort = (self.sort + 1) % len(SORTS)
            self._rows = None
        elif key == "f":
            self._freeze()
        elif key == "?":
            self.page = "help"
        elif key == "q":
            self.quit = True

    def _freeze(self) -> None:
        self.frozen = not self.frozen
        self._basis = tuple(self._histories.values()) if self.frozen else None
        self.frozen_since = self.opened
        self._rows = None

    def _move(self, steps: int) -> None:
        self._at = min(max(self.at + steps, 0), max(len(self.rows) - 1, 0))
        row = self.selected
        # Whoever is at the top stays there: what comes is what they look at.
        self._selected = row.key if row is not None and (self._at or self.page == "detail") else None
        self.sheet = 0

    def _leaf(self, rows: int) -> None:
        if self.page == "detail":
            self.sheet = max(0, self.sheet + (DETAIL_STEP if rows > 0 else -DETAIL_STEP))
        else:
            self._move(rows)

    def _follow(self) -> None:
        """Keep the selection on its row wherever that has gone."""
        rows = self._rows or []
        if self._selected is None and self.page == "list":
            self._at = 0
            return
        places = {row.key: place for place, row in enumerate(rows)}
        self._at = places.get(self._selected, min(self._at, max(len(rows) - 1, 0))) if self._selected else self._at

    def _type(self, key: str) -> None:
        self.complaint = ""
        if key == "enter":
            self._search(self.typed)
        elif key == "escape":
            self.page = "list"
        elif key == "backspace":
            self.typed = self.typed[:-1]
        elif key == "clear":
            self.typed = ""
        elif len(key) == 1 and len(self.typed) < SEARCH_LETTERS:
            self.typed += key

    def _search(self, words: str) -> None:
        words = words.strip()
        try:
            self._matches = self.search(words) if words else everything
        except ValueError as error:
            self.complaint = str(error)
            return
        self.page, self.query, self._rows = "list", words, None

    def _mute(self, key: str) -> None:
        row = self.selected
        self.page = "list"
        if row is None:
            return
        if key == "s":
            self.mutes.add(("source", source_of(row.newest)))
        elif key == "t":
            self.mutes.add(("technique", named(row.newest)))
        self._rows = None

    def _muted(self, alert: Alert) -> bool:
        return ("source", source_of(alert)) in self.mutes or ("technique", named(alert)) in self.mutes

    def _arranged(self) -> list[BoardRow]:
        self.hidden = self.muted_alerts = 0
        groups: dict[Key, list[EpisodeHistory]] = {}
        for history in self._histories.values() if self._basis is None else self._basis:
            if self._muted(history.newest):
                self.muted_alerts += 1
            elif not self._matches(history.newest):
                self.hidden += 1
            else:
                groups.setdefault(key_of(history.newest), []).append(history)
        rows = [_row(key, group) for key, group in groups.items()]
        _, rank = SORTS[self.sort]
        return sorted(rows, key=rank, reverse=True)


def _row(key: Key, group: list[EpisodeHistory]) -> BoardRow:
    episodes = sorted(group, key=lambda history: (history.first.time_ns, history.first.sequence))
    newest = max((history.newest for history in group), key=lambda alert: (alert.time_ns, alert.sequence))
    return BoardRow(key, tuple(episodes), newest)
