"""What is fuzzed: each target by name, with its share of the frames or files asked for, and how one part of it runs.

A part is determined by the seed, the target and its number alone, so that parts may run in any order, on any core, and
a run that was stopped goes on where it was.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from tests.fuzz import decoding, documents, names, readers, ring
from tests.fuzz.mutation import Corpus
from tests.fuzz.processes import REPOSITORY

DATA: Final = Path(os.environ.get("FLOWVIGIL_DATA", REPOSITORY.parent / "shared" / "data"))

Counts = dict[str, int]


@dataclass(frozen=True, slots=True)
class Target:
    """One thing to fuzz."""

    run: Callable[[np.random.Generator, Corpus, int], Counts]  # raises BrokenPromiseError, or what the code raises
    room: Any = None  # module with WIDTH, ROOM; None where no inputs are sought with interpreted kernels


def run_frames(rng: np.random.Generator, corpus: Corpus, inputs: int) -> Counts:
    tally = decoding.fuzz_frames(rng, corpus, inputs)
    return {
        "decoded": tally.decoded, "records": tally.records, "evicted": tally.evicted,
        "clock jumps": tally.clock_jumps, "connections": tally.connections, "forgotten hosts": tally.forgotten_hosts,
        "outcomes": corpus.outcomes,
    }  # fmt: skip


def run_captures(rng: np.random.Generator, corpus: Corpus, inputs: int) -> Counts:
    return {"packets": readers.fuzz_captures(rng, corpus, inputs), "outcomes": corpus.outcomes}


def run_ring(rng: np.random.Generator, corpus: Corpus, inputs: int) -> Counts:
    return {"packets": ring.fuzz_ring(rng, corpus, inputs), "outcomes": corpus.outcomes}


def run_names(rng: np.random.Generator, corpus: Corpus, inputs: int) -> Counts:
    return {"sayings": names.fuzz_names(rng, corpus, inputs), "outcomes": corpus.outcomes}


def run_documents(rng: np.random.Generator, _corpus: Corpus, inputs: int) -> Counts:
    return dict(documents.fuzz_documents(rng, inputs))


TARGETS: Final = {
    "frames": Target(run_frames, decoding),
    "captures": Target(run_captures, readers),
    "ring": Target(run_ring, ring),
    "names": Target(run_names, names),
    "documents": Target(run_documents),
}


def kept_file(inside: Path, name: str) -> Path:
    """Where the inputs are that the guided step kept of a target."""
    return inside / f"{name}.npz"


def corpus_of(inside: Path, name: str) -> Corpus:
    """Those inputs."""
    room = TARGETS[name].room
    if room is None:
        return Corpus(1, 1)
    corpus = Corpus(room.WIDTH, room.ROOM)
    with np.load(kept_file(inside, name)) as kept:
        rows = zip(kept["kinds"].tolist(), kept["rows"], kept["lengths"].tolist(), strict=True)
        corpus.seed((kind, row[:length].tobytes()) for kind, row, length in rows)
    return corpus


def run_part(inside: Path, name: str, number: int, inputs: int, seed: int) -> Counts:
    """One part; what it came to. Raises BrokenPromiseError, or what the code raises."""
    rng = np.random.default_rng([seed, number, *name.encode()])
    return TARGETS[name].run(rng, corpus_of(inside, name), inputs)
