"""A fuzz run in parts: dealt out to processes, each finished part noted on disk, so that a stopped run goes on.

A process that ends without an answer, by a crash or a signal, fails its part; another takes its place.
"""

import json
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TextIO

from tests.fuzz.processes import COMPILED, start

# Inputs of a part: about ten seconds' work.
SIZES: Final = {"frames": 1_000_000, "captures": 10_000, "ring": 200_000, "names": 100_000, "documents": 2_000}
DONE: Final = "done.jsonl"
TELL_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Part:
    """Inputs of one target that are tried together."""

    target: str
    number: int
    inputs: int

    @property
    def key(self) -> tuple[str, int, int]:
        """What it is known by on disk."""
        return self.target, self.number, self.inputs


def parts_of(wanted: dict[str, int]) -> list[Part]:
    """Parts of that many inputs by target, in such an order that every target gets on evenly."""
    placed: list[tuple[float, Part]] = []
    for target, inputs in wanted.items():
        size = SIZES.get(target, 1000)
        count = -(-inputs // size)
        for number in range(count):
            placed.append((number / count, Part(target, number, min(size, inputs - number * size))))
    return [part for _, part in sorted(placed, key=lambda each: each[0])]


@dataclass
class Run:
    """What is still to be tried, and what came of the rest."""

    inside: Path
    seed: int
    waiting: deque[Part]
    done: Counter[str] = field(default_factory=Counter)  # inputs by target, also of the runs before
    counts: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    failures: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _spent_s: Counter[str] = field(default_factory=Counter)
    _tried: Counter[str] = field(default_factory=Counter)  # in this run

    @classmethod
    def begin(cls, inside: Path, seed: int, parts: Iterable[Part]) -> "Run":
        """With what an earlier run of the same seed has noted there."""
        run = cls(inside, seed, deque())
        noted = {}
        if (inside / DONE).exists():
            for line in (inside / DONE).read_text().splitlines():
                answer = json.loads(line)
                if answer["seed"] == seed:
                    noted[answer["target"], answer["part"], answer["inputs"]] = answer
        for part in parts:
            if part.key in noted:
                run._count(part, noted[part.key]["counts"])
            else:
                run.waiting.append(part)
        return run

    def _count(self, part: Part, counts: dict[str, int]) -> None:
        self.done[part.target] += part.inputs
        self.counts[part.target].update(counts)

    def take(self) -> Part | None:
        """The next part, None when there is none."""
        with self._lock:
            return self.waiting.popleft() if self.waiting else None

    def finish(self, part: Part, counts: dict[str, int], seconds: float) -> None:
        """Note a part that was tried without failure."""
        line = {"seed": self.seed, "target": part.target, "part": part.number, "inputs": part.inputs}
        with self._lock:
            self._count(part, counts)
            self._spent_s[part.target] += seconds
            self._tried[part.target] += part.inputs
            with (self.inside / DONE).open("a") as file:
                file.write(json.dumps({**line, "counts": counts}) + "\n")

    def fail(self, part: Part, words: str) -> None:
        """Note a part that failed; it is tried again by the next run."""
        with self._lock:
            self.failures.append(f"{part.target}, part {part.number} of {part.inputs:,} inputs: {words}")

    def progress(self, jobs: int) -> str:
        """How far it has come, and how long it may take still."""
        with self._lock:
            left_s = 0.0
            known = all(self._tried[part.target] for part in self.waiting)
            for part in self.waiting if known else ():
                left_s += part.inputs * self._spent_s[part.target] / self._tried[part.target]
            done = ", ".join(f"{self.done[name]:,} {name}" for name in self.done)
            left = "" if not known else f"; about {left_s / jobs / 60:.0f} min left"
            return f"{done}{left}; {len(self.failures)} failures"


def work_off(run: Run, jobs: int, told: TextIO) -> None:
    """Try all parts that wait, in so many processes."""
    threads = [threading.Thread(target=_serve, args=(run, number)) for number in range(jobs)]
    for thread in threads:
        thread.start()
    next_s = time.monotonic() + TELL_S
    while any(thread.is_alive() for thread in threads):
        for thread in threads:
            thread.join(timeout=0.2)
        if time.monotonic() >= next_s:
            next_s += TELL_S
            print(run.progress(jobs), file=told, flush=True)


def _serve(run: Run, number: int) -> None:
    """Give one process part after part, another when it has ended."""
    arguments = ["--work", "--seed", str(run.seed), "--inside", str(run.inside)]
    process: subprocess.Popen[str] | None = None
    complaints = run.inside / f"process-{number}.err"
    while (part := run.take()) is not None:
        if process is None:
            with complaints.open("w") as errors:
                streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": errors.fileno()}
                process = start(arguments, COMPILED, **streams)
        assert process.stdin
        assert process.stdout
        began = time.monotonic()
        try:
            process.stdin.write(f"{part.target} {part.number} {part.inputs}\n")
            process.stdin.flush()
            answer = process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if answer:
            run.finish(part, json.loads(answer), time.monotonic() - began)
            continue
        code = process.wait()
        said = complaints.read_text().strip()
        run.fail(part, f"exit code {code}: {said.splitlines()[-1] if said else 'nothing said'}")
        kept = run.inside / f"failure-{part.target}-{part.number}.txt"
        kept.write_text(said)
        print(f"FAILED: {run.failures[-1]}", file=sys.stderr, flush=True)
        process = None
    if process is not None:
        process.communicate()
