"""100 000 alerts to rsyslog and syslog-ng over TCP with default limits, the receiver restarted on the way.

    python -m tests.bench.outputs [alerts]

Prints for each receiver what arrived, how often twice, in which order, and the rate; fails when one is missing.
"""

import sys
import tempfile
import time
from pathlib import Path

from sensor.alerts.alert_record import alert_line
from sensor.outputs.outputs import Outputs, prepared_outputs
from sensor.settings.outputs import SyslogEntry
from tests.support.alerts import an_alert
from tests.support.receivers import RECEIVERS, received, receiver


def run(program: str, alerts: int, directory: Path) -> tuple[int, int, bool, float, int]:
    """Alerts that arrived, messages that came twice, whether first arrivals are in order, seconds, longest message."""
    lines = [alert_line(an_alert(sequence=number)) for number in range(1, alerts + 1)]
    with receiver(program, directory) as daemon:
        entry = SyslogEntry(type="syslog", host="127.0.0.1", port=daemon.port, spool=directory / "spool")
        outputs = Outputs(prepared_outputs([entry], "gw1"), patience_s=60)
        began = time.monotonic()
        for start in range(0, alerts, 500):
            outputs.write(lines[start : start + 500])
            if start == alerts // 2 // 500 * 500:
                daemon.stop()
                daemon.start()
        outputs.close(120)
        took_s = time.monotonic() - began
        assert outputs.lost == 0, outputs.problems
        deadline = time.monotonic() + 60
        while len(set(received(daemon.out))) < alerts and time.monotonic() < deadline:
            time.sleep(0.5)
        daemon.stop()
        arrived = received(daemon.out)
    first = list(dict.fromkeys(number for _, number in arrived))
    return len(first), len(arrived) - len(first), first == sorted(first), took_s, max(map(len, lines))


def main() -> None:
    """Both receivers, one after the other."""
    alerts = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    for program in RECEIVERS:
        with tempfile.TemporaryDirectory() as name:
            arrived, twice, ordered, took_s, longest = run(program, alerts, Path(name))
        print(
            f"{program}: {arrived:,} of {alerts:,} alerts parsed, {twice:,} twice, "
            f"{'in order' if ordered else 'OUT OF ORDER'}, {took_s:.1f} s ({alerts / took_s:,.0f}/s), "
            f"lines of up to {longest:,} bytes"
        )
        assert arrived == alerts


if __name__ == "__main__":
    main()
