"""Coverage-guided: kernels run interpreted, and an input that takes a step no other took is kept and changed further.

Slow, so it finds the ways into the code; the compiled runs then begin with what it kept. The interpreter checks every
index itself.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from flows.block import Bytes, PacketBlock
from flows.meter import Meter
from flows.names.reading import MarkReader
from flows.pcap import packet_arrays
from sensor.sources.live.tpacket import release_block
from tests.fuzz import decoding, edges, frames, names, readers, ring
from tests.fuzz.connections import WatchedConnections
from tests.fuzz.meters import SWITCHES
from tests.fuzz.mutation import Corpus
from tests.fuzz.times import drawn_times
from tests.fuzz.tracing import Tracer

REPOSITORY = Path(__file__).resolve().parents[2]
BATCH = 64
DECODING = ("decode", "linktypes", "layers", "wireless", "fragments", "tunnels")
READING = ("sensor/sources/captures/files.py", "flows/byte_stream.py", "flows/compression.py", "sensor/files/magic.py")
METER_INPUTS = 1024  # frames before the meter is emptied and a new one takes over


class Target(NamedTuple):
    """What is fuzzed: its seeds, its files, the code that takes one input."""

    corpus: Corpus
    files: tuple[str, ...]
    take: Callable[[np.random.Generator, Bytes, int], None]


def fuzz_guided(rng: np.random.Generator, target: Target, inputs: int) -> Tracer:
    """Take that many changed inputs under the tracer, after the seeds as they are."""
    import flows  # the copy that runs, which a control may have changed

    root = Path(next(iter(flows.__path__))).parent
    tracer = Tracer(frozenset(str(source) for pattern in target.files for source in root.glob(pattern)))
    corpus = target.corpus
    done = 0
    with np.errstate(over="ignore"):  # hashes wrap round, in numpy scalars as in the processor
        for i in range(corpus.count):
            content = corpus.rows[i, : corpus.lengths[i]]
            tracer.run(lambda content=content, i=i: target.take(rng, content, int(corpus.kinds[i])))  # type: ignore[misc]
        while done < inputs:
            rows, lengths, kinds = corpus.draw(rng, min(BATCH, inputs - done))
            for row, length, kind in zip(rows, lengths.tolist(), kinds.tolist(), strict=True):
                content = row[:length].copy()
                if tracer.run(lambda content=content, kind=kind: target.take(rng, content, kind)):  # type: ignore[misc]
                    corpus.notice(corpus.outcomes, content, kind)
                done += 1
    return tracer


def take_changed(rng: np.random.Generator, target: Target, inputs: int) -> None:
    """Take the seeds and that many changed inputs without a tracer, as whoever measures coverage wants them."""
    corpus = target.corpus
    with np.errstate(over="ignore"):
        for i in range(corpus.count):
            target.take(rng, corpus.rows[i, : corpus.lengths[i]], int(corpus.kinds[i]))
        for first in range(0, inputs, BATCH):
            rows, lengths, kinds = corpus.draw(rng, min(BATCH, inputs - first))
            for row, length, kind in zip(rows, lengths.tolist(), kinds.tolist(), strict=True):
                target.take(rng, row[:length].copy(), kind)


def frame_target(seed: int, variety: Path | None) -> Target:
    """Frames into small meters, one as it is by default and one that does all it can."""
    corpus = Corpus(decoding.WIDTH, decoding.ROOM)
    corpus.seed([*frames.seeds(seed, variety), *edges.edge_frames()])
    everything: dict[str, Any] = dict.fromkeys(SWITCHES, True)
    meters = [Meter(16), Meter(16, **everything)]
    connections = WatchedConnections()
    taken = 0

    def take(rng: np.random.Generator, content: Bytes, kind: int) -> None:
        nonlocal meters, taken
        taken += 1
        size = np.array([len(content)])
        block = PacketBlock(content, np.zeros_like(size), size, size, drawn_times(rng, 1), np.array([kind]))
        for meter in meters[:-1]:
            meter.feed(block)
        connections.columns(meters[-1].feed(block))
        if taken % METER_INPUTS == 0:
            meters = [Meter(16), Meter(16, **everything)]

    return Target(corpus, tuple(f"flows/{name}.py" for name in DECODING), take)


def capture_target() -> Target:
    """Captures into the readers."""
    corpus = Corpus(readers.WIDTH, readers.ROOM)
    corpus.seed(readers.seeds())

    def take(_rng: np.random.Generator, content: Bytes, kind: int) -> None:
        readers.read(readers.pack(content.tobytes(), kind), (), 1 << 12, None)
        readers.walk_alone(content)

    return Target(corpus, ("flows/pcap.py", "flows/pcapng.py", *READING), take)


def ring_target() -> Target:
    """Blocks of a ring into their walker."""
    corpus = Corpus(ring.WIDTH, ring.ROOM)
    corpus.seed(ring.seeds())
    room = packet_arrays(8)
    interface = np.zeros(8, dtype=np.int64)

    def take(_rng: np.random.Generator, content: Bytes, _kind: int) -> None:
        if len(content) >= ring.SHORTEST:
            ring.walk(content.copy(), room, interface)
            release_block(content[: ring.SHORTEST].copy().view(np.uint32))

    return Target(corpus, ("sensor/sources/live/tpacket.py",), take)


def name_target() -> Target:
    """Payloads into what reads them for names."""
    corpus, reader = Corpus(names.WIDTH, names.ROOM), MarkReader(marks=1)
    corpus.seed(names.seeds())

    def take(rng: np.random.Generator, content: Bytes, kind: int) -> None:
        names.read(reader, content, kind, int(rng.integers(0, 1 << 32)))
        if kind == names.HELLO and len(content):
            names.read_segments(reader, names.segments_of(rng, content.tobytes()))

    read = ("dns", "hello", "segments", "text")
    return Target(corpus, tuple(f"flows/names/{name}.py" for name in read), take)
