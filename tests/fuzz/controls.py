"""Defects planted in copies of the code, each of which must be found: a fuzzer that finds nothing may be blind."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from tests.fuzz.processes import COMPILED, INTERPRETED, REPOSITORY, last_line_of_failure

# What a control breaks: file, pattern, replacement, target that must find it.
DEFECTS = (
    ("flows/decode.py", r"> end\b", "> end + 2", "frames"),
    ("flows/linktypes.py", r"> end\b", "> end + 2", "frames"),
    ("flows/layers.py", r"> end\b", "> end + 2", "frames"),
    ("flows/update.py", r"(D_BYTES\)\] \+= payload)\n", r"\1 if payload != 4 else 5\n", "frames"),
    ("flows/kdd/windows.py", r"(range\(place, registers\[U\(W_HOSTS\)\])", r"\1 + 1", "frames"),
    ("flows/kdd/counts.py", r"(if at else LAST_TO_HOST) - 1", r"\1", "frames"),
    ("flows/pcap.py", r"frame \+ captured > end", "frame + captured > end + 4", "captures"),
    ("flows/pcapng.py", r"captured > length - 32", "captured > length", "captures"),
    ("flows/names/dns.py", r"> end\b", "> end + 2", "names"),
    ("flows/names/hello.py", r"> end\b", "> end + 2", "names"),
    ("sensor/sources/live/tpacket.py", r"or frame \+ captured > len\(block\)", "", "ring"),
)


def run_controls(seed: int, scratch: Path) -> Iterator[tuple[str, bool]]:
    """Plant each defect: what was changed and how the fuzzer ended, and whether it was found."""
    for number, (file, pattern, replacement, target) in enumerate(DEFECTS):
        copy = scratch / f"control-{number}"
        for room in ("flows", "sensor"):
            shutil.copytree(REPOSITORY / room, copy / room, ignore=shutil.ignore_patterns("__pycache__"))
        changed, places = re.subn(pattern, replacement, (copy / file).read_text())
        (copy / file).write_text(changed)
        failure = failure_over(copy, target, seed) if places else "the pattern is not there"
        found = re.search("IndexError|ValueError|BrokenPromiseError", failure) is not None
        yield f"{file}: {places} places changed, {'found' if found else 'MISSED'}: {failure}", found
        shutil.rmtree(copy)


def failure_over(copy: Path, target: str, seed: int) -> str:
    """How the first step that fails over changed code ends: last line of its traceback, empty when none fails."""
    for surroundings in (INTERPRETED, COMPILED):
        if failure := last_line_of_failure(target, seed, copy, surroundings):
            return failure
    return ""
