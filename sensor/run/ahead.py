"""Stored captures on several cores: metering, rows and novel lane, known lane, and what follows, each in a thread.

Kernels are compiled without the interpreter lock, and reading and unpacking release it, so the threads work side by
side on the same arrays: nothing is copied, and no other process can be lost. Each hands on in order what it made, and
nothing depends on how records are cut into turns, so the results are those of one thread. At most a few turns of some
thousand records wait between two of them, and no more threads work at once than there are cores for.
"""

import queue
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any, Final, Generic, Protocol, TypeVar

from flows.batch import FlowBatch
from flows.meter import concatenate
from flows.names.reading import NO_SIGHTINGS, joined
from sensor.judging.judge import Assessment, PreparedRows
from sensor.metering.turns import END_NS, Turn, TurnSource
from sensor.process.threads import take_turns_often
from sensor.run.detection import AssessedTurn, in_parts

Item = TypeVar("Item")

RECORDS: Final = 4096  # together: judged one by one, they would cost up to a third more
TURNS: Final = 64  # together at most, so that who looks on sees something move
SIGHTINGS: Final = 16_384  # likewise, some 3 MB: one flow may have thousands of DNS answers
WAITING: Final = 2  # between two threads
METERED: Final = 8  # turns that wait for the model, some 30 MB: metering begins while that is loaded
ENDING_S: Final = 1.0  # for a thread to end once nobody wants what it makes


class Assessor(Protocol):
    """The part of a judge that can be ahead of what follows (sensor.judging.judge)."""

    def prepare(self, records: FlowBatch) -> PreparedRows:
        """What is known of each record, in order, before the known lane is asked."""

    def assess(self, records: FlowBatch, prepared: PreparedRows | None = None) -> Assessment:
        """What the model says of each record, in order."""


class MeteredAhead:
    """Turns of captures in turns of a size that is judged at once; on several cores a thread meters from now on."""

    def __init__(self, turns: TurnSource, cores: int) -> None:
        """turns: of files, no pipe. cores: 1 for no thread."""
        self.source = turns
        self.cores = Cores(cores)
        self.turns: Iterable[Turn] = gathered(turns)  # iterate over it once
        if cores > 1:
            take_turns_often()  # or the kernels' threads stand still while alerts are explained
            self.turns = Ahead("metering", self.turns, self.cores, METERED)

    def close(self) -> None:
        """Have the thread end, whatever it has not handed on."""
        if isinstance(self.turns, Ahead):
            if self.turns.running:
                self.source.stop()
            self.turns.close()


class TurnsAhead:
    """Turns of captures for a judge, of which the next are made while one is taken; iterate over it once.

    The packets of alerts must not be looked for in them: the source is further on than whoever takes them.
    """

    ends_by_itself = True

    def __init__(self, metered: MeteredAhead, judge: Assessor) -> None:
        """judge: nobody else asks it about records."""
        self._metered = metered
        self._judge = judge
        self._stages: list[Ahead[Any]] = []  # the last one first

    @property
    def problems(self) -> Sequence[str]:
        """One line for each capture that could not be read to its end."""
        return self._metered.source.problems

    @property
    def remarks(self) -> Sequence[str]:
        """What was odd about times, one line each."""
        return self._metered.source.remarks

    def __iter__(self) -> Iterator[Turn]:
        """Turns to the end. Raises InputError when no capture can be opened."""
        metered, cores = self._metered.turns, self._metered.cores
        if not isinstance(metered, Ahead):
            return iter(metered)
        prepared = Ahead("novel", self._prepared(metered), cores)
        assessed = Ahead("known", self._assessed(prepared), cores)
        self._stages = [assessed, prepared]
        return iter(assessed)

    def stop(self) -> None:
        """End with the packets that were read by now. For a signal handler too."""
        self._metered.source.stop()

    def close(self) -> None:
        """Have the threads end, whatever they have not handed on."""
        if any(stage.running for stage in self._stages):
            self.stop()
        for stage in self._stages:
            stage.close()
        self._metered.close()

    def _prepared(self, turns: Iterable[Turn]) -> Iterator[tuple[Turn, PreparedRows | None]]:
        for turn in turns:
            yield turn, self._judge.prepare(turn.records) if len(turn.records) else None

    def _assessed(self, turns: Iterable[tuple[Turn, PreparedRows | None]]) -> Iterator[Turn]:
        for turn, prepared in turns:
            assessment = None if prepared is None else self._judge.assess(turn.records, prepared)
            yield AssessedTurn(
                turn.records,
                turn.until_ns,
                turn.totals,
                turn.events,
                turn.seen,
                turn.packets_due,
                assessment=assessment,
            )


def gathered(turns: Iterable[Turn]) -> Iterator[Turn]:
    """The same records in turns of a size that is judged at once: small ones together, large ones in parts."""
    held: list[Turn] = []
    until_ns = 0
    for turn in turns:
        held.append(turn)
        last = turn.until_ns == END_NS
        records, sightings = sum(len(each.records) for each in held), sum(len(each.seen) for each in held)
        if last or len(held) == TURNS or records >= RECORDS or sightings >= SIGHTINGS:
            yield from _in_parts(_together(held), until_ns)
            until_ns = turn.until_ns
            held = []


def _together(turns: Sequence[Turn]) -> Turn:
    return replace(
        turns[-1],
        records=concatenate([turn.records for turn in turns if len(turn.records)]),
        events=tuple(event for turn in turns for event in turn.events),
        seen=joined([turn.seen for turn in turns if len(turn.seen)]),
        packets_due=any(turn.packets_due for turn in turns),
    )


def _in_parts(turn: Turn, until_ns: int) -> Iterator[Turn]:
    """A turn in parts that are judged at once. until_ns: of the turn before it, for all but the last part."""
    *parts, last = in_parts(turn.records)
    for part in parts:
        yield replace(turn, records=part, until_ns=until_ns)
        turn = replace(turn, events=(), seen=NO_SIGHTINGS)
    yield replace(turn, records=last)


class Cores:
    """Cores for threads that hand things on to one another: so many of the threads work at once, the others wait."""

    def __init__(self, count: int) -> None:
        """count: of cores. Whoever makes this works on one of them."""
        self._free = threading.Semaphore(count - 1)

    @contextmanager
    def taken(self) -> Iterator[None]:
        """A core for a thread, waited for."""
        self._free.acquire()
        try:
            yield
        finally:
            self._free.release()

    @contextmanager
    def lent(self) -> Iterator[None]:
        """The core of a thread given to others, while it waits for them."""
        self._free.release()
        try:
            yield
        finally:
            self._free.acquire()


@dataclass(frozen=True, slots=True)
class _End:
    """After the last item. error: what ended them, None where they came to their end."""

    error: BaseException | None


class Ahead(Generic[Item]):
    """Items of an iterable, which a thread makes from now on, ahead of whoever takes them; iterate over it once."""

    def __init__(self, name: str, items: Iterable[Item], cores: Cores, waiting: int = WAITING) -> None:
        """name: of the thread. cores: the taker has one of them. waiting: items that are made and not yet taken."""
        self._items = items
        self._cores = cores
        self._made: queue.Queue[Item | _End] = queue.Queue(waiting)
        self._unwanted = False
        # A read that never returns must not keep the process.
        self._thread = threading.Thread(target=self._make, name=name, daemon=True)
        self._thread.start()

    @property
    def running(self) -> bool:
        """Whether its thread is."""
        return self._thread.is_alive()

    def __iter__(self) -> Iterator[Item]:
        """Items in order; raises what making them raised."""
        while True:
            item = self._next()
            if isinstance(item, _End):
                self._thread.join()
                if item.error is not None:
                    raise item.error
                return
            yield item

    def close(self) -> None:
        """Have the thread end, if it has not, and let go of what it made.

        Whoever takes from it meanwhile comes to the end, so several may be closed in any order.
        """
        self._unwanted = True
        deadline = time.monotonic() + ENDING_S
        while self.running and time.monotonic() < deadline:
            with suppress(queue.Empty):
                if isinstance(item := self._made.get(timeout=0.01), _End):
                    self._made.put(item)  # for whoever takes; nothing comes after it
                    self._thread.join()

    def _next(self) -> Item | _End:
        try:
            return self._made.get_nowait()
        except queue.Empty:
            with self._cores.lent():
                return self._made.get()

    def _make(self) -> None:
        error: BaseException | None = None
        with self._cores.taken():
            try:
                for item in self._items:
                    self._hand_on(item)
                    if self._unwanted:
                        break
            except BaseException as raised:  # noqa: BLE001  # raised where the items are taken
                error = raised
        self._made.put(_End(error))

    def _hand_on(self, item: Item) -> None:
        try:
            self._made.put_nowait(item)
        except queue.Full:
            with self._cores.lent():
                self._made.put(item)
