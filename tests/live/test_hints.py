"""What a running sensor says about how it is run: sessions that a mirror tags one way only."""

import socket
from pathlib import Path

import pytest

from tests.support.namespaces import inside
from tests.support.packets import udp
from tests.support.sensors import watching

pytestmark = pytest.mark.live

SESSIONS = 60


@pytest.mark.parametrize("workers", [1, 2])
def test_sessions_with_a_tag_one_way_are_told_while_the_watch_goes_on(
    namespaces: tuple[str, str], tmp_path: Path, workers: int
) -> None:
    """The kernel shares packets out without a look at tags, so both ways of a session are one worker's."""
    left, right = namespaces
    options = ("stats.interval_s=1", "meter.idle_timeout_s=1", f"capture.workers={workers}", "capture.ring_blocks=4")
    with watching(right, tmp_path, *(word for option in options for word in ("--set", option)), write=False) as watch:
        with inside(left), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as packets:
            packets.bind(("fv0", 0))
            for number in range(SESSIONS):
                client, server = f"10.7.0.{number + 1}:{40_000 + number}", "10.8.0.1:53"
                packets.send(udp(client, server, payload=20, vlan=(7,)).frame)
                packets.send(udp(server, client, payload=20).frame)
        told = watch.wait_for("sensor", 20, action="sessions-split")
        result = watch.stop()
    assert result.code == 0, result
    message = "sessions seen with other VLAN tags, or none, on the way back, and metered as two flows each"
    assert message in told["flowvigil"]["message"]
    hints = [record for record in watch.records("sensor") if record["event"]["action"] == "sessions-split"]
    assert len(hints) == 1
    assert watch.records("stats")[-1]["flowvigil"]["split_sessions"] == SESSIONS
    assert f"flowvigil: {SESSIONS} {message}: meter.vlan_in_key: false makes them one" in result.stderr
