"""Which lines follow which in the project's own code, while kernels run interpreted (NUMBA_DISABLE_JIT=1).

Compiled kernels report no coverage. Interpreted they are ordinary Python, so the interpreter's trace function sees
every step; what was learnt that way then runs compiled.
"""

import sys
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any

Step = tuple[CodeType, int, int, int]  # code, line before, line, how often: 1, 2, 4, ...


class Tracer:
    """Collects the steps taken inside chosen files."""

    def __init__(self, files: frozenset[str]) -> None:
        """files: names as in co_filename."""
        self._files = files
        self._counts: dict[tuple[CodeType, int, int], int] = {}
        self.steps: set[Step] = set()
        self.lines: set[tuple[str, int]] = set()

    def run(self, action: Callable[[], Any]) -> bool:
        """Call it; whether it took a step, or took one so many times, as never before."""
        self._counts = {}
        sys.settrace(self._enter)
        try:
            action()
        finally:
            sys.settrace(None)
        taken = {(*step, 1 << count.bit_length()) for step, count in self._counts.items()}
        new = taken - self.steps
        if new:
            self.steps |= new
            self.lines |= {(code.co_filename, line) for code, _, line, _ in new}
        return bool(new)

    def share(self) -> dict[str, tuple[int, int]]:
        """By file: lines inside functions that ran, and how many there are."""
        return {name: covered(name, {line for file, line in self.lines if file == name}) for name in self._files}

    def _enter(self, frame: FrameType, _event: str, _argument: object) -> Any:
        if frame.f_code.co_filename not in self._files:
            return None
        counts, code = self._counts, frame.f_code
        before = 0

        def step(frame: FrameType, event: str, _argument: object) -> Any:
            nonlocal before
            if event == "line":
                key = (code, before, frame.f_lineno)
                counts[key] = counts.get(key, 0) + 1
                before = frame.f_lineno
            return step

        return step


def covered(name: str, lines: set[int]) -> tuple[int, int]:
    """Lines of functions in a source file among `lines`, and all of them."""
    with open(name) as source:
        module = compile(source.read(), name, "exec")
    every: set[int] = set()
    waiting = [constant for constant in module.co_consts if isinstance(constant, CodeType)]
    while waiting:
        code = waiting.pop()
        every |= {line for _, _, line in code.co_lines() if line is not None and line != code.co_firstlineno}
        waiting += [constant for constant in code.co_consts if isinstance(constant, CodeType)]
    return len(lines & every), len(every)
