"""Whatever a piece of work does, it costs itself alone and is told of."""

import os
import signal
import time

import pytest

from sensor.jobs.pool import LONGEST_RESULT, Limits, News, Page, Pool, Result, Task

LONG_S = 20.0


def work(task: Task, page: Page) -> Result:
    """What the task says."""
    match task["do"]:
        case "square":
            page.move(task["of"])
            return {"is": task["of"] ** 2}
        case "hang":
            time.sleep(LONG_S)
        case "move slowly":
            for step in range(8):
                time.sleep(0.25)
                page.move(step)
        case "die":
            os.kill(os.getpid(), signal.SIGKILL)
        case "leave":
            os._exit(0)
        case "raise":
            raise ValueError("not this one")
        case "stop":
            os.kill(os.getpid(), signal.SIGSTOP)
        case "grow":
            held = bytearray(os.urandom(1 << 20) * 200)
            time.sleep(LONG_S)
            return {"held": len(held)}
        case "say too much":
            return {"is": "x" * (LONGEST_RESULT + 1)}
    return {}


def ends_of(*tasks: Task, limits: Limits) -> dict[int, News]:
    """How each of the tasks ended."""
    pool, waiting = Pool(work, limits), list(enumerate(tasks))
    ended: dict[int, News] = {}
    deadline = time.monotonic() + LONG_S
    try:
        while len(ended) < len(tasks):
            assert time.monotonic() < deadline
            while waiting and pool.free:
                pool.begin(*waiting.pop(0))
            ended |= {news.number: news for news in pool.news() if news.over}
            time.sleep(0.01)
    finally:
        pool.close()
    return ended


def test_results_are_those_of_the_work_however_many_run_at_once() -> None:
    tasks = [{"do": "square", "of": number} for number in range(20)]
    for slots in (1, 3):
        ended = ends_of(*tasks, limits=Limits(slots))
        assert [ended[number].result for number in range(20)] == [{"is": number**2} for number in range(20)]
        assert [ended[number].done for number in range(20)] == list(range(20))


@pytest.mark.parametrize(
    ("does", "said"),
    [
        ("hang", "stood still for 1 s"),
        ("die", "ended by SIGKILL"),
        ("leave", "ended by exit code 0"),
        ("raise", "ValueError: not this one"),
        ("grow", "took more than 150 MB of memory"),
        ("say too much", "gave no result that can be read"),
    ],
)
def test_a_piece_that_fails_in_any_way_is_told_of_and_the_others_go_on(does: str, said: str) -> None:
    limits = Limits(2, 1.0 if does == "hang" else 60.0, 150_000_000 if does == "grow" else None)
    ended = ends_of({"do": "square", "of": 2}, {"do": does}, {"do": "square", "of": 3}, limits=limits)
    assert ended[1].result is None
    assert ended[1].failure == said
    assert (ended[0].result, ended[2].result) == ({"is": 4}, {"is": 9})


def test_what_moves_is_not_ended_and_what_was_stopped_goes_on() -> None:
    ended = ends_of({"do": "move slowly"}, {"do": "stop"}, limits=Limits(2, 1.6))
    assert [ended[number].result for number in (0, 1)] == [{}, {}]


def test_nothing_outlives_the_pool() -> None:
    pool = Pool(work, Limits(1))
    pool.begin(0, {"do": "hang"})
    child = pool._running[0].child.pid
    pool.close()
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)


def test_time_in_which_nobody_looked_does_not_count() -> None:
    now_s = 0.0
    pool = Pool(work, Limits(1, 60.0), lambda: now_s)
    try:
        pool.begin(0, {"do": "hang"})
        now_s = 100.0  # stopped, or paused with all that it has begun
        assert pool.news() == []
        for _ in range(61):
            now_s += 1.0
            told = pool.news()
        assert [news.failure for news in told] == ["stood still for 60 s"]
    finally:
        pool.close()
