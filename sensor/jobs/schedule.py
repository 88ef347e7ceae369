"""All tasks of a run carried to their ends, by whatever carries them; one that fails twice is set aside."""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from sensor.errors import SensorError
from sensor.jobs.pool import News, Task

ATTEMPTS: Final = 2  # that fail by themselves
LOSSES: Final = 20  # with the process above, whatever ends that
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

    @property
    def over(self) -> bool:
        """Whether it has a result, or none will come."""
        return self.result is not None or len(self.failures) >= ATTEMPTS or len(self.losses) >= LOSSES

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
        running = 0
        while (waiting or running) and not self.stopping:
            while waiting and self._carrier.free > 0:
                number = waiting.popleft()
                running += 1
                self._carrier.submit(number, self.states[number].task)
            for news in self._carrier.news(WAIT_S):
                state = self.states[news.number]
                self.done -= state.done
                state.hear(news)
                self.done += state.done
                running -= news.over
                if state.over:
                    ended(news.number, state)
                elif news.over:
                    waiting.append(news.number)  # after the others: what failed it may have passed by then
            looked()
