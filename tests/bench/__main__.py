"""Speed and size, measured: `make bench`, or `python -m tests.bench [--packets N]`.

CPU time (user and system), because a shared machine's clock says little; ratios against peers that run beside ours in the
same minutes. Nothing here passes or fails.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

REPOSITORY = Path(__file__).resolve().parents[2]
GENERATOR = REPOSITORY.parent / "shared" / "tools" / "gen_pcap.py"
COMMAND = [sys.executable, "-c", "from sensor.cli import main; main()"]
REPEATS = 3


def main() -> None:
    """Measure everything and print one table."""
    options = argparse.ArgumentParser(description="Measure flowvigil's speed and size.")
    options.add_argument("--packets", type=int, default=2_000_000, help="of the large capture")
    packets = options.parse_args().packets
    with tempfile.TemporaryDirectory() as scratch:
        for name, figure in [*starts(Path(scratch)), *captures(Path(scratch), packets), *scoring()]:
            print(f"{name:<62} {figure}", flush=True)


def starts(scratch: Path) -> Iterator[tuple[str, str]]:
    """How long it takes until something happens, kernels compiled before."""
    small = scratch / "small.pcap"
    cut_capture(small, 100)
    run([*COMMAND, "read", str(small), "-q"])
    for name, arguments in [("--help", ["--help"]), ("read of 100 packets", ["read", str(small), "-q"])]:
        usages = [run([*COMMAND, *arguments]) for _ in range(REPEATS)]
        wall, cpu = min(usage.wall_s for usage in usages), min(usage.cpu_s for usage in usages)
        yield f"flowvigil {name}", f"{wall:.2f} s, CPU {cpu:.2f} s"


def captures(scratch: Path, packets: int) -> Iterator[tuple[str, str]]:
    """Whole processes over the large capture, and scapy that only reads a part of it."""
    if not GENERATOR.exists():
        yield "read of the large capture", f"not measured: no generator at {GENERATOR}"
        return
    full, cut = scratch / "full.pcap", scratch / "cut.pcap"
    run([sys.executable, str(GENERATOR), str(full), str(cut), str(packets), str(packets // 33)])
    rates = {}
    for name, path in [("whole packets", full), ("96 bytes a packet", cut)]:
        usages = [run([*COMMAND, "read", str(path), "-q"]) for _ in range(REPEATS)]
        best = min(usages, key=lambda usage: usage.cpu_s)
        rates[name] = packets / best.cpu_s
        rate = f"{rates[name] / 1e6:.2f} M packets per CPU-second, peak {best.peak_mb:.0f} MB"
        yield f"flowvigil read, {packets:,} packets, {name}", rate
    few = packets // 40
    code = "import sys; from itertools import islice; import scapy.layers.all; from scapy.utils import PcapReader\n"
    code += "for packet in islice(PcapReader(sys.argv[1]), int(sys.argv[2])): len(packet)"
    peer = few / run([sys.executable, "-c", code, str(full), str(few)]).cpu_s
    yield (
        f"scapy, reading {few:,} of them only",
        f"{peer / 1e6:.4f} M; ours is {rates['whole packets'] / peer:.0f} times",
    )
    yield from metering(cut, packets)


def metering(path: Path, packets: int) -> Iterator[tuple[str, str]]:
    """The meter alone, in this process, kernels warm."""
    from flows.meter import Meter
    from sensor.sources.files import open_capture

    def meter() -> None:
        table = Meter()
        for block in open_capture(path):
            table.feed(block)
        table.drain()

    yield "reading and metering alone", f"{cpu_of(meter) / packets * 1e9:.0f} ns of CPU a packet"


def scoring() -> Iterator[tuple[str, str]]:
    """The detectors of the shipped bundle and the library that fits such a forest, on as many rows."""
    from sklearn.ensemble import IsolationForest

    from flows.columns import COLUMNS, feature_contract
    from models.bundle import load_bundle
    from models.detector import Steps

    random = np.random.default_rng(1)
    rows = 20_000
    hybrid = load_bundle(REPOSITORY / "models" / "pretrained" / "cic2017", feature_contract())
    steps = Steps(
        values=random.lognormal(3, 2, (rows, len(COLUMNS))),
        host=random.integers(0, 500, (rows, 2)),
        time_ns=np.sort(random.integers(0, 10**12, rows)),
        advances=np.ones(rows, dtype=np.bool_),
    )
    for member in (*hybrid.known, *hybrid.novel):
        ours = rows / cpu_of(lambda: member.detector.score(steps))  # noqa: B023  called at once
        yield f"{member.detector.name}, {rows:,} flows", f"{ours / 1e3:.0f} k flows per CPU-second"
    peer = IsolationForest(n_estimators=100, max_samples=256, random_state=1).fit(steps.values[:2000])
    parts = np.array_split(steps.values, rows // 64)  # as flows come: a few at a time

    def score_parts() -> None:
        for part in parts:
            peer.score_samples(part)

    theirs = rows / cpu_of(score_parts)
    name = "scikit-learn, an isolation forest of 100 trees, 64 at a time"
    yield name, f"{theirs / 1e3:.0f} k; ours is {ours / theirs:.0f} times"


def cpu_of(work: Callable[[], object]) -> float:
    """CPU seconds of the fastest of a few runs, after one to warm up."""
    work()
    return min(_timed(work) for _ in range(REPEATS))


def _timed(work: Callable[[], object]) -> float:
    before = time.process_time()
    work()
    return time.process_time() - before


class Usage:
    """What a finished process used."""

    def __init__(self, wall_s: float, used: resource.struct_rusage) -> None:
        self.wall_s = wall_s
        self.cpu_s = used.ru_utime + used.ru_stime
        self.peak_mb = used.ru_maxrss / 1e3


def run(command: list[str]) -> Usage:
    """Run a command to its end, its output thrown away."""
    begin = time.monotonic()
    process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with exit code {process.returncode}")
    return Usage(time.monotonic() - begin, used)


def cut_capture(path: Path, packets: int) -> None:
    """The first packets of the demo capture."""
    import gzip

    content = gzip.decompress((REPOSITORY / "sensor" / "synth" / "demo.pcap.gz").read_bytes())
    end = 24
    for _ in range(packets):
        end += 16 + int.from_bytes(content[end + 8 : end + 12], "little")
    path.write_bytes(content[:end])


if __name__ == "__main__":
    main()
