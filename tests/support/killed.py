"""Processes made by fork that do something again and again until they are killed."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random


def on_and_on(act: Callable[[int], object]) -> int:
    """A process that calls `act` with 0, 1, 2, … until it is killed, or fails; its id."""
    process = os.fork()
    if process:
        return process
    number = 0
    try:
        while True:
            act(number)
            number += 1
    finally:
        os._exit(1)


def kill(process: int) -> None:
    """End a process on the spot; fails where it had ended by itself."""
    os.kill(process, signal.SIGKILL)
    _, status = os.waitpid(process, 0)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL, "it had failed before"


def killed_after(act: Callable[[int], object], chance: Random, longest_s: float) -> None:
    """Have a process do something for a random time."""
    process = on_and_on(act)
    time.sleep(longest_s * (0.1 + 0.9 * chance.random()))
    kill(process)


@contextmanager
def beside(act: Callable[[int], object]) -> Iterator[None]:
    """While another process does something all the time, which must not fail."""
    process = on_and_on(act)
    try:
        yield
    finally:
        kill(process)
