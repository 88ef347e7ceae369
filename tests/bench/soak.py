"""A long run of the sensor on a cable: `make soak` (root, tcpreplay), MINUTES=60 by default.

Two namespaces joined by a veth pair. The generator's traffic, normal and attacks, goes round with other addresses each
time, so that the flow table stays full. The sensor may use a share of one core (a cgroup's quota of a short period):
a small gateway, whose capacity is measured first; the run is at four fifths of it. Ends with 0 when every promise held:
memory grows by less than 1 MB an hour after the first ten minutes, descriptors stay, every packet is accounted for,
and the loop never leaves the ring alone for 100 ms.
"""

import argparse
import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from sensor.synth.generate import SCENARIOS, generate
from sensor.synth.pcap import pcap_bytes
from tests.bench.live import arrivals
from tests.support.command import FLOWVIGIL, surroundings
from tests.support.namespaces import joined_namespaces
from tests.support.sensors import notified, records_of

CGROUP: Final = Path("/sys/fs/cgroup/cpu")  # version 1; with version 2 the files have other names
CGROUP_2: Final = Path("/sys/fs/cgroup")
PERIOD_US: Final = 5_000  # of the quota: a throttled sensor stands still for less than this
WEIGHT: Final = 5000  # of the group, 100 being that of everything else: others' load is not what is measured
SEEDS: Final = range(1, 5)  # of the traffic
SAMPLE_S: Final = 5.0
SETTLED_S: Final = 600.0  # until memory must not grow any more
SPAN_S: Final = 300.0  # of which the least counts: alerts that open and close move it by some MB, what is lost does not
# So that the screen keeps as many alerts as it ever does before memory counts; with the default that is 17 minutes.
ALERTS_A_MINUTE: Final = 300
HOSTS: Final = 256  # whose stores are full before that: a page of them counts as memory from its first use on
LARGEST_FILE: Final = 200 << 20  # bytes of alerts before they are set aside
STEP_S: Final = 20.0  # of a rate, while capacity is sought
RATES: Final = [round(20_000 * 1.25**step) for step in range(16)]
# A process of the same weight that sleeps, and counts to 5,000 each second: what holds it up is the machine, not the
# sensor, and who makes it count slower is whoever shares the machine. Lines: what, and for how many ns.
IDLER: Final = """
import time
longest = 0
while True:
    for _ in range(200):
        before = time.monotonic_ns()
        time.sleep(0.005)
        slept = time.monotonic_ns() - before
        if slept > longest:
            longest = slept
            print("slept", longest, flush=True)
    before = time.monotonic_ns()
    for _ in range(5000):
        pass
    print("counted", time.monotonic_ns() - before, flush=True)
"""
SLOW: Final = 1.5  # of the median: a second in which counting took longer is one of a slow machine
# promises
SLOPE_MB: Final = 1.0  # an hour
PAUSE_S: Final = 0.1


@dataclass
class Soak:
    """What came of a run."""

    share: float  # of a core
    capacity: int  # packets/s; 0 where a rate was given instead
    rate: int  # packets/s asked for
    minutes: float = 0.0
    arrived: int = 0  # packets at the interface
    account: dict[str, Any] = field(default_factory=dict)  # the last stats record
    slope_mb: float = 0.0  # an hour, of the least resident memory of each SPAN_S, once settled
    course_mb: list[float] = field(default_factory=list)  # of resident memory, a value a minute from the beginning
    rss_mb: tuple[float, float] = (0.0, 0.0)  # once settled, at the end
    descriptors: tuple[int, int] = (0, 0)  # fewest and most, once settled
    pause_s: float = 0.0
    idler_pause_s: float = 0.0  # longest sleep of 5 ms of a process of the same weight without a quota
    slow: float = 0.0  # share of the seconds in which that process counted slowly
    load: tuple[float, float] = (0.0, 0.0)  # of the machine: mean and most
    throttled: float = 0.0  # share of periods in which the quota was used up
    fullest: float = 0.0  # of the flow table, a share
    full: float = 0.0  # share of the time in which it was full
    exit_code: int = 0

    def failures(self) -> list[str]:
        """Promises that did not hold."""
        account = self.account
        lost = self.arrived - account["received"]
        broken = [
            (self.slope_mb >= SLOPE_MB, f"memory grew by {self.slope_mb:.2f} MB an hour"),
            (self.descriptors[0] != self.descriptors[1], f"descriptors went from {self.descriptors}"),
            (account["difference"] != 0, f"a difference of {account['difference']:,} packets"),
            (lost != 0, f"{lost:,} packets came to the interface that the sensor did not receive"),
            (self.pause_s >= PAUSE_S, f"the ring was left alone for {1000 * self.pause_s:.0f} ms"),
            (self.exit_code != 0, f"exit code {self.exit_code}"),
        ]
        return [words for failed, words in broken if failed]


@contextmanager
def small_gateway(name: str, share: float) -> Iterator[Path]:
    """A control group whose processes get that share of one core; its directory."""
    second = (CGROUP_2 / "cgroup.controllers").exists()
    group = (CGROUP_2 if second else CGROUP) / f"flowvigil-{name}-{os.getpid()}"
    group.mkdir()
    quota = round(share * PERIOD_US)
    try:
        if second:
            (group / "cpu.max").write_text(f"{quota} {PERIOD_US}")
            (group / "cpu.weight").write_text(str(WEIGHT))
        else:
            (group / "cpu.cfs_period_us").write_text(str(PERIOD_US))
            (group / "cpu.cfs_quota_us").write_text(str(quota))
            (group / "cpu.shares").write_text(str(1024 * WEIGHT // 100))
        yield group
    finally:
        for _ in range(100):
            with contextlib.suppress(OSError):
                group.rmdir()
                break
            time.sleep(0.1)


@contextmanager
def idler(told: Path) -> Iterator[None]:
    """The process that only sleeps and counts; how long that takes are lines of a file."""
    with small_gateway("idler", 1.0) as group, told.open("w") as out:
        script = 'echo $$ > "$0"/cgroup.procs; exec "$@"'
        command = ["sh", "-c", script, str(group), "nice", "-n", "-10", sys.executable, "-c", IDLER]
        process = subprocess.Popen(command, stdout=out)
        try:
            yield
        finally:
            process.kill()
            process.wait()


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


def machine_of(told: str) -> tuple[float, float]:
    """The longest sleep in seconds, and the share of slow seconds, of what the idle process told."""
    lines = [(what, int(ns)) for what, ns in (line.split() for line in told.splitlines())]
    counted = np.array([ns for what, ns in lines if what == "counted"])
    slow = float((counted > SLOW * np.median(counted)).mean()) if len(counted) else 0.0
    return max((ns for what, ns in lines if what == "slept"), default=0) / 1e9, slow


def throttled_share(group: Path) -> float:
    """Share of the periods so far in which the quota was used up."""
    fields = dict(line.split() for line in (group / "cpu.stat").read_text().splitlines())
    return int(fields["nr_throttled"]) / max(1, int(fields["nr_periods"]))


def mixed_traffic(path: Path) -> Path:
    """Normal traffic and attacks side by side, seven minutes' worth of some seeds one after the other."""
    packets = [packet for seed in SEEDS for packet in generate(SCENARIOS, seed).packets]
    path.write_bytes(pcap_bytes(packets))
    return path


@contextmanager
def gateway_sensor(group: Path, namespace: str, alerts: Path, table: int) -> Iterator["subprocess.Popen[bytes]"]:
    """A watch in the control group, drawing on a terminal that is read, ready."""
    script = 'echo $$ > "$0"/cgroup.procs; exec "$@"'
    command = ["sh", "-c", script, str(group), "nice", "-n", "-10", "ip", "netns", "exec", namespace, *FLOWVIGIL]
    bounds = [
        f"meter.capacity_flows={table}",
        f"episodes.capacity_hosts={HOSTS}",
        f"episodes.alerts_per_minute={ALERTS_A_MINUTE}",
    ]
    options = ["watch", "-i", "fv1", "-o", str(alerts), *(word for bound in bounds for word in ("--set", bound))]
    control, terminal = pty.openpty()
    reader = threading.Thread(target=_drain, args=(control,), daemon=True)
    reader.start()
    with notified() as ready:
        process = subprocess.Popen(
            [*command, *options, "--set", "stats.interval_s=1"],
            env=surroundings(NOTIFY_SOCKET=ready.name, TERM="xterm-256color"),
            start_new_session=True, stdin=terminal, stdout=terminal, stderr=terminal,
        )  # fmt: skip
        try:
            ready.wait("READY=1", process)
            yield process
        finally:
            process.kill()
            process.wait()
            os.close(terminal)
            reader.join(timeout=5)
            os.close(control)


def _drain(control: int) -> None:
    with contextlib.suppress(OSError):
        while os.read(control, 65536):
            pass


@contextmanager
def sending(namespace: str, load: Path, rate: int) -> Iterator["subprocess.Popen[bytes]"]:
    """tcpreplay at a rate, round and round, each time with other addresses, until the block is left."""
    command = ["nice", "-n", "-10", "ip", "netns", "exec", namespace, "tcpreplay", "-i", "fv0", "--preload-pcap"]
    options = ["--no-flow-stats", "--loop=0", "--unique-ip", f"--pps={rate}", str(load)]
    process = subprocess.Popen([*command, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Records:
    """Stats records of a file that grows, without what was read before."""

    def __init__(self, alerts: Path) -> None:
        self._alerts = alerts
        self._at = 0
        self.latest: dict[str, Any] = {}

    def news(self) -> list[dict[str, Any]]:
        """Those that have come since the last call."""
        if not self._alerts.exists():
            return []
        with self._alerts.open("rb") as file:
            file.seek(self._at)
            content = file.read()
        whole = content[: content.rfind(b"\n") + 1]
        self._at += len(whole)
        found = [record["flowvigil"] for record in records_of(whole, "stats")]
        if found:
            self.latest = found[-1]
        return found

    @property
    def counts(self) -> dict[str, int | None]:
        """The latest ones that are told while a run goes on."""
        return {name: self.latest.get(name) for name in ("received", "dropped", "shed", "table_flows")}

    def set_aside(self, process: "subprocess.Popen[bytes]") -> None:
        """Begin a new file where this one is large, as logrotate does."""
        if self._alerts.exists() and self._alerts.stat().st_size > LARGEST_FILE:
            aside = self._alerts.with_suffix(".old")
            self._alerts.rename(aside)
            process.send_signal(signal.SIGHUP)
            time.sleep(1)
            aside.unlink()
            self._at = 0


def measure_capacity(group: Path, ends: tuple[str, str], scratch: Path, load: Path, table: int) -> int:
    """Packets/s up to which nothing is dropped or shed once the table is full: the last rate of a rising row."""
    left, right = ends
    alerts = scratch / "capacity.jsonl"
    best = 0
    with gateway_sensor(group, right, alerts, table) as process:
        records = Records(alerts)
        with sending(left, load, RATES[0]):  # fills the table
            time.sleep(2 * STEP_S)
        records.news()
        for rate in RATES:
            before = records.latest
            with sending(left, load, rate):
                time.sleep(STEP_S)
            records.news()
            after = records.latest
            came = after["received"] - before["received"]
            lost = after["dropped"] - before["dropped"] + after["shed"] - before["shed"]
            _say(f"  {rate:,} packets/s asked for: {came / STEP_S:,.0f} came, {lost:,} lost")
            if lost or after["overload"]:
                break
            best = round(came / STEP_S)
            if came / STEP_S < 0.8 * rate:
                _say("  the sender does not send more")
                break
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)
    return best


def watch_memory(process: "subprocess.Popen[bytes]") -> tuple[float, int]:
    """Resident MB, open descriptors."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    resident = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(resident.split()[1]) / 1024, len(os.listdir(f"/proc/{process.pid}/fd"))


def slope_an_hour(times_s: Sequence[float], values: Sequence[float], span_s: float = SPAN_S) -> float:
    """Least squares of the least value of each span, in units of the values an hour; 0 of fewer than two spans."""
    spans = np.asarray(times_s) // span_s
    least = [float(np.asarray(values)[spans == span].min()) for span in np.unique(spans)]
    return float(np.polyfit(np.unique(spans) * span_s, least, 1)[0] * 3600) if len(least) > 1 else 0.0


def soak(
    soaked: Soak, group: Path, ends: tuple[str, str], scratch: Path, load: Path, minutes: float, table: int
) -> None:
    """The long run itself."""
    left, right = ends
    alerts, settled_s = scratch / "soak.jsonl", min(SETTLED_S, minutes * 60 / 2)
    times: list[float] = []
    resident: list[float] = []
    descriptors: list[int] = []
    loads: list[float] = []
    full: list[float] = []
    with idler(scratch / "idler"), gateway_sensor(group, right, alerts, table) as process:
        records = Records(alerts)
        arrived = -arrivals(right)
        began = time.monotonic()
        pause = 0
        with sending(left, load, soaked.rate) as sender:
            while (passed := time.monotonic() - began) < minutes * 60:
                time.sleep(SAMPLE_S)
                if process.poll() is not None or sender.poll() is not None:
                    _say(f"  ended early: sensor {process.poll()}, sender {sender.poll()}")
                    break
                records.news()
                records.set_aside(process)
                loads.append(os.getloadavg()[0])
                mb, opened = watch_memory(process)
                if int(passed // 60) != int((passed - SAMPLE_S) // 60):
                    soaked.course_mb.append(round(mb, 1))
                full.append(records.latest.get("table_flows", 0) / table)
                if passed >= settled_s:
                    times.append(passed)
                    resident.append(mb)
                    descriptors.append(opened)
                now = records.latest.get("longest_pause_ns", 0)
                if now > pause or int(passed // 60) != int((passed - SAMPLE_S) // 60):
                    pause = now
                    _say(f"  {passed:6.0f} s: {mb:.1f} MB, {opened} descriptors, longest pause {pause / 1e6:.1f} ms, "
                         f"load {loads[-1]:.1f}, {records.counts}")  # fmt: skip
        soaked.minutes = (time.monotonic() - began) / 60
        time.sleep(2)
        arrived += arrivals(right)
        process.send_signal(signal.SIGTERM)
        soaked.exit_code = process.wait(timeout=120)
        records.news()
    soaked.account, soaked.arrived = records.latest, arrived
    soaked.slope_mb = slope_an_hour(times, resident)
    soaked.rss_mb = (resident[0], resident[-1]) if resident else (0.0, 0.0)
    soaked.descriptors = (min(descriptors), max(descriptors)) if descriptors else (0, 0)
    soaked.pause_s = records.latest["longest_pause_ns"] / 1e9
    soaked.idler_pause_s, soaked.slow = machine_of((scratch / "idler").read_text())
    soaked.load = (float(np.mean(loads)), max(loads))
    soaked.throttled = throttled_share(group)
    soaked.fullest = max(full)
    soaked.full = float(np.mean(np.array(full) > 0.99))


def run(minutes: float, share: float, table: int, rate: int | None = None) -> Soak:
    """Measure the capacity, then soak; rate: packets/s, None: four fifths of the capacity."""
    with (
        joined_namespaces() as ends,
        small_gateway("soak", share) as group,
        tempfile.TemporaryDirectory(prefix="flowvigil-soak-") as name,
    ):
        scratch = Path(name)
        scratch.chmod(0o777)
        load = mixed_traffic(scratch / "mixed.pcap")
        capacity = 0 if rate else measure_capacity(group, ends, scratch, load, table)
        _say(f"capacity {capacity:,} packets/s of {share:.0%} of a core")
        soaked = Soak(share, capacity, rate or round(0.8 * capacity))
        soak(soaked, group, ends, scratch, load, minutes, table)
    return soaked


def main() -> int:
    """Run what the options ask for; the exit code."""
    options = argparse.ArgumentParser(description="Soak the live sensor between two namespaces.")
    options.add_argument("--minutes", type=float, default=60)
    options.add_argument("--share", type=float, default=0.5, help="of one core that the sensor may use")
    options.add_argument("--table", type=int, default=65_536, help="flows that the table holds")
    options.add_argument("--rate", type=int, help="packets/s, instead of four fifths of the capacity")
    chosen = options.parse_args()
    soaked = run(chosen.minutes, chosen.share, chosen.table, chosen.rate)
    print(json.dumps(asdict(soaked)))
    for failure in soaked.failures():
        print(f"FAILED: {failure}")
    return int(bool(soaked.failures()))


if __name__ == "__main__":
    sys.exit(main())
