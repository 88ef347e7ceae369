"""`make scale-test`: many captures on a Dask cluster on loopback whose processes are killed, beside one process alone.

Scheduler and workers are processes of their own. All ways must give the same bytes; the table says what each costs over
`flowvigil read` of each capture by itself, as many at once. CPU time is user and system, of all processes of a way.
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
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from flows.pcap import FILE_HEADER
from sensor.jobs.run_directory import ALERTS
from sensor.synth.generate import SCENARIOS, generate
from sensor.synth.pcap import pcap_bytes
from tests.support.clusters import Cluster
from tests.support.command import FLOWVIGIL, surroundings
from tests.trust.kills import moved

LONGEST_S: Final = 3600.0  # of one way
SEQUENCE: Final = re.compile(rb'"sequence":(\d+)')
BEHIND: Final = re.compile(rb'(?<=\},)(?="(?:threat|tls|flowvigil)":)')  # the object that stands behind `log`
BASES: Final = 5  # hours that the others are copies of, moved in time
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
        captures = made(place / "captures", options.captures, options.hours)
        size = sum(path.stat().st_size for path in captures.iterdir())
        print(f"{options.captures} captures, {size / 1e6:,.0f} MB", flush=True)
        ways = list(measured(place, captures, options))
    print(table(ways))
    same = len({way.sha256 for way in ways}) == 1
    print(f"alerts.jsonl: {'the same bytes' if same else 'DIFFERS'} ({ways[0].sha256})")
    return 0 if same else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--captures", type=int, default=12)
    parser.add_argument("--hours", type=int, default=8, help="of traffic in each; 8: reading it takes a second or more")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--kill-every", type=float, default=5.0, metavar="S", help="between two kills of a process")
    return parser.parse_args()


def made(directory: Path, number: int, hours: int) -> Path:
    """A directory of captures of so many hours each, no two alike."""
    directory.mkdir()
    every = [pcap_bytes(generate(SCENARIOS, seed, 60.0).packets, 96) for seed in range(BASES)]
    for capture in range(number):
        with (directory / f"net-{capture:05}.pcap").open("wb") as file:
            file.write(every[0][:FILE_HEADER])
            for hour in range(capture * hours, (capture + 1) * hours):
                file.write(moved(every[hour % BASES], 3600 * hour)[FILE_HEADER:])
    return directory


def measured(place: Path, captures: Path, options: argparse.Namespace) -> Iterator[Way]:
    """All ways, the first of which is the one that the others are held to."""
    islands = [*FLOWVIGIL, "read", str(captures), "--independent", "-q"]
    warm = [*FLOWVIGIL, "read", str(captures / "net-00000.pcap")]
    subprocess.run(warm, env=surroundings(), check=True, stdout=subprocess.DEVNULL)  # kernels are compiled by then
    workers = options.workers
    yield by_themselves(captures, workers)
    yield read_by(f"--workers {workers}", [*islands, "--workers", str(workers)], place / "local")
    with cluster_in(place / "cluster", workers) as cluster:
        yield read_by(f"cluster of {workers}", [*islands, "--scheduler", cluster.address], place / "run", cluster)
    with cluster_in(place / "killed", workers) as cluster:
        command = [*islands, "--scheduler", cluster.address]
        kills = Kills(cluster, place / "run-killed", options.kill_every)
        way = read_by("the same, killed", command, place / "run-killed", cluster, kills.look)
        print(f"killed: {kills.workers} workers, {kills.schedulers} schedulers")
        yield way


@contextmanager
def cluster_in(directory: Path, workers: int) -> Iterator[Cluster]:
    """A cluster whose files are in a directory that is made."""
    directory.mkdir()
    with Cluster(directory, workers) as cluster:
        yield cluster


class Kills:
    """Kills a worker each so many seconds, and the scheduler once in the middle; both are started anew.

    Not before another capture was read since the last one: on a busy machine starting anew takes longer than that.
    """

    def __init__(self, cluster: Cluster, run: Path, every_s: float) -> None:
        self.workers = self.schedulers = 0
        self._cluster, self._run, self._every_s = cluster, run, every_s
        self._next_s, self._ends = time.monotonic() + every_s, 0

    def look(self) -> None:
        """Kill what is to be killed by now."""
        self._cluster.keep_up()
        if time.monotonic() < self._next_s or (ends := len(list(self._run.glob("ends/*/*.json")))) <= self._ends:
            return
        self._next_s, self._ends = time.monotonic() + self._every_s, ends
        if self.workers == 1 and not self.schedulers:
            self._cluster.kill_scheduler()
            self.schedulers += 1
        else:
            self._cluster.kill_worker()
            self.workers += 1


def by_themselves(captures: Path, at_once: int) -> Way:
    """Each capture by a process alone, so many at once; alerts are numbered through, as a run over all does it."""
    began_s, began_cpu_s = time.monotonic(), children_s()
    paths = sorted(captures.iterdir())
    with ThreadPoolExecutor(at_once) as pool:
        outputs = list(pool.map(lines_of, paths))
    lines: list[bytes] = []
    for path, output in zip(paths, outputs, strict=True):
        place = b'"log":{"file":{"path":"%b"}},' % os.fsencode(path)
        for number, line in enumerate(output.splitlines(keepends=True), len(lines) + 1):
            numbered = SEQUENCE.sub(b'"sequence":%d' % number, line, count=1)
            lines.append(BEHIND.sub(place, numbered, count=1))
    wall_s, cpu_s = time.monotonic() - began_s, children_s() - began_cpu_s
    return Way(f"{at_once} processes at once", wall_s, cpu_s, hashlib.sha256(b"".join(lines)).hexdigest())


def lines_of(capture: Path) -> bytes:
    """What reading one capture gives."""
    command = [*FLOWVIGIL, "read", str(capture), "--workers", "1"]
    return subprocess.run(command, env=surroundings(), capture_output=True, check=True).stdout


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
    """CPU time of a cluster's processes that run, with that of what they began.

    Killed ones are among the children, but not what they had begun, which ends by itself.
    """
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
