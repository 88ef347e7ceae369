"""The loop, with a ring and clocks that do as the test says."""

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

from flows.block import PacketBlock, block_of
from sensor.alerts import Alert
from sensor.runner import LIVE_LAG_NS, Run
from sensor.stats import Progress
from sensor.terminal.summary import Silent

T0 = 1_700_000_000 * 10**9
EMPTY = block_of([], [])
PACKET = block_of([bytes(60)], [T0])


class Pipeline:
    """Writes down what it is asked for."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, int]] = []
        self.flows = self.first_ns = 0
        stats = SimpleNamespace(packets=0, wire_bytes=0, undecoded={}, evicted=0, late=0, clock_jumps=0)
        self.meter = SimpleNamespace(stats=stats, now_ns=0)

    def feed(self, block: PacketBlock, _dropped: int) -> list[Alert]:
        self.calls.append(("feed", len(block)))
        return []

    def advance(self, now_ns: int, _dropped: int) -> list[Alert]:
        self.calls.append(("advance", now_ns))
        return []

    def finish(self, dropped: int = 0) -> list[Alert]:
        self.calls.append(("finish", dropped))
        return []


class Ring:
    """Delivers blocks; before each, something may happen."""

    name, linktype, problem = "made0", 1, None

    def __init__(self, *turns: tuple[Callable[[], Any], PacketBlock]) -> None:
        self._turns = turns
        self.stopped = False

    def __iter__(self) -> Iterator[PacketBlock]:
        for happen, block in self._turns:
            happen()
            yield block

    def stop(self) -> None:
        self.stopped = True

    def close(self) -> None:
        pass

    def statistics(self) -> SimpleNamespace:
        return SimpleNamespace(dropped=3)


class Clock:
    """Shows what it was set to, ns."""

    def __init__(self) -> None:
        self.now = T0

    def __call__(self) -> int:
        return self.now

    def leap(self) -> None:
        self.now += 60 * 10**9


def nothing() -> None:
    pass


def watched(ring: Ring, clock: Clock) -> tuple[Run, Pipeline]:
    pipeline = Pipeline()
    run = Run(pipeline, [], Silent(SimpleNamespace(write=print, flush=nothing)), wall_clock_ns=clock)  # type: ignore[arg-type]
    run.watch(ring, None)  # type: ignore[arg-type]
    return run, pipeline


def test_an_empty_ring_proves_silence_only_up_to_when_it_was_asked() -> None:
    clock = Clock()
    # Held up for a minute between the look at the ring and its answer: packets may have come since.
    _, pipeline = watched(Ring((clock.leap, EMPTY), (nothing, EMPTY)), clock)
    assert pipeline.calls[:2] == [("advance", T0 - LIVE_LAG_NS), ("advance", T0 + 60 * 10**9 - LIVE_LAG_NS)]


def test_packets_are_fed_and_bring_their_own_time() -> None:
    clock = Clock()
    _, pipeline = watched(Ring((nothing, PACKET), (clock.leap, PACKET)), clock)
    assert pipeline.calls == [("feed", 1), ("feed", 1), ("finish", 3)]


def test_the_losses_of_the_ring_are_in_the_totals() -> None:
    run, _ = watched(Ring((nothing, PACKET)), Clock())
    progress: Progress = run.progress()
    assert progress.dropped == 3
