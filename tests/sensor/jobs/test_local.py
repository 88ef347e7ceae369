"""The pool of this machine says of each that reads how much and how fast, and gives back what it had when it ends."""

import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from sensor.jobs.local import LocalPool, PoolChangedError
from sensor.jobs.on_worker import SharedPool
from sensor.jobs.pool import News
from tests.support.answering_pool import READY

POOL = [sys.executable, "-m", "tests.support.answering_pool"]
SETTINGS = {"limits": {"slots": 2, "patience_s": 60.0, "memory_bytes": None}}
LONG_S = 20.0


def test_rates_are_those_of_each_and_what_its_process_had_is_lost(tmp_path: Path) -> None:
    with LocalPool(POOL, SETTINGS, 2) as pool:
        pool.start()
        for number, steps in enumerate((8, 30)):
            pool.submit(number, {"capture": "c", "part": str(tmp_path / f"{number}"), "steps": steps})
        assert pool.free == 0
        (first,) = heard(pool)
        assert (first.number, first.lost, pool.free) == (0, False, 1)
        one, other = pool.rates()
        assert (one.name, one.captures, one.bytes) == ("worker 1", 1, 7)  # the last step that the work tells of
        assert (other.name, other.captures) == ("worker 2", 0)
        assert 0 < other.bytes < 30  # of what it does now
        assert min(one.busy_s, other.busy_s) > 0.8
        assert pool._process is not None
        os.kill(pool._process.pid, signal.SIGKILL)
        (lost,) = heard(pool)
        assert (lost.number, lost.lost, pool.free) == (1, True, 2)
        assert pool.rates()[1].captures == pool.rates()[1].bytes == 0


def test_more_tasks_than_slots_are_done_as_well(tmp_path: Path) -> None:
    """Two workers of a cluster in one process share a pool."""
    with LocalPool(POOL, SETTINGS, 2) as pool:
        pool.start()
        for number in range(4):
            pool.submit(number, {"capture": "c", "part": str(tmp_path / f"{number}"), "steps": 2})
        over: dict[int, News] = {}
        while len(over) < 4:
            over |= {news.number: news for news in heard(pool)}
    assert [over[number].failure for number in range(4)] == [""] * 4


def heard(pool: LocalPool) -> list[News]:
    """The first that have ended."""
    deadline = time.monotonic() + LONG_S
    while time.monotonic() < deadline:
        if over := [news for news in pool.news(0.1) if news.over]:
            return over
    raise AssertionError("nothing has ended")


# A process that says of itself what it finds in a file, and does nothing.
SAYING = """
import pathlib, sys
sys.stdin.readline()
print(pathlib.Path(sys.argv[1]).read_text(), flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize(
    ("later", "why"),
    [
        ({"ready": READY | {"sha256": "1" * 64}}, "found bundle none with manifest 1{16}…, expected 0{16}…, as before"),
        ({"refused": {"message": "no such bundle", "detail": [], "code": 4}}, "no such bundle"),
    ],
)
def test_a_process_that_would_do_otherwise_than_before_does_not_go_on(
    later: dict[str, object], why: str, tmp_path: Path
) -> None:
    says = tmp_path / "says.json"
    says.write_text(json.dumps({"ready": READY}))
    with LocalPool([sys.executable, "-c", SAYING, str(says)], SETTINGS, 1) as pool:
        pool.start()
        says.write_text(json.dumps(later))
        assert pool._process is not None
        os.kill(pool._process.pid, signal.SIGKILL)
        with pytest.raises(PoolChangedError, match=rf"^the process that reads captures was begun anew: {why}$"):
            heard(pool)


def test_a_process_that_is_not_to_be_used_does_not_stay() -> None:
    pool = LocalPool(POOL, SETTINGS, 1)
    assert "expected 1111" in SharedPool(pool, READY | {"sha256": "1" * 64}).refused
    assert pool._process is None
