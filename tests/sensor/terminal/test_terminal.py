"""The terminal view: what is shown, on which terminal, and that nothing from outside can give it orders."""

import io
import os
import re
import termios
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from sensor.alerts.alert import Alert
from sensor.alerts.deviation import Deviation
from sensor.alerts.techniques import technique_of
from sensor.printable import printable
from sensor.progress.progress import InterfaceState, Progress, WorkerRate
from sensor.progress.words import accounting, worker_rates
from sensor.terminal.glyphs import ASCII
from sensor.terminal.plain_screens import SilentScreen, SummaryLine
from sensor.terminal.progress_line import one_row
from sensor.terminal.scroll_view import ScrollView
from sensor.terminal.status import status
from tests.support.alerts import an_alert

pytestmark = pytest.mark.ux

HOSTILE = (
    "[red]x[/red] \x1b[2J\x1b]0;owned\x07 \x9b31m \u202egnp.exe\u2066 \r\n\t\x00 a\u0301\u0301\u0301\u0301\u0301 \ud800"
)


class Screen:
    """A view on a terminal made of memory, with a clock in hand."""

    def __init__(self, mode: Any = "read", width: int = 80, source: str = "a.pcap", **console: Any) -> None:
        self.now = 100.0
        view = {"wall_clock_ns": console.pop("wall_clock_ns")} if "wall_clock_ns" in console else {}
        self.stream = console.pop("file", None) or io.StringIO()
        options = {"force_terminal": True, "color_system": "standard", "_environ": {"TERM": "xterm"}} | console
        self.console = Console(file=self.stream, width=width, height=24, **options)
        self.view = ScrollView(self.console, mode, source, clock=lambda: self.now, **view)

    @property
    def text(self) -> str:
        return str(self.stream.getvalue())

    @property
    def plain(self) -> str:
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.text)


def shown(progress: Progress, alerts: list[Alert], **options: Any) -> Screen:
    screen = Screen(**options)
    with screen.view as view:
        view.update(progress, alerts)
        view.finish(progress)
    return screen


def test_an_alert_says_when_who_what_how_sure_and_why() -> None:
    plain = shown(Progress(alerts=1, attacks=1), [an_alert()], width=120).plain
    assert "22:13:20 HIGH   192.0.2.10 → 198.51.100.7:22  Password Guessing" in plain
    assert "attack, known lane, SSH-Patator, T1110.001, p 2e-05: port 22 on one host in 9.0 s: 318 flows" in plain
    assert "syn_flag_count 412 (normal 2, 99 % up to 9)" in plain
    assert "1 alert: 1 attack, 0 uncertain" in plain


def test_no_alert_is_said_plainly_and_so_is_what_was_not_judged() -> None:
    progress = Progress(packets=100, flows=7, undecoded={"arp": 3, "truncated": 12}, dropped=4)
    plain = shown(progress, []).plain
    assert "No alert: nothing in this capture reached the threshold." in plain
    assert "15 packets not decoded (truncated 12, arp 3), 4 dropped" in plain


def test_a_full_table_and_clocks_that_jump_are_told_where_there_were_any() -> None:
    progress = Progress(packets=100, flows=7, dropped=4, evicted=1234, late=5, clock_jumps=2)
    plain = shown(progress, []).plain
    assert "1,234 flows reported early: the table was full" in plain
    assert "5 packets stamped before an earlier one, 2 clock jumps" in plain.replace("\n", " ")
    assert "table was full" not in shown(Progress(packets=100), []).plain
    lines = str(status(progress, "watch", "eth0", 0.0, ASCII).renderables[3])
    assert lines.startswith("table full: 1,234 flows evicted, 4 dropped, 0 packets not")
    line = io.StringIO()
    SummaryLine(line, "read", "x").finish(progress)
    assert "evicted: 1,234, late: 5, clock jumps: 2, " in line.getvalue()


def test_context_that_gave_way_is_told_where_there_was_any() -> None:
    plain = shown(Progress(packets=100, context_evicted=1234), []).plain
    assert "1,234 rows of context gave way (episodes.capacity_hosts)" in plain
    assert "context" not in shown(Progress(packets=100, context_evicted=0), []).plain
    line = io.StringIO()
    SummaryLine(line, "read", "x").finish(Progress(context_evicted=1234))
    assert "evicted: 0, context evicted: 1,234, late: 0, " in line.getvalue()


def test_alerts_that_ended_early_are_told_where_there_were_any() -> None:
    early = Progress(packets=100, stores_evicted={"open episodes": 1234, "merged hosts": 5, "pairs": 9})
    plain = shown(early, []).plain
    assert "1,234 alerts closed early: more were open than may be (episodes.capacity_hosts)" in plain
    assert "early" not in shown(Progress(packets=100, stores_evicted={"pairs": 9}), []).plain
    line = io.StringIO()
    SummaryLine(line, "read", "x").finish(early)
    assert "5 hosts of storms forgotten early, and counted anew if they went on" in line.getvalue()


def status_rows(progress: Progress, mode: Any = "watch") -> list[str]:
    return [str(row) for row in status(progress, mode, "eth0", 0.0, ASCII).renderables]  # type: ignore[union-attr]


def test_a_watch_accounts_for_every_packet() -> None:
    progress = Progress(
        received=1_000, metered=800, filtered=50, undecoded={"not IP": 50}, shed=30, dropped=60, waiting=10
    )
    rows = status_rows(progress)
    assert rows[4] == "received 1,000 = 800 metered + 60 dropped + 50 filtered"
    assert rows[5] == "  + 50 not decoded + 30 shed + 10 waiting"
    words = "received 1,000 = 800 metered + 60 dropped + 50 filtered + 50 not decoded + 30 shed + 10 waiting"
    assert accounting(progress) == words
    assert words in shown(progress, [], mode="watch", width=120).plain
    assert len(status_rows(progress, "read")) == 4


def test_packets_that_are_nowhere_are_told() -> None:
    assert accounting(Progress(received=5)) == "received 5 = 0 metered + 0 dropped + 5 unaccounted for"


@given(st.lists(st.integers(0, 2**63), min_size=7, max_size=7))
def test_no_part_of_an_account_of_any_size_is_cut_off(counts: list[int]) -> None:
    names = ("received", "metered", "filtered", "shed", "dropped", "waiting")
    progress = Progress(**dict(zip(names, counts, strict=False)), undecoded={"a": counts[6]})  # type: ignore[arg-type]
    rows = status_rows(progress)
    assert max(map(len, rows)) <= 60
    assert " ".join(row.strip() for row in rows[4:]) == accounting(progress)


def test_overload_interfaces_that_are_down_and_lost_lines_stand_out() -> None:
    interfaces = (InterfaceState("eth0", True), InterfaceState("eth1", False), InterfaceState(HOSTILE[:9], False))
    progress = Progress(overload="one flow in 8 is metered", interfaces=interfaces, lost_lines=1_234)
    group = status(progress, "watch", "eth0", 0.0, ASCII)
    rows = group.renderables[-3:]  # type: ignore[union-attr]
    assert [str(row) for row in rows] == [
        "overload: one flow in 8 is metered",
        "down: eth1, [red]x[/r",
        "1,234 JSON lines lost: an output takes none",
    ]
    assert all("bold" in str(row.style) for row in rows)
    assert len(status_rows(Progress(interfaces=interfaces[:1]))) == 5


def test_what_a_filter_or_overload_left_out_is_told_at_the_end_where_there_was_any() -> None:
    def told(progress: Progress) -> str:
        stream = io.StringIO()
        SummaryLine(stream, "watch", "eth0").finish(progress)
        return stream.getvalue()

    assert "filtered: 1,234, shed: 5, dropped: 0, evicted: 0, " in told(Progress(filtered=1_234, shed=5))
    assert "clock jumps: 0, lost lines: 7, " in told(Progress(lost_lines=7))
    assert "filtered" not in told(Progress())
    assert "shed" not in told(Progress())
    assert "received" not in shown(Progress(packets=3), []).plain
    assert "+ 3 filtered" in shown(Progress(received=3, filtered=3), []).plain


def test_an_event_is_printed_at_once_above_the_status() -> None:
    screen = Screen(mode="watch", wall_clock_ns=lambda: 1_700_000_000_000_000_000)
    with screen.view as view:
        view.update(Progress(), [])
        view.note("eth0 went down")
        assert "22:13:20 NOTE   eth0 went down\n" in screen.plain
        assert screen.plain.rindex("no alert so far") > screen.plain.index("eth0 went down")


def test_events_are_lines_on_stderr_and_nothing_for_who_wants_silence() -> None:
    loud, silent = io.StringIO(), io.StringIO()
    SummaryLine(loud, "watch", "eth0").note("eth0 \x1b[2J went down")
    SilentScreen(silent).note("eth0 went down")
    assert loud.getvalue() == "flowvigil: eth0 \\x1b[2J went down\n"
    assert silent.getvalue() == ""


def test_the_summary_ranks_alerts_by_risk_and_by_how_they_ended() -> None:
    first, second = an_alert(id="A", risk=10.0), an_alert(id="B", sequence=2, risk=70.0)
    later = an_alert(id="A", sequence=3, action="closed", risk=80.0, verdict="attack")
    plain = shown(Progress(alerts=2, attacks=2), [first, second, later]).plain
    summary = plain[plain.index("2 alerts:") :]
    assert summary.index("risk  80.0") < summary.index("risk  70.0")
    assert "risk  10.0" not in summary


def test_progress_shows_the_share_read_and_the_time_left() -> None:
    progress = Progress(packets=5_000_000, bytes_read=250_000_000, size=1_000_000_000, elapsed_s=20.0)
    plain = shown(progress, []).plain
    assert "read ━━━━━─────────────── 25 % of 1.0 GB  1:00 left  a.pcap" in plain
    assert "5,000,000 packets · 0 flows" in plain
    assert not re.search("packets/s|/s ", plain)  # of reading, which says nothing of the wire
    watched = shown(Progress(packets=5_000_000, elapsed_s=20.0), [], mode="watch", source="eth0").plain
    assert "5,000,000 packets, 250 k/s" in watched
    assert "0 flows in 20.0 s, 250 k packets/s" in watched


def test_a_pipe_of_unknown_length_and_a_live_source_show_no_share() -> None:
    assert "12.0 MB read, 0:05" in shown(Progress(bytes_read=12_000_000, elapsed_s=5.0), []).plain
    assert "watch for 1:02:03  eth0" in shown(Progress(elapsed_s=3723.0), [], mode="watch", source="eth0").plain
    days = shown(Progress(elapsed_s=3 * 86_400 + 3723.0), [], mode="watch", source="eth0").plain
    assert "watch for 3 d 01:02:03  eth0" in days
    assert "0 flows in 3 d 01:02:03, " in days


def test_it_draws_at_most_twice_a_second() -> None:
    screen = Screen()
    with screen.view as view:
        drawings = 0
        for step in range(1000):
            screen.now = 100.0 + step * 0.005
            before = len(screen.text)
            view.update(Progress(packets=step, elapsed_s=step * 0.005), [an_alert(id=str(step))])
            drawings += len(screen.text) > before
    assert drawings == 10


def test_an_alert_told_several_times_between_two_drawings_is_shown_once_as_it_stands() -> None:
    told = [an_alert(reason="3 flows"), an_alert(action="updated", reason="30 flows"), an_alert(id="B")]
    plain = shown(Progress(alerts=2), [*told, an_alert(action="closed", reason="99 flows", time_ns=9 * 10**18)]).plain
    assert "3 flows" not in plain
    assert "30 flows" not in plain
    assert plain.count("99 flows") == 1
    assert plain.count("22:13:20 HIGH") == 2
    assert "goes on" not in plain


def test_an_alert_shown_before_goes_on_in_one_line() -> None:
    screen = Screen(wall_clock_ns=lambda: 1_700_000_100_000_000_000)
    with screen.view as view:
        view.update(Progress(), [an_alert()])
        screen.now += 1
        view.update(Progress(), [an_alert(action="updated")])
    assert screen.plain.count("goes on: Password Guessing, port 22 on one host") == 1


def test_alerts_between_two_drawings_are_printed_at_the_end() -> None:
    screen = Screen(width=120)
    with screen.view as view:
        view.update(Progress(), [])
        view.update(Progress(alerts=1), [an_alert()])
        assert "attack, known lane" not in screen.plain
        view.finish(Progress(alerts=1))
    assert "attack, known lane" in screen.plain


def test_status_lines_stay_short_so_that_a_narrower_terminal_does_not_wrap_them() -> None:
    screen = Screen(width=200, source="x" * 60)
    screen.view.__enter__().update(Progress(undecoded={c * 40: 5 for c in "abc"}, size=9, bytes_read=5), [])
    assert max(len(line) for line in re.split(r"[\r\n]+", screen.plain)) == 60


def test_workers_are_shown_with_their_rates_of_many_the_slowest_and_the_fastest() -> None:
    workers = tuple(WorkerRate(f"worker {n}", 12 * n, 10**6 * n, 0.5) for n in range(1, 6))
    plain = shown(Progress(workers=workers[:2]), []).plain
    assert "worker 1: 12 captures, 2.0 MB/s" in plain
    assert "worker 2: 24 captures, 4.0 MB/s" in plain
    assert worker_rates(workers[:2]) == ", 12+24 captures, 2.0+4.0 MB/s"
    plain = shown(Progress(workers=workers), []).plain
    assert "5 workers, the slowest and the fastest:" in plain
    assert "worker 5: 60 captures, 10.0 MB/s" in plain
    assert "worker 3" not in plain
    assert worker_rates(workers) == ", 180 captures, 5 workers of 2.0 to 10.0 MB/s"
    assert worker_rates(()) == ""


def test_a_line_that_is_drawn_over_takes_one_row() -> None:
    reader, terminal = os.openpty()
    with os.fdopen(reader, "rb"), os.fdopen(terminal, "w") as stream:
        termios.tcsetwinsize(terminal, (24, 40))
        assert one_row("x" * 39, stream) == "x" * 39
        assert one_row("x" * 100, stream) == "x" * 39
    assert one_row("x" * 100, io.StringIO()) == "x" * 100


def test_a_storm_of_alerts_is_counted_and_not_printed_and_the_gravest_is_kept() -> None:
    storm = [an_alert(id=str(i), risk=1.0) for i in range(10_000)]
    screen = shown(Progress(alerts=10_001, attacks=10_001), [an_alert(id="worst", risk=99.0), *storm])
    assert "and 9,989 more meanwhile" in screen.plain
    assert "risk  99.0" in screen.plain
    assert len(screen.text) < 20_000


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    progress = Progress(
        packets=10**12, flows=10**9, undecoded={"a reason with a long name": 5, "b" * 60: 7}, size=10**12,
        bytes_read=10**11, elapsed_s=100.0, alerts=1,
    )  # fmt: skip
    plain = shown(progress, [an_alert()], width=width, source="x" * 300).plain
    assert max(len(line) for line in re.split(r"[\r\n]+", plain)) <= width


def test_without_colour_the_words_carry_the_meaning() -> None:
    screen = shown(Progress(alerts=1), [an_alert()], _environ={"TERM": "xterm", "NO_COLOR": "1"})
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]m", screen.text)
    assert "HIGH" in screen.plain


def test_a_dumb_terminal_gets_text_and_no_control_sequences() -> None:
    screen = shown(
        Progress(alerts=1, size=10, bytes_read=5), [an_alert()], color_system="auto", _environ={"TERM": "dumb"}
    )
    assert "\x1b" not in screen.text
    assert "\r" not in screen.text
    assert screen.text.count("198.51.100.7:22") == 2


def test_a_terminal_without_utf8_gets_ascii() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    deviation = Deviation("flow_duration", "µs", 5.0, 1.0, 0.0, 2.0, 3.0, 3.0)
    alert = an_alert(label="Ünusual", deviations=(deviation, deviation))
    shown_on = Screen(file=stream)
    with shown_on.view as view:
        view.update(Progress(alerts=1, size=4, bytes_read=2, elapsed_s=1.0), [alert])
        view.finish(Progress(alerts=1))
    stream.flush()
    text = raw.getvalue().decode("ascii")
    assert "192.0.2.10 -> 198.51.100.7:22" in text
    assert r"\xdcnusual" in text
    assert "flow_duration 5 us (normal 1 us, 99 % up to 2 us)" in " ".join(text.split())
    assert "##########----------" in text


def test_the_locale_of_old_terminals_gets_ascii_though_python_would_write_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "C")
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="utf-8")
    alert = an_alert(reason="gap of 5 µs … 流量")
    with Screen(file=stream).view as view:
        view.update(Progress(alerts=1), [alert])
        view.finish(Progress(alerts=1))
    stream.flush()
    text = raw.getvalue().decode("ascii")
    assert r"gap of 5 us ... \u6d41\u91cf" in " ".join(text.split())


def test_the_summary_is_read_whole_at_80_columns() -> None:
    plain = shown(Progress(alerts=1, attacks=1), [an_alert(reason="")], width=80).plain
    summary = plain[plain.index("1 alert:") :]
    assert "…" not in summary
    assert "risk 60.0 Password Guessing 192.0.2.10 → 198.51.100.7:22 attack, 318 flows" in " ".join(summary.split())


def fail_while_viewing(screen: Screen) -> None:
    with screen.view as view:
        view.update(Progress(), [])
        raise RuntimeError


def test_the_cursor_comes_back_when_the_run_fails() -> None:
    screen = Screen()
    with pytest.raises(RuntimeError):
        fail_while_viewing(screen)
    assert screen.text.rindex("\x1b[?25h") > screen.text.rindex("\x1b[?25l")


def orders(text: str) -> list[str]:
    """What a terminal would obey, but for the colours and cursor moves that rich makes."""
    without = re.sub(r"\x1b\[(?:[0-9;]*m|[0-9]*[ABCDGK]|2K|\?25[lh])|[\r\n]", "", text)
    return [c for c in without if printable(c) != c and c not in "\u0301"]


def test_nothing_from_packets_files_or_labels_gives_the_terminal_orders() -> None:
    progress = Progress(undecoded={HOSTILE: 3}, alerts=1, packets=3)
    technique = technique_of(HOSTILE)
    deviation = Deviation(HOSTILE, "packets", 412.0, 2.0, 0.0, 9.0, 11.0, 3.0)
    hostile = {"label": HOSTILE, "reason": HOSTILE, "technique": technique, "deviations": (deviation, deviation)}
    alerts = [an_alert(**hostile), an_alert(action="updated", **hostile)]
    screen = Screen(source=HOSTILE)
    with screen.view as view:
        view.update(progress, alerts)
        view.note(HOSTILE)
        view.finish(progress, problems=[HOSTILE])
    assert orders(screen.text) == []
    assert "[red]x[/red]" in screen.plain
    assert r"\x1b[2J" in screen.plain


@given(st.text(st.characters(), max_size=100))
def test_printable_text_has_no_orders_and_keeps_its_bound(text: str) -> None:
    safe = printable(text, 80)
    assert len(safe) <= 80
    assert orders(safe) == []
    safe.encode("utf-8")
    assert printable(safe, 80) == safe


@pytest.mark.parametrize(
    "letter", ["\x00", "\x1b", "\x7f", "\x9b", "\u200b", "\u2028", "\u202e", "\u2066", "\ud800", "\ue000", "\U000e0001"]
)
def test_each_kind_of_order_becomes_its_escape(letter: str) -> None:
    safe = printable(f"a{letter}b")
    assert letter not in safe
    assert safe.isascii()
    assert safe.startswith("a\\")
    assert safe.endswith("b")


def test_marks_do_not_pile_up() -> None:
    assert printable("a" + "\u0301" * 50).count("\u0301") == 2


@pytest.mark.parametrize("text", ["", "cic2017", "naïve", "流量", "a b", "rate > 5 %", "C:\\x"])
def test_printable_text_of_any_language_stays(text: str) -> None:
    assert printable(text) == text


def test_the_summary_lists_alerts_of_two_captures_though_copies_give_them_one_id() -> None:
    plain = shown(Progress(alerts=2, attacks=2), [an_alert(capture="a.pcap"), an_alert(capture="b.pcap")]).plain
    assert "more" not in plain


def test_a_watch_of_days_tells_days() -> None:
    line = io.StringIO()
    SummaryLine(line, "watch", "eth0").finish(Progress(elapsed_s=259_200.0))
    assert line.getvalue().endswith(", 3.0 days\n")
