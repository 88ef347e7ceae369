"""Turns made ahead of whoever takes them: the same records in the same order, and threads that end."""

import itertools
import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.batch import IDENTITY_WIDTH, REPORTED_NS, FlowBatch
from flows.columns import COLUMNS
from flows.meter import MeterStats, concatenate
from flows.names.layout import SIGHTING_WORDS
from flows.names.reading import Sightings
from sensor.judging.judge import Assessment, PreparedRows
from sensor.metering.turns import END_NS, CaptureTotals, Turn
from sensor.run.ahead import METERED, RECORDS, SIGHTINGS, WAITING, Ahead, Cores, MeteredAhead, TurnsAhead, gathered
from sensor.run.detection import AssessedTurn
from sensor.sources.capture import CaptureStatistics, LinkEvent
from tests.support.waiting import LONG_S, wait_until

MOST = 8192  # judged at once


def turn_of(first: int, records: int, *, last: bool = False) -> Turn:
    """A turn of records that are numbered, and reported, one after the other, with a sighting of each tenth."""
    numbers = np.arange(first, first + records, dtype=np.int64)
    identity = np.zeros((records, IDENTITY_WIDTH), dtype=np.int64)
    identity[:, REPORTED_NS] = numbers
    words = np.zeros((records // 10, SIGHTING_WORDS), dtype=np.int64)
    return Turn(
        FlowBatch(identity, np.zeros((records, len(COLUMNS)))),
        END_NS if last else first + records,
        CaptureTotals(CaptureStatistics(received=first + records), MeterStats(packets=first + records)),
        seen=Sightings(words, np.zeros(0, dtype=np.uint8)),
    )


def turns_of(sizes: list[int]) -> list[Turn]:
    begins = itertools.accumulate(sizes, initial=0)
    *turns, last = (turn_of(first, size) for first, size in zip(begins, sizes, strict=False))
    return [*turns, replace(last, until_ns=END_NS)]


@settings(deadline=None, max_examples=30)
@given(st.lists(st.sampled_from([0, 0, 1, 7, 300, 5000, 20_000]), min_size=1, max_size=90))
def test_gathered_turns_hold_the_same_records_and_promise_no_more(sizes: list[int]) -> None:
    turns = turns_of(sizes)
    found = list(gathered(turns))
    assert concatenate([turn.records for turn in found]).identity[:, REPORTED_NS].tolist() == list(range(sum(sizes)))
    assert sum(len(turn.seen) for turn in found) == sum(len(turn.seen) for turn in turns)
    assert all(len(turn.records) <= MOST for turn in found)
    assert found[-1].until_ns == END_NS
    assert found[-1].totals == turns[-1].totals
    for before, after in itertools.pairwise(found):
        assert before.until_ns <= after.until_ns
        assert not len(after.records) or after.records.identity[0, REPORTED_NS] >= before.until_ns
    assert len(found) <= 1 + sum(sizes) // RECORDS + len(sizes) // 64 + sum(size // MOST for size in sizes)


def test_turns_with_few_records_and_many_names_are_not_gathered_without_end() -> None:
    """As of a capture of one flow with DNS answers, each of which tells sixteen names."""
    many = Sightings(np.zeros((5000, SIGHTING_WORDS), dtype=np.int64), np.zeros(0, dtype=np.uint8))
    turns = [replace(turn, seen=many) for turn in turns_of([1] * 64)]
    found = [len(turn.seen) for turn in gathered(turns)]
    assert max(found) < SIGHTINGS + len(many)
    assert sum(found) == 64 * len(many)


def test_items_come_in_order_and_few_are_made_ahead() -> None:
    made: list[int] = []

    def making() -> Iterator[int]:
        for number in range(50):
            made.append(number)
            yield number

    for number in Ahead("test", making(), Cores(2)):
        assert len(made) <= number + WAITING + 2
    assert made == list(range(50))


def test_what_ends_the_making_is_raised_after_what_was_made() -> None:
    def making() -> Iterator[int]:
        yield from range(3)
        raise ValueError("damaged")

    taken: list[int] = []
    with pytest.raises(ValueError, match="damaged"):
        taken.extend(Ahead("test", making(), Cores(2)))
    assert taken == [0, 1, 2]


class Endless:
    """A source of turns without an end, until it is stopped."""

    ends_by_itself = True
    problems = ("broken.pcap: cut short",)
    remarks = ("odd",)
    stopped = False

    def __iter__(self) -> Iterator[Turn]:
        for first in itertools.count(step=RECORDS):
            last = self.stopped
            yield turn_of(first, RECORDS, last=last)
            if last:
                return

    def stop(self) -> None:
        self.stopped = True


class Silent:
    """A judge that has nothing to say."""

    def prepare(self, records: FlowBatch) -> PreparedRows:
        return PreparedRows(records.values, None)  # type: ignore[arg-type]

    def assess(self, records: FlowBatch, prepared: PreparedRows | None = None) -> Assessment:
        assert prepared is not None
        assert prepared.rows is records.values
        return Assessment(prepared.rows, None)  # type: ignore[arg-type]


@pytest.mark.parametrize("cores", [1, 2])
def test_stopped_they_end_with_the_sources_last_turn(cores: int) -> None:
    turns, taken = TurnsAhead(MeteredAhead(Endless(), cores), Silent()), []
    for turn in turns:
        taken.append(turn)
        turns.stop()
    assert taken[-1].until_ns == END_NS
    assert all(isinstance(turn, AssessedTurn) for turn in taken) == (cores > 1)
    assert turns.problems == ("broken.pcap: cut short",)
    turns.close()


def own_threads() -> list[str]:
    """Names of the threads that make turns."""
    return sorted(thread.name for thread in threading.enumerate() if thread.name in ("metering", "novel", "known"))


def test_closed_in_the_midst_they_leave_no_thread() -> None:
    wait_until(lambda: not own_threads())
    turns = TurnsAhead(MeteredAhead(Endless(), 2), Silent())
    next(iter(turns))
    assert own_threads() == ["known", "metering", "novel"]
    turns.close()
    wait_until(lambda: not own_threads())


def test_closed_from_the_source_on_no_thread_waits_for_what_nobody_makes() -> None:
    closing, closed, cores = threading.Event(), threading.Event(), Cores(3)

    def making() -> Iterator[int]:
        yield 0
        closing.wait(LONG_S)

    def taking() -> Iterator[int]:
        for number in first:
            yield number
            closed.wait(LONG_S)

    first = Ahead("first", making(), cores)
    second = Ahead("second", taking(), cores)
    assert next(iter(second)) == 0
    threading.Timer(0.1, closing.set).start()
    first.close()
    closed.set()
    second.close()
    wait_until(lambda: not (first.running or second.running))


def test_a_model_that_fails_ends_the_run_with_its_error_and_leaves_no_thread() -> None:
    wait_until(lambda: not own_threads())

    class Failing(Silent):
        def assess(self, records: FlowBatch, _prepared: PreparedRows | None = None) -> Assessment:
            raise MemoryError(len(records))

    turns = TurnsAhead(MeteredAhead(Endless(), 2), Failing())
    with pytest.raises(MemoryError):
        list(turns)
    turns.close()
    wait_until(lambda: not own_threads())


def test_a_turn_is_handed_on_with_all_that_it_holds() -> None:
    event = LinkEvent("eth0", "down", "eth0 is down", 7)
    whole = turn_of(0, 30)

    class Two(Endless):
        def __iter__(self) -> Iterator[Turn]:
            yield replace(whole, events=(event,), packets_due=True)
            yield turn_of(30, 0, last=True)

    (turn,) = TurnsAhead(MeteredAhead(Two(), 2), Silent())
    assert isinstance(turn, AssessedTurn)
    assert turn.assessment is not None
    assert turn.assessment.rows.tolist() == turn.records.values.tolist() == whole.records.values.tolist()
    assert turn.records.identity.tolist() == whole.records.identity.tolist()
    assert (turn.events, turn.packets_due) == ((event,), True)
    assert (len(turn.seen), turn.until_ns, turn.totals.stats.packets) == (3, END_NS, 30)


def test_metering_begins_before_anybody_takes_turns_and_few_wait() -> None:
    metered = MeteredAhead(source := Counting(), 2)
    wait_until(lambda: source.given >= METERED)
    metered.close()
    assert source.given <= METERED + 3


class Counting(Endless):
    """An endless source that counts its turns."""

    given = 0

    def __iter__(self) -> Iterator[Turn]:
        for turn in super().__iter__():
            self.given += 1
            yield turn


class AtWork:
    """How many threads work at once, and a pause for each piece of work."""

    def __init__(self, pauses: list[float]) -> None:
        self.most = self._now = 0
        self._pauses = itertools.cycle(pauses)
        self._lock = threading.Lock()

    def work(self) -> None:
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
            pause = next(self._pauses)
        time.sleep(pause)
        with self._lock:
            self._now -= 1


@settings(deadline=None, max_examples=15)
@given(st.lists(st.sampled_from([0.0, 0.0, 0.001, 0.004]), min_size=1, max_size=7), st.integers(2, 5))
def test_however_long_each_stage_takes_turns_are_those_of_one_core_and_no_more_cores_work(
    pauses: list[float], cores: int
) -> None:
    turns, at_work = turns_of([RECORDS] * 6), AtWork(pauses)

    class Slow(Endless):
        def __iter__(self) -> Iterator[Turn]:
            for turn in turns:
                at_work.work()
                yield turn

    class SlowJudge(Silent):
        def prepare(self, records: FlowBatch) -> PreparedRows:
            at_work.work()
            return super().prepare(records)

        def assess(self, records: FlowBatch, prepared: PreparedRows | None = None) -> Assessment:
            at_work.work()
            return super().assess(records, prepared)

    found, ahead = [], TurnsAhead(MeteredAhead(Slow(), cores), SlowJudge())
    for turn in ahead:
        at_work.work()
        found.append((turn.until_ns, turn.totals, turn.records.identity.tobytes()))
    ahead.close()
    assert found == [(turn.until_ns, turn.totals, turn.records.identity.tobytes()) for turn in gathered(turns)]
    assert at_work.most <= cores
