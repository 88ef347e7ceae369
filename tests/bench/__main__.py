"""Speed and size, measured: `make bench`, or `python -m tests.bench [--packets N] [--plot FILE]`.

CPU time (user and system), because a shared machine's clock says little; peers run beside ours in the same minutes.
Nothing here passes or fails.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.bench.captures import DEMO, beginning, large
from tests.bench.peers import PEERS, environment, measured
from tests.bench.plot import plot
from tests.bench.process import REPOSITORY, best_of, run

COMMAND = "from sensor.__main__ import main; main()"
REPEATS = 3


def main() -> None:
    """Measure everything and print a line each."""
    options = argparse.ArgumentParser(description="Measure flowvigil's speed and size beside its peers'.")
    options.add_argument("--packets", type=int, default=2_000_000, help="of the large capture")
    options.add_argument("--plot", type=Path, help="write the comparison of meters as an SVG")
    chosen = options.parse_args()
    # as a user has it: the sensor and what it needs, no training or test packages
    python = environment("flowvigil", "-e", str(REPOSITORY))
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        for line in starts(python, scratch):
            tell(*line)
        # in a process of its own, because a large parent counts in the peak memory of its children
        for part in ("scoring", "context"):
            print(run([sys.executable, "-m", f"tests.bench.{part}"]).stdout.decode(), end="", flush=True)
        try:
            whole, cut = large(scratch, chosen.packets)
        except FileNotFoundError as error:
            tell("large captures", f"not measured: {error}")
            return
        for line in sensor(python, whole, cut, chosen.packets):
            tell(*line)
        print(run([python, "-m", "tests.bench.concurrency"]).stdout.decode(), end="", flush=True)
        for kept, path in [("whole packets", whole), ("96 bytes a packet", cut)]:
            tell(f"meter, marginal, {kept}", marginal(python, path, chosen.packets, scratch))
        rates = dict(meters(python, scratch, cut, chosen.packets))
        if chosen.plot:
            plot(rates, chosen.plot)


def tell(name: str, figure: str) -> None:
    """One line of the table."""
    print(f"{name:<62} {figure}", flush=True)


def starts(python: str, scratch: Path) -> Iterator[tuple[str, str]]:
    """How long it takes until something happens, kernels compiled before."""
    small = beginning(DEMO, scratch / "small.pcap", 100)
    run([python, "-c", COMMAND, "read", str(small), "-q"])
    for name, arguments in [("--help", ["--help"]), ("read of 100 packets", ["read", str(small), "-q"])]:
        usage = best_of(REPEATS, [python, "-c", COMMAND, *arguments])
        yield f"flowvigil {name}", f"{usage.wall_s:.2f} s, CPU {usage.cpu_s:.2f} s"


def sensor(python: str, whole: Path, cut: Path, packets: int) -> Iterator[tuple[str, str]]:
    """The whole sensor, scoring and alerts included."""
    keep = ["--keep-packets", str(whole.parent / "kept")]
    for name, path, options in [
        ("whole packets", whole, []),
        ("96 bytes a packet", cut, []),
        ("whole packets, those of alerts kept", whole, keep),
    ]:
        usage = best_of(REPEATS, [python, "-c", COMMAND, "read", str(path), "-q", *options])
        rate = f"{packets / usage.cpu_s / 1e6:.2f} M packets per CPU-second, peak {usage.peak_mb:.0f} MB"
        yield f"flowvigil read, {packets:,} packets, {name}", rate


def meters(python: str, scratch: Path, capture: Path, packets: int) -> Iterator[tuple[str, float]]:
    """Packets per CPU-second of each meter, whole processes: ours first, then the peers. Tells each as it comes."""
    ours = best_of(REPEATS, [python, "-c", METER, str(capture)])
    rate = packets / ours.cpu_s
    tell("flowvigil's meter, 85 columns", f"{rate / 1e6:.3f} M packets per CPU-second, peak {ours.peak_mb:.0f} MB")
    yield "flowvigil's meter", rate
    for peer in PEERS:
        given = round(packets * peer.share)
        path = capture if peer.share == 1 else beginning(capture, scratch / f"first-{given}.pcap", given)
        usage = measured(peer, path, scratch, REPEATS if peer.share == 1 else 1)
        name = f"{peer.name}, {peer.columns}" + (f", first {given:,} packets" if peer.share < 1 else "")
        if isinstance(usage, str):
            tell(name, f"not measured: {usage}")
            continue
        theirs = given / usage.cpu_s
        figure = f"{theirs / 1e6:.3f} M packets per CPU-second, peak {usage.peak_mb:.0f} MB"
        tell(name, f"{figure}; ours is {rate / theirs:.1f} times")
        yield peer.name, theirs


def marginal(python: str, capture: Path, packets: int, scratch: Path) -> str:
    """Rate of a long capture beyond a short one, so without the start of the process."""
    few = packets // 10
    short = beginning(capture, scratch / "short.pcap", few)
    spent = [best_of(REPEATS, [python, "-c", METER, str(path)]).cpu_s for path in (capture, short)]
    cost = (spent[0] - spent[1]) / (packets - few)
    return f"{1 / cost / 1e6:.1f} M packets per CPU-second ({cost * 1e9:.0f} ns), start {spent[1] - few * cost:.2f} s"


METER = """
import sys
from sensor.process.kernel_cache import use_kernel_cache
use_kernel_cache()
from flows.meter import Meter
from sensor.sources.captures.files import open_capture
meter = Meter()
records = 0
for block in open_capture(sys.argv[1]):
    records += len(meter.feed(block))
print(records + len(meter.drain()))
"""


if __name__ == "__main__":
    main()
