"""Pieces of work, each in a process of its own under a watchdog: one that hangs, dies or grows costs itself alone.

The process that has the pool runs no thread and computes nothing: it looks at every piece several times a second,
however long one of them stays in a kernel. What a piece is given was loaded before it began, and is shared with it.
"""

import json
import mmap
import os
import signal
import struct
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from sensor.process.children import Child, settled

LONGEST_RESULT: Final = 1 << 20  # bytes
TELL_S: Final = 0.5  # between two tellings of how far a piece is
MEMORY_S: Final = 0.5  # between two looks at what it takes
ENDING_S: Final = 5.0  # for a piece that has given its result to be gone
STOOD_S: Final = 1.0  # between two looks, from which on this process stood still itself, and its pieces with it
_PAGE: Final = struct.Struct("<QQ")  # moves, how far it is
_REASON: Final = slice(64, 576)  # of a page: why a piece failed, in UTF-8, behind its length

Task = dict[str, Any]  # what a piece of work is told, as JSON has it
Result = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Limits:
    """What pieces of work may take."""

    slots: int  # that may run at once
    patience_s: float = 120.0  # for which one may stand still
    memory_bytes: int | None = None  # resident, of one; None: no limit


@dataclass(frozen=True, slots=True)
class News:
    """What became of a piece of work."""

    number: int
    done: int = 0  # how far it is, in units of its own
    result: Result | None = None  # at its end
    failure: str = ""  # why it ended without one
    lost: bool = False  # whether it ended with the process above it, for which it cannot be blamed

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self.result is not None or bool(self.failure)


class Page:
    """Memory that a piece of work shares with the process that watches it."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, mmap.PAGESIZE)
        self._moves = 0

    def move(self, done: int) -> None:
        """Tell that the work goes on. done: how far it is."""
        self._moves += 1
        _PAGE.pack_into(self._memory, 0, self._moves, done)

    def go_on(self) -> None:
        """Tell that the work goes on, no further than it was."""
        self.move(self.seen[1])

    @property
    def seen(self) -> tuple[int, int]:
        """Moves so far, and how far it is."""
        moves, done = _PAGE.unpack_from(self._memory)
        return moves, done

    def fail(self, reason: str) -> None:
        """Leave word why the work fails, in memory that is there already."""
        text = reason.encode("utf-8", "replace")[:500]
        self._memory[_REASON.start : _REASON.start + 2] = len(text).to_bytes(2, "little")
        self._memory[_REASON.start + 2 : _REASON.start + 2 + len(text)] = text

    @property
    def reason(self) -> str:
        """Why it failed, as it said itself; "" where it did not."""
        length = int.from_bytes(self._memory[_REASON.start : _REASON.start + 2], "little")
        return self._memory[_REASON.start + 2 : _REASON.start + 2 + length].decode("utf-8", "replace")


Work = Callable[[Task, Page], Result]


class Pool:
    """Runs pieces of work in children of this process, which may have no thread. Close it at the end."""

    def __init__(self, work: Work, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        """work: what a child does with a task; its result must be JSON of at most LONGEST_RESULT bytes."""
        self.limits = limits
        self._work = work
        self._clock = clock
        self._looked_s = clock()
        self._running: dict[int, _Piece] = {}

    @property
    def free(self) -> int:
        """How many pieces may be begun now."""
        return self.limits.slots - len(self._running)

    @property
    def pipes(self) -> list[int]:
        """Descriptors that become readable when there is news at once."""
        return [piece.pipe for piece in self._running.values()]

    def begin(self, number: int, task: Task, inherited: Iterable[int] = ()) -> None:
        """Begin a piece. inherited: descriptors of this process that it is to close. Raises OSError."""
        self._running[number] = _Piece(number, task, self._work, [*inherited, *self.pipes], self._clock())

    def news(self) -> list[News]:
        """What has happened since the last call; waits for nothing."""
        self._pass_over()
        told = [news for piece in self._running.values() if (news := self._look(piece)) is not None]
        for news in told:
            if news.over:
                self._running.pop(news.number).close()
        return told

    def end(self, number: int) -> None:
        """Kill a piece that still runs, of which there will be no news."""
        if (piece := self._running.pop(number, None)) is not None:
            piece.close()

    def close(self) -> None:
        """Kill what still runs."""
        for piece in self._running.values():
            piece.close()
        self._running.clear()

    def _pass_over(self) -> None:
        """Count no time in which this process stood still, as in a container that is paused."""
        now_s = self._clock()
        if (stood_s := now_s - self._looked_s) > STOOD_S:
            for piece in self._running.values():
                piece.moved_s = min(now_s, piece.moved_s + stood_s)
        self._looked_s = now_s

    def _look(self, piece: "_Piece") -> News | None:
        """What there is to tell of a piece, None for nothing."""
        now_s = self._clock()
        if piece.take_result():
            return piece.end()
        if (how := piece.child.ended()) is not None:
            if piece.take_result():  # it came between the two looks
                return piece.end()
            return News(piece.number, failure=piece.page.reason or f"ended by {how}")
        moves, done = piece.page.seen
        if moves != piece.moves:
            piece.moves, piece.moved_s = moves, now_s
        if piece.child.stopped_s:
            piece.child.send(signal.SIGCONT)
        if now_s - piece.moved_s > self.limits.patience_s:
            return News(piece.number, failure=f"stood still for {self.limits.patience_s:.0f} s")
        if self.limits.memory_bytes is not None and now_s - piece.weighed_s >= MEMORY_S:
            piece.weighed_s = now_s
            if resident(piece.child.pid) > self.limits.memory_bytes:
                return News(piece.number, failure=f"took more than {self.limits.memory_bytes / 1e6:,.0f} MB of memory")
        if now_s - piece.told_s < TELL_S or done == piece.told_done:
            return None
        piece.told_s, piece.told_done = now_s, done
        return News(piece.number, done)


class _Piece:
    """A piece of work that runs, as the process that began it sees it."""

    def __init__(self, number: int, task: Task, work: Work, to_close: list[int], now_s: float) -> None:
        self.number = number
        self.page = Page()
        self.moves, self.moved_s = 0, now_s
        self.weighed_s = now_s
        self.told_s, self.told_done = now_s, 0
        self._received = bytearray()
        self.pipe, theirs = os.pipe()
        os.set_blocking(self.pipe, False)
        try:
            self.child = Child(partial(_do, work, task, self.page, theirs, [*to_close, self.pipe]), self.page.fail)
        except OSError:
            os.close(self.pipe)
            raise
        finally:
            os.close(theirs)

    def take_result(self) -> bool:
        """Read what has come of its result; whether that is whole."""
        with suppress(BlockingIOError):
            while part := os.read(self.pipe, 1 << 16):
                self._received += part
                if len(self._received) > LONGEST_RESULT:
                    return True
            return bool(self._received)
        return False

    def end(self) -> News:
        """Its result, or why that is none."""
        how = self.child.ended(ENDING_S)
        if how != "exit code 0":
            return News(self.number, failure=self.page.reason or f"ended by {how or 'nothing'} after its result")
        try:
            result = json.loads(self._received) if len(self._received) <= LONGEST_RESULT else None
        except ValueError:
            result = None
        if not isinstance(result, dict):
            return News(self.number, failure="gave no result that can be read")
        return News(self.number, self.page.seen[1], result)

    def close(self) -> None:
        """Have it gone."""
        self.child.end()
        os.close(self.pipe)


def resident(pid: int) -> int:
    """Resident memory of a process that is its own, bytes; 0 where it has ended or the system does not say."""
    if sys.platform != "linux":
        return 0
    with suppress(OSError, ValueError, IndexError):
        pages = Path(f"/proc/{pid}/statm").read_text().split()
        return (int(pages[1]) - int(pages[2])) * mmap.PAGESIZE  # without files and memory that is shared
    return 0


def _do(work: Work, task: Task, page: Page, pipe: int, to_close: list[int]) -> int:
    """The whole life of a child; its exit code."""
    for descriptor in to_close:
        os.close(descriptor)
    for number in (signal.SIGINT, signal.SIGHUP):  # meant for the process that was started, which ends this one
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    settled()
    data = memoryview(json.dumps(work(task, page)).encode())
    while data:
        data = data[os.write(pipe, data) :]
    return 0
