"""How much of decoding and of the readers hostile input runs through: `python -m tests.fuzz.coverage [--json FILE]`.

Kernels run interpreted (NUMBA_DISABLE_JIT=1), so that coverage.py sees their lines; the same seeds and
changes as in the fuzz itself, and the edges of tests.fuzz.edges.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.fuzz.processes import REPOSITORY

if TYPE_CHECKING:
    from flows.block import Bytes
    from tests.fuzz.mutation import Corpus

# What takes bytes from outside, from the packet on: modules whose lines count.
MODULES: Final = (
    "flows/decode.py", "flows/fragments.py", "flows/layers.py", "flows/linktypes.py", "flows/tunnels.py",
    "flows/wireless.py", "flows/names/dns.py", "flows/names/hello.py", "flows/names/segments.py", "flows/names/text.py",
    "flows/pcap.py", "flows/pcapng.py", "flows/byte_stream.py", "flows/compression.py", "sensor/files/magic.py",
    "sensor/sources/captures/files.py", "sensor/sources/live/tpacket.py",
)  # fmt: skip
CUTS = 12  # of each seed
FRAMES, CAPTURES, BLOCKS, NAMES, DOCUMENTS = 12_000, 4_000, 4_000, 4_000, 200


def main() -> int:
    """Measure in a process of its own, and print a line a module."""
    parser = argparse.ArgumentParser(description="Measure how much of the readers hostile input runs through.")
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--json", type=Path, help="write lines that ran and lines there are, by module")
    parser.add_argument("--missing", action="store_true", help="show the lines that did not run")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if not options.inside:
        environment = {**os.environ, "NUMBA_DISABLE_JIT": "1", "PYTHONPATH": str(REPOSITORY)}
        command = [sys.executable, "-m", "tests.fuzz.coverage", "--inside", *sys.argv[1:]]
        return subprocess.run(command, env=environment, cwd=REPOSITORY, check=False).returncode
    found = measured(options.scale)
    for name, (ran, lines, missing) in found.items():
        shown = f"  missing {', '.join(map(str, missing))}" if options.missing and missing else ""
        print(f"{name:<36} {ran:>4} of {lines:>4} lines  {ran / lines:6.1%}{shown}")
    if options.json:
        options.json.write_text(json.dumps({name: counts[:2] for name, counts in found.items()}))
    return 0


def measured(scale: float) -> dict[str, tuple[int, int, list[int]]]:
    """By module: lines that ran, lines that there are, and those that did not run."""
    import coverage

    files = [str(REPOSITORY / module) for module in MODULES]
    watched = coverage.Coverage(include=files, data_file=None, config_file=False)
    watched.exclude("@intrinsic")  # what the compiler alone runs
    watched.start()
    try:
        run_all(scale)
    finally:
        watched.stop()
    found = {}
    for module, file in zip(MODULES, files, strict=True):
        _, lines, _, missing, _ = watched.analysis2(file)
        found[module] = (len(lines) - len(missing), len(lines), missing)
    return found


def run_all(scale: float) -> None:
    """The inputs of each target, from the same generators as the fuzz's."""
    import numpy as np

    from tests.fuzz import edges, guided
    from tests.fuzz.documents import documents, fuzz_documents
    from tests.fuzz.targets import DATA

    variety = DATA / "pcaps" / "variety.tar.xz"
    frames = guided.frame_target(1, variety if variety.exists() else None)
    chance = np.random.default_rng(1)
    seeds = [(int(k), r[:n].tobytes()) for k, r, n in corpus_rows(frames.corpus)]
    for kind, content in (*edges.cut_short(chance, seeds, round(CUTS * scale)), *edges.many_fragments()):
        if content:
            frames.take(chance, np.frombuffer(bytearray(content), dtype=np.uint8), kind)
    for target, inputs in (
        (frames, FRAMES), (guided.capture_target(), CAPTURES), (guided.ring_target(), BLOCKS),
        (guided.name_target(), NAMES),
    ):  # fmt: skip
        guided.take_changed(np.random.default_rng(1), target, round(inputs * scale))
    edges.read_edge_captures()
    with tempfile.TemporaryDirectory() as scratch:
        edges.read_odd_places(Path(scratch))
    packed = [kind for kind in documents() if kind.name == "packed"]
    fuzz_documents(np.random.default_rng(1), round(DOCUMENTS * scale), packed)


def corpus_rows(corpus: "Corpus") -> Iterator[tuple[int, "Bytes", int]]:
    """Kind, row and length of each input."""
    yield from zip(
        corpus.kinds[: corpus.count].tolist(), corpus.rows, corpus.lengths[: corpus.count].tolist(), strict=False
    )


if __name__ == "__main__":
    sys.exit(main())
