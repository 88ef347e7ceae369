"""Processes made by fork that do something again and again until they are killed."""

import os
import select
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random


def on_and_on(act: Callable[[int], object], *, report: bool = True) -> tuple[int, int]:
    """A process that calls `act` with 0, 1, 2, … until it is killed, or fails.

    Its id, and a pipe in which a byte stands for each call that is done. report: whether it writes them.
    """
    done, told = os.pipe()
    process = os.fork()
    if process:
        os.close(told)
        return process, done
    number = 0
    try:
        while True:
            act(number)
            if report:
                os.write(told, b".")
            number += 1
    finally:
        os._exit(1)


def kill(process: int, done: int) -> None:
    """End a process on the spot; fails where it had ended by itself."""
    os.kill(process, signal.SIGKILL)
    _, status = os.waitpid(process, 0)
    os.close(done)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL, "it had failed before"


def killed_after(act: Callable[[int], object], chance: Random, call_s: float) -> None:
    """Have a process do something up to twice, and kill it at a random moment of the next. call_s: what one takes."""
    process, done = on_and_on(act)
    for _ in range(chance.randrange(3)):
        assert select.select([done], [], [], 60)[0]
        assert os.read(done, 1), "it has failed"
    time.sleep(call_s * chance.random())
    kill(process, done)


@contextmanager
def beside(act: Callable[[int], object]) -> Iterator[None]:
    """While another process does something all the time, which must not fail."""

    def act_quietly(number: int) -> None:
        act(number)
        time.sleep(0.002)

    process, done = on_and_on(act_quietly, report=False)
    try:
        yield
    finally:
        kill(process, done)
