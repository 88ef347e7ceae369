"""The interactive view as drawn: every size, every page, every alphabet; nothing from outside gives orders."""

import io
import re
import unicodedata
from dataclasses import dataclass, replace
from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from sensor.alerts.alert import Alert, Endpoint
from sensor.alerts.deviation import Deviation
from sensor.alerts.query import parse
from sensor.alerts.techniques import Technique
from sensor.errors import ConfigError
from sensor.printable import printable
from sensor.progress.progress import InterfaceState, OpenAlert, Progress, Share, Traffic
from sensor.site.notes import Party, Rule, SiteNotes
from sensor.terminal.board import Board
from sensor.terminal.dashboard import Dashboard
from sensor.terminal.detail import bar, detail
from sensor.terminal.frame import Scene, frame
from sensor.terminal.glyphs import ASCII, UNICODE, Glyphs, sparkline
from sensor.terminal.header import Rates
from sensor.terminal.standing import as_it_stands
from tests.support.alerts import an_alert
from tests.support.examples import examples

pytestmark = pytest.mark.ux

SIZES = [(80, 24), (120, 40), (200, 60), (40, 10), (20, 5), (1, 1), (300, 100)]
PAGES = [(), ("enter",), ("?",), ("m",), ("/", *"src:192.0.2.0/24"), ("/", *"bad:1", "enter"), ("f",), ("s",)]
PROGRESS = Progress(
    received=354_005, packets=354_000, metered=354_000, bytes=10**9, flows=400, alerts=1, attacks=1, dropped=5,
    table_flows=1_234, elapsed_s=30.0, judged=1_000, scoring_s=0.05,
)  # fmt: skip
TODAY_NS = 1_700_000_100_000_000_000  # of the day on which alerts of these tests are
LATER_NS = TODAY_NS + 86_400_000_000_000
STRETCHED = Deviation("fwd_psh_flags", "µs", 5e6, 2.0, 0.0, 9.0, 11.0, 3.0)


def scene(board: Board, **fields: Any) -> Scene:
    rates = Rates()
    rates.update(PROGRESS)
    return Scene(**({"mode": "watch", "source": "eth0", "bundle": "cic2017", "progress": PROGRESS, "rates": rates,
                     "board": board, "now_ns": TODAY_NS} | fields))  # fmt: skip


def board_of(*alerts: Any, keys: tuple[str, ...] = ()) -> Board:
    board = Board(lambda query: parse(query).matches)
    board.add(alerts)
    for key in keys:
        board.press(key)
    return board


def rows(board: Board, width: int, height: int, glyphs: Glyphs = UNICODE, **fields: Any) -> list[str]:
    return [line.plain for line in frame(scene(board, **fields), width, height, glyphs)]


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("keys", PAGES, ids=[" ".join(keys[:2]) or "list" for keys in PAGES])
@pytest.mark.parametrize("glyphs", [UNICODE, ASCII], ids=["unicode", "ascii"])
def test_a_frame_fills_the_terminal_and_no_line_is_wider(
    width: int, height: int, keys: tuple[str, ...], glyphs: Glyphs
) -> None:
    alerts = [an_alert(id=str(i), sequence=i, label="流量異常" * 20, deviations=(STRETCHED,) * 5) for i in range(50)]
    drawn = rows(board_of(*alerts, keys=keys), width, height, glyphs)
    assert len(drawn) == height
    assert max(map(cell_len, drawn)) <= width
    if glyphs is ASCII:
        assert "".join(drawn).isascii()


def test_the_header_tells_rates_flows_losses_scoring_and_bundle() -> None:
    top = "\n".join(rows(board_of(an_alert()), 120, 40)[:3])
    for words in ("eth0", "0:30", "bundle cic2017", "11.8 k packets/s", "267 Mbit/s", "1,234 flows in table",
                  "5 dropped", "scoring 50 µs/flow (0.2 %)", "1 alert: 1 attack"):  # fmt: skip
        assert words in top


@pytest.mark.parametrize("width", [80, 120, 200])
def test_at_the_end_the_header_tells_averages_over_the_run(width: int) -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=width, height=40, _environ={"TERM": "xterm"})
    view = Dashboard(console, "watch", "eth0", "cic2017", clock=lambda: 0.0)
    for elapsed_s in (15.0, 30.0, 30.5):  # and in the last half second nothing came
        view.update(replace(PROGRESS, elapsed_s=elapsed_s, table_flows=0), [])
    view.board.at_end = True
    (second,) = [line.plain for line in view.lines(width, 24)[1:2]]
    assert second.startswith("11.6 k packets/s average ")
    for words in ("262 Mbit/s", "  400 flows  ", "scoring 50 µs/flow (0.2 %)"):
        assert words in second


@pytest.mark.parametrize("width", [80, 120, 200])
@pytest.mark.parametrize("at_end", [False, True])
def test_reading_a_file_tells_how_much_of_when_and_no_rate_of_a_wire(width: int, at_end: bool) -> None:
    board = board_of()
    board.at_end = at_end
    read = replace(PROGRESS, started_ns=TODAY_NS, traffic_time_ns=LATER_NS * 2 - TODAY_NS)
    top = rows(board, width, 24, mode="read", progress=read)[:3]
    assert top[1].startswith("354,000 packets, 1.0 GB, 400 flows  22:15:00"[:36])
    assert not re.search("bit/s|/s|▁|average", "".join(top)), top
    today = replace(read, traffic_time_ns=TODAY_NS + 90_000_000_000)
    assert "400 flows  22:15:00–22:16:30 UTC (90.0 s)" in rows(board, width, 24, mode="read", progress=today)[1]
    assert ("scoring 50 µs/flow" in rows(board, width, 24, mode="read", progress=today)[1]) == (width >= 110)


def test_packets_that_were_dropped_are_seen_at_80_columns_whatever_else_was_left_out() -> None:
    undecoded = {"no IP packet": 123_456, "a fragment that came alone": 7_890, "truncated": 12}
    troubled = replace(PROGRESS, alerts=1234, attacks=1000, uncertain=234, undecoded=undecoded)
    assert "5 dropped" in rows(board_of(), 80, 24, progress=troubled)[2]


def test_trouble_has_a_line_of_its_own() -> None:
    troubled = replace(PROGRESS, overload="one flow in 8 is metered", interfaces=(InterfaceState("eth1", False),))
    drawn = rows(board_of(), 80, 24, progress=troubled)
    assert "overload: one flow in 8 is metered" in drawn
    assert "down: eth1" in drawn


@pytest.mark.parametrize("width", [80, 120, 200])
def test_a_row_says_when_how_bad_who_what_and_why(width: int) -> None:
    again = an_alert(id="B", sequence=2, lane="both")
    words = " ".join("\n".join(rows(board_of(an_alert(), again), width, 24)).split())
    sides = "192.0.2.10 → 198.51.100.7:22 Password Guessing ×2"
    if width >= 180:
        assert f"▶ ▲ HIGH 22:13:20–22:13:29 open {sides} attack, both lanes: port 22" in words
    else:
        assert f"▶ ▲ HIGH {sides} 22:13:20–22:13:29 open · attack, both lanes: port 22" in words


@pytest.mark.parametrize("width", [80, 120, 200])
def test_a_row_has_the_date_of_another_day_and_the_state_of_all_that_share_it(width: int) -> None:
    ended = an_alert(action="closed", time_ns=TODAY_NS + 300_000_000_000)
    (row,) = [row for row in rows(board_of(ended), width, 24, now_ns=LATER_NS) if "2023" in row]
    assert "2023-11-14 22:13:20–22:13:29 closed" in row
    assert "22:2" not in "".join(rows(board_of(ended), width, 24))  # when it was told to be over says nothing
    again = an_alert(id="B", sequence=2, start_ns=TODAY_NS, end_ns=LATER_NS)
    text = "\n".join(rows(board_of(ended, again), width, 24, now_ns=LATER_NS))
    assert "2023-11-14 22:13:20–2023-11-15 22:15:00 open" in text


def test_what_to_do_next_and_the_facts_are_seen_without_scrolling_beside_a_full_list() -> None:
    alerts = [an_alert(id=str(i), source=Endpoint(f"192.0.2.{i}", 1, 1, 1), sequence=i) for i in range(50)]
    drawn = "\n".join(rows(board_of(*alerts), 120, 40))
    assert drawn.count("Password Guessing") >= 5
    for words in ("Next", "1. Read the target's log", "Facts", "318 flows, 640 packets"):
        assert words in drawn
    one = "\n".join(rows(board_of(an_alert()), 120, 40))  # what the list does not need is the detail's
    assert "tcpdump -r CAPTURE" in one


@pytest.mark.parametrize("keys", [("?",), ("n", "?")])
def test_no_line_of_the_help_is_cut_at_80_columns(keys: tuple[str, ...]) -> None:
    board = Board(lambda query: parse(query).matches, Writer())
    board.add([an_alert()])
    for key in keys:
        board.press(key)
    drawn = rows(board, 80, 40)
    assert "…" not in "".join(drawn)
    assert "it lasts" in " ".join(" ".join(drawn).split())


def test_all_of_the_help_is_reached_at_80_by_24() -> None:
    board = Board(lambda query: parse(query).matches, Writer())
    board.add([an_alert()])
    board.press("?")
    seen = "\n".join(rows(board, 80, 24))
    for _ in range(5):
        board.press(" ")
        seen += "\n".join(rows(board, 80, 24))
    assert board.page == "help"
    assert "show or hide what the site's notes mute" in seen
    board.press("x")
    assert board.page == "list"


@pytest.mark.parametrize("source", ["a.pcap", "a-capture-of-monday.pcap.gz"])
def test_the_bar_gives_way_to_the_name_of_the_bundle(source: str) -> None:
    read = replace(PROGRESS, bytes_read=869_000, size=869_000)
    first = rows(board_of(an_alert()), 80, 24, mode="read", source=source, progress=read)[0]
    assert "100 % of 869 kB  bundle cic2017" in first
    assert "…" not in first


SHARES = tuple(Share(f"10.0.0.{i}", 10**9 >> i, 5) for i in range(12))
TRAFFIC = Traffic(60.0, SHARES, (Share("tcp/443", 9 * 10**8, 3),), (Share("tcp", 2 * 10**9, 8),))
TOLD = replace(PROGRESS, traffic=TRAFFIC)


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40), (200, 60)])
def test_a_quiet_screen_shows_who_talks_most_and_how_much_comes_in(width: int, height: int) -> None:
    drawn = "\n".join(rows(board_of(), width, height, progress=TOLD))
    for words in ("no alert so far", "Traffic", "267 Mbit/s", "10.0.0.0", "133 Mbit/s", "50.0 %", "Services", "tcp/443",
                  "120 Mbit/s", "Protocols"):  # fmt: skip
        assert words in drawn, words
    read = "\n".join(rows(board_of(), width, height, mode="read", progress=TOLD))
    assert "bit/s" not in read
    assert "1.0 GB" in read


def test_a_large_screen_has_list_detail_and_traffic_beside_each_other() -> None:
    drawn = rows(board_of(an_alert()), 200, 60, progress=TOLD)
    (line,) = [row for row in drawn if "Top talkers" in row]
    assert line[137:].startswith(" │ Top talkers")
    text = "\n".join(drawn)
    for words in ("Next", "Facts", "Against normal traffic", "Timeline", "Services", "Protocols"):
        assert words in text
    assert "Top talkers" not in "\n".join(rows(board_of(an_alert()), 120, 40, progress=TOLD))


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("glyphs", [UNICODE, ASCII], ids=["unicode", "ascii"])
@pytest.mark.parametrize("keys", [(), ("t",)])
@pytest.mark.parametrize("alerts", [0, 3])
def test_with_traffic_a_frame_fills_the_terminal_and_no_line_is_wider(
    width: int, height: int, glyphs: Glyphs, keys: tuple[str, ...], alerts: int
) -> None:
    hostile = (Share("\x1b[2J流量" * 20, 10**15, 3), *SHARES)
    progress = replace(PROGRESS, traffic=Traffic(0.0, hostile, hostile, hostile, 10**12))
    board = board_of(*(an_alert(id=str(i)) for i in range(alerts)), keys=keys)
    drawn = rows(board, width, height, glyphs, progress=progress)
    assert len(drawn) == height
    assert max(map(cell_len, drawn)) <= width
    assert "\x1b" not in "".join(drawn)
    assert glyphs.unicode or "".join(drawn).isascii()


def test_a_key_shows_the_traffic_at_any_size_and_any_key_leaves_it() -> None:
    board = board_of(an_alert(), keys=("t",))
    drawn = "\n".join(rows(board, 80, 24, progress=TOLD))
    for words in ("Top talkers", "Services", "Protocols", "any key goes back"):
        assert words in drawn
    board.press("x")
    assert "Password Guessing" in "\n".join(rows(board, 80, 24, progress=TOLD))


def test_counts_of_an_open_alert_go_up_between_its_lines_but_not_while_frozen() -> None:
    board = board_of(an_alert())
    now = OpenAlert("A" * 26, TODAY_NS - 10**11, TODAY_NS + 10**9, 1234, 5678, 0, 1, 1, 1)
    board.see([now])
    text = "\n".join(rows(board, 120, 40))
    assert "port 22 on one host: 1,234 flows" in text
    assert "22:13:20–22:15:01 open" in text
    board.press("f")
    board.see([replace(now, flows=9999)])
    assert "1,234 flows" in "\n".join(rows(board, 120, 40))
    board.press("f")
    board.see([replace(now, flows=9999)])
    assert "9,999 flows" in "\n".join(rows(board, 120, 40))
    board.add([an_alert(action="closed")])
    assert "9,999 flows" not in "\n".join(rows(board, 120, 40))


def test_a_clock_that_was_set_makes_no_alert_last_longer() -> None:
    alert, hour_ns = an_alert(), 3600 * 10**9
    for step_ns in (hour_ns, -hour_ns):
        now = OpenAlert(alert.id, alert.start_ns + step_ns, alert.end_ns + step_ns, 400, 800, 0, 1, 1, 1)
        seen = as_it_stands(alert, now)
        assert (seen.start_ns, seen.end_ns, seen.spread.span_ns) == (now.start_ns, now.end_ns, 9 * 10**9)
        assert "400 flows in 9.0 s, 44 a second" in seen.reason


def test_a_watch_asks_once_before_it_is_quit() -> None:
    board = board_of(an_alert())
    board.quit_question = "End this watch?"
    for key in ("q", "x", "q", "enter", "q"):
        assert not board.quit
        board.press(key)
    assert rows(board, 80, 24)[-1].startswith("End this watch? q or y ends it")
    board.press("q")
    assert board.quit
    ended = board_of(an_alert())
    ended.quit_question, ended.at_end = "End this watch?", True
    ended.press("q")
    assert ended.quit


def test_the_detail_answers_what_an_analyst_asks() -> None:
    alert = an_alert(source=replace(an_alert().source, country="FR", as_number=64500))
    text = " ".join(" ".join(line.plain for line in detail(board_of(alert).rows[0], 80, TODAY_NS, UNICODE)).split())
    for words in (
        "▲ HIGH Password Guessing 192.0.2.10 → 198.51.100.7:22",
        "attack, known lane, SSH-Patator, T1110.001, p 2e-05, severity 70, risk 60",
        "syn_flag_count ━━━━┃━━━━━━━━ 412 2 ≤ 9",
        "22:13:20–22:13:29 UTC (9.0 s), open attack, known lane",
        "one host 198.51.100.7; port 22; 318 flows, 640 packets; ssh (tcp/22); 192.0.2.10: FR, AS64500; strongest",
        "22:13:20 opened",
        "Community ID 1:LQU9qZlK+B5F3KDmev6m5PMibrg=",
        "tshark -r CAPTURE -Y 'ip.addr == 192.0.2.10 && ip.addr == 198.51.100.7 && tcp.port == 22 &&",
        "tcpdump -r CAPTURE 'host 192.0.2.10 and host 198.51.100.7 and tcp port 22'",
    ):
        assert words in text, text


def test_the_detail_of_a_storm_says_of_how_many_it_tells_and_where_its_packets_are() -> None:
    spread = replace(an_alert().spread, targets=300, ports=17, ports_more=True, origins=9400)
    targets, ports = ("198.51.100.7", "198.51.100.8"), (22, 23)
    storm = an_alert(hosts_merged=9412, spread=spread, target_ips=targets, target_ports=ports, packets_file="A.pcapng")
    text = " ".join(" ".join(line.plain for line in detail(board_of(storm).rows[0], 80, TODAY_NS, UNICODE)).split())
    for words in (
        "9,400 hosts → 300 hosts",
        "from 9,400 hosts, 9,412 alerts told as one; 300 hosts: 198.51.100.7, 198.51.100.8, …; 17+ ports: 22, 23, …; ",
        "; 318 flows",
        "kept in A.pcapng",
        "tshark -r CAPTURE -Y 'tcp && frame.time_epoch",
        "tcpdump -r CAPTURE 'tcp'",
    ):
        assert words in text, text


@pytest.mark.parametrize("distance", [0.0, 0.9, 1.0, 1.01, 9.0])
def test_a_bar_passes_the_mark_where_a_value_is_outside_of_normal(distance: float) -> None:
    inside, beyond = bar(replace(STRETCHED, distance=distance), 10, ASCII)
    assert len(inside + beyond) == 11
    assert ("#" in beyond) == (distance > 1)
    assert ("#" in inside) == (distance > 0)


def test_a_spark_line_runs_from_nothing_to_the_most() -> None:
    assert sparkline([0, 50, 100], UNICODE) == "▁▅█"
    assert sparkline([0, 0], UNICODE) == "▁▁"
    assert sparkline([], ASCII) == ""


def test_what_is_hidden_is_said() -> None:
    alerts = [an_alert(id=str(i), sequence=i, source=Endpoint(f"192.0.2.{i}", 1, 1, 1)) for i in range(5)]
    drawn = "\n".join(rows(board_of(*alerts, keys=("m", "s", "/", *"src:192.0.2.1", "enter", "f")), 120, 24))
    assert "1 of 1, newest first · FROZEN, 0 more since · 1 muted · search src:192.0.2.1 hides 3" in drawn
    assert "no alert matches; 5 do not" in "\n".join(rows(board_of(*alerts, keys=("/", *"xyz", "enter")), 80, 24))
    assert "nothing but 1 muted" in "\n".join(rows(board_of(alerts[0], keys=("m", "s")), 80, 24))


HOSTILE = st.text(
    st.one_of(
        st.sampled_from("\x1b\x9b\x07\r\n\t\x00\u202e\u2066\u200b\u0301\u0489\ud800\U000e0001\ufe0f"),
        st.sampled_from("[]2Jm;אبع日本語…👨‍👩"),
        st.characters(),
    ),
    max_size=60,
)


@examples(60)
@given(HOSTILE, HOSTILE, st.sampled_from(SIZES), st.sampled_from(PAGES), st.sampled_from([UNICODE, ASCII]))
def test_nothing_from_packets_names_or_keys_gives_the_terminal_orders(
    one: str, two: str, size: tuple[int, int], keys: tuple[str, ...], glyphs: Glyphs
) -> None:
    deviation = replace(STRETCHED, name=two, unit=one)
    alert = an_alert(
        label=one,
        reason=two * 20,
        technique=Technique(two, one, two),
        deviations=(deviation, deviation),
        scores={one: 0.5},
    )
    board = board_of(alert, keys=keys)
    board.typed = board.query = board.search_error = one * 3
    progress = replace(PROGRESS, overload=one, undecoded={two: 3}, interfaces=(InterfaceState(one, False),))
    drawn = rows(board, *size, glyphs, source=one, bundle=two, progress=progress, note=(1, two))
    for row in drawn:
        assert cell_len(row) <= size[0]
        assert all(letter.isprintable() or unicodedata.category(letter) == "Zs" for letter in row), row
        assert printable(row, 10_000) == row or "…" in row or any(mark in row for mark in "\u0301\u0489\ufe0f")


class Terminal:
    """A dashboard on a terminal made of memory, with a clock in hand."""

    def __init__(self, width: int = 80, height: int = 24, **console: Any) -> None:
        self.now = 100.0
        self.stream = io.StringIO()
        options = {"force_terminal": True, "color_system": "standard", "_environ": {"TERM": "xterm"}} | console
        self.console = Console(file=self.stream, width=width, height=height, **options)
        self.view = Dashboard(
            self.console, "watch", "eth0", "cic2017", clock=lambda: self.now, wall_clock_ns=lambda: int(self.now * 1e9)
        )

    def drawn(self) -> str:
        """What was written since the last look."""
        text = self.stream.getvalue()
        self.stream.seek(0)
        self.stream.truncate()
        return text


def test_it_draws_twice_a_second_and_only_the_lines_that_changed() -> None:
    terminal = Terminal()
    with terminal.view as view:
        view.update(PROGRESS, [an_alert()])
        assert "Password Guessing" in terminal.drawn()
        view.update(replace(PROGRESS, alerts=7), [])
        assert terminal.drawn() == ""
        terminal.now += 0.5
        view.update(replace(PROGRESS, alerts=7), [])
        changed = terminal.drawn()
        assert "7 alerts" in changed
        assert "Password Guessing" not in changed
        terminal.now += 0.5
        view.update(replace(PROGRESS, alerts=7), [])
        assert len(terminal.drawn()) < 10


def test_a_key_is_answered_at_once_and_an_event_stands_below_for_a_while() -> None:
    terminal = Terminal()
    with terminal.view as view:
        view.update(PROGRESS, [an_alert()])
        terminal.drawn()
        view.press(["?"])
        assert "this page" in terminal.drawn()
        view.note("eth0 \x1b[2J went down")
        assert r"eth0 \x1b[2J went down" in terminal.drawn()
        terminal.now += 11
        view.update(PROGRESS, [])
        assert "any other key goes back" in terminal.drawn()
        view.finish(PROGRESS)
    end = terminal.drawn()
    assert "NOTE" in end
    assert "eth0: 354,000 packets" in end
    assert end.index("\x1b[?1049l") < end.index("354,000 packets")


def test_an_event_stands_below_as_long_whoever_sets_the_clock_and_has_its_date_at_the_end() -> None:
    terminal, wall_ns = Terminal(), [TODAY_NS]
    console = terminal.console
    view = Dashboard(console, "watch", "eth0", "x", clock=lambda: terminal.now, wall_clock_ns=lambda: wall_ns[0])
    with view:
        view.note("eth0 went down")
        terminal.drawn()
        terminal.now, wall_ns[0] = terminal.now + 11, TODAY_NS - 3600 * 10**9
        view.update(PROGRESS, [])
        assert "? help" in terminal.drawn()
        wall_ns[0] = LATER_NS
        view.finish(PROGRESS)
    assert re.search(r"2023-11-14 22:15:00\S* \S*NOTE", terminal.drawn())


def test_all_of_the_terminal_is_drawn_on_though_columns_say_less(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal(width=None, _environ={"TERM": "xterm", "COLUMNS": "40", "LINES": "10"})  # type: ignore[arg-type]
    monkeypatch.setattr(terminal.view, "_terminal_size", lambda: (80, 24))
    with terminal.view as view:
        view.update(PROGRESS, [an_alert()])
    assert "bundle cic2017" in terminal.drawn()


def test_the_screen_comes_back_when_the_run_fails() -> None:
    terminal = Terminal()

    def fail() -> None:
        with terminal.view:
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    text = terminal.drawn()
    assert text.rindex("\x1b[?1049l") > text.rindex("\x1b[?1049h")
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")


@pytest.mark.parametrize("console", [{"color_system": None}, {"_environ": {"TERM": "xterm", "NO_COLOR": "1"}}])
def test_without_colour_words_and_glyphs_carry_the_meaning(console: dict[str, Any]) -> None:
    terminal = Terminal(**console)
    with terminal.view as view:
        view.update(PROGRESS, [an_alert()])
        text = terminal.drawn()
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]m", text)
    assert "▶" in text
    assert "▲ HIGH" in text


NOTES = SiteNotes(rules=(Rule("流量 of ours", source=Party("192.0.2.10", (ip_network("192.0.2.10"),))),))


@dataclass
class Writer:
    """Notes that can be added to."""

    notes: SiteNotes = NOTES
    problem: str = ""

    def mark_false(self, alert: Alert, why: str) -> str:
        raise ConfigError(f"{why} {alert.id} 流量異常" * 20)


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("keys", [(), ("n",), ("n", "enter"), ("n", "m", *"x" * 190), ("n", "m", "x", "enter"), ("?",)])
@pytest.mark.parametrize("glyphs", [UNICODE, ASCII], ids=["unicode", "ascii"])
def test_with_notes_a_frame_fills_the_terminal_and_no_line_is_wider(
    width: int, height: int, keys: tuple[str, ...], glyphs: Glyphs
) -> None:
    board = Board(lambda query: parse(query).matches, Writer())
    board.add([NOTES.of(an_alert(id=str(i), sequence=i)) for i in range(3)])
    for key in keys:
        board.press(key)
    drawn = rows(board, width, height, glyphs)
    assert len(drawn) == height
    assert max(map(cell_len, drawn)) <= width
    if glyphs is ASCII:
        assert "".join(drawn).isascii()


def test_what_notes_mute_is_counted_and_shown_on_demand_with_whom_and_why() -> None:
    board = Board(lambda query: parse(query).matches, Writer())
    board.add([NOTES.of(an_alert())])
    text = "\n".join(rows(board, 120, 24))
    assert "1 muted by site notes (n shows them)" in text
    assert "nothing but 1 alert muted by site notes (n shows them)" in text
    board.press("n")
    text = "\n".join(rows(board, 120, 24))
    assert "1 muted by site notes (n hides them)" in text
    assert "muted by rule 192.0.2.10 -> any: 流量 of ours; attack, known lane" in text
    board.press("m")
    assert "192.0.2.10 → 198.51.100.7:22 is meant to be, because: _" in "\n".join(rows(board, 120, 24))
    board.press("escape")
    board.press("?")
    assert "asks why it is meant to be" in "\n".join(rows(board, 120, 40))
    seen_elsewhere = Board(lambda query: parse(query).matches)
    seen_elsewhere.add([NOTES.of(an_alert())])
    seen_elsewhere.press("?")
    text = "\n".join(rows(seen_elsewhere, 120, 40))
    assert "show or hide what the site's notes mute" in text
    assert "asks why" not in text
    assert "site's notes" not in "\n".join(rows(board_of(an_alert(), keys=("?",)), 120, 40))


@pytest.mark.parametrize("width", [40, 80, 200])
def test_what_is_typed_is_seen_whoever_it_is_about(width: int) -> None:
    sides = Endpoint("2001:db8:20:1:a8bb:ccff:fe00:1234", 51514, 1, 1), Endpoint("2001:db8:30:2::53", 53, 1, 1)
    board = Board(lambda query: parse(query).matches, Writer())
    board.add([an_alert(source=sides[0], destination=sides[1], ip_version=6)])
    for key in ("m", *"every night"):
        board.press(key)
    assert "because: every night_" in rows(board, width, 24)[-1]
    board.search_error = "no space left"
    assert "no space left" in rows(board, width, 24)[-1]
