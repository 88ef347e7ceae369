"""Records of several workers in one order, and what happens to processes that end."""

import errno
import faulthandler
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.batch import IDENTITY_WIDTH, REPORTED_NS, SRC_PORT, FlowBatch, empty_batch
from flows.columns import COLUMNS
from flows.meter import Meter, concatenate
from sensor import log
from sensor.cli.live_capture import open_captures
from sensor.errors import CaptureError
from sensor.metering import workers
from sensor.metering.live import LiveTurns
from sensor.metering.turns import END_NS, CaptureTotals, Turn
from sensor.metering.workers import WAITING, TurnMerge, WorkerTurns
from sensor.settings.config import Config
from sensor.sources.capture import CaptureStatistics, LinkEvent
from tests.support.packets import block, udp
from tests.support.scripted import SILENCE, ScriptedCapture
from tests.support.waiting import LONG_S, wait_until

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
    assert merged(merge) == [10, 15]  # at 20 the second may have others
    merge.add(1, a_turn([20, 25, 35], END_NS))
    assert merged(merge) == [20, 20, 25, 30, 35]


def test_a_worker_that_is_behind_is_waited_for_unless_it_is_silent() -> None:
    merge = TurnMerge(2)
    merge.add(1, a_turn([], 1000))
    merge.add(0, a_turn([2000, 50_000_000_000], 30_000_000_000))
    assert merged(merge) == []
    assert [int(time) for time in merge.turn({1}).records.identity[:, REPORTED_NS]] == [2000]


def test_a_silent_worker_keeps_the_end_from_being_told() -> None:
    merge = TurnMerge(2)
    merge.add(0, a_turn([10], END_NS))
    merge.add(1, a_turn([], 1000))
    assert merge.turn({1}).until_ns == 1000
    merge.add(1, a_turn([2000], END_NS))
    assert merge.turn().until_ns == END_NS


def test_no_more_records_wait_for_a_worker_that_is_behind_than_may() -> None:
    merge = TurnMerge(2)
    merge.add(1, a_turn([], 0))
    merge.add(0, a_turn(list(range(WAITING)), WAITING))
    assert not merged(merge)
    merge.add(0, a_turn([WAITING], WAITING + 5))
    assert len(merged(merge)) == WAITING + 1


def test_what_waits_for_a_worker_is_not_copied_at_each_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where one is silent for seconds, the others go on with a hundred turns a second."""
    copied = 0

    def counted(batches: list[FlowBatch]) -> FlowBatch:
        nonlocal copied
        copied += sum(map(len, batches))
        return concatenate(batches)

    monkeypatch.setattr(workers, "concatenate", counted)
    merge = TurnMerge(2)
    merge.add(1, a_turn([], 0))
    for begin in range(0, 2000, 10):
        merge.add(0, a_turn(list(range(begin, begin + 10)), begin + 10))
        merge.add(1, a_turn([], begin // 2))  # behind by more and more
        merge.turn()
    assert copied <= 2000


def test_a_worker_that_died_is_not_waited_for() -> None:
    merge = TurnMerge(2)
    merge.add(0, a_turn([10, 50], END_NS))
    merge.add(1, a_turn([20], 30))
    assert not merge.end(1)
    assert merged(merge) == [10, 20, 50]


@pytest.mark.skipif(sys.platform != "linux", reason="rings are Linux'")
def test_tunnels_that_several_workers_would_tear_apart_are_told_of() -> None:
    config = Config.model_validate({"capture": {"workers": 2}, "meter": {"decapsulate": True}})
    with log.collected() as messages, pytest.raises(CaptureError):
        open_captures(config, ["no-such-if0"])
    assert ["may meet different workers" in message for message in messages] == [True]


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


ENDLESS = 2000  # turns: more than a minute


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


def out_of_memory() -> None:
    raise MemoryError


def fault() -> None:
    raise ValueError("of a defect")


def close_everything() -> None:
    os.closerange(3, 256)
    time.sleep(30)


def crash() -> None:
    faulthandler.disable()  # of the tests
    os.kill(os.getpid(), signal.SIGSEGV)


def by_signal(number: int) -> Callable[[], None]:
    return lambda: os.kill(os.getpid(), number)


@pytest.mark.parametrize(
    ("act", "how"),
    [
        (by_signal(signal.SIGKILL), "SIGKILL"),
        (crash, "SIGSEGV"),
        (by_signal(signal.SIGQUIT), "SIGQUIT"),
        (by_signal(signal.SIGUSR2), "SIGUSR2"),
        (lambda: os._exit(0), "exit code 0"),
        (lambda: os._exit(9), "exit code 9"),
        (out_of_memory, "MemoryError"),
        (fault, "ValueError: of a defect"),
        (close_everything, "closed its pipe"),
    ],
)
def test_a_worker_that_ends_in_any_way_ends_the_watch_with_a_line_and_what_the_others_saw(
    act: Callable[[], None], how: str
) -> None:
    captures = [capture_of(1000, turns=ENDLESS), capture_of(1001, act=act)]
    captures[1].counted_last = CaptureStatistics(received=20, dropped=3)
    started = time.monotonic()
    workers = WorkerTurns([LiveTurns(capture, Meter(1024, news_only=True)) for capture in captures])
    turns = list(workers)
    assert time.monotonic() - started < LONG_S
    problem = f"worker 2 ended unasked ({how}): 16 packets and 1 flow of its table are lost with it"
    assert workers.problems == [problem]
    assert problem in [event.message for each in turns for event in each.events]
    assert 1000 in {int(port) for each in turns for port in each.records.identity[:, SRC_PORT]}
    totals = turns[-1].totals
    assert (totals.capture.received, totals.capture.dropped, totals.capture.lost_with_worker) == (21, 19, 16)
    assert totals.stats.packets == 2  # 1 more than the lost one had
    assert no_child()


def test_records_that_a_lost_worker_had_not_handed_on_are_told() -> None:
    many = block([udp(f"10.0.0.1:{port}", "10.0.0.2:53", at=0.0) for port in range(1000, 1300)])
    *_, before, last = LiveTurns(ScriptedCapture([(nothing, many)]), Meter(1024, news_only=True))
    assert (len(before.records), before.totals.records_due, last.totals.records_due) == (256, 44, 0)
    merge = TurnMerge(1)
    merge.add(0, before)
    assert merge.lose(0, CaptureStatistics(received=310)) == (10, 0, 44)


def test_a_worker_that_gave_no_turn_is_accounted_for() -> None:
    captures = [capture_of(1000, turns=100), ScriptedCapture([(by_signal(signal.SIGKILL), SILENCE)])]
    captures[1].counted_last = CaptureStatistics(received=7)
    turns = list(workers := WorkerTurns([LiveTurns(capture, Meter(1024)) for capture in captures]))
    assert workers.problems == [
        "worker 2 ended unasked (SIGKILL): 7 packets and no flows of its table are lost with it"
    ]
    assert turns[-1].totals.capture == CaptureStatistics(received=8, dropped=7, lost_with_worker=7)
    assert turns[-1].totals.links


def test_a_worker_that_was_stopped_is_made_to_go_on_and_nothing_is_lost() -> None:
    captures = [capture_of(1000, turns=50), capture_of(1001, act=by_signal(signal.SIGSTOP), turns=50)]
    workers = WorkerTurns([LiveTurns(capture, Meter(1024, news_only=True)) for capture in captures])
    turns = list(workers)
    assert workers.problems == []
    assert "worker 2 was stopped by a signal: made to go on" in [e.message for each in turns for e in each.events]
    assert turns[-1].totals.stats.packets == 2


def test_a_worker_is_made_to_go_on_as_often_as_it_is_stopped() -> None:
    stops = (by_signal(signal.SIGSTOP), SILENCE)
    quiet = [(lambda: time.sleep(0.02), SILENCE)] * 10
    stopped = capture_of(1001)
    stopped.turns[-1:] = [stops, *quiet, stops, *quiet, stops, *quiet]
    workers = WorkerTurns([LiveTurns(each, Meter(1024, news_only=True)) for each in (capture_of(1000), stopped)])
    turns = list(workers)
    assert workers.problems == []
    told = [event.action for each in turns for event in each.events]
    assert told.count("worker-stopped") == 3
    assert turns[-1].totals.stats.packets == 2
    assert no_child()


def test_a_watch_that_was_stopped_itself_holds_the_silence_of_that_time_against_no_worker() -> None:
    """As by Ctrl-Z and fg, a container that is paused, or a virtual machine that is moved."""
    passed_s = [0.0]
    captures = [capture_of(1000 + worker, turns=20) for worker in range(3)]
    sources = [LiveTurns(capture, Meter(1024, news_only=True)) for capture in captures]
    workers = WorkerTurns(sources, clock=lambda: time.monotonic() + passed_s[0])
    for each in workers:
        if each.totals.stats.packets == 3:
            passed_s[0] += 3600.0
    assert workers.problems == []
    assert passed_s[0] > 3600.0


def test_a_worker_that_hangs_is_found_by_a_watch_that_is_slow_too() -> None:
    passed_s = [0.0]
    captures = [capture_of(1000, turns=ENDLESS), capture_of(1001, act=lambda: time.sleep(60))]
    sources = [LiveTurns(capture, Meter(1024, news_only=True)) for capture in captures]
    workers = WorkerTurns(sources, clock=lambda: time.monotonic() + passed_s[0])
    started = time.monotonic()
    for _ in workers:
        passed_s[0] += 1.5  # as if each turn took so long
    assert time.monotonic() - started < LONG_S
    assert [problem.partition(":")[0] for problem in workers.problems] == [
        "worker 2 ended unasked (told nothing for 10 s)"
    ]
    assert no_child()


def test_a_limit_of_processes_ends_the_start_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    fork, forked = os.fork, list[int]()

    def second_one_fails() -> int:
        if forked:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        forked.append(1)
        return fork()

    monkeypatch.setattr(os, "fork", second_one_fails)
    sources = [LiveTurns(capture_of(1000 + worker, turns=100), Meter(1024)) for worker in range(3)]
    with pytest.raises(CaptureError, match="3 capture workers cannot be started, 1 could: resource temporarily"):
        WorkerTurns(sources)
    assert no_child()


def test_a_worker_that_stands_still_nevertheless_has_ended() -> None:
    def stop_again(_number: int, _frame: object) -> None:
        os.kill(os.getpid(), signal.SIGSTOP)

    def stop_for_good() -> None:
        signal.signal(signal.SIGCONT, stop_again)
        os.kill(os.getpid(), signal.SIGSTOP)

    captures = [capture_of(1000, turns=ENDLESS), capture_of(1001, act=stop_for_good)]
    started = time.monotonic()
    workers = WorkerTurns([LiveTurns(capture, Meter(1024, news_only=True)) for capture in captures])
    list(workers)
    assert time.monotonic() - started < LONG_S
    assert [problem.partition(":")[0] for problem in workers.problems] == [
        "worker 2 ended unasked (stopped by a signal)"
    ]
    assert no_child()


def test_a_worker_that_alone_is_told_to_end_has_every_worker_end_in_order() -> None:
    captures = [capture_of(1000, turns=ENDLESS), capture_of(1001, act=by_signal(signal.SIGTERM), turns=20)]
    started = time.monotonic()
    workers = WorkerTurns([LiveTurns(capture, Meter(1024, news_only=True)) for capture in captures])
    turns = list(workers)
    assert time.monotonic() - started < LONG_S
    assert workers.problems == ["worker 2 was told to end by SIGTERM, which is for the process that began it"]
    assert sorted(int(port) for each in turns for port in each.records.identity[:, SRC_PORT]) == [1000, 1001]
    assert turns[-1].totals.capture.lost_with_worker is None


def test_all_that_are_told_to_end_at_once_end_in_order() -> None:
    captures = [capture_of(1000 + number, act=by_signal(signal.SIGTERM), turns=100) for number in range(2)]
    workers = WorkerTurns([LiveTurns(capture, Meter(1024, news_only=True)) for capture in captures])
    for each in workers:
        if each.totals.stats.packets == 2:  # as a service manager's goes to the whole group
            workers.stop()
    assert workers.problems == []


def test_no_worker_outlives_the_process_that_began_it() -> None:
    told, tell = os.pipe()
    parent = os.fork()
    if not parent:
        captures = [capture_of(1000 + number, turns=5000) for number in range(2)]
        workers = WorkerTurns([LiveTurns(capture, Meter(1024)) for capture in captures])
        os.write(tell, " ".join(str(worker.child.pid) for worker in workers._workers).encode())
        os.kill(os.getpid(), signal.SIGKILL)
    os.close(tell)
    os.waitpid(parent, 0)
    children = [int(pid) for pid in os.read(told, 100).split()]
    os.close(told)
    wait_until(lambda: not any(runs(pid) for pid in children))


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):  # the latter: it goes while it is read
        return False


def no_child() -> bool:
    """Whether every child of this process has been reaped."""
    try:
        return os.waitpid(-1, os.WNOHANG) == (0, 0)  # one of the tests' own, which runs
    except ChildProcessError:
        return True


def test_stopping_lets_every_worker_tell_what_it_has() -> None:
    captures = [capture_of(1000 + worker, turns=ENDLESS) for worker in range(2)]
    workers = WorkerTurns([LiveTurns(capture, Meter(1024, news_only=True)) for capture in captures])
    started = time.monotonic()
    ports = set()
    for each in workers:
        if each.totals.stats.packets == 2:
            workers.stop()
        ports |= {int(port) for port in each.records.identity[:, SRC_PORT]}
    assert time.monotonic() - started < LONG_S
    assert ports == {1000, 1001}


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGHUP, signal.SIGUSR1])
def test_signals_for_the_whole_group_do_not_end_a_worker(signal_number: int) -> None:
    capture = capture_of(1000, act=lambda: os.kill(os.getpid(), signal_number))
    workers = WorkerTurns([LiveTurns(capture, Meter(1024, news_only=True)), LiveTurns(capture_of(1001), Meter(1024))])
    assert list(workers)[-1].totals.stats.packets == 2
    assert workers.problems == []
