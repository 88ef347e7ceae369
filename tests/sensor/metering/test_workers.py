"""Records of several workers in one order, and what happens to processes that end."""

import os
import signal
import time
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.batch import IDENTITY_WIDTH, REPORTED_NS, SRC_PORT, FlowBatch, empty_batch
from flows.columns import COLUMNS
from flows.meter import Meter
from sensor.metering.live import LiveTurns
from sensor.metering.turns import END_NS, CaptureTotals, Turn
from sensor.metering.workers import PATIENCE_NS, TurnMerge, WorkerTurns
from sensor.sources.capture import LinkEvent
from tests.support.packets import block, udp
from tests.support.scripted import SILENCE, ScriptedCapture

TOTALS = next(iter(LiveTurns(ScriptedCapture([]), Meter(1024)))).totals


def records(times: list[int], worker: int = 0) -> FlowBatch:
    identity = np.zeros((len(times), IDENTITY_WIDTH), dtype=np.int64)
    identity[:, REPORTED_NS] = times
    identity[:, SRC_PORT] = worker
    return FlowBatch(identity, np.zeros((len(times), len(COLUMNS))))


def a_turn(times: list[int], until_ns: int, worker: int = 0, totals: CaptureTotals = TOTALS) -> Turn:
    return Turn(records(times, worker), until_ns, totals)


def merged(merge: TurnMerge) -> list[int]:
    return [int(time) for time in merge.turn().records.identity[:, REPORTED_NS]]


def test_a_record_waits_until_every_worker_has_come_as_far() -> None:
    merge = TurnMerge(2)
    merge.add(0, a_turn([10, 20, 30], 40))
    assert not merge.complete
    merge.add(1, a_turn([15], 20))
    assert merge.complete
    assert merged(merge) == [10, 15, 20]
    merge.add(1, a_turn([25, 35], END_NS))
    assert merged(merge) == [25, 30, 35]


def test_a_worker_that_hangs_does_not_hold_up_the_others_for_ever() -> None:
    merge = TurnMerge(2)
    merge.add(1, a_turn([], 1000))
    merge.add(0, a_turn([2000, PATIENCE_NS + 5000], PATIENCE_NS + 3000))
    assert merged(merge) == [2000]


def test_a_worker_that_died_is_not_waited_for() -> None:
    merge = TurnMerge(2)
    merge.add(0, a_turn([10, 50], END_NS))
    merge.add(1, a_turn([20], 30))
    assert not merge.end(1)
    assert merged(merge) == [10, 20, 50]


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 50)), max_size=80))
def test_merged_records_are_all_there_and_in_order(steps: list[tuple[int, int]]) -> None:
    merge = TurnMerge(3)
    now = [0, 0, 0]
    sent: list[tuple[int, int]] = []
    got: list[tuple[int, int]] = []

    def collect() -> None:
        identity = merge.turn().records.identity
        got.extend(zip(identity[:, REPORTED_NS].tolist(), identity[:, SRC_PORT].tolist(), strict=True))

    for worker in range(3):
        merge.add(worker, Turn(empty_batch(), 0, TOTALS))
    for worker, passed in steps:
        times = [now[worker] + passed // 2, now[worker] + passed]
        now[worker] += passed
        sent += [(time, worker) for time in times]
        merge.add(worker, a_turn(times, now[worker], worker))
        collect()
    for worker in range(3):
        merge.add(worker, a_turn([], END_NS, worker))
    collect()
    assert sorted(sent) == sorted(got)
    assert [time for time, _ in got] == sorted(time for time, _ in got)


def nothing() -> None:
    pass


@pytest.fixture(autouse=True, scope="module")
def _compiled() -> None:
    """Kernels are compiled before processes are made, as the sensor does: a worker may not be silent for long."""
    list(LiveTurns(capture_of(1), Meter(1024)))


def capture_of(port: int, *, turns: int = 5, act: Callable[[], None] = nothing) -> ScriptedCapture:
    packets = block([udp(f"10.0.0.1:{port}", "10.0.0.2:53", at=0.0)])
    quiet = [(lambda: time.sleep(0.02), SILENCE)] * turns
    return ScriptedCapture([(nothing, packets), *quiet, (act, SILENCE), *quiet])


def test_workers_are_processes_whose_records_and_accounts_come_together() -> None:
    captures = [capture_of(1000 + worker) for worker in range(3)]
    captures[0].happened = [LinkEvent("made0", "up", "made0 is up", 0)]
    captures[1].happened = [LinkEvent("made0", "up", "made0 is up", 0)]
    workers = WorkerTurns([LiveTurns(capture, Meter(1024, news_only=True)) for capture in captures])
    assert all(capture.left for capture in captures)
    turns = list(workers)
    ports = sorted(int(port) for each in turns for port in each.records.identity[:, SRC_PORT])
    assert ports == [1000, 1001, 1002]
    assert turns[-1].totals.stats.packets == 3
    assert [event.message for each in turns for event in each.events] == ["made0 is up"]
    assert workers.problems == []


def test_a_worker_that_is_killed_ends_the_watch_with_a_line_and_what_the_others_saw() -> None:
    captures = [capture_of(1000, turns=100), capture_of(1001, act=lambda: os.kill(os.getpid(), signal.SIGKILL))]
    started = time.monotonic()
    workers = WorkerTurns([LiveTurns(capture, Meter(1024, news_only=True)) for capture in captures])
    turns = list(workers)
    assert time.monotonic() - started < 8
    assert workers.problems == ["worker 2 ended unasked"]
    assert 1000 in {int(port) for each in turns for port in each.records.identity[:, SRC_PORT]}


def test_stopping_lets_every_worker_tell_what_it_has() -> None:
    captures = [capture_of(1000 + worker, turns=2000) for worker in range(2)]
    workers = WorkerTurns([LiveTurns(capture, Meter(1024, news_only=True)) for capture in captures])
    started = time.monotonic()
    ports = set()
    for each in workers:
        if each.totals.stats.packets == 2:
            workers.stop()
        ports |= {int(port) for port in each.records.identity[:, SRC_PORT]}
    assert time.monotonic() - started < 8
    assert ports == {1000, 1001}


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGHUP, signal.SIGUSR1])
def test_signals_for_the_whole_group_do_not_end_a_worker(signal_number: int) -> None:
    capture = capture_of(1000, act=lambda: os.kill(os.getpid(), signal_number))
    workers = WorkerTurns([LiveTurns(capture, Meter(1024, news_only=True)), LiveTurns(capture_of(1001), Meter(1024))])
    assert list(workers)[-1].totals.stats.packets == 2
    assert workers.problems == []
