"""The sensor on a cable, measured: `make live` (root, tcpreplay; about five minutes).

Two namespaces joined by a veth pair; the sender on one core, the sensor on the other. Nothing here passes or fails.
"""

import argparse
import json
import os
import pty
import select
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.support.command import FLOWVIGIL, surroundings
from tests.support.load import counted, sessions
from tests.support.namespaces import inside, ip, joined_namespaces
from tests.support.sensors import notified, records_of

SENSOR_CORE, SENDER_CORE = "1", "0"
SERVER = "10.99.0.2"
LATENCY_RATE = 400_000  # packets/s: four fifths of what the sensor must sustain


def main() -> None:
    """Measure and print a line each."""
    options = argparse.ArgumentParser(description="Measure the live sensor on a cable between two namespaces.")
    options.add_argument("--seconds", type=float, default=60, help="of sustained load")
    options.add_argument("--rate", type=int, default=600_000, help="packets/s asked for of sustained load")
    options.add_argument("--idle", type=float, default=30, help="seconds without a packet")
    options.add_argument("--scans", type=int, default=60, help="attacks whose alerts are timed")
    chosen = options.parse_args()
    with joined_namespaces() as (left, right), tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        scratch.chmod(0o777)
        ip("-n", right, "address", "add", f"{SERVER}/16", "dev", "fv1")
        load = sessions(scratch / "load.pcap")
        new = sessions(scratch / "new.pcap", closed=True)
        measure_load(left, right, scratch, "long sessions", load, chosen.rate, chosen.seconds)
        measure_load(left, right, scratch, "sessions of 24 packets", new, chosen.rate, chosen.seconds)
        measure_idle(right, scratch, chosen.idle)
        measure_latency(left, right, scratch, load, LATENCY_RATE, chosen.scans)
        measure_stopped_terminal(left, right, scratch, load, LATENCY_RATE, chosen.seconds)


def tell(name: str, figure: str) -> None:
    """One line of the table."""
    print(f"{name:<58} {figure}", flush=True)


@contextmanager
def sensor(namespace: str, *options: str, **streams: Any) -> Iterator["subprocess.Popen[bytes]"]:
    """A watch on the second core, ready."""
    command = ["ip", "netns", "exec", namespace, "taskset", "-c", SENSOR_CORE, *FLOWVIGIL, "watch", "-i", "fv1"]
    with notified() as ready:
        process = subprocess.Popen(
            [*command, *options],
            env=surroundings(NOTIFY_SOCKET=ready.name, TERM="xterm-256color"),
            start_new_session=True,
            **{"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, **streams},
        )
        try:
            ready.wait("READY=1", process)
            yield process
        finally:
            process.kill()
            process.wait()


@contextmanager
def sending(namespace: str, load: Path, rate: int, seconds: float) -> Iterator[None]:
    """tcpreplay on the first core, for so long or until the block is left."""
    command = ["ip", "netns", "exec", namespace, "taskset", "-c", SENDER_CORE, "tcpreplay", "-i", "fv0"]
    options = ["--preload-pcap", "--no-flow-stats", "--loop=0", f"--pps={rate}", f"--duration={round(seconds)}"]
    process = subprocess.Popen([*command, *options, str(load)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
        process.wait(timeout=seconds + 30)
    finally:
        process.terminate()
        process.wait()


def cpu_s(process: "subprocess.Popen[bytes]") -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def arrivals(namespace: str) -> int:
    """Packets that came to the interface so far, by its own counter, which costs the sender nothing."""
    command = ["ip", "-n", namespace, "-j", "-s", "link", "show", "fv1"]
    answer = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    return int(answer[0]["stats64"]["rx"]["packets"])


def final_account(alerts: Path) -> dict[str, Any]:
    """What the last stats record says."""
    account: dict[str, Any] = records_of(alerts.read_bytes(), "stats")[-1]["flowvigil"]
    return account


def fate(account: dict[str, Any], arrived: int) -> str:
    """What became of the packets, in words."""
    lost = f"dropped {account['dropped']:,}, shed {account['shed']:,}, difference {account['difference']}"
    return f"arrived {arrived:,}, received {account['received']:,}, {lost}"


def measure_load(left: str, right: str, scratch: Path, name: str, load: Path, rate: int, seconds: float) -> None:
    """Sustained load of small packets, everything metered and scored."""
    alerts = scratch / f"{load.stem}.jsonl"
    with sensor(right, "-o", str(alerts)) as process:
        before, arrived = cpu_s(process), -arrivals(right)
        with sending(left, load, rate, seconds):
            pass
        used, arrived = cpu_s(process) - before, arrived + arrivals(right)
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)
    account = final_account(alerts)
    tell(f"{name}, {rate:,} packets/s asked for, {seconds:.0f} s", fate(account, arrived))
    scored = f"{account['flows'] / seconds:,.0f} flows/s scored, {account['alerts']['opened']:,} alerts"
    tell("  arrived per second", f"{arrived / seconds:,.0f}, {scored}, {100 * used / seconds:.1f} % of one core")


def measure_idle(right: str, scratch: Path, seconds: float) -> None:
    """No packet at all."""
    with sensor(right, "-o", str(scratch / "idle.jsonl")) as process:
        time.sleep(2)
        before = cpu_s(process)
        time.sleep(seconds)
        tell("idle, CPU of one core", f"{100 * (cpu_s(process) - before) / seconds:.2f} %")


def measure_latency(left: str, right: str, scratch: Path, load: Path, rate: int, scans: int) -> None:
    """From the last packet of the flows that an alert speaks of when it opens to its line in a pipe."""
    for number in range(scans):
        ip("-n", left, "address", "add", f"10.99.1.{number + 1}/16", "dev", "fv0")
    delays: list[float] = []
    with sensor(right, "-o", str(scratch / "latency.jsonl"), stdout=subprocess.PIPE) as process:
        assert process.stdout
        reader = threading.Thread(target=time_alerts, args=(process.stdout, delays))
        reader.start()
        with sending(left, load, rate, scans * 1.0 + 4):
            time.sleep(2)
            for number in range(scans):
                knock(left, f"10.99.1.{number + 1}")
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)
        reader.join()
    account = final_account(scratch / "latency.jsonl")
    if len(delays) < 2:
        tell("alerts timed", str(len(delays)))
        return
    cuts = statistics.quantiles(delays, n=100, method="inclusive")
    figures = f"median {cuts[49]:.2f} s, 99 % {cuts[98]:.2f} s, largest {max(delays):.2f} s"
    tell(f"packet to alert line, {len(delays)} alerts at {rate:,} packets/s", figures)
    tell("  meanwhile", f"dropped {account['dropped']:,}, shed {account['shed']:,}")


def knock(namespace: str, address: str) -> None:
    """One scan: many refused connections from one address, within a second."""
    with inside(namespace):
        for port in range(1000, 1100):
            with socket.socket() as knocking:
                knocking.bind((address, 0))
                knocking.settimeout(0.2)
                knocking.connect_ex((SERVER, port))
            time.sleep(0.005)


def time_alerts(lines: Any, delays: list[float]) -> None:
    """Seconds between event.end and now, of each alert that opens."""
    for line in lines:
        now = time.time()
        event = json.loads(line)["event"]
        if event["dataset"] == "flowvigil.alert" and event["action"] == "opened":
            delays.append(now - datetime.fromisoformat(event["end"]).timestamp())


def measure_stopped_terminal(left: str, right: str, scratch: Path, load: Path, rate: int, seconds: float) -> None:
    """A terminal that takes nothing, as after Ctrl-S."""
    alerts = scratch / "stopped.jsonl"
    control, terminal = pty.openpty()
    streams = {"stdin": terminal, "stdout": terminal, "stderr": terminal}
    with counted(right, "fv1") as count, sensor(right, "-o", str(alerts), **streams) as process:
        with sending(left, load, rate, seconds):
            pass
        readable = select.select([control], [], [], 0)[0]
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)
    os.close(control)
    os.close(terminal)
    name = f"terminal stopped for {seconds:.0f} s at {rate:,} packets/s"
    tell(name, fate(final_account(alerts), count[0]) + ("" if readable else " (nothing was drawn)"))


if __name__ == "__main__":
    sys.exit(main())
