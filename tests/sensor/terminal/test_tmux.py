"""The interactive view in a real terminal: keys, sizes, and the terminal as it was afterwards (tmux)."""

import shlex
import shutil
import sys
from pathlib import Path

import pytest

from tests.support.command import DEMO
from tests.support.tmux import LONG_S, Pane, as_it_was

pytestmark = [
    pytest.mark.skipif(shutil.which("tmux") is None, reason="needs tmux"),
    pytest.mark.ux,
    pytest.mark.takes(25),
]


def test_an_analyst_reads_a_capture_with_keys(pane: Pane, tmp_path: Path) -> None:
    pane.start("read", str(DEMO))
    pane.shows("at its end", "4 alerts: 4 attack", "▶", "OS Exhaustion Flood", within_s=LONG_S)
    pane.keys("Down", "Enter")
    pane.shows("2026-03-02 09:02:22–09:04:45 UTC", "closed", "Next", "Facts", "2 of 4")
    pane.keys("Space", "Space")
    pane.shows("Against normal traffic", "Community ID", "tshark -r CAPTURE", "2 of 4")
    pane.keys("Escape")
    pane.shows("Network Service Discovery", "? help")
    pane.keys("/", "src:203.0.113.0/24 tech:T1046", "Enter")
    pane.shows("1 of 1", "hides 3")
    pane.keys("m", "s")
    pane.shows("no alert matches", "1 muted")
    pane.run("resize-window", "-x", "120", "-y", "40")
    screen = pane.shows("no alert matches", "Top talkers", "udp/5353", "Protocols", "icmp")
    assert screen.splitlines()[39].startswith("at its end")
    pane.keys("M", "Escape")
    pane.shows("2 of 4", "Against normal traffic")
    pane.keys("q")
    screen = pane.shows("code=0", "32,858 packets", "MEDIUM risk")
    assert "at its end" not in screen
    assert as_it_was(tmp_path)


def test_ctrl_z_lends_the_terminal_and_ctrl_c_ends_in_order(pane: Pane, tmp_path: Path) -> None:
    pane.start("read", str(DEMO))
    pane.shows("at its end", within_s=LONG_S)
    pane.keys("C-z")
    assert "at its end" not in pane.shows("Stopped")
    pane.keys("stty -a | tr ' ;' '\\n\\n' > stty; clear", "Enter")
    assert as_it_was(tmp_path)
    (tmp_path / "stty").unlink()
    pane.keys("fg", "Enter")
    pane.shows("at its end", "1 of 4")
    pane.keys("s")
    pane.shows("by risk")
    pane.keys("C-c")
    pane.shows("32,858 packets", "0 dropped")


def test_without_keys_or_a_cursor_it_scrolls_and_ends_by_itself(pane: Pane) -> None:
    pane.start("read", str(DEMO), "--color", "never", before="</dev/null")
    screen = pane.shows("code=0", within_s=LONG_S)
    assert "4 alerts: 4 attack" in screen
    pane.keys("clear", "Enter")
    pane.start("read", str(DEMO), before="TERM=dumb")
    assert "4 alerts: 4 attack" in pane.shows("code=0", within_s=LONG_S)


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_two_drawings_a_second_take_less_than_three_percent_of_a_core(pane: Pane, tmp_path: Path) -> None:
    script = tmp_path / "busy.py"
    script.write_text(BUSY)
    pane.run("resize-window", "-x", "200", "-y", "60")
    pane.keys(f"{shlex.quote(sys.executable)} busy.py; echo code=$?", "Enter")
    screen = pane.shows("code=0", within_s=60)
    share = float(screen.split("share ")[1].split()[0])
    assert share < 0.03, share


# As long as a watch tells it ten times a second that everything has changed, with a few alerts in each second.
BUSY = """
import time
from sensor.cli.options import Color
from sensor.cli.screens import console_for, interactive_screen
from sensor.progress.progress import Progress
from sensor.alerts.alert import Endpoint
from sensor.terminal.screen_thread import own_stream
from tests.support.alerts import an_alert
import sys, threading
used = lambda: time.clock_gettime(time.CLOCK_PROCESS_CPUTIME_ID)
console = console_for(Color.AUTO, own_stream(sys.stdout))
with interactive_screen("watch", "eth0", "cic2017", console, lambda: False) as screen:
    for step in range(120):
        alerts = [an_alert(id=str(step), sequence=step, source=Endpoint(f"10.0.0.{step % 40}", 1, 1, 1))]
        screen.update(Progress(packets=step * 5000, bytes=step * 10**6, elapsed_s=step / 10, judged=step * 9,
                               scoring_s=step / 999, alerts=step), alerts if step % 3 == 0 else [])
        time.sleep(0.1)
        if step == 19:
            start, cpu = time.monotonic(), used()
    share = (used() - cpu) / (time.monotonic() - start)
    screen.finish(Progress())
print("share", round(share, 4))
"""


def test_with_notes_an_alert_is_marked_with_its_reason_and_shown_on_demand(pane: Pane, tmp_path: Path) -> None:
    site = tmp_path / "site.yaml"
    site.write_text("# ours\nhome: [10.20.0.0/16]\nassets:\n  - {name: scan-1, address: 203.0.113.45, role: scanner}\n")
    pane.run("resize-window", "-x", "160", "-y", "30")
    pane.start("read", str(DEMO), "--site", str(site))
    pane.shows("at its end", "3 alerts: 3 attack", "1 of 3", "1 muted by site notes (n shows them)", within_s=LONG_S)
    pane.keys("/", "src:192.0.2.200", "Enter", "m")
    pane.shows("192.0.2.200 → 10.20.0.10:80 is meant to be, because: _", "Enter writes a rule")
    pane.keys("a load test", "Enter")
    pane.shows("rule added: source 192.0.2.200, destination 10.20.0.10, service tcp/80", "2 muted by site notes")
    pane.keys("Escape", "n")
    pane.shows("of 4", "muted by scanner scan-1: a scanner scans", "muted by rule 192.0.2.200 -> 10.20.0.10")
    pane.keys("q")
    pane.shows("code=0", "1 muted by site notes")
    assert site.read_text().startswith("# ours\nhome: [10.20.0.0/16]\nassets:\n")
    assert 'why: "a load test"' in site.read_text()
    assert as_it_was(tmp_path)
