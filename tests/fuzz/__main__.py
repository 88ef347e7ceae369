"""Fuzzing in one command: `python -m tests.fuzz --frames 10000000 --files 10000 --seed 1`.

First coverage-guided with interpreted kernels, then compiled with NUMBA_BOUNDSCHECK=1, beginning with what that kept;
--controls also plants defects in copies of the code and demands that each is found. Ends with 0 when nothing failed.
With --state a run that was stopped goes on where it was.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.fuzz.controls import run_controls
from tests.fuzz.parts import Run, parts_of, work_off
from tests.fuzz.processes import INTERPRETED, start

GUIDED: Final = {
    "frames": 200,
    "captures": 20,
    "ring": 200,
    "names": 200,
}  # one interpreted input for so many of what is asked for
MOST_GUIDED: Final = 50_000  # inputs: by then hardly one takes a new step
NAMES: Final = ("frames", "captures", "ring", "names", "documents")


def main() -> int:
    """Run what the options ask for; the exit code."""
    parser = argparse.ArgumentParser(description="Fuzz decoding, the readers of files and the ring walker.")
    parser.add_argument("--frames", type=int, default=10_000_000)
    parser.add_argument("--files", type=int, default=10_000, help="of all readers together")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1, help="processes side by side")
    parser.add_argument("--state", type=Path, help="directory of a run that may be stopped and go on")
    parser.add_argument("--targets", nargs="+", choices=NAMES, default=NAMES)
    parser.add_argument("--controls", action="store_true", help="plant defects and demand that they are found")
    # this process is one step, and this is where inputs are kept
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--guide", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.guide:
        return guide(options)
    if options.work:
        return work(options)
    with tempfile.TemporaryDirectory() as scratch:
        failed = fuzz(options, Path(scratch) if options.state is None else options.state)
        if options.controls:
            for line, found in run_controls(options.seed, Path(scratch)):
                print(f"control  {line}", flush=True)
                failed |= not found
    return int(failed)


def inputs_of(options: argparse.Namespace) -> dict[str, int]:
    """How many inputs each target gets."""
    every = {
        "frames": options.frames,
        "ring": options.frames // 10,
        "names": options.frames // 20,
        "captures": options.files // 2,
        "documents": options.files - options.files // 2,
    }
    return {name: every[name] for name in options.targets if every[name]}


def fuzz(options: argparse.Namespace, inside: Path) -> bool:
    """Both steps; whether anything failed."""
    inside.mkdir(parents=True, exist_ok=True)
    wanted = inputs_of(options)
    arguments = ["--frames", str(options.frames), "--files", str(options.files), "--seed", str(options.seed)]
    arguments += ["--inside", str(inside), "--targets", *options.targets]
    if start(["--guide", *arguments], INTERPRETED).wait():
        print("FAILED in the interpreted step")
        return True
    run = Run.begin(inside, options.seed, parts_of(wanted))
    work_off(run, options.jobs, sys.stdout)
    for name in wanted:
        counts = ", ".join(f"{count:,} {what}" for what, count in run.counts[name].items() if what != "outcomes")
        print(f"checked  {name:<9} {run.done[name]:,} of {wanted[name]:,}: {counts}")
    for failure in run.failures:
        print(f"FAILED   {failure}")
    print("no failure" if not run.failures else f"{len(run.failures)} failures: python -m tests.fuzz … says them again")
    return bool(run.failures)


def guide(options: argparse.Namespace) -> int:
    """The interpreted step inside its process."""
    for name in (name for name in options.targets if name in GUIDED):
        began = time.process_time()
        for line in run_guided(options, name):
            print(f"guided   {name:<9} {line}", flush=True)
        print(f"{'':<19}{time.process_time() - began:.1f} s of CPU", flush=True)
    return 0


def run_guided(options: argparse.Namespace, name: str) -> Iterator[str]:
    import numpy as np

    from tests.fuzz import guided
    from tests.fuzz.targets import DATA, kept_file

    if kept_file(options.inside, name).exists():
        yield "as an earlier run left it"
        return
    variety = DATA / "pcaps" / "variety.tar.xz"
    target = {
        "frames": lambda: guided.frame_target(options.seed, variety if variety.exists() else None),
        "captures": guided.capture_target,
        "ring": guided.ring_target,
        "names": guided.name_target,
    }[name]()
    seeds = target.corpus.count
    inputs = {"captures": options.files // 2}.get(name, options.frames) // GUIDED[name]
    inputs = min(inputs, MOST_GUIDED)
    tracer = guided.fuzz_guided(np.random.default_rng(options.seed), target, inputs)
    corpus = target.corpus
    kept = slice(corpus.count)
    np.savez(
        kept_file(options.inside, name),
        rows=corpus.rows[kept], lengths=corpus.lengths[kept], kinds=corpus.kinds[kept],
    )  # fmt: skip
    yield f"{seeds:,} seeds, {inputs:,} changed inputs, {corpus.count - seeds:,} took a new step and were kept"
    for file, (ran, lines) in sorted(tracer.share().items()):
        yield f"{Path(file).name}: {ran} of {lines} lines of functions ran"


def work(options: argparse.Namespace) -> int:
    """Parts, as they are named on the standard input, each answered by a line of JSON."""
    from tests.fuzz.overrun import check_that_bounds_are_checked
    from tests.fuzz.targets import run_part

    check_that_bounds_are_checked()
    for line in sys.stdin:
        target, number, inputs = line.split()
        counts = run_part(options.inside, target, int(number), int(inputs), options.seed)
        print(json.dumps(counts), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
