"""The CPU time that one request may take. It knows no request."""

import time
from collections.abc import Callable
from http import HTTPStatus

from sensor.api.problems import Problem


class TimeBudget:
    """CPU seconds of the thread that works on one request, from the moment this is made."""

    def __init__(self, limit_s: float, cpu_s: Callable[[], float] = time.thread_time) -> None:
        """cpu_s: CPU seconds that this thread has taken so far."""
        self._limit_s = limit_s
        self._cpu_s = cpu_s
        self._end_s = cpu_s() + limit_s

    def check(self) -> None:
        """Raise Problem 413 where it is used up."""
        if self._cpu_s() > self._end_s:
            raise Problem(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"this request takes more than {self._limit_s:g} s of CPU time, expected fewer rows, or no reasons",
            )
