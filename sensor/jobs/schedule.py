"""All tasks of a run carried to their ends, by whatever carries them; one that fails twice is set aside.

A task that is lost with what ran it, such as a worker that is killed, is not to blame as long as it is lost as often as
others are in the same time. Of n deaths, k met it; had they come by chance, each would have met it by its share of the
time in which anything was done. It is set aside once k or more of n are as good as impossible so (binomial).
"""

import math
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from sensor.errors import SensorError
from sensor.jobs.pool import News, Task
from sensor.progress.progress import WorkerRate

ATTEMPTS: Final = 2  # that fail by themselves
SUSPICIOUS: Final = 3  # losses, before one is suspected
SUSPICION: Final = 0.05  # chance of so many, down to which it is not done beside another one that is suspected
LEAST_LOSSES: Final = 5  # before one is set aside, however seldom others are lost
MOST_LOSSES: Final = 40  # with which one is set aside, however often others are lost
CHANCE: Final = 1e-6  # of so many losses, down to which it is the task
FRUITLESS: Final = 30  # deaths before any task has ended: nothing can be done here; later three times that, in a row
MOMENT_S: Final = 1e-6
WAIT_S: Final = 0.25


class CarrierError(SensorError):
    """Whoever does tasks does no more of them; the text says why."""


class Carrier(Protocol):
    """Whoever does tasks, on this machine or on others."""

    @property
    def free(self) -> int:
        """How many tasks it takes now."""

    def submit(self, number: int, task: Task) -> str:
        """Have a task done; where: tasks at the same place are lost together."""

    def news(self, within_s: float) -> list[News]:
        """What has happened since the last call; waits for something for so long. Raises CarrierError."""

    def remarks(self) -> list[str]:
        """What is to be said of whoever does them, since the last call."""

    def rates(self) -> tuple[WorkerRate, ...]:
        """How much each of them has read by now."""

    def account(self) -> list[str]:
        """What is to be said of them at the end."""


@dataclass(slots=True)
class State:
    """A task's way to its end."""

    task: Task
    done: int = 0  # how far it is, or was at its end
    result: dict[str, Any] | None = None
    failures: list[str] = field(default_factory=list)  # why attempts failed by themselves
    losses: list[str] = field(default_factory=list)  # why attempts were lost with what ran them
    given_up: bool = False  # as it was lost too often
    began_s: float = 0.0  # its last attempt
    spent_s: float = 0.0  # that all attempts took

    @property
    def over(self) -> bool:
        """Whether it has a result, or none will come."""
        return self.result is not None or len(self.failures) >= ATTEMPTS or self.given_up

    def hear(self, news: News) -> None:
        """Take in what became of it."""
        self.done = self.done if news.failure else news.done
        self.result = news.result
        if news.failure:
            (self.losses if news.lost else self.failures).append(news.failure)


class Schedule:
    """Tasks by their numbers, 0, 1, …, and how far each is."""

    def __init__(self, tasks: Iterable[Task], carrier: Carrier, clock: Callable[[], float] = time.monotonic) -> None:
        self.states = [State(task) for task in tasks]
        self.stopping = False
        self.done = 0  # how far all are together
        self._carrier = carrier
        self._clock = clock
        self._looked_s = clock()
        self._busy_s = 0.0  # of all places together, that something was done there
        self._died_s: dict[str, float] = {}  # when each place did last
        self._deaths = self._in_a_row = 0  # of places; since a task has ended
        self._any_ended = False

    def know(self, number: int, result: dict[str, Any], done: int) -> None:
        """Take a result over from an earlier run, before this one begins."""
        self.states[number].result, self.states[number].done = result, done
        self._any_ended = True
        self.done += done

    def stop(self) -> None:
        """Begin nothing more, and wait for nothing that runs. May be called by a signal handler."""
        self.stopping = True

    def run(self, ended: Callable[[int, State], None], looked: Callable[[], None] = lambda: None) -> None:
        """Carry all to their ends, or until stopped.

        ended: called for each that is over, as it ends. looked: called several times a second. Raises CarrierError.
        """
        waiting = deque(number for number, state in enumerate(self.states) if not state.over)
        running: dict[int, str] = {}  # where each is
        while (waiting or running) and not self.stopping:
            self._submit(waiting, running)
            heard = self._carrier.news(WAIT_S)
            for news in heard:
                state = self.states[news.number]
                self.done -= state.done
                state.hear(news)
                self.done += state.done
            over = [news for news in heard if news.over and news.number in running]
            self._count(over, running)
            for news in over:
                del running[news.number]
                if (state := self.states[news.number]).over:
                    ended(news.number, state)
                else:
                    waiting.append(news.number)  # after the others: what failed it may have passed by then
            self._end_fruitless(over)
            looked()

    def _submit(self, waiting: deque[int], running: dict[int, str]) -> None:
        """Begin what waits, in its order, but one at a time of those that are suspected: the others are shown good."""
        suspected = any(self._suspects(self.states[number]) for number in running)
        passed: list[int] = []
        while waiting and self._carrier.free > 0:
            number = waiting.popleft()
            if self._suspects(state := self.states[number]):
                if suspected:
                    passed.append(number)
                    continue
                suspected = True
            state.began_s = self._clock()
            running[number] = self._carrier.submit(number, state.task)
        waiting.extendleft(reversed(passed))

    def _count(self, over: list[News], running: dict[int, str]) -> None:
        """Count the time, and attempts that are over; give those up that were lost too often."""
        now_s = self._clock()
        self._busy_s += (now_s - self._looked_s) * len(set(running.values()))
        self._looked_s = now_s
        for news in over:
            state = self.states[news.number]
            state.spent_s += now_s - state.began_s
            if not news.lost:
                self._any_ended, self._in_a_row = True, 0
            elif state.began_s >= self._died_s.get(place := running[news.number], -math.inf):
                self._died_s[place] = now_s
                self._deaths += 1
                self._in_a_row += 1
        for state in (self.states[news.number] for news in over if news.lost):
            state.given_up = self._blames(state)
            self._in_a_row = 0 if state.given_up else self._in_a_row

    def _end_fruitless(self, over: list[News]) -> None:
        """Raise CarrierError where one death comes after the other, and nothing between them."""
        if self._in_a_row >= FRUITLESS * (3 if self._any_ended else 1):
            raise CarrierError(f"tasks were lost {self._in_a_row} times in a row, the last time so: {over[-1].failure}")

    def _suspects(self, state: State) -> bool:
        return len(state.losses) >= SUSPICIOUS and self._chance(state) <= SUSPICION

    def _blames(self, state: State) -> bool:
        losses = len(state.losses)
        return losses >= MOST_LOSSES or (losses >= LEAST_LOSSES and self._chance(state) <= CHANCE)

    def _chance(self, state: State) -> float:
        """How likely so many losses are, or more, if it is lost as others are in the same time."""
        own = len(state.losses)
        deaths = max(self._deaths, own)
        share = state.spent_s / (state.spent_s + max(self._busy_s, state.spent_s, MOMENT_S))  # so half of it at most
        fewer = (math.comb(deaths, met) * share**met * (1 - share) ** (deaths - met) for met in range(own))
        return max(0.0, 1 - sum(fewer))
