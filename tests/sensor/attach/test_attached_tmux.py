"""`watch --attach` in a real terminal: the interactive view of a sensor elsewhere, to its end and beyond (tmux)."""

import shutil
from contextlib import ExitStack
from pathlib import Path

import pytest

from sensor.alerts.alert_record import alert_line
from sensor.progress.latest import Latest
from sensor.progress.progress import Progress
from tests.support.alerts import an_alert
from tests.support.attached import serving
from tests.support.native import an_event_line
from tests.support.tmux import LONG_S, Pane, as_it_was

pytestmark = [pytest.mark.skipif(shutil.which("tmux") is None, reason="needs tmux"), pytest.mark.ux]


def test_an_operator_looks_at_a_sensor_until_it_ends(pane: Pane, tmp_path: Path) -> None:
    with ExitStack() as sensor:
        latest = Latest(Progress(packets=640, alerts=1, attacks=1, elapsed_s=61.0))
        server = sensor.enter_context(serving(tmp_path, latest))
        server.write([alert_line(an_alert())])
        pane.start("watch", "--attach", str(tmp_path / "sock"))
        pane.shows("flowvigil watch eth0 on gw1 for 1:01", "bundle cic2017", "1 of 1", "Password Guessing",
                   within_s=LONG_S)  # fmt: skip
        pane.keys("Enter")
        pane.shows("Next", "Facts")
        pane.keys("Space")
        pane.shows("Against normal traffic")
        pane.keys("Space")
        pane.shows("tshark -r CAPTURE")
        server.write([an_event_line(), alert_line(an_alert(id="B" * 26, sequence=2, technique=None, label=None))])
        pane.shows("NOTE eth0 went down", "2 of 2")
        pane.keys("Escape")
        pane.shows("Unusual traffic", "Password Guessing")
        pane.keys("m", "t")
        pane.shows("1 muted")
        sensor.close()
        pane.shows("the sensor has ended")
        pane.keys("q")
    pane.shows("code=0", "640 packets")
    assert as_it_was(tmp_path)


def test_who_leaves_lets_the_sensor_go_on(pane: Pane, tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        pane.start("watch", "--attach", str(tmp_path / "sock"))
        pane.shows("no alert so far", within_s=LONG_S)
        pane.keys("q")
        pane.shows("code=0")
        assert server._thread.is_alive()
    assert as_it_was(tmp_path)
