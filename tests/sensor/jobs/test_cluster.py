"""A cluster's workers do tasks; whichever of its processes is killed or hangs, each task gets its end, or one line."""

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sensor.jobs import cluster as jobs_cluster
from sensor.jobs.cluster import ClusterError, ClusterPool, Worker
from sensor.jobs.dask_thread import MOST_WAITING, DaskThread
from sensor.jobs.on_worker import _outcome, order_of
from sensor.jobs.pool import News
from sensor.jobs.schedule import Schedule, State
from sensor.version import VERSION
from tests.support.answering_pool import READY
from tests.support.clusters import Cluster

pytest.importorskip("distributed", reason="needs the extra cluster")
pytestmark = pytest.mark.takes(40)

TOLD = {"limits": {"slots": 1, "patience_s": 60.0, "memory_bytes": None}}
POOL = "tests.support.answering_pool"
LONG_S = 60.0


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("cluster"), 2) as started:
        yield started


@pytest.fixture(autouse=True)
def complete(cluster: Cluster) -> None:
    """Every test finds the whole cluster."""
    cluster.keep_up()


def pool_of(address: str, *, reconnect_s: float = 30.0, **ready: Any) -> ClusterPool:
    """ready: in what this machine differs from the workers."""
    order = order_of(os.urandom(4).hex(), TOLD, POOL, READY | ready)
    return ClusterPool(address, None, order, reconnect_s=reconnect_s, patience_s=10.0)


def tasks_in(directory: Path, number: int, **more: Any) -> list[dict[str, Any]]:
    return [{"capture": f"c{n}", "size": 0, "part": str(directory / f"{n}"), **more} for n in range(number)]


def carried(schedule: Schedule, during: Any = lambda: None) -> list[State]:
    """Have all done, within a time."""
    deadline = time.monotonic() + LONG_S

    def look() -> None:
        assert time.monotonic() < deadline, [(state.failures, state.losses) for state in schedule.states]
        during()

    schedule.run(lambda _number, _state: None, look)
    return schedule.states


def test_lines_of_tasks_are_where_they_were_asked_for(cluster: Cluster, tmp_path: Path) -> None:
    with pool_of(cluster.address) as pool:
        states = carried(Schedule(tasks_in(tmp_path, 8, times=1000), pool))
        said, account = pool.remarks(), pool.account()
    assert [state.failures + state.losses for state in states] == [[]] * 8
    assert [(tmp_path / f"{n}").read_text() for n in range(8)] == [f"c{n}\n" * 1000 for n in range(8)]
    assert "dashboard: http://127.0.0.1:" in said[0]
    assert sum(int(line.split(": ")[1].split()[0]) for line in account) == 8


def test_a_worker_is_busy_while_it_has_any_task() -> None:
    worker = Worker()
    for moment_s, change in ((10.0, worker.take), (11.0, worker.take), (14.0, worker.drop), (15.0, worker.drop)):
        change(moment_s)
    assert (worker.tasks, worker.busy_until(99.0)) == (0, 5.0)
    worker.take(100.0)
    assert worker.busy_until(102.0) == 7.0


def test_a_task_that_dies_on_a_worker_is_a_failed_attempt(cluster: Cluster, tmp_path: Path) -> None:
    with pool_of(cluster.address) as pool:
        bad, good = carried(Schedule([tasks_in(tmp_path, 1, do="die")[0], tasks_in(tmp_path, 2)[1]], pool))
    assert bad.failures == ["ended by exit code 3"] * 2
    assert good.result is not None


def test_a_capture_that_a_worker_does_not_see_is_told_of(cluster: Cluster, tmp_path: Path) -> None:
    with pool_of(cluster.address) as pool:
        (state,) = carried(Schedule([tasks_in(tmp_path, 1)[0] | {"size": 1234}], pool))
    assert "found no such file, expected the 1,234 bytes that are here" in state.failures[0]


def test_a_worker_that_is_killed_costs_no_attempt(cluster: Cluster, tmp_path: Path) -> None:
    with pool_of(cluster.address) as pool:
        schedule = Schedule(tasks_in(tmp_path, 6, steps=10), pool)

        def kill_one() -> None:
            if schedule.done and len(cluster.workers) == 2:
                cluster.kill_worker()

        states = carried(schedule, kill_one)
    assert [(state.failures, state.losses) for state in states if state.result is None or state.failures] == []
    assert [loss for state in states for loss in state.losses if not loss.endswith(": the worker is gone")] == []
    assert any(state.losses for state in states)


def test_a_worker_that_hangs_gives_its_tasks_to_the_other(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs_cluster, "HUNG_S", 3.0)
    with pool_of(cluster.address) as pool:
        schedule = Schedule(tasks_in(tmp_path, 4, steps=10), pool)

        def stop_one() -> None:
            if schedule.done:
                cluster.workers[0].send_signal(signal.SIGSTOP)

        states = carried(schedule, stop_one)
    cluster.workers[0].send_signal(signal.SIGCONT)
    assert [(state.failures, state.losses) for state in states if state.result is None or state.failures] == []
    assert "no heartbeat of the worker for 3 s" in str([state.losses for state in states])


def test_a_scheduler_that_comes_back_is_used_again(cluster: Cluster, tmp_path: Path) -> None:
    with pool_of(cluster.address) as pool:
        schedule = Schedule(tasks_in(tmp_path, 6, steps=10), pool)
        killed: list[float] = []

        def kill_it() -> None:
            if schedule.done and not killed:
                cluster.kill_scheduler()
                killed.append(time.monotonic())
            cluster.keep_up()

        states = carried(schedule, kill_it)
        said = pool.remarks()
    assert [(state.failures, state.losses) for state in states if state.result is None or state.failures] == []
    assert any("the scheduler is gone" in line for line in said)
    assert any("the scheduler is there again" in line for line in said)


def test_a_scheduler_that_stays_away_ends_the_run(cluster: Cluster, tmp_path: Path) -> None:
    with pool_of(cluster.address, reconnect_s=2.0) as pool:
        schedule = Schedule(tasks_in(tmp_path, 2, do="hang"), pool)
        killed: list[float] = []

        def kill_it() -> None:
            if pool._given and not killed:
                cluster.kill_scheduler()
                killed.append(time.monotonic())

        with pytest.raises(ClusterError, match="the scheduler has been gone for 2 s"):
            carried(schedule, kill_it)
    assert time.monotonic() - killed[0] < 20


def test_what_nobody_waits_for_is_ended_on_the_worker(cluster: Cluster, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    with pool_of(cluster.address) as pool:
        schedule = Schedule(tasks_in(tmp_path, 1, do="hang", pid=str(pid)), pool)
        carried(schedule, lambda: schedule.stop() if pid.exists() and pid.read_text() else None)
    deadline = time.monotonic() + 20
    while Path(f"/proc/{pid.read_text()}").exists():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.parametrize(
    ("version", "ready", "words"),
    [
        ("99.9", {}, r"flowvigil \S+, expected 99\.9, as here"),
        (VERSION, {"sha256": "1" * 64}, "bundle none with manifest 0{16}…, expected 1{16}…, as here"),
        (
            VERSION,
            {"files": {"notes.yaml": "1" * 64}},
            "notes.yaml with SHA-256 5{16}…, expected it with SHA-256 1{16}…, as here",
        ),
        (
            VERSION,
            {"files": {"site.yaml": "1" * 64}},
            "site.yaml unreadable, expected it with SHA-256 1{16}…, as here",
        ),
    ],
)
def test_workers_that_would_judge_otherwise_are_refused_by_name(
    version: str,
    ready: dict[str, Any],
    words: str,
    cluster: Cluster,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(jobs_cluster, "VERSION", version)
    with (
        pool_of(cluster.address, **ready) as pool,
        pytest.raises(ClusterError, match=rf"^tcp://127\.0\.0\.1:\d+: not used: found {words}$"),
    ):
        carried(Schedule(tasks_in(tmp_path, 3), pool))


def test_a_cluster_without_workers_ends_the_run(cluster: Cluster, tmp_path: Path) -> None:
    while cluster.workers:
        cluster.kill_worker()
    with (
        pool_of(cluster.address, reconnect_s=2.0) as pool,
        pytest.raises(ClusterError, match="found none, expected workers within 2 s"),
    ):
        carried(Schedule(tasks_in(tmp_path, 1), pool))


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (None, "connection refused"),
        (b"", "no answer in time"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "something else than Dask answers"),
        (b"\x08" + bytes(200), "something else than Dask answers"),
        ((1 << 33).to_bytes(8, "little"), "no answer in time"),
    ],
)
def test_what_is_no_scheduler_is_told_in_one_line_and_soon(
    answer: bytes | None, words: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        if answer is not None:
            listening.listen()
            threading.Thread(target=_answer, args=(listening, answer), daemon=True).start()
        began = time.monotonic()
        with pytest.raises(ClusterError, match=f"{words}, expected a Dask scheduler"):
            pool_of(f"tcp://127.0.0.1:{listening.getsockname()[1]}", reconnect_s=1.0).__enter__()
    assert time.monotonic() - began < 10
    assert capfd.readouterr() == ("", "")


def _answer(listening: socket.socket, answer: bytes) -> None:
    held = []
    while True:
        try:
            connection, _ = listening.accept()
        except OSError:
            return
        held.append(connection)
        connection.sendall(answer)


def test_workers_of_which_nothing_was_heard_while_this_process_stood_still_are_not_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now_s = time.monotonic()
    monkeypatch.setattr(jobs_cluster, "time", SimpleNamespace(monotonic=lambda: now_s))
    pool = pool_of("tcp://127.0.0.1:1", reconnect_s=60.0)
    pool._workers["a"] = Worker(identity="a", threads=1, fit=True, heard_s=now_s)
    now_s += 300.0  # by Ctrl-Z
    assert pool.news(0.0) == []
    assert pool.free == 1
    for _ in range(31):
        now_s += 1.0
        assert pool.news(0.0) == []
    assert pool.free == 0


def test_who_does_not_listen_for_hours_finds_no_more_than_fits() -> None:
    thread = DaskThread("tcp://127.0.0.1:1", None, "run", 1.0)
    for second in range(2 * MOST_WAITING):
        thread._hear((second, {"run": "run", "number": 0, "of": 1, "done": second}))
    assert thread.heard.qsize() == MOST_WAITING


def test_a_worker_whose_disk_is_full_is_not_used() -> None:
    news = News(0, result={"code": 1, "unwritten": "part: cannot be written (no space left)"})
    assert _outcome(news, Path("/nosuch")) == {"refused": "part: cannot be written (no space left)"}
