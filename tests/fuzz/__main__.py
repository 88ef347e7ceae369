"""Fuzzing in one command: `python -m tests.fuzz --frames 10000000 --seed 1`.

First coverage-guided with interpreted kernels, then compiled with NUMBA_BOUNDSCHECK=1, beginning with what that kept;
--controls also plants defects in copies of the code and demands that each is found. Ends with 0 when nothing failed.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from sensor.process.kernel_cache import VARIABLE, use_kernel_cache

REPOSITORY = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("FLOWVIGIL_DATA", REPOSITORY.parent / "shared" / "data"))
INTERPRETED, COMPILED = {"NUMBA_DISABLE_JIT": "1"}, {"NUMBA_BOUNDSCHECK": "1"}
TARGETS = ("frames", "captures", "ring")

# What a control breaks: file, pattern, replacement, target that must find it.
DEFECTS = (
    ("flows/decode.py", r"> end\b", "> end + 2", "frames"),
    ("flows/linktypes.py", r"> end\b", "> end + 2", "frames"),
    ("flows/update.py", r"(D_BYTES\)\] \+= payload)\n", r"\1 if payload != 4 else 5\n", "frames"),
    ("flows/kdd/windows.py", r"(range\(place, registers\[U\(W_HOSTS\)\])", r"\1 + 1", "frames"),
    ("flows/kdd/counts.py", r"(if at else LAST_TO_HOST) - 1", r"\1", "frames"),
    ("flows/pcap.py", r"frame \+ captured > end", "frame + captured > end + 4", "captures"),
    ("flows/pcapng.py", r"captured > length - 32", "captured > length", "captures"),
    ("sensor/sources/live/tpacket.py", r"or frame \+ captured > len\(block\)", "", "ring"),
)


def main() -> int:
    """Run what the options ask for; the exit code."""
    parser = argparse.ArgumentParser(description="Fuzz decoding, capture readers and the ring walker.")
    parser.add_argument("--frames", type=int, default=10_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--targets", nargs="+", choices=TARGETS, default=TARGETS)
    parser.add_argument("--controls", action="store_true", help="plant defects and demand that they are found")
    parser.add_argument(
        "--inside", type=Path, help=argparse.SUPPRESS
    )  # this process is one step: where inputs are kept
    options = parser.parse_args()
    if options.inside:
        return step(options)
    with tempfile.TemporaryDirectory() as scratch:
        failed = fuzz(options, Path(scratch))
        if options.controls:
            failed |= run_controls(options.seed, Path(scratch))
    return failed


def fuzz(options: argparse.Namespace, scratch: Path) -> int:
    """Both steps, each in a process of its own: how kernels run is settled when numba is imported."""
    arguments = ["--frames", str(options.frames), "--seed", str(options.seed), "--inside", str(scratch)]
    arguments += ["--targets", *options.targets]
    for surroundings in (INTERPRETED, COMPILED):
        if code := start(arguments, surroundings).wait():
            print(f"FAILED in the step with {surroundings}")
            return code
    print("no failure")
    return 0


def start(
    arguments: list[str], surroundings: dict[str, str], code: Path = REPOSITORY, **streams: int
) -> "subprocess.Popen[str]":
    """A process of this command over the code in a directory."""
    use_kernel_cache()
    # numba does not put bounds checks into the key of its cache
    cache = Path(os.environ[VARIABLE]) / "bounds" if code == REPOSITORY else code / "cache"
    environment = {**os.environ, **surroundings, VARIABLE: str(cache), "PYTHONPATH": f"{code}:{REPOSITORY}"}
    command = [sys.executable, "-m", "tests.fuzz", *arguments]
    return subprocess.Popen(command, env=environment, cwd=code, text=True, **streams)  # type: ignore[call-overload,no-any-return]


def step(options: argparse.Namespace) -> int:
    """One step inside its process."""
    interpreted = "NUMBA_DISABLE_JIT" in os.environ
    for name in options.targets:
        began = time.process_time()
        run: Callable[[argparse.Namespace, str], Iterator[str]] = run_interpreted if interpreted else run_compiled
        for line in run(options, name):
            print(f"{'guided' if interpreted else 'checked':<8} {name:<9} {line}", flush=True)
        print(f"{'':<19}{time.process_time() - began:.1f} s of CPU", flush=True)
    return 0


def inputs_of(name: str, frames: int) -> tuple[int, int]:
    """How many inputs a target gets for that many frames: interpreted, compiled."""
    share = {"frames": (200, 1), "captures": (400, 20), "ring": (200, 10)}[name]
    return frames // share[0], frames // share[1]


def run_interpreted(options: argparse.Namespace, name: str) -> Iterator[str]:
    import numpy as np

    from tests.fuzz import guided

    variety = DATA / "pcaps" / "variety.tar.xz"
    target = {
        "frames": lambda: guided.frame_target(options.seed, variety if variety.exists() else None),
        "captures": guided.capture_target,
        "ring": guided.ring_target,
    }[name]()
    seeds = target.corpus.count
    inputs, _ = inputs_of(name, options.frames)
    tracer = guided.fuzz_guided(np.random.default_rng(options.seed), target, inputs)
    corpus = target.corpus
    kept = slice(corpus.count)
    np.savez(
        options.inside / f"{name}.npz", rows=corpus.rows[kept], lengths=corpus.lengths[kept], kinds=corpus.kinds[kept]
    )  # fmt: skip
    yield f"{seeds:,} seeds, {inputs:,} changed inputs, {corpus.count - seeds:,} took a new step and were kept"
    for file, (ran, lines) in sorted(tracer.share().items()):
        yield f"{Path(file).name}: {ran} of {lines} lines of functions ran"


def run_compiled(options: argparse.Namespace, name: str) -> Iterator[str]:
    import numpy as np

    from tests.fuzz import decoding, readers, ring
    from tests.fuzz.mutation import Corpus
    from tests.fuzz.overrun import check_that_bounds_are_checked

    check_that_bounds_are_checked()
    room = {"frames": decoding, "captures": readers, "ring": ring}[name]
    corpus = Corpus(room.WIDTH, room.ROOM)
    with np.load(options.inside / f"{name}.npz") as kept:
        rows = zip(kept["kinds"].tolist(), kept["rows"], kept["lengths"].tolist(), strict=True)
        corpus.seed((kind, row[:length].tobytes()) for kind, row, length in rows)
    rng = np.random.default_rng(options.seed)
    _, inputs = inputs_of(name, options.frames)
    if name == "frames":
        tally = decoding.fuzz_frames(rng, corpus, inputs)
        yield f"{tally.frames:,} frames, {tally.decoded:,} decoded, {tally.records:,} records"
        yield f"{tally.evicted:,} flows evicted, {tally.clock_jumps:,} clock jumps"
        yield f"{tally.connections:,} connections, {tally.forgotten_hosts:,} of their hosts forgotten"
    elif name == "captures":
        yield f"{inputs:,} captures, {readers.fuzz_captures(rng, corpus, inputs):,} packets"
    else:
        yield f"{inputs:,} blocks, {ring.fuzz_ring(rng, corpus, inputs):,} packets"
    yield f"{corpus.outcomes:,} different outcomes"


def run_controls(seed: int, scratch: Path) -> int:
    """Whether the fuzzer misses a defect that was planted in a copy of the code: 0 or 1."""
    missed = 0
    for number, (file, pattern, replacement, target) in enumerate(DEFECTS):
        copy = scratch / f"control-{number}"
        for room in ("flows", "sensor"):
            shutil.copytree(REPOSITORY / room, copy / room, ignore=shutil.ignore_patterns("__pycache__"))
        changed, places = re.subn(pattern, replacement, (copy / file).read_text())
        (copy / file).write_text(changed)
        failure = failure_over(copy, target, seed) if places else "the pattern is not there"
        found = re.search("IndexError|ValueError|BrokenPromiseError", failure) is not None
        missed |= not found
        print(f"control  {file}: {places} places changed, {'found' if found else 'MISSED'}: {failure}", flush=True)
        shutil.rmtree(copy)
    return missed


def failure_over(copy: Path, target: str, seed: int) -> str:
    """How the first step that fails over changed code ends: last line of its traceback, empty when none fails."""
    arguments = ["--frames", "400000", "--seed", str(seed), "--inside", str(copy), "--targets", target]
    for surroundings in (INTERPRETED, COMPILED):
        process = start(arguments, surroundings, copy, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
        _, errors = process.communicate()
        if process.returncode:
            return errors.strip().splitlines()[-1]
    return ""


if __name__ == "__main__":
    sys.exit(main())
