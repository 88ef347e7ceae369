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

    def __init__(
        self, workers: int, threads: int, turns: Callable[[int], int], killed: Callable[[int, list[int]], bool]
    ) -> None:
        """turns: that a task takes. killed: whether a worker is killed in a turn, by its number and tasks."""
        self._doing: list[dict[int, int]] = [{} for _ in range(workers)]
        self._threads, self._turns, self._killed = threads, turns, killed
        self.turn = 0

    @property
    def free(self) -> int:
        return sum(self._threads - len(doing) for doing in self._doing)

    def submit(self, number: int, _task: Task) -> str:
        worker = min(range(len(self._doing)), key=lambda worker: len(self._doing[worker]))
        self._doing[worker][number] = self.turn + self._turns(number)
        return str(worker)

    def since(self, number: int) -> int:
        """Turns for which a task has been done."""
        return self.turn - next(doing[number] for doing in self._doing if number in doing) + self._turns(number)

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
    """All carried, where a turn is a second."""
    schedule = Schedule([{}] * tasks, workers, lambda: workers.turn)
    schedule.run(lambda _number, _state: None)
    assert all(state.over for state in schedule.states)
    return schedule.states


def ten(_number: int) -> int:
    return 10


@pytest.mark.parametrize("every", [30, 12, 8])
@pytest.mark.parametrize("threads", [1, 4])
def test_workers_that_are_killed_again_and_again_cost_no_task(every: int, threads: int) -> None:
    chance = random.Random(every)
    workers = Workers(2, threads, ten, lambda _worker, _doing: chance.random() < 1 / every)
    assert [state for state in carried(200, workers) if state.result is None] == []


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("threads", [1, 8])
def test_long_tasks_among_short_ones_are_not_taken_for_what_kills(threads: int, seed: int) -> None:
    chance = random.Random(seed)
    workers = Workers(
        2, threads, lambda number: 40 if number < 3 else 1, lambda _worker, _doing: chance.random() < 1 / 30
    )
    assert [number for number, state in enumerate(carried(300, workers)) if state.result is None] == []


@pytest.mark.parametrize(("tasks", "workers", "threads"), [(1, 1, 1), (2, 1, 2), (3, 2, 2), (40, 1, 1), (400, 2, 4)])
@pytest.mark.parametrize("every", [0, 40])
def test_a_task_that_kills_its_worker_is_set_aside_alone(tasks: int, workers: int, threads: int, every: int) -> None:
    deadly, chance = tasks // 2, random.Random(tasks)

    def killed(_worker: int, doing: list[int]) -> bool:
        return deadly in doing or (every > 0 and chance.random() < 1 / every)

    states = carried(tasks, Workers(workers, threads, ten, killed))
    assert [number for number, state in enumerate(states) if state.result is None] == [deadly]
    assert len(states[deadly].losses) <= 20


@pytest.mark.parametrize(("tasks", "threads"), [(2, 2), (4, 4), (8, 4), (16, 8), (64, 64)])
@pytest.mark.parametrize("count", [1, 2])
def test_tasks_that_kill_what_many_share_are_soon_alone(tasks: int, threads: int, count: int) -> None:
    def killed(_worker: int, doing: list[int]) -> bool:
        return any(workers.since(number) >= 5 for number in doing if number < count)

    workers = Workers(1, threads, ten, killed)
    if tasks == count:
        with pytest.raises(CarrierError):
            carried(tasks, workers)
        return
    states = carried(tasks, workers)
    assert [number for number, state in enumerate(states) if state.result is None] == list(range(count))
    assert max(len(state.losses) for state in states[:count]) <= (20 if count == 1 else 40)
    assert max(len(state.losses) for state in states[count:]) <= 10


def test_a_death_that_is_heard_of_bit_by_bit_is_one() -> None:
    """The threads of a worker tell one after the other that what they share has ended."""

    class Slow(Workers):
        def news(self, within_s: float) -> list[News]:
            self.late += super().news(within_s) if not self.late else []
            found, self.late = self.late[:1], self.late[1:]
            self.turn += not found
            return found

        late: list[News] = []  # noqa: RUF012

    workers = Slow(1, 8, ten, lambda _worker, doing: 0 in doing)
    states = carried(8, workers)
    assert [number for number, state in enumerate(states) if state.result is None] == [0]


def test_a_run_whose_workers_do_nothing_but_end_is_given_up() -> None:
    killed: list[int] = []

    def kill(worker: int, doing: list[int]) -> bool:
        killed.extend([worker] * bool(doing))
        return bool(doing)

    with pytest.raises(CarrierError, match=r"tasks were lost 30 times in a row, the last time so: killed"):
        carried(1000, Workers(2, 8, ten, kill))
    assert len(killed) == 30
