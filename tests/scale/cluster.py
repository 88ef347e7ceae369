"""`make scale-test`: many captures on a Dask cluster on loopback whose processes are killed, beside one process alone.

Scheduler and workers are processes of their own. All ways must give the same bytes; the table says what each costs over
reading the captures one after the other, a process each. CPU time is user and system, of all processes of a way.
"""

import argparse
import hashlib
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sensor.jobs.run_directory import ALERTS
from sensor.synth.generate import SCENARIOS, generate
from sensor.synth.pcap import pcap_bytes, write_pcap
from tests.support.clusters import Cluster
from tests.support.command import FLOWVIGIL, surroundings

LONGEST_S: Final = 3600.0  # of one way
SEQUENCE: Final = re.compile(rb'"sequence":(\d+)')
BEHIND: Final = re.compile(rb'(?<=\},)(?="(?:threat|tls|flowvigil)":)')  # the object that stands behind `log`
TICK_S: Final = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Way:
    """How the captures were read once."""

    name: str
    wall_s: float
    cpu_s: float
    sha256: str


def main() -> int:
    """Measure, compare and print; 1 where a way gave other bytes."""
    options = _options()
    with tempfile.TemporaryDirectory(prefix="flowvigil-scale-") as name:
        place = Path(name)
        captures = made(place / "captures", options.captures, options.scale)
        ways = list(measured(place, captures, options))
    print(table(ways))
    same = len({way.sha256 for way in ways}) == 1
    print(f"alerts.jsonl: {'the same bytes' if same else 'DIFFERS'} ({ways[0].sha256})")
    return 0 if same else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--captures", type=int, default=40)
    parser.add_argument(
        "--scale", type=float, default=2.0, help="of the generated traffic; 2: a capture of some seconds"
    )
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--kill-every", type=float, default=30.0, metavar="S", help="between two kills of a worker")
    return parser.parse_args()


def made(directory: Path, number: int, scale: float) -> Path:
    """A directory of captures, each of a network of its own."""
    directory.mkdir()
    for seed in range(number):
        write_pcap(directory / f"net-{seed:05}.pcap", pcap_bytes(generate(SCENARIOS, seed, scale).packets, 96))
    return directory


def measured(place: Path, captures: Path, options: argparse.Namespace) -> Iterator[Way]:
    """All ways, the first of which is the one that the others are held to."""
    islands = [*FLOWVIGIL, "read", str(captures), "--independent", "-q"]
    warm = [*FLOWVIGIL, "read", str(captures / "net-00000.pcap")]
    subprocess.run(warm, env=surroundings(), check=True, stdout=subprocess.DEVNULL)  # kernels are compiled by then
    yield one_by_one(captures)
    for workers in dict.fromkeys((1, options.workers)):
        yield read_by(f"local, {workers} at once", [*islands, "--workers", str(workers)], place / f"local-{workers}")
    for workers in dict.fromkeys((1, options.workers)):
        with cluster_in(place / f"cluster-{workers}", workers) as cluster:
            command = [*islands, "--scheduler", cluster.address]
            yield read_by(f"cluster, {workers} workers", command, place / f"run-{workers}", cluster)
    with cluster_in(place / "killed", options.workers) as cluster:
        command = [*islands, "--scheduler", cluster.address]
        kills = Kills(cluster, place / "run-killed", options.kill_every)
        way = read_by("cluster, killed", command, place / "run-killed", cluster, kills.look)
        print(f"killed: {kills.workers} workers, {kills.schedulers} schedulers")
        yield way


@contextmanager
def cluster_in(directory: Path, workers: int) -> Iterator[Cluster]:
    """A cluster whose files are in a directory that is made."""
    directory.mkdir()
    with Cluster(directory, workers) as cluster:
        yield cluster


class Kills:
    """Kills a worker each so many seconds, and the scheduler once in the middle; both are started anew."""

    def __init__(self, cluster: Cluster, run: Path, every_s: float) -> None:
        self.workers = self.schedulers = 0
        self._cluster, self._run, self._every_s = cluster, run, every_s
        self._next_s = time.monotonic() + every_s

    def look(self) -> None:
        """Kill what is to be killed by now."""
        if time.monotonic() < self._next_s or not any(self._run.glob("ends/*/*.json")):
            self._cluster.keep_up()
            return
        self._next_s = time.monotonic() + self._every_s
        if self.workers == 1 and not self.schedulers:
            self._cluster.kill_scheduler()
            self.schedulers += 1
        else:
            self._cluster.kill_worker()
            self.workers += 1


def one_by_one(captures: Path) -> Way:
    """Each capture by a process alone; its alerts are numbered through, as a run over all does it."""
    began_s, began_cpu_s = time.monotonic(), children_s()
    lines: list[bytes] = []
    for path in sorted(captures.iterdir()):
        alone = subprocess.run([*FLOWVIGIL, "read", str(path)], env=surroundings(), capture_output=True, check=True)
        place = b'"log":{"file":{"path":"%b"}},' % os.fsencode(path)
        for number, line in enumerate(alone.stdout.splitlines(keepends=True), len(lines) + 1):
            numbered = SEQUENCE.sub(b'"sequence":%d' % number, line, count=1)
            lines.append(BEHIND.sub(place, numbered, count=1))
    wall_s, cpu_s = time.monotonic() - began_s, children_s() - began_cpu_s
    return Way("a process each", wall_s, cpu_s, hashlib.sha256(b"".join(lines)).hexdigest())


def read_by(
    name: str, command: list[str], run: Path, cluster: Cluster | None = None, look: Callable[[], None] = lambda: None
) -> Way:
    """Read all by a command, which keeps its run in a directory. look: called several times a second meanwhile."""
    began_s, began_cpu_s = time.monotonic(), children_s() + cluster_s(cluster)
    process = subprocess.Popen([*command, "--run", str(run)], env=surroundings(), stdout=subprocess.DEVNULL)
    while process.poll() is None:
        if time.monotonic() - began_s > LONGEST_S:
            process.kill()
            raise TimeoutError(f"{name}: more than {LONGEST_S:.0f} s")
        look()
        time.sleep(0.05)
    if process.returncode:
        raise RuntimeError(f"{name}: ended with {process.returncode}")
    wall_s, cpu_s = time.monotonic() - began_s, children_s() + cluster_s(cluster) - began_cpu_s
    return Way(name, wall_s, cpu_s, hashlib.sha256((run / ALERTS).read_bytes()).hexdigest())


def children_s() -> float:
    """CPU time of all processes that this one began and that have ended, with theirs."""
    spent = os.times()
    return spent.children_user + spent.children_system


def cluster_s(cluster: Cluster | None) -> float:
    """CPU time of a cluster's processes that run, with that of what they began. Killed ones are among the children."""
    if cluster is None or cluster.scheduler is None:
        return 0.0
    return sum(_tree_s(process.pid) for process in (cluster.scheduler, *cluster.workers))


def _tree_s(pid: int) -> float:
    try:
        spent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:15]
        tasks = Path(f"/proc/{pid}/task").iterdir()
        below = [child for task in tasks for child in (task / "children").read_text().split()]
    except OSError:  # it has ended meanwhile
        return 0.0
    return sum(map(int, spent)) * TICK_S + sum(_tree_s(int(child)) for child in below)


def table(ways: list[Way]) -> str:
    """The ways beside the first."""
    first = ways[0]
    lines = [f"{'way':<24}{'wall s':>9}{'CPU s':>9}{'wall':>9}{'CPU':>9}"]
    for way in ways:
        wall, cpu = way.wall_s / first.wall_s - 1, way.cpu_s / first.cpu_s - 1
        lines.append(f"{way.name:<24}{way.wall_s:>9.1f}{way.cpu_s:>9.1f}{wall:>+9.1%}{cpu:>+9.1%}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
