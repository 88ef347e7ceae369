"""A capture that delivers what a test says, with clocks that the test sets."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from flows.block import Int64s, PacketBlock, block_of
from sensor.progress.progress import InterfaceState
from sensor.sources.capture import CaptureStatistics, LinkEvent

T0 = 1_700_000_000 * 10**9
SILENCE = block_of([], [])


@dataclass
class ScriptedCapture:
    """Turns: what happens before a block, and the block. now_ns: steady time. lost: packets that never came here."""

    turns: list[tuple[Callable[[], None], PacketBlock]]
    now_ns: int = T0
    lost: int = 0
    fill: float = 0.0
    clock_step_ns: int = 0
    filtered: int = 0
    happened: list[LinkEvent] = field(default_factory=list)
    interfaces: tuple[str, ...] = ("made0",)
    linktypes: tuple[int, ...] = (1,)
    links: tuple[InterfaceState, ...] = (InterfaceState("made0", True),)
    waiting: int = 0
    busy: bool = False  # whether the next block waits already
    stopped: bool = False
    closed: bool = False
    left: bool = False
    counted_last: CaptureStatistics = field(default_factory=CaptureStatistics)  # after a worker has ended unasked
    _walked: int = 0
    _interface_of: Int64s = field(default_factory=lambda: np.empty(0, dtype=np.int64))

    def __iter__(self) -> Iterator[PacketBlock]:
        for happen, block in self.turns:
            if self.stopped:
                return
            happen()
            self._walked += len(block)
            self._interface_of = np.zeros(len(block), dtype=np.int64)
            yield block

    @property
    def interface_of(self) -> Int64s:
        return self._interface_of

    def look(self) -> bool:
        return self.busy

    def steady_now_ns(self) -> int:
        return self.now_ns

    def events(self) -> list[LinkEvent]:
        taken, self.happened = self.happened, []
        return taken

    def statistics(self) -> CaptureStatistics:
        return CaptureStatistics(self._walked + self.lost, self.lost, self.filtered, self.waiting)

    def stop(self) -> None:
        self.stopped = True

    def close(self) -> None:
        self.closed = True

    def leave_to_worker(self) -> None:
        self.left = True

    def give_to_worker(self) -> None:
        self.left = True

    def last_counts(self) -> CaptureStatistics:
        return self.counted_last
