"""Claims about hostile frames and files, and how much of the code that reads them they reach."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from tests.trust.claim import Claim, NotTriedError, Outcome

REPOSITORY: Final = Path(__file__).resolve().parents[2]
SEED: Final = 18
FRAMES, FILES = 1_000_000, 2_000  # at scale 1; the long claim tries a hundred times as many frames, fifty as many files
LEAST_SHARE: Final = 0.95  # of the lines of each module, which hostile input must have run through


def try_hostile_input(scale: float) -> Outcome:
    """Frames, blocks of a ring and files of every reader, with bounds checked."""
    with tempfile.TemporaryDirectory(prefix="flowvigil-fuzz-") as state:
        return fuzzed(Path(state), round(FRAMES * scale), round(FILES * scale))


def try_much_hostile_input(scale: float) -> Outcome:
    """The same at length; the directory that FLOWVIGIL_FUZZ_STATE names lets a stopped run go on."""
    frames, files = round(100 * FRAMES * scale), round(50 * FILES * scale)
    if kept := os.environ.get("FLOWVIGIL_FUZZ_STATE"):
        return fuzzed(Path(kept), frames, files)
    with tempfile.TemporaryDirectory(prefix="flowvigil-fuzz-") as state:
        return fuzzed(Path(state), frames, files)


def fuzzed(state: Path, frames: int, files: int) -> Outcome:
    """What the command says of so many."""
    command = [sys.executable, "-m", "tests.fuzz", "--frames", str(frames), "--files", str(files)]
    command += ["--seed", str(SEED), "--jobs", str(os.cpu_count() or 1), "--state", str(state)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines()
    failures = [line for line in lines if line.startswith("FAILED")]
    if done.returncode and not failures:
        failures = [f"exit code {done.returncode}: {done.stderr[-300:]}"]
    tried = [line.removeprefix("checked").split(":")[0].strip() for line in lines if line.startswith("checked")]
    numbers = {words.split()[0]: int(words.split()[1].replace(",", "")) for words in tried}
    figure = ", ".join(f"{count:,} {name}" for name, count in numbers.items())
    return Outcome(sum(numbers.values()), failures, f"{figure}, seed {SEED}")


def try_coverage(scale: float) -> Outcome:
    """Lines of decoding and of the readers that hostile input runs through, with kernels interpreted."""
    try:
        import coverage  # noqa: F401
    except ImportError:
        raise NotTriedError("coverage is not installed: pip install -e '.[test]'") from None
    with tempfile.TemporaryDirectory(prefix="flowvigil-coverage-") as scratch:
        report = Path(scratch) / "coverage.json"
        command = [sys.executable, "-m", "tests.fuzz.coverage", "--scale", str(scale), "--json", str(report)]
        done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
        if done.returncode:
            return Outcome(0, [done.stderr[-300:]])
        modules: dict[str, list[int]] = json.loads(report.read_text())
    low = [
        f"{name}: {ran} of {lines} lines ({ran / lines:.1%})"
        for name, (ran, lines) in modules.items()
        if ran < LEAST_SHARE * lines
    ]
    ran, lines = (sum(counts) for counts in zip(*modules.values(), strict=True))
    return Outcome(len(modules), low, f"{ran:,} of {lines:,} lines ran ({ran / lines:.1%})")


CLAIMS: Final = (
    Claim(
        "hostile-input",
        "No frame, block of a capture ring or file of any reader makes a kernel reach outside its arrays, costs "
        "minutes or ends in anything but records or one line of refusal.",
        "frames and files",
        try_hostile_input,
        alone=True,
        minutes=1.0,
    ),
    Claim(
        "hostile-input-long",
        "The same for a hundred million frames and a hundred thousand files.",
        "frames and files",
        try_much_hostile_input,
        alone=True,
        minutes=45.0,
        long=True,
    ),
    Claim(
        "fuzz-coverage",
        "Hostile input runs through at least 95 % of the lines of each module that decodes packets or reads captures.",
        "modules",
        try_coverage,
        minutes=1.0,
    ),
)
