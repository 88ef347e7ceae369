"""What holds up a run over many captures when it is made 10, 100 and 1,000 times as large: a simulation.

A run is a row of stations: the scheduler hands a capture out, the store sends its bytes, a core reads it, the network
brings its lines back, and the main process writes them in the order of the captures. What one capture costs each was
measured (docs/scale.md says how); the simulation says what the queues make of it.
`python -m tests.bench.scaling` prints the table.
"""

import heapq
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

STATIONS: Final = ("scheduler", "store", "cores", "network", "main process")


@dataclass(frozen=True, slots=True)
class Setup:
    """A run: how many captures and cores there are, and what one capture costs each station."""

    captures: int
    cores: int
    scheduler_s: float  # to hand one out
    capture_bytes: float
    store_bytes_s: float
    core_s: float  # to read one, on one core
    spread: float  # of captures: standard deviation of the logarithm of their sizes
    lines_bytes: float  # that one gives
    network_bytes_s: float
    main_s: float  # to take the lines of one over and write them

    def times(self, captures: int, cores: int) -> "Setup":
        """The same kind of captures, so many times as many, on so many times as many cores."""
        return replace(self, captures=self.captures * captures, cores=self.cores * cores)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run went."""

    seconds: float
    busy: tuple[float, ...]  # (5,) share of the time that each station worked, of the cores all of them
    waiting: int  # most captures at once whose lines waited for those before them

    @property
    def bottleneck(self) -> str:
        """The station that had least time to spare."""
        return STATIONS[int(np.argmax(self.busy))]


class Station:
    """Does one thing at a time, in the order of coming."""

    def __init__(self) -> None:
        self.free_s = self.worked_s = 0.0

    def serve(self, came_s: float, takes_s: float) -> float:
        """When what comes now is done."""
        self.worked_s += takes_s
        self.free_s = max(self.free_s, came_s) + takes_s
        return self.free_s


def simulate(setup: Setup, seed: int = 0) -> Outcome:
    """One run. seed: of the sizes of the captures."""
    rng = np.random.default_rng(seed)
    sizes = np.exp(rng.normal(-(setup.spread**2) / 2, setup.spread, setup.captures)).tolist()  # of mean 1
    scheduler, store, network, main = (Station() for _ in range(4))
    cores = [0.0] * setup.cores  # when each is free: a heap
    read: list[tuple[float, int]] = []  # when, which
    for number, size in enumerate(sizes):
        handed_s = scheduler.serve(heapq.heappop(cores), setup.scheduler_s)
        sent_s = store.serve(handed_s, size * setup.capture_bytes / setup.store_bytes_s)
        heapq.heappush(cores, sent_s + size * setup.core_s)
        read.append((sent_s + size * setup.core_s, number))
    came_s = np.empty(setup.captures)
    for read_s, number in sorted(read):
        came_s[number] = network.serve(read_s, setup.lines_bytes / setup.network_bytes_s)
    begun_s = np.array([main.serve(came, setup.main_s) for came in came_s.tolist()]) - setup.main_s
    behind = np.arange(1, setup.captures + 1) - np.searchsorted(begun_s, np.sort(came_s), side="right")
    worked_s = (scheduler.worked_s, store.worked_s, sum(sizes) * setup.core_s / setup.cores, network.worked_s)
    busy = tuple(worked / main.free_s for worked in (*worked_s, main.worked_s))
    return Outcome(main.free_s, busy, int(behind.max()))


# Of a capture of 1.17 MB with a dozen thousand packets and twelve alert lines, on one core of a shared virtual machine.
MEASURED: Final = Setup(
    captures=10_000,
    cores=2,
    scheduler_s=0.0038,
    capture_bytes=1.17e6,
    store_bytes_s=117e6,  # a Gbit/s
    core_s=0.145,
    spread=1.0,
    lines_bytes=35e3,
    network_bytes_s=117e6,  # a Gbit/s
    main_s=0.0028,
)
FACTORS: Final = (1, 10, 100, 1000)


def main() -> None:
    """Print how long the captures take on so many times the cores, and what holds them up then."""
    print(f"{'captures':>12}{'cores':>8}{'time':>12}  {'bottleneck':<14}{'busy: ' + ', '.join(STATIONS)}")
    for captures, cores in [*((1, factor) for factor in FACTORS), (10, 100)]:
        setup = MEASURED.times(captures, cores)
        outcome = simulate(setup)
        busy = ", ".join(f"{share:.0%}" for share in outcome.busy)
        print(f"{setup.captures:>12,}{setup.cores:>8,}{outcome.seconds:>10,.0f} s  {outcome.bottleneck:<14}{busy}")


if __name__ == "__main__":
    main()
