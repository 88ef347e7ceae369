"""What is lost with what ran it is tried again; what kills whatever runs it is set aside, and the run ends."""

import random
from collections.abc import Callable

import pytest

from sensor.jobs.pool import News, Task
from sensor.jobs.schedule import CarrierError, Schedule, State
from sensor.progress.progress import WorkerRate

MOST_TURNS = 100_000


class Workers:
    """Carries tasks by workers of some threads each, in turns; a worker that is killed loses all that it does."""

    def __init__(self, workers: int, threads: int, turns: int, killed: Callable[[int, list[int]], bool]) -> None:
        """turns: that a task takes. killed: whether a worker is killed in a turn, by its number and tasks."""
        self._doing: list[dict[int, int]] = [{} for _ in range(workers)]
        self._threads, self._turns, self._killed = threads, turns, killed
        self.turn = 0

    @property
    def free(self) -> int:
        return sum(self._threads - len(doing) for doing in self._doing)

    def submit(self, number: int, _task: Task) -> None:
        min(self._doing, key=len)[number] = self.turn + self._turns

    def news(self, _within_s: float) -> list[News]:
        self.turn += 1
        assert self.turn < MOST_TURNS, "it does not end"
        found = []
        for worker, doing in enumerate(self._doing):
            if self._killed(worker, list(doing)):
                found += [News(number, failure="killed", lost=True) for number in doing]
                doing.clear()
            for number in [number for number, until in doing.items() if until <= self.turn]:
                del doing[number]
                found.append(News(number, result={}))
        return found

    def remarks(self) -> list[str]:
        return []

    def rates(self) -> tuple[WorkerRate, ...]:
        return ()

    def account(self) -> list[str]:
        return []


def carried(tasks: int, workers: Workers) -> list[State]:
    schedule = Schedule([{}] * tasks, workers)
    schedule.run(lambda _number, _state: None)
    assert all(state.over for state in schedule.states)
    return schedule.states


@pytest.mark.parametrize("every", [30, 12, 6])
@pytest.mark.parametrize("threads", [1, 4])
def test_workers_that_are_killed_again_and_again_cost_no_task(every: int, threads: int) -> None:
    chance = random.Random(every)
    workers = Workers(2, threads, 10, lambda _worker, _doing: chance.random() < 1 / every)
    assert [state for state in carried(200, workers) if state.result is None] == []


@pytest.mark.parametrize(("tasks", "workers", "threads"), [(1, 1, 1), (2, 1, 2), (3, 2, 2), (40, 1, 1), (400, 2, 4)])
@pytest.mark.parametrize("every", [0, 40])
def test_a_task_that_kills_its_worker_is_set_aside_alone(tasks: int, workers: int, threads: int, every: int) -> None:
    deadly, chance = tasks // 2, random.Random(tasks)

    def killed(_worker: int, doing: list[int]) -> bool:
        return deadly in doing or (every > 0 and chance.random() < 1 / every)

    states = carried(tasks, Workers(workers, threads, 10, killed))
    assert [number for number, state in enumerate(states) if state.result is None] == [deadly]
    assert len(states[deadly].losses) <= (20 if tasks in (1, 400) else 140)


def test_a_run_whose_workers_do_nothing_but_end_is_given_up() -> None:
    with pytest.raises(CarrierError, match=r"300 attempts in a row were lost, the last one so: killed"):
        carried(1000, Workers(2, 1, 10, lambda _worker, doing: bool(doing)))
