"""All tasks of a run carried to their ends, by whatever carries them; one that fails twice is set aside.

A task that is lost with what ran it, such as a worker that is killed, is not to blame as long as others are lost as
often. It is set aside only once it was lost so often that chance alone would not have done it: with a share of lost
attempts among the others' of r, k losses have a probability of r^k.
"""

import math
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from sensor.errors import SensorError
from sensor.jobs.pool import News, Task
from sensor.progress.progress import WorkerRate

ATTEMPTS: Final = 2  # that fail by themselves
LEAST_LOSSES: Final = 5  # before one is set aside, however seldom others are lost
CHANCE: Final = 1e-6  # of so many losses, below which it is the task
SUSPICION: Final = 1e-3  # below which it is not done beside another one that is suspected
MOST_LOST: Final = 0.9  # share of the others' attempts, so that every run ends
FRUITLESS: Final = 150  # attempts lost without one that ended between: nothing can be done here
WAIT_S: Final = 0.25


class CarrierError(SensorError):
    """Whoever does tasks does no more of them; the text says why."""


class Carrier(Protocol):
    """Whoever does tasks, on this machine or on others."""

    @property
    def free(self) -> int:
        """How many tasks it takes now."""

    def submit(self, number: int, task: Task) -> None:
        """Have a task done."""

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

    def __init__(self, tasks: Iterable[Task], carrier: Carrier) -> None:
        self.states = [State(task) for task in tasks]
        self.stopping = False
        self.done = 0  # how far all are together
        self._carrier = carrier
        self._ended = self._lost = 0  # attempts of all
        self._lost_in_a_row = self._most_at_once = 0

    def know(self, number: int, result: dict[str, Any], done: int) -> None:
        """Take a result over from an earlier run, before this one begins."""
        self.states[number].result, self.states[number].done = result, done
        self.done += done

    def stop(self) -> None:
        """Begin nothing more, and wait for nothing that runs. May be called by a signal handler."""
        self.stopping = True

    def run(self, ended: Callable[[int, State], None], looked: Callable[[], None] = lambda: None) -> None:
        """Carry all to their ends, or until stopped.

        ended: called for each that is over, as it ends. looked: called several times a second. Raises CarrierError.
        """
        waiting = deque(number for number, state in enumerate(self.states) if not state.over)
        running: set[int] = set()
        while (waiting or running) and not self.stopping:
            self._submit(waiting, running)
            for news in self._carrier.news(WAIT_S):
                state = self.states[news.number]
                self.done -= state.done
                state.hear(news)
                self.done += state.done
                if not news.over:
                    continue
                running.discard(news.number)
                self._count(state, news)
                if state.over:
                    ended(news.number, state)
                else:
                    waiting.append(news.number)  # after the others: what failed it may have passed by then
            looked()

    def _submit(self, waiting: deque[int], running: set[int]) -> None:
        """Begin what waits, in its order, but one at a time of those that are suspected: the others are shown good."""
        suspected = any(self._chance(self.states[number]) < SUSPICION for number in running)
        passed: list[int] = []
        while waiting and self._carrier.free > 0:
            number = waiting.popleft()
            if self._chance(state := self.states[number]) < SUSPICION:
                if suspected:
                    passed.append(number)
                    continue
                suspected = True
            running.add(number)
            self._carrier.submit(number, state.task)
        waiting.extendleft(reversed(passed))
        self._most_at_once = max(self._most_at_once, len(running))

    def _count(self, state: State, news: News) -> None:
        """Count an attempt that is over. Raises CarrierError where all are lost."""
        if not news.lost:
            self._ended += 1
            self._lost_in_a_row = 0
            return
        self._lost += 1
        self._lost_in_a_row += 1
        state.given_up = len(state.losses) >= LEAST_LOSSES and self._chance(state) < CHANCE
        if state.given_up:
            self._lost_in_a_row = 0
        elif self._lost_in_a_row >= FRUITLESS * self._most_at_once:
            raise CarrierError(f"{self._lost_in_a_row} attempts in a row were lost, the last one so: {news.failure}")

    def _chance(self, state: State) -> float:
        """How likely its losses are if it is lost as the others are."""
        own = len(state.losses)
        others = self._lost - own
        lost = min(MOST_LOST, (others + 1) / (others + self._ended + 2))
        return math.pow(lost, own)
