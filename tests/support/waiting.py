"""Waiting for what comes about in another process or thread: asked again until it is so, with a deadline."""

import time
from collections.abc import Callable

LONG_S = 20.0  # for what takes a moment, on a slow and busy machine


def wait_until(true: Callable[[], object], within_s: float = LONG_S) -> None:
    """Return once it is true. AssertionError after within_s."""
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline, f"not within {within_s:g} s"
        time.sleep(0.01)
