"""The state of the interactive view: what keys do to it, and what it shows of the alerts it was given."""

from dataclasses import dataclass, field, replace
from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensor.alerts.alert import Alert, Endpoint
from sensor.alerts.query import parse
from sensor.alerts.techniques import technique_of
from sensor.errors import ConfigError
from sensor.site.notes import Party, Rule, SiteNotes
from sensor.terminal.board import AT_ONCE, LATEST, MAX_EPISODES, MAX_TOLD, SORTS, Board
from tests.support.alerts import SPREAD, an_alert

pytestmark = pytest.mark.ux

KEYS = (
    "up",
    "down",
    "enter",
    "escape",
    "backspace",
    "page up",
    "page down",
    "home",
    "end",
    "clear",
    *"jk/mMnsftq?gG b:x1",
)
SECOND_NS = 1_000_000_000


def alert(number: int, source: str = "192.0.2.10", technique: str | None = "T1046", **fields: Any) -> Alert:
    side = Endpoint(source, 51514, 1234, 12)
    return an_alert(
        id=str(number), sequence=number, source=side, technique=technique_of(technique),
        time_ns=1_700_000_000 * SECOND_NS + number * SECOND_NS, **fields,
    )  # fmt: skip


def board(*alerts: Alert) -> Board:
    made = Board(lambda query: parse(query).matches)
    made.add(alerts)
    return made


def pressed(made: Board, *keys: str) -> Board:
    for key in keys:
        made.press(key)
    return made


def sources(made: Board) -> list[str]:
    return [row.newest.source.ip for row in made.rows]


def test_the_newest_stands_first_and_repeats_of_source_and_technique_share_a_row() -> None:
    made = board(alert(1, "192.0.2.1"), alert(2, "192.0.2.2"), alert(3, "192.0.2.1"), alert(4, "192.0.2.1", "T1110"))
    assert sources(made) == ["192.0.2.1", "192.0.2.1", "192.0.2.2"]
    assert [len(row.episodes) for row in made.rows] == [1, 2, 1]
    assert made.rows[1].newest.id == "3"


def test_an_episode_that_goes_on_is_one_row_with_its_history() -> None:
    made = board(alert(1), alert(1, action="updated", reason="more"), alert(1, action="closed", reason="all"))
    (row,) = made.rows
    assert len(row.episodes) == 1
    assert [line.action for line in row.history.told] == ["opened", "updated", "closed"]
    assert row.newest.reason == "all"


def test_the_selection_stays_on_its_alert_when_others_come() -> None:
    made = pressed(board(alert(1, "192.0.2.1"), alert(2, "192.0.2.2"), alert(3, "192.0.2.3")), "down")
    assert made.selected is not None
    assert made.selected.newest.source.ip == "192.0.2.2"
    made.add([alert(4, "192.0.2.4")])
    assert made.selected.newest.source.ip == "192.0.2.2"
    assert made.position == 2
    pressed(made, "home").add([alert(5, "192.0.2.5")])
    assert made.selected.newest.source.ip == "192.0.2.5"


def test_arrows_and_letters_stop_at_both_ends() -> None:
    made = board(*(alert(number, f"192.0.2.{number}") for number in range(3)))
    assert [pressed(made, key).position for key in ("up", "j", "down", "j", "k", "end", "g")] == [0, 1, 2, 2, 1, 2, 0]


def test_a_storm_is_a_row_of_its_own_however_large_it_grows_and_is_muted_as_one() -> None:
    storm = [alert(2, hosts_merged=10), alert(2, action="updated", hosts_merged=100)]
    made = board(alert(1), *storm)
    assert [row.newest.hosts_merged for row in made.rows] == [100, 0]
    assert sources(pressed(made, "m", "s")) == ["192.0.2.10"]
    assert [row.newest.hosts_merged for row in made.rows] == [0]


def test_enter_opens_the_detail_and_escape_closes_it() -> None:
    made = pressed(board(alert(1)), "enter")
    assert made.page == "detail"
    made.add([alert(2, "192.0.2.99")])
    assert made.selected is not None
    assert made.selected.newest.id == "1"
    assert pressed(made, "escape").page == "list"
    assert pressed(board(), "enter").page == "list"


def test_a_search_shows_what_matches_and_counts_the_rest() -> None:
    made = board(alert(1, "10.1.2.3"), alert(2, "192.0.2.2"), alert(3, "10.9.9.9", "T1110"))
    pressed(made, "/", *"src:10.0.0.0/8 tech:T1046", "enter")
    assert made.page == "list"
    assert sources(made) == ["10.1.2.3"]
    assert made.hidden == 2
    made.add([alert(4, "10.4.4.4")])
    assert sources(made) == ["10.4.4.4", "10.1.2.3"]
    assert len(pressed(made, "escape").rows) == 4


def test_a_search_that_cannot_be_read_says_so_and_changes_nothing() -> None:
    made = pressed(board(alert(1)), "/", *"src:nonsense", "enter")
    assert made.page == "search"
    assert "expected an address" in made.search_error
    assert len(made.rows) == 1
    pressed(made, "clear", *"score:>=0.98", "backspace", "7", "enter")
    assert made.query == "score:>=0.97"
    assert len(made.rows) == 1


def test_letters_of_a_search_are_no_commands() -> None:
    made = pressed(board(alert(1)), "/", *"qmsf?")
    assert (made.typed, made.quit, made.frozen, made.mutes) == ("qmsf?", False, False, set())


def test_what_is_muted_is_counted_and_comes_back() -> None:
    made = board(alert(1, "192.0.2.1"), alert(2, "192.0.2.2"), alert(3, "192.0.2.3", "T1110"))
    pressed(made, "m", "s")
    assert sources(made) == ["192.0.2.2", "192.0.2.1"]
    pressed(made, "m", "t").add([alert(9, "192.0.2.9")])
    assert sources(made) == []
    assert made.muted_alerts == 4
    assert len(made.latest) == 4
    assert len(pressed(made, "M").rows) == 4
    assert len(pressed(made, "m", "x").rows) == 4


def test_sorting_goes_round() -> None:
    made = board(alert(1, "192.0.2.1", risk=90.0), alert(2, "192.0.2.2", risk=10.0))
    assert sources(pressed(made, "s")) == ["192.0.2.1", "192.0.2.2"]
    assert SORTS[made.sort][0] == "risk"
    assert sources(pressed(made, *"s" * (len(SORTS) - 1))) == ["192.0.2.2", "192.0.2.1"]


def test_a_frozen_list_stays_as_it_is_and_says_how_many_came() -> None:
    made = pressed(board(alert(1, "192.0.2.1")), "f")
    made.add([alert(2, "192.0.2.2"), alert(1, "192.0.2.1", action="closed", reason="over")])
    assert sources(made) == ["192.0.2.1"]
    assert made.rows[0].newest.reason != "over"
    assert sources(pressed(made, "s")) == ["192.0.2.1"]
    assert made.opened - made.frozen_since == 1
    assert len(pressed(made, "f").rows) == 2


def test_of_a_storm_the_latest_and_before_them_the_gravest_are_kept() -> None:
    made = board(alert(0, "192.0.2.1", risk=99.0))
    count = 5 * MAX_EPISODES
    for number in range(1, count):
        made.add([alert(number, "192.0.2.2", risk=1.0 + (number % 100 == 0))])
        assert len(made.latest) < MAX_EPISODES + AT_ONCE
    kept = {newest.id for newest in made.latest}
    assert kept > {alert(number, "192.0.2.2").id for number in range(count - LATEST, count)}
    assert kept > {alert(number, "192.0.2.2").id for number in range(100, count, 100)}
    assert "192.0.2.1" in sources(made)
    assert (made.opened, made.forgotten) == (count, count - len(made.latest))


@given(st.lists(st.one_of(st.sampled_from(KEYS), st.integers(0, 5)), max_size=60))
def test_no_order_of_keys_and_alerts_loses_an_alert_or_the_selection(steps: list[str | int]) -> None:
    made, given_ids = Board(lambda query: parse(query).matches), set()
    for number, step in enumerate(steps):
        if isinstance(step, int):
            made.add([alert(number, f"192.0.2.{step}")])
            given_ids.add(str(number))
        else:
            made.press(step)
        assert (made.selected is None) == (not made.rows)
        assert 0 <= made.position < max(len(made.rows), 1)
    shown = sum(len(row.episodes) for row in made.rows)
    assert {known.id for known in made.latest} == given_ids
    if not made.frozen:
        assert shown + made.hidden + made.muted_alerts == len(given_ids)


MANY = replace(SPREAD, origins=50)


def test_what_is_muted_is_what_was_asked_about_whatever_comes_before_the_answer() -> None:
    made = pressed(board(alert(1, "192.0.2.1")), "m")
    made.add([alert(2, "192.0.2.2")])
    assert sources(pressed(made, "s")) == ["192.0.2.2"]
    made = pressed(board(alert(1, "192.0.2.1")), "m", "x")
    made.add([alert(2, "192.0.2.2")])
    assert made.selected is not None
    assert made.selected.newest.id == "2"


def test_an_alert_of_many_sources_stays_muted_and_selected_whichever_of_them_a_line_shows() -> None:
    grown = alert(1, "198.51.100.9", action="updated", spread=MANY)
    made = pressed(board(alert(2, "192.0.2.2"), alert(3, "198.51.100.1", spread=MANY)), "m", "s")
    made.add([alert(3, "198.51.100.9", action="updated", spread=MANY)])
    assert sources(made) == ["192.0.2.2"]
    made = pressed(board(alert(1, "198.51.100.1"), alert(4, "192.0.2.4"), alert(5, "192.0.2.5")), "end", "enter")
    made.add([grown])
    assert made.selected is not None
    assert made.selected.newest == grown


def test_of_a_long_episode_the_latest_lines_are_kept_and_when_it_opened() -> None:
    lines = [alert(1, "192.0.2.1", action="updated", risk=float(risk)) for risk in range(3 * MAX_TOLD)]
    (row,) = board(*lines).rows
    assert [line.risk for line in row.history.told] == [line.risk for line in lines[-MAX_TOLD:]]
    assert (row.history.first.risk, row.newest) == (0.0, lines[-1])


def test_alerts_of_two_captures_are_two_though_copies_give_them_one_id() -> None:
    lines = [alert(1, capture=name, action=action) for name in ("a.pcap", "b.pcap") for action in ("opened", "closed")]
    made = board(*lines)
    shown = {row.newest.capture: [line.action for line in row.history.told] for row in made.rows}
    assert shown == {"a.pcap": ["opened", "closed"], "b.pcap": ["opened", "closed"]}


# Notes of the site


@dataclass
class Writer:
    """Notes that a screen may add to."""

    notes: SiteNotes = field(default_factory=SiteNotes)
    problem: str = ""
    fails: str = ""
    marked: list[tuple[str, str]] = field(default_factory=list)

    def mark_false(self, alert: Alert, why: str) -> str:
        if self.fails:
            raise ConfigError(self.fails)
        self.marked.append((alert.source.ip, why))
        network = ip_network(alert.source.ip)
        rule = Rule(why, source=Party(alert.source.ip, (network,)))
        self.notes = replace(self.notes, rules=(*self.notes.rules, rule))
        return "rule added"


def noted_board(writer: Writer, *alerts: Alert) -> Board:
    made = Board(lambda query: parse(query).matches, writer)
    made.add([writer.notes.of(each) for each in alerts])
    return made


def test_with_notes_m_asks_why_and_the_rule_hides_what_it_mutes_until_n_shows_it() -> None:
    writer = Writer()
    made = noted_board(writer, alert(1, "192.0.2.1"), alert(2, "192.0.2.2"))
    pressed(made, "down", "m", *"a test", "enter")
    assert (made.page, made.said, writer.marked) == ("list", "rule added", [("192.0.2.1", "a test")])
    assert sources(made) == ["192.0.2.2"]
    assert (made.noted_alerts, made.muted_alerts) == (1, 0)
    pressed(made, "n")
    assert sources(made) == ["192.0.2.2", "192.0.2.1"]
    assert made.noted_alerts == 1
    muted = made.rows[1].newest.muted
    assert muted is not None
    assert muted.why == "a test"
    pressed(made, "n")
    assert sources(made) == ["192.0.2.2"]


def test_the_alert_that_was_asked_about_is_marked_whatever_comes_meanwhile() -> None:
    writer = Writer()
    made = noted_board(writer, alert(1, "192.0.2.1"))
    pressed(made, "m", "x")
    made.add([writer.notes.of(alert(2, "192.0.2.2"))])
    pressed(made, "enter")
    assert writer.marked == [("192.0.2.1", "x")]


def test_a_frozen_view_hides_what_a_rule_mutes_too() -> None:
    writer = Writer()
    made = noted_board(writer, alert(1, "192.0.2.1"), alert(2, "192.0.2.2"))
    pressed(made, "f", "m", "x", "enter")
    assert sources(made) == ["192.0.2.1"]


def test_a_rule_that_cannot_be_written_keeps_the_reason_and_says_why() -> None:
    writer = Writer(fails="no space left")
    made = pressed(noted_board(writer, alert(1)), "m", *"why", "enter")
    assert (made.page, made.typed, made.search_error) == ("why", "why", "no space left")
    pressed(made, "escape")
    assert (made.page, len(made.rows)) == ("list", 1)


def test_where_no_rule_can_be_written_m_hides_on_this_screen_alone_and_says_so() -> None:
    writer = Writer(problem="no file may be made in /etc")
    made = pressed(noted_board(writer, alert(1)), "m")
    assert made.page == "mute"
    assert made.said == "no rule can be written: no file may be made in /etc; m hides on this screen alone"
    pressed(made, "s")
    assert (made.rows, made.muted_alerts, writer.marked) == ([], 1, [])


def test_without_notes_m_is_what_it_was_and_n_changes_nothing() -> None:
    made = pressed(board(alert(1)), "n", "m")
    assert (made.page, made.said, len(made.rows)) == ("mute", "", 1)
